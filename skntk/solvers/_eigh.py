"""Eigendecomposition of a Gram matrix: one factorisation serves every time and ridge."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh
from sklearn.utils import check_random_state

from .._utils.threads import blas_threads_for
from ._interface import Options, Solution, Solver, System
from ._spectrum import Spectrum, ill_conditioned, rounding_floor

__all__ = ["EIGH", "eigendecompose"]


def eigendecompose(
    gram: NDArray,
    n_components: int | None = None,
    *,
    solver: str = "auto",
    overwrite: bool = False,
    random_state: Any = None,
) -> Spectrum:
    """Eigenpairs of a symmetric matrix: all of them, or the largest few.

    Parameters
    ----------
    gram : ndarray of shape (n, n)
    n_components : int, default=None
        Number of eigenpairs. If None, all are computed, by divide and conquer.
    solver : {"auto", "dense", "arpack"}, default="auto"
        "dense" reduces the whole matrix by LAPACK; "arpack" is Lanczos iteration, which takes
        one product per step, and falls back on LAPACK if it overlooks a repeated eigenvalue.
        "auto" chooses "arpack" for less than a tenth of the spectrum of at least 500 samples.
    overwrite : bool, default=False
        Whether `gram` may be destroyed to save memory.
    random_state : int, RandomState instance or None, default=None
        Determines the starting vector of "arpack".

    Returns
    -------
    spectrum : Spectrum
    """
    n = len(gram)
    p = n if n_components is None else n_components
    if solver == "auto":
        solver = "arpack" if n >= 500 and p < n // 10 else "dense"
    pairs = None
    # ARPACK cannot start on a matrix of zeros.
    if solver == "arpack" and p < n and gram.any():
        with blas_threads_for(gram.nbytes):
            pairs = _lanczos(gram, p, check_random_state(random_state))
    if pairs is not None:
        values, vectors = pairs
    elif p < n:
        values, vectors = scipy.linalg.eigh(
            gram.T, subset_by_index=(n - p, n - 1), overwrite_a=overwrite, check_finite=False
        )
    else:
        # The transpose is the same matrix in Fortran order, in which LAPACK works in place.
        values, vectors = scipy.linalg.eigh(
            gram.T, driver="evd", overwrite_a=overwrite, check_finite=False
        )
    return Spectrum(values[::-1].copy(), np.ascontiguousarray(vectors[:, ::-1]))


def _lanczos(
    gram: NDArray, p: int, random: np.random.RandomState
) -> tuple[NDArray, NDArray] | None:
    """Largest p eigenpairs, ascending; None if the iteration did not find them.

    But for rounding, Lanczos iteration finds only one eigenvector of a repeated eigenvalue. After
    deflation of the pairs found, no eigenvalue may be larger than the smallest of theirs.
    """
    start, other = random.uniform(-1, 1, (2, len(gram))).astype(gram.dtype)
    try:
        values, vectors = eigsh(gram, k=p, which="LA", v0=start)
        rest = LinearOperator(
            gram.shape,
            matvec=lambda x: gram @ x - vectors @ (values * (vectors.T @ x)),
            dtype=gram.dtype,
        )
        overlooked = eigsh(rest, k=1, which="LA", v0=other, tol=1e-4, return_eigenvectors=False)
    except ArpackError:  # no convergence, or a starting vector that is mapped to 0
        return None
    # Ten times the floor, since products with the deflated matrix round as well.
    return None if overlooked[0] > values[0] + 10 * rounding_floor(values) else (values, vectors)


def _solve(system: System, options: Options) -> Solution:
    spectrum = eigendecompose(system.matrix, overwrite=True)
    options.on_step()
    resolved = spectrum.hides_rounding(system.time, system.alpha)
    return Solution(
        spectrum.coefficients(system.targets, system.time, system.alpha),
        solver="eigh",
        spectrum=spectrum,
        diagnosis=None if resolved else ill_conditioned(spectrum),
    )


#: The matrix, its eigenvectors, and LAPACK's workspace.
EIGH = Solver(_solve, n_values=lambda n: 3 * n**2, finite_time=True)
