"""Cholesky solution of (K + alpha I) A = Y, the predictor at infinite time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg
import scipy.linalg.blas
from numpy.typing import NDArray
from scipy.linalg import LinAlgError

from .._utils.threads import OVERFLOW
from ._eigh import EIGH
from ._interface import Options, Solution, Solver, System

__all__ = ["CHOLESKY", "solve_cholesky"]

#: If a correction does not shrink by this factor, the matrix is singular up to rounding.
_CONTRACTION = 10
#: Rows factorised at a time where LAPACK's own factorisation would crash.
_PANEL = 2048
#: Bytes of the rows that are converted to float64 at a time.
_BLOCK_BYTES = 16 * 2**20


def solve_cholesky(
    gram: NDArray, targets: NDArray, alpha: float = 0.0, *, overwrite: bool = False
) -> NDArray:
    """Dual coefficients at infinite time.

    On a singular matrix the factorisation itself either fails or silently yields noise. In
    float64 the reciprocal condition number is therefore estimated from the factor (LAPACK
    ``pocon``). In float32 the solution is refined, with residuals in float64: corrections that
    do not shrink reveal a singular matrix, and those that do restore the digits that the factor
    has lost (Higham and Mary, "Mixed precision algorithms in numerical linear algebra", 2022).
    A singular matrix may be accepted if the targets are orthogonal to its null space, as with
    equal samples of equal labels.

    Parameters
    ----------
    gram : ndarray of shape (n, n)
        Exactly symmetric and C-ordered.
    targets : ndarray of shape (n, k)
    alpha : float, default=0
        Ridge.
    overwrite : bool, default=False
        Whether to factorise inside `gram` instead of a copy. If that fails, `gram` is restored.

    Returns
    -------
    coefficients : ndarray of shape (n, k)

    Raises
    ------
    LinAlgError
        If the matrix is too ill-conditioned.
    """
    # The transpose is the same matrix in Fortran order, in which LAPACK works in place.
    matrix = gram.T if overwrite else gram.T.copy(order="F")
    names = ("lange", "potrf", "pocon", "potrs")
    functions: Any = scipy.linalg.get_lapack_funcs(names, (matrix,))
    lange, potrf, pocon, potrs = functions
    diagonal = matrix.diagonal().copy()
    np.fill_diagonal(matrix, diagonal + matrix.dtype.type(alpha))
    refines = matrix.dtype == np.float32
    norm = None if refines else lange("1", matrix)
    info = _factorize(matrix, potrf)
    solution = None
    if info == 0 and refines:
        ridged = diagonal.astype(np.float64) + alpha
        solution = _refine(
            lambda vectors: _symmetric_product(matrix, ridged, vectors),
            lambda vectors: potrs(matrix, vectors.astype(np.float32), lower=True)[0],
            targets,
            10 * np.finfo(gram.dtype).eps * ridged.max(),
        )
    elif info == 0:
        reciprocal_condition, info = pocon(matrix, norm, uplo="L")
        if info == 0 and reciprocal_condition > 10 * np.finfo(gram.dtype).eps:
            solution, _ = potrs(matrix, targets, lower=True)
    if solution is not None:
        return np.ascontiguousarray(solution)
    if overwrite:
        _restore(gram, diagonal)
    raise LinAlgError("The matrix is too ill-conditioned for a Cholesky factorisation.")


def _factorize(matrix: NDArray, potrf: Callable[..., Any]) -> int:
    """Put the Cholesky factor into the lower triangle; return 0, or LAPACK's code on failure."""
    n = len(matrix)
    if n * n < OVERFLOW:
        return potrf(matrix, lower=True, overwrite_a=True, clean=False)[1]
    (trsm,) = scipy.linalg.blas.get_blas_funcs(("trsm",), (matrix,))
    upper = matrix.T  # the transposed factor, in C order, computed in panels of rows
    for top in range(0, n, _PANEL):
        stop = min(top + _PANEL, n)
        panel = upper[top:stop, top:].copy()
        panel -= upper[:top, top:stop].T @ upper[:top, top:]
        block, info = potrf(panel[:, : stop - top].T, lower=True)
        if info:
            return info
        rest = np.ascontiguousarray(panel[:, stop - top :])
        if rest.size:
            rest = trsm(1.0, block, rest.T, side=1, lower=True, trans_a=True, overwrite_b=True).T
        upper[top:stop, stop:] = rest
        square = upper[top:stop, top:stop]
        square[...] = np.triu(block.T) + np.tril(square, -1)
        del panel, rest  # free them before the next ones are allocated
    return 0


def _refine(
    product: Callable[[NDArray], NDArray],
    solve: Callable[[NDArray], NDArray],
    targets: NDArray,
    noise: float,
) -> NDArray | None:
    """Correct a solution until it is accurate; None if the corrections do not converge.

    The result is also None if the solution grows as large as `noise`, the rounding error of the
    matrix, would make it.
    """
    largest = np.linalg.norm(targets.astype(np.float64), axis=0) / noise
    solution = np.zeros(targets.shape)
    residual = targets.astype(np.float64)
    previous = np.full(targets.shape[1], np.inf)
    while True:
        correction = solve(residual).astype(np.float64)
        solution += correction
        size, reached = (np.linalg.norm(array, axis=0) for array in (correction, solution))
        if not (reached <= largest).all():
            return None
        small = size <= np.finfo(targets.dtype).eps * reached
        if small.all():
            return solution.astype(targets.dtype)
        if (~small & (size * _CONTRACTION > previous)).any():
            return None
        previous = size
        residual = targets - product(solution)


def _symmetric_product(matrix: NDArray, diagonal: NDArray, vectors: NDArray) -> NDArray:
    """Product in float64 with the factorised matrix, whose upper triangle is still intact."""
    n = len(matrix)
    height = max(1, _BLOCK_BYTES // (8 * n))
    total = diagonal[:, None] * vectors
    for top in range(0, n, height):
        rows = slice(top, min(top + height, n))
        # Rows of the transpose: the columns of LAPACK's matrix from the top to the diagonal.
        block = np.tril(matrix.T[rows, : rows.stop], top - 1).astype(np.float64)
        total[rows] += block @ vectors[: rows.stop]
        total[: rows.stop] += block.T @ vectors[rows]
    return total


def _restore(gram: NDArray, diagonal: NDArray) -> None:
    """Undo an in-place factorisation, from the triangle that LAPACK did not touch."""
    n = len(gram)
    for row in range(n):
        gram[row, row + 1 :] = gram[row + 1 :, row]
    np.fill_diagonal(gram, diagonal)


def _solve(system: System, options: Options) -> Solution:
    """Solve by Cholesky, or by eigendecomposition if the matrix is ill-conditioned."""
    try:
        coefficients = solve_cholesky(system.matrix, system.targets, system.alpha, overwrite=True)
    except LinAlgError:
        n = len(system.matrix)
        options.check_memory(EIGH.n_values(n) - n**2)  # besides the matrix itself
        return EIGH.solve(system, options)
    options.on_step()
    return Solution(coefficients, solver="cholesky")


CHOLESKY = Solver(_solve, n_values=lambda n: n**2)
