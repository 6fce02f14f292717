"""Trees of arrays as lists of arrays that NumPy saves without pickling, and back."""

from __future__ import annotations

from itertools import count, takewhile
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

__all__ = ["leaves_named", "named", "stored", "tree_like"]


def stored(tree: Any) -> list[NDArray]:
    """Leaves of a tree, in JAX's order; random keys and bfloat16 as unsigned integers."""
    return list(map(_encoded, jax.tree.leaves(tree)))


def tree_like(like: Any, arrays: list[NDArray]) -> Any:
    """Tree with the structure and kinds of leaves of another one, from what `stored` gave.

    Raises
    ------
    ValueError
        If there are more or fewer arrays than leaves, or of other shapes.
    """
    leaves, structure = jax.tree.flatten(like)
    expected, given = [np.shape(_encoded(leaf)) for leaf in leaves], list(map(np.shape, arrays))
    if given != expected:
        raise ValueError(f"arrays of shapes {given} do not fit leaves of shapes {expected}")
    return jax.tree.unflatten(structure, map(_decoded, arrays, leaves))


def named(name: str, arrays: list[NDArray]) -> dict[str, NDArray]:
    """Arrays under a name and a number each."""
    return {f"{name} {k}": array for k, array in enumerate(arrays)}


def leaves_named(name: str, arrays: dict[str, NDArray]) -> list[NDArray]:
    """Those of many arrays that `named` gave this name, in order."""
    names = (f"{name} {k}" for k in count())
    return [arrays[key] for key in takewhile(arrays.__contains__, names)]


def _encoded(leaf: Any) -> NDArray:
    if _is_key(leaf):
        return np.asarray(jax.random.key_data(leaf))
    array = np.asarray(leaf)
    if array.dtype.kind in "biufc":
        return array
    return array.view(f"u{array.dtype.itemsize}")  # such as bfloat16


def _decoded(array: NDArray, like: Any) -> Any:
    if _is_key(like):
        return jax.random.wrap_key_data(jax.numpy.asarray(array), impl=jax.random.key_impl(like))
    dtype = np.asarray(like).dtype
    return array if dtype == array.dtype or dtype.kind in "biufc" else array.view(dtype)


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
