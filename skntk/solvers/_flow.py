"""The filter that gradient flow applies to an eigenvalue of the Gram matrix (Eq. 7, 16)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["flow_filter"]


def flow_filter(
    eigenvalues: NDArray, time: float, alpha: float = 0.0, *, signed: bool = False
) -> NDArray:
    r"""Filter :math:`\phi_t(\lambda) = (1 - e^{-(\lambda + \alpha) t}) / (\lambda + \alpha)`.

    The dual coefficients at time t are :math:`V \phi_t(\Lambda) V^T Y`.

    Parameters
    ----------
    eigenvalues : ndarray of shape (n,)
        Eigenvalues of the Gram matrix.
    time : float
        Gradient-flow time: learning rate times number of steps. May be infinite.
    alpha : float, default=0
        Ridge added to every eigenvalue.
    signed : bool, default=False
        Whether negative eigenvalues belong to an indefinite matrix, so that the flow along them
        grows. If False, they are the rounding error of 0, and are treated as 0.

    Returns
    -------
    phi : ndarray of shape (n,)
        Filter, in the dtype of `eigenvalues`. Where the rate lambda + alpha is 0, it is its
        limit t at a finite time, and 0 at infinite time, which gives the pseudo-inverse. At
        infinite time it is infinite where the rate is negative.
    """
    # A finite time must stay finite in float32: 0 * inf would be NaN.
    time = time if np.isinf(time) else min(time, float(np.finfo(eigenvalues.dtype).max))
    values = eigenvalues if signed else np.maximum(eigenvalues, 0)
    rate = values + eigenvalues.dtype.type(alpha)
    safe = np.where(rate == 0, 1, rate)
    with np.errstate(under="ignore", over="ignore"):
        if np.isinf(time):
            limit = np.where(rate < 0, np.inf, 1 / safe)
            return np.where(rate == 0, 0, limit).astype(rate.dtype)
        progress = rate * time
        early = np.abs(progress) < np.finfo(rate.dtype).eps / 4
        return np.where(early, time, -np.expm1(-progress) / safe).astype(rate.dtype)
