"""Preconditioned conjugate gradients for (K + alpha I) A = Y, given products with K alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

__all__ = ["ConjugateGradients", "conjugate_gradients", "warn_not_converged"]

Operator = Callable[[NDArray], NDArray]


@dataclass
class ConjugateGradients:
    """Where the iteration stands.

    Attributes
    ----------
    coefficients : ndarray of shape (n, k)
    residual : float
        Largest over the columns of |Y - (K + alpha I) A| / |Y|.
    n_iter : int
        Products with K so far.
    """

    coefficients: NDArray
    residual: float
    n_iter: int


def conjugate_gradients(
    product: Operator,
    targets: NDArray,
    alpha: float = 0.0,
    *,
    precondition: Operator | None = None,
    tol: float = 1e-6,
    max_iter: int = 1000,
    tell: Callable[[], Any] = lambda: None,
) -> ConjugateGradients:
    """Iterate until every column of the residual is small.

    All columns share the products with K; each has its own steps.

    Parameters
    ----------
    product : callable
        V (n, k) -> K V.
    targets : ndarray of shape (n, k)
    alpha : float, default=0
        Ridge.
    precondition : callable, default=None
        Approximates the inverse, V (n, k) -> V (n, k), symmetric and positive.
    tol : float, default=1e-6
        Residual, relative to the targets, to stop at.
    max_iter : int, default=1000
        Largest number of iterations.
    tell : callable, default=None
        Called after every iteration.

    Returns
    -------
    state : ConjugateGradients
    """
    norms = _norms(targets)
    scale = np.where(norms > 0, norms, 1)
    shift = targets.dtype.type(alpha)
    state = ConjugateGradients(np.zeros_like(targets), 1.0, 0)
    residual = targets.copy()
    improves = True
    while state.residual > tol and state.n_iter < max_iter and improves:
        before = state.residual
        direction = preconditioned = precondition(residual) if precondition else residual
        energy = _dots(residual, preconditioned)
        while state.residual > tol and state.n_iter < max_iter:
            image = product(direction) + shift * direction
            step = _divide(energy, _dots(direction, image)).astype(targets.dtype)
            state.coefficients += step * direction
            residual = residual - step * image
            state.n_iter += 1
            state.residual = float((_norms(residual) / scale).max())
            preconditioned = precondition(residual) if precondition else residual
            previous, energy = energy, _dots(residual, preconditioned)
            direction = preconditioned + _divide(energy, previous).astype(targets.dtype) * direction
            tell()
        # By rounding, the residual carried along drifts from the true one: go on from that.
        residual = targets - product(state.coefficients) - shift * state.coefficients
        state.residual = float((_norms(residual) / scale).max())
        improves = state.residual < before / 2
    return state


def warn_not_converged(state: ConjugateGradients, tol: float, *, stacklevel: int = 3) -> None:
    """Warn if the iteration stopped short."""
    if state.residual <= tol:
        return
    warnings.warn(
        f"solver='cg' stopped after {state.n_iter} iterations at a relative residual of "
        f"{state.residual:.1e}, above tol={tol:.1e}. Likely causes: (a) max_iter is too small, "
        "(b) the Gram matrix is ill-conditioned: set alpha, or pass float64 input. The "
        "predictions are those of a network stopped early.",
        ConvergenceWarning,
        stacklevel=stacklevel,
    )


def _dots(left: NDArray, right: NDArray) -> NDArray:
    # In float64: the rounding of these is what slows the iteration down.
    return np.einsum("ik,ik->k", left, right, dtype=np.float64)


def _norms(vectors: NDArray) -> Any:
    return np.sqrt(_dots(vectors, vectors))


def _divide(numerator: NDArray, denominator: NDArray) -> NDArray:
    """Quotient, 0 for columns that have converged to nothing."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
