"""Checks of trackers and of named curves that several Displays share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from .._utils.showing import shown
from ..dynamics import KernelDynamicsTracker
from ._arguments import check_mapping

__all__ = ["check_curves", "check_followed", "check_tracker", "named_trackers"]


def check_tracker(tracker: Any) -> KernelDynamicsTracker:
    """Raise TypeError unless `tracker` is one, and NotFittedError if it has recorded nothing."""
    if not isinstance(tracker, KernelDynamicsTracker):
        raise TypeError(f"tracker={shown(tracker)} must be a KernelDynamicsTracker.")
    if not len(tracker.steps_):
        raise NotFittedError("tracker has recorded nothing yet; train a network with it.")
    return tracker


def named_trackers(item: Any, default: str = "training") -> dict[str, KernelDynamicsTracker]:
    """Return trackers by name; a single tracker gets the name `default`."""
    trackers = dict(item) if isinstance(item, Mapping) else {default: item}
    if not trackers:
        raise ValueError("tracker is an empty mapping; give at least one tracker.")
    return {name: check_tracker(tracker) for name, tracker in trackers.items()}


def check_followed(name: str, value: Any, tracker: KernelDynamicsTracker) -> None:
    """Raise ValueError unless `value` is among the tracker's `top`."""
    if value not in tracker.top:
        raise ValueError(f"{name}={value!r} was not followed; the tracker has {tracker.top}.")


def check_curves(
    curves: Mapping[str, Any], axes: tuple[str, str]
) -> dict[str, tuple[NDArray, NDArray]]:
    """Return pairs of vectors of equal length by name.

    Raises
    ------
    ValueError
        If there are no curves, or one is not a pair of finite vectors of equal length.
    TypeError
        If `curves` is not a mapping.
    """
    check_mapping("curves", curves)
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
                "of equal length."
            )
        if not all(np.isfinite(values).all() for values in pair):
            raise ValueError(f"curves[{label!r}] holds NaN or infinity; give finite values.")
        checked[label] = (pair[0], pair[1])
    return checked
