"""The paper's networks and a residual one as Linen modules, for flat or image-shaped batches."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

__all__ = ["CIFARConvNet", "MNISTConvNet", "ResNet18", "TwoLayerReLU"]


class _ByValue:
    """Copies and pickles a module by the values of its fields.

    Flax gives every module a unique number, which must not be copied or pickled: scikit-learn would
    take a copy for a different module.
    """

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}  # type: ignore[arg-type]
        fields.pop("parent", None)
        return _make, (type(self), tuple(fields.items()))


def _make(module: type, fields: tuple[tuple[str, Any], ...]) -> nn.Module:
    return module(**dict(fields))


def _average_pool(x: jax.Array) -> jax.Array:
    """Means of 2x2 pixels; Flax divides by an integer, which strict type promotion refuses."""
    return nn.pool(x, 0.0, jax.lax.add, (2, 2), (2, 2), "VALID") / 4


class TwoLayerReLU(_ByValue, nn.Module):
    r"""Two-layer network with only the first layer trained (Eq. 41).

    It is :math:`f(x) = A \max(W x, 0) / \sqrt m`, with A fixed at random signs and W normally
    distributed at initialisation. Its infinite-width limit is `skntk.kernels.TwoLayerNTK`.

    Parameters
    ----------
    width : int
        Number m of hidden units.
    n_outputs : int, default=1
        Number of outputs. If None, `FlaxClassifier` sets it.
    init_std : float, default=0.01
        Initial standard deviation of W.

    Examples
    --------
    >>> import jax
    >>> from skntk.networks import TwoLayerReLU
    >>> variables = TwoLayerReLU(16).init(jax.random.key(0), jax.numpy.ones((3, 5)))
    >>> variables["params"]["W"].shape
    (16, 5)
    """

    width: int
    n_outputs: Any = 1  # int, or None: set by FlaxClassifier
    init_std: float = 0.01

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map a batch (n, ...) to outputs (n, n_outputs)."""
        x = jnp.asarray(x).reshape(len(x), -1)
        shape = (self.width, x.shape[1])
        weights = self.param("W", nn.initializers.normal(self.init_std), shape, jnp.float32)
        signs = self.variable(
            "frozen",
            "A",
            lambda: jax.random.rademacher(
                self.make_rng("params"), (self.width, self.n_outputs), jnp.float32
            ),
        )
        hidden = nn.relu(x @ weights.T)
        return hidden @ signs.value.astype(hidden.dtype) / jnp.sqrt(self.width).astype(hidden.dtype)


class MNISTConvNet(_ByValue, nn.Module):
    """Convolutions of 32 and 64 channels, each followed by pooling, and a dense layer (App. E).

    The dense layer has 256 units.

    Parameters
    ----------
    n_outputs : int, default=10
        Number of outputs. If None, `FlaxClassifier` sets it.
    image_shape : tuple of int (H, W, C), default=(28, 28, 1)
        Height, width and channels of an image, to which flat batches are reshaped.
    """

    n_outputs: Any = 10  # int, or None: set by FlaxClassifier
    image_shape: tuple[int, int, int] = (28, 28, 1)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map a batch (n, ...) to outputs (n, n_outputs)."""
        x = x.reshape(len(x), *self.image_shape)
        for n_channels in (32, 64):
            x = nn.relu(nn.Conv(n_channels, (3, 3))(x))
            x = _average_pool(x)
        x = nn.relu(nn.Dense(256)(x.reshape(len(x), -1)))
        return nn.Dense(self.n_outputs)(x)


class CIFARConvNet(_ByValue, nn.Module):
    """Six convolutions, 32-32-64-64-128-128, with pooling after the second and last (App. E).

    Parameters
    ----------
    n_outputs : int, default=10
        Number of outputs. If None, `FlaxClassifier` sets it.
    image_shape : tuple of int (H, W, C), default=(32, 32, 3)
        Height, width and channels of an image, to which flat batches are reshaped.
    """

    n_outputs: Any = 10  # int, or None: set by FlaxClassifier
    image_shape: tuple[int, int, int] = (32, 32, 3)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map a batch (n, ...) to outputs (n, n_outputs)."""
        x = x.reshape(len(x), *self.image_shape)
        for layer, n_channels in enumerate((32, 32, 64, 64, 128, 128)):
            x = nn.relu(nn.Conv(n_channels, (3, 3))(x))
            if layer == 1:
                x = nn.max_pool(x, (2, 2), strides=(2, 2))
        x = _average_pool(x)
        return nn.Dense(self.n_outputs)(x.reshape(len(x), -1))


class ResNet18(_ByValue, nn.Module):
    """Residual network of eight blocks of two convolutions, for small images [1]_.

    The first convolution is 3x3 and keeps the size of the image, as is usual for CIFAR-10; the
    blocks have `width`, twice, four and eight times as many channels, two blocks each.

    Parameters
    ----------
    n_outputs : int, default=10
        Number of outputs. If None, `FlaxClassifier` sets it.
    width : int, default=64
        Channels of the first blocks.
    norm : {"batch", None}, default="batch"
        Whether each convolution is followed by batch normalisation. If None, it has a bias.
    image_shape : tuple of int (H, W, C), default=(32, 32, 3)
        Height, width and channels of an image, to which flat batches are reshaped.

    References
    ----------
    .. [1] He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.

    Examples
    --------
    >>> import jax
    >>> from skntk.networks import ResNet18
    >>> network = ResNet18(3, width=2, image_shape=(8, 8, 1))
    >>> images = jax.numpy.ones((1, 64))
    >>> variables = jax.eval_shape(network.init, jax.random.key(0), images)
    >>> sorted(variables)
    ['batch_stats', 'params']
    """

    n_outputs: Any = 10  # int, or None: set by FlaxClassifier
    width: int = 64
    norm: str | None = "batch"
    image_shape: tuple[int, int, int] = (32, 32, 3)

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Map a batch (n, ...) to outputs (n, n_outputs)."""
        if self.norm not in ("batch", None):
            raise ValueError(f"norm={self.norm!r} must be 'batch' or None.")
        x = x.reshape(len(x), *self.image_shape)
        x = nn.relu(_Convolution(self.width, norm=self.norm)(x, train))
        for stage in range(4):
            for stride in (1 if stage == 0 else 2, 1):
                x = _ResidualBlock(self.width * 2**stage, stride, self.norm)(x, train)
        return nn.Dense(self.n_outputs)(x.mean(axis=(1, 2)))


class _ResidualBlock(nn.Module):
    """Two convolutions around which the input is added, by a projection if its shape differs."""

    n_channels: int
    stride: int
    norm: str | None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        change = nn.relu(_Convolution(self.n_channels, 3, self.stride, self.norm)(x, train))
        change = _Convolution(self.n_channels, norm=self.norm)(change, train)
        if x.shape != change.shape:
            x = _Convolution(self.n_channels, 1, self.stride, self.norm)(x, train)
        return nn.relu(x + change)


class _Convolution(nn.Module):
    """A convolution, and the batch normalisation after it."""

    n_channels: int
    size: int = 3
    stride: int = 1
    norm: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = nn.Conv(
            self.n_channels,
            (self.size, self.size),
            self.stride,
            padding=self.size // 2,
            use_bias=self.norm is None,
        )(x)
        return x if self.norm is None else nn.BatchNorm(not train, momentum=0.9)(x)
