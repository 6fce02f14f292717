r"""The spread of infinitely wide networks that differ in their initial weights alone.

The outputs of a network before training are a Gaussian process whose covariance :math:`\Sigma` is
the NNGP kernel, and training is linear in them: with :math:`B = \Theta(x, X) S \phi_t(S K S +
\alpha I) S`, the trained network is :math:`f_0(x) + B (Y - f_0(X))`, for the same weights of
samples as the mean has. So (Lee, Xiao, Schoenholz, Bahri, Novak, Sohl-Dickstein and Pennington,
"Wide Neural Networks of Any Depth Evolve as Linear Models Under Gradient Descent", NeurIPS 2019,
Eq. 16)

.. math::
    Cov(x, x') = \Sigma(x, x') - B \Sigma(X, x') - \Sigma(x, X) B'^T + B \Sigma(X, X) B'^T.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels import NeuralTangentKernel
from ..kernels._gram import GramOperator

__all__ = ["ensemble_covariance", "ensemble_variance", "initial_covariance"]


def initial_covariance(kernel: NeuralTangentKernel | None) -> NeuralTangentKernel:
    """Covariance of the outputs at initialisation, as a kernel.

    Raises
    ------
    ValueError
        If the kernel is precomputed.
    TypeError
        If it has none.
    """
    if kernel is None:
        raise ValueError(
            "return_std and return_cov need the covariance of networks at initialisation, which "
            "kernel='precomputed' does not have; fit with a kernel from skntk.kernels, and inputs."
        )
    return kernel._as_nngp()


def ensemble_variance(
    covariance: NeuralTangentKernel, X: NDArray, X_fit: NDArray, B: NDArray, n_jobs: Any
) -> NDArray:
    """Variance of the outputs (m,), 0 where rounding has made it negative.

    Parameters
    ----------
    covariance : NeuralTangentKernel
        Sigma.
    X : ndarray of shape (m, d)
    X_fit : ndarray of shape (n, d)
        Training inputs.
    B : ndarray of shape (m, n)
    n_jobs : int or None
    """
    spread = GramOperator(covariance, X_fit, n_jobs) @ B.T - 2 * covariance._block(X_fit, X)
    return np.maximum(covariance.diag(X) + np.einsum("mn,nm->m", B, spread), 0)


def ensemble_covariance(
    covariance: NeuralTangentKernel, X: NDArray, X_fit: NDArray, B: NDArray, n_jobs: Any
) -> NDArray:
    """Covariance of the outputs (m, m), exactly symmetric, with the variances on its diagonal."""
    before = B @ covariance._block(X_fit, X)
    total = covariance._block(X, None) - before - before.T
    total += B @ (GramOperator(covariance, X_fit, n_jobs) @ B.T)
    total = (total + total.T) / 2
    np.fill_diagonal(total, np.maximum(total.diagonal(), 0))
    return total
