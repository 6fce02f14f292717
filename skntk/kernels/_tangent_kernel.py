"""The tangent kernel of one network at given parameters: pure functions of arrays.

`_tangent_features` computes the derivatives of each sample once. Here they are combined, layer by
layer, into a kernel and its diagonal; input gradients are computed by JAX.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from .._utils.memory import check_memory
from .._utils.precision import own_precision
from ..networks._function import count_outputs
from ._products import own_products
from ._tangent_features import tangent_features

__all__ = ["blocks_of", "tangent_diag", "tangent_gram", "tangent_vjp"]

#: Samples whose Jacobians are computed at a time.
_BLOCK = 8
#: Bytes of the Jacobians of right-hand samples that an input gradient holds at a time.
_JACOBIAN_BYTES = 256 * 2**20


def tangent_gram(
    network: Any,
    params: Any,
    constants: Any,
    X: NDArray,
    Z: NDArray | None = None,
    *,
    trace: bool = False,
) -> NDArray:
    """Tangent kernel of a network between two sets of samples.

    Parameters
    ----------
    network : Network
        Hashable, with ``apply(params, constants, x)``.
    params, constants : tree of ndarray
    X : ndarray of shape (n, d)
    Z : ndarray of shape (m, d) or None
        If None, `X` is used.
    trace : bool, default=False
        Whether to return the trace over outputs divided by k instead of the full kernel.

    Returns
    -------
    kernel : ndarray of shape (n * k, m * k), or (n, m) if `trace`
        Row index = sample * k + output.
    """
    left = _features(network, params, constants, X)
    right = left if Z is None else _features(network, params, constants, Z)
    k = left.jacobian.shape[1]
    _check_gram_size(left, right, 1 if trace else k)
    if trace:  # outputs are summed over, like parameters
        left = left.with_outputs(1)
        right = left if Z is None else right.with_outputs(1)
        return _contract(left, right) / X.dtype.type(k)
    return _contract(left, right)


def tangent_diag(network: Any, params: Any, constants: Any, X: NDArray) -> NDArray:
    """Diagonal (n,) of the trace over outputs divided by k; parameters as of `tangent_gram`."""
    features = _features(network, params, constants, X)
    k = features.jacobian.shape[1]
    total = np.square(features.jacobian).sum(axis=(1, 2))
    for h, delta in features.dense:
        total += np.square(h).sum(axis=1) * np.square(delta).sum(axis=(1, 2))
    return total / X.dtype.type(k)


@dataclass
class _Features:
    """Derivatives of each sample from which the tangent kernel is assembled."""

    jacobian: NDArray  # (n, k, P), for all parameters but the weights of dense layers
    dense: list[tuple[NDArray, NDArray]]  # of each layer, inputs (n, i), derivatives (n, k, o)

    def with_outputs(self, k: int) -> _Features:
        """The same numbers, arranged as those of a network with k outputs."""
        n = len(self.jacobian)
        dense = [(h, delta.reshape(n, k, -1)) for h, delta in self.dense]
        width = self.jacobian[0].size // k
        return _Features(self.jacobian.reshape(n, k, width), dense)


def _contract(left: _Features, right: _Features) -> NDArray:
    """Kernel (n k, m k) of two sets of samples."""
    kernel = _products(left.jacobian, right.jacobian)
    k = left.jacobian.shape[1]
    for (h, delta), (h_right, delta_right) in zip(left.dense, right.dense, strict=True):
        deltas = _products(delta, delta_right)
        blocks = deltas.reshape(len(h), k, len(h_right), k)
        blocks *= (h @ h_right.T)[:, None, :, None]
        kernel += deltas
    return kernel


def _products(left: NDArray, right: NDArray) -> NDArray:
    """Products (n k, m k) of vectors (n, k, width) and (m, k, width)."""
    # Equal factors take half the work, and the result is exactly symmetric.
    return own_products(_rows(left)) if left is right else _rows(left) @ _rows(right).T


def _rows(array: NDArray) -> NDArray:
    n, k, width = array.shape
    return array.reshape(n * k, width)


def _features(network: Any, params: Any, constants: Any, X: NDArray) -> _Features:
    size = min(_BLOCK, len(X))
    filled: list[NDArray] = []
    for rows, x in blocks_of(X, size):
        with own_precision():
            parts = jax.tree.leaves(tangent_features(network, params, constants, x))
        arrays = [np.asarray(part) for part in parts]
        if not filled:
            _check_features_size(arrays, len(X), size)
            filled = [np.empty((len(X), *array.shape[1:]), X.dtype) for array in arrays]
        for target, array in zip(filled, arrays, strict=True):
            target[rows] = array[: rows.stop - rows.start]
    jacobian, *dense = filled
    return _Features(jacobian, list(zip(dense[::2], dense[1::2], strict=True)))


def _check_features_size(arrays: list[NDArray], n: int, block: int) -> None:
    check_memory(
        sum(a.nbytes for a in arrays) * -(-n // block),
        what="The Jacobian of an empirical kernel",
        n=n,
        remedy="use fewer samples or float32 input",
    )


def _check_gram_size(left: _Features, right: _Features, k: int) -> None:
    n, m = len(left.jacobian), len(right.jacobian)
    check_memory(
        2 * n * m * k**2 * left.jacobian.itemsize,  # the sum so far, and one layer's part
        what=f"An empirical kernel with {m * k} columns",
        n=n,
        remedy="use fewer samples, float32 input, or the trace over outputs",
    )


def blocks_of(X: NDArray, size: int) -> Iterator[tuple[slice, NDArray]]:
    """Blocks of exactly `size` samples, padded with repeats so that nothing is compiled again."""
    for start in range(0, len(X), size):
        stop = min(start + size, len(X))
        yield slice(start, stop), X[np.minimum(np.arange(start, start + size), stop - 1)]


def tangent_vjp(
    network: Any, params: Any, constants: Any, X: NDArray, Z: NDArray, W: NDArray
) -> NDArray:
    """Gradient (n, d) with respect to X of sum_ij W_ij trace(Theta(x_i, z_j)) / k."""
    k = count_outputs(network, params, constants, X.shape[1], X.dtype)
    n_values = k * sum(leaf.size for leaf in jax.tree.leaves(params))
    width = min(len(Z), max(1, _JACOBIAN_BYTES // (X.itemsize * max(1, n_values))))
    gradient = np.zeros_like(X)
    for rows, x in blocks_of(X, min(_BLOCK, len(X))):
        for columns, z in blocks_of(Z, width):
            block = W[rows, columns]
            weights = np.zeros((len(x), width), X.dtype)  # 0 for padding samples
            weights[: block.shape[0], : block.shape[1]] = block
            with own_precision():
                part = _input_gradient(network, params, constants, x, z, weights)
            gradient[rows] += np.asarray(part)[: block.shape[0]]
    return gradient


@partial(jax.jit, static_argnums=0)
def _input_gradient(
    network: Any, params: Any, constants: Any, x: jax.Array, z: jax.Array, weights: jax.Array
) -> jax.Array:
    """Gradient with respect to x of sum_ij W_ij trace(J(x_i) J(z_j)^T) / k.

    The weighted Jacobians of all z_j add up to one tangent for each x_i and output. The
    derivative of the output along it is then differentiated with respect to x_i.
    """

    def output(params: Any, sample: jax.Array) -> jax.Array:
        return network.apply(params, constants, sample[None])[0]

    jacobians = jax.vmap(jax.jacrev(output), (None, 0))(params, z)
    tangents = jax.tree.map(lambda leaf: jnp.tensordot(weights, leaf, 1), jacobians)

    def along(sample: jax.Array, tangent: Any) -> jax.Array:
        def of_output(direction: Any, a: jax.Array) -> jax.Array:
            _, change = jax.jvp(lambda p: output(p, sample), (params,), (direction,))
            return change[a]

        k = jax.tree.leaves(tangent)[0].shape[0]
        return jnp.mean(jax.vmap(of_output)(tangent, jnp.arange(k)))

    return jax.vmap(jax.grad(along))(x, tangents)
