"""Pullbacks of affine transformers, so that an attack reaches a pipeline's own input.

For a step ``x -> A x + b`` the pullback maps gradients (m, d_out) to (m, d_in) by A^T.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD
from sklearn.feature_selection import SelectorMixin
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)
from sklearn.random_projection import BaseRandomProjection

__all__ = ["AffineMap", "affine_pullback"]

ArrayMap = Callable[[NDArray], NDArray]


class AffineMap:
    """The function x -> x A^T + b, for a `FunctionTransformer` an attack can go through.

    Parameters
    ----------
    matrix : array-like of shape (d_out, d_in) or (d_in,)
        A; a vector is a diagonal matrix.
    offset : array-like of shape (d_out,) or float, default=0.0
        b.

    Examples
    --------
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from skntk import AffineMap
    >>> to_unit = FunctionTransformer(AffineMap([1 / 16, 1 / 16]))
    >>> to_unit.fit_transform([[8.0, 16.0]])
    array([[0.5, 1. ]])
    """

    def __init__(self, matrix: ArrayLike, offset: ArrayLike = 0.0):
        self.matrix = np.asarray(matrix)
        self.offset = np.asarray(offset)
        if self.matrix.ndim not in (1, 2):
            raise ValueError(
                f"matrix has {self.matrix.ndim} dimensions; give (d_out, d_in), or (d_in,) for "
                "a diagonal matrix."
            )

    def __call__(self, X: ArrayLike) -> NDArray:
        """Apply the map to rows."""
        X = np.asarray(X)
        product = X * self.matrix if self.matrix.ndim == 1 else X @ self.matrix.T
        return product + self.offset

    def pullback(self, gradient: NDArray) -> NDArray:
        """Apply the transpose of the matrix to rows."""
        return gradient * self.matrix if self.matrix.ndim == 1 else gradient @ self.matrix


def affine_pullback(transformer: Any, name: str) -> ArrayMap:
    """Pullback of a fitted transformer.

    A transformer of your own takes part by having a method ``pullback(gradient)``.

    Raises
    ------
    TypeError
        If the transformer is not known to be affine; names the pipeline step.
    """
    pullback = getattr(transformer, "pullback", None)
    if pullback is None:
        pullback = _known_pullback(transformer)
    if pullback is None:
        raise TypeError(
            f"Pipeline step {name!r} ({transformer!r}) is not known to be affine; use "
            "StandardScaler, MinMaxScaler (without clip), MaxAbsScaler, RobustScaler, PCA, "
            "TruncatedSVD, a selector, a random projection, FunctionTransformer(AffineMap(...)), "
            "or give the transformer a method pullback(gradient)."
        )
    return pullback


@singledispatch
def _known_pullback(transformer: Any) -> ArrayMap | None:
    return None


@_known_pullback.register(StandardScaler)
@_known_pullback.register(MaxAbsScaler)
@_known_pullback.register(RobustScaler)
def _divide_by_scale(transformer: Any) -> ArrayMap:
    # scale_ is None when the scaler was told not to scale.
    scale = 1.0 if transformer.scale_ is None else transformer.scale_
    return lambda gradient: gradient / scale


@_known_pullback.register
def _multiply_by_scale(transformer: MinMaxScaler) -> ArrayMap | None:
    return None if transformer.clip else lambda gradient: gradient * transformer.scale_


@_known_pullback.register(PCA)
@_known_pullback.register(IncrementalPCA)
def _principal_components(transformer: Any) -> ArrayMap:
    scale = np.sqrt(transformer.explained_variance_) if transformer.whiten else 1.0
    return lambda gradient: (gradient / scale) @ transformer.components_


@_known_pullback.register(TruncatedSVD)
def _components(transformer: Any) -> ArrayMap:
    return lambda gradient: gradient @ transformer.components_


@_known_pullback.register
def _projection(transformer: BaseRandomProjection) -> ArrayMap:
    return lambda gradient: np.asarray(gradient @ transformer.components_)


@_known_pullback.register
def _selection(transformer: SelectorMixin) -> ArrayMap | None:
    # Putting zeros where columns were dropped is the transpose of dropping them.
    return getattr(transformer, "inverse_transform", None)


@_known_pullback.register
def _declared_function(transformer: FunctionTransformer) -> ArrayMap | None:
    if transformer.func is None:
        return lambda gradient: gradient
    return getattr(transformer.func, "pullback", None)
