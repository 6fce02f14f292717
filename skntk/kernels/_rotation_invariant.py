"""Kernels of (<x, z>, |x|, |z|) alone: one matrix product, then a function of each pair.

The function of a pair is compiled by XLA for flat chunks of two fixed sizes, so new
data never compile anything; the products are left to BLAS, which uses symmetry.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from .._precision import precision
from ._base import NeuralTangentKernel, Pullback

__all__ = ["PairFunction", "RotationInvariantNTK"]

#: (versine, coversine, |x|, |z|, *parameters) of each pair -> its kernel value and the
#: derivatives of that with respect to <x, z> and to |x|^2.
PairFunction = Callable[..., tuple[jax.Array, jax.Array, jax.Array]]

#: Pairs in a compiled chunk. The large one amortises dispatch, the small one keeps
#: small data instant.
_CHUNKS = (2**12, 2**17)

#: Below this versine (or coversine) the product has lost the digits of the angle and
#: the pair is computed again from the difference of its unit vectors.
_NEAR = {np.dtype(np.float64): 1e-5, np.dtype(np.float32): 1e-3}


class RotationInvariantNTK(NeuralTangentKernel):
    """Base of kernels given by a `PairFunction` and its parameters."""

    @abstractmethod
    def _pair_function(self, n_features: int) -> tuple[PairFunction, tuple[float, ...]]:
        """Return a module-level function (it keys the compilation cache) and its floats."""

    def _gram(self, X: NDArray, Z: NDArray | None) -> NDArray:
        # np.dot of a matrix with its own transpose is a symmetric rank-k update.
        gram = X @ (X if Z is None else Z).T
        _Pairs(self, X, Z).fill((gram,), gram)
        return gram

    def _diag(self, X: NDArray) -> NDArray:
        norms = _norms(X)
        pairs = _Pairs(self, X, None)
        zero = np.zeros_like(norms)
        return pairs.evaluate(zero, np.full_like(norms, 2), norms, norms)[0]

    def _linearize(self, X: NDArray, Z: NDArray) -> tuple[NDArray, Pullback]:
        gram = X @ Z.T
        by_product, by_square = np.empty_like(gram), np.empty_like(gram)
        _Pairs(self, X, Z).fill((gram, by_product, by_square), gram)

        def pullback(W: NDArray) -> NDArray:
            gradient = (W * by_product) @ Z
            gradient += 2 * np.einsum("...ij,ij->...i", W, by_square)[..., None] * X
            return gradient

        return gram, pullback


class _Pairs:
    """Applies a kernel's pair function to every pair of rows of X and Z."""

    def __init__(self, kernel: RotationInvariantNTK, X: NDArray, Z: NDArray | None):
        function, parameters = kernel._pair_function(X.shape[1])
        self.X, self.Z = X, X if Z is None else Z
        self.symmetric = Z is None
        self.dtype = X.dtype
        self.x_norms = _norms(X)
        self.z_norms = self.x_norms if Z is None else _norms(Z)
        self.parameters = np.asarray(parameters, X.dtype)
        self.function = function

    def fill(self, outputs: tuple[NDArray, ...], products: NDArray) -> None:
        """Write value (and derivatives) of all pairs; `products` may be `outputs[0]`."""
        n, m = products.shape
        size = _chunk_size(n * m)
        tiles = _upper_tiles(n, size) if self.symmetric else _tiles(n, m, size)
        for rows, columns in tiles:
            self._fill_tile(outputs, products, rows, columns, size)

    def _fill_tile(
        self, outputs: tuple[NDArray, ...], products: NDArray, rows: slice, cols: slice, size: int
    ) -> None:
        tile = products[rows, cols]
        flat = np.zeros((3, size), self.dtype)
        for row, values in zip(
            flat, (tile, self.x_norms[rows, None], self.z_norms[None, cols]), strict=True
        ):
            row[: tile.size].reshape(tile.shape)[...] = values
        with precision(self.dtype):
            *results, n_near = _from_products(
                self.function, len(outputs), *_spread(flat), self.parameters, _NEAR[self.dtype]
            )
        near = self._near(tile, rows, cols) if n_near else None
        for k, (output, result) in enumerate(zip(outputs, results, strict=True)):
            values = np.asarray(result)[: tile.size].reshape(tile.shape)
            if near is not None:
                values = values.copy()
                values[near[0]] = near[1][k]
            self._store(output, values, rows, cols)

    def _store(self, output: NDArray, values: NDArray, rows: slice, cols: slice) -> None:
        if self.symmetric and rows == cols:
            values = np.triu(values) + np.triu(values, 1).T
        elif self.symmetric:
            output[cols, rows] = values.T
        output[rows, cols] = values

    def _near(self, tile: NDArray, rows: slice, cols: slice) -> tuple[Any, tuple[NDArray, ...]]:
        """Indices of nearly parallel pairs in a tile and their accurate results."""
        scale = self.x_norms[rows, None] * self.z_norms[None, cols]
        i, j = np.nonzero((scale - np.abs(tile) < _NEAR[self.dtype] * scale) & (scale > 0))
        x_norms, z_norms = self.x_norms[rows][i], self.z_norms[cols][j]
        versine, coversine = np.empty_like(x_norms), np.empty_like(x_norms)
        for block in _tiles(len(i), 1, max(1, 2**20 // self.X.shape[1])):
            part = block[0]
            x = self.X[rows][i[part]] / x_norms[part, None]
            z = self.Z[cols][j[part]] / z_norms[part, None]
            versine[part] = np.square(x - z).sum(axis=1) / 2
            coversine[part] = np.square(x + z).sum(axis=1) / 2
        return (i, j), self.evaluate(versine, coversine, x_norms, z_norms)

    def evaluate(self, *pairs: NDArray) -> tuple[NDArray, ...]:
        """Value and derivatives for vectors of (versine, coversine, |x|, |z|)."""
        n_pairs = len(pairs[0])
        size = _chunk_size(n_pairs)
        results = tuple(np.empty(n_pairs, self.dtype) for _ in range(3))
        for start in range(0, n_pairs, size):
            stop = min(start + size, n_pairs)
            flat = np.zeros((4, size), self.dtype)
            flat[:, : stop - start] = [pair[start:stop] for pair in pairs]
            with precision(self.dtype):
                chunk = _from_angles(self.function, *flat, self.parameters)
            for result, values in zip(results, chunk, strict=True):
                result[start:stop] = np.asarray(values)[: stop - start]
        return results


@partial(jax.jit, static_argnums=(0, 1))
def _from_products(function, n_outputs, products, x_norms, z_norms, parameters, near):
    scale = x_norms * z_norms
    positive = scale > 0
    cosine = jnp.where(positive, products / jnp.where(positive, scale, 1), 0)
    versine, coversine = jnp.clip(1 - cosine, 0, 2), jnp.clip(1 + cosine, 0, 2)
    results = function(versine, coversine, x_norms, z_norms, *parameters)
    n_near = jnp.sum((scale - jnp.abs(products) < near * scale) & positive)
    return *results[:n_outputs], n_near


@partial(jax.jit, static_argnums=0)
def _from_angles(function, versine, coversine, x_norms, z_norms, parameters):
    return function(versine, coversine, x_norms, z_norms, *parameters)


def _spread(vectors: NDArray) -> Any:
    """Rows, each shared among JAX's devices if there are several: XLA then does the rest."""
    devices = jax.local_devices()
    if len(devices) == 1 or vectors.shape[1] % len(devices):
        return vectors
    mesh = jax.sharding.Mesh(np.array(devices), ("pairs",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("pairs"))
    return [jax.device_put(row, sharding) for row in vectors]


def _norms(X: NDArray) -> NDArray:
    return np.sqrt(np.einsum("ij,ij->i", X, X))


def _chunk_size(n_pairs: int) -> int:
    small, large = _CHUNKS
    return small if n_pairs <= 4 * small else large


def _tiles(n: int, m: int, size: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of at most `size` pairs that cover an (n, m) rectangle."""
    width = min(m, size)
    height = max(1, size // width)
    for top in range(0, n, height):
        for left in range(0, m, width):
            yield slice(top, min(top + height, n)), slice(left, min(left + width, m))


def _upper_tiles(n: int, size: int) -> Iterator[tuple[slice, slice]]:
    """Square blocks that cover the upper triangle of an (n, n) square."""
    width = math.isqrt(size)
    blocks = [slice(start, min(start + width, n)) for start in range(0, n, width)]
    for k, rows in enumerate(blocks):
        for columns in blocks[k:]:
            yield rows, columns
