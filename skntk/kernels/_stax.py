"""Any infinitely wide network that neural_tangents can describe."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._utils.precision import own_precision
from .._utils.validation import check_integer
from ._images import check_image_shape
from ._tiled import TiledNTK

__all__ = ["StaxNTK"]

#: Covariances between pixels that a pooled network may hold for one tile of pairs.
_TILE_PIXEL_PAIRS = 2**26


class StaxNTK(TiledNTK):
    """NTK of a `neural_tangents.stax` network; input gradients by automatic differentiation.

    The kernel must have one value for each pair of samples. A network whose outputs keep pixels
    (it lacks `Flatten` or `GlobalAvgPool`), or whose kernel for a pair depends on the samples
    around it (`Dropout` with ``mode="train"``), is refused with a ValueError.

    Parameters
    ----------
    network : tuple (init_fn, apply_fn, kernel_fn), or callable
        What `stax.serial` returns, or a function of no arguments that returns it. Networks
        are closures, which do not pickle: pass an importable function if the kernel is
        to be pickled. `skntk.load_neural_tangents()` gives the library on current JAX.
    image_shape : tuple of int (H, W, C), default=None
        Shape of one sample of a convolutional network. None means that samples are vectors.
    tile_size : int, default=None
        Number of samples on each side of a block of pairs, which bounds memory. None means 64
        for vectors and, for images, as many as give 2**26 pairs of pixels.

    Notes
    -----
    neural_tangents computes in float64, for float32 inputs too; the kernel is then rounded to
    float32.

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

    _has_nngp = True
    _if_not_finite = (
        "replace the layer that gives NaN (RectifiedMonomial of a degree above 1 does where its "
        "angles are rounded), or lower W_std"
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
        _check_shape(self._kernel_fn(), self._sample_shape(n_features))

    def _validate(self, X: ArrayLike, Z: ArrayLike | None) -> tuple[Any, Any]:
        X, Z = super()._validate(X, Z)
        shape = (max(2, self._tile_size(X)), *self._sample_shape(X.shape[1]))
        _check_pairwise(self._kernel_fn(), self._kind, shape, X.dtype)
        return X, Z

    def _kernel_fn(self) -> Callable:
        if callable(self.network):
            return _of_factory(self.network)
        return _kernel_fn_of(self.network)

    def _diag(self, X: NDArray) -> NDArray:
        diagonal = np.empty(len(X), X.dtype)
        for rows, x in self._blocks(X):
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

    def _sample_shape(self, n_features: int) -> tuple[int, ...]:
        return (n_features,) if self.image_shape is None else tuple(self.image_shape)

    def _arrange(self, block: NDArray) -> NDArray:
        return block.reshape(-1, *self._sample_shape(block.shape[1]))

    def _tile(self, x: NDArray, z: NDArray) -> jax.Array:
        with _settings():
            return _tile(self._kernel_fn(), self._kind, x, z)

    def _tile_vjp(self, x: NDArray, z: NDArray, weights: NDArray) -> jax.Array:
        with _settings():
            return _tile_vjp(self._kernel_fn(), self._kind, x, z, weights)


#: The kernel function of each factory. It is made once, since it keys the compilation cache.
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


@contextmanager
def _settings() -> Iterator[None]:
    """Context in which kernel functions are traced and run."""
    # neural_tangents does not meet what JAX's checks demand of a trace.
    with own_precision(), jax.enable_checks(False):
        yield


@lru_cache
def _check_shape(kernel_fn: Callable[..., Any], sample_shape: tuple[int, ...]) -> None:
    """Raise ValueError if the kernel function does not give one value for each pair."""
    x, z = (jax.ShapeDtypeStruct((n, *sample_shape), np.float32) for n in (3, 2))
    try:
        with _settings():
            found = jax.eval_shape(lambda x, z: kernel_fn(x, z, "ntk"), x, z).shape
    except Exception as error:  # whatever its layers raise
        raise ValueError(
            f"network cannot take samples of shape {sample_shape} "
            f"({type(error).__name__}: {textwrap.shorten(str(error), 200)}). Convolutional "
            "networks need image_shape, and activations a Dense or Conv before them."
        ) from error
    if found != (3, 2):
        raise ValueError(
            f"network has a kernel of shape {found} for 3 and 2 samples of shape {sample_shape}; "
            "it must have one value for each pair, (3, 2). End the network with Flatten or "
            "GlobalAvgPool, and a Dense."
        )


@lru_cache
def _check_pairwise(
    kernel_fn: Callable[..., Any], kind: str, tile_shape: tuple[int, ...], dtype: np.dtype
) -> None:
    """Raise ValueError if the kernel of a pair depends on the samples around it.

    The tiles have the shape of those that follow, so that nothing is compiled for this alone.
    """
    x = np.random.default_rng(0).standard_normal(tile_shape).astype(dtype)
    z = x.copy()
    z[-1] *= 2  # neural_tangents now sees two sets of samples in place of one
    with _settings():
        alone, beside = (np.asarray(_tile(kernel_fn, kind, x, other))[0, 0] for other in (x, z))
    if not np.isclose(alone, beside, rtol=1e-6, equal_nan=True):
        raise ValueError(
            "network has a kernel that depends on more than two samples: with itself, a sample "
            f"gives {alone:.6g} or {beside:.6g}, depending on the samples around it. Dropout does "
            'this in mode="train": use mode="test", or leave it out.'
        )


@partial(jax.jit, static_argnums=(0, 1))
def _tile(kernel_fn: Callable[..., Any], kind: str, x: jax.Array, z: jax.Array) -> jax.Array:
    return kernel_fn(x, z, kind)


@partial(jax.jit, static_argnums=(0, 1))
def _tile_vjp(
    kernel_fn: Callable[..., Any], kind: str, x: jax.Array, z: jax.Array, weights: jax.Array
) -> jax.Array:
    tile, vjp = jax.vjp(lambda x: kernel_fn(x, z, kind), x)
    return vjp(weights.astype(tile.dtype))[0].reshape(len(x), -1)
