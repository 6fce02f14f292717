"""Kernels defined by one JAX function of a pair of samples: the way to add a kernel."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from .._utils.precision import own_precision
from ._functions import as_floats
from ._once import with_one
from ._tiled import TiledNTK

__all__ = ["PairNTK"]


class PairNTK(TiledNTK):
    r"""Base class of kernels defined by a JAX function of a pair of samples.

    A new kernel is a class with a constructor, which stores its parameters under their own names,
    and with the method `pair_function`. Gram matrices, diagonals and input gradients (by automatic
    differentiation) follow, and the kernel can be passed wherever a kernel is accepted.

    Many kernels have a kink where the two samples coincide. JAX differentiates the operations of
    the function as they are written, so write them such that the derivative is finite there.
    (A `jnp.where` around a square root needs another `jnp.where` inside the square root.)

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> from skntk.kernels import PairNTK
    >>> def quadratic(x, z, offset):
    ...     return (jnp.dot(x, z) + offset) ** 2
    >>> class QuadraticKernel(PairNTK):
    ...     def __init__(self, offset=1.0):
    ...         self.offset = offset
    ...
    ...     def pair_function(self, n_features):
    ...         return quadratic, (self.offset,)
    >>> kernel = QuadraticKernel()
    >>> X = np.array([[1.0, 0.0], [0.0, 2.0]])
    >>> kernel(X)
    array([[ 4.,  1.],
           [ 1., 25.]])
    >>> kernel.input_vjp(X[:1], X[1:], np.ones((1, 1)))
    array([[0., 4.]])
    """

    #: Samples on each side of a tile of pairs.
    tile_size = 64

    @abstractmethod
    def pair_function(self, n_features: int) -> tuple[Callable[..., jax.Array], tuple[float, ...]]:
        """Return a function of two points x (d,) and z (d,) and floats, and the floats.

        The function is the key of the compilation cache, so return the same object at every call.
        The floats are arguments, so that other values do not cause another compilation.
        """

    def as_jax(self) -> Callable[[Any, Any], jax.Array]:
        def function(x: Any, z: Any) -> jax.Array:
            x, z = as_floats(x, z)
            self.check_parameters(len(x))
            pair, floats = self.pair_function(len(x))
            return pair(x, z, *(jnp.asarray(value, x.dtype) for value in floats))

        return function

    def _diag(self, X: NDArray) -> NDArray:
        diagonal = np.empty(len(X), X.dtype)
        for rows, x in self._blocks(X):
            with own_precision():
                values = np.asarray(_diagonal(*self._compiled_for(X), x))
            diagonal[rows] = values[: rows.stop - rows.start]
        return diagonal

    def _tile_size(self, X: NDArray) -> int:
        return self.tile_size

    def _arrange(self, block: NDArray) -> NDArray:
        return block

    def _tile(self, x: NDArray, z: NDArray) -> Any:
        return _tile(*self._compiled_for(x), x, z)

    def _tile_vjp(self, x: NDArray, z: NDArray, weights: NDArray) -> Any:
        return _tile_vjp(*self._compiled_for(x), x, z, weights)

    def _compiled_for(self, X: NDArray) -> tuple[Callable[..., jax.Array], NDArray, Any]:
        """Function of a pair, its floats, and the 1 that `computed_once` divides by."""
        function, parameters = self.pair_function(X.shape[1])
        return function, np.asarray(parameters, X.dtype), X.dtype.type(1)


@partial(jax.jit, static_argnums=0)
def _tile(
    function: Callable[..., Any], parameters: jax.Array, one: jax.Array, x: jax.Array, z: jax.Array
) -> jax.Array:
    with with_one(one):
        row = jax.vmap(lambda a, b: function(a, b, *parameters), (None, 0))
        return jax.vmap(row, (0, None))(x, z)


@partial(jax.jit, static_argnums=0)
def _diagonal(
    function: Callable[..., Any], parameters: jax.Array, one: jax.Array, x: jax.Array
) -> jax.Array:
    with with_one(one):
        return jax.vmap(lambda a: function(a, a, *parameters))(x)


@partial(jax.jit, static_argnums=0)
def _tile_vjp(
    function: Callable[..., Any],
    parameters: jax.Array,
    one: jax.Array,
    x: jax.Array,
    z: jax.Array,
    weights: jax.Array,
) -> jax.Array:
    tile, vjp = jax.vjp(lambda x: _tile(function, parameters, one, x, z), x)
    return vjp(weights.astype(tile.dtype))[0]
