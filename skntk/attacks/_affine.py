"""Pullbacks of affine transformers, so that an attack reaches a pipeline's own input.

For a step ``x -> A x + b`` the pullback maps gradients (m, d_out) to (m, d_in) by A^T.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import FeatureAgglomeration
from sklearn.cross_decomposition import CCA, PLSSVD, PLSCanonical, PLSRegression
from sklearn.decomposition import (
    PCA,
    FactorAnalysis,
    FastICA,
    IncrementalPCA,
    TruncatedSVD,
)
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import SelectorMixin
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)
from sklearn.random_projection import BaseRandomProjection

__all__ = ["AffineMap", "ArrayMap", "affine_pullback", "as_in_sklearn", "known_pullback"]

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
        self.matrix = _as_finite("matrix", matrix)
        self.offset = _as_finite("offset", offset)
        if self.matrix.ndim not in (1, 2):
            raise ValueError(
                f"matrix has {self.matrix.ndim} dimensions; give (d_out, d_in), or (d_in,) for "
                "a diagonal matrix."
            )
        if self.offset.shape not in ((), (1,), self.matrix.shape[:1]):
            raise ValueError(
                f"offset has shape {self.offset.shape}; give a number, or one value for each of "
                f"the {len(self.matrix)} rows of the matrix."
            )

    def __call__(self, X: ArrayLike) -> NDArray:
        """Apply the map to rows."""
        X = np.asarray(X)
        X = X if X.dtype == np.float32 else X.astype(np.float64)
        matrix, offset = self.matrix.astype(X.dtype), self.offset.astype(X.dtype)
        product = X * matrix if matrix.ndim == 1 else X @ matrix.T
        return product + offset

    def pullback(self, gradient: NDArray) -> NDArray:
        """Apply the transpose of the matrix to rows."""
        return gradient * self.matrix if self.matrix.ndim == 1 else gradient @ self.matrix


def _as_finite(name: str, value: ArrayLike) -> NDArray:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be numeric and real, got an array of {array.dtype}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)][0]}.")
    return array


def affine_pullback(transformer: Any, name: str) -> ArrayMap:
    """Pullback of a fitted transformer.

    A transformer of your own takes part by having a method ``pullback(gradient)``.

    Raises
    ------
    TypeError
        If the transformer is not known to be affine; names the pipeline step.
    """
    pullback = getattr(transformer, "pullback", None)
    if pullback is None and as_in_sklearn(transformer, "transform"):
        pullback = known_pullback(transformer)
    if pullback is None:
        raise TypeError(
            f"Pipeline step {name!r} ({type(transformer).__name__}) is not known to be affine; use "
            "StandardScaler, MinMaxScaler (without clip), MaxAbsScaler, RobustScaler, PCA, "
            "TruncatedSVD, FactorAnalysis, FastICA, PLS, imputers, ColumnTransformer or "
            "FeatureUnion of these, a selector, a random projection, "
            "FunctionTransformer(AffineMap(...)) or of a JAX function of rows, "
            "or give the transformer a method pullback(gradient), or transform_vjp(X, cotangents) "
            "if it is not affine, or attack without gradients, method='square'."
        )
    return pullback


def as_in_sklearn(estimator: Any, method: str) -> bool:
    """Whether a method is scikit-learn's own: a subclass may have replaced it."""
    owner = next((cls for cls in type(estimator).__mro__ if method in vars(cls)), None)
    return owner is not None and owner.__module__.partition(".")[0] == "sklearn"


@singledispatch
def known_pullback(transformer: Any) -> ArrayMap | None:
    """Pullback of a transformer of scikit-learn's; None if it is not known to be affine."""
    return None


@known_pullback.register(StandardScaler)
@known_pullback.register(MaxAbsScaler)
@known_pullback.register(RobustScaler)
def _divide_by_scale(transformer: Any) -> ArrayMap | None:
    if getattr(transformer, "clip", False):
        return None
    # scale_ is None when the scaler was told not to scale.
    scale = 1.0 if transformer.scale_ is None else transformer.scale_
    return lambda gradient: gradient / scale


@known_pullback.register
def _multiply_by_scale(transformer: MinMaxScaler) -> ArrayMap | None:
    return None if transformer.clip else lambda gradient: gradient * transformer.scale_


@known_pullback.register(PCA)
@known_pullback.register(IncrementalPCA)
def _principal_components(transformer: Any) -> ArrayMap:
    scale: Any = 1.0
    if transformer.whiten:
        # scikit-learn, too, divides components without variance by the machine epsilon.
        deviation = np.sqrt(transformer.explained_variance_)
        scale = np.maximum(deviation, np.finfo(deviation.dtype).eps)
    return lambda gradient: (gradient / scale) @ transformer.components_


@known_pullback.register
def _latent_means(transformer: FactorAnalysis) -> ArrayMap:
    # E[z | x] = (I + W Psi^-1 W^T)^-1 W Psi^-1 (x - mu), for loadings W (Bishop 2006, Eq. 12.66)
    scaled = transformer.components_ / transformer.noise_variance_
    precision = np.eye(len(scaled)) + scaled @ transformer.components_.T
    matrix = np.linalg.solve(precision, scaled)
    return lambda gradient: gradient @ matrix


@known_pullback.register(PLSRegression)
@known_pullback.register(PLSCanonical)
@known_pullback.register(CCA)
@known_pullback.register(PLSSVD)
@known_pullback.register(LinearDiscriminantAnalysis)
@known_pullback.register(NeighborhoodComponentsAnalysis)
def _by_its_axes(transformer: Any) -> ArrayMap:
    # An affine map is known from 0 and the axes; of these, the matrix itself is not stored.
    rows = np.eye(transformer.n_features_in_)
    matrix = np.asarray(transformer.transform(rows)) - np.asarray(transformer.transform(0 * rows))
    return lambda gradient: gradient @ matrix.T


@known_pullback.register
def _agglomeration(transformer: FeatureAgglomeration) -> ArrayMap | None:
    if transformer.pooling_func is not np.mean:
        return None
    return _by_its_axes(transformer)


@known_pullback.register(TruncatedSVD)
@known_pullback.register(FastICA)
def _components(transformer: Any) -> ArrayMap:
    return lambda gradient: gradient @ transformer.components_


@known_pullback.register
def _projection(transformer: BaseRandomProjection) -> ArrayMap:
    return lambda gradient: np.asarray(gradient @ transformer.components_)


@known_pullback.register
def _selection(transformer: SelectorMixin) -> ArrayMap | None:
    if not hasattr(transformer, "get_support"):
        return None
    support = transformer.get_support()

    def pullback(gradient: NDArray) -> NDArray:
        # Putting zeros where columns were dropped is the transpose of dropping them.
        # `inverse_transform` does it too, but refuses what is not finite.
        full = np.zeros((len(gradient), len(support)), gradient.dtype)
        full[:, support] = gradient
        return full

    return pullback


@known_pullback.register
def _declared_function(transformer: FunctionTransformer) -> ArrayMap | None:
    if transformer.func is None:
        return lambda gradient: gradient
    return getattr(transformer.func, "pullback", None)
