"""The set of allowed perturbations: a norm ball around each sample, within a box.

A norm supplies its steepest step, its projection, its dual norm and a random point;
the attack needs nothing else. A budget with one value per feature scales the axes of
the ball.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

__all__ = ["Ball", "L2Ball", "LinfBall", "make_ball"]


#: Values in a block of rows, small enough for its temporaries to stay in the level-2 cache.
_BLOCK_VALUES = 2**15


class Ball(ABC):
    """Points within `eps` of the rows of `center`, clipped to a box.

    Parameters
    ----------
    center : ndarray of shape (m, d)
        Clean samples, inside the box.
    eps : float or ndarray of shape (d,)
        Radius.
    box : tuple of (float or ndarray of shape (d,)) or None
        Lowest and highest allowed value. If None, there is no box.
    """

    def __init__(self, center: NDArray, eps: float | NDArray, box: tuple | None):
        self.center = center
        self.eps = np.broadcast_to(np.asarray(eps, np.float64), center.shape[1:])
        self.box = box
        self._some_budget_is_zero = bool((self.eps == 0).any())

    def step(self, points: NDArray, gradient: NDArray, size: float | NDArray) -> NDArray:
        """Move along the steepest direction of the norm and return to the ball.

        The shapes of `points` (m, d) and `gradient` (..., m, d) are broadcast; the result has
        the broadcast shape. `size` is a number, one for each feature (d,), or (m, d).
        """
        shape = np.broadcast_shapes(points.shape, gradient.shape)
        points, gradient = np.broadcast_to(points, shape), np.broadcast_to(gradient, shape)
        result = np.empty(shape, self.center.dtype)
        # Only a few rows at a time, so that about a dozen temporaries stay in the cache.
        height = max(1, _BLOCK_VALUES // max(1, shape[-1]))
        for index in np.ndindex(shape[:-2]):
            for start in range(0, shape[-2], height):
                rows = slice(start, start + height)
                block = (*index, rows)
                length = size[rows] if isinstance(size, np.ndarray) and size.ndim == 2 else size
                moved = points[block] + length * self._steepest(gradient[block], length)
                result[block] = self._return(moved, rows)
        return result

    def take(self, rows: NDArray) -> Ball:
        """Balls around some of the samples."""
        return type(self)(self.center[rows], self.eps, self.box)

    def project(self, points: NDArray) -> NDArray:
        """Points brought into the ball and the box, in the dtype of the center.

        Those of the maximum norm are the nearest ones. A Euclidean ball is returned to along the
        line to the center, and then clipped to the box, which leads no further from the center.
        """
        return self._return(points, slice(None))

    def _return(self, points: NDArray, rows: slice) -> NDArray:
        points = self._project(points, rows).astype(self.center.dtype, copy=False)
        if self._some_budget_is_zero:
            # A feature without a budget stays bit for bit the same: x + 0 turns -0.0 into 0.0.
            points = np.where(self.eps == 0, self.center[rows], points)
        return points

    def gap(self, points: NDArray, gradient: NDArray) -> NDArray:
        """Largest first-order gain (m,) of a move from `points` to any allowed point.

        The Frank-Wolfe gap (Jaggi, "Revisiting Frank-Wolfe", ICML 2013): zero where no small move
        helps, and a bound on what any move gains if the objective is concave.
        """
        gradient = gradient.astype(np.float64)
        return ((self._farthest(gradient) - points) * gradient).sum(axis=1)

    @abstractmethod
    def _farthest(self, gradient: NDArray) -> NDArray:
        """The allowed point (m, d) that lies furthest along each gradient."""

    @abstractmethod
    def dual_norm(self, gradient: NDArray) -> NDArray:
        """Largest first-order gain within the ball, for gradients (..., d)."""

    @abstractmethod
    def random(self, noise: NDArray) -> NDArray:
        """Map standard normal noise (m, d + 1) to points uniform in the ball."""

    @abstractmethod
    def _steepest(self, gradient: NDArray, size: float | NDArray) -> NDArray: ...

    @abstractmethod
    def _project(self, points: NDArray, rows: slice) -> NDArray:
        """Points brought into the ball around some of the samples, and into the box."""


class LinfBall(Ball):
    """Ball of the maximum norm; its intersection with the box is again a box."""

    def __init__(self, center: NDArray, eps: float | NDArray, box: tuple | None):
        super().__init__(center, eps, box)
        self.low, self.high = (_moved(center, sign * self.eps) for sign in (-1, 1))
        if box is not None:
            self.low, self.high = np.maximum(self.low, box[0]), np.minimum(self.high, box[1])

    def dual_norm(self, gradient: NDArray) -> NDArray:
        return np.abs(gradient * self.eps).sum(axis=-1)

    def random(self, noise: NDArray) -> NDArray:
        uniform = 2 * ndtr(noise[:, :-1]) - 1
        return self.project(self.center + self.eps * uniform)

    def _farthest(self, gradient: NDArray) -> NDArray:
        return np.where(gradient > 0, self.high, np.where(gradient < 0, self.low, self.center))

    def _steepest(self, gradient: NDArray, size: float | NDArray) -> NDArray:
        return np.sign(gradient)

    def _project(self, points: NDArray, rows: slice) -> NDArray:
        return np.clip(points, self.low[rows], self.high[rows])


class L2Ball(Ball):
    """Euclidean ball; an ellipsoid if the budget differs between features."""

    def dual_norm(self, gradient: NDArray) -> NDArray:
        return np.linalg.norm(gradient * self.eps, axis=-1)

    def random(self, noise: NDArray) -> NDArray:
        direction = _normalise(noise[:, :-1])
        radius = ndtr(noise[:, -1:]) ** (1 / self.center.shape[1])
        return self.project(self.center + self.eps * radius * direction)

    def _farthest(self, gradient: NDArray) -> NDArray:
        """Features that meet the box stay there, and the others go on until the radius is used."""
        direction = _normalise(gradient * self.eps)
        if self.box is None:
            return self.center + self.eps * direction
        to_box = np.where(direction > 0, self.box[1], self.box[0]) - self.center
        limit = np.full_like(direction, np.inf)
        np.divide(np.abs(to_box), self.eps, out=limit, where=self.eps > 0)
        moved, free = direction, np.ones(direction.shape, bool)
        while (met := free & (np.abs(moved) > limit)).any():
            free &= ~met
            left = 1 - np.square(np.where(free, 0, limit)).sum(axis=1, keepdims=True)
            rest = np.square(np.where(free, direction, 0)).sum(axis=1, keepdims=True)
            scale = np.sqrt(np.divide(np.maximum(left, 0), rest, out=rest, where=rest > 0))
            moved = np.where(free, scale * direction, np.copysign(limit, direction))
        return self.center + self.eps * moved

    def _steepest(self, gradient: NDArray, size: float | NDArray) -> NDArray:
        return _normalise(gradient * size)

    def _project(self, points: NDArray, rows: slice) -> NDArray:
        center = self.center[rows]
        delta = points.astype(np.float64) - center
        scaled = np.divide(delta, self.eps, out=np.zeros_like(delta), where=self.eps > 0)
        length = np.linalg.norm(scaled, axis=-1, keepdims=True)
        points = _moved(center, np.where(length > 1, delta / np.maximum(length, 1), delta))
        return points if self.box is None else np.clip(points, *self.box)


@np.errstate(under="ignore")  # nextafter of 0 is subnormal
def _moved(center: NDArray, delta: NDArray) -> NDArray:
    """``center + delta`` in the dtype of the center, never rounded away from the center."""
    points = (center + delta).astype(center.dtype)
    further = np.abs(points.astype(np.float64) - center) > np.abs(delta)
    return np.where(further, np.nextafter(points, center), points)


def _normalise(vectors: NDArray) -> NDArray:
    """Scale rows to length 1; zero rows stay 0, and tiny rows do not underflow."""
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    vectors = np.divide(vectors, largest, out=np.zeros_like(vectors), where=largest > 0)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, length, out=vectors, where=length > 0)


def make_ball(norm: float, center: NDArray, eps: float | NDArray, box: tuple | None) -> Ball:
    """Ball of the given norm, inf or 2."""
    return (LinfBall if norm == np.inf else L2Ball)(center, eps, box)
