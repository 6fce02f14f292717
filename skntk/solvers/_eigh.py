"""Eigendecomposition of a Gram matrix: one factorisation for every time and ridge."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning

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
        phi = flow_filter(self.eigenvalues, time, alpha)
        return self.eigenvectors @ (phi[:, None] * (self.eigenvectors.T @ targets))


def eigendecompose(gram: NDArray, *, overwrite: bool = False) -> Spectrum:
    """All eigenpairs of a symmetric matrix, by divide and conquer.

    Parameters
    ----------
    gram : ndarray of shape (n, n)
    overwrite : bool, default=False
        Whether `gram` may be destroyed to save memory.

    Returns
    -------
    spectrum : Spectrum
    """
    values, vectors = scipy.linalg.eigh(
        gram, driver="evd", overwrite_a=overwrite, check_finite=False
    )
    values = values[::-1]
    return Spectrum(
        np.where(values > rounding_floor(values), values, 0),
        np.ascontiguousarray(vectors[:, ::-1]),
    )


def rounding_floor(eigenvalues: NDArray) -> float:
    """Size below which an eigenvalue is rounding error of the decomposition."""
    return 10 * np.finfo(eigenvalues.dtype).eps * float(np.max(eigenvalues, initial=0))


def warn_ill_conditioned(spectrum: Spectrum, *, stacklevel: int = 3) -> None:
    """Warn if eigenvalues were lost to rounding, with the cure."""
    values = spectrum.eigenvalues
    n_lost = int(np.sum(values == 0))
    if n_lost == 0 or values[0] == 0:
        return
    floor = rounding_floor(values)
    condition = values[0] / values[values > 0][-1]
    warnings.warn(
        f"The Gram matrix is ill-conditioned: {n_lost} of its {len(values)} eigenvalues are "
        f"below rounding error ({floor:.1e}) and were left out; the condition number of the "
        f"rest is {condition:.1e}. Likely causes: (a) duplicate or collinear samples, "
        f"(b) float32 input, (c) few features. Set alpha={10 * floor:.0e} or more, or pass "
        "float64 input.",
        LinAlgWarning,
        stacklevel=stacklevel,
    )
