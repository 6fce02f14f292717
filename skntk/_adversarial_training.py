"""The adversary that a network is trained against, as parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._validation import check_integer, check_norm, check_option, check_real

__all__ = ["AdversarialTraining"]


@dataclass(frozen=True)
class AdversarialTraining:
    """The adversary that a network is trained against.

    Every batch is replaced by adversarial examples of the current weights, with the true
    labels.

    Parameters
    ----------
    eps : float
        Radius of the ball.
    method : {"pgd", "fgsm"}, default="pgd"
        `max_iter` steps, or one of size `eps`.
    eps_step : float, default=None
        Size of a PGD step; None is ``2.5 * eps / max_iter``.
    max_iter : int, default=7
        Number of PGD steps.
    norm : {inf, 2}, default=inf
        Norm of the ball.
    clip_values : tuple of two floats or None, default=(0.0, 1.0)
        Lowest and highest value of a feature. None: no box.

    Examples
    --------
    >>> from skntk import AdversarialTraining
    >>> AdversarialTraining(0.3, eps_step=0.1, max_iter=20).step_size
    0.1
    """

    eps: float
    method: str = "pgd"
    eps_step: float | None = None
    max_iter: int = 7
    norm: float = np.inf
    clip_values: tuple[float, float] | None = (0.0, 1.0)

    def __post_init__(self) -> None:
        check_real("eps", self.eps, low=0.0)
        check_option("method", self.method, ("pgd", "fgsm"))
        check_integer("max_iter", self.max_iter, low=1)
        check_norm(self.norm)
        if self.eps_step is not None:
            check_real("eps_step", self.eps_step, low=0.0)
        if self.clip_values is not None:
            # A tuple, whatever sequence it was: the adversary is hashed, as part of what is
            # compiled for.
            object.__setattr__(self, "clip_values", self._checked_clip_values())

    @property
    def n_steps(self) -> int:
        """Number of gradient steps."""
        return 1 if self.method == "fgsm" else self.max_iter

    @property
    def step_size(self) -> float:
        """Size of each."""
        if self.method == "fgsm":
            return self.eps
        return 2.5 * self.eps / self.max_iter if self.eps_step is None else self.eps_step

    def _checked_clip_values(self) -> tuple[float, float]:
        try:
            low, high = self.clip_values  # type: ignore[misc]
        except (TypeError, ValueError):
            raise ValueError(
                f"clip_values={self.clip_values!r} is not a pair; give (low, high) or None."
            ) from None
        low, high = check_real("clip_values[0]", low), check_real("clip_values[1]", high)
        if low > high:
            raise ValueError(
                f"clip_values={self.clip_values!r} has a low above its high; give (low, high)."
            )
        return low, high
