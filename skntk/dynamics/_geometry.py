"""How kernels differ: distances, polar coordinates, concentration (Eq. 12, 13).

All of it but the top eigenpairs follows from the Frobenius products of every two kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import eigsh

__all__ = [
    "as_kernel",
    "concentration",
    "distances_from_products",
    "frobenius_products",
    "polar_from_products",
    "subspace_products",
    "top_eigenpairs",
]

#: Smallest matrix for which Lanczos iteration beats reducing the whole of it.
_LANCZOS_SIZE = 200


def as_kernel(K: ArrayLike, name: str) -> NDArray:
    """Give a square matrix in float64.

    Raises
    ------
    ValueError
        If it is not finite, square and real.
    """
    K = np.asarray(K)
    if K.ndim != 2 or K.shape[0] != K.shape[1] or K.shape[0] == 0:
        raise ValueError(f"{name} has shape {K.shape}; give a square matrix.")
    if K.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold real numbers, got an array of {K.dtype}.")
    if not np.isfinite(K).all():
        raise ValueError(f"{name} holds NaN or infinity; give a finite matrix.")
    return K.astype(np.float64, copy=False)


def frobenius_products(left: NDArray, right: NDArray) -> NDArray:
    """Products <K_i, K_j>_F of two stacks (S, n, n) and (T, n, n), as one matrix product."""
    return left.reshape(len(left), -1) @ right.reshape(len(right), -1).T


def distances_from_products(products: NDArray) -> NDArray:
    """Pairwise kernel distances (Eq. 12).

    Parameters
    ----------
    products : ndarray of shape (T, T)
        <K_i, K_j>_F.

    Returns
    -------
    distances : ndarray of shape (T, T)
        In [0, 2], and 0 on the diagonal. A zero kernel is at distance 1 of all others.
    """
    distances = 1 - _cosines(products)
    np.fill_diagonal(distances, 0)
    return distances


def polar_from_products(products: NDArray) -> tuple[NDArray, NDArray]:
    """Radius and angle of every kernel as seen from the first (Eq. 13).

    Parameters
    ----------
    products : ndarray of shape (T, T)
        <K_i, K_j>_F in order of time.

    Returns
    -------
    radius : ndarray of shape (T,)
        |K_t - K_0| / |K_final - K_0|; 0 throughout if the kernel ends where it began.
    angle : ndarray of shape (T,)
        In radians.
    """
    squares = products.diagonal()
    moved = np.sqrt(np.maximum(squares - 2 * products[:, 0] + squares[0], 0))
    moved[0] = 0
    radius = moved / moved[-1] if moved[-1] > 0 else np.zeros_like(moved)
    angle = np.arccos(_cosines(products)[:, 0])
    angle[0] = 0
    return radius, angle


def concentration(eigenvalues: NDArray, squared_norm: Any, p: int) -> NDArray:
    """Share of the squared Frobenius norm in the top p of descending eigenvalues (..., q)."""
    top = np.square(eigenvalues[..., :p]).sum(axis=-1)
    return np.divide(top, squared_norm, out=np.zeros_like(top), where=np.asarray(squared_norm) > 0)


def top_eigenpairs(kernel: NDArray, p: int) -> tuple[NDArray, NDArray]:
    """Largest p eigenvalues (p,), descending, and their eigenvectors (n, p)."""
    n = len(kernel)
    if n < _LANCZOS_SIZE or p >= n // 4 or not kernel.any():
        values, vectors = np.linalg.eigh(kernel)
    else:
        # A fixed start, so that the same kernel always has the same eigenvectors.
        start = np.random.default_rng(0).uniform(-1, 1, n).astype(kernel.dtype)
        values, vectors = eigsh(kernel, k=p, which="LA", v0=start)
    return values[::-1][:p], np.ascontiguousarray(vectors[:, ::-1][:, :p])


def subspace_products(values: NDArray, vectors: NDArray) -> NDArray:
    r"""Frobenius products of kernels cut down to their top p eigenpairs, none of them formed.

    :math:`\langle V L V^T, W M W^T \rangle = \sum_{ab} l_a m_b (v_a \cdot w_b)^2`.

    Parameters
    ----------
    values : ndarray of shape (T, p)
    vectors : ndarray of shape (T, n, p)

    Returns
    -------
    products : ndarray of shape (T, T)
    """
    n_kernels, n, p = vectors.shape
    rows = vectors.transpose(0, 2, 1).reshape(n_kernels * p, n)
    weights = values.reshape(-1)
    overlaps = np.square(rows @ rows.T) * np.outer(weights, weights)
    return overlaps.reshape(n_kernels, p, n_kernels, p).sum(axis=(1, 3))


def _cosines(products: NDArray) -> NDArray:
    norms = np.sqrt(products.diagonal())
    scale = np.outer(norms, norms)
    cosines = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
    return np.clip(cosines, -1, 1)
