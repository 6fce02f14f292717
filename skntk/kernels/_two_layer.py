"""The two-layer ReLU network with only the first layer trained, in closed form (Eq. 42)."""

from __future__ import annotations

import jax
import numpy as np

from ._arc_cosine import Angle, inverse_sine, safe_inverse
from ._rotation_invariant import PairFunction, RotationInvariantNTK

__all__ = ["TwoLayerNTK"]


class TwoLayerNTK(RotationInvariantNTK):
    r"""NTK of :math:`f(x) = A \max(Wx, 0) / \sqrt m` with A in {-1, +1} frozen (Eq. 41, 42).

    .. math:: \Theta(x, z) = \langle x, z\rangle (\pi - \theta) / (2\pi)

    with :math:`\theta` the angle between x and z. It has no parameters.

    Notes
    -----
    `nngp` is for initial weights W of variance 1; variance :math:`s^2` multiplies it by
    :math:`s^2`. The tangent kernel does not depend on that variance.

    Examples
    --------
    >>> import numpy as np
    >>> from skntk.kernels import TwoLayerNTK
    >>> TwoLayerNTK()(np.array([[2.0, 0.0], [0.0, 1.0]]))
    array([[2. , 0. ],
           [0. , 0.5]])
    """

    _has_nngp = True

    def pair_function(self, n_features: int) -> tuple[PairFunction, tuple[float, ...]]:
        return (_covariance if self._kind == "nngp" else _two_layer), ()


def _two_layer(
    versine: jax.Array, coversine: jax.Array, x_norm: jax.Array, z_norm: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    angle = Angle(versine, coversine)
    k0 = angle.supplement / (2 * np.pi)
    # The derivative of the angle contributes cos / sin, taken to be 0 at the kink.
    slope = angle.cos * inverse_sine(angle) / (2 * np.pi)
    product = x_norm * z_norm * angle.cos
    return product * k0, k0 + slope, -product * slope * safe_inverse(x_norm**2) / 2


def _covariance(
    versine: jax.Array, coversine: jax.Array, x_norm: jax.Array, z_norm: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Covariance E[relu(w x) relu(w z)] over normal w, with its derivatives."""
    angle = Angle(versine, coversine)
    scale = x_norm * z_norm
    by_square = angle.sin * z_norm * safe_inverse(x_norm) / (4 * np.pi)
    value = scale * (angle.sin + angle.supplement * angle.cos) / (2 * np.pi)
    return value, angle.supplement / (2 * np.pi), by_square
