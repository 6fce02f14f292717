"""The values of pixels that stand for black and white, which are never guessed silently."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils.validation import check_real
from ._names import FileError

__all__ = ["check_pixel_range", "scaled"]

Range = tuple[float, float]

#: How far interpolation and rounding may lead out of [0, 1].
_OVERSHOOT = 0.15


def scaled(X: NDArray, low: float, high: float) -> NDArray:
    """Scale pixels to [0, 1], given the values `low` of black and `high` of white."""
    if X.dtype.kind == "b":
        X = X.astype(np.uint8)
    return (X - low) / (high - low)


def check_pixel_range(images: dict[str, NDArray], pixel_range: Any) -> Range:
    """Return the values of black and white.

    Raises
    ------
    FileError
        If pixels lie outside, or allow several interpretations; names the interpretations.
    """
    if pixel_range is not None:
        pixel_range = _check_pair(pixel_range)
    for part, X in images.items():
        _check_numbers(f"X_{part}", X)
    low = min(float(X.min()) for X in images.values())
    high = max(float(X.max()) for X in images.values())
    dtype = images["train"].dtype
    found = f"X_train and X_test hold {dtype} values in [{low:g}, {high:g}]"
    if low == high:
        raise FileError(f"{found}, one value alone; check how they were saved.")
    if pixel_range is not None:
        if low < pixel_range[0] or high > pixel_range[1]:
            raise FileError(
                f"{found}, outside pixel_range={pixel_range!r}; give the values of black and white."
            )
        return pixel_range
    if dtype.kind == "b":
        return 0.0, 1.0
    usual = (0.0, 255.0) if dtype.kind in "iu" else (0.0, 1.0)
    if low < usual[0] or high > usual[1]:
        raise FileError(f"{found}; {_remedy(low, high, dtype)}")
    if 0 < high <= usual[1] / 2:
        raise FileError(
            f"{found}. If {high:g} is white, pass pixel_range=(0, {high:g}), or store "
            f"X / {high:g}; if white is {usual[1]:g} and all images are that dark, pass "
            f"pixel_range=(0, {usual[1]:g})."
        )
    return usual


def _remedy(low: float, high: float, dtype: np.dtype) -> str:
    if dtype.kind == "f" and low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT:
        return (
            f"{max(-low, high - 1):.2g} beyond [0, 1], as after resizing: store np.clip(X, 0, 1), "
            f"or pass pixel_range=({low:.9g}, {high:.9g})."
        )
    if low >= 0:
        white = next((w for w in (255, 65535, 2**32 - 1) if high <= w), high)
        other = f"; if {high:g} is white, pass pixel_range=(0, {high:g})" if high != white else ""
        return (
            f"if {white:g} is white, pass pixel_range=(0, {white:g}), or store X / {white:g}"
            f"{other}."
        )
    if low >= -1 and high <= 1 and dtype.kind == "f":
        return (
            "if -1 is black and 1 white, pass pixel_range=(-1, 1), or store (X + 1) / 2; if they "
            "are standardised, undo that: store X * std + mean."
        )
    return (
        "with values below 0, they look standardised: undo that, X * std + mean, or pass the "
        f"values of black and white, pixel_range=({low:g}, {high:g})."
    )


def _check_pair(pixel_range: Any) -> Range:
    try:
        low, high = pixel_range
    except (TypeError, ValueError):
        raise ValueError(
            f"pixel_range={pixel_range!r} is not a pair; give the values of black and white, for "
            "instance (0, 255)."
        ) from None
    low, high = check_real("pixel_range[0]", low), check_real("pixel_range[1]", high)
    if not low < high:
        raise ValueError(f"pixel_range={pixel_range!r} is not ascending; give (black, white).")
    return low, high


def _check_numbers(name: str, X: NDArray) -> None:
    if not len(X):
        raise FileError(f"{name} holds no image; give at least one.")
    if X.dtype.kind not in "biuf":
        raise TypeError(f"{name} holds values of type {X.dtype}; give numbers: X.astype(float).")
    if X.dtype.kind != "f":
        return
    wrong = ~np.isfinite(X.reshape(len(X), -1)).all(axis=1)
    if wrong.any():
        raise FileError(
            f"{name} holds NaN or infinity in {wrong.sum()} of {len(X)} images, the first of them "
            f"at index {wrong.argmax()}; leave them out: "
            "keep = np.isfinite(X.reshape(len(X), -1)).all(axis=1)."
        )
