"""Kernels that depend on <x, z>, |x| and |z| alone: one matrix product, then a function of pairs.

The function of a pair is compiled by XLA for tiles of a few fixed shapes, so that new data cause
no compilation. The products are left to BLAS, which exploits symmetry.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from .._utils.precision import precision
from ._base import NeuralTangentKernel, Pullback
from ._functions import as_floats, rotation_invariant
from ._once import with_one
from ._products import upper_products

__all__ = ["PairFunction", "RotationInvariantNTK"]

#: Maps (versine, coversine, |x|, |z|, *parameters) of pairs, broadcast against each other, to
#: their kernel values and the derivatives of these with respect to <x, z> and to |x|^2.
PairFunction = Callable[..., tuple[jax.Array, jax.Array, jax.Array]]

#: Shapes of compiled tiles of pairs: the first is for small data, the second for a few samples
#: against many, and the third amortises the cost of dispatch.
_TILES = ((64, 64), (8, 2**14), (256, 512))

#: Cost of dispatching a tile, in units of the cost of a pair.
_DISPATCH = 2**13

#: Lengths of compiled vectors of pairs.
_CHUNKS = (2**12, 2**17)

#: Below this versine (or coversine) the inner product has lost the digits of the angle, and the
#: pair is computed again from the difference (or sum) of its unit vectors.
_NEAR = {np.dtype(np.float64): 1e-5, np.dtype(np.float32): 1e-3}


class RotationInvariantNTK(NeuralTangentKernel):
    """Base class of kernels defined by a `PairFunction` and its parameters."""

    @abstractmethod
    def pair_function(self, n_features: int) -> tuple[PairFunction, tuple[float, ...]]:
        """Return a `PairFunction` and its floats, for inputs of `n_features` features.

        The function is the key of the compilation cache, so return the same object at every call.
        """

    def as_jax(self) -> Callable[[Any, Any], jax.Array]:
        def function(x: Any, z: Any) -> jax.Array:
            x, z = as_floats(x, z)
            self.check_parameters(len(x))
            return rotation_invariant(*self.pair_function(len(x)))(x, z)

        return function

    def _gram(self, X: NDArray, Z: NDArray | None) -> NDArray:
        gram = upper_products(X) if Z is None else X @ Z.T
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
        function, parameters = kernel.pair_function(X.shape[1])
        self.X, self.Z = X, X if Z is None else Z
        self.symmetric = Z is None
        self.dtype = X.dtype
        self.x_norms = _norms(X)
        self.z_norms = self.x_norms if Z is None else _norms(Z)
        self.parameters = np.asarray(parameters, X.dtype)
        self.function = function
        self.one = X.dtype.type(1)

    def fill(self, outputs: tuple[NDArray, ...], products: NDArray) -> None:
        """Write the values (and derivatives) of all pairs; `products` may be `outputs[0]`.

        If the matrix is symmetric, only the upper triangle of `products` is read.
        """
        n, m = products.shape
        shape = _tile_shape(n, m, self.symmetric)
        # XLA computes a tile while the previous one is being stored.
        previous: Any = None
        for rows, columns in _tiles(n, m, shape, self.symmetric):
            computed = self._compute(products, rows, columns, shape, len(outputs))
            if previous:
                self._put(outputs, products, *previous)
            previous = rows, columns, computed
        self._put(outputs, products, *previous)

    def _compute(
        self, products: NDArray, rows: slice, columns: slice, shape: tuple[int, int], n_outputs: int
    ) -> tuple[jax.Array, ...]:
        """Results for a tile, padded to the compiled shape."""
        height, width = shape
        tile = _padded(products[rows, columns], shape)
        x_norms = _padded(self.x_norms[rows, None], (height, 1))
        z_norms = _padded(self.z_norms[None, columns], (1, width))
        with precision(self.dtype):
            arrays = _spread(tile, x_norms, z_norms)
            near = _NEAR[self.dtype]
            return _from_products(
                self.function, n_outputs, *arrays, self.parameters, near, self.one
            )

    def _put(
        self,
        outputs: tuple[NDArray, ...],
        products: NDArray,
        rows: slice,
        columns: slice,
        computed: tuple[jax.Array, ...],
    ) -> None:
        """Store the results of a tile, after computing those of nearly parallel pairs again."""
        *results, n_near = computed
        tile = products[rows, columns]
        near = self._near(tile, rows, columns) if n_near else None
        for k, (output, result) in enumerate(zip(outputs, results, strict=True)):
            values = np.asarray(result)[: tile.shape[0], : tile.shape[1]]
            if near is not None:
                values = values.copy()
                values[near[0]] = near[1][k]
            output[rows, columns] = values
            if self.symmetric:
                _mirror(output, rows, columns)

    def _near(self, tile: NDArray, rows: slice, cols: slice) -> tuple[Any, tuple[NDArray, ...]]:
        """Indices of nearly parallel pairs in a tile and their accurate results."""
        scale = self.x_norms[rows, None] * self.z_norms[None, cols]
        i, j = np.nonzero((scale - np.abs(tile) < _NEAR[self.dtype] * scale) & (scale > 0))
        x_norms, z_norms = self.x_norms[rows][i], self.z_norms[cols][j]
        versine, coversine = np.empty_like(x_norms), np.empty_like(x_norms)
        step = max(1, 2**20 // self.X.shape[1])
        for start in range(0, len(i), step):
            part = slice(start, start + step)
            x = self.X[rows][i[part]] / x_norms[part, None]
            z = self.Z[cols][j[part]] / z_norms[part, None]
            versine[part] = np.square(x - z).sum(axis=1) / 2
            coversine[part] = np.square(x + z).sum(axis=1) / 2
        return (i, j), self.evaluate(versine, coversine, x_norms, z_norms)

    def evaluate(self, *pairs: NDArray) -> tuple[NDArray, ...]:
        """Values and derivatives for vectors of (versine, coversine, |x|, |z|)."""
        n_pairs = len(pairs[0])
        size = _chunk_size(n_pairs)
        results = tuple(np.empty(n_pairs, self.dtype) for _ in range(3))
        for start in range(0, n_pairs, size):
            stop = min(start + size, n_pairs)
            flat = np.zeros((4, size), self.dtype)
            flat[:, : stop - start] = [pair[start:stop] for pair in pairs]
            with precision(self.dtype):
                chunk = _from_angles(self.function, *flat, self.parameters, self.one)
            for result, values in zip(results, chunk, strict=True):
                result[start:stop] = np.asarray(values)[: stop - start]
        return results


@partial(jax.jit, static_argnums=(0, 1))
def _from_products(
    function: Callable[..., Any],
    n_outputs: int,
    products: jax.Array,
    x_norms: jax.Array,
    z_norms: jax.Array,
    parameters: jax.Array,
    near: float,
    one: jax.Array,
) -> tuple[jax.Array, ...]:
    scale = x_norms * z_norms
    positive = scale > 0
    cosine = jnp.where(positive, products / jnp.where(positive, scale, 1), 0)
    versine, coversine = jnp.clip(1 - cosine, 0, 2), jnp.clip(1 + cosine, 0, 2)
    with with_one(one):
        results = function(versine, coversine, x_norms, z_norms, *parameters)
    n_near = jnp.sum((scale - jnp.abs(products) < near * scale) & positive)
    return *results[:n_outputs], n_near


@partial(jax.jit, static_argnums=0)
def _from_angles(
    function: Callable[..., Any],
    versine: jax.Array,
    coversine: jax.Array,
    x_norms: jax.Array,
    z_norms: jax.Array,
    parameters: jax.Array,
    one: jax.Array,
) -> tuple[jax.Array, ...]:
    with with_one(one):
        return function(versine, coversine, x_norms, z_norms, *parameters)


def _spread(tile: NDArray, x_norms: NDArray, z_norms: NDArray) -> Any:
    """Shard the rows of a tile over JAX's devices if there are several."""
    devices = jax.local_devices()
    if len(devices) == 1 or len(tile) % len(devices):
        return tile, x_norms, z_norms
    mesh = jax.sharding.Mesh(np.array(devices), ("rows",))
    by_rows, copied = (
        jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(axis))
        for axis in ("rows", None)
    )
    return jax.device_put((tile, x_norms, z_norms), (by_rows, by_rows, copied))


def _padded(array: NDArray, shape: tuple[int, int]) -> NDArray:
    if array.shape == shape:
        return array
    padded = np.zeros(shape, array.dtype)
    padded[: array.shape[0], : array.shape[1]] = array
    return padded


def _mirror(matrix: NDArray, rows: slice, columns: slice) -> None:
    """Copy a tile of the upper triangle below the diagonal."""
    if rows.start == columns.start:
        square = matrix[rows, rows]
        square[...] = np.triu(square) + np.triu(square, 1).T
    right = slice(max(rows.stop, columns.start), columns.stop)
    matrix[right, rows] = matrix[rows, right].T


def _norms(X: NDArray) -> NDArray:
    return np.sqrt(np.einsum("ij,ij->i", X, X))


def _chunk_size(n_pairs: int) -> int:
    small, large = _CHUNKS
    return small if n_pairs <= 4 * small else large


def _tile_shape(n: int, m: int, symmetric: bool) -> tuple[int, int]:
    """Tile shape that covers an (n, m) rectangle, or its upper triangle, at the least cost."""

    def cost(shape: tuple[int, int]) -> int:
        height, width = shape
        tops = np.arange(0, n, height)
        n_tiles = int((-(-(m - tops * symmetric) // width)).sum())
        return n_tiles * (height * width + _DISPATCH)

    return min(_TILES, key=cost)


def _tiles(
    n: int, m: int, shape: tuple[int, int], symmetric: bool
) -> Iterator[tuple[slice, slice]]:
    """Blocks that cover an (n, m) rectangle, or the upper triangle of a symmetric matrix."""
    height, width = shape
    for top in range(0, n, height):
        for left in range(top if symmetric else 0, m, width):
            yield slice(top, min(top + height, n)), slice(left, min(left + width, m))
