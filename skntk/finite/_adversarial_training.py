"""The adversary that a network is trained against, as parameters."""

from __future__ import annotations

from dataclasses import dataclass

from ..attacks._specification import AttackSpecification

__all__ = ["AdversarialTraining"]


@dataclass(frozen=True)
class AdversarialTraining(AttackSpecification):
    """The adversary that a network is trained against.

    Every batch is replaced by adversarial examples for the current weights; labels are unchanged.

    Parameters
    ----------
    eps : float or array-like of shape (d,)
        Radius of the ball; with one value per feature, the half-axis along each feature.
    method : {"pgd", "fgsm"}, default="pgd"
        "pgd" takes `max_iter` steps, "fgsm" one step of size `eps`.
    eps_step : float or array-like of shape (d,), default=None
        Size of a PGD step. If None, ``2.5 * eps / max_iter``.
    max_iter : int, default=7
        Number of PGD steps.
    norm : {inf, 2}, default=inf
        Norm of the ball.
    clip_values : tuple of two floats or arrays of shape (d,), or None, default=(0.0, 1.0)
        Lowest and highest value of a feature. If None, features are not bounded.

    Notes
    -----
    The adversary acts in the input space of the network. If a `StandardScaler` precedes the
    network, an adversary in pixels becomes one with a value for every feature: radii and steps
    are divided by the scale, and bounds are transformed like pixels, as in the second example.
    This is the same adversary, in either norm. Arrays are stored as tuples.

    Examples
    --------
    >>> from skntk import AdversarialTraining
    >>> AdversarialTraining(0.3, eps_step=0.1, max_iter=20).step_size
    0.1

    An adversary of radius 0.1 for pixels in [0, 1] that a pipeline standardises:

    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> scaler = StandardScaler().fit(np.array([[0.0, 0.2], [1.0, 0.6]]))
    >>> mean, scale = scaler.mean_, scaler.scale_
    >>> adversary = AdversarialTraining(
    ...     0.1 / scale, clip_values=((0 - mean) / scale, (1 - mean) / scale)
    ... )
    >>> np.round(adversary.eps, 3)
    array([0.2, 0.5])

    Pass it as `adversary` to the `FlaxClassifier` in ``make_pipeline(scaler, ...)``.
    """

    max_iter: int = 7

    def __post_init__(self) -> None:
        self.check_options()
        self.check_numbers()
