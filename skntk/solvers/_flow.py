"""The filter that gradient flow applies to an eigenvalue of the Gram matrix (Eq. 7, 16)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["flow_filter"]


def flow_filter(eigenvalues: NDArray, time: float, alpha: float = 0.0) -> NDArray:
    r"""Filter :math:`\phi_t(\lambda) = (1 - e^{-(\lambda + \alpha) t}) / (\lambda + \alpha)`.

    The dual coefficients at time t are :math:`V \phi_t(\Lambda) V^T Y`.

    Parameters
    ----------
    eigenvalues : ndarray of shape (n,)
        Eigenvalues of the Gram matrix; tiny negative rounding is taken as 0.
    time : float
        Gradient-flow time: learning rate times steps. May be infinite.
    alpha : float, default=0
        Ridge added to every eigenvalue.

    Returns
    -------
    phi : ndarray of shape (n,)
        In the dtype of `eigenvalues`. Its limit t where the rate is 0; at infinite
        time 0 there instead, which is the pseudo-inverse.
    """
    # A finite time stays finite in float32, where 0 * inf would be NaN.
    time = time if np.isinf(time) else min(time, float(np.finfo(eigenvalues.dtype).max))
    rate = np.maximum(eigenvalues, 0) + eigenvalues.dtype.type(alpha)
    positive = rate > 0
    safe = np.where(positive, rate, 1)
    with np.errstate(under="ignore", over="ignore"):
        if np.isinf(time):
            return np.where(positive, 1 / safe, 0).astype(rate.dtype)
        progress = rate * time
        early = progress < np.finfo(rate.dtype).eps / 4
        return np.where(early, time, -np.expm1(-progress) / safe).astype(rate.dtype)
