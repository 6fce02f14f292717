"""Attacks made of JAX alone, to run inside a compiled training step."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ._adversarial_training import AdversarialTraining

__all__ = ["perturb"]


def perturb(
    adversary: AdversarialTraining,
    outputs: Callable[[jax.Array], jax.Array],
    x: jax.Array,
    labels: jax.Array,
) -> jax.Array:
    """Adversarial examples (n, d) of a function from (n, d) to decision outputs (n, k).

    The objective is the cross-entropy in a form whose gradient has the same direction and
    does not vanish on confident samples: the soft maximum of the other logits less that
    of the label.
    """

    def objective(points: jax.Array) -> jax.Array:
        f = outputs(points)
        logits = jnp.concatenate([-f / 2, f / 2], axis=1) if f.shape[1] == 1 else f
        is_label = jax.nn.one_hot(labels, logits.shape[1], dtype=bool)
        others = jax.nn.logsumexp(jnp.where(is_label, -jnp.inf, logits), axis=1)
        return jnp.sum(others - jnp.sum(jnp.where(is_label, logits, 0), axis=1))

    def step(_: int, points: jax.Array) -> jax.Array:
        gradient = jax.grad(objective)(points)
        points = points + adversary.step_size * _steepest(adversary.norm, gradient)
        points = x + _project(adversary, points - x)
        return points if adversary.clip_values is None else jnp.clip(points, *adversary.clip_values)

    return jax.lax.fori_loop(0, adversary.n_steps, step, x)


def _steepest(norm: float, gradient: jax.Array) -> jax.Array:
    if norm == np.inf:
        return jnp.sign(gradient)
    length = jnp.linalg.norm(gradient, axis=1, keepdims=True)
    return gradient / jnp.where(length > 0, length, 1)


def _project(adversary: AdversarialTraining, delta: jax.Array) -> jax.Array:
    if adversary.norm == np.inf:
        return jnp.clip(delta, -adversary.eps, adversary.eps)
    length = jnp.linalg.norm(delta, axis=1, keepdims=True)
    return delta * jnp.minimum(1, adversary.eps / jnp.where(length > 0, length, 1))
