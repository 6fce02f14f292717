"""Weights of samples and of classes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import _check_sample_weight

from .targets import encode_targets
from .validation import check_real

__all__ = [
    "WeightedLabels",
    "check_class_weight",
    "check_sample_weight",
    "encode_weighted_targets",
    "positive",
]


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


class WeightedLabels(NamedTuple):
    """Labels of the samples of positive weight, which alone take part in a fit.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        Their sorted classes.
    indices : ndarray of shape (n_kept,)
        Index of the class of each.
    weights : ndarray of shape (n_kept,) or None
        Weight of each; None stands for ones.
    kept : ndarray of shape (n_kept,) or None
        Their indices among all samples, or None if those are all samples.
    """

    classes: NDArray
    indices: NDArray
    weights: NDArray | None
    kept: NDArray | None


def encode_weighted_targets(
    y: NDArray, class_weight: Any, weights: NDArray | None
) -> WeightedLabels:
    """Encode labels after weights of samples, times those of their classes, have left some out.

    A weight of 0 has the effect of leaving a sample out, and with all its samples a class.
    "balanced" counts a sample as often as its weight says.

    Raises
    ------
    ValueError
        If fewer than two classes have a sample of positive weight, or `class_weight` holds
        labels that are not in `y`.
    """
    classes, indices = encode_targets(y)
    if class_weight is not None:
        per_class = _class_weights(class_weight, classes, indices, weights)
        weights = per_class[indices] * (1.0 if weights is None else weights)
    kept = positive(weights)
    if kept is None or weights is None:
        return WeightedLabels(classes, indices, weights, None)
    present = np.unique(indices[kept])
    if len(present) < 2:
        rest = f"only class {classes[present].tolist()[0]!r}" if len(present) else "no class"
        raise ValueError(
            f"sample_weight and class_weight={class_weight!r} leave {rest} with a positive weight; "
            "a classifier needs samples of at least two classes with weights above 0."
        )
    return WeightedLabels(
        classes[present], np.searchsorted(present, indices[kept]), weights[kept], kept
    )


def _class_weights(
    class_weight: Any, classes: NDArray, indices: NDArray, weights: NDArray | None
) -> NDArray:
    """Weight (k,) of each class; it is 0 for one that "balanced" cannot raise from 0."""
    present = np.arange(len(classes))
    if isinstance(class_weight, str):
        # Labels that a dictionary names may have no weight: a bootstrap sample can lack them.
        present = np.unique(indices if weights is None else indices[weights > 0])
    kept = np.isin(indices, present)
    of_classes = np.zeros(len(classes))
    of_classes[present] = compute_class_weight(
        class_weight,
        classes=classes[present],
        y=classes[indices[kept]],
        sample_weight=None if weights is None else weights[kept],
    )
    return of_classes


def positive(weights: NDArray | None) -> NDArray | None:
    """Indices of the samples of positive weight, or None if those are all samples."""
    return None if weights is None or weights.all() else np.flatnonzero(weights)
