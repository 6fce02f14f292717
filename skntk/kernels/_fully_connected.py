"""The fully connected ReLU network of any depth, in closed form."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import jax.numpy as jnp
import numpy as np

from .._validation import check_integer, check_real
from ._arc_cosine import Angle, inverse_sine, relu_angle, safe_inverse
from ._rotation_invariant import PairFunction, RotationInvariantNTK

__all__ = ["FullyConnectedNTK"]


class FullyConnectedNTK(RotationInvariantNTK):
    r"""NTK of an infinitely wide fully connected ReLU network.

    With :math:`w` the squared `weight_std`, :math:`b` the squared `bias_std` and
    :math:`k_0, k_1` the arc-cosine maps of a ReLU layer,

    .. math::
        S_0 = w \langle x, z\rangle / d + b, \quad T_0 = S_0, \qquad
        S_l = w k_1 + b, \quad T_l = S_l + w k_0 T_{l-1}, \qquad \Theta = T_L.

    Parameters
    ----------
    depth : int, default=1
        Number of hidden layers L; 0 is the linear kernel.
    weight_std : float, default=sqrt(2)
        Standard deviation of the weights in NTK parameterisation.
    bias_std : float, default=0.1
        Standard deviation of the biases.

    References
    ----------
    Jacot, Gabriel and Hongler, "Neural Tangent Kernel: Convergence and Generalization
    in Neural Networks", NeurIPS 2018. The paper's FC1..FC5 are depths 1..5.

    Examples
    --------
    >>> import numpy as np
    >>> from skntk.kernels import FullyConnectedNTK
    >>> X = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> FullyConnectedNTK(depth=1, bias_std=0.0)(X)
    array([[2.        , 0.31830989],
           [0.31830989, 2.        ]])
    """

    def __init__(self, depth: int = 1, *, weight_std: float = 2**0.5, bias_std: float = 0.1):
        self.depth = depth
        self.weight_std = weight_std
        self.bias_std = bias_std

    def _check_parameters(self, n_features: int) -> None:
        check_integer("depth", self.depth, low=0)
        check_real("weight_std", self.weight_std, low=0.0, strict=True)
        check_real("bias_std", self.bias_std, low=0.0)

    def _pair_function(self, n_features: int) -> tuple[PairFunction, tuple[float, ...]]:
        parameters = (self.weight_std**2, self.bias_std**2, float(n_features))
        return _of_depth(int(self.depth)), parameters


@cache
def _of_depth(depth: int) -> Callable:
    return partial(_fully_connected, depth)


def _fully_connected(depth, versine, coversine, x_norm, z_norm, w, b, d):
    """Recursion over layers of S, T and of their derivatives.

    A layer first adds the bias as one more coordinate, then maps the angle. `by_product`
    differentiates with respect to S_0, `by_square` with respect to q_0(x).
    """
    x_norm, z_norm = x_norm * jnp.sqrt(w / d), z_norm * jnp.sqrt(w / d)
    gap = x_norm - z_norm
    scale, q_x, versine, coversine = _add_bias(versine, coversine, x_norm, z_norm, gap, b)
    angle = Angle(versine, coversine)
    s = t = scale * angle.cos
    s_by_product = t_by_product = jnp.ones_like(s)
    s_by_square = t_by_square = jnp.zeros_like(s)
    q_by_square = jnp.ones_like(s)

    for _ in range(depth):
        inverse_q, inverse_sin = safe_inverse(q_x), inverse_sine(angle)
        k0 = angle.supplement / (2 * np.pi)
        # d k1 / d S = k0; the derivatives of k0 have the kink: 0 where sin = 0.
        k1_by_q = angle.sin * scale * inverse_q / (4 * np.pi)
        k0_by_s = safe_inverse(scale) * inverse_sin / (2 * np.pi)
        k0_by_q = -angle.cos * inverse_q * inverse_sin / (4 * np.pi)

        k0_by_product = k0_by_s * s_by_product
        k0_by_square = k0_by_s * s_by_square + k0_by_q * q_by_square
        s_by_product = w * k0 * s_by_product
        s_by_square = w * (k0 * s_by_square + k1_by_q * q_by_square)
        t_by_product = s_by_product + w * (k0_by_product * t + k0 * t_by_product)
        t_by_square = s_by_square + w * (k0_by_square * t + k0 * t_by_square)
        q_by_square = q_by_square * w / 2

        x_norm, z_norm, gap = _relu_norms(q_x, x_norm, z_norm, gap, scale, w, b)
        versine = relu_angle(angle, versine)
        scale, q_x, versine, coversine = _add_bias(versine, 2 - versine, x_norm, z_norm, gap, b)
        angle = Angle(versine, coversine)
        s = scale * angle.cos
        t = s + w * k0 * t
    return t, t_by_product * w / d, t_by_square * w / d


def _add_bias(versine, coversine, x_norm, z_norm, gap, b):
    """Append the coordinate sqrt(b) to both vectors, given norms, their gap and angle.

    Every term is non-negative: nothing cancels, so equal vectors keep versine 0.
    """
    q_x, q_z = x_norm**2 + b, z_norm**2 + b
    scale = jnp.sqrt(q_x) * jnp.sqrt(q_z)  # the product itself may overflow
    dot = x_norm * z_norm
    inverse = safe_inverse(scale)
    apart = b * gap**2 * safe_inverse(scale + dot + b)
    along = b * (x_norm**2 + z_norm**2 + b) * safe_inverse(scale + dot) + b
    # A zero vector has no angle; a right angle makes its derivative the mean of both sides.
    versine = jnp.where(scale > 0, (apart + dot * versine) * inverse, 1)
    coversine = jnp.where(scale > 0, (along + dot * coversine) * inverse, 1)
    return scale, q_x, versine, coversine


def _relu_norms(q_x, x_norm, z_norm, gap, scale, w, b):
    """Norms of both ReLU feature vectors, sqrt(w q / 2), and the gap between them."""
    q_z = z_norm**2 + b
    gap = gap * (x_norm + z_norm) * (w / 2)
    x_norm, z_norm = jnp.sqrt(w * q_x / 2), jnp.sqrt(w * q_z / 2)
    return x_norm, z_norm, gap * safe_inverse(x_norm + z_norm)
