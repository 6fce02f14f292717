"""Flax NNX modules as pure functions, in inference and in training mode."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import operator
from collections.abc import Hashable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from .._utils.precision import own_precision
from ._function import as_outputs, network_key, shaped
from ._training_mode import carried, mode_arguments, other_flags

__all__ = ["NNXNetwork", "is_nnx", "wrap_nnx", "wrap_nnx_factory"]


@dataclasses.dataclass(frozen=True, eq=False)
class NNXNetwork:
    """An NNX module split into structure and state; all state except parameters is constant."""

    # The module's structure in inference mode, and in training mode.
    graphs: tuple[nnx.GraphDef, nnx.GraphDef]
    input_shape: tuple[int, ...] | None
    # Forms of the states into which arrays are put back; not part of the identity.
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
        return network_key(self.graphs, self.factory, self.input_shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NNXNetwork) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __reduce__(self) -> Any:
        # The graph may hold activations such as jnp.tanh, which cannot be pickled; a factory can.
        if self.factory is not None:
            return wrap_nnx_factory, (self.factory, self.input_shape)
        return NNXNetwork, (self.graphs, self.input_shape, self.templates, None, self.module_name)

    def init(self, key: jax.Array, x: jax.Array) -> tuple[Any, Any]:
        """Draw parameters; `x` is not needed, as NNX modules fix their input shape."""
        _, states = _split(_build(self.factory, key))
        return _pure(states)

    def apply(self, params: Any, constants: Any, x: jax.Array) -> jax.Array:
        """Outputs (n, k)."""
        outputs, after = self._call(False, params, constants, x, jax.random.key(0))
        before, after = jax.tree.leaves(constants), jax.tree.leaves(after)
        if len(after) != len(before) or any(a is not b for a, b in zip(after, before, strict=True)):
            raise ValueError("the module changes its state in inference mode")
        return outputs

    @functools.cached_property
    def has_training_mode(self) -> bool:
        """Whether `train` changes an attribute, or an argument of the call tells the mode."""
        graph, training_graph = self.graphs
        called = mode_arguments(nnx.merge(graph, *self.templates).__call__, training=True)
        return bool(called) or network_key(graph) != network_key(training_graph)

    def apply_in_training(
        self, params: Any, constants: Any, x: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, Any]:
        """Outputs (n, k) of a batch in training mode, and the constants after it."""
        outputs, after = self._call(True, params, constants, x, key)
        return outputs, carried(after, constants)

    def unknown_modes(self, params: Any, constants: Any, x: Any) -> list[str]:
        """Boolean arguments of the call, of no known name, that switch the mode."""
        flags = other_flags(nnx.merge(self.graphs[False], *self.templates).__call__)
        found = []

        def call(params: Any, constants: Any, x: jax.Array, name: str) -> Any:
            template, streams, rest = self.templates
            states = _filled(template, params), _reseeded(streams, jax.random.key(0))
            module = nnx.merge(self.graphs[False], *states, _filled(rest, constants))
            mode = mode_arguments(module.__call__, training=False) | {name: flags[name]}
            before = jax.tree.leaves(nnx.state(module))
            outputs = module(shaped(x, self.input_shape), **mode)
            after = jax.tree.leaves(nnx.state(module))
            if len(after) != len(before) or any(map(operator.is_not, after, before)):
                found.append(name)
            return outputs

        for name in flags:
            try:
                jax.eval_shape(functools.partial(call, name=name), params, constants, x)
            except Exception:  # an argument that switches something else may need more than that
                continue
        return found

    def _call(
        self, training: bool, params: Any, constants: Any, x: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, Any]:
        """Outputs of the module in a mode, and its other state after the call."""
        template, streams, rest = self.templates
        states = _filled(template, params), _reseeded(streams, key), _filled(rest, constants)
        module = nnx.merge(self.graphs[training], *states)
        mode = mode_arguments(module.__call__, training=training)
        outputs = as_outputs(module(shaped(x, self.input_shape), **mode), x)
        return outputs, _pure(nnx.split(module, *_KINDS)[1:])[1]


#: Parameters, streams of random numbers, and all other state.
_KINDS = (nnx.Param, nnx.RngState, ...)


def _filled(template: Any, values: Any) -> Any:
    """State with given values, matched by leaves: both trees keep the order of sorted keys."""
    return jax.tree.unflatten(jax.tree.structure(template), jax.tree.leaves(values))


def _reseeded(streams: Any, key: jax.Array) -> Any:
    """State of the streams of random numbers, started anew from a key."""

    def start(number: int, leaf: Any) -> jax.Array:
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jnp.zeros(leaf.shape, leaf.dtype)  # numbers drawn so far
        return jax.random.split(jax.random.fold_in(key, number), leaf.shape)

    leaves, structure = jax.tree.flatten(streams)
    return jax.tree.unflatten(structure, [start(*item) for item in enumerate(leaves)])


def _pure(states: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and constants; streams of random numbers are neither."""
    params, _, constants = map(nnx.to_pure_dict, states)
    return params, constants


def is_nnx(module: Any) -> bool:
    """Whether `module` is an NNX module, which carries its own parameters."""
    return isinstance(module, nnx.Module)


def wrap_nnx(
    module: nnx.Module, state: Any, shape: tuple[int, ...] | None
) -> tuple[NNXNetwork, dict[str, Any], dict[str, Any]]:
    """Network, parameters and constants of a module, which is not modified.

    If `state` is not None, its values take the place of the module's own.
    """
    module = nnx.merge(*nnx.split(module))
    if state is not None:
        _update(module, state)
    graphs, states = _split(module)
    templates = jax.eval_shape(lambda: states)
    network = NNXNetwork(graphs, shape, templates, module_name=type(module).__name__)
    return network, *_pure(states)


def _update(module: nnx.Module, state: Any) -> None:
    if not isinstance(state, nnx.State):
        raise TypeError(
            f"params is a {type(state).__name__}; with an NNX module, give an nnx.State, such as "
            "nnx.state(module), or None for the module's own."
        )
    own = {
        path: leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(nnx.state(module))
    }
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if own.get(path) != leaf.shape:
            raise ValueError(
                f"params holds {jax.tree_util.keystr(path)} of shape {leaf.shape}, where the "
                f"module has {own.get(path, 'nothing')}; give the state of a module like this one."
            )
    nnx.update(module, state)


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
        graphs, states = _split(built)
        kept[:] = graphs, type(built).__name__
        return states

    try:
        with own_precision():
            templates = jax.eval_shape(states)
    except TypeError as error:
        raise TypeError(
            f"module={factory!r} does not make an NNX module from nnx.Rngs: {error}. If it is a "
            "function of parameters and inputs, pass its params too."
        ) from error
    graphs, name = kept
    return NNXNetwork(graphs, shape, templates, factory, name)


def _build(factory: Any, key: jax.Array) -> nnx.Module:
    rngs = nnx.Rngs(key)
    made = factory
    while isinstance(made, functools.partial):
        made = made.func
    # The signature of a module class does not show its own parameters.
    by_keyword = isinstance(made, type) or "rngs" in inspect.signature(made).parameters
    return factory(rngs=rngs) if by_keyword else factory(rngs)


def _split(module: nnx.Module) -> tuple[tuple[Any, Any], tuple[Any, ...]]:
    """Structures of a module in inference and in training mode, and its states."""
    _as_state(module)
    module.train()
    training_graph = nnx.graphdef(module)
    module.eval()
    graph, *states = nnx.split(module, *_KINDS)
    return (graph, training_graph), tuple(states)


def _as_state(module: nnx.Module) -> None:
    """Turn arrays that are plain attributes into state; NNX would make them part of the graph."""
    for _, node in list(nnx.iter_graph(module)):
        if isinstance(node, nnx.Module):
            for name, value in list(vars(node).items()):
                if isinstance(value, jax.Array):
                    setattr(node, name, nnx.data(value))
