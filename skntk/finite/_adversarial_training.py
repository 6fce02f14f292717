"""The adversary that a network is trained against, as parameters."""

from __future__ import annotations

from dataclasses import dataclass

from .._utils.validation import check_boolean, check_option, check_real
from ..attacks._specification import AttackSpecification

__all__ = ["AdversarialTraining"]

#: Losses of adversarial training.
_LOSSES = ("cross_entropy", "trades")


@dataclass(frozen=True)
class AdversarialTraining(AttackSpecification):
    r"""The adversary that a network is trained against.

    Every batch is replaced by adversarial examples for the current weights; labels are unchanged.
    With ``loss="trades"`` [1]_, the batch is kept, and adversarial examples x' are those on which
    the network differs most from itself:

    .. math:: CE(f(x), y) + \beta\, \max_{x'} KL(p(x) \,\|\, p(x'))

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
    random_start : bool, default=False
        Whether the steps begin at a random point of the ball, another one for every batch.
        Evaluations, such as `FlaxClassifier.attack`, always draw the same.
    loss : {"cross_entropy", "trades"}, default="cross_entropy"
        What the adversary raises and training lowers. "cross_entropy" leaves training its own
        loss; "trades" needs a network whose `loss` is "cross_entropy".
    beta : float, default=6.0
        Weight of robustness in "trades"; 0 is standard training.

    Notes
    -----
    The adversary acts in the input space of the network. If a `StandardScaler` precedes the
    network, an adversary in pixels becomes one with a value for every feature: radii and steps
    are divided by the scale, and bounds are transformed like pixels, as in the second example.
    This is the same adversary, in either norm. Arrays are stored as tuples.

    At the sample itself the divergence of "trades" has no gradient. Without `random_start` its
    steps begin at a random point within a thirtieth of the ball, as its authors' do.

    References
    ----------
    .. [1] Zhang, Yu, Jiao, Xing, El Ghaoui and Jordan, "Theoretically Principled Trade-off between
       Robustness and Accuracy", ICML 2019.

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
    random_start: bool = False
    loss: str = "cross_entropy"
    beta: float = 6.0

    def __post_init__(self) -> None:
        self.check_options()
        self.check_numbers()
        check_boolean("random_start", self.random_start)
        check_option("loss", self.loss, _LOSSES)
        check_real("beta", self.beta, low=0.0)

    @property
    def is_trades(self) -> bool:
        """Whether clean samples are trained on, and adversarial examples differ from them."""
        return self.loss == "trades"

    @property
    def reach(self) -> float:
        """Part of the ball, from 0 to 1, in which the steps begin."""
        return 1.0 if self.random_start else 1 / 30 if self.is_trades else 0.0
