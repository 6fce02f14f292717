"""The angle between two vectors, and its image under a ReLU layer.

An angle is represented by the pair ``versine = 1 - cos`` and ``coversine = 1 + cos``. A cosine
alone would lose its digits near +-1, which is where equal and opposite samples lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import comb, factorial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.polynomial import chebyshev

from ._once import computed_once

__all__ = ["Angle", "inverse_sine", "relu_angle", "safe_inverse"]


def _arcsin_coefficients(degree: int) -> np.ndarray:
    """Coefficients in t = 4y - 1 of arcsin(sqrt(y)) / sqrt(y) on 0 <= y <= 1/2.

    This is the economised Taylor series: it is converted to Chebyshev polynomials, truncated
    and converted back. The arithmetic is rational, since both conversions lose digits otherwise.
    """
    n_terms = 3 * degree
    taylor = [Fraction(comb(2 * n, n), 4**n * (2 * n + 1)) for n in range(n_terms)]
    quarter = np.array([Fraction(1, 4), Fraction(1, 4)], dtype=object)  # y = (1 + t) / 4
    in_t = np.array([Fraction(0)], dtype=object)
    for coefficient in taylor[::-1]:
        in_t = np.convolve(in_t, quarter)
        in_t[0] += coefficient
    economised = chebyshev.cheb2poly(chebyshev.poly2cheb(in_t)[: degree + 1])
    return np.array([float(coefficient) for coefficient in economised])


# XLA compiles arctan2 to scalar code on a CPU, whereas a polynomial vectorises. The degrees are
# the lowest that reach the rounding error of the dtype: each degree divides the error by 5.8.
_COEFFICIENTS = {np.float32: _arcsin_coefficients(9), np.float64: _arcsin_coefficients(21)}

# Coefficients of (sin x - x cos x) / x^3 in powers of x^2, as many as x < 1/2 requires.
_SINE_SERIES = [(-1) ** k * 2 * (k + 1) / factorial(2 * k + 3) for k in range(8)]


def _polynomial(x: jax.Array, coefficients: Sequence[float] | np.ndarray) -> jax.Array:
    """Value of a polynomial by Horner's rule; the lowest coefficient comes first."""
    value = jnp.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + x.dtype.type(coefficient)
    return value


class Angle:
    """Functions of an angle that is given by its versine and coversine.

    Parameters
    ----------
    versine : Array
    coversine : Array, default=None
        None means that the angle is at most pi / 2, as after a ReLU layer, so that
        2 - versine is accurate.

    Attributes
    ----------
    theta, supplement : Array
        The angle, and pi minus the angle, each with full relative accuracy near 0.
    sin, cos : Array
    """

    def __init__(self, versine: jax.Array, coversine: jax.Array | None = None):
        pi = jnp.asarray(np.pi, versine.dtype)
        if coversine is None:
            self.theta = computed_once(_small_angle(versine))
            self.supplement = pi - self.theta
            self.sin, self.cos = jnp.sqrt(versine * (2 - versine)), 1 - versine
            return
        acute = versine < coversine
        lesser = computed_once(_small_angle(jnp.minimum(versine, coversine)))
        self.theta = jnp.where(acute, lesser, pi - lesser)
        self.supplement = jnp.where(acute, pi - lesser, lesser)
        self.sin = jnp.sqrt(versine * coversine)
        self.cos = jnp.where(acute, 1 - versine, coversine - 1)


def _small_angle(versine: jax.Array) -> jax.Array:
    """Angle of at most pi / 2 with the given versine."""
    half_square = versine / 2  # sin^2 of half the angle
    ratio = _polynomial(4 * half_square - 1, _COEFFICIENTS[versine.dtype.type])
    return 2 * jnp.sqrt(half_square) * ratio


def relu_angle(angle: Angle, versine: jax.Array) -> jax.Array:
    """Versine of the angle between two ReLU feature vectors, from E[relu(u) relu(v)] normalised.

    It is 1 - (sin + (pi - theta) cos) / pi, rearranged so that nothing cancels near theta = 0.
    """
    theta = angle.theta
    series = theta**3 * _polynomial(theta**2, _SINE_SERIES)
    gap = jnp.where(theta < 0.5, series, angle.sin - theta * angle.cos)
    return versine - gap / np.pi


def inverse_sine(angle: Angle) -> jax.Array:
    """1 / sin, but 0 where the angle is 0 or pi up to rounding and the kernel has a kink.

    There rounding has lost the tangential direction, so its sub-gradient is taken to be 0.
    """
    least = 64 * jnp.finfo(angle.sin.dtype).eps
    return jnp.where(angle.sin > least, 1 / jnp.maximum(angle.sin, least), 0)


def safe_inverse(array: jax.Array) -> jax.Array:
    """1 / array where the array is positive, and 0 elsewhere."""
    positive = array >= jnp.finfo(array.dtype).tiny  # 1 / subnormal overflows
    return jnp.where(positive, 1 / jnp.where(positive, array, 1), 0)
