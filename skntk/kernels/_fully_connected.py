"""The fully connected ReLU network of any depth, in closed form."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from .._utils.validation import check_integer, check_real
from ._arc_cosine import Angle, inverse_sine, relu_angle, safe_inverse
from ._once import computed_once
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
        Number of hidden layers L; 0 gives the linear kernel.
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

    _has_nngp = True
    _if_not_finite = "lower weight_std or depth"

    def __init__(self, depth: int = 1, *, weight_std: float = 2**0.5, bias_std: float = 0.1):
        self.depth = depth
        self.weight_std = weight_std
        self.bias_std = bias_std

    def check_parameters(self, n_features: int) -> None:
        check_integer("depth", self.depth, low=0)
        check_real("weight_std", self.weight_std, low=0.0, strict=True)
        check_real("bias_std", self.bias_std, low=0.0)

    def pair_function(self, n_features: int) -> tuple[PairFunction, tuple[float, ...]]:
        parameters = (self.weight_std**2, self.bias_std**2, float(n_features))
        return _network_of_depth(int(self.depth), self._kind), parameters


@cache
def _network_of_depth(depth: int, kind: str) -> Callable:
    return partial(_network, depth, kind)


def _network(
    depth: int,
    kind: str,
    versine: jax.Array,
    coversine: jax.Array,
    x_norm: jax.Array,
    z_norm: jax.Array,
    w: jax.Array,
    b: jax.Array,
    d: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Recursion over layers of S (the NNGP kernel), T (the NTK) and their derivatives.

    A layer first adds the bias as one more coordinate, then maps the angle. Names that end in
    `by_product` are derivatives with respect to S_0, those in `by_square` with respect to q_0(x).
    """
    x = _AddedBias(x_norm * jnp.sqrt(w / d), b)
    z = _AddedBias(z_norm * jnp.sqrt(w / d), b)
    versine = computed_once(_add_bias(versine, x, z))
    coversine = computed_once(_add_bias(coversine, x, z, reflected=-1))
    angle = Angle(versine, coversine)
    s = t = x.norm * z.norm * angle.cos
    s_by_product = t_by_product = jnp.ones_like(s)
    s_by_square = t_by_square = jnp.zeros_like(s)
    q_by_square = 1.0

    for _ in range(depth):
        inverse_sin = inverse_sine(angle)
        k0 = angle.supplement / (2 * np.pi)
        # d k1 / d S = k0. The derivatives of k0 have the kink, and are 0 where sin = 0.
        k1_by_q = angle.sin * (z.norm * x.inverse) / (4 * np.pi)
        k0_by_s = x.inverse * z.inverse * inverse_sin / (2 * np.pi)
        k0_by_q = -angle.cos * x.inverse**2 * inverse_sin / (4 * np.pi)

        k0_by_product = k0_by_s * s_by_product
        k0_by_square = k0_by_s * s_by_square + k0_by_q * q_by_square
        s_by_product = w * k0 * s_by_product
        s_by_square = w * (k0 * s_by_square + k1_by_q * q_by_square)
        t_by_product = s_by_product + w * (k0_by_product * t + k0 * t_by_product)
        t_by_square = s_by_square + w * (k0_by_square * t + k0 * t_by_square)
        q_by_square = q_by_square * w / 2

        x, z = (_AddedBias(jnp.sqrt(w / 2) * vector.norm, b) for vector in (x, z))
        versine = _add_bias(relu_angle(angle, versine), x, z)
        angle = Angle(versine)
        s = x.norm * z.norm * angle.cos
        t = s + w * k0 * t
    if kind == "nngp":
        return s, s_by_product * w / d, s_by_square * w / d
    return t, t_by_product * w / d, t_by_square * w / d


class _AddedBias:
    """A vector extended by the bias as one more coordinate, sqrt(b).

    Attributes
    ----------
    norm, inverse : Array
        Norm of the extended vector, and 1 / norm (0 for a zero vector).
    old, new : Array
        Norms of the original vector and of the bias, relative to `norm`; both 0 for a zero vector.
    missing : Array
        1 for a zero vector, else 0.
    """

    def __init__(self, norm: jax.Array, b: jax.Array):
        self.norm = jnp.sqrt(norm**2 + b)
        self.inverse = safe_inverse(self.norm)
        self.old = jnp.where(self.norm > 0, norm / jnp.where(self.norm > 0, self.norm, 1), 0)
        self.new = jnp.sqrt(b) * self.inverse
        self.missing = jnp.where(self.norm > 0, 0, jnp.ones_like(norm))


def _add_bias(versine: jax.Array, x: _AddedBias, z: _AddedBias, reflected: int = 1) -> jax.Array:
    """Versine of the angle between two vectors with the bias added to both.

    The versine is half the squared distance between the unit vectors. All terms are non-negative,
    so nothing cancels, and equal vectors keep versine 0. The coversine is the versine of x and -z,
    whose bias is negated too (`reflected`). The angle of a zero vector is undefined; a right angle
    makes the derivative there the mean of the one-sided derivatives.
    """
    apart = (x.old - z.old) ** 2 + (x.new - reflected * z.new) ** 2
    return (apart + x.missing + z.missing) / 2 + x.old * z.old * versine
