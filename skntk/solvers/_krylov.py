r"""Gradient flow at a finite time by products alone, in a block Krylov space.

The Krylov space of K and Y is spanned by Y, K Y, K K Y, and so on. With Q an orthonormal basis of
it and H = Q^T K Q, which is small, :math:`A = Q \phi_t(H + \alpha I) Q^T Y`
(Saad, "Analysis of some Krylov subspace approximations to the matrix exponential operator", 1992).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._spectrum import Spectrum

__all__ = ["KrylovFlow", "krylov_flow"]

Operator = Callable[[NDArray], NDArray]

#: The space grows by this factor, at least, between two looks at the residual.
_GROWTH = 1.1
#: Parts of the time at which the residual is measured.
_MOMENTS = (1.0, 0.5, 0.25)
#: Multiple of the rounding error of a product below which a new direction is noise.
_NOISE = 100


@dataclass
class KrylovFlow:
    """Coefficients at a finite time, and how accurate they are.

    Attributes
    ----------
    coefficients : ndarray of shape (n, k)
        In float64.
    n_iter : int
        Number of products with K.
    residual : ndarray of shape (k,)
        Largest norm of Y - (K + alpha I) A(s) - A'(s) at times s up to t, relative to that of Y. It
        bounds the error of K A, the outputs on the training samples.
    """

    coefficients: NDArray
    n_iter: int
    residual: NDArray


def krylov_flow(
    product: Operator,
    targets: NDArray,
    time: float,
    alpha: float = 0.0,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    on_step: Callable[[], Any] = lambda: None,
    check_memory: Callable[[int], Any] = lambda n_bytes: None,
) -> KrylovFlow:
    r"""Dual coefficients :math:`\phi_t(K + \alpha I) Y`.

    Every column of the targets uses the whole space, whose dimension grows by the number of
    columns with each product. It takes about :math:`\sqrt{t \lambda}` products, where
    :math:`\lambda` is the largest eigenvalue after the few that stand apart, and fewer where the
    flow has all but ended.

    Parameters
    ----------
    product : callable
        V (n, k) in float64 -> K V in float64.
    targets : ndarray of shape (n, k)
        In the dtype of K, whose rounding decides which eigenvalues count as 0.
    time : float
        Gradient-flow time, finite.
    alpha : float, default=0
        Ridge.
    tol : float, default=1e-6
        Residual, relative to the targets, to stop at.
    max_iter : int, default=1000
        Largest number of products.
    on_step : callable, optional
        Called after every product.
    check_memory : callable, optional
        Called with the bytes that the basis is about to take.

    Returns
    -------
    flow : KrylovFlow

    Raises
    ------
    ValueError
        If K is indefinite, and the flow along a negative eigenvalue overflows.
    """
    scale = np.linalg.norm(targets.astype(np.float64), axis=0)
    space = _Space(targets.astype(np.float64) / np.where(scale > 0, scale, 1), check_memory)
    if time == 0 or not space.size:
        return KrylovFlow(np.zeros(targets.shape), 0, np.zeros(len(scale)))
    n_iter, size = 0, 0
    while True:
        space.grow(product)
        n_iter += 1
        on_step()
        if space.is_whole or n_iter == max_iter or space.size >= _GROWTH * size:
            size = space.size
            coordinates, residual = space.flow(time, alpha, targets.dtype)
            if space.is_whole or n_iter == max_iter or (residual <= tol).all():
                return KrylovFlow(space.vectors(coordinates) * scale, n_iter, residual)


class _Space:
    """A Krylov space that grows by a block of vectors with each product.

    `projected` is H. The newest block has not been multiplied yet; `coupling` is what the blocks
    before contribute to it: the part of K Q outside of them is the newest block times `coupling`.
    """

    def __init__(self, targets: NDArray, check_memory: Callable[[int], Any]):
        self.n = len(targets)
        self.check_memory = check_memory
        self.basis = np.empty((self.n, 0))
        self.size = self.multiplied = 0
        block, self.start = _orthonormal(targets, np.finfo(np.float64).eps)
        self.projected = np.zeros((0, 0))
        self.coupling = self.start
        self._append(block)

    @property
    def is_whole(self) -> bool:
        """Whether K maps the space into itself, so that nothing is left to add."""
        return self.multiplied == self.size

    def grow(self, product: Operator) -> None:
        """Multiply the newest block, and add what is new."""
        new = slice(self.multiplied, self.size)
        block = np.ascontiguousarray(self.basis[:, new])
        image = product(block)
        rounding = np.finfo(np.float64).eps * np.linalg.norm(image)
        known = self.basis[:, : self.size]
        inside = known.T @ image
        image -= known @ inside
        image -= known @ (known.T @ image)
        self.projected = np.pad(self.projected, (0, new.stop - new.start))
        self.projected[:, new], self.projected[new] = inside, inside.T
        self.projected[new, new] = (inside[new] + inside[new].T) / 2
        self.multiplied = self.size
        block, coupling = _orthonormal(image, _NOISE * rounding)
        # Short vectors have grown by the division, and what they still had of the space with them.
        block, correction = np.linalg.qr(block - known @ (known.T @ block))
        # A basis of the whole space has no room for more.
        room = self.n - self.size
        self.coupling = (correction @ coupling)[:room]
        self._append(block[:, :room])

    def flow(self, time: float, alpha: float, dtype: Any) -> tuple[NDArray, NDArray]:
        """Coordinates (p, k) of the coefficients, and the residual (k,)."""
        values, vectors = np.linalg.eigh(self.projected)
        spectrum = Spectrum(values[::-1].astype(dtype), vectors[:, ::-1])
        start = np.zeros((self.multiplied, self.start.shape[1]))
        start[: len(self.start)] = self.start
        last = self.coupling.shape[1]
        residual = np.zeros(start.shape[1])
        for part in reversed(_MOMENTS):
            coordinates = spectrum.coefficients(start, part * time, alpha)
            outside = self.coupling @ coordinates[self.multiplied - last :]
            residual = np.maximum(residual, np.linalg.norm(outside, axis=0))
        return coordinates, residual

    def vectors(self, coordinates: NDArray) -> NDArray:
        """Vectors (n, k) with these coordinates in the space."""
        return self.basis[:, : len(coordinates)] @ coordinates

    def _append(self, block: NDArray) -> None:
        size = self.size + block.shape[1]
        if size > self.basis.shape[1]:
            capacity = min(self.n, max(2 * self.basis.shape[1], 8 * block.shape[1]))
            self.check_memory(8 * self.n * (capacity + self.size))
            basis = np.empty((self.n, capacity))
            basis[:, : self.size] = self.basis[:, : self.size]
            self.basis = basis
        self.basis[:, self.size : size] = block
        self.size = size


def _orthonormal(vectors: NDArray, noise: float) -> tuple[NDArray, NDArray]:
    """Orthonormal basis U of the vectors, without directions of a length within `noise`.

    Returns
    -------
    basis : ndarray of shape (n, r)
    coordinates : ndarray of shape (r, k)
        Such that U times them are the vectors.
    """
    left, lengths, right = np.linalg.svd(vectors, full_matrices=False)
    kept = lengths > noise
    return left[:, kept], lengths[kept, None] * right[kept]
