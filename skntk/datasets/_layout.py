"""The order of the axes of stored images: height, width and channels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .._utils.warnings import warn_user
from ._names import FileError

__all__ = ["check_layout"]

#: Axis lengths that identify an axis of channels: grey, or red, green and blue.
_CHANNELS = (1, 3)


def check_layout(images: dict[str, NDArray], channels_first: bool | None) -> dict[str, NDArray]:
    """Return the images of all parts as arrays (n, H, W, C).

    Raises
    ------
    FileError
        If the arrays are not images, differ in shape, or have an ambiguous order of axes.
    """
    shape = images["train"].shape[1:]
    for part, X in images.items():
        if X.shape[1:] != shape:
            raise FileError(
                f"X_{part} has images of shape {X.shape[1:]}, and X_train of {shape}; give images "
                "of the same shape."
            )
    if math.prod(shape) == 0 or len(shape) not in (1, 2, 3):
        raise FileError(
            f"X_train has shape {images['train'].shape}; give images of shape (H, W) or "
            "(H, W, C) along the first axis."
        )
    if len(shape) == 1:
        return {part: _unflatten(X, channels_first) for part, X in images.items()}
    if len(shape) == 2:
        return {part: X[..., None] for part, X in images.items()}
    if channels_first is None:
        channels_first = _is_channels_first(images["train"].shape)
    return {p: X.transpose(0, 2, 3, 1) for p, X in images.items()} if channels_first else images


def _is_channels_first(shape: tuple[int, ...]) -> bool:
    """Whether a shape (n, ., ., .) must be (n, C, H, W); warn if images are transposed."""
    first, last = shape[1] in _CHANNELS, shape[3] in _CHANNELS
    if first == last:  # neither, or both: the channels may be four, as in RGBA
        first, last = shape[1] == 4 and not last, shape[3] == 4 and not first
    if first == last:
        raise FileError(
            f"X_train has shape {shape}, which may be (n, H, W, C) or (n, C, H, W); pass "
            "channels_first=False or True, or store X.transpose(0, 2, 3, 1) if the channels "
            "come first."
        )
    if first and shape[1] > 1:
        warn_user(
            UserWarning(
                f"X_train has shape {shape}, with channels first; it is transposed to "
                "(n, H, W, C), as X.transpose(0, 2, 3, 1) does. Pass channels_first=True to "
                "confirm this."
            )
        )
    return first


def _unflatten(X: NDArray, channels_first: bool | None) -> NDArray:
    """Reshape rows of pixels to images, if their number allows only one shape."""
    n, d = X.shape
    side = math.isqrt(d)
    if side * side == d:
        return X.reshape(n, side, side, 1)
    side = math.isqrt(d // 3)
    if 3 * side * side != d:
        raise FileError(
            f"X_train has shape {X.shape}, and {d} pixels are not a square image; give images of "
            "shape (H, W) or (H, W, C): X.reshape(len(X), H, W, C)."
        )
    if channels_first is None:
        raise FileError(
            f"X_train has shape {X.shape}: a row may be (H, W, C) = ({side}, {side}, 3) or, as in "
            f"CIFAR's own files, (3, {side}, {side}). Pass channels_first=False or True, or "
            f"store X.reshape(-1, {side}, {side}, 3) or "
            f"X.reshape(-1, 3, {side}, {side}).transpose(0, 2, 3, 1)."
        )
    if channels_first:
        return np.ascontiguousarray(X.reshape(n, 3, side, side).transpose(0, 2, 3, 1))
    return X.reshape(n, side, side, 3)
