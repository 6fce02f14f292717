"""Pullbacks of transformers that are made of others: columns, unions, pipelines, imputers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline

from ._affine import ArrayMap, affine_pullback, known_pullback

__all__ = ["ColumnsPullback", "FrozenPart"]

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
            full[:, columns] += pullback(gradient[:, outputs])
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
    if isinstance(part, str):  # "passthrough"
        return lambda gradient: weight * gradient
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
    probe = np.zeros((1, transformer.n_features_in_))
    parts, start = [], 0
    for name, part in transformer.transformer_list:
        if isinstance(part, str) and part == "drop":
            continue
        width = probe.shape[1] if isinstance(part, str) else _transform(part, probe).shape[1]
        outputs = slice(start, start + width)
        parts.append((outputs, _weighted(part, name, weights.get(name, 1.0))))
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


@known_pullback.register(SimpleImputer)
@known_pullback.register(KNNImputer)
def _complete_rows(imputer: Any) -> ArrayMap | None:
    """Pullback on complete rows, the only ones that are attacked: columns kept, or dropped."""
    missing = imputer.missing_values
    if not (isinstance(missing, float) and np.isnan(missing)):
        return None  # a value that an attack can pass through
    if getattr(imputer, "statistics_", np.zeros(0)).dtype.kind not in "iuf":
        return None  # text
    # An affine map is known from 0 and the axes; this one drops and adds columns in several ways.
    rows = np.eye(imputer.n_features_in_)
    matrix = _transform(imputer, rows) - _transform(imputer, np.zeros((1, len(rows))))
    return lambda gradient: gradient @ matrix.T.astype(gradient.dtype)


def _transform(transformer: Any, X: NDArray) -> NDArray:
    """Transformed rows; scikit-learn's words on names and empty columns were said in `fit`."""
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        return np.asarray(transformer.transform(X))
