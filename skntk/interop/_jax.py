"""JAX functions as functions of NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from .._utils.precision import own_precision

__all__ = ["JaxFunction"]

#: Rows in a block; fewer rows are filled up to a power of two.
_BLOCK = 256


class JaxFunction:
    """Outputs and pullback of a JAX function of rows."""

    def __init__(self, function: Callable):
        self.function = function

    def outputs(self, X: NDArray) -> NDArray:
        """Outputs (m, ...) for inputs (m, d)."""
        return self._in_blocks(_outputs, X)

    def vjp(self, X: NDArray, cotangents: NDArray) -> NDArray:
        """Gradient (m, d) of the outputs weighted by cotangents."""
        return self._in_blocks(_vjp, X, cotangents.astype(X.dtype, copy=False))

    def _in_blocks(self, compiled: Callable, *arrays: NDArray) -> NDArray:
        results, m = [], len(arrays[0])
        with own_precision():
            for start in range(0, m, _BLOCK):
                stop = min(start + _BLOCK, m)
                # A sample repeated fills the block up, so that few sizes are ever compiled.
                size = min(_BLOCK, 1 << (stop - start - 1).bit_length())
                rows = np.minimum(np.arange(start, start + size), stop - 1)
                result = compiled(self.function, *(array[rows] for array in arrays))
                results.append(np.asarray(result)[: stop - start])
        return np.concatenate(results)


@partial(jax.jit, static_argnums=0)
def _outputs(function: Callable, x: jax.Array) -> Any:
    return function(x)


@partial(jax.jit, static_argnums=0)
def _vjp(function: Callable, x: jax.Array, cotangents: jax.Array) -> Any:
    outputs, pullback = jax.vjp(function, x)
    return pullback(cotangents.astype(outputs.dtype))[0]
