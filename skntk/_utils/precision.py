"""Floating-point precision: float32 stays float32, everything else is float64.

JAX computes in 32 bits unless a process-wide flag says otherwise, and that flag belongs to
the user. All JAX computations of this package therefore run inside `precision` or `own_precision`,
which set the flag for the calling thread only and restore it afterwards.

The products of an accelerator need not be what their dtype says: a GPU multiplies float32 in TF32,
with 10 bits of the 23, unless it is told otherwise. Here it is told: products are full ones, unless
the user has set `jax_default_matmul_precision`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array

from .validation import check_table

__all__ = ["as_float_matrix", "common_dtype", "own_precision", "precision"]


@contextmanager
def precision(dtype: np.dtype | type) -> Iterator[None]:
    """Context in which JAX computes in `dtype` (float32 or float64), products included."""
    products = jax.config.jax_default_matmul_precision or "highest"  # type: ignore[attr-defined]
    with jax.enable_x64(np.dtype(dtype) == np.float64), jax.default_matmul_precision(products):
        yield


def own_precision() -> AbstractContextManager[None]:
    """Context in which JAX computes in the precision of each array it is given.

    Networks are always traced and run in it. They close over arrays of their own, and JAX
    remembers for an array of 64 bits whether it was cut to 32: a network that has been traced
    in both modes no longer runs in the other one.
    """
    return precision(np.float64)


def common_dtype(*arrays: NDArray) -> np.dtype:
    """float32 if every array is float32, else float64."""
    if all(array.dtype == np.float32 for array in arrays):
        return np.dtype(np.float32)
    return np.dtype(np.float64)


def as_float_matrix(array: ArrayLike, name: str) -> NDArray:
    """Validate a finite 2-D array; return it as float32 if it is, else as float64.

    Raises
    ------
    ValueError
        If it is not 2-D, is empty, or holds NaN or infinity.
    TypeError
        If it is sparse.
    """
    check_table(array)
    return check_array(array, dtype=[np.float64, np.float32], order="C", input_name=name)
