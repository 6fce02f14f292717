"""Pure functions of a network's state: outputs, pullbacks, one epoch, accuracies.

A state is a dictionary of trees: ``params``; ``constants``; ``origin``, the initial
parameters if outputs are centred, else None; ``anchor``, the parameters around which the
network is linearised, else None. Which of them are None is part of its type, so that each
kind of model compiles once.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from ._adversarial_training import AdversarialTraining
from ._flax_attack import ascend, make_budget
from ._flax_network import Network
from ._flax_optimizer import Optimizer, make_optimizer

__all__ = [
    "LOSSES",
    "attack",
    "decide",
    "input_pullback",
    "mini_batches",
    "train_epoch",
]

State = dict[str, Any]


def _cross_entropy(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    if outputs.shape[1] == 1:
        return optax.sigmoid_binary_cross_entropy(outputs[:, 0], labels.astype(outputs.dtype))
    return optax.softmax_cross_entropy_with_integer_labels(outputs, labels)


def _squared_error(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    if outputs.shape[1] == 1:
        targets = (2 * labels - 1).astype(outputs.dtype)[:, None]
    else:
        targets = jax.nn.one_hot(labels, outputs.shape[1], dtype=outputs.dtype)
    return optax.l2_loss(outputs, targets).sum(axis=1)


LOSSES = {"cross_entropy": _cross_entropy, "squared_error": _squared_error}


def network_outputs(network: Network, state: State, x: jax.Array) -> jax.Array:
    """Raw outputs (n, k) of the network, centred and linearised as the state says."""

    def f(params: Any) -> jax.Array:
        return network.apply(params, state["constants"], x)

    if state["anchor"] is None:
        outputs = f(state["params"])
    else:
        step = jax.tree.map(jnp.subtract, state["params"], state["anchor"])
        value, change = jax.jvp(f, (state["anchor"],), (step,))
        outputs = value + change
    return outputs if state["origin"] is None else outputs - f(state["origin"])


def decision_outputs(network: Network, n_classes: int, state: State, x: jax.Array) -> jax.Array:
    """Outputs as classifiers give them: two outputs for two classes become their difference."""
    outputs = network_outputs(network, state, x)
    if n_classes == 2 and outputs.shape[1] == 2:
        return outputs[:, 1:] - outputs[:, :1]
    return outputs


@partial(jax.jit, static_argnums=(0, 1))
def decide(network: Network, n_classes: int, state: State, x: jax.Array) -> jax.Array:
    """Decision outputs (n, k), k = 1 for two classes."""
    return decision_outputs(network, n_classes, state, x)


@partial(jax.jit, static_argnums=(0, 1))
def input_pullback(
    network: Network, n_classes: int, state: State, x: jax.Array, cotangents: jax.Array
) -> jax.Array:
    """Gradient (n, d) of the decision outputs weighted by cotangents (n, k)."""
    _, pullback = jax.vjp(lambda points: decision_outputs(network, n_classes, state, points), x)
    return pullback(cotangents)[0]


def attack(
    network: Network,
    n_classes: int,
    adversary: AdversarialTraining,
    state: State,
    x: Any,
    labels: Any,
) -> Any:
    """Adversarial examples of the network itself."""
    budget, points = make_budget(adversary), x
    for _ in range(adversary.n_steps):
        points = _attack_step(network, n_classes, adversary.norm, budget, state, x, labels, points)
    return points


@partial(jax.jit, static_argnums=(0, 1, 2))
def _attack_step(network, n_classes, norm, budget, state, x, labels, points):
    return ascend(
        norm, budget, partial(decision_outputs, network, n_classes, state), x, labels, points
    )


def mini_batches(
    n: int, size: int | None, random: np.random.RandomState, dtype: np.dtype
) -> tuple[NDArray, NDArray]:
    """Sample indices and weights of the batches of an epoch, as `train_epoch` takes them."""
    size = n if size is None else min(size, n)
    order = np.arange(n) if size == n else random.permutation(n)
    n_batches = -(-n // size)
    weights = np.zeros(n_batches * size, dtype)
    weights[:n] = 1
    rows = np.resize(order, n_batches * size).astype(np.int32)
    return rows.reshape(n_batches, size), weights.reshape(n_batches, size)


def train_epoch(
    network: Network,
    n_classes: int,
    loss: str,
    optimizer: Optimizer,
    adversary: AdversarialTraining | None,
    state: State,
    optimizer_state: Any,
    data: tuple[Any, Any],
    batches: tuple[NDArray, NDArray],
    learning_rate: float,
) -> tuple[Any, Any, Any]:
    """One pass over the batches.

    The loop is Python's, around steps that are compiled once: in a compiled loop XLA runs
    the convolutions of a CPU twenty to thirty times slower.

    Parameters
    ----------
    network, n_classes, loss, optimizer, adversary
        What is compiled for.
    state, optimizer_state
        Where training stands.
    data : tuple of inputs (n, d) and class indices (n,)
    batches : tuple of indices (s, b) and weights (s, b)
        A batch a row; the last is filled up with samples of weight 0.
    learning_rate : float

    Returns
    -------
    params, optimizer_state
        After the epoch.
    loss : float
        Mean over the samples, as they were met.
    """
    X, y = data
    total = 0.0
    for rows, weights in zip(*batches, strict=True):
        x, labels = X[rows], y[rows]
        if adversary is not None:
            x = attack(network, n_classes, adversary, state, x, labels)
        params, optimizer_state, value = _descend(
            network, loss, optimizer, state, optimizer_state, x, labels, weights, learning_rate
        )
        state = {**state, "params": params}
        total = total + value  # not waited for: the next batch is prepared meanwhile
    return state["params"], optimizer_state, total / batches[1].sum()


@partial(jax.jit, static_argnums=(0, 1, 2))
def _descend(network, loss, optimizer, state, optimizer_state, x, labels, weights, learning_rate):
    """Parameters and optimizer state after a step, and the batch's weighted sum of losses."""

    def mean_loss(params):
        outputs = network_outputs(network, {**state, "params": params}, x)
        return jnp.sum(weights * LOSSES[loss](outputs, labels)) / jnp.sum(weights)

    params = state["params"]
    value, gradient = jax.value_and_grad(mean_loss)(params)
    transformation = make_optimizer(optimizer, learning_rate)
    updates, optimizer_state = transformation.update(gradient, optimizer_state, params)
    return optax.apply_updates(params, updates), optimizer_state, value * jnp.sum(weights)
