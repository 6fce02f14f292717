"""Images as rows of features."""

from __future__ import annotations

import math
from typing import Any

from .._utils.validation import check_integer

__all__ = ["check_image_shape", "guess_image_shape"]


def check_image_shape(image_shape: Any, n_features: int) -> None:
    """Raise unless `image_shape` is (H, W, C) with H * W * C features."""
    if not isinstance(image_shape, tuple | list) or len(image_shape) != 3:
        raise ValueError(f"image_shape={image_shape!r} must be (height, width, channels).")
    for side in image_shape:
        check_integer("image_shape", side, low=1)
    if math.prod(image_shape) != n_features:
        raise ValueError(
            f"image_shape={tuple(image_shape)} has {math.prod(image_shape)} values and a sample "
            f"has {n_features} features; give the shape (height, width, channels) of one sample."
        )


def guess_image_shape(n_features: int) -> tuple[int, int, int] | None:
    """Shape of a square image of one or three channels, or None if there is none."""
    for channels in (1, 3):
        side = math.isqrt(n_features // channels)
        if side * side * channels == n_features:
            return side, side, channels
    return None
