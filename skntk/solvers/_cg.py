"""The solver "cg", which needs products alone, and what the user is told of its solution.

At infinite time it iterates preconditioned conjugate residuals, at a finite time in a Krylov space.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning

from ._conjugate_residuals import ConjugateResiduals, conjugate_residuals
from ._interface import Options, Solution, Solver, System
from ._krylov import KrylovFlow, krylov_flow
from ._preconditioner import make_preconditioner, preconditioner_rank
from ._spectrum import indefinite

__all__ = ["CG", "diagnose"]

#: Bytes of the rows of a matrix that are read in float64 at a time.
_BLOCK_BYTES = 16 * 2**20


def diagnose(state: ConjugateResiduals, tol: float) -> Warning | None:
    """Warning that there is no solution, or that the iteration stopped short of it, or None."""
    if not state.finished(tol).all():
        return ConvergenceWarning(
            f"solver='cg' stopped after {state.n_iter} iterations at a relative residual of "
            f"{state.residual.max():.1e}, above tol={tol:.1e}. Likely causes: (a) max_iter is too "
            "small, (b) the Gram matrix is ill-conditioned: set alpha, or pass float64 input. The "
            "iterate of smallest residual is kept."
        )
    if state.least_squares.any():
        floor = 10 * state.eps * state.norm
        return LinAlgWarning(
            "The Gram matrix is ill-conditioned: to rounding it is singular, and no machine "
            "reaches all the labels, as where equal samples have different ones. solver='cg' gives "
            f"the least-squares solution, as the other solvers do. Set alpha={10 * floor:.0e} or "
            "more, or pass distinct samples or float64 input."
        )
    return None


def diagnose_flow(flow: KrylovFlow, tol: float) -> Warning | None:
    """Warning that the space was too small for the flow, or None."""
    if (flow.residual <= tol).all():
        return None
    return ConvergenceWarning(
        f"solver='cg' stopped after {flow.n_iter} products at a relative residual of "
        f"{flow.residual.max():.1e}, above tol={tol:.1e}: max_iter is too small for this time. "
        "Raise it, or set alpha, or a shorter time."
    )


def _solve(system: System, options: Options) -> Solution:
    tol = options.tol
    if tol is None:
        tol = float(np.sqrt(np.finfo(system.targets.dtype).eps))
    solver = _flow if np.isfinite(system.time) else _iterate
    return solver(system, options, tol)


def _flow(system: System, options: Options, tol: float) -> Solution:
    """Solution at a finite time."""
    itemsize = system.targets.itemsize
    flow = krylov_flow(
        partial(_product, system.matrix),
        system.targets,
        system.time,
        system.alpha,
        tol=tol,
        max_iter=options.max_iter,
        on_step=options.on_step,
        check_memory=lambda n_bytes: options.check_memory(n_bytes // itemsize),
    )
    coefficients = flow.coefficients.astype(system.targets.dtype)
    diagnosis = diagnose_flow(flow, tol)
    return Solution(coefficients, solver="cg", n_iter=flow.n_iter, diagnosis=diagnosis)


def _iterate(system: System, options: Options, tol: float) -> Solution:
    """Solution at infinite time."""
    state = conjugate_residuals(
        partial(_product, system.matrix),
        system.targets,
        system.alpha,
        precondition=make_preconditioner(system.matrix, system.alpha, options.random_state),
        tol=tol,
        max_iter=options.max_iter,
        on_step=options.on_step,
    )
    if state.is_indefinite():
        raise indefinite(state.curvature - system.alpha, state.norm, system.alpha)
    return Solution(
        state.coefficients.astype(system.targets.dtype),
        solver="cg",
        n_iter=state.n_iter,
        diagnosis=diagnose(state, tol),
    )


def _product(matrix: Any, vectors: NDArray) -> NDArray:
    """Product in float64 with a matrix of any precision, or with an operator."""
    if not isinstance(matrix, np.ndarray) or matrix.dtype == vectors.dtype:
        return matrix @ vectors
    height = max(1, _BLOCK_BYTES // (8 * len(matrix)))
    starts = range(0, len(matrix), height)
    # A block at a time, so that the matrix is never held in float64 as a whole.
    return np.concatenate([matrix[k : k + height].astype(np.float64) @ vectors for k in starts])


#: The columns of the preconditioner, chosen and decomposed, and its basis in float64.
CG = Solver(
    _solve, n_values=lambda n: 4 * n * preconditioner_rank(n), finite_time=True, iterative=True
)
