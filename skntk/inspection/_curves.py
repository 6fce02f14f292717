"""Named pairs of arrays, as several Displays draw them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_curves", "named"]


def named(item: Any, default: str = "training") -> dict[str, Any]:
    """Give a mapping as it is, and anything else under a name."""
    return dict(item) if isinstance(item, Mapping) else {default: item}


def check_curves(
    curves: Mapping[str, Any], axes: tuple[str, str]
) -> dict[str, tuple[NDArray, NDArray]]:
    """Pairs of vectors of equal length, by name.

    Raises
    ------
    ValueError
        If there are none, or a pair is not two vectors of one length.
    """
    if not curves:
        raise ValueError("curves is empty; give at least one.")
    checked = {}
    for label, curve in curves.items():
        pair = [np.asarray(values, dtype=float) for values in curve]
        if (
            len(pair) != 2
            or pair[0].ndim != 1
            or pair[0].shape != pair[1].shape
            or not len(pair[0])
        ):
            shapes = [values.shape for values in pair]
            raise ValueError(
                f"curves[{label!r}] has shapes {shapes}; give {axes[0]} and {axes[1]}, two vectors "
                "of one length."
            )
        checked[label] = (pair[0], pair[1])
    return checked
