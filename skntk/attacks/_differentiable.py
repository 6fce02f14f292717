"""Protocol for models that can be attacked: outputs and their gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .._utils.targets import as_columns
from ._affine import affine_pullback
from ._black_box import check_classifies
from ._composites import FrozenPart, transformed

__all__ = ["DifferentiableClassifier", "DifferentiableModel", "Linearization", "as_differentiable"]

#: Maps cotangents of outputs to the gradient with respect to inputs.
Pullback = Callable[[NDArray], NDArray]

#: Outputs at some inputs, and their pullback.
Linearization = tuple[NDArray, Pullback]


@runtime_checkable
class DifferentiableClassifier(Protocol):
    """Protocol that attacks and metrics require of a model; every classifier here implements it.

    Any class with `classes_`, `decision_function` and `input_vjp` can be attacked; it need not
    be a scikit-learn estimator. If it also has a method ``linearize(X)``, which returns the
    outputs (m, k) and a function from cotangents (m, k) to gradients (m, d), that is used to
    compute both together.

    In a `Pipeline`, steps in front of such a classifier must be affine ones that are known here,
    or have a method ``pullback(gradient)`` if they are affine, or ``transform_vjp(X, cotangents)``,
    the gradient (m, d) of the transformed columns weighted by cotangents.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Label of each output; of a single output, the labels of negative and positive values.

    Examples
    --------
    >>> import numpy as np
    >>> from skntk import NTKAttack
    >>> class Linear:
    ...     classes_ = np.array(["low", "high"])
    ...     weights = np.array([1.0, -2.0])
    ...
    ...     def decision_function(self, X):
    ...         return X @ self.weights
    ...
    ...     def input_vjp(self, X, cotangents):
    ...         return np.outer(cotangents, self.weights)
    >>> NTKAttack(Linear(), eps=0.1).generate([[0.5, 0.2]], ["high"])
    array([[0.4, 0.3]])
    """

    classes_: NDArray

    def decision_function(self, X: NDArray) -> NDArray:
        """Outputs for inputs (m, d): (m,) for two classes, else (m, n_classes)."""

    def input_vjp(self, X: NDArray, cotangents: NDArray) -> NDArray:
        """Gradient (m, d) of the outputs weighted by cotangents of the same shape."""


class DifferentiableModel:
    """A fitted classifier as a function of arrays: outputs (m, k) and their pullback.

    Parameters
    ----------
    classifier : DifferentiableClassifier
        Validated by `as_differentiable`.
    steps : list of (str, transformer)
        Transformers applied before the classifier, by name.
    """

    def __init__(self, classifier: DifferentiableClassifier, steps: list[tuple[str, Any]]):
        self.classifier = classifier
        self.transformers = [step for _, step in steps]
        self.pullbacks: list[Callable[[NDArray, NDArray], NDArray]] = []
        self.frozen: list[tuple[FrozenPart, NDArray]] = []
        for name, step in steps:
            pullback = _step_pullback(step, name)
            for part in getattr(pullback, "frozen", ()):
                self.frozen.append((part, self._reached_from(part, step.n_features_in_)))
            self.pullbacks.append(pullback)

    def _reached_from(self, part: FrozenPart, n_features: int) -> NDArray:
        """Which columns of the pipeline's input those of a frozen part depend on."""
        rows = np.eye(n_features)[part.columns]
        earlier = zip(self.transformers, self.pullbacks, strict=False)  # those before this step
        for transformer, pullback in reversed([*earlier]):
            if hasattr(transformer, "transform_vjp"):
                return np.ones(transformer.n_features_in_, bool)
            rows = pullback(rows, rows)
        return (rows != 0).any(axis=0)

    def check_moves(self, eps: NDArray) -> None:
        """Raise ValueError for budgets (E,) or (E, d) that move columns of a part not affine."""
        for part, reached in self.frozen:
            moved = reached & (np.max(np.atleast_1d(eps), axis=0) > 0)
            if moved.any():
                raise ValueError(part.message(np.flatnonzero(moved), len(reached)))

    @property
    def classes_(self) -> NDArray:
        """Class labels of the classifier."""
        return self.classifier.classes_

    def outputs(self, X: NDArray) -> NDArray:
        """Outputs (m, k), with one column for two classes."""
        with _without_feature_name_warnings():
            for transformer in self.transformers:
                X = transformed(transformer, X)
            return as_columns(np.asarray(self.classifier.decision_function(X)))

    def linearize(self, X: NDArray) -> Linearization:
        """Outputs (m, k) and a pullback from cotangents (m, k) to gradients (m, d)."""
        pullbacks: list[Pullback] = []
        with _without_feature_name_warnings():
            for transformer, pullback in zip(self.transformers, self.pullbacks, strict=True):
                pullbacks.append(partial(pullback, X))
                X = transformed(transformer, X)
            outputs, pullback_of_outputs = _linearize(self.classifier, X)
        pullbacks.append(pullback_of_outputs)

        def pull_back(cotangents: NDArray) -> NDArray:
            with _without_feature_name_warnings():
                for pullback in reversed(pullbacks):
                    cotangents = pullback(cotangents)
            return cotangents

        return outputs, pull_back


def as_differentiable(estimator: Any) -> DifferentiableModel:
    """View of a fitted classifier, pipeline or search as a `DifferentiableModel`.

    Raises
    ------
    NotFittedError
        If it is a scikit-learn estimator that is not fitted.
    TypeError
        If it is a regressor, it has no input gradient, or a step in front of it has none.
    """
    check_classifies(estimator)
    if hasattr(estimator, "__sklearn_tags__"):
        check_is_fitted(estimator)
    steps: list[tuple[str, Any]] = []
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, Pipeline):
            steps += _flattened(estimator.steps[:-1])
            estimator = estimator.steps[-1][1]
        else:
            break
    if not isinstance(estimator, DifferentiableClassifier):
        needed = ("decision_function", "input_vjp", "classes_")
        missing = [name for name in needed if not hasattr(estimator, name)]
        raise TypeError(
            f"estimator={_shown(estimator)} has no {' and no '.join(missing)}; attack an "
            "estimator of skntk, or any object with decision_function(X), input_vjp(X, cotangents) "
            "and classes_ (see skntk.attacks.DifferentiableClassifier), or attack it without "
            "gradients, method='square'."
        )
    return DifferentiableModel(estimator, steps)


def _shown(estimator: Any) -> str:
    """Its representation where that is short; none of all parts of a large one."""
    text = repr(estimator)
    return text if len(text) <= 60 else f"{type(estimator).__name__}(...)"


def _flattened(steps: list[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield the steps that transform, with nested pipelines expanded."""
    for name, step in steps:
        if isinstance(step, Pipeline):
            yield from _flattened(step.steps)
        elif step is not None and step != "passthrough":
            yield name, step


def _step_pullback(transformer: Any, name: str) -> Callable[[NDArray, NDArray], NDArray]:
    """Gradient with respect to a step's input X, from X and the cotangents of its output."""
    if hasattr(transformer, "transform_vjp"):
        return transformer.transform_vjp
    return _OfGradientAlone(affine_pullback(transformer, name))


class _OfGradientAlone:
    """The pullback of an affine step, which does not depend on its input."""

    def __init__(self, pullback: Pullback):
        self.pullback = pullback
        self.frozen = getattr(pullback, "frozen", ())

    def __call__(self, X: NDArray, gradient: NDArray) -> NDArray:
        return self.pullback(gradient)


def _linearize(classifier: Any, X: NDArray) -> tuple[NDArray, Pullback]:
    if hasattr(classifier, "linearize"):
        return classifier.linearize(X)
    outputs = np.asarray(classifier.decision_function(X))

    def pullback(cotangents: NDArray) -> NDArray:
        return np.asarray(classifier.input_vjp(X, cotangents.reshape(outputs.shape)))

    return as_columns(outputs), pullback


def _without_feature_name_warnings() -> warnings.catch_warnings:
    """Ignore warnings about missing feature names, which were checked on the user's input."""
    context = warnings.catch_warnings(action="ignore", category=UserWarning)
    return context
