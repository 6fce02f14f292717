"""Flax NNX modules as pairs of pure functions, in inference mode."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Hashable
from typing import Any

import jax
from flax import nnx

from .._utils.precision import own_precision
from ._function import as_outputs, network_key, refuse_batch_statistics, shaped

__all__ = ["NNXNetwork", "is_nnx", "wrap_nnx", "wrap_nnx_factory"]


@dataclasses.dataclass(frozen=True, eq=False)
class NNXNetwork:
    """An NNX module split into structure and state; all state except parameters is constant."""

    graph: nnx.GraphDef
    input_shape: tuple[int, ...] | None
    # States into which plain dictionaries of arrays are put back; not part of the identity.
    templates: Any
    factory: Any = None
    module_name: str = ""

    @property
    def name(self) -> str:
        """Name of the module's class."""
        return self.module_name

    @functools.cached_property
    def _key(self) -> Hashable:
        # Attributes of a module may be lists, dictionaries, sets or arrays, which have no hash.
        return network_key(self.graph, self.factory, self.input_shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NNXNetwork) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __reduce__(self) -> Any:
        # The graph may hold activations such as jnp.tanh, which cannot be pickled; a factory can.
        if self.factory is not None:
            return wrap_nnx_factory, (self.factory, self.input_shape)
        return NNXNetwork, (self.graph, self.input_shape, self.templates, None, self.module_name)

    def init(self, key: jax.Array, x: jax.Array) -> tuple[Any, Any]:
        """Draw parameters; `x` is not needed, as NNX modules fix their input shape."""
        _, *states = _split(_build(self.factory, key))
        params, constants = map(nnx.to_pure_dict, states)
        return params, constants

    def apply(self, params: Any, constants: Any, x: jax.Array) -> jax.Array:
        """Outputs (n, k)."""
        # Matched by leaves, which both trees keep in the order of sorted keys.
        states = [
            jax.tree.unflatten(jax.tree.structure(template), jax.tree.leaves(values))
            for template, values in zip(self.templates, (params, constants), strict=True)
        ]
        return as_outputs(nnx.merge(self.graph, *states)(shaped(x, self.input_shape)), x)


def is_nnx(module: Any) -> bool:
    """Whether `module` is an NNX module, which carries its own parameters."""
    return isinstance(module, nnx.Module)


def wrap_nnx(
    module: nnx.Module, shape: tuple[int, ...] | None
) -> tuple[NNXNetwork, dict[str, Any], dict[str, Any]]:
    """Network, parameters and constants of a module, which is not modified."""
    graph, *states = _split(nnx.merge(*nnx.split(module)))
    params, constants = map(nnx.to_pure_dict, states)
    network = NNXNetwork(graph, shape, tuple(states), module_name=type(module).__name__)
    return network, params, constants


def wrap_nnx_factory(factory: Any, shape: tuple[int, ...] | None) -> NNXNetwork:
    """Network of a module class, or of a function ``rngs -> module``.

    Raises
    ------
    TypeError
        If the factory does not return an NNX module.
    """
    kept: list[Any] = []

    def states() -> Any:
        built = _build(factory, jax.random.key(0))
        if not isinstance(built, nnx.Module):
            raise TypeError(f"it returned a {type(built).__name__}")
        graph, *states = _split(built)
        kept[:] = graph, type(built).__name__
        return states

    try:
        with own_precision():
            templates = jax.eval_shape(states)
    except TypeError as error:
        raise TypeError(
            f"module={factory!r} does not make an NNX module from nnx.Rngs: {error}. If it is a "
            "function of parameters and inputs, pass its params too."
        ) from error
    graph, name = kept
    return NNXNetwork(graph, shape, tuple(templates), factory, name)


def _build(factory: Any, key: jax.Array) -> nnx.Module:
    rngs = nnx.Rngs(key)
    made = factory
    while isinstance(made, functools.partial):
        made = made.func
    # The signature of a module class does not show its own parameters.
    by_keyword = isinstance(made, type) or "rngs" in inspect.signature(made).parameters
    return factory(rngs=rngs) if by_keyword else factory(rngs)


def _split(module: nnx.Module) -> tuple[Any, Any, Any]:
    """Graph, parameters and all other variables of a module, which is put in inference mode."""
    module.eval()
    _as_state(module)
    graph, *states = nnx.split(module, nnx.Param, nnx.BatchStat, ...)
    params, statistics, rest = states
    refuse_batch_statistics(statistics)
    return graph, params, rest


def _as_state(module: nnx.Module) -> None:
    """Turn arrays that are plain attributes into state; NNX would make them part of the graph."""
    for _, node in list(nnx.iter_graph(module)):
        if isinstance(node, nnx.Module):
            for name, value in list(vars(node).items()):
                if isinstance(value, jax.Array):
                    setattr(node, name, nnx.data(value))
