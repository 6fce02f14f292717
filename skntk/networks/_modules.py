"""The networks of the paper, as Flax Linen modules; they take flat or image-shaped batches."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

__all__ = ["CIFARConvNet", "MNISTConvNet", "TwoLayerReLU"]


class _ByValue:
    """Makes a module's copies, and its bytes in a pickle, those of any module equal to it.

    Flax numbers every module that is made, and a number that is copied or pickled along makes
    scikit-learn take a copy for something else.
    """

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}  # type: ignore[arg-type]
        fields.pop("parent", None)
        return _make, (type(self), tuple(fields.items()))


def _make(module: type, fields: tuple[tuple[str, Any], ...]) -> nn.Module:
    return module(**dict(fields))


def _average_pool(x: jax.Array) -> jax.Array:
    """Means of 2x2 pixels; Flax's own divides by an integer, which JAX may be set to refuse."""
    return nn.pool(x, 0.0, jax.lax.add, (2, 2), (2, 2), "VALID") / 4


class TwoLayerReLU(_ByValue, nn.Module):
    r"""Two-layer network of which only the first layer is trained (Eq. 41).

    :math:`f(x) = A \max(W x, 0) / \sqrt m` with A frozen at random signs and W initially
    normal. Its infinitely wide limit is `skntk.kernels.TwoLayerNTK`.

    Parameters
    ----------
    width : int
        Number m of hidden units.
    n_outputs : int, default=1
        Number of outputs.
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
    n_outputs: Any = 1  # int; None: as many as FlaxClassifier needs
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
    """Convolutions of 32 and 64 channels, each pooled; a dense layer of 256 (App. E).

    Parameters
    ----------
    n_outputs : int, default=10
        Number of outputs.
    image_shape : tuple of int (H, W, C), default=(28, 28, 1)
        Shape of an image, for flat batches.
    """

    n_outputs: Any = 10  # int; None: as many as FlaxClassifier needs
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
    """Six convolutions, 32-32-64-64-128-128, pooled after the second and the last (App. E).

    Parameters
    ----------
    n_outputs : int, default=10
        Number of outputs.
    image_shape : tuple of int (H, W, C), default=(32, 32, 3)
        Shape of an image, for flat batches.
    """

    n_outputs: Any = 10  # int; None: as many as FlaxClassifier needs
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
