"""One pass over the data: batches, losses, and a step of the optimiser."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from ..networks._function import Network
from ._adversarial_training import AdversarialTraining
from ._attack import divergence
from ._optimizer import Optimizer, make_optimizer
from ._outputs import State, attack, training_outputs

__all__ = ["TRAINING_LOSSES", "mini_batches", "train_epoch"]


#: What the key of a step is folded with, for the start of an attack, and to train on its points.
_START, _AGAIN = 1, 2


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


TRAINING_LOSSES = {"cross_entropy": _cross_entropy, "squared_error": _squared_error}


def mini_batches(
    sample_weight: NDArray, size: int | None, random: np.random.RandomState, shuffle: bool = True
) -> tuple[NDArray, NDArray]:
    """Sample indices and weights of the batches of an epoch, for `train_epoch`."""
    n = len(sample_weight)
    size = n if size is None else min(size, n)
    order = random.permutation(n) if shuffle and size < n else np.arange(n)
    n_batches = -(-n // size)
    weights = np.zeros(n_batches * size, sample_weight.dtype)
    weights[:n] = sample_weight[order]
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
    key: jax.Array,
) -> tuple[State, Any, Any]:
    """Train for one pass over the batches.

    The loop runs in Python, around steps that are compiled once: in a compiled loop, XLA runs
    convolutions on a CPU twenty to thirty times slower.

    Parameters
    ----------
    network, n_classes, loss, optimizer, adversary
        Static arguments of the compiled functions.
    state, optimizer_state
        The state of training before the epoch.
    data : tuple of inputs (n, d) and class indices (n,)
    batches : tuple of indices (s, b) and weights (s, b)
        One batch per row; the last is padded with samples of weight 0. All other weights are
        above 0, with a mean of 1.
    learning_rate : float
    key : jax.Array
        Determines the random numbers of the training mode and of the adversary.

    Returns
    -------
    state, optimizer_state
        The state of training after the epoch.
    loss : float
        Weighted mean over the samples of the loss before the step that uses them.
    """
    X, y = data
    total = 0.0
    for step, (rows, weights) in enumerate(zip(*batches, strict=True)):
        if network.has_training_mode:  # padding would enter the statistics of the batch
            rows, weights = rows[weights > 0], weights[weights > 0]
        x, labels, regularizer = X[rows], y[rows], None
        if adversary is not None:
            start = None
            if adversary.reach > 0:
                start = jax.random.fold_in(jax.random.fold_in(key, step), _START)
            attacked = attack(network, n_classes, adversary, state, x, labels, start)
            if adversary.is_trades:
                regularizer = attacked, adversary.beta
            else:
                x = attacked
        change, optimizer_state, value = _descend(
            *(network, loss, optimizer, state, optimizer_state),
            *(x, labels, regularizer, weights, learning_rate, key, step),
        )
        state = {**state, **change}
        total = total + value  # not awaited: the next batch is prepared meanwhile
    return state, optimizer_state, total / np.count_nonzero(batches[1])


@partial(jax.jit, static_argnums=(0, 1, 2))
def _descend(
    network: Network,
    loss: str,
    optimizer: Any,
    state: State,
    optimizer_state: Any,
    x: jax.Array,
    labels: jax.Array,
    regularizer: tuple[jax.Array, Any] | None,
    weights: jax.Array,
    learning_rate: Any,
    key: jax.Array,
    step: Any,
) -> tuple[State, Any, jax.Array]:
    """Parameters, constants and optimiser state after a step, and the weighted sum of losses.

    `regularizer` holds adversarial examples, and the weight of the divergence of the outputs on
    them from those on the samples.
    """
    key = jax.random.fold_in(key, step)
    # Not the sum of the weights, which would cancel the weight of a sample alone in its batch.
    n_samples = jnp.sum(weights > 0).astype(weights.dtype)

    def mean_loss(params: Any) -> tuple[jax.Array, Any]:
        outputs, constants = training_outputs(network, {**state, "params": params}, x, key)
        values = TRAINING_LOSSES[loss](outputs, labels)
        if regularizer is not None:
            attacked, beta = regularizer
            after = {**state, "params": params, "constants": constants}
            found, constants = training_outputs(
                network, after, attacked, jax.random.fold_in(key, _AGAIN)
            )
            values += beta * divergence(found, outputs)
        return jnp.sum(weights * values) / n_samples, constants

    params = state["params"]
    (value, constants), gradient = jax.value_and_grad(mean_loss, has_aux=True)(params)
    transformation = make_optimizer(optimizer, learning_rate)
    updates, optimizer_state = transformation.update(gradient, optimizer_state, params)
    change = {"params": optax.apply_updates(params, updates), "constants": constants}
    return change, optimizer_state, value * n_samples
