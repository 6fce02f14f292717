"""JAX functions as functions of NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from .._utils.blocks import padded_blocks
from .._utils.precision import own_precision

__all__ = ["JaxFunction", "kernel_machine"]


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

    def can_be_traced(self, n_features: int) -> bool:
        """Whether JAX can follow it from rows of so many features to rows of numbers."""
        with own_precision():
            try:
                # Through a call, because copies of compiled functions lack what `eval_shape` reads.
                outputs = jax.eval_shape(
                    partial(_outputs, self.function), jnp.zeros((2, n_features))
                )
            except Exception:  # what a function that is not JAX's makes of a tracer
                return False
        is_real = jnp.issubdtype(getattr(outputs, "dtype", bool), jnp.floating)
        return is_real and len(outputs.shape) == 2 and outputs.shape[0] == 2

    def _in_blocks(self, compiled: Callable, *arrays: NDArray) -> NDArray:
        results = []
        with own_precision():
            for rows, count in padded_blocks(len(arrays[0])):
                result = compiled(self.function, *(array[rows] for array in arrays))
                results.append(np.asarray(result)[:count])
        return np.concatenate(results)


@partial(jax.jit, static_argnums=0)
def _outputs(function: Callable, x: jax.Array) -> Any:
    return function(x)


@partial(jax.jit, static_argnums=0)
def _vjp(function: Callable, x: jax.Array, cotangents: jax.Array) -> Any:
    outputs, pullback = jax.vjp(function, x)
    return pullback(cotangents.astype(outputs.dtype))[0]


def kernel_machine(kernel: Callable, X_fit: NDArray, coefficients: NDArray) -> Callable:
    """Function of x (d,) or (m, d): sums over samples of kernel values times coefficients."""
    rows = jax.vmap(jax.vmap(kernel, (None, 0)), (0, None))

    def function(x: Any) -> jax.Array:
        x = jnp.asarray(x)
        if x.ndim not in (1, 2) or x.shape[-1] != X_fit.shape[1]:
            raise ValueError(
                f"x has shape {x.shape}; give one point, ({X_fit.shape[1]},), or several, "
                f"(m, {X_fit.shape[1]})."
            )
        outputs = rows(jnp.atleast_2d(x), X_fit) @ coefficients
        outputs = outputs[:, 0] if coefficients.shape[1] == 1 else outputs
        return outputs[0] if x.ndim == 1 else outputs

    return function
