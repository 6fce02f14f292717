"""The one protocol an attack needs: outputs, and the gradient of any mix of them.

A differentiable classifier is anything fitted with ``decision_function(X)`` and
``input_vjp(X, cotangents)``. A method ``linearize(X)`` that gives both at once is used
where there is one. A pipeline of affine steps before such a classifier is one too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from ._affine import affine_pullback
from ._targets import as_columns

__all__ = ["DifferentiableModel", "as_differentiable"]


class DifferentiableModel:
    """A fitted estimator as a function of arrays: outputs (m, k) and their pullback.

    Parameters
    ----------
    estimator : estimator
        Fitted; validated by `as_differentiable`.
    steps : list of (str, transformer)
        Affine transformers in front of it.
    """

    def __init__(self, estimator: Any, steps: list[tuple[str, Any]]):
        self.estimator = estimator
        self.transformers = [step for _, step in steps]
        self.pullbacks = [affine_pullback(step, name) for name, step in steps]

    @property
    def classes_(self) -> NDArray:
        """Class labels of the estimator."""
        return self.estimator.classes_

    def outputs(self, X: NDArray) -> NDArray:
        """Outputs (m, k), one column if binary."""
        with _without_feature_name_warnings():
            return as_columns(self.estimator.decision_function(self._transform(X)))

    def linearize(self, X: NDArray) -> tuple[NDArray, Callable[[NDArray], NDArray]]:
        """Outputs (m, k) and a pullback from cotangents (m, k) to gradients (m, d)."""
        with _without_feature_name_warnings():
            transformed = self._transform(X)
            outputs, pullback = _linearize(self.estimator, transformed)

        def through_steps(cotangents: NDArray) -> NDArray:
            with _without_feature_name_warnings():
                gradient = pullback(cotangents)
            for step in reversed(self.pullbacks):
                gradient = step(gradient)
            return gradient

        return outputs, through_steps

    def _transform(self, X: NDArray) -> Any:
        for transformer in self.transformers:
            X = transformer.transform(X)
        return X


def as_differentiable(estimator: Any) -> DifferentiableModel:
    """View of a fitted classifier, pipeline or search as a `DifferentiableModel`.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    TypeError
        If it has no input gradient, or a step in front of it is not affine.
    """
    check_is_fitted(estimator)
    steps: list[tuple[str, Any]] = []
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, Pipeline):
            steps += [
                (name, step)
                for name, step in estimator.steps[:-1]
                if step is not None and step != "passthrough"
            ]
            estimator = estimator.steps[-1][1]
        else:
            break
    missing = [
        name
        for name in ("decision_function", "input_vjp", "classes_")
        if not hasattr(estimator, name)
    ]
    if missing:
        raise TypeError(
            f"estimator={estimator!r} has no {' and no '.join(missing)}; attack an estimator of "
            "skntk, or give yours decision_function(X) and input_vjp(X, cotangents)."
        )
    return DifferentiableModel(estimator, steps)


def _linearize(estimator: Any, X: Any) -> tuple[NDArray, Callable[[NDArray], NDArray]]:
    if hasattr(estimator, "linearize"):
        return estimator.linearize(X)
    outputs = np.asarray(estimator.decision_function(X))

    def pullback(cotangents: NDArray) -> NDArray:
        return estimator.input_vjp(X, cotangents.reshape(outputs.shape))

    return as_columns(outputs), pullback


def _without_feature_name_warnings() -> warnings.catch_warnings:
    """Silence scikit-learn on arrays: names were checked once, on what the user gave."""
    context = warnings.catch_warnings(action="ignore", category=UserWarning)
    return context
