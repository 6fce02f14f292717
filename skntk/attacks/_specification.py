"""An attack in numbers: one specification for every execution of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._utils.validation import check_integer, check_norm, check_option, check_real
from ._box import as_pair, check_order

__all__ = ["METHODS", "AttackSpecification"]

METHODS = ("fgsm", "pgd")


@dataclass(frozen=True)
class AttackSpecification:
    """Ball, box and steps of an attack; hashable if all of them are numbers.

    `NTKAttack` executes it on any differentiable classifier in NumPy and keeps the iterate of
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
    norm : {inf, 2}, default=inf
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
        return 2.5 * self.eps / self.max_iter if self.eps_step is None else self.eps_step

    def check_options(self) -> None:
        """Raise for what is wrong whatever the data."""
        check_option("method", self.method, METHODS)
        check_integer("max_iter", self.max_iter, low=1)
        check_norm(self.norm)

    def check_numbers(self) -> None:
        """Raise unless eps, its step and the box are numbers, whatever the data."""
        check_real("eps", self.eps, low=0.0)
        if self.eps_step is not None:
            check_real("eps_step", self.eps_step, low=0.0)
        if self.clip_values is not None:
            low, high = as_pair(self.clip_values)
            low, high = check_real("clip_values[0]", low), check_real("clip_values[1]", high)
            check_order(self.clip_values, low, high)
            # A tuple, whatever sequence it was: it is hashed, as part of what is compiled for.
            object.__setattr__(self, "clip_values", (low, high))
