"""Checks of parameters before a network is evaluated with them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["refuse_not_finite", "refuse_untrainable"]


def refuse_not_finite(params: Any) -> None:
    """Raise ValueError, naming the leaf, if parameters that are given are not finite."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    wrong = {_name_of_leaf(path): int((~np.isfinite(leaf)).sum()) for path, leaf in leaves}
    wrong = {name: count for name, count in wrong.items() if count}
    if wrong:
        name = next(iter(wrong))
        elsewhere = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise ValueError(
            f"params holds {sum(wrong.values()):,} entries that are NaN or infinite, in leaf "
            f"{name}{elsewhere}, as after a training that diverged; give those of an earlier "
            "epoch, or of a lower learning rate."
        )


def _name_of_leaf(path: Any) -> str:
    return jax.tree_util.keystr(path) or "itself"


def refuse_untrainable(params: Any) -> None:
    """Raise TypeError, naming the leaf, unless all parameters are arrays of floats."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        dtype = getattr(leaf, "dtype", np.asarray(leaf).dtype)
        if jnp.issubdtype(dtype, jnp.floating):
            continue
        name = _name_of_leaf(path)
        remedy = "leave out what is not trained"
        if jnp.issubdtype(dtype, jnp.complexfloating):
            remedy = "give its real and imaginary parts as two arrays"
        raise TypeError(
            f"params holds an array of {dtype} ({name}), which has no real derivative; {remedy}."
        )
