"""The tangent kernel of a finite network, as it stands or averaged over initialisations."""

from __future__ import annotations

from collections.abc import Iterator
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

__all__ = ["EmpiricalNTK", "tangent_gram"]

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
        draws = [tangent_gram(*draw, X, right) for draw in self._draws(X)]
        return sum(draws[1:], draws[0]) / X.dtype.type(len(draws))

    def _check_parameters(self, n_features: int) -> None:
        check_integer("n_draws", self.n_draws, low=1)
        if self.params is not None and self.n_draws != 1:
            raise ValueError(
                f"n_draws={self.n_draws} has nothing to draw when params are given; leave it at 1."
            )

    def _gram(self, X: NDArray, Z: NDArray | None) -> NDArray:
        return _trace(self.full(X, Z), len(X), len(X if Z is None else Z))

    def _diag(self, X: NDArray) -> NDArray:
        draws = list(self._draws(X))
        total = np.zeros(len(X), X.dtype)
        for draw in draws:
            jacobian, dense, k = _features(*draw, X)
            total += np.square(jacobian).reshape(len(X), -1).sum(axis=1) / k
            for h, delta in dense:
                squares = np.square(delta).reshape(len(X), -1).sum(axis=1)
                total += np.square(h).sum(axis=1) * squares / k
        return total / X.dtype.type(len(draws))

    def _linearize(self, X: NDArray, Z: NDArray) -> tuple[NDArray, Pullback]:
        def pullback(W: NDArray) -> NDArray:
            flat = W.reshape(-1, *W.shape[-2:])
            gradients = np.stack([self._vjp(X, Z, w) for w in flat])
            return gradients.reshape(*W.shape[:-2], *X.shape)

        return self._gram(X, Z), pullback

    def _vjp(self, X: NDArray, Z: NDArray, W: NDArray) -> NDArray:
        gradient = np.zeros_like(X)
        draws = list(self._draws(X))
        for network, params, constants in draws:
            k = jax.eval_shape(network.apply, params, constants, X[:1]).shape[1]
            n_values = k * sum(leaf.size for leaf in jax.tree.leaves(params))
            width = min(len(Z), max(1, _JACOBIAN_BYTES // (X.itemsize * n_values)))
            for rows, x in _blocks(X, min(_BLOCK, len(X))):
                for columns, z in _blocks(Z, width):
                    block = W[rows, columns]
                    weights = np.zeros((len(x), width), X.dtype)  # 0 for padded samples
                    weights[: block.shape[0], : block.shape[1]] = block
                    with precision(X.dtype):
                        part = _input_gradient(network.apply, params, constants, x, z, weights)
                    gradient[rows] += np.asarray(part)[: block.shape[0]]
        return gradient / X.dtype.type(len(draws))

    def _draws(self, X: NDArray) -> Iterator[tuple[Any, Any, Any]]:
        """(network, params, constants) of each initialisation, in the dtype of `X`."""
        # Here, so that the analytic kernels need no Flax.
        from .._flax_network import as_numpy, is_trained, make_network, wrap_trained

        if is_trained(self.module) or self.params is not None:
            network, *trees = wrap_trained(self.module, self.params, self.input_shape)
            yield network, *(as_numpy(tree, X.dtype) for tree in trees)
            return
        network = make_network(self.module, self.input_shape, 1)
        random = check_random_state(self.random_state)
        for seed in random.randint(2**31, size=self.n_draws):
            with precision(X.dtype):
                drawn = network.init(jax.random.key(int(seed)), jnp.asarray(X[:1]))
                params, constants = (as_numpy(tree, X.dtype) for tree in drawn)
            yield network, params, constants


def tangent_gram(
    network: Any, params: Any, constants: Any, X: NDArray, Z: NDArray | None = None
) -> NDArray:
    """Full tangent kernel (n k, m k) of a network between two sets of samples.

    Parameters
    ----------
    network : Network
        Hashable, with ``apply(params, constants, x)``.
    params, constants : tree of ndarray
    X : ndarray of shape (n, d)
    Z : ndarray of shape (m, d) or None
        None means `X`.

    Returns
    -------
    kernel : ndarray of shape (n * k, m * k)
    """
    left = _features(network, params, constants, X)
    right = left if Z is None else _features(network, params, constants, Z)
    k = left[2]
    # A matrix times its own transpose is a symmetric rank-k update: half the work, and exact.
    kernel = left[0] @ right[0].T
    for (h, delta), (h_right, delta_right) in zip(left[1], right[1], strict=True):
        deltas = delta @ delta_right.T
        blocks = deltas.reshape(len(h), k, len(h_right), k)
        blocks *= (h @ h_right.T)[:, None, :, None]
        kernel += deltas
    return kernel


def _features(
    network: Any, params: Any, constants: Any, X: NDArray
) -> tuple[NDArray, list[tuple[NDArray, NDArray]], int]:
    """Jacobian (n k, P), dense layers' (h (n, i), delta (n k, o)), and k."""
    size = min(_BLOCK, len(X))
    jacobian: Any = None
    dense: list[list[NDArray]] = []
    for rows, x in _blocks(X, size):
        with precision(X.dtype):
            part, layers = tangent_features(network.apply, params, constants, x)
        arrays = [np.asarray(part), *(np.asarray(a) for layer in layers for a in layer)]
        if jacobian is None:
            _check_size(arrays, len(X), size)
            jacobian = np.empty((len(X), *arrays[0].shape[1:]), X.dtype)
            dense = [[np.empty((len(X), *a.shape[1:]), X.dtype)] for a in arrays[1:]]
        for target, array in zip([jacobian, *(d[0] for d in dense)], arrays, strict=True):
            target[rows] = array[: rows.stop - rows.start]
    n, k = jacobian.shape[:2]
    flat = [d[0] for d in dense]
    pairs = [(h, delta.reshape(n * k, -1)) for h, delta in zip(flat[::2], flat[1::2], strict=True)]
    return jacobian.reshape(n * k, jacobian.shape[2]), pairs, k


def _check_size(arrays: list[NDArray], n: int, block: int) -> None:
    check_memory(
        sum(a.nbytes for a in arrays) * -(-n // block),
        what="The Jacobian of an empirical kernel",
        n=n,
        remedy="use fewer samples or float32 input",
    )


def _blocks(X: NDArray, size: int) -> Iterator[tuple[slice, NDArray]]:
    """Blocks of exactly `size` samples; the last repeats one, so that nothing recompiles."""
    for start in range(0, len(X), size):
        stop = min(start + size, len(X))
        yield slice(start, stop), X[np.minimum(np.arange(start, start + size), stop - 1)]


def _trace(full: NDArray, n: int, m: int) -> NDArray:
    k = full.shape[0] // n
    blocks = full.reshape(n, k, m, k)
    return np.ascontiguousarray(np.trace(blocks, axis1=1, axis2=3) / full.dtype.type(k))


@partial(jax.jit, static_argnums=0)
def _input_gradient(
    apply: Any, params: Any, constants: Any, x: jax.Array, z: jax.Array, weights: jax.Array
) -> jax.Array:
    """Gradient with respect to x of sum_ij W_ij trace(J(x_i) J(z_j)^T) / k.

    The weighted Jacobians of all z_j are one tangent for each x_i and output, along which
    the output's derivative is taken and then differentiated by x_i.
    """

    def output(params: Any, sample: jax.Array) -> jax.Array:
        return apply(params, constants, sample[None])[0]

    jacobians = jax.vmap(jax.jacrev(output), (None, 0))(params, z)
    tangents = jax.tree.map(lambda leaf: jnp.tensordot(weights, leaf, 1), jacobians)

    def along(sample: jax.Array, tangent: Any) -> jax.Array:
        def of_output(direction: Any, a: int) -> jax.Array:
            _, change = jax.jvp(lambda p: output(p, sample), (params,), (direction,))
            return change[a]

        k = jax.tree.leaves(tangent)[0].shape[0]
        return jnp.mean(jax.vmap(of_output)(tangent, jnp.arange(k)))

    return jax.vmap(jax.grad(along))(x, tangents)
