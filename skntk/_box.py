"""The box of allowed values, `clip_values`, checked against the data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._validation import check_array_or_real

__all__ = ["check_clip_values"]


def check_clip_values(clip_values: Any, X: NDArray) -> tuple[NDArray, NDArray] | None:
    """Lowest and highest values in the dtype of `X`; None for no box.

    Raises
    ------
    ValueError
        If it is not a pair, is upside down, or `X` lies outside.
    """
    if clip_values is None:
        return None
    try:
        low, high = clip_values
    except (TypeError, ValueError):
        raise ValueError(
            f"clip_values={clip_values!r} is not a pair; give (low, high) or None."
        ) from None
    low = np.asarray(check_array_or_real("clip_values[0]", low, X.shape[1]), X.dtype)
    high = np.asarray(check_array_or_real("clip_values[1]", high, X.shape[1]), X.dtype)
    if (low > high).any():
        raise ValueError(f"clip_values={clip_values!r} has a low above its high; give (low, high).")
    if (low > X).any() or (high < X).any():
        hint = "divide X by 255, or " if X.max() <= 255 and X.min() >= 0 else ""
        raise ValueError(
            f"X lies in [{X.min():g}, {X.max():g}], outside clip_values={clip_values!r}; "
            f"{hint}pass the range of your data, or clip_values=None for no box."
        )
    return low, high
