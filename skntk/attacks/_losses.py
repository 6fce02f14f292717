"""Losses that an attack maximises, and their cotangents with respect to the logits.

Every loss of a classifier takes k >= 2 logits; a binary output f becomes the pair (-f/2, f/2),
whose softmax is the sigmoid of f. A loss of a regressor takes its outputs as they are. Only the
direction of a cotangent matters, because attacks normalise gradients: losses drop positive factors
that would vanish on confident samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

__all__ = [
    *("ALONG", "LOSSES", "SQUARED_ERROR", "TOWARD_CLASS"),
    *("Loss", "as_logits", "as_output_cotangents", "differences"),
]


@dataclass(frozen=True)
class Loss:
    """A loss to be maximised.

    Attributes
    ----------
    values : callable
        (logits (m, k), labels (m,)) -> loss of each sample (m,).
    cotangents : callable
        (logits (m, k), labels (m,)) -> candidate directions (c, m, k) in output space;
        the attack follows the one whose gradient has the largest dual norm.
    adds_offset : bool
        Whether the logits' own value along a candidate is added to that norm.
    label_free : bool
        Whether it replaces the labels by the model's own predictions.
    is_margin : bool
        Whether an attack has succeeded where it is positive.
    of_classes : bool
        Whether it is a classifier's. A regressor's takes outputs in place of logits, and in place
        of labels real numbers of the same shape (m, k).
    """

    values: Callable[[NDArray, NDArray], NDArray]
    cotangents: Callable[[NDArray, NDArray], NDArray]
    adds_offset: bool = False
    label_free: bool = False
    is_margin: bool = False
    of_classes: bool = True


def as_logits(outputs: NDArray) -> NDArray:
    """Outputs (m, 1) or (m, k) as float64 logits (m, k) with k >= 2."""
    outputs = outputs.astype(np.float64)
    if outputs.shape[1] == 1:
        return np.concatenate([-outputs / 2, outputs / 2], axis=1)
    return outputs


def as_output_cotangents(cotangents: NDArray, n_outputs: int) -> NDArray:
    """Pull cotangents of the logits (..., k) back to outputs (..., n_outputs)."""
    if n_outputs == 1:
        return (cotangents[..., 1:] - cotangents[..., :1]) / 2
    return cotangents


def _one_hot(labels: NDArray, n_classes: int) -> NDArray:
    return np.eye(n_classes)[labels]


def _without_label(logits: NDArray, labels: NDArray) -> NDArray:
    """Logits with that of the label replaced by minus infinity."""
    return np.where(_one_hot(labels, logits.shape[1]) == 1, -np.inf, logits)


def _of_label(logits: NDArray, labels: NDArray) -> NDArray:
    return np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]


def _cross_entropy(logits: NDArray, labels: NDArray) -> NDArray:
    """log((1 - p_y) / p_y), which increases with the loss of Eq. 17, 20 but never saturates."""
    others = logsumexp(_without_label(logits, labels), axis=1)
    return others - _of_label(logits, labels)


def _cross_entropy_cotangents(logits: NDArray, labels: NDArray) -> NDArray:
    """Eq. 18-21: softmax - onehot, divided by the probability of all other classes."""
    others = softmax(_without_label(logits, labels), axis=1)
    return (others - _one_hot(labels, logits.shape[1]))[None]


def _margin(logits: NDArray, labels: NDArray) -> NDArray:
    return _without_label(logits, labels).max(axis=1) - _of_label(logits, labels)


def _margin_cotangents(logits: NDArray, labels: NDArray) -> NDArray:
    """Eq. 23-31: push the output itself toward the nearest decision boundary."""
    runner_up = _without_label(logits, labels).argmax(axis=1)
    k = logits.shape[1]
    return (_one_hot(runner_up, k) - _one_hot(labels, k))[None]


def _spread(logits: NDArray) -> NDArray:
    """Difference of the largest and the third largest logit (m,)."""
    third, _, first = np.sort(logits, axis=1)[:, -3:].T
    return first - third


def _dlr(logits: NDArray, labels: NDArray) -> NDArray:
    """Margin over the spread of the three largest logits (Croce and Hein 2020, Eq. 6).

    It does not depend on the scale of the logits. Two logits have no third one: the margin.
    """
    margin = _margin(logits, labels)
    if logits.shape[1] == 2:
        return margin
    spread = _spread(logits)
    return np.divide(margin, spread, out=margin, where=spread > 0)


def _dlr_cotangents(logits: NDArray, labels: NDArray) -> NDArray:
    """Derivative of the quotient, times the spread."""
    cotangents = _margin_cotangents(logits, labels)
    k = logits.shape[1]
    if k == 2:
        return cotangents
    ranked = np.argsort(logits, axis=1)
    of_spread = _one_hot(ranked[:, -1], k) - _one_hot(ranked[:, -3], k)
    ratio = np.where(_spread(logits) > 0, _dlr(logits, labels), 0)
    return cotangents - ratio[:, None] * of_spread


def _toward_class(logits: NDArray, labels: NDArray) -> NDArray:
    own, other = labels.T
    return _of_label(logits, other) - _of_label(logits, own)


def _toward_class_cotangents(logits: NDArray, labels: NDArray) -> NDArray:
    own, other = labels.T
    k = logits.shape[1]
    return (_one_hot(other, k) - _one_hot(own, k))[None]


def _max_l1_cotangents(logits: NDArray, labels: NDArray) -> NDArray:
    """Eq. 33, 34: one candidate for each other class r, the difference z_r - z_y.

    The paper drops f_r - f_y from what it maximises over r, which is the same for all r only where
    the outputs are the one-hot targets, on training points.
    """
    k = logits.shape[1]
    other_classes = (labels + np.arange(1, k)[:, None]) % k
    return _one_hot(other_classes, k) - _one_hot(labels, k)


def _sum_delta(logits: NDArray, labels: NDArray) -> NDArray:
    return logits.sum(axis=1) - logits.shape[1] * _of_label(logits, labels)


def _sum_delta_cotangents(logits: NDArray, labels: NDArray) -> NDArray:
    """Eq. 35, 36: the sum over all other classes of z_r - z_y."""
    k = logits.shape[1]
    return (1 - k * _one_hot(labels, k))[None]


LOSSES = {
    "cross_entropy": Loss(_cross_entropy, _cross_entropy_cotangents),
    "linear": Loss(_margin, _margin_cotangents, label_free=True),
    "max_l1": Loss(_margin, _max_l1_cotangents),
    "max_l1_offset": Loss(_margin, _max_l1_cotangents, adds_offset=True),
    "sum_delta": Loss(_sum_delta, _sum_delta_cotangents),
    "margin": Loss(_margin, _margin_cotangents, is_margin=True),
    "dlr": Loss(_dlr, _dlr_cotangents),
}

#: The margin between two given classes: its labels are pairs (m, 2), the class of a sample and
#: the class to reach.
TOWARD_CLASS = Loss(_toward_class, _toward_class_cotangents, is_margin=True)


def differences(outputs: NDArray, targets: NDArray) -> NDArray:
    """Differences f - y (m, k), 0 where they are rounding error: half of the digits agree."""
    difference = outputs - targets
    rounding = np.sqrt(np.finfo(outputs.dtype).eps) * (np.abs(outputs) + np.abs(targets))
    return np.where(np.abs(difference) <= rounding, 0, difference)


def _squared_error(outputs: NDArray, targets: NDArray) -> NDArray:
    return np.square(outputs.astype(np.float64) - targets).sum(axis=1)


def _squared_error_cotangents(outputs: NDArray, targets: NDArray) -> NDArray:
    """Half of the derivative, f - y; where they are equal, it is 0, and each output may rise."""
    difference = differences(outputs, targets)
    tied = ~difference.any(axis=1, keepdims=True)
    if not tied.any():
        return difference[None]
    return np.stack([np.where(tied, rise, difference) for rise in np.eye(outputs.shape[1])])


def _along(outputs: NDArray, directions: NDArray) -> NDArray:
    return (outputs * directions).sum(axis=1)


def _along_cotangents(outputs: NDArray, directions: NDArray) -> NDArray:
    return directions[None]


#: The loss of a regressor, whose labels are the targets.
SQUARED_ERROR = Loss(_squared_error, _squared_error_cotangents, of_classes=False)

#: The outputs in given directions, its labels.
ALONG = Loss(_along, _along_cotangents, of_classes=False)
