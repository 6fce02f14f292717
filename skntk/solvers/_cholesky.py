"""Cholesky solution of (K + alpha I) A = Y, the predictor at infinite time."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

__all__ = ["solve_cholesky"]


def solve_cholesky(
    gram: NDArray, targets: NDArray, alpha: float = 0.0, *, overwrite: bool = False
) -> NDArray | None:
    """Dual coefficients at infinite time, or None if the matrix is too ill-conditioned.

    Cholesky itself fails or returns noise without a word on a singular matrix, so the
    reciprocal condition number is estimated from the factor (LAPACK ``pocon``).

    Parameters
    ----------
    gram : ndarray of shape (n, n)
        Exactly symmetric and C-ordered.
    targets : ndarray of shape (n, k)
    alpha : float, default=0
        Ridge.
    overwrite : bool, default=False
        Factorise inside `gram` instead of in a copy. It is restored if the result is None.

    Returns
    -------
    coefficients : ndarray of shape (n, k) or None
    """
    # The transpose is the same matrix in Fortran order, in which LAPACK works in place.
    matrix = gram.T if overwrite else gram.T.copy(order="F")
    names = ("lange", "potrf", "pocon", "potrs")
    functions: Any = scipy.linalg.get_lapack_funcs(names, (matrix,))
    lange, potrf, pocon, potrs = functions
    diagonal = matrix.diagonal().copy()
    np.fill_diagonal(matrix, diagonal + matrix.dtype.type(alpha))
    norm = lange("1", matrix)
    factor, info = potrf(matrix, lower=True, overwrite_a=True, clean=False)
    if info == 0:
        reciprocal_condition, info = pocon(factor, norm, uplo="L")
    if info == 0 and reciprocal_condition > 10 * np.finfo(gram.dtype).eps:
        coefficients, _ = potrs(factor, targets, lower=True)
        return np.ascontiguousarray(coefficients)
    if overwrite:
        _restore(gram, diagonal)
    return None


def _restore(gram: NDArray, diagonal: NDArray) -> None:
    """Undo an in-place factorisation: the triangle that LAPACK did not read is intact."""
    n = len(gram)
    for row in range(n):
        gram[row, row + 1 :] = gram[row + 1 :, row]
    np.fill_diagonal(gram, diagonal)
