"""Pullbacks of steps: of those made of others (columns, unions, pipelines), and of functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial, singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator

# Of all imputers; the iterative one is not there to be imported unless a user enables it.
from sklearn.impute._base import _BaseImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer

from .._utils.optional import import_for
from .._utils.warnings import user_warnings_ignored
from ._affine import ArrayMap, affine_pullback, as_in_sklearn, known_pullback
from ._functions import DifferentiableFunction, derivative_of

__all__ = ["FrozenPart", "StepPullback", "step_pullback", "transformed"]

#: Names of transformers that turn a column into categories, or categories into columns.
_ENCODERS = ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder", "KBinsDiscretizer", "Binarizer")


@dataclass(frozen=True)
class FrozenPart:
    """A part of a `ColumnTransformer` that is not affine: its columns must not be perturbed."""

    name: str
    kind: str
    columns: NDArray

    def message(self, columns: NDArray, n_features: int) -> str:
        """Say which columns of the pipeline's input must stay, and how."""
        reason = "is not known to be affine"
        if self.kind in _ENCODERS:
            reason = "makes categories, whose change a ball cannot express"
        listed = columns.tolist()
        return (
            f"eps is positive in columns {listed}, and their part {self.name!r} ({self.kind}) of "
            f"the ColumnTransformer {reason}; leave them as they are with eps=0 there: "
            f"eps=np.where(np.isin(np.arange({n_features}), {listed}), 0, eps)."
        )


@dataclass(frozen=True)
class StepPullback:
    """Gradient with respect to the input of a step, from that input and its output's cotangents.

    Attributes
    ----------
    function : callable
        From inputs (m, d_in) and cotangents (m, d_out) to gradients (m, d_in).
    is_affine : bool
        Whether it depends on the cotangents alone.
    frozen : tuple of FrozenPart
        Parts of the step that have no gradient; it is nothing in their columns.
    """

    function: Callable[[NDArray, NDArray], NDArray]
    is_affine: bool = True
    frozen: tuple[FrozenPart, ...] = ()

    def __call__(self, X: NDArray, gradient: NDArray) -> NDArray:
        """Map cotangents (m, d_out) at inputs (m, d_in) to gradients (m, d_in)."""
        return self.function(X, gradient)


def step_pullback(transformer: Any, name: str) -> StepPullback:
    """Pullback of a fitted transformer.

    Raises
    ------
    TypeError
        If the transformer has no known gradient; names the pipeline step.
    """
    if hasattr(transformer, "transform_vjp"):
        return StepPullback(transformer.transform_vjp, is_affine=False)
    if not hasattr(transformer, "pullback") and as_in_sklearn(transformer, "transform"):
        found = pullback_at(transformer)
        if found is not None:
            return found
    pullback = affine_pullback(transformer, name)
    return StepPullback(lambda X, gradient: pullback(gradient))


@singledispatch
def pullback_at(transformer: Any) -> StepPullback | None:
    """Pullback of what is made of other steps, or depends on its input; None for all others."""
    return None


@pullback_at.register
def _columns(transformer: ColumnTransformer) -> StepPullback:
    weights = transformer.transformer_weights or {}
    n_features = transformer.n_features_in_
    parts, frozen = [], []
    for name, part, _ in transformer.transformers_:
        outputs = transformer.output_indices_[name]
        if outputs.start == outputs.stop:
            continue
        # Resolved in `fit` from names, masks, slices and functions alike.
        columns = np.asarray(transformer._transformer_to_input_indices[name], dtype=int)
        try:
            pullback = _weighted(part, name, weights.get(name, 1.0))
        except TypeError:
            frozen.append(FrozenPart(name, _kind(part), columns))
        else:
            parts.append((columns, outputs, pullback))

    def pull_back(X: NDArray, gradient: NDArray) -> NDArray:
        full = np.zeros((len(gradient), n_features), gradient.dtype)
        for columns, outputs, pullback in parts:
            # What is affine does not look at its rows, which may be of another number.
            rows = X if pullback.is_affine else np.asarray(X)[:, columns]
            # A part may take a column twice, of which `full[:, columns] +=` would add one only.
            np.add.at(full.T, columns, pullback(rows, gradient[:, outputs]).T)
        return full

    is_affine = all(pullback.is_affine for *_, pullback in parts)
    return StepPullback(pull_back, is_affine, tuple(frozen))


def _kind(part: Any) -> str:
    """Name of a class; of a pipeline, that of its last step."""
    return _kind(part.steps[-1][1]) if isinstance(part, Pipeline) else type(part).__name__


def _weighted(part: Any, name: str, weight: float) -> StepPullback:
    pullback = step_pullback(part, name)
    _refuse_frozen(pullback, name)
    return replace(pullback, function=lambda X, gradient: weight * pullback(X, gradient))


def _refuse_frozen(pullback: StepPullback, name: str) -> None:
    """Raise TypeError for a part that is affine in some of its columns only."""
    for part in pullback.frozen:
        raise TypeError(
            f"Pipeline step {part.name!r} ({part.kind}), within {name!r}, is not affine, or its "
            "columns are out of reach; put its ColumnTransformer in the pipeline itself."
        )


@pullback_at.register
def _union(transformer: FeatureUnion) -> StepPullback:
    weights = transformer.transformer_weights or {}
    kept = [(name, part) for name, part in transformer.transformer_list if part != "drop"]
    parts, start = [], 0
    for name, part in kept:
        pullback_of_part = _weighted(part, name, weights.get(name, 1.0))
        width = _transform(part, np.zeros((1, part.n_features_in_))).shape[1]
        parts.append((slice(start, start + width), pullback_of_part))
        start += width

    def pull_back(X: NDArray, gradient: NDArray) -> NDArray:
        return np.sum([pull(X, gradient[:, outputs]) for outputs, pull in parts], axis=0)

    return StepPullback(pull_back, all(pull.is_affine for _, pull in parts))


@pullback_at.register
def _pipeline(transformer: Pipeline) -> StepPullback:
    steps = [
        (step, _weighted(step, name, 1.0))
        for name, step in transformer.steps
        if step is not None and step != "passthrough"
    ]
    is_affine = all(pull.is_affine for _, pull in steps)

    def pull_back(X: NDArray, gradient: NDArray) -> NDArray:
        inputs = [X]
        for step, _ in steps[:-1]:
            inputs.append(inputs[-1] if is_affine else transformed(step, inputs[-1]))
        for rows, (_, pull) in zip(reversed(inputs), reversed(steps), strict=False):
            gradient = pull(rows, gradient)
        return gradient

    return StepPullback(pull_back, is_affine)


@pullback_at.register
def _function(transformer: FunctionTransformer) -> StepPullback | None:
    """Pullback of a function that a library can differentiate."""
    function = transformer.func
    if function is None or hasattr(function, "pullback"):
        return None
    if transformer.kw_args:
        function = partial(function, **transformer.kw_args)
    derivative = derivative_of(function, transformer.n_features_in_)
    if derivative is None:
        return None

    def pull_back(X: NDArray, gradient: NDArray) -> NDArray:
        X = np.asarray(X)
        _check_same(np.asarray(transformer.transform(X)), derivative, X)
        return derivative.vjp(X, gradient)

    return StepPullback(pull_back, is_affine=False)


def _check_same(given: NDArray, derivative: DifferentiableFunction, X: NDArray) -> None:
    """Raise TypeError unless a function is what was differentiated, a row at a time."""
    tolerance = np.sqrt(np.finfo(np.float32).eps)  # JAX itself computes in float32 by default
    for rows in (slice(None), slice(1)):
        if not np.allclose(given[rows], derivative.outputs(X[rows]), tolerance, tolerance):
            raise TypeError(
                "FunctionTransformer's func gives other values when JAX traces it, or when a row "
                "is given alone, so that its gradient is not known; make it a JAX function of "
                "rows, or attack without gradients, method='square'."
            )


@known_pullback.register(_BaseImputer)
@known_pullback.register(MissingIndicator)
def _complete_rows(imputer: Any) -> ArrayMap | None:
    """Pullback on complete rows, the only ones that are attacked: columns kept, or dropped."""
    missing = imputer.missing_values
    if not (isinstance(missing, float) and np.isnan(missing)):
        return None  # a value that an attack can pass through
    # An affine map is known from 0 and the axes; this one drops and adds columns in several ways.
    rows = np.eye(imputer.n_features_in_)
    matrix = _transform(imputer, rows) - _transform(imputer, np.zeros((1, len(rows))))
    return lambda gradient: gradient @ matrix.T.astype(gradient.dtype)


def _transform(transformer: Any, X: NDArray) -> NDArray:
    """Transformed rows; scikit-learn's words on names and empty columns were said in `fit`."""
    with user_warnings_ignored():
        return np.asarray(transformed(transformer, X), dtype=float)


def transformed(transformer: Any, X: NDArray) -> NDArray:
    """Transform rows, under the names of their columns where these choose among them."""
    if isinstance(X, np.ndarray) and (names := _names_of_columns(transformer)) is not None:
        # Fitted on a DataFrame, so that the library is there.
        pandas = import_for("A ColumnTransformer of named columns", "pandas", extra="data")
        X = pandas.DataFrame(X, columns=names)
    return transformer.transform(X)


def _names_of_columns(transformer: Any) -> NDArray | None:
    """Names by which a transformer, or one in it that sees the same columns, chooses."""
    if isinstance(transformer, ColumnTransformer):
        return getattr(transformer, "feature_names_in_", None)
    parts: list[Any] = []
    if isinstance(transformer, FeatureUnion):
        parts = [part for _, part in transformer.transformer_list]
    elif isinstance(transformer, Pipeline):
        parts = [transformer.steps[0][1]]
    names = map(_names_of_columns, parts)
    return next((found for found in names if found is not None), None)
