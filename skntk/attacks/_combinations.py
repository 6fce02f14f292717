"""Functions of the outputs of several classifiers, and their pullbacks.

Probabilities are kept as logarithms: log p has a gradient where p has long been rounded to 1, and
as logits they give the same prediction and the cross-entropy of p itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, log_softmax, logsumexp

from ._losses import as_logits, as_output_cotangents

__all__ = [
    "Combination",
    "add",
    "beside",
    "column",
    "difference",
    "exponential",
    "log_mean",
    "normalized",
    "scattered",
    "sigmoid",
    "softmax",
]

#: Outputs (m, k), and the pullback from their cotangents to those of what they are made of.
Combined = tuple[NDArray, Callable[[NDArray], list[NDArray]]]

#: From the outputs (m, k_j) of members.
Combination = Callable[[list[NDArray]], Combined]


def softmax(factor: float = 1.0) -> Combination:
    """Log of the softmax of one member's outputs times a factor; of a single output, the sigmoid's.

    It takes outputs (m, 1) or (m, k) and gives logarithms (m, 2) or (m, k).
    """

    def combine(outputs: list[NDArray]) -> Combined:
        logs = log_softmax(factor * as_logits(outputs[0]), axis=1)
        n_outputs = outputs[0].shape[1]

        def pull_back(cotangents: NDArray) -> list[NDArray]:
            of_logits = cotangents - np.exp(logs) * cotangents.sum(axis=1, keepdims=True)
            return [factor * as_output_cotangents(of_logits, n_outputs)]

        return logs, pull_back

    return combine


def normalized(outputs: list[NDArray]) -> Combined:
    """Log of p_r / sum_s p_s, from one member's log p (m, k)."""
    return softmax()(outputs)


def log_mean(weights: Sequence[float] | NDArray) -> Combination:
    """Log of the weighted mean of probabilities, from members' logarithms (m, k)."""
    shares = np.asarray(weights, dtype=float) / np.sum(weights)

    def combine(outputs: list[NDArray]) -> Combined:
        with np.errstate(divide="ignore"):  # log 0 of a member that has no say
            terms = np.stack(outputs) + np.log(shares)[:, None, None]
        logs = logsumexp(terms, axis=0)
        return logs, lambda cotangents: list(cotangents * np.exp(terms - logs))

    return combine


def add(factors: Sequence[float] | NDArray, offset: float = 0.0) -> Combination:
    """Weighted sum of members' outputs, all (m, k), plus an offset."""

    def combine(outputs: list[NDArray]) -> Combined:
        total = sum(factor * part for factor, part in zip(factors, outputs, strict=True))
        return total + offset, lambda cotangents: [factor * cotangents for factor in factors]

    return combine


def beside(outputs: list[NDArray]) -> Combined:
    """Members' outputs side by side."""
    ends = np.cumsum([part.shape[1] for part in outputs])[:-1]
    return np.concatenate(outputs, axis=1), lambda cotangents: np.split(cotangents, ends, axis=1)


def scattered(columns: NDArray, n_columns: int, fill: float) -> Combination:
    """One member's outputs in some of the columns, and a constant in the others."""

    def combine(outputs: list[NDArray]) -> Combined:
        full = np.full((len(outputs[0]), n_columns), fill)
        full[:, columns] = outputs[0]
        return full, lambda cotangents: [cotangents[:, columns]]

    return combine


def column(index: int) -> Combination:
    """Take one column (m, 1) of a member's outputs."""

    def combine(outputs: list[NDArray]) -> Combined:
        def pull_back(cotangents: NDArray) -> list[NDArray]:
            full = np.zeros(outputs[0].shape)
            full[:, index : index + 1] = cotangents
            return [full]

        return outputs[0][:, index : index + 1], pull_back

    return combine


def difference(outputs: list[NDArray]) -> Combined:
    """Second column less the first (m, 1): the logit, from the logarithms of two probabilities."""
    return outputs[0][:, 1:] - outputs[0][:, :1], lambda c: [np.concatenate([-c, c], axis=1)]


def exponential(outputs: list[NDArray]) -> Combined:
    """Probabilities from their logarithms."""
    values = np.exp(outputs[0])
    return values, lambda cotangents: [cotangents * values]


def sigmoid(slopes: NDArray, offsets: NDArray) -> Combination:
    """Log of the sigmoid of slope * output + offset, in each column of one member's outputs."""

    def combine(outputs: list[NDArray]) -> Combined:
        arguments = slopes * outputs[0] + offsets
        return log_expit(arguments), lambda c: [c * expit(-arguments) * slopes]

    return combine
