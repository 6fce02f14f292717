"""Per-sample Jacobians of any JAX function, computed from the structure of its layers.

The derivative of a sample's output with respect to the weights W of a dense layer h -> h W is
determined by the layer's input h and the derivative delta of the output with respect to h W. The
layer contributes (h_i . h_j)(delta_ia . delta_jb) to the tangent kernel, without any Jacobian. The
Jacobian of a convolution's weights is one matrix product of its patches and its delta. Both kinds
of layer are found by walking through the function's jaxpr; JAX differentiates the function with
respect to all other parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from ..networks._function import Network

__all__ = ["tangent_features"]


@partial(jax.jit, static_argnums=0)
def tangent_features(
    network: Network, params: Any, constants: Any, x: jax.Array
) -> tuple[jax.Array, list[tuple[jax.Array, jax.Array]]]:
    """Derivatives of each sample from which the tangent kernel is assembled.

    Parameters
    ----------
    network : Network
        Hashable; ``network.apply(params, constants, x)`` gives outputs (n, k).
    params, constants : tree of arrays
        Parameters to differentiate with respect to, and constants.
    x : Array of shape (n, d)

    Returns
    -------
    jacobian : Array of shape (n, k, P)
        With respect to all parameters but the weights of dense layers, in an unspecified order.
    dense : list of (h (n, n_in), delta (n, k, n_out))
        One pair for each dense layer.
    """
    leaves, tree = jax.tree.flatten(params)

    def outputs(leaves: list[jax.Array], sample: jax.Array) -> jax.Array:
        return network.apply(jax.tree.unflatten(tree, leaves), constants, sample[None])[0]

    jaxpr = jax.make_jaxpr(outputs)(leaves, x[0])
    layers = _find_layers(jaxpr, leaves, x[0])

    def of_sample(sample: jax.Array) -> Any:
        rest = [None if k in layers else leaf for k, leaf in enumerate(leaves)]
        probes = {k: jnp.zeros(layer.shape, layer.dtype) for k, layer in layers.items()}

        def probed(rest: list[Any], probes: dict[int, jax.Array]) -> Any:
            walk = _Walk(layers, probes)
            filled = [leaf if r is None else r for r, leaf in zip(rest, leaves, strict=True)]
            return walk.outputs(jaxpr, filled, sample), walk.inputs

        value, pullback, inputs = jax.vjp(probed, rest, probes, has_aux=True)
        rest_jacobian, deltas = jax.vmap(pullback)(jnp.eye(len(value), dtype=value.dtype))
        parts = [leaf.reshape(len(value), -1) for leaf in jax.tree.leaves(rest_jacobian)]
        parts += [
            layer.jacobian(inputs[k], deltas[k]) for k, layer in layers.items() if layer.patches
        ]
        jacobian = jnp.concatenate([jnp.zeros((len(value), 0), value.dtype), *parts], axis=1)
        dense = [
            (inputs[k].ravel(), deltas[k].reshape(len(value), -1))
            for k, layer in layers.items()
            if not layer.patches
        ]
        return jacobian, dense

    return jax.vmap(of_sample)(x)


@dataclass(frozen=True)
class _Layer:
    """A product of an activation with a weight, described by its output and its weight."""

    shape: tuple[int, ...]
    dtype: Any
    patches: dict[str, Any] = field(default_factory=dict)  # of a convolution; empty if dense
    weight_shape: tuple[int, ...] = ()

    def jacobian(self, h: jax.Array, delta: jax.Array) -> jax.Array:
        """Jacobian (k, P) of a convolution's weights: patches times delta."""
        numbers = self.patches["dimension_numbers"]
        (n, c, *sides), (m, o, *out) = numbers.lhs_spec, numbers.out_spec
        h = jnp.transpose(h, (n, *sides, c))[0]  # positions, then channels
        delta = jnp.transpose(delta, (0, *(axis + 1 for axis in (m, *out, o))))[:, 0]
        patches = self._patches(h, delta.shape[1:-1])
        delta = delta.reshape(len(delta), len(patches), -1)  # outputs, positions, channels
        return jnp.einsum("kpo,pi->koi", delta, patches).reshape(len(delta), -1)

    def _patches(self, h: jax.Array, positions: tuple[int, ...]) -> jax.Array:
        """Inputs of the convolution at each position (positions, inputs), by shifting the image.

        XLA extracts patches by a convolution, which takes several times as long on a CPU.
        """
        strides, dilation = self.patches["window_strides"], self.patches["rhs_dilation"]
        edges = zip(self.patches["padding"], self.patches["lhs_dilation"], strict=True)
        padding = [(low, high, apart - 1) for (low, high), apart in edges]
        padded = jax.lax.pad(h, jnp.zeros((), h.dtype), [*padding, (0, 0, 0)])
        n_channels = h.shape[-1]
        kernel = [
            self.weight_shape[axis] for axis in self.patches["dimension_numbers"].rhs_spec[2:]
        ]
        shifted = []
        for offset in product(*map(range, kernel)):
            start = [k * apart for k, apart in zip(offset, dilation, strict=True)]
            sides = zip(start, positions, strides, strict=True)
            limit = [first + (size - 1) * stride + 1 for first, size, stride in sides]
            shift = jax.lax.slice(padded, [*start, 0], [*limit, n_channels], [*strides, 1])
            shifted.append(shift.reshape(-1, n_channels))
        return jnp.concatenate(shifted, axis=1)


class _Weight:
    """A parameter, possibly transposed, that no layer has used yet."""

    def __init__(self, value: jax.Array, index: int):
        self.value, self.index = value, index


class _Walk:
    """Evaluates a jaxpr, adding a probe to the output of each layer and recording its input."""

    def __init__(self, layers: dict[int, _Layer] | None, probes: dict[int, jax.Array]):
        self.layers, self.probes = layers, probes
        self.found: dict[int, list[_Layer | None]] = {}
        self.inputs: dict[int, jax.Array] = {}

    def outputs(self, closed: Any, leaves: list[Any], sample: jax.Array) -> jax.Array:
        weights = [_Weight(leaf, index) for index, leaf in enumerate(leaves)]
        (value,) = self._run(closed.jaxpr, closed.consts, [*weights, sample])
        return self._plain(value)

    def _run(self, jaxpr: Any, consts: Any, arguments: list[Any]) -> list[Any]:
        values = dict(zip(jaxpr.constvars, consts, strict=True))
        values.update(zip(jaxpr.invars, arguments, strict=True))

        def read(variable: Any) -> Any:
            return variable.val if hasattr(variable, "val") else values[variable]

        for equation in jaxpr.eqns:
            inputs = [read(variable) for variable in equation.invars]
            results = self._step(jaxpr, equation, inputs)
            values.update(zip(equation.outvars, results, strict=True))
        return [read(variable) for variable in jaxpr.outvars]

    def _step(self, jaxpr: Any, equation: Any, inputs: list[Any]) -> list[Any]:
        name, weights = equation.primitive.name, [x for x in inputs if isinstance(x, _Weight)]
        if name in ("jit", "pjit"):
            inner = equation.params["jaxpr"]
            return self._run(inner.jaxpr, inner.consts, inputs)
        if name == "transpose" and weights:
            (weight,) = weights
            moved = jnp.transpose(weight.value, equation.params["permutation"])
            return [_Weight(moved, weight.index)]
        layer = _layer_of(equation, inputs) if len(weights) == 1 else None
        if layer is not None:
            return [self._layer(jaxpr, equation, inputs, layer)]
        return _evaluate(jaxpr, equation, [self._plain(x) for x in inputs])

    def _layer(self, jaxpr: Any, equation: Any, inputs: list[Any], layer: _Layer) -> jax.Array:
        (index,) = (x.index for x in inputs if isinstance(x, _Weight))
        self.found.setdefault(index, []).append(layer)
        if self.layers is not None and index in self.layers:
            activation = next(x for x in inputs if not isinstance(x, _Weight))
            self.inputs[index] = activation
        values = [x.value if isinstance(x, _Weight) else x for x in inputs]
        (output,) = _evaluate(jaxpr, equation, values)
        return output + self.probes[index] if index in self.probes else output

    def _plain(self, value: Any) -> Any:
        """Value itself; a parameter is recorded as used by something other than a layer."""
        if not isinstance(value, _Weight):
            return value
        self.found.setdefault(value.index, []).append(None)
        return value.value


def _evaluate(jaxpr: Any, equation: Any, inputs: list[Any]) -> list[Any]:
    """Evaluate one equation as its own jaxpr; how to bind a primitive depends on JAX's version."""
    pairs = zip(equation.invars, inputs, strict=True)
    arguments = {variable: x for variable, x in pairs if not hasattr(variable, "val")}
    # Compared by name, as the type of unused results is not public in every version of JAX.
    kept = [out for out in equation.outvars if type(out).__name__ != "DropVar"]
    alone = jaxpr.replace(
        constvars=[], invars=[*arguments], outvars=kept, eqns=[equation], effects=equation.effects
    )
    results = core.jaxpr_as_fun(core.ClosedJaxpr(alone, ()))(*arguments.values())
    values = dict(zip(kept, results, strict=True))
    return [values.get(out) for out in equation.outvars]


def _find_layers(jaxpr: Any, leaves: list[jax.Array], sample: jax.Array) -> dict[int, _Layer]:
    """Layers whose weight is used exactly once, by the index of that parameter."""
    walk = _Walk(None, {})
    jax.eval_shape(lambda leaves, sample: walk.outputs(jaxpr, leaves, sample), leaves, sample)
    once = {index: uses[0] for index, uses in walk.found.items() if len(uses) == 1}
    return {index: layer for index, layer in once.items() if layer is not None}


def _layer_of(equation: Any, inputs: list[Any]) -> _Layer | None:
    """Layer that an equation computes, or None if its activation is not one vector or image."""
    output = equation.outvars[0].aval
    shapes = [variable.aval.shape for variable in equation.invars]
    if equation.primitive.name == "dot_general":
        (contracting, batch) = equation.params["dimension_numbers"]
        is_weight = [isinstance(x, _Weight) for x in inputs]
        weight, activation = is_weight.index(True), is_weight.index(False)
        single = len(contracting[weight]) == 1 and not batch[0] and len(shapes[weight]) == 2
        width = shapes[weight][contracting[weight][0]] if single else 0
        if single and _size(shapes[activation]) == width:
            return _Layer(output.shape, output.dtype)
    if equation.primitive.name == "conv_general_dilated" and isinstance(inputs[1], _Weight):
        parameters = equation.params
        numbers = parameters["dimension_numbers"]
        groups = parameters["feature_group_count"], parameters["batch_group_count"]
        if groups == (1, 1) and shapes[0][numbers.lhs_spec[0]] == 1:
            return _Layer(output.shape, output.dtype, dict(parameters), shapes[1])
    return None


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size
