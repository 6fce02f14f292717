"""Flax NNX modules as pairs of pure functions, in inference mode."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
from flax import nnx

from .._utils.keys import comparable
from ._function import refuse_batch_statistics, shaped

__all__ = ["NNXNetwork", "is_nnx", "wrap_nnx", "wrap_nnx_factory"]


@dataclasses.dataclass(frozen=True)
class NNXNetwork:
    """An NNX module taken apart; all state but parameters is constant."""

    graph: nnx.GraphDef
    input_shape: tuple[int, ...] | None
    # How to put a plain dictionary of arrays back into states; no part of the identity.
    templates: Any = dataclasses.field(hash=False, compare=False)
    factory: Any = None
    module_name: str = dataclasses.field(default="", hash=False, compare=False)

    @property
    def name(self) -> str:
        """Name of the module's class."""
        return self.module_name

    def __reduce__(self) -> Any:
        # The graph may hold activations such as jnp.tanh, which do not pickle; a factory does.
        if self.factory is not None:
            return wrap_nnx_factory, (self.factory, self.input_shape)
        return NNXNetwork, (self.graph, self.input_shape, self.templates, None, self.module_name)

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
        return nnx.merge(self.graph, *states)(shaped(x, self.input_shape))


def is_nnx(module: Any) -> bool:
    """Whether it is an NNX module, which carries its own parameters."""
    return isinstance(module, nnx.Module)


def wrap_nnx(
    module: nnx.Module, shape: tuple[int, ...] | None
) -> tuple[NNXNetwork, dict[str, Any], dict[str, Any]]:
    """Network, parameters and constants of a module, which is left as it is."""
    graph, *states = _split(nnx.merge(*nnx.split(module)))
    params, constants = map(nnx.to_pure_dict, states)
    network = NNXNetwork(graph, shape, tuple(states), module_name=type(module).__name__)
    return network, params, constants


def wrap_nnx_factory(factory: Any, shape: tuple[int, ...] | None) -> NNXNetwork:
    """Network of a module class, or of a function ``rngs -> module``.

    Raises
    ------
    TypeError
        If it makes no NNX module.
    """
    try:
        built = nnx.eval_shape(lambda: _build(factory, jax.random.key(0)))
    except TypeError as error:
        raise TypeError(
            f"module={factory!r} makes no NNX module of nnx.Rngs: {error}. A function of "
            "parameters and inputs needs its params."
        ) from error
    if not isinstance(built, nnx.Module):
        raise TypeError(f"module={factory!r} made a {type(built).__name__}, not an NNX module.")
    graph, *templates = _split(built)
    name = type(built).__name__
    return NNXNetwork(graph, shape, tuple(templates), comparable(factory), name)


def _build(factory: Any, key: jax.Array) -> nnx.Module:
    rngs = nnx.Rngs(key)
    return factory(rngs=rngs) if isinstance(factory, type) else factory(rngs)


def _split(module: nnx.Module) -> tuple[Any, Any, Any]:
    """Graph, parameters and all other variables, of the module in inference mode."""
    module.eval()
    graph, *states = nnx.split(module, nnx.Param, nnx.BatchStat, ...)
    params, statistics, rest = states
    refuse_batch_statistics(statistics)
    return graph, params, rest
