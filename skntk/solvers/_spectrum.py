"""Eigenpairs of a Gram matrix, and what they say about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning

from ._flow import flow_filter

__all__ = ["Spectrum", "ill_conditioned", "rounding_floor"]


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

    @np.errstate(under="ignore")
    def coefficients(self, targets: NDArray, time: float, alpha: float) -> NDArray:
        """Dual coefficients, (n, k), at a flow time and ridge (Eq. 7)."""
        phi = self.filter(time, alpha)
        return self.eigenvectors @ (phi[:, None] * (self.eigenvectors.T @ targets))

    def filter(self, time: float, alpha: float) -> NDArray:
        """What the flow does to each eigenvalue, (p,): 0 to those that rounding has swamped."""
        phi = flow_filter(self.eigenvalues, time, alpha)
        if alpha == 0 or not self.hides_rounding(time, alpha):
            # What rounding has swamped should move no prediction; filtered, it would be noise.
            phi = np.where(self.eigenvalues > 0, phi, 0)
        return phi

    def hides_rounding(self, time: float, alpha: float) -> bool:
        """Whether eigenvalues below the rounding floor could not show at this time and ridge."""
        floor = float(rounding_floor(self.eigenvalues))
        return 0 < alpha >= floor or (np.isfinite(time) and floor * time <= 1)


def rounding_floor(eigenvalues: NDArray) -> float:
    """Size below which an eigenvalue is rounding error of the decomposition."""
    return 10 * np.finfo(eigenvalues.dtype).eps * float(np.max(eigenvalues, initial=0))


def ill_conditioned(spectrum: Spectrum, *, has_ridge: bool = True) -> LinAlgWarning | None:
    """Warning that eigenvalues were lost to rounding, with the cure; None if none were.

    `has_ridge` says whether the caller has a parameter `alpha` that could be set.
    """
    values = spectrum.eigenvalues
    n_lost = int(np.sum(values == 0))
    if n_lost == 0:
        return None
    floor = rounding_floor(values)
    condition = values[0] / values[values > 0][-1] if values[0] > 0 else np.inf
    ridge = f"Set alpha={10 * floor or 1:.0e} or more, or pass" if has_ridge else "Pass"
    return LinAlgWarning(
        f"The Gram matrix is ill-conditioned: {n_lost} of its {len(values)} eigenvalues are "
        f"below rounding error ({floor:.1e}) and were left out; the condition number of the "
        f"rest is {condition:.1e}. Likely causes: (a) duplicate or collinear samples, "
        f"(b) float32 input, (c) few features. {ridge} distinct samples or float64 input."
    )
