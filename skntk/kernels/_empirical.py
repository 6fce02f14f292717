"""The tangent kernel of a finite network, as it stands or averaged over initialisations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from .._memory import check_memory
from .._precision import precision
from .._tangent_features import tangent_features
from .._validation import check_integer
from ._base import NeuralTangentKernel, Pullback
from ._linear_network import linear_outputs, linear_vjp, weighted_jacobian

__all__ = ["EmpiricalNTK", "tangent_gram"]

#: (network, params, constants)
Draw = tuple[Any, Any, Any]

#: Samples whose Jacobians are computed at a time.
_BLOCK = 16
#: Bounds the Jacobians of right-hand samples that an input gradient holds.
_JACOBIAN_BYTES = 256 * 2**20


class EmpiricalNTK(NeuralTangentKernel):
    r"""Tangent kernel :math:`J_w f(x) J_w f(z)^T` of a finite network (Eq. 6).

    Called as a kernel it gives the trace over the k outputs divided by k; `full` gives all
    of it. Without parameters it is averaged over random initialisations, which stands in
    for the analytic kernel of architectures that have none (App. B).

    Parameters
    ----------
    module : linen.Module, NNX module, class or factory, or callable
        The network; or, with `params`, any function ``apply_fn(params, x)`` from a batch
        (n, d) to outputs (n, k), at module level if the kernel is to be pickled.
    params : tree of arrays, default=None
        Parameters; for Linen, variables or parameters alone. None: random ones.
    input_shape : tuple of int, default=None
        Shape that a sample is given before the network sees it; None: flat.
    n_draws : int, default=1
        Number of initialisations averaged over, if `params` is None.
    random_state : int, RandomState instance or None, default=None
        For the initialisations.

    Notes
    -----
    Dense layers contribute :math:`(h_i \cdot h_j)(\delta_{ia} \cdot \delta_{jb})` from their
    inputs h and output derivatives delta, convolutions one product of patches and delta a
    sample; each sample's derivatives are computed once.

    Examples
    --------
    >>> import numpy as np
    >>> from skntk.kernels import EmpiricalNTK
    >>> def linear(params, x):
    ...     return x @ params
    >>> X = np.array([[1.0, 2.0], [0.0, 1.0]])
    >>> EmpiricalNTK(linear, np.zeros((2, 1)))(X)
    array([[5., 2.],
           [2., 1.]])
    """

    def __init__(
        self,
        module: Any,
        params: Any = None,
        *,
        input_shape: tuple[int, ...] | None = None,
        n_draws: int = 1,
        random_state: Any = None,
    ):
        self.module = module
        self.params = params
        self.input_shape = input_shape
        self.n_draws = n_draws
        self.random_state = random_state

    def full(self, X: ArrayLike, Z: ArrayLike | None = None) -> NDArray:
        """Kernel between all outputs.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Left inputs.
        Z : array-like of shape (m, d), default=None
            Right inputs; None means `X`, and an exactly symmetric result.

        Returns
        -------
        kernel : ndarray of shape (n * k, m * k)
            Row index = sample * k + output.
        """
        X, right = self._validate(X, Z)
        return self._mean(lambda draw: tangent_gram(*draw, X, right), X)

    def count_outputs(self, n_features: int) -> int:
        """Number k of outputs of the network."""
        from .._flax_network import count_outputs

        X = np.zeros((1, n_features))
        self._validate(X, None)
        network, params, constants = next(self._draws(X))
        return count_outputs(network, params, constants, n_features)

    def full_linearize(self, X: ArrayLike, Z: ArrayLike, A: ArrayLike) -> tuple[NDArray, Pullback]:
        r"""Outputs :math:`\sum_j \Theta(x_i, z_j) A_j` of the kernel between all outputs.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Where they are taken.
        Z : array-like of shape (m, d)
            The other argument of the kernel.
        A : array-like of shape (m, k)
            Weight of each sample and output of Z.

        Returns
        -------
        outputs : ndarray of shape (n, k)
        pullback : callable
            Maps cotangents (n, k) to the gradient (n, d) of the outputs they weight.
        """
        X, right = self._validate(X, Z)
        weights = np.asarray(A, X.dtype)
        machines = [(draw, weighted_jacobian(*draw, right, weights)) for draw in self._draws(X)]
        share = X.dtype.type(1 / len(machines))

        def pullback(C: NDArray) -> NDArray:
            C = np.asarray(C, X.dtype)
            return share * sum(linear_vjp(*draw, theta, X, C) for draw, theta in machines)

        return share * sum(linear_outputs(*draw, theta, X) for draw, theta in machines), pullback

    def _check_parameters(self, n_features: int) -> None:
        from .._flax_network import check_input_shape, is_trained

        check_integer("n_draws", self.n_draws, low=1)
        check_input_shape(self.input_shape, n_features)
        if self.n_draws != 1 and (self.params is not None or is_trained(self.module)):
            raise ValueError(
                f"n_draws={self.n_draws} has nothing to draw when params are given; leave it at 1."
            )
        self._seeds()  # now, so that workers which share in a Gram matrix share them too

    def _gram(self, X: NDArray, Z: NDArray | None) -> NDArray:
        return self._mean(lambda draw: tangent_gram(*draw, X, Z, trace=True), X)

    def _diag(self, X: NDArray) -> NDArray:
        return self._mean(lambda draw: tangent_diag(*draw, X), X)

    def _linearize(self, X: NDArray, Z: NDArray) -> tuple[NDArray, Pullback]:
        def of_one(W: NDArray) -> NDArray:
            return self._mean(lambda draw: tangent_vjp(*draw, X, Z, W), X)

        def pullback(W: NDArray) -> NDArray:
            flat = W.reshape(-1, *W.shape[-2:])
            return np.stack([of_one(w) for w in flat]).reshape(*W.shape[:-2], *X.shape)

        return self._gram(X, Z), pullback

    def _mean(self, function: Callable[[Draw], NDArray], X: NDArray) -> NDArray:
        """Average of an array over the initialisations."""
        draws = self._draws(X)
        total = function(next(draws))
        for draw in draws:
            total += function(draw)
        return total / X.dtype.type(self.n_draws)

    def _draws(self, X: NDArray) -> Iterator[Draw]:
        """(network, params, constants) of each initialisation, in the dtype of `X`."""
        # Here, so that the analytic kernels need no Flax.
        from .._flax_network import (
            as_numpy,
            count_outputs,
            draw_parameters,
            is_trained,
            make_network,
            wrap_trained,
        )

        n_features = X.shape[1]
        if is_trained(self.module) or self.params is not None:
            network, *trees = wrap_trained(self.module, self.params, self.input_shape)
            params, constants = (as_numpy(tree, X.dtype) for tree in trees)
            count_outputs(network, params, constants, n_features)
            yield network, params, constants
            return
        network = make_network(self.module, self.input_shape, 1)
        for seed in self._seeds():
            params, constants = draw_parameters(network, int(seed), n_features, X.dtype)
            count_outputs(network, params, constants, n_features)
            yield network, params, constants

    def _seeds(self) -> NDArray:
        """Seed of each initialisation, drawn once: a kernel is one function, call after call."""
        wanted = (self.random_state, self.n_draws)
        if getattr(self, "_drawn_for", None) != wanted:
            random = check_random_state(self.random_state)
            self._drawn_seeds = random.randint(2**31, size=self.n_draws)
            self._drawn_for = wanted
        return self._drawn_seeds


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
        None means `X`.
    trace : bool, default=False
        Whether to give the trace over outputs divided by k instead of all of it.

    Returns
    -------
    kernel : ndarray of shape (n * k, m * k), or (n, m) of the trace
        Row index = sample * k + output.
    """
    left = _features(network, params, constants, X)
    right = left if Z is None else _features(network, params, constants, Z)
    k = left.jacobian.shape[1]
    _check_gram_size(left, right, 1 if trace else k)
    if trace:  # a sum over outputs, as over parameters
        return _contract(left.with_outputs(1), right.with_outputs(1)) / X.dtype.type(k)
    return _contract(left, right)


def tangent_diag(network: Any, params: Any, constants: Any, X: NDArray) -> NDArray:
    """Diagonal (n,) of the tangent kernel's trace divided by k; parameters as above."""
    features = _features(network, params, constants, X)
    k = features.jacobian.shape[1]
    total = np.square(features.jacobian).sum(axis=(1, 2))
    for h, delta in features.dense:
        total += np.square(h).sum(axis=1) * np.square(delta).sum(axis=(1, 2))
    return total / X.dtype.type(k)


@dataclass
class _Features:
    """What the tangent kernel needs of each sample."""

    jacobian: NDArray  # (n, k, P), of all parameters but the weights of dense layers
    dense: list[tuple[NDArray, NDArray]]  # for each, inputs (n, i) and derivatives (n, k, o)

    def with_outputs(self, k: int) -> _Features:
        """The same numbers, as of k outputs."""
        n = len(self.jacobian)
        dense = [(h, delta.reshape(n, k, -1)) for h, delta in self.dense]
        width = self.jacobian[0].size // k
        return _Features(self.jacobian.reshape(n, k, width), dense)


def _contract(left: _Features, right: _Features) -> NDArray:
    """Kernel (n k, m k) of two sets of samples."""
    # A matrix times its own transpose is a symmetric rank-k update: half the work, and exact.
    kernel = _rows(left.jacobian) @ _rows(right.jacobian).T
    k = left.jacobian.shape[1]
    for (h, delta), (h_right, delta_right) in zip(left.dense, right.dense, strict=True):
        deltas = _rows(delta) @ _rows(delta_right).T
        blocks = deltas.reshape(len(h), k, len(h_right), k)
        blocks *= (h @ h_right.T)[:, None, :, None]
        kernel += deltas
    return kernel


def _rows(array: NDArray) -> NDArray:
    n, k, width = array.shape
    return array.reshape(n * k, width)


def _features(network: Any, params: Any, constants: Any, X: NDArray) -> _Features:
    size = min(_BLOCK, len(X))
    filled: list[NDArray] = []
    for rows, x in _blocks(X, size):
        with precision(X.dtype):
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
        2 * n * m * k**2 * left.jacobian.itemsize,  # of all layers so far, and of one
        what=f"An empirical kernel with {m * k} columns",
        n=n,
        remedy="use fewer samples, float32 input, or the trace over outputs",
    )


def _blocks(X: NDArray, size: int) -> Iterator[tuple[slice, NDArray]]:
    """Blocks of exactly `size` samples; the last repeats one, so that nothing recompiles."""
    for start in range(0, len(X), size):
        stop = min(start + size, len(X))
        yield slice(start, stop), X[np.minimum(np.arange(start, start + size), stop - 1)]


def tangent_vjp(
    network: Any, params: Any, constants: Any, X: NDArray, Z: NDArray, W: NDArray
) -> NDArray:
    """Gradient (n, d) with respect to X of sum_ij W_ij trace(Theta(x_i, z_j)) / k."""
    from .._flax_network import count_outputs

    k = count_outputs(network, params, constants, X.shape[1])
    n_values = k * sum(leaf.size for leaf in jax.tree.leaves(params))
    width = min(len(Z), max(1, _JACOBIAN_BYTES // (X.itemsize * max(1, n_values))))
    gradient = np.zeros_like(X)
    for rows, x in _blocks(X, min(_BLOCK, len(X))):
        for columns, z in _blocks(Z, width):
            block = W[rows, columns]
            weights = np.zeros((len(x), width), X.dtype)  # 0 for samples that fill up
            weights[: block.shape[0], : block.shape[1]] = block
            with precision(X.dtype):
                part = _input_gradient(network, params, constants, x, z, weights)
            gradient[rows] += np.asarray(part)[: block.shape[0]]
    return gradient


@partial(jax.jit, static_argnums=0)
def _input_gradient(
    network: Any, params: Any, constants: Any, x: jax.Array, z: jax.Array, weights: jax.Array
) -> jax.Array:
    """Gradient with respect to x of sum_ij W_ij trace(J(x_i) J(z_j)^T) / k.

    The weighted Jacobians of all z_j are one tangent for each x_i and output, along which
    the output's derivative is taken and then differentiated by x_i.
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
