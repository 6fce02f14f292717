"""Weights of samples and of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import _check_sample_weight

from .validation import check_real

__all__ = ["check_class_weight", "check_sample_weight", "class_sample_weight", "positive"]


def check_sample_weight(sample_weight: Any, X: NDArray) -> NDArray | None:
    """Return weights as a float64 vector (n,), or None if there are none.

    Raises
    ------
    ValueError
        Unless there is one finite weight per sample, none negative, and not all zero.
    """
    if sample_weight is None:
        return None
    return _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)


def check_class_weight(class_weight: Any) -> None:
    """Raise unless `class_weight` is None, "balanced" or a dictionary of non-negative numbers."""
    if class_weight is None or (isinstance(class_weight, str) and class_weight == "balanced"):
        return
    if not isinstance(class_weight, dict):
        kind = ValueError if isinstance(class_weight, str) else TypeError
        raise kind(
            f"class_weight={class_weight!r} is not supported; give 'balanced', a dictionary of one "
            "weight per label, or None."
        )
    for label, weight in class_weight.items():
        check_real(f"class_weight[{label!r}]", weight, low=0.0)


def class_sample_weight(
    class_weight: Any, classes: NDArray, indices: NDArray, weights: NDArray | None
) -> NDArray | None:
    """Weights of samples multiplied by those of their classes; None if all are 1.

    "balanced" counts a sample as often as its weight says.

    Raises
    ------
    ValueError
        If no sample of a class has a positive weight, or `class_weight` holds unknown labels.
    """
    if class_weight is not None:
        _check_support(classes, indices, weights)
        per_class = compute_class_weight(
            class_weight, classes=classes, y=classes[indices], sample_weight=weights
        )
        weights = per_class[indices] * (1.0 if weights is None else weights)
    _check_support(classes, indices, weights)
    return weights


def _check_support(classes: NDArray, indices: NDArray, weights: NDArray | None) -> None:
    """Raise ValueError if a class has no sample of positive weight."""
    if weights is None:
        return
    totals = np.bincount(indices, weights, minlength=len(classes))
    if not totals.all():
        raise ValueError(
            f"All samples of class {classes[totals == 0].tolist()[0]!r} have weight 0; a "
            "classifier needs a positive weight in each class. Leave the class out of X and y, or "
            "give one of its samples a positive weight."
        )


def positive(weights: NDArray | None) -> NDArray | None:
    """Indices of the samples of positive weight, or None if those are all samples."""
    return None if weights is None or weights.all() else np.flatnonzero(weights)
