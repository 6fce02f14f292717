"""Kernels of two points as JAX functions, to be traced, mapped and differentiated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["as_floats", "rotation_invariant"]


def as_floats(x: Any, z: Any) -> tuple[jax.Array, jax.Array]:
    """Two points of one floating dtype, of 32 bits at least."""
    x, z = jnp.asarray(x), jnp.asarray(z)
    if x.ndim != 1 or x.shape != z.shape:
        raise ValueError(
            f"x has shape {x.shape} and z has {z.shape}; give two points (d,), and map the "
            "function over more of them by jax.vmap."
        )
    dtype = jnp.result_type(x.dtype, z.dtype, jnp.float32)
    # Copies: a custom derivative does not take the NumPy constants that `vmap` may pass along.
    return jnp.array(x, dtype), jnp.array(z, dtype)


def rotation_invariant(function: Callable[..., Any], parameters: tuple[float, ...]) -> Callable:
    """Function of two points from one of (versine, coversine, |x|, |z|, *parameters).

    Its derivative is the one that is written by hand, which is finite where the kernel has a kink.
    """

    def evaluate(x: jax.Array, z: jax.Array) -> tuple[jax.Array, ...]:
        floats = [jnp.asarray(value, x.dtype) for value in parameters]
        versine, coversine, x_norm, z_norm = _angle(x, z)
        return function(versine, coversine, x_norm, z_norm, *floats)

    @jax.custom_jvp
    def kernel(x: jax.Array, z: jax.Array) -> jax.Array:
        return evaluate(x, z)[0]

    @kernel.defjvp
    def derivative(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
        (x, z), (dx, dz) = primals, tangents
        value, by_product, by_x_square = evaluate(x, z)
        by_z_square = evaluate(z, x)[2]
        change = by_product * (jnp.dot(dx, z) + jnp.dot(x, dz))
        return value, change + 2 * by_x_square * jnp.dot(x, dx) + 2 * by_z_square * jnp.dot(z, dz)

    return kernel


def _angle(x: jax.Array, z: jax.Array) -> tuple[jax.Array, ...]:
    """Versine and coversine of the angle, a right angle for a zero vector, and both norms."""
    x_norm, z_norm = jnp.sqrt(jnp.sum(x * x)), jnp.sqrt(jnp.sum(z * z))
    positive = (x_norm > 0) & (z_norm > 0)
    u = x / jnp.where(x_norm > 0, x_norm, 1)
    v = z / jnp.where(z_norm > 0, z_norm, 1)
    versine, coversine = (jnp.sum((u - sign * v) ** 2) / 2 for sign in (1, -1))
    versine, coversine = (jnp.where(positive, value, 1) for value in (versine, coversine))
    return versine, coversine, x_norm, z_norm
