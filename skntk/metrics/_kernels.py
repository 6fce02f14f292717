"""Distance between kernels, their movement in time, and their spectral concentration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import subspace_angles
from sklearn.preprocessing import KernelCenterer

from .._utils.targets import encode_targets, one_hot_or_sign
from .._utils.validation import check_boolean, check_integer
from ..dynamics._geometry import (
    as_kernel,
    concentration,
    frobenius_products,
    normalize,
    pairwise_distances,
    polar_from_distances,
    top_eigenpairs,
)

__all__ = [
    "cka",
    "kernel_alignment",
    "kernel_distance",
    "polar_coordinates",
    "spectral_concentration",
    "subspace_overlap",
]

#: Norm of a centred kernel of unit norm and n = 1 that is nothing but rounding error.
_ROUNDING = 4 * np.finfo(np.float64).eps


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
    K = _symmetric(K, "K")
    p = _check_rank(p, K, "K")
    values, _ = top_eigenpairs(K, p)
    return float(concentration(values, np.array(normalize(K)[0]), p))


def subspace_overlap(K1: ArrayLike, K2: ArrayLike, p: int) -> NDArray:
    r"""Principal angles between the top-p eigenspaces of two kernels.

    They say how far the space of the leading features has turned: between kernels of two
    architectures, or of one network at two times of its training.

    Parameters
    ----------
    K1, K2 : array-like of shape (n, n)
        Symmetric kernels on the same samples.
    p : int
        Dimension of the eigenspaces, at most n.

    Returns
    -------
    angles : ndarray of shape (p,)
        In radians, in [0, pi / 2], the largest first: 0 for every direction that both spaces
        contain. The mean of their squared cosines is the share of one space that lies in the
        other.

    Raises
    ------
    ValueError
        If the kernels are not finite symmetric matrices of the same size, or `p` is not between
        1 and n.

    Notes
    -----
    Where eigenvalue p equals eigenvalue p + 1, the top-p eigenspace is not unique, and neither
    are the angles. The kernel of a wide network with k outputs has almost every eigenvalue k
    times; choose a multiple of k.

    Examples
    --------
    >>> import numpy as np
    >>> from skntk.metrics import subspace_overlap
    >>> subspace_overlap(np.diag([3.0, 2.0, 1.0]), np.diag([3.0, 1.0, 2.0]), 2) / np.pi
    array([0.5, 0. ])
    """
    kernels = _same_size([_symmetric(K1, "K1"), _symmetric(K2, "K2")])
    p = _check_rank(p, kernels[0], "K1")
    spaces = [top_eigenpairs(K, p)[1] for K in kernels]
    return np.sort(subspace_angles(*spaces))[::-1]  # small ones may come unsorted, by rounding


def kernel_alignment(K: ArrayLike, y: ArrayLike, *, centered: bool = False) -> float:
    r"""Kernel-target alignment: cosine of a kernel and of the labels' own kernel.

    .. math::
        A(K, Y Y^T) = \frac{\langle K, Y Y^T \rangle_F}{\|K\|_F \|Y Y^T\|_F}

    with Y the targets that kernel machines are fitted to: -1 and 1 for two classes, else one-hot.
    Not centred it is the alignment of Cristianini et al. [1]_, ``1 - kernel_distance(K, Y Y^T)``;
    centred, both kernels are centred first, as Cortes et al. [2]_ recommend because a constant
    added to a kernel, or classes of unequal size, otherwise decide the value.

    Parameters
    ----------
    K : array-like of shape (n, n)
        Symmetric kernel.
    y : array-like of shape (n,)
        Labels of its samples.
    centered : bool, default=False
        Whether the kernels are centred.

    Returns
    -------
    alignment : float
        In [-1, 1], and in [0, 1] for a positive semi-definite kernel; 0 for a (centred) kernel
        that is zero.

    Raises
    ------
    ValueError
        If `K` is not a finite symmetric matrix, `y` has another length, or holds one class only.

    See Also
    --------
    cka : Centred alignment of two kernels.

    References
    ----------
    .. [1] Cristianini, Shawe-Taylor, Elisseeff and Kandola, "On Kernel-Target Alignment",
       NeurIPS 2001.
    .. [2] Cortes, Mohri and Rostamizadeh, "Algorithms for Learning Kernels Based on Centered
       Alignment", JMLR 13, 2012, Definition 4.

    Examples
    --------
    >>> from skntk.metrics import kernel_alignment
    >>> kernel_alignment([[1.0, -1.0], [-1.0, 1.0]], ["cat", "dog"])
    1.0
    >>> kernel_alignment([[1.0, 0.0], [0.0, 1.0]], ["cat", "dog"])
    0.7071...
    """
    K = _symmetric(K, "K")
    check_boolean("centered", centered)
    classes, indices = encode_targets(y)
    if len(indices) != len(K):
        raise ValueError(f"y has {len(indices)} labels and K has {len(K)} rows; give one each.")
    targets = one_hot_or_sign(indices, len(classes), K.dtype)
    kernels = [K, targets @ targets.T]
    return _cosine([_centered(kernel) for kernel in kernels] if centered else kernels)


def cka(K1: ArrayLike, K2: ArrayLike) -> float:
    r"""Centred kernel alignment, the similarity of two kernels up to scale and constants.

    .. math::
        \frac{\langle H K_1 H, H K_2 H \rangle_F}{\|H K_1 H\|_F \|H K_2 H\|_F},
        \qquad H = I - 1 1^T / n

    It compares what two models see in the same samples (Kornblith et al. [1]_); features that are
    rotated, or shifted by a constant, are the same.

    Parameters
    ----------
    K1, K2 : array-like of shape (n, n)
        Symmetric kernels on the same samples.

    Returns
    -------
    similarity : float
        In [-1, 1], and in [0, 1] for positive semi-definite kernels; 1 for kernels that are equal
        up to a positive factor and a constant, 0 if a centred kernel is zero.

    Raises
    ------
    ValueError
        If they are not finite symmetric matrices of the same size.

    References
    ----------
    .. [1] Kornblith, Norouzi, Lee and Hinton, "Similarity of Neural Network Representations
       Revisited", ICML 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from skntk.metrics import cka
    >>> K = np.diag([1.0, 2.0, 3.0])
    >>> round(cka(K, 5 * K + 1), 12)
    1.0
    """
    kernels = _same_size([_symmetric(K1, "K1"), _symmetric(K2, "K2")])
    return _cosine([_centered(K) for K in kernels])


def _symmetric(K: ArrayLike, name: str) -> NDArray:
    K = as_kernel(K, name)
    if not np.allclose(K, K.T, rtol=1e-5, atol=1e-5 * np.abs(K).max()):
        raise ValueError(f"{name} is not symmetric; give a kernel matrix.")
    return K


def _check_rank(p: int, K: NDArray, name: str) -> int:
    p = check_integer("p", p, low=1)
    if p > len(K):
        raise ValueError(f"p={p} is more than the {len(K)} eigenvalues of {name}.")
    return p


def _same_size(kernels: list[NDArray]) -> list[NDArray]:
    shapes = [K.shape for K in kernels]
    if len(set(shapes)) > 1:
        raise ValueError(f"Kernels of shapes {shapes} differ; give them on the same samples.")
    return kernels


def _centered(K: NDArray) -> NDArray:
    """H K H of a kernel of unit norm; exactly 0 where nothing but rounding error is left."""
    unit = normalize(K)[1]
    centered = KernelCenterer().fit_transform(unit)
    return np.where(np.linalg.norm(centered) > _ROUNDING * len(K), centered, 0.0)


def _cosine(kernels: list[NDArray]) -> float:
    first, second = (normalize(K)[1] for K in kernels)
    return float(np.clip(np.sum(first * second), -1, 1))


def _distances(kernels: Any, names: list[str]) -> tuple[NDArray, NDArray]:
    """Pairwise distances (T, T) of kernels, and their norms (T,)."""
    checked = [as_kernel(K, name) for K, name in zip(kernels, names, strict=True)]
    if not checked:
        raise ValueError("kernels is empty; give at least one.")
    _same_size(checked)
    norms, units = zip(*map(normalize, checked), strict=True)
    differences = np.stack(units) - units[0]
    products = frobenius_products(differences, differences)
    return pairwise_distances(products, np.array(norms)), np.array(norms)
