"""The weight of each training sample, from weights of samples and of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import _check_sample_weight

from .._utils.validation import check_option

__all__ = ["training_weights"]


def training_weights(
    sample_weight: Any, class_weight: Any, X: NDArray, labels: NDArray, classes: NDArray
) -> NDArray:
    """Weight (n,) of each sample in the loss, scaled so that those above zero have mean 1.

    Raises
    ------
    ValueError
        If weights are negative, not finite, not one per sample, or all zero; or if a class is
        weighted that does not exist.
    """
    weights = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
    if class_weight is not None:
        _check_class_weight(class_weight)
        kept = weights > 0
        of_classes = _of_classes(class_weight, labels[kept], classes, weights[kept])
        weights = weights * of_classes[labels]
    kept = weights > 0
    if not kept.any():
        raise ValueError(
            f"class_weight={class_weight!r} leaves out every sample; give a class with samples a "
            "weight above zero."
        )
    return (weights / weights[kept].mean()).astype(X.dtype, copy=False)


def _check_class_weight(class_weight: Any) -> None:
    if not isinstance(class_weight, dict | str):
        raise TypeError(f"class_weight={class_weight!r} must be 'balanced', a dict or None.")
    if isinstance(class_weight, str):
        check_option("class_weight", class_weight, ("balanced",))


def _of_classes(class_weight: Any, labels: NDArray, classes: NDArray, weights: NDArray) -> NDArray:
    """Weight (k,) of each class; it is 1 for one without samples."""
    present = np.unique(labels)
    values = np.ones(len(classes))
    values[present] = compute_class_weight(
        class_weight, classes=classes[present], y=classes[labels], sample_weight=weights
    )
    if not (np.isfinite(values).all() and values.min() >= 0):
        raise ValueError(f"class_weight={class_weight!r} must be finite and not negative.")
    return values
