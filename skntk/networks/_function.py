"""Networks as pairs of pure functions, hashable so that they can be static arguments of `jit`.

Everything in this module works for any such pair and needs JAX only.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Hashable, Sequence
from math import prod
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from .._utils.keys import value_key
from .._utils.precision import own_precision
from .._utils.validation import check_integer
from ._given_parameters import refuse_untrainable

__all__ = [
    "FunctionNetwork",
    "Network",
    "as_leaves",
    "as_numpy",
    "as_outputs",
    "check_input_shape",
    "check_outputs",
    "check_rowwise",
    "count_features",
    "count_outputs",
    "draw_parameters",
    "failed",
    "flattened",
    "network_key",
    "shaped",
]


class Network(Protocol):
    """A network f(x; w): `init` draws its weights, `apply` evaluates it in inference mode.

    A network with a training mode also has constants that only training changes, such as running
    statistics, or draws random numbers in training, such as masks of dropout.
    """

    @property
    def name(self) -> str:
        """Name of the network, for messages."""

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """Shape that a sample is given before it enters the network; None: flat."""

    @property
    def has_training_mode(self) -> bool:
        """Whether `apply_in_training` is another function than `apply`."""

    def init(self, key: jax.Array, x: jax.Array) -> tuple[Any, Any]:
        """Return the trainable parameters, and the constants."""

    def apply(self, params: Any, constants: Any, x: jax.Array) -> jax.Array:
        """Outputs (n, k), in the dtype of `x`."""

    def apply_in_training(
        self, params: Any, constants: Any, x: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, Any]:
        """Outputs (n, k) of a batch in training mode, and the constants after it."""

    def unknown_modes(self, params: Any, constants: Any, x: Any) -> list[str]:
        """Boolean arguments of the call, of no known name, that switch the mode; `x` is a shape."""


@dataclasses.dataclass(frozen=True)
class FunctionNetwork:
    """A plain function ``apply_fn(params, x)``."""

    function: Any
    input_shape: tuple[int, ...] | None
    has_training_mode = False

    @property
    def name(self) -> str:
        """Name of the function."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def init(self, key: jax.Array, x: jax.Array) -> tuple[Any, Any]:
        """Raise TypeError, since a function does not declare its parameters."""
        raise TypeError("A function has no initialisation; give its params.")

    def apply(self, params: Any, constants: Any, x: jax.Array) -> Any:
        """Outputs (n, k)."""
        return as_outputs(self.function(params, shaped(x, self.input_shape)), x)

    def apply_in_training(
        self, params: Any, constants: Any, x: jax.Array, key: jax.Array
    ) -> tuple[Any, Any]:
        """Outputs (n, k) and the constants, which are never changed."""
        return self.apply(params, constants, x), constants

    def unknown_modes(self, params: Any, constants: Any, x: Any) -> list[str]:
        """Return nothing, since a function has no mode."""
        return []


def shaped(x: jax.Array, input_shape: tuple[int, ...] | None) -> jax.Array:
    return x if input_shape is None else x.reshape(len(x), *input_shape)


def flattened(X: Any, input_shape: tuple[int, ...] | None) -> Any:
    """Return samples as rows if they have the shape `input_shape`, and unchanged otherwise."""
    shape = getattr(X, "shape", ())
    if input_shape is None or len(shape) < 3 or tuple(shape[1:]) != tuple(input_shape):
        return X
    return X.reshape(len(X), -1)


def as_outputs(outputs: Any, x: jax.Array) -> Any:
    """Outputs in the dtype of the inputs, whatever precision the network computes in.

    Anything but an array of floats is returned unchanged, and refused by `count_outputs`.
    """
    floating = hasattr(outputs, "dtype") and jnp.issubdtype(outputs.dtype, jnp.floating)
    return outputs.astype(x.dtype) if floating else outputs


def network_key(*parts: Any) -> Hashable:
    """Key that is equal for equal networks, whatever their fields and attributes hold.

    An object that has no key by value is its own key.
    """
    return value_key(parts, otherwise=_Itself)


@dataclasses.dataclass(frozen=True, eq=False)
class _Itself:
    """A value, compared by equality if it can be hashed, and by identity otherwise."""

    value: Any

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Itself) or type(self.value) is not type(other.value):
            return False
        return self.value is other.value or (_hashable(self.value) and self.value == other.value)

    def __hash__(self) -> int:
        return hash(self.value) if _hashable(self.value) else id(self.value)


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def check_input_shape(input_shape: Any, n_features: int) -> None:
    """Raise unless samples of that many features can be given that shape."""
    if input_shape is not None and count_features(input_shape) != n_features:
        raise ValueError(
            f"input_shape={input_shape!r} has {count_features(input_shape)} values and a sample "
            f"has {n_features} features; give the shape of one sample, without the batch."
        )


def count_features(input_shape: Any) -> int:
    """Number of features of a sample of that shape."""
    if isinstance(input_shape, str) or not isinstance(input_shape, Sequence):
        raise TypeError(f"input_shape={input_shape!r} must be a tuple of integers or None.")
    return prod(check_integer("input_shape", side, low=1) for side in input_shape)


def draw_parameters(
    network: Network, seed: int, n_features: int, dtype: np.dtype
) -> tuple[Any, Any]:
    """Random parameters and constants, as trees of NumPy arrays.

    They are drawn for inputs of single precision and then converted, so that a seed gives the same
    network for data of any precision.

    Raises
    ------
    TypeError
        If one of the parameters is not an array of floats.
    """
    with own_precision():
        x = jnp.ones((1, n_features), np.float32)
        drawn = _initialised(network, seed, x)
        refuse_untrainable(drawn[0])
        params, constants = (as_numpy(tree, dtype) for tree in drawn)
    return params, constants


@functools.partial(jax.jit, static_argnums=0)
def _init(network: Network, key: jax.Array, x: jax.Array) -> tuple[Any, Any]:
    return network.init(key, x)


def _initialised(network: Network, seed: int, x: jax.Array) -> tuple[Any, Any]:
    try:
        return _init(network, jax.random.key(seed), x)
    except Exception as error:  # whatever the network's own code raises
        raise failed(network, x.shape[1], x.dtype, error) from error


def failed(network: Network, n_features: int, dtype: Any, error: Exception) -> ValueError:
    """Error that says why a network may not run."""
    return ValueError(
        f"module {network.name!r} fails on batches of shape (n, n_features={n_features}) in "
        f"{np.dtype(dtype)}. Possible causes: {_of_shape(network)}it expects another n_features; "
        "its layers expect another precision (give X as float32, or set param_dtype=jnp.float64 "
        "in the layers); it needs variables that params does not hold, such as running "
        "statistics; it asks for random numbers, of which there are none in inference mode, or "
        "changes its variables there (an argument of its call such as train or "
        f"deterministic tells it the mode). The error was: {error}"
    )


def _of_shape(network: Network) -> str:
    """Cause of errors of layers that expect images, where they get rows."""
    if network.input_shape is not None:
        return ""
    return (
        "input_shape=None gives it rows, and a convolution or pooling needs images, such as "
        "input_shape=(height, width, channels); "
    )


def count_outputs(
    network: Network, params: Any, constants: Any, n_features: int, dtype: Any
) -> int:
    """Number of outputs k.

    Raises
    ------
    ValueError
        If the network does not map batches (n, n_features) to batches (n, k).
    """
    # Two samples show outputs that have no batch axis; one sample shows outputs that are squeezed
    # to a vector.
    (n, *rest), alone = (
        _shape_of_outputs(network, params, constants, (size, n_features), dtype) for size in (2, 1)
    )
    if n != 2 or len(rest) != 1 or alone != (1, *rest):
        raise ValueError(
            f"module {network.name!r} gives outputs of shape {(n, *rest)} for a batch of 2 samples "
            f"and {alone} for 1; return outputs of shape (2, k) and (1, k), without squeezing them."
        )
    return rest[0]


def _shape_of_outputs(
    network: Network, params: Any, constants: Any, shape: tuple[int, int], dtype: Any
) -> tuple[int, ...]:
    try:
        with own_precision():
            batch = jax.ShapeDtypeStruct(shape, dtype)
            outputs = jax.eval_shape(network.apply, params, constants, batch)
    except Exception as error:  # whatever the network's own code raises
        raise failed(network, shape[1], dtype, error) from error
    if not hasattr(outputs, "dtype"):
        raise ValueError(
            f"module {network.name!r} gives a {type(outputs).__name__} of outputs, not one array "
            "(n, k). Wrap it in a module that returns the array to be used."
        )
    if not jnp.issubdtype(outputs.dtype, jnp.floating):
        raise ValueError(
            f"module {network.name!r} gives outputs of {outputs.dtype}; return real numbers."
        )
    return outputs.shape or (0,)


def check_outputs(
    network: Network, params: Any, constants: Any, n_features: int, n_classes: int, dtype: Any
) -> None:
    """Raise ValueError unless the network has the outputs of a classifier."""
    k = count_outputs(network, params, constants, n_features, dtype)
    allowed = (1, 2) if n_classes == 2 else (n_classes,)
    if k not in allowed:
        raise ValueError(
            f"module gives outputs of shape (n, {k}) for {n_classes} classes; give it "
            f"{' or '.join(map(str, allowed))} outputs."
        )


def check_rowwise(
    network: Network, params: Any, constants: Any, n_features: int, dtype: np.dtype
) -> None:
    """Raise ValueError unless each output is a function of its own sample alone.

    With batch statistics or active random layers, the outputs for a sample depend on the rest of
    the batch, and neither input gradients nor tangent kernels mean what they seem to.
    """
    x = np.random.default_rng(0).uniform(size=(2, n_features)).astype(dtype)[[0, 1, 0]]
    try:
        with own_precision():
            together, alone = (np.asarray(f) for f in _both_ways(network, params, constants, x))
    except Exception as error:  # tracing succeeded, compilation did not
        raise ValueError(
            f"module {network.name!r} does not compile. If it uses a 64-bit NumPy array, JAX may "
            "have cached it in 32 bits before jax_enable_x64 was set: write jnp.asarray(array) in "
            "the module, or give the array in float32, or set jax_enable_x64 from the start. The "
            f"error was: {error}"
        ) from error
    scale = np.abs(alone).max(initial=0)
    limit = _rounding(network, params, constants, x) * scale
    # NaN and infinity prove nothing here; training reports them itself.
    if np.isfinite(scale) and np.abs(together - alone).max() > limit:
        raise ValueError(
            f"module {network.name!r} gives a sample other outputs in a batch than alone, so it is "
            f"not a function of one sample. Possible causes: {_of_shape(network)}it normalises "
            "over the batch, or a random layer is active (use LayerNorm or GroupNorm, or "
            "BatchNorm in inference mode)."
        )


@functools.partial(jax.jit, static_argnums=0)
def _both_ways(
    network: Network, params: Any, constants: Any, x: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Outputs of a batch, and of each of its samples alone."""
    alone = [network.apply(params, constants, x[k : k + 1])[0] for k in range(len(x))]
    return network.apply(params, constants, x), jnp.stack(alone)


def _rounding(network: Network, params: Any, constants: Any, x: np.ndarray) -> float:
    """Relative difference of outputs that rounding explains, as products of other shapes cause it.

    A network may compute in half precision inside, whatever it returns: there it is a few steps.
    """
    with own_precision():
        program = str(jax.make_jaxpr(network.apply)(params, constants, x))
    if "bf16[" in program:
        return 4 * float(jnp.finfo(jnp.bfloat16).eps)
    return 4 * float(jnp.finfo(jnp.float16).eps) if "f16[" in program else 1e-3


def as_numpy(tree: Any, dtype: Any = None) -> Any:
    """Return a tree with its leaves as NumPy arrays, floating ones in `dtype` if that is given."""

    def convert(leaf: Any) -> np.ndarray:
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        array = np.asarray(leaf)
        floating = jnp.issubdtype(array.dtype, jnp.floating)  # JAX's test includes bfloat16
        return array.astype(dtype) if dtype is not None and floating else array

    return jax.tree.map(convert, tree)


def as_leaves(tree: Any) -> list[np.ndarray]:
    """Arrays of a tree, in JAX's order."""
    return jax.tree.leaves(as_numpy(tree))
