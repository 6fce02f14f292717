"""Kernels computed in square tiles of pairs, each pair of a symmetric matrix once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils.precision import own_precision
from ._base import NeuralTangentKernel, Pullback

__all__ = ["TiledNTK"]


class TiledNTK(NeuralTangentKernel):
    """Base class of kernels that compile one function of two blocks of samples.

    Blocks have exactly `_tile_size` samples, whatever n is, so that new data cause no compilation
    and memory beyond the result is bounded.
    """

    block_size = 256

    @abstractmethod
    def _tile_size(self, X: NDArray) -> int:
        """Samples in a block."""

    @abstractmethod
    def _arrange(self, block: NDArray) -> NDArray:
        """Rearrange a block of rows into the layout that the compiled functions take."""

    @abstractmethod
    def _tile(self, x: NDArray, z: NDArray) -> Any:
        """Kernel between two arranged blocks."""

    @abstractmethod
    def _tile_vjp(self, x: NDArray, z: NDArray, weights: NDArray) -> Any:
        """Gradient of the weighted sum of a tile with respect to the rows of `x`."""

    def _gram(self, X: NDArray, Z: NDArray | None) -> NDArray:
        gram = np.empty((len(X), len(X if Z is None else Z)), X.dtype)
        right = list(self._blocks(X if Z is None else Z))
        for rows, x in self._blocks(X):
            for columns, z in right:
                if Z is None and columns.start < rows.start:
                    continue
                with own_precision():
                    tile = np.asarray(self._tile(x, z))
                tile = tile[: rows.stop - rows.start, : columns.stop - columns.start]
                if Z is None and rows == columns:
                    tile = np.triu(tile) + np.triu(tile, 1).T
                elif Z is None:
                    gram[columns, rows] = tile.T
                gram[rows, columns] = tile
        return gram

    def _linearize(self, X: NDArray, Z: NDArray) -> tuple[NDArray, Pullback]:
        def pullback(W: NDArray) -> NDArray:
            flat = W.reshape(-1, *W.shape[-2:])
            gradients = np.stack([self._vjp(X, Z, w) for w in flat])
            return gradients.reshape(*W.shape[:-2], *X.shape)

        return self._gram(X, Z), pullback

    def _vjp(self, X: NDArray, Z: NDArray, W: NDArray) -> NDArray:
        gradient = np.zeros_like(X)
        right = list(self._blocks(Z))
        for rows, x in self._blocks(X):
            for columns, z in right:
                block = W[rows, columns]
                weights = np.zeros((self._tile_size(X),) * 2, X.dtype)  # 0 for padded pairs
                weights[: block.shape[0], : block.shape[1]] = block
                with own_precision():
                    part = np.asarray(self._tile_vjp(x, z, weights))
                gradient[rows] += part[: block.shape[0]]
        return gradient

    def _blocks(self, X: NDArray) -> Iterator[tuple[slice, NDArray]]:
        """Slices of rows and their arranged blocks; the last is padded by repeating a sample."""
        size = self._tile_size(X)
        for start in range(0, len(X), size):
            stop = min(start + size, len(X))
            block = X[np.minimum(np.arange(start, start + size), stop - 1)]
            yield slice(start, stop), self._arrange(block)
