"""The adversary that a network is trained against, as parameters."""

from __future__ import annotations

from dataclasses import dataclass

from ..attacks._specification import AttackSpecification

__all__ = ["AdversarialTraining"]


@dataclass(frozen=True)
class AdversarialTraining(AttackSpecification):
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

    max_iter: int = 7

    def __post_init__(self) -> None:
        self.check_options()
        self.check_numbers()
