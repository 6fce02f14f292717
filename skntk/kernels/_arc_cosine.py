"""The angle between two vectors, and what a ReLU layer does to it.

An angle is passed around as the pair ``versine = 1 - cos`` and ``coversine = 1 + cos``:
a cosine alone has no digits left near +-1, which is where x = z lies.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.polynomial import chebyshev

__all__ = ["Angle", "relu_angle", "safe_inverse"]


def _arcsin_coefficients(degree: int) -> np.ndarray:
    """Coefficients in t = 4y - 1 of arcsin(sqrt(y)) / sqrt(y) on 0 <= y <= 1/2."""

    def ratio(t: Any) -> Any:
        root = np.sqrt((t + 1) / 4)
        return np.arcsin(root) / root

    return chebyshev.cheb2poly(chebyshev.chebinterpolate(ratio, degree))


# XLA's arctan2 is scalar code on a CPU; a polynomial vectorises. The degrees are the
# lowest that reach the rounding error of the dtype: the fit gains a factor 5.8 a degree.
_COEFFICIENTS = {np.float32: _arcsin_coefficients(9), np.float64: _arcsin_coefficients(21)}


def _horner(t: jax.Array) -> jax.Array:
    coefficients = _COEFFICIENTS[t.dtype.type].astype(t.dtype)
    value = jnp.full_like(t, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * t + coefficient
    return value


class Angle:
    """Functions of the angle whose versine and coversine are given.

    Attributes
    ----------
    theta, supplement : Array
        The angle and pi minus the angle, each with full relative accuracy near 0.
    sin, cos : Array
    """

    def __init__(self, versine: jax.Array, coversine: jax.Array):
        acute = versine < coversine
        half_square = jnp.minimum(versine, coversine) / 2  # sin^2 of half the lesser angle
        lesser = 2 * jnp.sqrt(half_square) * _horner(4 * half_square - 1)
        pi = jnp.asarray(np.pi, versine.dtype)
        self.theta = jnp.where(acute, lesser, pi - lesser)
        self.supplement = jnp.where(acute, pi - lesser, lesser)
        self.sin = jnp.sqrt(versine * coversine)
        self.cos = jnp.where(acute, 1 - versine, coversine - 1)


def relu_angle(angle: Angle, versine: jax.Array) -> jax.Array:
    """Versine of the angle between ReLU feature vectors, E[relu(u) relu(v)] normalised.

    1 - (sin + (pi - theta) cos) / pi, rearranged so that nothing cancels at theta = 0.
    """
    return versine - (angle.sin - angle.theta * angle.cos) / np.pi


def safe_inverse(array: jax.Array) -> jax.Array:
    """1 / array where it is positive, and 0 elsewhere."""
    positive = array > 0
    return jnp.where(positive, 1 / jnp.where(positive, array, 1), 0)
