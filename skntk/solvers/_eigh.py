"""Eigendecomposition of a Gram matrix: one factorisation for every time and ridge."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh
from sklearn.utils import check_random_state

from .._threads import blas_threads_for
from ._flow import flow_filter

__all__ = ["Spectrum", "eigendecompose", "warn_ill_conditioned"]


@dataclass(frozen=True)
class Spectrum:
    """Eigenpairs of a Gram matrix, largest first.

    Attributes
    ----------
    eigenvalues : ndarray of shape (p,)
        Descending and non-negative; what rounding has swamped is exactly 0.
    eigenvectors : ndarray of shape (n, p)
    """

    eigenvalues: NDArray
    eigenvectors: NDArray

    def coefficients(self, targets: NDArray, time: float, alpha: float) -> NDArray:
        """Dual coefficients, (n, k), at a flow time and ridge (Eq. 7)."""
        phi = self.filter(time, alpha)
        return self.eigenvectors @ (phi[:, None] * (self.eigenvectors.T @ targets))

    def filter(self, time: float, alpha: float) -> NDArray:
        """What the flow does to each eigenvalue, (p,): 0 to those that rounding has swamped."""
        phi = flow_filter(self.eigenvalues, time, alpha)
        if alpha == 0 or not self.resolves(time, alpha):
            # What rounding has swamped should move no prediction; filtered, it would be noise.
            phi = np.where(self.eigenvalues > 0, phi, 0)
        return phi

    def resolves(self, time: float, alpha: float) -> bool:
        """Whether eigenvalues below the rounding floor could not show at this time and ridge."""
        floor = float(rounding_floor(self.eigenvalues))
        return 0 < alpha >= floor or (np.isfinite(time) and floor * time <= 1)


def eigendecompose(
    gram: NDArray,
    n_components: int | None = None,
    *,
    solver: str = "auto",
    overwrite: bool = False,
    random_state: Any = None,
) -> Spectrum:
    """Eigenpairs of a symmetric matrix, all of them or the largest few.

    Parameters
    ----------
    gram : ndarray of shape (n, n)
    n_components : int, default=None
        Number of eigenpairs; None: all, by divide and conquer.
    solver : {"auto", "dense", "arpack"}, default="auto"
        "dense" is LAPACK, reducing the whole matrix; "arpack" Lanczos iteration, at a
        product a step, unless it overlooks a repeated eigenvalue, which LAPACK then finds.
        "auto" takes the latter for less than a tenth of the spectrum of at least 500 samples.
    overwrite : bool, default=False
        Whether `gram` may be destroyed to save memory.
    random_state : int, RandomState instance or None, default=None
        For the starting vector of "arpack".

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
    values = values[::-1]
    return Spectrum(
        np.where(values > rounding_floor(values), values, 0),
        np.ascontiguousarray(vectors[:, ::-1]),
    )


def _lanczos(
    gram: NDArray, p: int, random: np.random.RandomState
) -> tuple[NDArray, NDArray] | None:
    """Largest p eigenpairs, ascending; None if it did not find them.

    Lanczos iteration sees an eigenvalue of several eigenvectors once, but for rounding: what
    is left without the pairs found must have nothing larger than the last of them.
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
    except ArpackError:  # no convergence, or nothing left to start with
        return None
    # Ten times the floor: the products with what is left round as well.
    return None if overlooked[0] > values[0] + 10 * rounding_floor(values) else (values, vectors)


def rounding_floor(eigenvalues: NDArray) -> float:
    """Size below which an eigenvalue is rounding error of the decomposition."""
    return 10 * np.finfo(eigenvalues.dtype).eps * float(np.max(eigenvalues, initial=0))


def warn_ill_conditioned(
    spectrum: Spectrum, *, has_ridge: bool = True, stacklevel: int = 3
) -> None:
    """Warn if eigenvalues were lost to rounding, with the cure.

    `has_ridge` says whether the caller has a parameter `alpha` that could be set.
    """
    values = spectrum.eigenvalues
    n_lost = int(np.sum(values == 0))
    if n_lost == 0:
        return
    floor = rounding_floor(values)
    condition = values[0] / values[values > 0][-1] if values[0] > 0 else np.inf
    ridge = f"Set alpha={10 * floor or 1:.0e} or more, or pass" if has_ridge else "Pass"
    warnings.warn(
        f"The Gram matrix is ill-conditioned: {n_lost} of its {len(values)} eigenvalues are "
        f"below rounding error ({floor:.1e}) and were left out; the condition number of the "
        f"rest is {condition:.1e}. Likely causes: (a) duplicate or collinear samples, "
        f"(b) float32 input, (c) few features. {ridge} distinct samples or float64 input.",
        LinAlgWarning,
        stacklevel=stacklevel,
    )
