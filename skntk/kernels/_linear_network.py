r"""Functions Theta(x, Z) A of a tangent kernel between all outputs, without forming the kernel.

With :math:`\theta = \sum_j J(z_j)^T A_j`, which is one gradient over all z, the function is the
derivative :math:`J(x)\,\theta` of the network along :math:`\theta`, so no Jacobian is formed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from .._utils.precision import own_precision
from ..networks._function import Network
from ._tangent_kernel import blocks_of

__all__ = ["linear_outputs", "linear_vjp", "weighted_jacobian"]

#: Samples in a compiled block.
_BLOCK = 128


def weighted_jacobian(
    network: Any, params: Any, constants: Any, Z: NDArray, A: NDArray
) -> list[NDArray]:
    r"""Leaves of :math:`\sum_j J(z_j)^T A_j` for samples Z (m, d) and weights A (m, k)."""
    total: list[NDArray] | None = None
    for rows, z in blocks_of(Z, min(_BLOCK, len(Z))):
        weights = np.zeros((len(z), A.shape[1]), A.dtype)  # 0 for padding samples
        weights[: rows.stop - rows.start] = A[rows]
        with own_precision():
            part = [np.asarray(leaf) for leaf in _gradient(network, params, constants, z, weights)]
        total = part if total is None else [a + b for a, b in zip(total, part, strict=True)]
    assert total is not None
    return total


def linear_outputs(
    network: Any, params: Any, constants: Any, theta: list[NDArray], X: NDArray
) -> NDArray:
    r"""Outputs :math:`J(x_i)\,\theta`, (n, k)."""
    outputs = []
    for rows, x in blocks_of(X, min(_BLOCK, len(X))):
        with own_precision():
            block = np.asarray(_derivative(network, params, constants, theta, x))
        outputs.append(block[: rows.stop - rows.start])
    return np.concatenate(outputs)


def linear_vjp(
    network: Any, params: Any, constants: Any, theta: list[NDArray], X: NDArray, C: NDArray
) -> NDArray:
    r"""Gradient (n, d) with respect to X of :math:`\sum_i C_i \cdot J(x_i)\,\theta`."""
    gradient = np.empty_like(X)
    for rows, x in blocks_of(X, min(_BLOCK, len(X))):
        n = rows.stop - rows.start
        cotangents = np.zeros((len(x), C.shape[1]), X.dtype)
        cotangents[:n] = C[rows]
        with own_precision():
            part = np.asarray(_pullback(network, params, constants, theta, x, cotangents))
        gradient[rows] = part[:n]
    return gradient


@partial(jax.jit, static_argnums=0)
def _gradient(
    network: Network, params: Any, constants: Any, z: jax.Array, weights: jax.Array
) -> list[jax.Array]:
    _, vjp = jax.vjp(lambda p: network.apply(p, constants, z), params)
    return jax.tree.leaves(vjp(weights)[0])


@partial(jax.jit, static_argnums=0)
def _derivative(
    network: Network, params: Any, constants: Any, theta: Any, x: jax.Array
) -> jax.Array:
    direction = jax.tree.unflatten(jax.tree.structure(params), theta)
    return jax.jvp(lambda p: network.apply(p, constants, x), (params,), (direction,))[1]


@partial(jax.jit, static_argnums=0)
def _pullback(
    network: Network, params: Any, constants: Any, theta: Any, x: jax.Array, cotangents: jax.Array
) -> jax.Array:
    def weighted(points: jax.Array) -> jax.Array:
        return jnp.sum(cotangents * _derivative(network, params, constants, theta, points))

    return jax.grad(weighted)(x)
