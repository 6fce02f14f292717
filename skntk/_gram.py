"""Gram matrices of training sets, shared among joblib workers when asked."""

from __future__ import annotations

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray
from sklearn.utils import gen_even_slices
from sklearn.utils.parallel import Parallel, delayed

from .kernels import NeuralTangentKernel

__all__ = ["gram_matrix", "row_blocks"]

_BLOCK_BYTES = 256 * 2**20


def gram_matrix(kernel: NeuralTangentKernel, X: NDArray, n_jobs: int | None = None) -> NDArray:
    """Symmetric Gram matrix, its upper triangle of blocks shared among joblib workers.

    Parameters
    ----------
    kernel : NeuralTangentKernel
    X : ndarray of shape (n, d)
    n_jobs : int, default=None
        Number of workers; None is 1 unless a `joblib.parallel_config` says otherwise.

    Returns
    -------
    gram : ndarray of shape (n, n)
    """
    n_workers = min(effective_n_jobs(n_jobs), len(X))
    if n_workers == 1:
        return kernel(X)
    slices = list(gen_even_slices(len(X), 2 * n_workers, n_samples=len(X)))
    pairs = [(rows, columns) for k, rows in enumerate(slices) for columns in slices[k:]]
    blocks = Parallel(n_jobs=n_jobs)(
        delayed(_block)(kernel, X[rows], X[columns] if columns != rows else None)
        for rows, columns in pairs
    )
    gram = np.empty((len(X), len(X)), X.dtype)
    for (rows, columns), block in zip(pairs, blocks, strict=True):
        gram[columns, rows] = block.T
        gram[rows, columns] = block
    return gram


def row_blocks(n_rows: int, n_columns: int, itemsize: int) -> list[slice]:
    """Slices of rows such that a block with that many columns stays within bounds."""
    height = max(1, _BLOCK_BYTES // max(1, n_columns * itemsize))
    return [slice(start, start + height) for start in range(0, n_rows, height)]


def _block(kernel: NeuralTangentKernel, X: NDArray, Z: NDArray | None) -> NDArray:
    return kernel(X, Z)
