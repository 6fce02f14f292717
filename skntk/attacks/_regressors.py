"""Regressors as victims: real outputs without classes, in the units of the targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)

from .._utils.targets import as_columns, real_targets
from ._affine import ArrayMap, known_pullback
from ._views import Linearization, Method, View, known_view, view

__all__ = ["check_targets"]

#: Transformers of scikit-learn's whose inverses are affine as well.
_INVERTIBLE = (StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, PCA)


@dataclass(frozen=True)
class OfRegressor:
    """Outputs of a regressor with `predict` and `input_vjp`; `linearize` is used if it has one."""

    regressor: Any
    frozen: Any = ()

    def outputs(self, X: NDArray) -> NDArray:
        """Outputs (m, k)."""
        return as_columns(np.asarray(self.regressor.predict(X)))

    def linearize(self, X: NDArray) -> Linearization:
        """Outputs (m, k) and a pullback from cotangents (m, k) to gradients (m, d)."""
        if hasattr(self.regressor, "linearize"):
            outputs, pullback = self.regressor.linearize(X)
        else:
            outputs = np.asarray(self.regressor.predict(X))
            shape = outputs.shape

            def pullback(cotangents: NDArray) -> NDArray:
                return np.asarray(self.regressor.input_vjp(X, cotangents.reshape(shape)))

        dtype = outputs.dtype
        return as_columns(outputs), lambda cotangents: pullback(
            cotangents.astype(dtype, copy=False)
        )


@dataclass(frozen=True)
class InUnitsOfTargets:
    """Outputs that go back through a transformer of targets."""

    inner: View
    transformer: Any
    pullback: ArrayMap

    @property
    def frozen(self) -> Any:
        """Parts without a gradient."""
        return self.inner.frozen

    def outputs(self, X: NDArray) -> NDArray:
        """Outputs (m, k)."""
        return self._back(self.inner.outputs(X))

    def linearize(self, X: NDArray) -> Linearization:
        """Outputs and pullback."""
        outputs, pullback = self.inner.linearize(X)
        return self._back(outputs), lambda cotangents: pullback(self.pullback(cotangents))

    def _back(self, outputs: NDArray) -> NDArray:
        return as_columns(np.asarray(self.transformer.inverse_transform(outputs)))


@known_view.register
def _transformed_targets(regressor: TransformedTargetRegressor, method: Method) -> View:
    pullback = _inverse_pullback(regressor.transformer_)
    return InUnitsOfTargets(view(regressor.regressor_, method), regressor.transformer_, pullback)


@known_view.register
def _regressor(regressor: RegressorMixin, method: Method) -> View:
    _check_regresses(regressor, "predict", "input_vjp")
    return OfRegressor(regressor)


def _check_regresses(regressor: Any, *needed: str) -> None:
    """Raise TypeError unless a regressor has what an attack needs."""
    missing = [name for name in needed if not hasattr(regressor, name)]
    if missing:
        raise TypeError(
            f"estimator={type(regressor).__name__} is a regressor that has no "
            f"{' and no '.join(missing)}; attack NTKRegressor, or any regressor with predict(X) "
            "and input_vjp(X, cotangents), or attack it without gradients, method='square'."
        )


def check_targets(y: Any, n_outputs: int) -> NDArray:
    """Values (n, k) that a regressor with k outputs should give; raise if they are none."""
    y = np.asarray(y)
    if y.ndim not in (1, 2) or as_columns(y).shape[1] != n_outputs:
        raise ValueError(
            f"y has shape {y.shape} and the regressor has {n_outputs} outputs; give one value for "
            "each output of each sample."
        )
    targets = real_targets(y, np.float64) if len(y) else as_columns(y)
    if not np.isfinite(targets).all():
        raise ValueError("y holds NaN or infinity; give finite targets.")
    return targets


def _inverse_pullback(transformer: Any) -> ArrayMap:
    """Pullback of the inverse of a fitted transformer of targets.

    Raises
    ------
    TypeError
        If the inverse is not known to be affine.
    """
    if isinstance(transformer, FunctionTransformer):
        inverse = transformer.inverse_func
        if transformer.func is None and inverse is None:
            return lambda cotangents: cotangents
        if hasattr(inverse, "pullback"):
            return inverse.pullback
    # Exact types: a subclass may have another inverse.
    elif type(transformer) in _INVERTIBLE and known_pullback(transformer) is not None:
        return _measured_pullback(transformer)
    raise TypeError(
        f"TransformedTargetRegressor transforms targets by {type(transformer).__name__}, whose "
        "inverse is not known to be affine; use StandardScaler, MinMaxScaler (without clip), "
        "MaxAbsScaler, RobustScaler, PCA or FunctionTransformer(AffineMap(...), "
        "inverse_func=AffineMap(...)), or attack it without gradients, method='square'."
    )


def _measured_pullback(transformer: Any) -> ArrayMap:
    """An affine map is known from 0 and the axes."""
    n_columns = transformer.transform(np.zeros((1, transformer.n_features_in_))).shape[1]
    origin = transformer.inverse_transform(np.zeros((1, n_columns)))
    matrix = transformer.inverse_transform(np.eye(n_columns)) - origin
    return lambda cotangents: cotangents @ matrix.T.astype(cotangents.dtype)
