"""Linen and NNX modules as pairs of pure functions, hashable so that they key compilation."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

__all__ = ["Network", "as_numpy", "is_trained", "make_network", "wrap_trained"]

_NOT_PER_SAMPLE = ("batch_stats",)


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

    def init(self, key: jax.Array, x: jax.Array) -> tuple[Any, Any]:
        """Draw parameters for inputs like `x`."""
        variables = dict(self.module.init(key, self._shaped(x)))
        return variables.pop("params", {}), _checked(variables)

    def apply(self, params: Any, constants: Any, x: jax.Array) -> Any:
        """Outputs (n, k)."""
        return self.module.apply({"params": params, **constants}, self._shaped(x))

    def _shaped(self, x: jax.Array) -> jax.Array:
        return x if self.input_shape is None else x.reshape(len(x), *self.input_shape)


@dataclasses.dataclass(frozen=True)
class NNXNetwork:
    """An NNX module taken apart; all state but parameters is constant."""

    graph: nnx.GraphDef
    input_shape: tuple[int, ...] | None
    factory: Any
    # How to put a plain dictionary of arrays back into states; no part of the identity.
    templates: Any = dataclasses.field(hash=False, compare=False)

    def init(self, key: jax.Array, x: jax.Array) -> tuple[Any, Any]:
        """Draw parameters; NNX modules know their input shape."""
        _, *states = nnx.split(_build(self.factory, key), nnx.Param, ...)
        params, constants = map(nnx.to_pure_dict, states)
        return params, constants

    def apply(self, params: Any, constants: Any, x: jax.Array) -> jax.Array:
        """Outputs (n, k)."""
        states = [jax.tree.map(lambda leaf: leaf, template) for template in self.templates]
        for state, values in zip(states, (params, constants), strict=True):
            nnx.replace_by_pure_dict(state, values)
        module = nnx.merge(self.graph, *states)
        return module(x if self.input_shape is None else x.reshape(len(x), *self.input_shape))


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
        return self.function(
            params, x if self.input_shape is None else x.reshape(len(x), *self.input_shape)
        )


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
        if getattr(module, "n_outputs", n_outputs) is None:
            module = module.clone(n_outputs=n_outputs)
        return LinenNetwork(module, shape)
    if isinstance(module, nnx.Module) or not callable(module):
        raise TypeError(
            f"module={module!r} must be a Linen module, an NNX module class, or a function from "
            "nnx.Rngs to an NNX module; a trained NNX module goes to FlaxClassifier.from_params."
        )
    built = nnx.eval_shape(lambda: _build(module, jax.random.key(0)))
    if not isinstance(built, nnx.Module):
        raise TypeError(f"module={module!r} made a {type(built).__name__}, not an NNX module.")
    graph, *templates = nnx.split(built, nnx.Param, ...)
    return NNXNetwork(graph, shape, module, tuple(templates))


def wrap_trained(module: Any, params: Any, input_shape: Any) -> tuple[Network, Any, Any]:
    """Network, parameters and constants of a module or function that has its parameters.

    Raises
    ------
    TypeError
        If it is neither a Linen module with parameters nor an NNX module.
    """
    shape = None if input_shape is None else tuple(input_shape)
    if isinstance(module, nnx.Module):
        graph, *states = nnx.split(module, nnx.Param, ...)
        trained, constants = map(nnx.to_pure_dict, states)
        return NNXNetwork(graph, shape, None, tuple(states)), trained, constants
    if params is None or not (callable(module) or isinstance(module, linen.Module)):
        raise TypeError(
            f"module={module!r} must be an NNX module; or a Linen module or a function "
            "apply_fn(params, x), together with params."
        )
    if not isinstance(module, linen.Module):
        return FunctionNetwork(module, shape), params, {}
    variables = dict(params) if "params" in params else {"params": params}
    return LinenNetwork(module, shape), variables.pop("params"), _checked(variables)


def as_numpy(tree: Any, dtype: Any = None) -> Any:
    """Give the leaves of a tree as NumPy arrays, floating ones in `dtype` if it is given."""

    def convert(leaf: Any) -> np.ndarray:
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        array = np.asarray(leaf)
        floating = np.issubdtype(array.dtype, np.floating)
        return array.astype(dtype) if dtype is not None and floating else array

    return jax.tree.map(convert, tree)


def _build(factory: Any, key: jax.Array) -> nnx.Module:
    rngs = nnx.Rngs(key)
    return factory(rngs=rngs) if isinstance(factory, type) else factory(rngs)


def _checked(constants: dict[str, Any]) -> dict[str, Any]:
    found = [name for name in _NOT_PER_SAMPLE if name in constants]
    if found:
        raise ValueError(
            f"module keeps {found[0]!r}, statistics of whole batches: its outputs are no function "
            "of one sample, so it has no tangent kernel. Use LayerNorm or GroupNorm instead."
        )
    return constants
