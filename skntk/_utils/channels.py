"""Rows of pixels whose channels come first, which nothing but their values shows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .warnings import warn_user

__all__ = ["warn_of_channels_first"]

#: Below this share of the other difference. CIFAR-10 has 0.5 with channels first, and 3 otherwise;
#: without any structure it is 1.
_SHARE = 0.7
_N_SAMPLES = 100


def warn_of_channels_first(X: NDArray, shape: Any) -> None:
    """Warn if rows that are taken for colour images (H, W, 3) look like (3, H, W).

    In a picture, the pixel below is much alike. In a row of (H, W, 3) it is 3 W places on, in one
    of (3, H, W) it is W places on.
    """
    if shape is None or len(shape) != 3 or shape[2] != 3 or shape[0] < 2:
        return
    height, width, _ = shape
    some = X[:: max(1, len(X) // _N_SAMPLES)]
    first, last = (
        float(np.abs(some[:, lag:] - some[:, :-lag]).mean()) for lag in (width, 3 * width)
    )
    if first < _SHARE * last:
        warn_user(
            UserWarning(
                f"X looks like images channel by channel, as in CIFAR's own files, and is taken "
                f"for {tuple(shape)}, (height, width, channels). Give, of test samples as well, "
                f"X.reshape(-1, 3, {height}, {width}).transpose(0, 2, 3, 1).reshape(len(X), -1)."
            )
        )
