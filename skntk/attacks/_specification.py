"""An attack in numbers: one specification for every execution of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils.validation import check_array_or_real, check_integer, check_norm, check_option
from ._box import as_pair, check_clip_values, check_order

__all__ = ["METHODS", "AttackSpecification", "Options"]

METHODS = ("fgsm", "pgd")


@dataclass(frozen=True)
class AttackSpecification:
    """Ball, box and steps of an attack.

    `NTKAttack` executes it on any differentiable estimator in NumPy and keeps the iterate of
    largest loss; `FlaxClassifier` executes it a compiled step at a time, on its own network, and
    keeps the last iterate, as adversarial training does. Without a better iterate on the way the
    two agree to rounding.

    Parameters
    ----------
    eps : float or ndarray of shape (d,)
        Radius of the ball.
    method : {"pgd", "fgsm"}, default="pgd"
        `max_iter` steps, or one of size `eps`.
    eps_step : float or ndarray of shape (d,), default=None
        Size of a PGD step; None is ``2.5 * eps / max_iter``.
    max_iter : int, default=10
        Number of PGD steps.
    norm : {inf, 2}, or their names, default=inf
        Norm of the ball.
    clip_values : tuple or None, default=(0.0, 1.0)
        Lowest and highest value of a feature. None: no box.
    """

    eps: Any
    method: str = "pgd"
    eps_step: Any = None
    max_iter: int = 10
    norm: float = np.inf
    clip_values: Any = (0.0, 1.0)

    @property
    def n_steps(self) -> int:
        """Number of gradient steps."""
        return 1 if self.method == "fgsm" else self.max_iter

    @property
    def step_size(self) -> Any:
        """Size of each."""
        if self.method == "fgsm":
            return self.eps
        if self.eps_step is not None:
            return self.eps_step
        if self.method in ("apgd", "auto"):
            return 2 * np.asarray(self.eps)
        return 2.5 * (self.eps if np.ndim(self.eps) == 0 else np.asarray(self.eps)) / self.max_iter

    def check_options(self) -> None:
        """Raise for what is wrong whatever the data."""
        check_option("method", self.method, METHODS)
        check_integer("max_iter", self.max_iter, low=1)
        object.__setattr__(self, "norm", check_norm(self.norm))

    def check_numbers(self) -> None:
        """Raise for numbers that are wrong whatever the data, and keep arrays as tuples.

        Tuples are hashed and compared by value, and their `repr` leaves nothing out, by which a
        directory of checkpoints knows its adversary.
        """
        eps, eps_step = self.eps, self.eps_step
        object.__setattr__(self, "eps", _as_number_or_tuple("eps", eps, low=0.0))
        if eps_step is not None:
            object.__setattr__(self, "eps_step", _as_number_or_tuple("eps_step", eps_step, low=0.0))
        if self.clip_values is not None:
            low, high = as_pair(self.clip_values)
            low = _as_number_or_tuple("clip_values[0]", low)
            high = _as_number_or_tuple("clip_values[1]", high)
            if np.ndim(low) == np.ndim(high) == 1 and len(low) != len(high):
                raise ValueError(
                    f"clip_values has {len(low)} lows and {len(high)} highs; give as many of each."
                )
            check_order(self.clip_values, np.asarray(low), np.asarray(high))
            object.__setattr__(self, "clip_values", (low, high))

    def check_features(self, X: NDArray) -> None:
        """Raise unless arrays have one value for each feature of `X`, which lies in the box."""
        for name in ("eps", "eps_step"):
            if getattr(self, name) is not None:
                check_array_or_real(name, getattr(self, name), X.shape[1], low=0.0)
        check_clip_values(self.clip_values, X)


@dataclass(frozen=True)
class Options:
    """What an attack is asked for, apart from its ball.

    Attributes
    ----------
    specification : AttackSpecification
        Ball, box and steps.
    loss : str
    targeted : bool
    n_queries : int
    n_random_starts : int
    """

    specification: AttackSpecification
    loss: str
    targeted: bool
    n_queries: int
    n_random_starts: int

    @property
    def is_worst_case(self) -> bool:
        """Whether only success counts, so that no stage goes on after it."""
        return self.specification.method == "auto"


def _as_number_or_tuple(name: str, value: Any, *, low: float = -np.inf) -> Any:
    """Give a float, or a tuple with one float a feature."""
    checked = check_array_or_real(name, value, np.size(value), low=low)
    return checked if np.ndim(checked) == 0 else tuple(checked.tolist())
