"""Eigenpairs of a Gram matrix, the filter of a flow, and diagnoses of the matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning

from ._flow import flow_filter

__all__ = ["Spectrum", "ill_conditioned", "indefinite", "negligible", "rounding_floor"]


@dataclass(frozen=True)
class Spectrum:
    """Eigenpairs of a Gram matrix, largest first.

    Attributes
    ----------
    eigenvalues : ndarray of shape (p,)
        In descending order, as computed: in place of 0, a singular matrix has rounding errors of
        either sign, and an indefinite matrix has negative eigenvalues.
    eigenvectors : ndarray of shape (n, p)
    """

    eigenvalues: NDArray
    eigenvectors: NDArray

    @property
    def resolved(self) -> NDArray:
        """Mask (p,) of the eigenvalues that exceed rounding error."""
        return np.abs(self.eigenvalues) > rounding_floor(self.eigenvalues)

    @np.errstate(under="ignore")
    def coefficients(self, targets: NDArray, time: float, alpha: float) -> NDArray:
        """Dual coefficients (n, k) at a flow time and ridge (Eq. 7).

        Raises
        ------
        ValueError
            If the flow grows without bound; see `check_definite`.
        """
        phi = self.filter(time, alpha)
        return self.eigenvectors @ (phi[:, None] * (self.eigenvectors.T @ targets))

    def filter(self, time: float, alpha: float) -> NDArray:
        """Filter (p,) of the flow for each eigenvalue: 0 for those below rounding error."""
        self.check_definite(time, alpha)
        if alpha > 0 and self.hides_rounding(time, alpha):
            return flow_filter(self.eigenvalues, time, alpha, signed=True)
        # Directions below rounding error must not affect predictions: they would add noise.
        values = np.where(self.resolved, self.eigenvalues, 0)
        return np.where(self.resolved, flow_filter(values, time, alpha, signed=True), 0)

    def hides_rounding(self, time: float, alpha: float) -> bool:
        """Whether eigenvalues below rounding error have no effect at this time and ridge."""
        floor = rounding_floor(self.eigenvalues)
        return 0 < alpha >= floor or (np.isfinite(time) and floor * time <= 1)

    def check_definite(self, time: float, alpha: float) -> None:
        """Raise ValueError if the flow along a negative eigenvalue grows without bound.

        At infinite time K + alpha I must be positive definite. At a finite time it is enough that
        the growth exp(-(lambda + alpha) t) does not overflow.
        """
        values = self.eigenvalues
        if not (values[self.resolved] < 0).any():
            return
        rate = float(values[-1]) + alpha
        if np.isinf(time):
            diverges = rate <= negligible(values)
        else:
            diverges = -rate * time > np.log(np.finfo(values.dtype).max) / 2
        if diverges:
            raise indefinite(float(values[-1]), float(values[0]), alpha)


def negligible(eigenvalues: NDArray) -> float:
    """Rounding error of a decomposition, relative to the largest absolute eigenvalue."""
    return 10 * float(np.finfo(eigenvalues.dtype).eps) * float(np.abs(eigenvalues).max(initial=0))


def rounding_floor(eigenvalues: NDArray) -> float:
    """Absolute value below which an eigenvalue is rounding error of decomposition or matrix.

    The rounding error of the matrix is estimated by its most negative eigenvalue, unless that is
    so large that the matrix must be indefinite. The limit is the square root of the machine
    epsilon, which less accurate libraries of kernels need.
    """
    lowest = -float(eigenvalues.min(initial=0))
    largest = float(np.abs(eigenvalues).max(initial=0))
    if lowest > np.sqrt(np.finfo(eigenvalues.dtype).eps) * largest:
        lowest = 0.0  # not rounding error: the matrix is indefinite
    return max(negligible(eigenvalues), lowest)


def ill_conditioned(spectrum: Spectrum) -> LinAlgWarning | None:
    """Warning, with remedies, that eigenvalues are below rounding error; None if none are."""
    values, resolved = spectrum.eigenvalues, spectrum.resolved
    if resolved.all():
        return None
    floor = rounding_floor(values)
    kept = np.abs(values[resolved])
    condition = kept.max() / kept.min() if len(kept) else np.inf
    return LinAlgWarning(
        f"The Gram matrix is ill-conditioned: {np.sum(~resolved)} of its {len(values)} "
        f"eigenvalues are below rounding error ({floor:.1e}) and were left out; the condition "
        f"number of the rest is {condition:.1e}. Likely causes: (a) duplicate or collinear "
        f"samples, (b) float32 input, (c) few features, (d) weights "
        f"of samples that differ widely. Set alpha={10 * floor or 1:.0e} or more, or pass distinct "
        "samples or float64 input."
    )


def indefinite(smallest: float, largest: float, alpha: float) -> ValueError:
    """ValueError for an indefinite K + alpha I; `smallest` may be an upper bound."""
    return ValueError(
        f"The Gram matrix is indefinite: it has an eigenvalue of {smallest:.2g} or less (the "
        f"largest is {largest:.2g}), far below rounding error, and training along it diverges. "
        f"Set alpha well above {-smallest:.2g} (it is {alpha:g}) or a shorter time, or pass a "
        "kernel that is positive semi-definite."
    )
