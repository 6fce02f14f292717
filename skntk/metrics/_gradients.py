"""Gradients of the loss with respect to the input, and how alike those of two models are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.utils import column_or_1d, gen_batches

from .._utils.precision import as_float_matrix
from .._utils.targets import label_indices, one_hot_or_sign
from .._utils.validation import check_boolean, check_option
from ..attacks._differentiable import DifferentiableModel, as_differentiable
from ..attacks._losses import LOSSES
from ..attacks._search import Objective

__all__ = ["gradient_cosine_similarity", "loss_gradient"]

#: Samples whose gradients are computed at a time.
_BATCH = 256


def gradient_cosine_similarity(
    a: Any, b: Any, X: ArrayLike, y: ArrayLike, *, average: bool = True
) -> float | NDArray:
    r"""Cosine of two models' loss gradients with respect to the input (Eq. 43).

    .. math::
        \frac{\nabla_x L(f_a, y)^T \nabla_x L(f_b, y)}
             {\|\nabla_x L(f_a, y)\|_2 \|\nabla_x L(f_b, y)\|_2}

    with L the cross-entropy of the outputs as logits.

    Parameters
    ----------
    a, b : estimator
        Fitted classifiers with the same classes, differentiable as required by `NTKAttack`.
    X : array-like of shape (m, d)
        Inputs.
    y : array-like of shape (m,)
        True labels.
    average : bool, default=True
        Whether the cosines are averaged over the samples.

    Returns
    -------
    similarity : float, or ndarray of shape (m,) if not `average`
        In [-1, 1]; a sample without a gradient counts as 0.

    See Also
    --------
    loss_gradient : The gradients themselves.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skntk import NTKClassifier
    >>> from skntk.metrics import gradient_cosine_similarity
    >>> X, y = load_digits(return_X_y=True)
    >>> shallow, deep = (NTKClassifier(k).fit(X[:300] / 16, y[:300]) for k in ("fc1", "fc3"))
    >>> gradient_cosine_similarity(shallow, deep, X[300:350] / 16, y[300:350]) > 0.9
    True
    """
    check_boolean("average", average)
    models, X, y = _validate([a, b], X, y)
    gradients = [_unsaturated_gradient(model, X, y)[0] for model in models]
    lengths = [np.linalg.norm(gradient, axis=1) for gradient in gradients]
    products = np.einsum("ij,ij->i", *gradients)
    scale = lengths[0] * lengths[1]
    cosines = np.divide(products, scale, out=np.zeros_like(scale), where=scale > 0)
    return float(cosines.mean()) if average else cosines


def loss_gradient(
    estimator: Any, X: ArrayLike, y: ArrayLike, *, loss: str = "cross_entropy"
) -> NDArray:
    r"""Gradient of the loss of each sample with respect to its input, :math:`\nabla_x L(f(x), y)`.

    It is what FGSM takes the sign of, and what Fig. 7b shows as pictures.

    Parameters
    ----------
    estimator : estimator
        Fitted classifier, differentiable as required by `NTKAttack`.
    X : array-like of shape (m, d)
        Inputs.
    y : array-like of shape (m,)
        True labels.
    loss : {"cross_entropy", "squared_error"}, default="cross_entropy"
        "cross_entropy" of the outputs as logits (Eq. 18, 21); "squared_error", half the squared
        difference from the targets that kernel machines are fitted to, -1 and 1 for two classes,
        else one-hot, summed over the outputs.

    Returns
    -------
    gradients : ndarray of shape (m, d)
        float32 if `X` is, else float64.

    Raises
    ------
    ValueError
        If `loss` is not one of these, or `y` holds labels that the estimator never saw.
    TypeError
        If the estimator has no gradient.

    See Also
    --------
    gradient_cosine_similarity : Cosine of two models' gradients.
    skntk.inspection.LossGradientDisplay : Shows them as pictures.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skntk import NTKClassifier
    >>> from skntk.metrics import loss_gradient
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = NTKClassifier("fc1").fit(X[:300] / 16, y[:300])
    >>> loss_gradient(clf, X[300:350] / 16, y[300:350]).shape
    (50, 64)
    """
    check_option("loss", loss, tuple(_GRADIENTS))
    (model,), X, y = _validate([estimator], X, y)
    return _GRADIENTS[loss](model, X, y).astype(X.dtype)


def _validate(
    estimators: list[Any], X: ArrayLike, y: ArrayLike
) -> tuple[list[DifferentiableModel], NDArray, NDArray]:
    """Differentiable views of the estimators, inputs (m, d) and labels (m,)."""
    models = [as_differentiable(estimator) for estimator in estimators]
    X_raw: Any = X
    X = as_float_matrix(X, "X")
    for estimator in estimators:
        # Called on the user's input, so that scikit-learn checks feature names and their number.
        estimator.decision_function((X_raw if hasattr(X_raw, "columns") else X)[:1])
    y = column_or_1d(y)
    if len(X) != len(y):
        raise ValueError(f"X has {len(X)} samples and y has {len(y)}; give one each.")
    for model in models:
        model.check_moves(np.ones(1))
    return models, X, y


def _unsaturated_gradient(
    model: DifferentiableModel, X: NDArray, y: NDArray
) -> tuple[NDArray, NDArray]:
    """Cross-entropy gradient (m, d) without the factor (m,) that vanishes on confident samples."""
    labels = label_indices(y, model.classes_)
    gradients, factors = [], []
    for rows in gen_batches(len(X), _BATCH):
        objective = Objective(LOSSES["cross_entropy"], labels[rows], targeted=False)
        outputs, pullback = model.linearize(X[rows])
        gradients.append(objective.gradient(outputs, pullback))
        # What is maximised is the logit of all other classes, whose sigmoid they share.
        factors.append(expit(objective.values(outputs)))
    return np.concatenate(gradients).astype(np.float64), np.concatenate(factors)


def _cross_entropy_gradient(model: DifferentiableModel, X: NDArray, y: NDArray) -> NDArray:
    direction, probability_of_others = _unsaturated_gradient(model, X, y)
    return direction * probability_of_others[:, None]


def _squared_error_gradient(model: DifferentiableModel, X: NDArray, y: NDArray) -> NDArray:
    indices = label_indices(y, model.classes_)
    gradients = []
    for rows in gen_batches(len(X), _BATCH):
        outputs, pullback = model.linearize(X[rows])
        targets = one_hot_or_sign(indices[rows], len(model.classes_), outputs.dtype)
        gradients.append(pullback(outputs - targets))
    return np.concatenate(gradients)


_GRADIENTS = {
    "cross_entropy": _cross_entropy_gradient,
    "squared_error": _squared_error_gradient,
}
