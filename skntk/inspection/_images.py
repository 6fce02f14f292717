"""Vectors of pixels drawn as images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels._images import check_image_shape, guess_image_shape

__all__ = ["blank_axes", "magnitude", "resolve_image_shape", "show_image", "show_signed"]


def resolve_image_shape(image_shape: Any, n_features: int) -> tuple[int, int, int]:
    """Return a checked (height, width, channels); None stands for a square image.

    Raises
    ------
    ValueError
        If the shape does not fit `n_features` or cannot be drawn, or if it is None and no
        square image has that many values.
    """
    if image_shape is None:
        image_shape = guess_image_shape(n_features)
        if image_shape is None:
            raise ValueError(
                f"image_shape=None, but {n_features} features do not make a square image of one "
                "or three channels; pass image_shape=(height, width, channels)."
            )
    if isinstance(image_shape, tuple | list) and len(image_shape) == 2:
        image_shape = (*image_shape, 1)
    check_image_shape(image_shape, n_features)
    if image_shape[2] not in (1, 3):
        raise ValueError(
            f"image_shape={tuple(image_shape)} has {image_shape[2]} channels; only images with "
            "one or three can be drawn, (height, width, 1) or (height, width, 3)."
        )
    return tuple(image_shape)


def show_image(ax: Any, pixels: NDArray, image_shape: tuple[int, int, int]) -> None:
    """Draw pixel values in [0, 1]."""
    blank_axes(ax)
    image = _as_image(np.clip(pixels, 0, 1), image_shape)
    ax.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def show_signed(ax: Any, values: NDArray, image_shape: tuple[int, int, int]) -> None:
    """Draw signed values on a colour scale with 0 in the middle and the largest at an end."""
    blank_axes(ax)
    image = _as_image(values, image_shape)
    largest = np.abs(image).max() or 1.0
    if image.ndim == 3:  # in colour, 0 is grey
        ax.imshow(0.5 + image / (2 * largest), interpolation="nearest")
    else:
        ax.imshow(image, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")


def magnitude(perturbation: NDArray) -> str:
    """Size of a perturbation in words."""
    return f"max {np.abs(perturbation).max():.2g}, norm {np.linalg.norm(perturbation):.2g}"


def _as_image(values: NDArray, image_shape: tuple[int, int, int]) -> NDArray:
    """Reshape to (H, W) for one channel or (H, W, 3) for three, as matplotlib expects."""
    return values.reshape(image_shape[:2] if image_shape[2] == 1 else image_shape)


def blank_axes(ax: Any) -> None:
    """Remove the ticks, which have no meaning on an image."""
    ax.set_xticks([])
    ax.set_yticks([])
