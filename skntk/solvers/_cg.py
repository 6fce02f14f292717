"""Preconditioned conjugate gradients for (K + alpha I) A = Y, given products with K alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from ._interface import Options, Solution, Solver, System
from ._preconditioner import make_preconditioner, preconditioner_rank

__all__ = ["CG", "ConjugateGradients", "conjugate_gradients", "not_converged"]

#: A residual that grows to so many times its smallest value will not come back.
_DIVERGED = 1e3

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
    on_step: Callable[[], Any] = lambda: None,
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
    on_step : callable, optional
        Called after every iteration.

    Returns
    -------
    state : ConjugateGradients
    """
    norms = _norms(targets)
    scale = np.where(norms > 0, norms, 1)
    shift = targets.dtype.type(alpha)

    def apply(vectors: NDArray) -> NDArray:
        return product(vectors) + shift * vectors

    best = ConjugateGradients(np.zeros_like(targets), 1.0, 0)
    while best.residual > tol and best.n_iter < max_iter:
        before = best.residual
        state = _descend(apply, targets, scale, best, precondition, tol, max_iter, on_step)
        # By rounding, the residual carried along drifts from the true one: go on from that.
        state.residual = _largest(targets - apply(state.coefficients), scale)
        if state.residual < before:
            best = state
        best.n_iter = state.n_iter
        if not state.residual < before / 2:
            break
    return best


def _descend(
    apply: Operator,
    targets: NDArray,
    scale: NDArray,
    start: ConjugateGradients,
    precondition: Operator | None,
    tol: float,
    max_iter: int,
    on_step: Callable[[], Any],
) -> ConjugateGradients:
    """Iterate from `start` and give the iterate of smallest residual."""
    coefficients, n_iter = start.coefficients.copy(), start.n_iter
    best = ConjugateGradients(start.coefficients, start.residual, n_iter)
    residual = targets - apply(coefficients) if n_iter else targets.copy()
    direction = preconditioned = precondition(residual) if precondition else residual
    energy = _dots(residual, preconditioned)
    while best.residual > tol and n_iter < max_iter:
        image = apply(direction)
        step = _divide(energy, _dots(direction, image)).astype(targets.dtype)
        coefficients += step * direction
        residual = residual - step * image
        n_iter += 1
        on_step()
        largest = _largest(residual, scale)
        if largest < best.residual:
            best = ConjugateGradients(coefficients.copy(), largest, n_iter)
        # Rounding has taken over, or the matrix has no positive curvature left to go along.
        if not largest < _DIVERGED * best.residual or not step.any():
            break
        preconditioned = precondition(residual) if precondition else residual
        previous, energy = energy, _dots(residual, preconditioned)
        direction = preconditioned + _divide(energy, previous).astype(targets.dtype) * direction
    best.n_iter = n_iter
    return best


def not_converged(state: ConjugateGradients, tol: float) -> ConvergenceWarning | None:
    """Warning that the iteration stopped short; None if it did not."""
    if state.residual <= tol:
        return None
    return ConvergenceWarning(
        f"solver='cg' stopped after {state.n_iter} iterations at a relative residual of "
        f"{state.residual:.1e}, above tol={tol:.1e}. Likely causes: (a) max_iter is too small, "
        "(b) the Gram matrix is ill-conditioned: set alpha, or pass float64 input. The "
        "iterate of smallest residual is kept."
    )


def _dots(left: NDArray, right: NDArray) -> NDArray:
    # In float64: the rounding of these is what slows the iteration down.
    return np.einsum("ik,ik->k", left, right, dtype=np.float64)


def _norms(vectors: NDArray) -> Any:
    return np.sqrt(_dots(vectors, vectors))


def _largest(residual: NDArray, scale: NDArray) -> float:
    return float((_norms(residual) / scale).max())


def _divide(numerator: NDArray, denominator: NDArray) -> NDArray:
    """Quotient, 0 for columns that have converged to nothing."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _solve(system: System, options: Options) -> Solution:
    tol = options.tol
    if tol is None:
        tol = float(np.sqrt(np.finfo(system.targets.dtype).eps))
    state = conjugate_gradients(
        system.matrix.__matmul__,
        system.targets,
        system.alpha,
        precondition=make_preconditioner(system.matrix, system.alpha, options.random_state),
        tol=tol,
        max_iter=options.max_iter,
        on_step=options.on_step,
    )
    return Solution(
        state.coefficients,
        solver="cg",
        n_iter=state.n_iter,
        diagnosis=not_converged(state, tol),
    )


#: The columns of the preconditioner, chosen and decomposed, and its basis.
CG = Solver(_solve, n_values=lambda n: 3 * n * preconditioner_rank(n), iterative=True)
