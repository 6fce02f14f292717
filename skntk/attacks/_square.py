"""Square: random search, which needs outputs alone and therefore judges whether gradients lie.

Andriushchenko, Croce, Flammarion and Hein, "Square Attack: a query-efficient black-box
adversarial attack via random search", ECCV 2020 (arXiv 1912.00049), Algorithms 1 to 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._balls import Ball, L2Ball
from ._black_box import Model
from ._search import BestIterate, Objective

__all__ = ["image_shape", "square"]

#: Fraction of an image that the first squares cover.
_FIRST_AREA = 0.8

#: After these fractions of the queries the area is halved.
_HALVINGS = np.array([10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000]) / 10_000

#: Queries whose random numbers are drawn together.
_DRAWN = 500


def square(
    model: Model,
    ball: Ball,
    best: BestIterate,
    objective: Objective,
    *,
    seeds: NDArray,
    n_queries: int,
    until_success: bool = False,
) -> None:
    """Change random squares of every sample, and keep a change that raises the objective.

    Parameters
    ----------
    model : Model
        Outputs.
    ball : Ball
        Allowed points.
    best : BestIterate
        Best points of the same samples, to which what is found is offered.
    objective : Objective
        Raised by the changes.
    seeds : ndarray of shape (m,)
        Seed of each sample, whose numbers do not depend on the samples around it.
    n_queries : int
        Number of outputs asked for a sample.
    until_success : bool, default=False
        Ask no further for samples on which `best` has succeeded.
    """
    shape = image_shape(ball.center.shape[1])
    squares = (_L2Squares if isinstance(ball, L2Ball) else _LinfSquares)(ball, shape)
    rows = np.arange(len(seeds))
    streams = [np.random.default_rng(int(seed)) for seed in seeds]
    points = squares.start(np.stack([rng.random(squares.n_first, np.float32) for rng in streams]))
    values = np.full(len(rows), -np.inf)
    proposed = points
    queries = _queries(streams, squares.n_numbers, n_queries)
    for query in range(n_queries):
        outputs = model.outputs(proposed)
        part = best.take(rows)
        part.update(proposed, outputs)
        best.put(rows, part)
        found = objective.values(outputs)
        better = found > values
        points[better], values[better] = proposed[better], found[better]
        if until_success and (fallen := part.success).any():
            standing = ~fallen
            rows, points, values = rows[standing], points[standing], values[standing]
            objective, squares = objective.take(standing), squares.take(standing)
        if len(rows) == 0 or query + 1 == n_queries:
            return
        area = _FIRST_AREA / 2 ** np.searchsorted(_HALVINGS, query / n_queries)
        proposed = squares.propose(points, next(queries)[rows], area)


def image_shape(n_features: int) -> tuple[int, int, int]:
    """Height, width and channels in which features are taken to lie.

    Square numbers are grey images and three times square numbers colour images, channels last;
    anything else is a row of features, whose squares are stretches of it. The shape decides which
    changes are tried, and nothing else.
    """
    for channels in (1, 3):
        side = isqrt(n_features // channels)
        if side > 1 and side * side * channels == n_features:
            return side, side, channels
    return 1, n_features, 1


def _queries(streams: list, n_numbers: int, n_queries: int) -> Iterator[NDArray]:
    """Yield the uniform numbers (m, n_numbers) of one query after the other."""
    for first in range(0, n_queries, _DRAWN):
        shape = (min(_DRAWN, n_queries - first), n_numbers)
        yield from np.stack([rng.random(shape, np.float32) for rng in streams], axis=1)


class _Squares:
    """Changes of some squares of images, drawn from uniform numbers."""

    #: Uniform numbers that a query takes besides the signs of the channels.
    n_positions: int

    def __init__(self, ball: Any, shape: tuple[int, int, int]):
        self.ball, self.shape = ball, shape
        _, self.width, self.channels = shape
        self.n_first = self.width * self.channels
        self.n_numbers = self.n_positions + self.channels

    def take(self, rows: NDArray) -> Any:
        """Squares of some of the samples."""
        return type(self)(self.ball.take(rows), self.shape)

    def _sides(self, area: float) -> tuple[int, int]:
        """Height and width of a square that covers this fraction of the image."""
        height, width, _ = self.shape
        high = min(max(1, round(np.sqrt(area * height * width))), height)
        return high, min(max(1, round(area * height * width / high)), width)

    def _window(self, numbers: NDArray, sides: tuple[int, int]) -> NDArray:
        """Mask (m, height, width) of a square at random, from two numbers for each."""
        masks = []
        for number, side, length in zip(numbers.T, sides, self.shape[:2], strict=True):
            first = (number * (length - side + 1)).astype(int)[:, None]
            masks.append((np.arange(length) >= first) & (np.arange(length) < first + side))
        return masks[0][:, :, None] & masks[1][:, None, :]


class _LinfSquares(_Squares):
    """Squares of one colour: every channel at its highest or lowest allowed value."""

    n_positions = 2

    def start(self, numbers: NDArray) -> NDArray:
        """Vertical stripes."""
        m, (height, width, channels) = len(numbers), self.shape
        signs = numbers.reshape(m, 1, width, channels)
        signs = np.broadcast_to(signs, (m, height, width, channels)).reshape(m, -1)
        return np.where(signs < 0.5, self.ball.low, self.ball.high)

    def propose(self, points: NDArray, numbers: NDArray, area: float) -> NDArray:
        """`points` (m, d) with a square of each changed."""
        m, (height, width, channels) = len(points), self.shape
        window = self._window(numbers[:, :2], self._sides(area))
        window = np.broadcast_to(window[..., None], (m, height, width, channels)).reshape(m, -1)
        up = np.tile(numbers[:, 2:] >= 0.5, (1, height * width))
        return np.where(window, np.where(up, self.ball.high, self.ball.low), points)


class _L2Squares(_Squares):
    """Squares that take over the length of the change in another square.

    Lengths are in units of the axes of the ball.
    """

    n_positions = 4

    def start(self, numbers: NDArray) -> NDArray:
        """Vertical stripes."""
        m = len(numbers)
        signs = np.where(numbers < 0.5, -1.0, 1.0).reshape(m, 1, *self.shape[1:])
        return self._points(np.broadcast_to(signs, (m, *self.shape)))

    def propose(self, points: NDArray, numbers: NDArray, area: float) -> NDArray:
        """`points` (m, d) with one square emptied into another."""
        change = self._change(points)
        sides = self._sides(area)
        window = self._window(numbers[:, :2], sides)[..., None]
        emptied = self._window(numbers[:, 2:4], sides)[..., None] & ~window
        left = np.maximum(1 - _length(change) ** 2, 0)
        available = np.sqrt(left + _length(change * (window | emptied)) ** 2)
        signs = np.where(numbers[:, 4:] < 0.5, -1.0, 1.0)[:, None, None, :]
        inside = change * window
        bump = signs * window * self._bump(window) + inside / np.maximum(_length(inside), 1e-12)
        bump *= available / np.maximum(_length(bump), 1e-12)
        return self._points(np.where(window, bump, np.where(emptied, 0, change)))

    def _bump(self, window: NDArray) -> NDArray:
        """A hill on each window, of length 1: high in its middle, and low at its border."""
        hill = np.ones_like(window, dtype=float)
        for axis in (1, 2):
            along = window.any(axis=3 - axis, keepdims=True)
            before = np.cumsum(along, axis=axis) * along
            after = along.sum(axis=axis, keepdims=True) + 1 - before
            hill = hill * np.where(along, 1 / (1 + np.abs(before - after)), 0)
        return hill / np.maximum(_length(hill), 1e-12)

    def _change(self, points: NDArray) -> NDArray:
        """Change of the samples as images, in units of the ball's axes."""
        eps = self.ball.eps
        change = points.astype(float) - self.ball.center
        scaled = np.divide(change, eps, out=np.zeros_like(change), where=eps > 0)
        return scaled.reshape(-1, *self.shape)

    def _points(self, change: NDArray) -> NDArray:
        """Samples with a change scaled to the whole radius."""
        change = np.reshape(change, (len(change), -1)) * (self.ball.eps > 0)
        length = np.linalg.norm(change, axis=1, keepdims=True)
        change = self.ball.eps * change / np.maximum(length, 1e-12)
        return self.ball.project(self.ball.center + change)


def _length(images: NDArray) -> NDArray:
    """Euclidean length of each image, kept as (m, 1, 1, 1)."""
    return np.sqrt((images**2).sum(axis=(1, 2, 3), keepdims=True))
