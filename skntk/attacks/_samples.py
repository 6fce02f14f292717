"""Samples on their way through the stages of an attack."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._balls import Ball
from ._differentiable import Linearization
from ._search import BestIterate, Objective
from ._specification import Options

__all__ = ["Samples"]


@dataclass(frozen=True)
class Samples:
    """Samples that go through a stage together, at one budget.

    Attributes
    ----------
    model : Model
    options : Options
        The radius of their specification is the budget.
    ball : Ball
    best : BestIterate
        Updated by the stage.
    clean : tuple
        Outputs and pullback at the centers of the balls; no pullback for a black box.
    noise : ndarray of shape (r, m, d + 1)
        Normal numbers of the random starts.
    seeds : ndarray of shape (m,)
    """

    model: Any
    options: Options
    ball: Ball
    best: BestIterate
    clean: Linearization
    noise: NDArray
    seeds: NDArray

    def take(self, rows: NDArray) -> Samples:
        """Some of the samples, whose best points are copies."""
        return replace(
            self,
            ball=self.ball.take(rows),
            best=self.best.take(rows),
            clean=_part(self.clean, rows),
            noise=self.noise[:, rows],
            seeds=self.seeds[rows],
        )

    @property
    def starts(self) -> list[tuple[NDArray, Linearization | None]]:
        """Clean samples, with what is known there, and the random starts."""
        n_random = self.options.n_random_starts
        return [(self.ball.center, self.clean), *((self.random(i), None) for i in range(n_random))]

    @property
    def opposite(self) -> Objective:
        """Of a regressor, its outputs away from the way that the error takes at the samples."""
        return self.best.objective.opposite(*self.clean, self.ball.dual_norm)

    def random(self, index: int) -> NDArray:
        """One random point in each ball."""
        return self.ball.random(self.noise[index])


def _part(linearization: Linearization, rows: NDArray) -> Linearization:
    """Outputs and pullback of some of the rows."""
    outputs, pullback = linearization

    def pull_back(cotangents: NDArray) -> NDArray:
        padded = np.zeros_like(outputs)
        padded[rows] = cotangents
        return pullback(padded)[rows]

    return outputs[rows], pull_back
