"""The solver "cg": preconditioned conjugate residuals, and what the user is told of them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning

from ._conjugate_residuals import ConjugateResiduals, conjugate_residuals
from ._interface import Options, Solution, Solver, System
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


def _solve(system: System, options: Options) -> Solution:
    tol = options.tol
    if tol is None:
        tol = float(np.sqrt(np.finfo(system.targets.dtype).eps))
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
CG = Solver(_solve, n_values=lambda n: 4 * n * preconditioner_rank(n), iterative=True)
