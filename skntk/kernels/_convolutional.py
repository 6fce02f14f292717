"""The convolutional ReLU network with a flattened read-out, in closed form.

Only pairs of pixels at the same position matter. A pair is described by the squared distance
between its features, not by their inner product: equal images then have distance exactly 0.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from .._utils.precision import own_precision
from .._utils.validation import check_integer, check_real
from ._arc_cosine import Angle, inverse_sine, relu_angle, safe_inverse
from ._functions import as_floats
from ._images import check_image_shape
from ._once import computed_once, with_one
from ._tiled import TiledNTK

__all__ = ["ConvolutionalNTK"]

#: Images on each side of a tile of pairs: small enough for its layers to stay in cache, and
#: fixed, so that nothing is compiled again.
_TILE = 16


class ConvolutionalNTK(TiledNTK):
    r"""NTK of an infinitely wide convolutional ReLU network with a flattened read-out.

    The network is `depth` times [3x3 SAME convolution, ReLU], then a linear read-out of all
    pixels; depths 1 and 2 are the paper's CONV1 and CONV2. The kernel equals that of
    ``stax.serial(Conv(..., (3, 3), padding="SAME"), Relu(), ..., Flatten(), Dense(1))``.

    Parameters
    ----------
    depth : int, default=1
        Number of convolutional layers, 1 or more.
    image_shape : tuple of int (H, W, C)
        Shape of one sample; inputs are its values in C order, as rows: over height, then width,
        then channels. Estimators warn of rows that look otherwise, such as those of CIFAR's files.
    weight_std : float, default=sqrt(2)
        Standard deviation of the weights in NTK parameterisation.
    bias_std : float, default=0.1
        Standard deviation of the biases.

    Notes
    -----
    The cost is proportional to n m H W, the number of pairs of pixels. Memory beyond the
    result does not grow with n or m.

    Examples
    --------
    >>> import numpy as np
    >>> from skntk.kernels import ConvolutionalNTK
    >>> images = np.ones((2, 16))
    >>> ConvolutionalNTK(1, image_shape=(4, 4, 1))(images).shape
    (2, 2)
    """

    _has_nngp = True
    _if_not_finite = "lower weight_std or depth"

    def __init__(
        self,
        depth: int = 1,
        *,
        image_shape: tuple[int, int, int],
        weight_std: float = 2**0.5,
        bias_std: float = 0.1,
    ):
        self.depth = depth
        self.image_shape = image_shape
        self.weight_std = weight_std
        self.bias_std = bias_std

    def check_parameters(self, n_features: int) -> None:
        check_integer("depth", self.depth, low=1)
        check_image_shape(self.image_shape, n_features)
        check_real("weight_std", self.weight_std, low=0.0, strict=True)
        check_real("bias_std", self.bias_std, low=0.0)

    def as_jax(self) -> Callable[[Any, Any], jax.Array]:
        def function(x: Any, z: Any) -> jax.Array:
            x, z = as_floats(x, z)
            self.check_parameters(len(x))
            x, z = x.reshape(self.image_shape), z.reshape(self.image_shape)
            scalars = (self.weight_std**2, self.bias_std**2)
            w, b = (jnp.asarray(value, x.dtype) for value in scalars)
            return _network(self.depth, self._kind, True, x, z, w, b)

        return function

    def _diag(self, X: NDArray) -> NDArray:
        diagonal = np.empty(len(X), X.dtype)
        for rows, x in self._blocks(X):
            with own_precision():
                values = np.asarray(_self_kernel(self.depth, self._kind, x, *self._scalars(X)))
            diagonal[rows] = values[: rows.stop - rows.start]
        return diagonal

    def _tile_size(self, X: NDArray) -> int:
        return _TILE

    def _arrange(self, block: NDArray) -> NDArray:
        # With images on the last axis, a shift by one pixel moves contiguous vectors.
        return np.ascontiguousarray(block.T).reshape(*self.image_shape, -1)

    def _tile(self, x: NDArray, z: NDArray) -> jax.Array:
        return _tile(self.depth, self._kind, _may_be_opposite(x, z), x, z, *self._scalars(x))

    def _tile_vjp(self, x: NDArray, z: NDArray, weights: NDArray) -> jax.Array:
        return _tile_vjp(
            self.depth, self._kind, _may_be_opposite(x, z), x, z, weights, *self._scalars(x)
        )

    def _scalars(self, X: NDArray) -> tuple[np.floating, ...]:
        """Variances of weights and biases, and the 1 that `computed_once` divides by."""
        return tuple(map(X.dtype.type, (self.weight_std**2, self.bias_std**2, 1)))


def _may_be_opposite(x: NDArray, z: NDArray) -> bool:
    """Whether blocks of images may hold nearly opposite pixels, which requires negative values.

    Checking for such pixels accounts for a third of the time.
    """
    return bool(x.min() < 0 or z.min() < 0)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _tile(
    depth: int,
    kind: str,
    signed: bool,
    x: jax.Array,
    z: jax.Array,
    w: jax.Array,
    b: jax.Array,
    one: jax.Array,
) -> jax.Array:
    with with_one(one):
        return _network(depth, kind, signed, x[..., :, None], z[..., None, :], w, b)


@partial(jax.jit, static_argnums=(0, 1))
def _self_kernel(
    depth: int, kind: str, x: jax.Array, w: jax.Array, b: jax.Array, one: jax.Array
) -> jax.Array:
    with with_one(one):
        return _network(depth, kind, False, x, x, w, b)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _tile_vjp(
    depth: int,
    kind: str,
    signed: bool,
    x: jax.Array,
    z: jax.Array,
    weights: jax.Array,
    w: jax.Array,
    b: jax.Array,
    one: jax.Array,
) -> jax.Array:
    def tile(x: jax.Array) -> jax.Array:
        return _network(depth, kind, signed, x[..., :, None], z[..., None, :], w, b)

    with with_one(one):
        _, vjp = jax.vjp(tile, x)
        return vjp(weights)[0].reshape(-1, x.shape[-1]).T


def _network(
    depth: int, kind: str, signed: bool, x: jax.Array, z: jax.Array, w: jax.Array, b: jax.Array
) -> jax.Array:
    """Kernel of images (H, W, C, ...) that broadcast against each other.

    `distance` is the squared distance between the features of two pixels, `q_x` and `q_z` are
    their squared norms and `t` is the tangent kernel so far. `signed` says whether pixels may be
    opposite, and `kind` which kernel is the result.
    """
    # Without a bias the kernel is homogeneous, so images are scaled to unit norm. Parallel
    # images then have distance 0 too, where a difference of two norms would cancel.
    length_x, length_z = (jnp.where(b == 0, _length(images), 1) for images in (x, z))
    pixels = (None, None, None, ...)  # explicit, for jax_numpy_rank_promotion="raise"
    x, z = x * safe_inverse(length_x)[pixels], z * safe_inverse(length_z)[pixels]
    n_channels = x.shape[2]
    distance = ((x - z) ** 2).sum(axis=2) / n_channels
    q_x, q_z = (x**2).sum(axis=2) / n_channels, (z**2).sum(axis=2) / n_channels
    t = s = jnp.zeros_like(distance)
    for layer in range(depth):
        distance = w * _patch_mean(distance)
        q_x, q_z = w * _patch_mean(q_x) + b, w * _patch_mean(q_z) + b
        s = (q_x + q_z - distance) / 2
        t = s + w * _patch_mean(t) if layer else s
        opposite = _opposite(x, z, distance, q_x, q_z, w, b) if signed and layer == 0 else None
        distance, k0 = _relu(distance, opposite, q_x, q_z)
        t, q_x, q_z = k0 * t, q_x / 2, q_z / 2
    s = (q_x + q_z - distance) / 2
    total = s if kind == "nngp" else s + t
    return (w * total + b).mean(axis=(0, 1)) * length_x * length_z


def _length(images: jax.Array) -> jax.Array:
    """Norm of each image, with derivative 0 at a zero image."""
    square = (images**2).sum(axis=(0, 1, 2))
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)


def _patch_mean(pixels: jax.Array) -> jax.Array:
    """Zero-padded 3x3 sums over the two leading axes, divided by 9."""
    for axis in (0, 1):
        padding = [(1, 1) if k == axis else (0, 0) for k in range(pixels.ndim)]
        padded = jnp.pad(pixels, padding)
        size = pixels.shape[axis]
        shifted = (jax.lax.slice_in_dim(padded, k, k + size, axis=axis) for k in range(3))
        pixels = functools.reduce(jnp.add, shifted)
    return pixels / 9


def _opposite(
    x: jax.Array,
    z: jax.Array,
    distance: jax.Array,
    q_x: jax.Array,
    q_z: jax.Array,
    w: jax.Array,
    b: jax.Array,
) -> jax.Array:
    """Squared distance between the pixels of x and those of -z, to full accuracy.

    It is computed by the parallelogram law, or by sums where pixels are so nearly opposite that
    the difference in that law would cancel.
    """
    by_law = 2 * (q_x + q_z) - distance

    def by_sums() -> jax.Array:
        # The bias is one more feature, sqrt(b) for x and -sqrt(b) for -z.
        return w * _patch_mean(((x + z) ** 2).sum(axis=2)) / x.shape[2] + 4 * b

    near = jnp.any(by_law < 0.1 * jnp.sqrt(q_x) * jnp.sqrt(q_z))
    return jax.lax.cond(near, by_sums, lambda: by_law)


def _angle(
    distance: jax.Array, opposite: jax.Array | None, q_x: jax.Array, q_z: jax.Array
) -> tuple[Angle, jax.Array, jax.Array, jax.Array]:
    scale = jnp.sqrt(q_x) * jnp.sqrt(q_z)
    gap = (q_x - q_z) * safe_inverse(jnp.sqrt(q_x) + jnp.sqrt(q_z))

    # The angle of a zero vector is undefined; a right angle makes the derivative there the mean
    # of the one-sided derivatives.
    def versine_from(square: jax.Array) -> jax.Array:
        return jnp.clip(jnp.where(scale > 0, (square - gap**2) * safe_inverse(2 * scale), 1), 0, 2)

    versine = computed_once(versine_from(distance))
    coversine = 2 - versine if opposite is None else versine_from(opposite)
    return Angle(versine, coversine), versine, scale, gap


@jax.custom_jvp
def _relu(
    distance: jax.Array, opposite: jax.Array | None, q_x: jax.Array, q_z: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Squared distance between two feature vectors after a ReLU layer, and the derivative map k0.

    `opposite` is the squared distance from the opposite vector. It follows from the other
    arguments, as do its derivatives, and is passed for accuracy alone; None means that the
    others are accurate enough.
    """
    angle, versine, scale, gap = _angle(distance, opposite, q_x, q_z)
    return gap**2 / 2 + scale * relu_angle(angle, versine), angle.supplement / (2 * np.pi)


@_relu.defjvp
def _relu_jvp(
    primals: tuple[jax.Array, ...], tangents: tuple[jax.Array, ...]
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    distance, opposite, q_x, q_z = primals
    distance_dot, _, q_x_dot, q_z_dot = tangents
    angle, versine, scale, gap = _angle(distance, opposite, q_x, q_z)
    k0 = angle.supplement / (2 * np.pi)
    relu_distance = gap**2 / 2 + scale * relu_angle(angle, versine)
    # The derivative of k0 has the kink, and is taken to be 0 where the angle is 0 or pi.
    slope = inverse_sine(angle) / (4 * np.pi)
    k0_dot = -slope * safe_inverse(scale) * distance_dot
    relu_distance_dot = k0 * distance_dot
    for q, q_dot in ((q_x, q_x_dot), (q_z, q_z_dot)):
        inverse_q = safe_inverse(q)
        k0_dot += slope * (safe_inverse(scale) - angle.cos * inverse_q) * q_dot
        by_q = 0.5 - k0 - angle.sin * scale * inverse_q / (2 * np.pi)
        relu_distance_dot += by_q * q_dot
    return (relu_distance, k0), (relu_distance_dot, k0_dot)
