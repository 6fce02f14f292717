"""The attack loop: ascend an objective within a ball and keep the best iterate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils.targets import classify
from ._balls import Ball
from ._differentiable import DifferentiableModel
from ._losses import Loss, as_logits, as_output_cotangents

__all__ = ["BestIterate", "Objective", "ascend"]


class Objective:
    """A loss with its labels, raised by an untargeted attack and lowered by a targeted one.

    Parameters
    ----------
    loss : Loss
    labels : ndarray of shape (m,), or (m, 2) for `TOWARD_CLASS`
        Class indices.
    targeted : bool
    """

    def __init__(self, loss: Loss, labels: NDArray, targeted: bool):
        self.loss, self.labels, self.targeted = loss, labels, targeted
        self.sign = -1.0 if targeted else 1.0

    def take(self, rows: NDArray) -> Objective:
        """Objective of some of the samples."""
        return Objective(self.loss, self.labels[rows], self.targeted)

    def values(self, outputs: NDArray) -> NDArray:
        """Objective of each sample (m,); -inf where an output is not finite."""
        finite = np.isfinite(outputs).all(axis=1)
        logits = as_logits(np.where(finite[:, None], outputs, 0))
        return np.where(finite, self.sign * self.loss.values(logits, self.labels), -np.inf)

    def reached(self, outputs: NDArray) -> NDArray:
        """Whether each sample is classified as intended; False if an output is not finite."""
        hit = classify(outputs) == self.labels
        return np.isfinite(outputs).all(axis=1) & (hit if self.targeted else ~hit)

    def gradient(
        self,
        outputs: NDArray,
        pullback: Callable[[NDArray], NDArray],
        dual_norm: Callable[[NDArray], NDArray] | None = None,
    ) -> NDArray:
        """Gradient (m, d) along the candidate direction with the largest dual norm (and offset)."""
        logits = as_logits(np.nan_to_num(outputs))
        candidates = self.loss.cotangents(logits, self.labels)
        cotangents = self.sign * as_output_cotangents(candidates, outputs.shape[1])
        gradients = np.stack([pullback(c.astype(outputs.dtype)) for c in cotangents])
        gradients = np.nan_to_num(gradients, copy=False, posinf=0, neginf=0)
        if len(gradients) == 1 or dual_norm is None:
            return gradients[0]
        gains = dual_norm(gradients)
        if self.loss.adds_offset:
            gains = gains + np.einsum("cmk,mk->cm", candidates, logits)
        steepest = gains.argmax(axis=0)
        return gradients[steepest, np.arange(gradients.shape[1])]


class BestIterate:
    """For each sample, the best point seen so far.

    Attributes
    ----------
    points : ndarray of shape (m, d)
    outputs : ndarray of shape (m, k)
    """

    def __init__(self, points: NDArray, outputs: NDArray, objective: Objective, labels: NDArray):
        self.points, self.outputs = points.copy(), outputs.copy()
        self.objective, self.labels = objective, labels
        self.values = objective.values(outputs)

    def copy(self) -> BestIterate:
        """Independent copy."""
        return BestIterate(self.points, self.outputs, self.objective, self.labels)

    def take(self, rows: NDArray) -> BestIterate:
        """Independent copy of some of the samples."""
        objective, labels = self.objective.take(rows), self.labels[rows]
        return BestIterate(self.points[rows], self.outputs[rows], objective, labels)

    def put(self, rows: NDArray, best: BestIterate) -> None:
        """Write back what became of some of the samples."""
        self.points[rows], self.outputs[rows] = best.points, best.outputs
        self.values[rows] = best.values

    def update(self, points: NDArray, outputs: NDArray) -> None:
        """Take successes, and points of larger objective unless that would undo a success.

        A point of larger cross-entropy may be classified correctly, if its probability spreads
        over several other classes. A loss without labels pushes away from the prediction, which
        may itself be a misclassification.
        """
        values = self.objective.values(outputs)
        undone = self.objective.reached(self.outputs) & ~self.objective.reached(outputs)
        before, after = self.success, self._succeeds(outputs)
        larger = (values > self.values) & ~undone & ~(before & ~after)
        self._take(larger | (after & ~before), points, outputs, values)

    def keep_successes(self, smaller: BestIterate) -> None:
        """Take the points of a smaller budget where only that one succeeded."""
        lost = smaller.success & ~self.success
        self._take(lost, smaller.points, smaller.outputs, smaller.values)

    @property
    def finite(self) -> NDArray:
        """Whether all outputs of each sample are finite."""
        return np.isfinite(self.outputs).all(axis=1)

    @property
    def robust(self) -> NDArray:
        """Whether each output is finite and the attack has not succeeded."""
        return self.finite & ~self.success

    @property
    def success(self) -> NDArray:
        """Whether each point is misclassified (targeted: classified as its target)."""
        return self._succeeds(self.outputs)

    def _succeeds(self, outputs: NDArray) -> NDArray:
        hit = classify(outputs) == self.labels
        return np.isfinite(outputs).all(axis=1) & (hit if self.objective.targeted else ~hit)

    def _take(self, rows: NDArray, points: NDArray, outputs: NDArray, values: NDArray) -> None:
        self.points[rows], self.outputs[rows] = points[rows], outputs[rows]
        self.values[rows] = values[rows]


def ascend(
    model: DifferentiableModel,
    ball: Ball,
    start: NDArray,
    best: BestIterate,
    *,
    step_size: Any,
    n_steps: int,
    linearization: tuple[NDArray, Callable[[NDArray], NDArray]] | None = None,
) -> None:
    """Take `n_steps` steepest steps from `start`, offering every iterate to `best`.

    FGSM is one step of the full radius. `linearization` is that of `start`, if known.
    """
    points = start
    for _ in range(n_steps):
        outputs, pullback = linearization or model.linearize(points)
        linearization = None
        best.update(points, outputs)
        gradient = best.objective.gradient(outputs, pullback, ball.dual_norm)
        points = ball.step(points, gradient, step_size)
    best.update(points, model.outputs(points))
