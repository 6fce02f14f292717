"""Networks as pairs of pure functions, hashable so that they key compilation.

Everything in this module works on any such pair and needs JAX alone.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from math import prod
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from .._utils.precision import precision
from .._utils.validation import check_integer

__all__ = [
    "FunctionNetwork",
    "Network",
    "as_leaves",
    "as_numpy",
    "check_input_shape",
    "check_outputs",
    "check_rowwise",
    "count_outputs",
    "draw_parameters",
    "refuse_batch_statistics",
    "shaped",
]


class Network(Protocol):
    """A network f(x; w): `init` draws its weights, `apply` evaluates it on a batch."""

    @property
    def name(self) -> str:
        """What the user calls it."""

    def init(self, key: jax.Array, x: jax.Array) -> tuple[Any, Any]:
        """Return trainable parameters and everything that stays as it is."""

    def apply(self, params: Any, constants: Any, x: jax.Array) -> jax.Array:
        """Outputs (n, k)."""


@dataclasses.dataclass(frozen=True)
class FunctionNetwork:
    """A plain function ``apply_fn(params, x)``."""

    function: Any
    input_shape: tuple[int, ...] | None

    @property
    def name(self) -> str:
        """Name of the function."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def init(self, key: jax.Array, x: jax.Array) -> tuple[Any, Any]:
        """Not there: a function does not say what its parameters are."""
        raise TypeError("A function has no initialisation; give its params.")

    def apply(self, params: Any, constants: Any, x: jax.Array) -> Any:
        """Outputs (n, k)."""
        return self.function(params, shaped(x, self.input_shape))


def shaped(x: jax.Array, input_shape: tuple[int, ...] | None) -> jax.Array:
    return x if input_shape is None else x.reshape(len(x), *input_shape)


def check_input_shape(input_shape: Any, n_features: int) -> None:
    """Raise unless samples of that many features can be given that shape."""
    if input_shape is None:
        return
    if isinstance(input_shape, str) or not isinstance(input_shape, Sequence):
        raise TypeError(f"input_shape={input_shape!r} must be a tuple of integers or None.")
    sides = [check_integer("input_shape", side, low=1) for side in input_shape]
    if prod(sides) != n_features:
        raise ValueError(
            f"input_shape={input_shape!r} has {prod(sides)} values and a sample has {n_features} "
            "features; give the shape of one sample, without the batch."
        )


def draw_parameters(
    network: Network, seed: int, n_features: int, dtype: np.dtype
) -> tuple[Any, Any]:
    """Random parameters and constants, as trees of NumPy arrays.

    They are drawn in single precision and then converted: a seed stands for one network,
    whatever the precision of the data.
    """
    with precision(np.float32):
        drawn = _init(network, jax.random.key(seed), jnp.ones((1, n_features)))
        params, constants = (as_numpy(tree, dtype) for tree in drawn)
    return params, constants


@functools.partial(jax.jit, static_argnums=0)
def _init(network: Network, key: jax.Array, x: jax.Array) -> tuple[Any, Any]:
    return network.init(key, x)


def count_outputs(network: Network, params: Any, constants: Any, n_features: int) -> int:
    """Number of outputs k.

    Raises
    ------
    ValueError
        If the network does not take batches (n, n_features) or give batches (n, k).
    """
    # Two samples, so that outputs without a batch axis do not pass for a batch of one.
    batch = jax.ShapeDtypeStruct((2, n_features), np.float32)
    try:
        with precision(np.float32):
            shape = jax.eval_shape(network.apply, params, constants, batch).shape
    except Exception as error:  # whatever the network's own code raises for a wrong shape
        raise ValueError(
            f"module does not take batches of shape (n, n_features={n_features}); give the "
            f"n_features, or the input_shape, that it is made for. It says: {error}"
        ) from error
    if len(shape) != 2 or shape[0] != 2:
        raise ValueError(
            f"module gives outputs of shape {shape} for a batch of 2 samples; it needs (2, k)."
        )
    return shape[1]


def check_outputs(
    network: Network, params: Any, constants: Any, n_features: int, n_classes: int
) -> None:
    """Raise ValueError unless the network has the outputs of a classifier."""
    k = count_outputs(network, params, constants, n_features)
    allowed = (1, 2) if n_classes == 2 else (n_classes,)
    if k not in allowed:
        raise ValueError(
            f"module gives outputs of shape (n, {k}) for {n_classes} classes; it needs "
            f"{' or '.join(map(str, allowed))} outputs."
        )


def check_rowwise(
    network: Network, params: Any, constants: Any, n_features: int, dtype: np.dtype
) -> None:
    """Raise ValueError unless each output is a function of its own sample, and of that alone.

    Batch statistics, and random layers that are active, give a sample other outputs among
    other samples; neither an input gradient nor a tangent kernel is then what it seems.
    """
    x = np.random.default_rng(0).uniform(size=(2, n_features)).astype(dtype)[[0, 1, 0]]
    with precision(dtype):
        together, alone = (np.asarray(f) for f in _both_ways(network, params, constants, x))
    scale = np.abs(alone).max(initial=0)
    # NaN and infinity are no evidence here; training reports them itself.
    if np.isfinite(scale) and np.abs(together - alone).max() > 1e-3 * scale:
        raise ValueError(
            f"module {network.name!r} gives a sample other outputs in a batch than alone, so it is "
            "no function of one sample: a normalisation over the batch, or a random layer that is "
            "active. Use LayerNorm or GroupNorm, and inference mode."
        )


@functools.partial(jax.jit, static_argnums=0)
def _both_ways(
    network: Network, params: Any, constants: Any, x: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Outputs of a batch, and of each of its samples alone."""
    alone = [network.apply(params, constants, x[k : k + 1])[0] for k in range(len(x))]
    return network.apply(params, constants, x), jnp.stack(alone)


def refuse_batch_statistics(statistics: Any) -> None:
    """Raise ValueError if there are any."""
    if statistics:
        raise ValueError(
            "module keeps 'batch_stats', statistics of whole batches: its outputs are no function "
            "of one sample, so it has no tangent kernel. Use LayerNorm or GroupNorm instead."
        )


def as_numpy(tree: Any, dtype: Any = None) -> Any:
    """Give the leaves of a tree as NumPy arrays, floating ones in `dtype` if it is given."""

    def convert(leaf: Any) -> np.ndarray:
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        array = np.asarray(leaf)
        floating = np.issubdtype(array.dtype, np.floating)
        return array.astype(dtype) if dtype is not None and floating else array

    return jax.tree.map(convert, tree)


def as_leaves(tree: Any) -> list[np.ndarray]:
    """Arrays of a tree, in JAX's order."""
    return jax.tree.leaves(as_numpy(tree))
