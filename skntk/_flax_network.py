"""Linen and NNX modules as pairs of pure functions, hashable so that they key compilation."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Sequence
from math import prod
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx
from flax.errors import FlaxError

from ._precision import precision
from ._validation import check_integer

__all__ = [
    "Network",
    "as_leaves",
    "as_numpy",
    "check_input_shape",
    "check_outputs",
    "comparable",
    "count_outputs",
    "draw_parameters",
    "is_trained",
    "make_network",
    "wrap_trained",
]


class Network(Protocol):
    """A network f(x; w): `init` draws its weights, `apply` evaluates it on a batch."""

    def init(self, key: jax.Array, x: jax.Array) -> tuple[Any, Any]:
        """Return trainable parameters and everything that stays as it is."""

    def apply(self, params: Any, constants: Any, x: jax.Array) -> jax.Array:
        """Outputs (n, k)."""


@dataclasses.dataclass(frozen=True)
class LinenNetwork:
    """A Linen module; all collections but "params" are constants."""

    module: linen.Module
    input_shape: tuple[int, ...] | None

    def __hash__(self) -> int:
        # Not the module's: fields given as lists, as the layers of nn.Sequential, have none.
        return hash((type(self.module), self.input_shape))

    def init(self, key: jax.Array, x: jax.Array) -> tuple[Any, Any]:
        """Draw parameters for inputs like `x`."""
        variables = dict(self.module.init(key, _shaped(x, self.input_shape)))
        return variables.pop("params", {}), _without_batch_statistics(variables)

    def apply(self, params: Any, constants: Any, x: jax.Array) -> Any:
        """Outputs (n, k)."""
        return self.module.apply({"params": params, **constants}, _shaped(x, self.input_shape))


@dataclasses.dataclass(frozen=True)
class NNXNetwork:
    """An NNX module taken apart; all state but parameters is constant."""

    graph: nnx.GraphDef
    input_shape: tuple[int, ...] | None
    # How to put a plain dictionary of arrays back into states; no part of the identity.
    templates: Any = dataclasses.field(hash=False, compare=False)
    factory: Any = None

    def __reduce__(self) -> Any:
        # The graph may hold activations such as jnp.tanh, which do not pickle; a factory does.
        if self.factory is not None:
            return make_network, (self.factory, self.input_shape, 1)
        return NNXNetwork, (self.graph, self.input_shape, self.templates)

    def init(self, key: jax.Array, x: jax.Array) -> tuple[Any, Any]:
        """Draw parameters; NNX modules know their input shape."""
        _, *states = _split(_build(self.factory, key))
        params, constants = map(nnx.to_pure_dict, states)
        return params, constants

    def apply(self, params: Any, constants: Any, x: jax.Array) -> jax.Array:
        """Outputs (n, k)."""
        states = [jax.tree.map(lambda leaf: leaf, template) for template in self.templates]
        for state, values in zip(states, (params, constants), strict=True):
            nnx.replace_by_pure_dict(state, values)
        return nnx.merge(self.graph, *states)(_shaped(x, self.input_shape))


@dataclasses.dataclass(frozen=True)
class FunctionNetwork:
    """A plain function ``apply_fn(params, x)``."""

    function: Any
    input_shape: tuple[int, ...] | None

    def init(self, key: jax.Array, x: jax.Array) -> tuple[Any, Any]:
        """Not there: a function does not say what its parameters are."""
        raise TypeError("A function has no initialisation; give its params.")

    def apply(self, params: Any, constants: Any, x: jax.Array) -> Any:
        """Outputs (n, k)."""
        return self.function(params, _shaped(x, self.input_shape))


def is_trained(module: Any) -> bool:
    """Whether a module carries its own parameters, as NNX modules do."""
    return isinstance(module, nnx.Module)


def make_network(module: Any, input_shape: Any, n_outputs: int) -> Network:
    """Wrap a Linen module or class, or an NNX class or factory ``rngs -> module``.

    A Linen module with a field ``n_outputs`` of None gets as many outputs as are needed.

    Raises
    ------
    TypeError
        If it is none of these.
    """
    shape = None if input_shape is None else tuple(input_shape)
    if isinstance(module, type) and issubclass(module, linen.Module):
        module = module()
    if isinstance(module, linen.Module):
        # A copy: what is compiled for must not change with a list among the user's fields.
        module = copy.deepcopy(module)
        if getattr(module, "n_outputs", n_outputs) is None:
            module = module.clone(n_outputs=n_outputs)
        return LinenNetwork(module, shape)
    if isinstance(module, nnx.Module) or not callable(module):
        raise TypeError(
            f"module={module!r} must be a Linen module, an NNX module class, or a function from "
            "nnx.Rngs to an NNX module; a trained NNX module goes to FlaxClassifier.from_params."
        )
    try:
        built = nnx.eval_shape(lambda: _build(module, jax.random.key(0)))
    except TypeError as error:
        raise TypeError(
            f"module={module!r} makes no NNX module of nnx.Rngs: {error}. A function of "
            "parameters and inputs needs its params."
        ) from error
    if not isinstance(built, nnx.Module):
        raise TypeError(f"module={module!r} made a {type(built).__name__}, not an NNX module.")
    graph, *templates = _split(built)
    return NNXNetwork(graph, shape, tuple(templates), comparable(module))


def wrap_trained(module: Any, params: Any, input_shape: Any) -> tuple[Network, Any, Any]:
    """Network, parameters and constants of a module or function that has its parameters.

    Raises
    ------
    TypeError
        If it is neither a Linen module with parameters nor an NNX module.
    """
    shape = None if input_shape is None else tuple(input_shape)
    if isinstance(module, nnx.Module):
        graph, *states = _split(module)
        trained, constants = map(nnx.to_pure_dict, states)
        return NNXNetwork(graph, shape, tuple(states)), trained, constants
    if params is None or not (callable(module) or isinstance(module, linen.Module)):
        raise TypeError(
            f"module={module!r} must be an NNX module; or a Linen module or a function "
            "apply_fn(params, x), together with params."
        )
    if not isinstance(module, linen.Module):
        return FunctionNetwork(module, shape), params, {}
    variables = dict(params) if "params" in params else {"params": params}
    network = LinenNetwork(copy.deepcopy(module), shape)
    return network, variables.pop("params"), _without_batch_statistics(variables)


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
    except (TypeError, ValueError, FlaxError) as error:
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


class _Partial(functools.partial):
    """A partial that equals its copies, by its parts."""

    def _parts(self) -> tuple[Any, ...]:
        return self.func, self.args, tuple(sorted(self.keywords.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Partial) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())


def comparable(function: Any) -> Any:
    """Give a function such that nothing is compiled again for the copies `clone` makes of it.

    Copies of a function are the function itself; but those of a `functools.partial` are not
    even equal to it.
    """
    if not isinstance(function, functools.partial):
        return function
    partial = _Partial(function.func, *function.args, **function.keywords)
    try:
        hash(partial)
    except TypeError:  # for its arguments, which then have no equality to rely on
        return function
    return partial


def _build(factory: Any, key: jax.Array) -> nnx.Module:
    rngs = nnx.Rngs(key)
    return factory(rngs=rngs) if isinstance(factory, type) else factory(rngs)


def _shaped(x: jax.Array, input_shape: tuple[int, ...] | None) -> jax.Array:
    return x if input_shape is None else x.reshape(len(x), *input_shape)


def _split(module: nnx.Module) -> tuple[Any, Any, Any]:
    """Graph, parameters and all other variables."""
    graph, *states = nnx.split(module, nnx.Param, nnx.BatchStat, ...)
    params, statistics, rest = states
    _without_batch_statistics({"batch_stats": statistics} if statistics else {})
    return graph, params, rest


def _without_batch_statistics(constants: dict[str, Any]) -> dict[str, Any]:
    if "batch_stats" in constants:
        raise ValueError(
            "module keeps 'batch_stats', statistics of whole batches: its outputs are no function "
            "of one sample, so it has no tangent kernel. Use LayerNorm or GroupNorm instead."
        )
    return constants
