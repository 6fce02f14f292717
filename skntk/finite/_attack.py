"""Attacks on networks, one compiled step at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._adversarial_training import AdversarialTraining

__all__ = ["Budget", "ascend", "divergence", "make_budget", "margin", "random_start"]

#: Maps decision outputs (n, k) to the sum over samples of what an attack raises.
Objective = Callable[[jax.Array], jax.Array]

#: eps, the size of a step, and either None or the lowest and highest value of a feature. Each is
#: a number, or an array with one value per feature.
Budget = tuple[Any, Any, tuple[Any, Any] | None]


def make_budget(adversary: AdversarialTraining) -> Budget:
    """Numbers of an adversary, as arguments of compiled functions."""
    box = adversary.clip_values
    numbers = _number_or_array(adversary.eps), _number_or_array(adversary.step_size)
    return *numbers, None if box is None else (_number_or_array(box[0]), _number_or_array(box[1]))


def _number_or_array(value: Any) -> Any:
    return value if np.ndim(value) == 0 else np.asarray(value)


def ascend(
    norm: float,
    budget: Budget,
    outputs: Callable[[jax.Array], jax.Array],
    objective: Objective,
    x: jax.Array,
    points: jax.Array,
) -> jax.Array:
    """Take one step from `points` (n, d) within the ball around `x`.

    `outputs` maps (n, d) to decision outputs (n, k).
    """
    # In the dtype of the samples, which would otherwise be promoted.
    eps, step_size, clip_values = jax.tree.map(lambda v: jnp.asarray(v, x.dtype), budget)
    gradient = jax.grad(lambda points: objective(outputs(points)))(points)
    points = points + step_size * _steepest(norm, gradient, step_size)
    points = x + _project(norm, eps, points - x)
    return points if clip_values is None else jnp.clip(points, *clip_values)


def margin(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """Sum of the soft maximum of the other logits minus the logit of the label.

    Its gradient has the direction of that of the cross-entropy, but does not vanish on confident
    samples.
    """
    logits = _logits(outputs)
    is_label = jax.nn.one_hot(labels, logits.shape[1], dtype=bool)
    others = jax.nn.logsumexp(jnp.where(is_label, -jnp.inf, logits), axis=1)
    return jnp.sum(others - jnp.sum(jnp.where(is_label, logits, 0), axis=1))


def divergence(outputs: jax.Array, clean: jax.Array) -> jax.Array:
    """Kullback-Leibler divergence (n,) of the classes' probabilities from those on clean samples.

    Both arguments are outputs (n, k).
    """
    found, expected = (jax.nn.log_softmax(_logits(f), axis=1) for f in (outputs, clean))
    return jnp.sum(jnp.exp(expected) * (expected - found), axis=1)


def random_start(
    norm: float, budget: Budget, reach: float, x: jax.Array, key: jax.Array
) -> jax.Array:
    """Uniform points (n, d) in part of the ball around each sample, and in the box."""
    eps, _, clip_values = jax.tree.map(lambda v: jnp.asarray(v, x.dtype), budget)
    if norm == np.inf:
        delta = jax.random.uniform(key, x.shape, x.dtype, -1, 1)
    else:
        delta = jax.random.ball(key, x.shape[1], 2, (len(x),), x.dtype)
    points = x + reach * eps * delta
    return points if clip_values is None else jnp.clip(points, *clip_values)


def _logits(outputs: jax.Array) -> jax.Array:
    """Logits (n, k) of the classes, whose softmax is the sigmoid of a single output."""
    if outputs.shape[1] == 1:
        return jnp.concatenate([-outputs / 2, outputs / 2], axis=1)
    return outputs


def _steepest(norm: float, gradient: jax.Array, size: Any) -> jax.Array:
    if norm == np.inf:
        return jnp.sign(gradient)
    if np.ndim(size) > 0:  # the ball is an ellipsoid
        gradient = gradient * size
    length = jnp.linalg.norm(gradient, axis=1, keepdims=True)
    return gradient / jnp.where(length > 0, length, 1)


def _project(norm: float, eps: Any, delta: jax.Array) -> jax.Array:
    if norm == np.inf:
        return jnp.clip(delta, -eps, eps)
    if np.ndim(eps) > 0:  # in units of the axes of the ellipsoid
        delta = jnp.where(eps > 0, delta, 0) / jnp.where(eps > 0, eps, 1)
        return eps * _project(norm, 1, delta)
    length = jnp.linalg.norm(delta, axis=1, keepdims=True)
    return delta * jnp.minimum(1, eps / jnp.where(length > 0, length, 1))
