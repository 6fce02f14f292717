"""Any infinitely wide network that neural_tangents can describe."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from .._utils.precision import precision
from .._utils.validation import check_integer
from ._images import check_image_shape
from ._tiled import TiledNTK

__all__ = ["StaxNTK"]

#: Covariances between pixels that a pooled network may hold for one tile of pairs.
_TILE_PIXEL_PAIRS = 2**26


class StaxNTK(TiledNTK):
    """NTK of a `neural_tangents.stax` network; input gradients by automatic differentiation.

    Parameters
    ----------
    network : tuple (init_fn, apply_fn, kernel_fn), or callable
        What `stax.serial` returns; or a function of no arguments that returns it. Networks
        are closures, which do not pickle: pass an importable function where the kernel is
        to be pickled. `skntk.load_neural_tangents()` gives the library on current JAX.
    image_shape : tuple of int (H, W, C), default=None
        Shape of one sample for convolutional networks; None: flat vectors.
    tile_size : int, default=None
        Samples on each side of a block of pairs, which bounds memory. None: 64 for flat
        inputs; for images, as many as hold 2**26 pairs of pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from skntk import load_neural_tangents
    >>> from skntk.kernels import FullyConnectedNTK, StaxNTK
    >>> stax = load_neural_tangents().stax
    >>> layer = dict(W_std=2**0.5, b_std=0.1)
    >>> network = stax.serial(stax.Dense(1, **layer), stax.Relu(), stax.Dense(1, **layer))
    >>> X = np.array([[1.0, 2.0], [3.0, -1.0]])
    >>> np.allclose(StaxNTK(network)(X), FullyConnectedNTK(depth=1)(X))
    True
    """

    _if_not_finite = (
        "replace the layer that gives NaN (RectifiedMonomial of a degree above 1 does, by the "
        "rounding of its angles), or lower W_std"
    )

    def __init__(
        self,
        network: Any,
        *,
        image_shape: tuple[int, int, int] | None = None,
        tile_size: int | None = None,
    ):
        self.network = network
        self.image_shape = image_shape
        self.tile_size = tile_size

    def check_parameters(self, n_features: int) -> None:
        if self.image_shape is not None:
            check_image_shape(self.image_shape, n_features)
        if self.tile_size is not None:
            check_integer("tile_size", self.tile_size, low=1)
        self._kernel_fn()

    def _kernel_fn(self) -> Callable:
        if callable(self.network):
            return _of_factory(self.network)
        return _kernel_fn_of(self.network)

    def _diag(self, X: NDArray) -> NDArray:
        diagonal = np.empty(len(X), X.dtype)
        for rows, x in self._blocks(X):
            with precision(X.dtype):
                tile = np.asarray(self._tile(x, x))
            diagonal[rows] = tile.diagonal()[: rows.stop - rows.start]
        return diagonal

    def _tile_size(self, X: NDArray) -> int:
        if self.tile_size is not None:
            return self.tile_size
        if self.image_shape is None:
            return 64
        n_pixels = self.image_shape[0] * self.image_shape[1]
        return min(64, max(1, math.isqrt(_TILE_PIXEL_PAIRS // n_pixels**2)))

    def _arrange(self, block: NDArray) -> NDArray:
        return block if self.image_shape is None else block.reshape(-1, *self.image_shape)

    def _tile(self, x: NDArray, z: NDArray) -> jax.Array:
        with jax.enable_checks(False):  # whose demands on a trace neural_tangents does not meet
            return _tile(self._kernel_fn(), x, z)

    def _tile_vjp(self, x: NDArray, z: NDArray, weights: NDArray) -> jax.Array:
        with jax.enable_checks(False):
            return _tile_vjp(self._kernel_fn(), x, z, weights)


#: Each factory's kernel function, made once: it keys the compilation cache.
_FACTORY_KERNELS: dict[Callable, Callable] = {}


def _of_factory(factory: Callable) -> Callable:
    if factory not in _FACTORY_KERNELS:
        _FACTORY_KERNELS[factory] = _kernel_fn_of(factory())
    return _FACTORY_KERNELS[factory]


def _kernel_fn_of(network: Any) -> Callable:
    if not (isinstance(network, tuple) and len(network) == 3 and all(map(callable, network))):
        raise TypeError(
            f"network={network!r} must be (init_fn, apply_fn, kernel_fn) as stax.serial "
            "returns it, or a function of no arguments that returns that."
        )
    return network[2]


@partial(jax.jit, static_argnums=0)
def _tile(kernel_fn: Callable[..., Any], x: jax.Array, z: jax.Array) -> jax.Array:
    return kernel_fn(x, z, "ntk")


@partial(jax.jit, static_argnums=0)
def _tile_vjp(
    kernel_fn: Callable[..., Any], x: jax.Array, z: jax.Array, weights: jax.Array
) -> jax.Array:
    _, vjp = jax.vjp(lambda x: kernel_fn(x, z, "ntk"), x)
    return vjp(weights)[0].reshape(len(x), -1)
