"""Gram matrices of training sets in blocks: stored, shared among workers, or never formed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray

from .._utils.workers import in_order
from ._base import NeuralTangentKernel
from ._places import Places

__all__ = ["GramOperator", "gram_matrix", "row_blocks", "upper_blocks"]

_BLOCK_BYTES = 256 * 2**20


def gram_matrix(
    kernel: NeuralTangentKernel,
    X: NDArray,
    n_jobs: int | None = None,
    *,
    on_step: Callable[[], Any] = lambda: None,
) -> NDArray:
    """Symmetric Gram matrix, computed in the blocks of its upper triangle.

    The blocks depend on n and the kernel, not on the number of workers. The result is therefore
    the same for any number of workers, up to the rounding of BLAS, which depends on its threads
    and on the alignment of arrays.

    Parameters
    ----------
    kernel : NeuralTangentKernel
    X : ndarray of shape (n, d)
    n_jobs : int, default=None
        Number of joblib workers. If None, 1, unless `joblib.parallel_config` sets another number.
    on_step : callable, optional
        Called after every block.

    Returns
    -------
    gram : ndarray of shape (n, n)
    """
    effective_n_jobs(n_jobs)  # raises for 0
    pairs = upper_blocks(kernel, len(X))
    if len(pairs) == 1:
        gram = kernel(X)
        on_step()
        return gram
    gram = np.empty((len(X), len(X)), X.dtype)
    tasks = ((kernel, *_sides(X, rows, columns)) for rows, columns in pairs)
    blocks = in_order(_block, tasks, n_jobs)
    for (rows, columns), block in zip(pairs, blocks, strict=True):
        gram[columns, rows] = block.T
        gram[rows, columns] = block
        on_step()
    return gram


def upper_blocks(kernel: NeuralTangentKernel, n: int) -> list[tuple[slice, slice]]:
    """Pairs of slices that cover the upper triangle of an (n, n) matrix."""
    blocks = [slice(k, min(k + kernel.block_size, n)) for k in range(0, n, kernel.block_size)]
    return [(rows, columns) for k, rows in enumerate(blocks) for columns in blocks[k:]]


def row_blocks(n_rows: int, n_columns: int, itemsize: int) -> list[slice]:
    """Slices of rows such that a block of `n_columns` columns stays within `_BLOCK_BYTES`."""
    height = max(1, _BLOCK_BYTES // max(1, n_columns * itemsize))
    return [slice(start, start + height) for start in range(0, n_rows, height)]


class GramOperator:
    """A Gram matrix that is not stored: each product computes it again, block by block.

    Parameters
    ----------
    kernel : NeuralTangentKernel
    X : ndarray of shape (n, d)
    n_jobs : int, default=None
        Number of joblib workers that compute the blocks.
    """

    def __init__(self, kernel: NeuralTangentKernel, X: NDArray, n_jobs: int | None = None):
        self.kernel, self.X, self.n_jobs = kernel, X, n_jobs
        self.pairs = upper_blocks(kernel, len(X))

    def __matmul__(self, vectors: NDArray) -> NDArray:
        """Product with vectors (n, k)."""
        tasks = (
            (self.kernel, *_sides(self.X, rows, columns), vectors[rows], vectors[columns])
            for rows, columns in self.pairs
        )
        total = np.zeros_like(vectors)
        # The sum is taken in a fixed order, whatever the number of workers.
        parts = in_order(_block_product, tasks, self.n_jobs)
        for (rows, columns), (upper, lower) in zip(self.pairs, parts, strict=True):
            total[rows] += upper
            if lower is not None:
                total[columns] += lower
        return total

    def columns(self, indices: NDArray) -> NDArray:
        """Selected columns (n, b)."""
        return self.kernel(self.X, self.X[indices])

    def diagonal(self) -> NDArray:
        """Diagonal (n,)."""
        return self.kernel.diag(self.X)


def _sides(X: NDArray, rows: slice, columns: slice) -> tuple[NDArray, NDArray | None, Places]:
    """Samples on both sides of a block, and where they come from."""
    places = (("X", rows.start), ("X", columns.start))
    return X[rows], X[columns] if columns != rows else None, places


def _block(kernel: NeuralTangentKernel, X: NDArray, Z: NDArray | None, places: Places) -> NDArray:
    return kernel._block(X, Z, places)


def _block_product(
    kernel: NeuralTangentKernel,
    X: NDArray,
    Z: NDArray | None,
    places: Places,
    v_x: NDArray,
    v_z: NDArray,
) -> tuple[NDArray, NDArray | None]:
    block = kernel._block(X, Z, places)
    return block @ v_z, None if Z is None else block.T @ v_x
