"""Accuracy and R^2 under attack, and the similarity of two models' loss gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import accuracy_score, r2_score

from .._utils.frames import framed_like
from .._utils.targets import as_columns, classify
from ..attacks import NTKAttack
from ..attacks._black_box import check_classifies, regresses
from ..attacks._free_attack import attack_on, check_attack

__all__ = [
    "make_robust_scorer",
    "predict_labels",
    "robust_accuracy_score",
    "robust_r2_score",
]


def robust_accuracy_score(estimator: Any, X: ArrayLike, y: ArrayLike, attack: NTKAttack) -> float:
    """Accuracy of an estimator on adversarial examples (Eq. 4, estimated by the attack).

    Parameters
    ----------
    estimator : estimator
        Fitted classifier, of which only `predict` is used if the attack has an estimator.
    X : array-like of shape (n, d)
        Clean samples.
    y : array-like of shape (n,)
        True labels.
    attack : NTKAttack
        If its estimator is None, `estimator` itself is attacked; otherwise the examples are
        made from the attack's estimator and transferred. FGSM and PGD are the paper's; how robust
        an estimator is, the worst case says: ``NTKAttack(None, method="auto")``.

    Returns
    -------
    score : float
        Fraction of adversarial examples that are classified correctly: an upper bound of the
        robust accuracy, the tighter the stronger the attack.

    See Also
    --------
    robust_r2_score : The same of a regressor.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skntk import NTKAttack, NTKClassifier
    >>> from skntk.metrics import robust_accuracy_score
    >>> X, y = load_digits(return_X_y=True)
    >>> X = X / 16
    >>> clf = NTKClassifier("fc1").fit(X[:500], y[:500])
    >>> attack = NTKAttack(None, eps=0.2, method="auto", random_state=0)
    >>> robust_accuracy_score(clf, X[500:600], y[500:600], attack) < 0.2
    True
    """
    check_classifies(estimator, "Score a regressor by robust_r2_score.")
    X_adv = _examples(estimator, X, y, attack)
    return float(accuracy_score(np.asarray(y), predict_labels(estimator, X_adv)))


def robust_r2_score(estimator: Any, X: ArrayLike, y: ArrayLike, attack: NTKAttack) -> float:
    r"""Coefficient of determination of a regressor on adversarial examples.

    .. math:: R^2 = 1 - \frac{\sum_i |f(x_i') - y_i|^2}{\sum_i |y_i - \bar y|^2}

    with the mean over targets if there are several, as of a regressor's ``score``.

    Parameters
    ----------
    estimator : estimator
        Fitted regressor, of which only `predict` is used if the attack has an estimator.
    X : array-like of shape (n, d)
        Clean samples.
    y : array-like of shape (n,) or (n, k)
        True values.
    attack : NTKAttack
        If its estimator is None, `estimator` itself is attacked; otherwise the examples are
        made from the attack's estimator and transferred.

    Returns
    -------
    score : float
        At most 1, and of any size below 0: an upper bound of what the worst examples give, the
        tighter the stronger the attack.

    Raises
    ------
    TypeError
        If `estimator` is not a regressor.

    See Also
    --------
    robust_accuracy_score : The same of a classifier.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import minmax_scale
    >>> from skntk import NTKAttack, NTKRegressor
    >>> from skntk.metrics import robust_r2_score
    >>> X, y = load_diabetes(return_X_y=True)
    >>> X, y = minmax_scale(X), minmax_scale(y)
    >>> network = NTKRegressor("fc1", alpha=1.0).fit(X[:300], y[:300])
    >>> attack = NTKAttack(None, eps=0.02, method="pgd")
    >>> robust_r2_score(network, X[300:], y[300:], attack) < network.score(X[300:], y[300:])
    True
    """
    if not regresses(estimator):
        raise TypeError(
            f"estimator={type(estimator).__name__} is not a regressor; score a classifier by "
            "robust_accuracy_score."
        )
    X_adv = _examples(estimator, X, y, attack)
    return float(r2_score(np.asarray(y), estimator.predict(X_adv)))


def make_robust_scorer(attack: NTKAttack) -> Callable[[Any, ArrayLike, ArrayLike], float]:
    """Scorer for `GridSearchCV` and `cross_validate`: accuracy, or R^2, under an attack.

    It is `robust_accuracy_score` of classifiers and `robust_r2_score` of regressors, as the default
    scorers of scikit-learn are accuracy and R^2.

    Parameters
    ----------
    attack : NTKAttack
        If its estimator is None, every candidate is itself attacked; otherwise the examples are
        made from the attack's estimator and transferred to every candidate. PGD is enough to
        rank candidates; to evaluate the chosen one, use ``method="auto"``.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y) -> float``.

    Examples
    --------
    >>> from skntk import NTKAttack
    >>> from skntk.metrics import make_robust_scorer
    >>> scoring = {"clean": "accuracy", "robust": make_robust_scorer(NTKAttack(None, eps=0.1))}
    """
    check_attack(attack)
    return _RobustScorer(attack)


def _examples(estimator: Any, X: ArrayLike, y: ArrayLike, attack: NTKAttack) -> Any:
    """Adversarial examples in the form of `X`, made from the attack's estimator or else this."""
    check_attack(attack)
    if attack.targeted:
        raise ValueError(
            "targeted=True makes y the targets; a robust score needs the true labels or values. "
            "Use an untargeted attack."
        )
    if attack.estimator is None:
        attack = attack_on(attack, estimator)
    return framed_like(X, attack.generate(X, y))


def predict_labels(estimator: Any, X: Any) -> NDArray:
    """Predicted labels, also of a `DifferentiableClassifier` without `predict`."""
    if hasattr(estimator, "predict"):
        return estimator.predict(X)
    return estimator.classes_[classify(as_columns(np.asarray(estimator.decision_function(X))))]


class _RobustScorer:
    """Scorer of `make_robust_scorer`; unlike a closure, it can be pickled for joblib workers."""

    def __init__(self, attack: NTKAttack):
        self.attack = attack

    def __call__(self, estimator: Any, X: ArrayLike, y: ArrayLike) -> float:
        score = robust_r2_score if regresses(estimator) else robust_accuracy_score
        return score(estimator, X, y, self.attack)

    def __repr__(self) -> str:
        return f"make_robust_scorer({self.attack!r})"
