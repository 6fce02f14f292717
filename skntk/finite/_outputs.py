"""Pure functions of a network's state: outputs, pullbacks, adversarial examples.

A state is a dictionary of trees: ``params``; ``constants``; ``origin``, the initial
parameters if outputs are centred, else None; and ``anchor``, the parameters around which the
network is linearised, else None. Which of them are None is part of the tree structure, so that
each kind of model compiles once. This module needs JAX only.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from ..networks._function import Network
from ._adversarial_training import AdversarialTraining
from ._attack import ascend, divergence, make_budget, margin, random_start

__all__ = [
    "State",
    "attack",
    "decision_outputs",
    "input_pullback",
    "linearized",
    "network_outputs",
    "pulled_back",
    "training_outputs",
]

#: "params", "constants", "anchor" (parameters or None) and "origin" (parameters and constants, or
#: None).
State = dict[str, Any]


def network_outputs(network: Network, state: State, x: jax.Array) -> jax.Array:
    """Raw outputs (n, k) of the network, centred and linearised according to the state."""

    def f(params: Any) -> jax.Array:
        return network.apply(params, state["constants"], x)

    if state["anchor"] is None:
        outputs = f(state["params"])
    else:
        step = jax.tree.map(jnp.subtract, state["params"], state["anchor"])
        value, change = jax.jvp(f, (state["anchor"],), (step,))
        outputs = value + change
    return _centred(network, state, x, outputs)


def training_outputs(
    network: Network, state: State, x: jax.Array, key: jax.Array
) -> tuple[jax.Array, Any]:
    """Raw outputs (n, k) in training mode, and the constants after it.

    The expansion of a network is that of its function in inference mode, and has no other mode.
    """
    if state["anchor"] is not None or not network.has_training_mode:
        return network_outputs(network, state, x), state["constants"]
    outputs, constants = network.apply_in_training(state["params"], state["constants"], x, key)
    return _centred(network, state, x, outputs), constants


def _centred(network: Network, state: State, x: jax.Array, outputs: jax.Array) -> jax.Array:
    if state["origin"] is None:
        return outputs
    params, constants = state["origin"]
    return outputs - network.apply(params, constants, x)


def _decision_outputs(network: Network, n_classes: int, state: State, x: jax.Array) -> jax.Array:
    """Outputs of a classifier: two outputs for two classes are replaced by their difference."""
    outputs = network_outputs(network, state, x)
    if n_classes == 2 and outputs.shape[1] == 2:
        return outputs[:, 1:] - outputs[:, :1]
    return outputs


@partial(jax.jit, static_argnums=(0, 1))
def decision_outputs(network: Network, n_classes: int, state: State, x: jax.Array) -> jax.Array:
    """Decision outputs (n, k), k = 1 for two classes."""
    return _decision_outputs(network, n_classes, state, x)


@partial(jax.jit, static_argnums=(0, 1))
def input_pullback(
    network: Network, n_classes: int, state: State, x: jax.Array, cotangents: jax.Array
) -> jax.Array:
    """Gradient (n, d) of the sum of decision outputs weighted by cotangents (n, k)."""
    _, pullback = jax.vjp(lambda points: _decision_outputs(network, n_classes, state, points), x)
    return pullback(cotangents)[0]


@partial(jax.jit, static_argnums=(0, 1))
def linearized(network: Network, n_classes: int, state: State, x: jax.Array) -> Any:
    """Decision outputs (n, k), and their pullback as a tree of arrays for `pulled_back`."""
    return jax.vjp(lambda points: _decision_outputs(network, n_classes, state, points), x)


@jax.jit
def pulled_back(pullback: Any, cotangents: jax.Array) -> jax.Array:
    """Gradient (n, d) of the outputs of `linearized` weighted by cotangents (n, k)."""
    return pullback(cotangents)[0]


def attack(
    network: Network,
    n_classes: int,
    adversary: AdversarialTraining,
    state: State,
    x: Any,
    labels: Any,
    key: jax.Array | None = None,
) -> Any:
    """Adversarial examples for a network in a given state; `key` determines where they start."""
    budget, points, clean = make_budget(adversary), x, None
    if adversary.reach > 0:
        key = jax.random.key(0) if key is None else key
        points = _random_start(adversary.norm, budget, adversary.reach, x, key)
    if adversary.is_trades:
        clean, labels = decision_outputs(network, n_classes, state, x), None
    for _ in range(adversary.n_steps):
        points = _attack_step(
            network, n_classes, adversary.norm, budget, state, x, labels, clean, points
        )
    return points


_random_start = partial(jax.jit, static_argnums=(0, 2))(random_start)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _attack_step(
    network: Network,
    n_classes: int,
    norm: float,
    budget: Any,
    state: State,
    x: jax.Array,
    labels: jax.Array | None,
    clean: jax.Array | None,
    points: jax.Array,
) -> jax.Array:
    """Step away from the labels, or from the outputs on clean samples if they are given."""

    def objective(outputs: jax.Array) -> jax.Array:
        if clean is not None:
            return divergence(outputs, clean).sum()
        return margin(outputs, jnp.asarray(labels))

    outputs = partial(_decision_outputs, network, n_classes, state)
    return ascend(norm, budget, outputs, objective, x, points)
