r"""Comparison of kernels: distances, polar coordinates, concentration (Eq. 12, 13).

The kernels of a lazy network are almost equal, so that ``1 - cos`` of them is rounding error.
All functions here therefore use differences of kernels of unit norm:
:math:`1 - \cos(K, L) = |K / |K| - L / |L||^2 / 2`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from .._utils.threads import blas_threads_for

__all__ = [
    "as_kernel",
    "concentration",
    "frobenius_products",
    "normalize",
    "pairwise_distances",
    "polar_from_distances",
    "top_distances",
    "top_eigenpairs",
]

#: Smallest matrix for which Lanczos iteration is faster than reducing the whole matrix.
_LANCZOS_SIZE = 200
#: Eigenvalues closer than this, relative to the largest, count as one repeated eigenvalue.
_MULTIPLE = 1e-10


def as_kernel(K: ArrayLike, name: str) -> NDArray:
    """Return a square matrix in float64.

    Raises
    ------
    ValueError
        If the matrix is not square, or not finite.
    TypeError
        If the matrix does not hold real numbers.
    """
    K = np.asarray(K)
    if K.ndim != 2 or K.shape[0] != K.shape[1] or K.shape[0] == 0:
        raise ValueError(f"{name} has shape {K.shape}; give a square matrix.")
    if K.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold real numbers, got an array of {K.dtype}.")
    if not np.isfinite(K).all():
        raise ValueError(f"{name} holds NaN or infinity; give a finite matrix.")
    return K.astype(np.float64, copy=False)


def normalize(kernel: NDArray) -> tuple[float, NDArray]:
    """Frobenius norm of a kernel, and the kernel divided by it; a zero kernel is not divided."""
    largest = float(np.abs(kernel).max())
    if largest == 0:
        return 0.0, kernel
    scaled = kernel / largest  # so that squares neither overflow nor all underflow
    # Not by BLAS: its rounding of a dot product depends on the number of threads.
    length = float(np.sqrt(np.square(scaled).sum()))
    return largest * length, scaled / length


def frobenius_products(left: NDArray, right: NDArray) -> NDArray:
    """Products <K_i, K_j>_F of two stacks (S, n, n) and (T, n, n), as one matrix product."""
    return left.reshape(len(left), -1) @ right.reshape(len(right), -1).T


def pairwise_distances(products: NDArray, norms: NDArray) -> NDArray:
    """Pairwise kernel distances (Eq. 12).

    Parameters
    ----------
    products : ndarray of shape (T, T)
        Frobenius products of D_t, the kernels of unit norm minus the first of them.
    norms : ndarray of shape (T,)
        Norms of the kernels before they were normalised.

    Returns
    -------
    distances : ndarray of shape (T, T)
        In [0, 2], and 0 on the diagonal. A zero kernel is at distance 1 of all others.
    """
    squares = products.diagonal()
    distances = np.clip((squares[:, None] + squares) / 2 - products, 0, 2)
    distances[(norms == 0)[:, None] | (norms == 0)] = 1
    np.fill_diagonal(distances, 0)
    return distances


def polar_from_distances(distances: NDArray, norms: NDArray) -> tuple[NDArray, NDArray]:
    r"""Radius and angle of every kernel relative to the first (Eq. 13).

    For two kernels, :math:`|K - L|^2 = (|K| - |L|)^2 + 2 |K| |L| d(K, L)`.

    Parameters
    ----------
    distances : ndarray of shape (T,)
        Distance of each kernel to the first, in order of time.
    norms : ndarray of shape (T,)
        Norm of each kernel.

    Returns
    -------
    radius : ndarray of shape (T,)
        |K_t - K_0| / |K_final - K_0|; 0 throughout if the last kernel equals the first.
    angle : ndarray of shape (T,)
        Angle to the first kernel in radians.
    """
    turned = np.sqrt(2 * distances) * np.sqrt(norms) * np.sqrt(norms[0])
    moved = np.hypot(norms - norms[0], turned)
    radius = moved / moved[-1] if moved[-1] > 0 else np.zeros_like(moved)
    return radius, 2 * np.arcsin(np.sqrt(distances / 2))


def concentration(eigenvalues: NDArray, norms: NDArray, p: int) -> NDArray:
    """Share of the squared norms (...) in the top p of descending eigenvalues (..., q)."""
    top = eigenvalues[..., :p]
    shares = np.divide(top, norms[..., None], out=np.zeros_like(top), where=norms[..., None] > 0)
    return np.minimum(np.square(shares).sum(axis=-1), 1)


def top_eigenpairs(kernel: NDArray, p: int) -> tuple[NDArray, NDArray]:
    """Largest p eigenvalues (p,), descending, and their eigenvectors (n, p)."""
    n = len(kernel)
    scale = np.abs(kernel).max() or 1.0
    kernel = kernel / scale
    pairs = None
    # ARPACK cannot start on a matrix of zeros; some versions then choose another start.
    if n >= _LANCZOS_SIZE and p < n // 4 and kernel.any():
        with blas_threads_for(kernel.nbytes):
            pairs = _distinct_by_lanczos(kernel, p)
    if pairs is None:
        pairs = scipy.linalg.eigh(kernel, subset_by_index=(n - p, n - 1), check_finite=False)
    values, vectors = pairs
    return values[::-1] * scale, np.ascontiguousarray(vectors[:, ::-1])


def _distinct_by_lanczos(kernel: NDArray, p: int) -> tuple[NDArray, NDArray] | None:
    """Largest p eigenpairs, ascending; None if they may not be the largest.

    Lanczos iteration finds only one eigenvector of a repeated eigenvalue, and almost every
    eigenvalue of the kernel of a wide network with k outputs is repeated k times.
    """
    # A fixed start, so that equal kernels get the same eigenvectors.
    start = np.random.default_rng(0).uniform(-1, 1, len(kernel))
    try:
        values, vectors = eigsh(kernel, k=p, which="LA", v0=start)
        margin = _MULTIPLE * np.abs(values).max()
        if (np.diff(values) <= margin).any():
            return None
        rest = LinearOperator(
            kernel.shape,
            matvec=lambda x: kernel @ x - vectors @ (values * (vectors.T @ x)),
            dtype=kernel.dtype,
        )
        overlooked = eigsh(
            rest, k=1, which="LA", v0=start[::-1], tol=1e-6, return_eigenvectors=False
        )
    except ArpackError:  # no convergence, or a starting vector that is mapped to 0
        return None
    return None if overlooked[0] > values[0] - margin else (values, vectors)


def top_distances(values: NDArray, vectors: NDArray) -> tuple[NDArray, NDArray]:
    r"""Compare kernels truncated to their top p eigenpairs with the first, without forming them.

    With :math:`[V, W] = QR`, the difference :math:`V L V^T - W M W^T` has the same norm as
    :math:`R \, diag(L, -M) R^T`.

    Parameters
    ----------
    values : ndarray of shape (T, p)
    vectors : ndarray of shape (T, n, p)

    Returns
    -------
    distances : ndarray of shape (T,)
        Distance of each truncated kernel to the first.
    norms : ndarray of shape (T,)
        Norm of each truncated kernel.
    """
    norms, units = zip(*map(normalize, values), strict=True)
    distances = np.zeros(len(values))
    for t in range(1, len(values)):
        if norms[0] == 0 or norms[t] == 0:
            distances[t] = 1
            continue
        triangle: Any = np.linalg.qr(np.hstack([vectors[0], vectors[t]]), mode="r")
        difference = (triangle * np.concatenate([units[0], -units[t]])) @ triangle.T
        distances[t] = min(np.square(difference).sum() / 2, 2)
    return distances, np.array(norms)
