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
    eps : float or array-like of shape (d,)
        Radius of the ball; one value per feature scales its axes.
    method : {"pgd", "fgsm"}, default="pgd"
        `max_iter` steps, or one of size `eps`.
    eps_step : float or array-like of shape (d,), default=None
        Size of a PGD step; None is ``2.5 * eps / max_iter``.
    max_iter : int, default=7
        Number of PGD steps.
    norm : {inf, 2}, default=inf
        Norm of the ball.
    clip_values : tuple of two floats or arrays of shape (d,), or None, default=(0.0, 1.0)
        Lowest and highest value of a feature. None: no box.

    Notes
    -----
    The adversary lives where the network does. Behind a `StandardScaler`, one in pixels is one
    with a value for every feature: each radius, step and bound as the scaler changes it, as in the
    second example. It is the same adversary, in either norm. Arrays are kept as tuples.

    Examples
    --------
    >>> from skntk import AdversarialTraining
    >>> AdversarialTraining(0.3, eps_step=0.1, max_iter=20).step_size
    0.1

    Pixels in [0, 1] that a pipeline standardises, and an adversary of 0.1 in pixels:

    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> scaler = StandardScaler().fit(np.array([[0.0, 0.2], [1.0, 0.6]]))
    >>> mean, scale = scaler.mean_, scaler.scale_
    >>> adversary = AdversarialTraining(
    ...     0.1 / scale, clip_values=((0 - mean) / scale, (1 - mean) / scale)
    ... )
    >>> np.round(adversary.eps, 3)
    array([0.2, 0.5])

    which is the `adversary` of the `FlaxClassifier` in ``make_pipeline(scaler, ...)``.
    """

    max_iter: int = 7

    def __post_init__(self) -> None:
        self.check_options()
        self.check_numbers()
