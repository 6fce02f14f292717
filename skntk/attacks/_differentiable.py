"""Models that can be attacked by their gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from .._utils.showing import shown
from .._utils.warnings import user_warnings_ignored
from . import _ensembles, _regressors  # noqa: F401  they register their views
from ._black_box import check_classifies, check_has_features, regresses
from ._views import DifferentiableClassifier, Linearization, Refusal, View, view

__all__ = [
    "DifferentiableClassifier",
    "DifferentiableModel",
    "Linearization",
    "as_differentiable",
    "as_victim",
]

#: Remedy for networks of other libraries, which are no estimators.
_WRAPPED = (
    "wrap a trained Flax module by FlaxClassifier.from_params, a JAX function or a PyTorch module "
    "by skntk.interop; "
)


class DifferentiableModel:
    """A fitted classifier or regressor as a function of arrays: outputs (m, k) and their pullback.

    Parameters
    ----------
    of_outputs : View
        The outputs by which it predicts.
    classes : ndarray of shape (n_classes,) or None
        Labels; None of a regressor.
    """

    def __init__(self, of_outputs: View, classes: Any):
        self._view = of_outputs
        self.classes_ = classes

    def check_moves(self, eps: NDArray) -> None:
        """Raise ValueError for budgets (E,) or (E, d) that move columns of a part not affine."""
        for part, reached in self._view.frozen:
            moved = reached & (np.max(np.atleast_1d(eps), axis=0) > 0)
            if moved.any():
                raise ValueError(part.message(np.flatnonzero(moved), len(reached)))

    def outputs(self, X: NDArray) -> NDArray:
        """Outputs (m, k), with one column for two classes."""
        # Of names of features, which were checked on the user's input.
        with user_warnings_ignored():
            return self._view.outputs(X)

    def linearize(self, X: NDArray) -> Linearization:
        """Outputs (m, k) and a pullback from cotangents (m, k) to gradients (m, d)."""
        with user_warnings_ignored():
            outputs, pullback = self._view.linearize(X)

        def pull_back(cotangents: NDArray) -> NDArray:
            with user_warnings_ignored():
                return pullback(cotangents)

        return outputs, pull_back


def as_differentiable(estimator: Any) -> DifferentiableModel:
    """View of a fitted classifier, pipeline or search as a `DifferentiableModel`.

    Raises
    ------
    NotFittedError
        If it is a scikit-learn estimator that is not fitted.
    TypeError
        If it is a regressor, it has no input gradient, or something within it has none.
    """
    check_classifies(estimator)
    return as_victim(estimator)


def as_victim(estimator: Any) -> DifferentiableModel:
    """View of a fitted classifier or regressor, pipeline or search as a `DifferentiableModel`.

    Raises
    ------
    NotFittedError
        If it is a scikit-learn estimator that is not fitted.
    TypeError
        If it has no input gradient, something within it has none, or a transformer of its targets
        is not affine.
    """
    check_has_features(estimator)
    if hasattr(estimator, "__sklearn_tags__"):
        check_is_fitted(estimator)
    try:
        of_outputs = view(estimator)
    except Refusal as refusal:
        within = refusal.estimator is not estimator
        where = f", within it {shown(refusal.estimator, 60)}," if within else ""
        wrapped = "" if hasattr(estimator, "fit") else _WRAPPED
        raise TypeError(
            f"estimator={shown(estimator, 60)}{where} {refusal.reason}; "
            f"{wrapped}attack an estimator of skntk, or any object with decision_function(X), "
            "input_vjp(X, cotangents) and classes_ (see skntk.attacks.DifferentiableClassifier), "
            "or attack it without gradients, method='square'."
        ) from None
    classes = None if regresses(estimator) else np.asarray(estimator.classes_)
    return DifferentiableModel(of_outputs, classes)
