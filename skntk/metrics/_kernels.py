"""Distance between kernels, their movement in time, and their spectral concentration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._utils.validation import check_integer
from ..dynamics._geometry import (
    as_kernel,
    concentration,
    frobenius_products,
    normalize,
    pairwise_distances,
    polar_from_distances,
    top_eigenpairs,
)

__all__ = ["kernel_distance", "polar_coordinates", "spectral_concentration"]


def kernel_distance(K1: ArrayLike, K2: ArrayLike) -> float:
    r"""Scale-invariant distance of two kernels, :math:`1 - \cos(K_1, K_2)` (Eq. 12).

    Parameters
    ----------
    K1, K2 : array-like of shape (n, n)
        Kernels on the same samples.

    Returns
    -------
    distance : float
        In [0, 2]: 0 for kernels that are positive multiples of each other, 1 if one of them is 0.

    Raises
    ------
    ValueError
        If they are not finite square matrices of the same size.

    Examples
    --------
    >>> from skntk.metrics import kernel_distance
    >>> kernel_distance([[1, 0], [0, 1]], [[3, 0], [0, 3]])
    0.0
    """
    return float(_distances([K1, K2], ["K1", "K2"])[0][0, 1])


def polar_coordinates(kernels: ArrayLike | Sequence[ArrayLike]) -> tuple[NDArray, NDArray]:
    r"""Movement of a kernel over time in polar coordinates around the first (Eq. 13).

    Parameters
    ----------
    kernels : array-like of shape (T, n, n)
        Kernels in order of time.

    Returns
    -------
    radius : ndarray of shape (T,)
        :math:`|K_t - K_0|_F / |K_T - K_0|_F`.
    angle : ndarray of shape (T,)
        :math:`\arccos(1 - d(K_t, K_0))`, in radians.

    Raises
    ------
    ValueError
        If there are no kernels, or they are not finite square matrices of the same size.

    Examples
    --------
    >>> import numpy as np
    >>> from skntk.metrics import polar_coordinates
    >>> radius, angle = polar_coordinates([np.eye(2), 2 * np.eye(2), 3 * np.eye(2)])
    >>> radius
    array([0. , 0.5, 1. ])
    """
    names = [f"kernels[{t}]" for t in range(len(kernels))]  # type: ignore[arg-type]
    distances, norms = _distances(kernels, names)
    return polar_from_distances(distances[0], norms)


def spectral_concentration(K: ArrayLike, p: int) -> float:
    r"""Share of a kernel in its top eigenvalues, :math:`\sum_{i \le p} \lambda_i^2 / |K|_F^2`.

    Parameters
    ----------
    K : array-like of shape (n, n)
        Symmetric kernel.
    p : int
        Number of eigenvalues, at most n.

    Returns
    -------
    share : float
        In [0, 1]; 0 for a zero kernel.

    Raises
    ------
    ValueError
        If `K` is not a finite symmetric matrix, or `p` is not between 1 and n.

    Examples
    --------
    >>> from skntk.metrics import spectral_concentration
    >>> round(spectral_concentration([[3.0, 0.0], [0.0, 4.0]], 1), 2)
    0.64
    """
    K = as_kernel(K, "K")
    p = check_integer("p", p, low=1)
    if p > len(K):
        raise ValueError(f"p={p} is more than the {len(K)} eigenvalues of K.")
    if not np.allclose(K, K.T, rtol=1e-5, atol=1e-5 * np.abs(K).max()):
        raise ValueError("K is not symmetric; give a kernel matrix.")
    values, _ = top_eigenpairs(K, p)
    return float(concentration(values, np.array(normalize(K)[0]), p))


def _distances(kernels: Any, names: list[str]) -> tuple[NDArray, NDArray]:
    """Pairwise distances (T, T) of kernels, and their norms (T,)."""
    checked = [as_kernel(K, name) for K, name in zip(kernels, names, strict=True)]
    if not checked:
        raise ValueError("kernels is empty; give at least one.")
    shapes = [K.shape for K in checked]
    if len(set(shapes)) > 1:
        raise ValueError(f"Kernels of shapes {shapes} differ; give them on the same samples.")
    norms, units = zip(*map(normalize, checked), strict=True)
    differences = np.stack(units) - units[0]
    products = frobenius_products(differences, differences)
    return pairwise_distances(products, np.array(norms)), np.array(norms)
