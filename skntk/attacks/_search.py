"""The attack loop: ascend an objective within a ball and keep the best iterate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils.targets import classify
from ._balls import Ball
from ._differentiable import DifferentiableModel
from ._losses import ALONG, Loss, as_logits, as_output_cotangents, differences

__all__ = ["BestIterate", "Objective", "ascend"]


class Objective:
    """A loss with its labels, raised by an untargeted attack and lowered by a targeted one.

    Parameters
    ----------
    loss : Loss
    labels : ndarray of shape (m,), or (m, 2) for `TOWARD_CLASS`
        Class indices. Of a regressor's loss, real numbers (m, k).
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
        logits = self._logits(np.where(finite[:, None], outputs, 0))
        return np.where(finite, self.sign * self.loss.values(logits, self.labels), -np.inf)

    def reached(self, outputs: NDArray, labels: NDArray | None = None) -> NDArray:
        """Whether each sample is classified as intended, by the labels of the objective or others.

        False if an output is not finite, and for regressors, whose errors are large or small but
        neither right nor wrong.
        """
        if not self.loss.of_classes:
            return np.zeros(len(outputs), bool)
        labels = self.labels if labels is None else labels
        hit: NDArray = classify(outputs) == labels
        finite: Any = np.isfinite(outputs).all(axis=1)
        return finite & (hit if self.targeted else ~hit)

    def tied(
        self,
        outputs: NDArray,
        pullback: Callable[[NDArray], NDArray],
        dual_norm: Callable[[NDArray], NDArray],
    ) -> NDArray:
        """Where a regressor's outputs are so near the targets to leave that two ways lead away.

        That is where half of their digits agree, or where the error is as small beside what the
        ball can change of it, as at a target of 0.
        """
        if self.loss.of_classes or self.targeted:
            return np.zeros(len(outputs), bool)
        apart = differences(outputs, self.labels)
        gradient, _ = self._steepest(outputs, pullback, dual_norm)
        negligible = np.sqrt(np.finfo(outputs.dtype).eps) * dual_norm(gradient)
        near: Any = (apart**2).sum(axis=1) <= negligible
        return near | ~apart.any(axis=1)

    def opposite(
        self,
        outputs: NDArray,
        pullback: Callable[[NDArray], NDArray],
        dual_norm: Callable[[NDArray], NDArray],
    ) -> Objective:
        """A regressor's outputs in the direction opposite to the one that the gradient follows."""
        _, direction = self._steepest(outputs, pullback, dual_norm)
        return Objective(ALONG, -direction, targeted=False)

    def gradient(
        self,
        outputs: NDArray,
        pullback: Callable[[NDArray], NDArray],
        dual_norm: Callable[[NDArray], NDArray] | None = None,
    ) -> NDArray:
        """Gradient (m, d) along the candidate direction with the largest dual norm (and offset)."""
        return self._steepest(outputs, pullback, dual_norm)[0]

    def _logits(self, outputs: NDArray) -> NDArray:
        """What the loss takes."""
        return as_logits(outputs) if self.loss.of_classes else outputs

    def _steepest(
        self,
        outputs: NDArray,
        pullback: Callable[[NDArray], NDArray],
        dual_norm: Callable[[NDArray], NDArray] | None,
    ) -> tuple[NDArray, NDArray]:
        """Gradient (m, d), and its cotangent (m, k)."""
        logits = self._logits(np.nan_to_num(outputs))
        cotangents = candidates = self.loss.cotangents(logits, self.labels)
        if self.loss.of_classes:
            cotangents = as_output_cotangents(candidates, outputs.shape[1])
        cotangents = self.sign * cotangents
        gradients = np.stack([pullback(c.astype(outputs.dtype)) for c in cotangents])
        gradients = np.nan_to_num(gradients, copy=False, posinf=0, neginf=0)
        if len(gradients) == 1 or dual_norm is None:
            return gradients[0], cotangents[0]
        gains = dual_norm(gradients)
        if self.loss.adds_offset:
            gains = gains + np.einsum("cmk,mk->cm", candidates, logits)
        steepest = gains.argmax(axis=0)
        rows = np.arange(gradients.shape[1])
        return gradients[steepest, rows], cotangents[steepest, rows]


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
    def squared_error(self) -> NDArray:
        """Of a regressor; NaN where an output is not finite."""
        return np.square(self.outputs.astype(np.float64) - self.labels).sum(axis=1)

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

    def fell_since(self, before: BestIterate, clean: BestIterate) -> NDArray:
        """Where a stage has succeeded; of a regressor, raised what was gained by over a half."""
        if self.objective.loss.of_classes:
            return self.success & ~before.success
        return self.values - before.values > 0.5 * (before.values - clean.values)

    def _succeeds(self, outputs: NDArray) -> NDArray:
        return self.objective.reached(outputs, self.labels)

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
    objective: Objective | None = None,
) -> None:
    """Take `n_steps` steepest steps from `start`, offering every iterate to `best`.

    FGSM is one step of the full radius. `linearization` is that of `start`, if known. The steps
    raise `objective`; if it is None, that of `best`.
    """
    points, objective = start, objective or best.objective
    for _ in range(n_steps):
        outputs, pullback = linearization or model.linearize(points)
        linearization = None
        best.update(points, outputs)
        gradient = objective.gradient(outputs, pullback, ball.dual_norm)
        points = ball.step(points, gradient, step_size)
    best.update(points, model.outputs(points))
