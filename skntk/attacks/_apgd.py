"""APGD: gradient ascent with momentum, whose steps shrink where they no longer help.

Croce and Hein, "Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse
Parameter-Free Attacks", ICML 2020 (arXiv 2003.01690), Algorithm 1.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._balls import Ball
from ._differentiable import DifferentiableModel, Linearization
from ._search import BestIterate, Objective

__all__ = ["apgd", "checkpoints"]

#: Weight of a step against that of the direction of the step before it.
_MOMENTUM = 0.75

#: A sample is given up where the first-order gain that is left is this fraction of what is missing.
_HOPELESS = 0.01

#: Fraction of the steps since the last checkpoint that must have raised the objective.
_ENOUGH = 0.75


def apgd(
    model: DifferentiableModel,
    ball: Ball,
    start: NDArray,
    best: BestIterate,
    objective: Objective,
    *,
    step_size: Any,
    n_steps: int,
    linearization: Linearization | None = None,
    until_success: bool = False,
) -> None:
    """Ascend `objective` from `start`, offering every iterate to `best`.

    Parameters
    ----------
    model : DifferentiableModel
        Outputs and gradients.
    ball : Ball
        Allowed points.
    start : ndarray of shape (m, d)
        Points of the ball.
    best : BestIterate
        Best points of the same samples; its own objective may be another one.
    objective : Objective
        Raised by the steps.
    step_size : float or ndarray of shape (d,)
        Length of the first steps.
    n_steps : int
        Number of gradients.
    linearization : tuple, default=None
        Outputs and pullback at `start`, if known.
    until_success : bool, default=False
        Take no further step for samples on which `best` has succeeded, nor for those where
        `objective` is a margin whose largest value is all but reached and far from success.
    """
    walk = _Walk(model, ball, start, best, objective, step_size)
    walk.look(linearization or model.linearize(start))
    ends = checkpoints(n_steps)
    for step in range(1, n_steps + 1):
        if until_success:
            walk.leave_out(walk.succeeded | walk.hopeless)
        if len(walk.rows) == 0:
            return
        walk.step()
        if step == n_steps:
            walk.offer(walk.points, model.outputs(walk.points))
            return
        walk.look(model.linearize(walk.points))
        if step in ends:
            walk.shorten_steps(ends[step])


def checkpoints(n_steps: int) -> dict[int, int]:
    """Steps after which sizes are reviewed, each with the number of steps since the last."""
    percents = [0, 22]
    while percents[-1] < 100:
        percents.append(percents[-1] + max(percents[-1] - percents[-2] - 3, 6))
    ends = [-(-percent * n_steps // 100) for percent in percents]
    return {end: end - start for start, end in pairwise(ends)}


class _Walk:
    """Where each sample is, where it was best, and how large its steps are.

    Attributes
    ----------
    rows : ndarray of shape (a,)
        Samples of `best` that still move; every other array has one row for each of them.
    """

    def __init__(
        self,
        model: DifferentiableModel,
        ball: Ball,
        start: NDArray,
        best: BestIterate,
        objective: Objective,
        step_size: Any,
    ):
        self.model, self.ball, self.best, self.objective = model, ball, best, objective
        self.step_size = np.asarray(step_size, dtype=float)
        m = len(start)
        self.rows = np.arange(m)
        self.points = self.previous = start
        self.moving = False  # no step has been taken, so that there is no direction to keep
        self.values = np.full(m, -np.inf)
        self.gradient = np.zeros_like(start)
        self.best_points, self.best_gradient = start.copy(), np.zeros_like(start)
        self.best_values = np.full(m, -np.inf)
        self.scale = np.ones(m)  # of the step
        self.n_raised = np.zeros(m, int)  # steps that raised the objective, since a checkpoint
        self.reviewed_scale = np.ones(m)
        self.reviewed_values = np.full(m, -np.inf)

    #: Attributes with a row for each sample that still moves.
    _ROWS = (
        *("rows", "points", "previous", "values", "gradient", "best_points", "best_gradient"),
        *("best_values", "scale", "n_raised", "reviewed_scale", "reviewed_values"),
    )

    def look(self, linearization: Linearization) -> None:
        """Take in outputs and gradients at the current points."""
        outputs, pullback = linearization
        self.offer(self.points, outputs)
        values = self.objective.values(outputs)
        self.gradient = self.objective.gradient(outputs, pullback, self.ball.dual_norm)
        self.n_raised += values > self.values
        self.values = values
        larger = values > self.best_values
        self.best_points[larger] = self.points[larger]
        self.best_gradient[larger] = self.gradient[larger]
        self.best_values[larger] = values[larger]

    def offer(self, points: NDArray, outputs: NDArray) -> None:
        """Let `best` take what is better."""
        if len(self.rows) == len(self.best.points):
            self.best.update(points, outputs)
            return
        moving = self.best.take(self.rows)
        moving.update(points, outputs)
        self.best.put(self.rows, moving)

    def step(self) -> None:
        """One step along the gradient, and some way on along the last one."""
        size = (self.step_size * self.scale[:, None]).astype(self.points.dtype)
        moved = self.ball.step(self.points, self.gradient, size)
        ahead = self.points + _MOMENTUM * (moved - self.points)
        ahead += (1 - _MOMENTUM) * (self.points - self.previous)
        self.previous, self.points = self.points, self.ball.project(ahead) if self.moving else moved
        self.moving = True

    def shorten_steps(self, n_steps: int) -> None:
        """Halve steps that do not help, and go back to the best point of their samples."""
        too_few = self.n_raised < _ENOUGH * n_steps
        stuck = (self.scale == self.reviewed_scale) & (self.best_values == self.reviewed_values)
        self.reviewed_scale, self.reviewed_values = self.scale, self.best_values.copy()
        halved = too_few | stuck
        self.scale = np.where(halved, self.scale / 2, self.scale)
        self.n_raised[:] = 0
        back = halved[:, None]
        self.points = np.where(back, self.best_points, self.points)
        self.gradient = np.where(back, self.best_gradient, self.gradient)
        self.values = np.where(halved, self.best_values, self.values)

    @property
    def succeeded(self) -> NDArray:
        """Whether an attack on each sample has succeeded."""
        return self.best.success[self.rows]

    @property
    def hopeless(self) -> NDArray:
        """Whether a margin far below zero is stationary, so that no small step raises it."""
        if not self.objective.loss.is_margin:
            return np.zeros(len(self.rows), bool)
        gap = self.ball.gap(self.best_points, self.best_gradient)
        return gap <= _HOPELESS * -self.best_values

    def leave_out(self, rows: NDArray) -> None:
        """Go on with the other samples."""
        if not rows.any():
            return
        for name in self._ROWS:
            setattr(self, name, getattr(self, name)[~rows])
        self.ball, self.objective = self.ball.take(~rows), self.objective.take(~rows)
