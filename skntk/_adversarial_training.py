"""Attacks made of JAX alone, to run inside a compiled training step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ._validation import check_integer, check_norm, check_option, check_real

__all__ = ["AdversarialTraining", "perturb"]


@dataclass(frozen=True)
class AdversarialTraining:
    """The adversary that a network is trained against.

    Every batch is replaced by adversarial examples of the current weights, with the true
    labels.

    Parameters
    ----------
    eps : float
        Radius of the ball.
    method : {"pgd", "fgsm"}, default="pgd"
        `max_iter` steps, or one of size `eps`.
    eps_step : float, default=None
        Size of a PGD step; None is ``2.5 * eps / max_iter``.
    max_iter : int, default=7
        Number of PGD steps.
    norm : {inf, 2}, default=inf
        Norm of the ball.
    clip_values : tuple of two floats or None, default=(0.0, 1.0)
        Lowest and highest value of a feature. None: no box.

    Examples
    --------
    >>> from skntk import AdversarialTraining
    >>> AdversarialTraining(0.3, eps_step=0.1, max_iter=20).step_size
    0.1
    """

    eps: float
    method: str = "pgd"
    eps_step: float | None = None
    max_iter: int = 7
    norm: float = np.inf
    clip_values: tuple[float, float] | None = (0.0, 1.0)

    def __post_init__(self) -> None:
        check_real("eps", self.eps, low=0.0)
        check_option("method", self.method, ("pgd", "fgsm"))
        check_integer("max_iter", self.max_iter, low=1)
        check_norm(self.norm)
        if self.eps_step is not None:
            check_real("eps_step", self.eps_step, low=0.0)
        if self.clip_values is not None:
            low, high = self.clip_values
            if not low <= high:
                raise ValueError(
                    f"clip_values={self.clip_values!r} has a low above its high; give (low, high)."
                )

    @property
    def n_steps(self) -> int:
        """Number of gradient steps."""
        return 1 if self.method == "fgsm" else self.max_iter

    @property
    def step_size(self) -> float:
        """Size of each."""
        if self.method == "fgsm":
            return self.eps
        return 2.5 * self.eps / self.max_iter if self.eps_step is None else self.eps_step


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
