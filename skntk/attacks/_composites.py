"""Pullbacks of transformers that are made of others: columns, unions, pipelines, imputers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator

# Of all imputers; the iterative one is not there to be imported unless a user enables it.
from sklearn.impute._base import _BaseImputer
from sklearn.pipeline import FeatureUnion, Pipeline

from .._utils.optional import import_for
from ._affine import ArrayMap, affine_pullback, known_pullback

__all__ = ["ColumnsPullback", "FrozenPart", "transformed"]

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
class ColumnsPullback:
    """Pullback of a `ColumnTransformer`: a sum over its parts, nothing from frozen ones."""

    n_features: int
    parts: list[tuple[NDArray, slice, ArrayMap]]
    frozen: list[FrozenPart]

    def __call__(self, gradient: NDArray) -> NDArray:
        """Map gradients (m, d_out) to (m, d_in)."""
        full = np.zeros((len(gradient), self.n_features), gradient.dtype)
        for columns, outputs, pullback in self.parts:
            # A part may take a column twice, of which `full[:, columns] +=` would add one only.
            np.add.at(full.T, columns, pullback(gradient[:, outputs]).T)
        return full


@known_pullback.register
def _columns(transformer: ColumnTransformer) -> ColumnsPullback:
    weights = transformer.transformer_weights or {}
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
    return ColumnsPullback(transformer.n_features_in_, parts, frozen)


def _kind(part: Any) -> str:
    """Name of a class; of a pipeline, that of its last step."""
    return _kind(part.steps[-1][1]) if isinstance(part, Pipeline) else type(part).__name__


def _weighted(part: Any, name: str, weight: float) -> ArrayMap:
    pullback = affine_pullback(part, name)
    _refuse_frozen(pullback, name)
    return lambda gradient: weight * pullback(gradient)


def _refuse_frozen(pullback: Any, name: str) -> None:
    """Raise TypeError for a part that is affine in some of its columns only."""
    for part in getattr(pullback, "frozen", ()):
        raise TypeError(
            f"Pipeline step {part.name!r} ({part.kind}), within {name!r}, is not affine, or its "
            "columns are out of reach; put its ColumnTransformer in the pipeline itself."
        )


@known_pullback.register
def _union(transformer: FeatureUnion) -> ArrayMap:
    weights = transformer.transformer_weights or {}
    kept = [(name, part) for name, part in transformer.transformer_list if part != "drop"]
    parts, start = [], 0
    for name, part in kept:
        pullback_of_part = _weighted(part, name, weights.get(name, 1.0))
        width = _transform(part, np.zeros((1, part.n_features_in_))).shape[1]
        parts.append((slice(start, start + width), pullback_of_part))
        start += width

    def pullback(gradient: NDArray) -> NDArray:
        return np.sum([pull(gradient[:, outputs]) for outputs, pull in parts], axis=0)

    return pullback


@known_pullback.register
def _pipeline(transformer: Pipeline) -> ArrayMap:
    pullbacks = [
        _weighted(step, name, 1.0)
        for name, step in transformer.steps
        if step is not None and step != "passthrough"
    ]

    def pullback(gradient: NDArray) -> NDArray:
        for pull in reversed(pullbacks):
            gradient = pull(gradient)
        return gradient

    return pullback


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
    with warnings.catch_warnings(action="ignore", category=UserWarning):
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
