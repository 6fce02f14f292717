"""The box of allowed values, `clip_values`, checked against the data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils.showing import shown
from .._utils.validation import check_array_or_real

__all__ = ["as_pair", "check_clip_values", "check_order"]


def check_clip_values(clip_values: Any, X: NDArray) -> tuple[NDArray, NDArray] | None:
    """Lowest and highest values in the dtype of `X`; None for no box.

    Raises
    ------
    ValueError
        If it is not a pair, its low exceeds its high, or `X` lies outside.
    """
    if clip_values is None:
        return None
    low, high = as_pair(clip_values)
    low = np.asarray(check_array_or_real("clip_values[0]", low, X.shape[1]))
    high = np.asarray(check_array_or_real("clip_values[1]", high, X.shape[1]))
    check_order(clip_values, low, high)
    if (low.astype(X.dtype) > X).any() or (high.astype(X.dtype) < X).any():
        # Probably bytes: large enough to tell, and inside the box once divided by 255.
        pixels = 128 <= X.max() <= 255 and not ((low > X / 255).any() or (high < X / 255).any())
        hint = "divide X by 255, or " if pixels else ""
        raise ValueError(
            f"X lies in [{X.min():g}, {X.max():g}], outside clip_values={shown(clip_values)}; "
            f"{hint}pass the range of your data, or clip_values=None for no box."
        )
    return _round_inward(low, X, np.inf), _round_inward(high, X, -np.inf)


def as_pair(clip_values: Any) -> tuple[Any, Any]:
    """Return the lowest and highest value; raise ValueError unless there are exactly two."""
    try:
        low, high = clip_values
    except (TypeError, ValueError):
        raise ValueError(
            f"clip_values={shown(clip_values)} is not a pair; give (low, high) or None."
        ) from None
    return low, high


def check_order(clip_values: Any, low: Any, high: Any) -> None:
    """Raise ValueError if the lowest value is above the highest."""
    if np.any(low > high):
        raise ValueError(
            f"clip_values={shown(clip_values)} has a low above its high; give (low, high)."
        )


@np.errstate(under="ignore")  # nextafter of 0 is subnormal
def _round_inward(bound: NDArray, X: NDArray, inward: float) -> NDArray:
    """Round `bound` to the dtype of `X`, by one ulp inward where rounding would leave the box.

    A bound that equals a sample is kept, because samples count as inside the box.
    """
    rounded = bound.astype(X.dtype)
    outside = rounded < bound if inward > 0 else rounded > bound
    reached = (rounded == X).any(axis=None if rounded.ndim == 0 else 0)
    further = np.nextafter(rounded, X.dtype.type(inward))
    return np.where(outside & ~reached, further, rounded)
