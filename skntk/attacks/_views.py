"""Views of a fitted classifier as a function of arrays that can be differentiated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, singledispatch
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .._utils.showing import shown
from .._utils.targets import OutputClassifierMixin, as_columns
from ._combinations import Combination, softmax
from ._composites import FrozenPart, StepPullback, step_pullback, transformed

__all__ = [
    "Combined",
    "Composed",
    "DifferentiableClassifier",
    "Inputs",
    "Linearization",
    "Method",
    "OfColumns",
    "Piped",
    "Refusal",
    "View",
    "known_view",
    "view",
]

#: Maps cotangents of outputs to the gradient with respect to inputs.
Pullback = Callable[[NDArray], NDArray]

#: Outputs at some inputs, and their pullback.
Linearization = tuple[NDArray, Pullback]

#: What is differentiated: the outputs by which it predicts, those of `decision_function`, or the
#: logarithms of `predict_proba`.
Method = Literal["predict", "decision_function", "predict_proba"]

#: A part that cannot be differentiated, and which columns of the input its own depend on.
Frozen = list[tuple[FrozenPart, NDArray]]


@runtime_checkable
class DifferentiableClassifier(Protocol):
    """Protocol that attacks and metrics require of a model; every classifier here implements it.

    Any class with `classes_`, `decision_function` and `input_vjp` can be attacked; it need not
    be a scikit-learn estimator. If it also has a method ``linearize(X)``, which returns the
    outputs (m, k) and a function from cotangents (m, k) to gradients (m, d), that is used to
    compute both together.

    In a `Pipeline`, steps in front of such a classifier must be affine ones that are known here,
    or have a method ``pullback(gradient)`` if they are affine, or ``transform_vjp(X, cotangents)``,
    the gradient (m, d) of the transformed columns weighted by cotangents. A `FunctionTransformer`
    of a JAX function of rows is differentiated by JAX.

    scikit-learn's linear classifiers can be attacked as well, and its `VotingClassifier` (soft),
    `BaggingClassifier`, `CalibratedClassifierCV` (sigmoid or temperature), `OneVsRestClassifier`,
    `StackingClassifier`, threshold classifiers and searches, of members that can. What predicts by
    probabilities p is attacked by the logits log p, whose cross-entropy is that of p.

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


class View(Protocol):
    """A function from inputs (m, d) to outputs (m, k), with its pullback."""

    @property
    def frozen(self) -> Frozen:
        """Parts of it without a gradient."""

    def outputs(self, X: NDArray) -> NDArray:
        """Outputs (m, k)."""

    def linearize(self, X: NDArray) -> Linearization:
        """Outputs (m, k) and a pullback from cotangents (m, k) to gradients (m, d)."""


class Refusal(TypeError):
    """An estimator that cannot be differentiated, and the reason, as the end of a sentence."""

    def __init__(self, estimator: Any, reason: str):
        super().__init__(f"{shown(estimator, 60)} {reason}")
        self.estimator, self.reason = estimator, reason


def view(estimator: Any, method: Method = "predict") -> View:
    """View of a fitted classifier.

    Raises
    ------
    TypeError
        If it, or something within it, cannot be differentiated.
    """
    if hasattr(estimator, "best_estimator_"):
        return view(estimator.best_estimator_, method)
    if not isinstance(estimator, DifferentiableClassifier):
        return known_view(estimator, method)
    outputs = OfClassifier(estimator)
    if method != "predict_proba":
        return outputs
    owners = [cls for cls in type(estimator).__mro__ if "predict_proba" in vars(cls)]
    if not owners or owners[0] is not OutputClassifierMixin:
        raise Refusal(estimator, "has no predict_proba that is known to be a softmax")
    return Combined([outputs], softmax())


@singledispatch
def known_view(estimator: Any, method: Method) -> View:
    """View of an estimator of scikit-learn's."""
    needed = ("decision_function", "input_vjp", "classes_")
    missing = [name for name in needed if not hasattr(estimator, name)]
    raise Refusal(estimator, f"has no {' and no '.join(missing)}")


@dataclass(frozen=True)
class OfClassifier:
    """Outputs of a `DifferentiableClassifier`."""

    classifier: Any
    frozen: Any = ()

    def outputs(self, X: NDArray) -> NDArray:
        """Outputs (m, k), with one column for two classes."""
        return as_columns(np.asarray(self.classifier.decision_function(X)))

    def linearize(self, X: NDArray) -> Linearization:
        """Outputs and pullback, together where the classifier computes them so."""
        if hasattr(self.classifier, "linearize"):
            return self.classifier.linearize(X)
        outputs = np.asarray(self.classifier.decision_function(X))

        def pull_back(cotangents: NDArray) -> NDArray:
            return np.asarray(self.classifier.input_vjp(X, cotangents.reshape(outputs.shape)))

        return as_columns(outputs), pull_back


class Piped:
    """A view behind transformers.

    Parameters
    ----------
    steps : list of (str, transformer)
        Transformers applied before it, by name.
    last : View
    """

    def __init__(self, steps: list[tuple[str, Any]], last: View):
        self.last = last
        self.transformers = [step for _, step in steps]
        self.pullbacks: list[StepPullback] = []
        self.frozen: Frozen = []
        for name, step in steps:
            pullback = step_pullback(step, name)
            for part in pullback.frozen:
                rows = np.eye(step.n_features_in_)[part.columns]
                self.frozen.append((part, self._reached_from(rows)))
            self.pullbacks.append(pullback)
        for part, reached in last.frozen:
            self.frozen.append((part, self._reached_from(np.eye(len(reached))[reached])))

    def _reached_from(self, rows: NDArray) -> NDArray:
        """Which columns of the first input those behind the steps so far depend on."""
        for pullback in reversed(self.pullbacks):
            if not pullback.is_affine:
                return np.ones(self.transformers[0].n_features_in_, bool)
            rows = pullback(rows, rows)
        return (rows != 0).any(axis=0)

    def outputs(self, X: NDArray) -> NDArray:
        """Outputs (m, k)."""
        for transformer in self.transformers:
            X = transformed(transformer, X)
        return self.last.outputs(X)

    def linearize(self, X: NDArray) -> Linearization:
        """Outputs and pullback."""
        pullbacks: list[Pullback] = []
        for transformer, pullback in zip(self.transformers, self.pullbacks, strict=True):
            pullbacks.append(partial(pullback, X))
            X = transformed(transformer, X)
        outputs, pullback_of_outputs = self.last.linearize(X)
        pullbacks.append(pullback_of_outputs)

        def pull_back(cotangents: NDArray) -> NDArray:
            for pullback in reversed(pullbacks):
                cotangents = pullback(cotangents)
            return cotangents

        return outputs, pull_back


class Combined:
    """A function of the outputs of views of the same inputs."""

    def __init__(self, members: list[View], combine: Combination):
        self.members, self.combine = members, combine
        self.frozen: Frozen = [part for member in members for part in member.frozen]

    def outputs(self, X: NDArray) -> NDArray:
        """Outputs (m, k)."""
        return self.combine([member.outputs(X) for member in self.members])[0]

    def linearize(self, X: NDArray) -> Linearization:
        """Outputs and pullback, by the chain rule."""
        linearizations = [member.linearize(X) for member in self.members]
        outputs, pullback = self.combine([outputs for outputs, _ in linearizations])

        def pull_back(cotangents: NDArray) -> NDArray:
            parts = zip(linearizations, pullback(cotangents), strict=True)
            return np.sum([pull(part) for (_, pull), part in parts], axis=0)

        return outputs, pull_back


@dataclass(frozen=True)
class Composed:
    """A view of the outputs of another."""

    inner: View
    outer: View

    @property
    def frozen(self) -> Frozen:
        """Parts without a gradient; none behind outputs of classifiers."""
        return self.inner.frozen

    def outputs(self, X: NDArray) -> NDArray:
        """Outputs (m, k)."""
        return self.outer.outputs(self.inner.outputs(X))

    def linearize(self, X: NDArray) -> Linearization:
        """Outputs and pullback."""
        features, pullback = self.inner.linearize(X)
        outputs, pullback_of_outputs = self.outer.linearize(features)
        return outputs, lambda cotangents: pullback(pullback_of_outputs(cotangents))


@dataclass(frozen=True)
class OfColumns:
    """A view of some columns of the inputs, of which one may stand several times."""

    whole: View
    columns: NDArray
    n_features: int

    @property
    def frozen(self) -> Frozen:
        """Parts without a gradient."""
        parts = []
        for part, reached in self.whole.frozen:
            mine = np.zeros(self.n_features, bool)
            mine[self.columns[reached]] = True
            parts.append((part, mine))
        return parts

    def outputs(self, X: NDArray) -> NDArray:
        """Outputs (m, k)."""
        return self.whole.outputs(np.asarray(X)[:, self.columns])

    def linearize(self, X: NDArray) -> Linearization:
        """Outputs and pullback."""
        outputs, pullback = self.whole.linearize(np.asarray(X)[:, self.columns])

        def pull_back(cotangents: NDArray) -> NDArray:
            gradient = pullback(cotangents)
            full = np.zeros((len(gradient), self.n_features), gradient.dtype)
            np.add.at(full.T, self.columns, gradient.T)
            return full

        return outputs, pull_back


@dataclass(frozen=True)
class Inputs:
    """The inputs themselves."""

    frozen: Any = ()

    def outputs(self, X: NDArray) -> NDArray:
        """Return the inputs (m, d)."""
        return np.asarray(X)

    def linearize(self, X: NDArray) -> Linearization:
        """Return the inputs, and the identity."""
        return np.asarray(X), lambda cotangents: cotangents
