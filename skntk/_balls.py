"""The set of allowed perturbations: a norm ball around each sample, within a box.

A norm supplies its steepest step, its projection, its dual norm and a random point;
the attack knows nothing else about it. A budget with one value a feature scales the
axes of the ball.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

__all__ = ["Ball", "L2Ball", "LinfBall", "make_ball"]


class Ball(ABC):
    """Points within `eps` of the rows of `center`, clipped to a box.

    Parameters
    ----------
    center : ndarray of shape (m, d)
        Clean samples, inside the box.
    eps : float or ndarray of shape (d,)
        Radius.
    box : tuple of (float or ndarray of shape (d,)) or None
        Lowest and highest allowed value; None: no box.
    """

    def __init__(self, center: NDArray, eps: float | NDArray, box: tuple | None):
        self.center = center
        self.eps = np.broadcast_to(np.asarray(eps, np.float64), center.shape[1:])
        self.box = box

    def step(self, points: NDArray, gradient: NDArray, size: float | NDArray) -> NDArray:
        """Move along the steepest direction of the norm and return to the ball."""
        return self.project(points + size * self._steepest(gradient, size))

    def project(self, points: NDArray) -> NDArray:
        """Nearest allowed points, in the dtype of the center."""
        delta = self._project(points.astype(np.float64) - self.center)
        points = (self.center + delta).astype(self.center.dtype)
        # Rounding must not lead out of the ball, not even by an ulp a feature.
        outside = np.abs(points.astype(np.float64) - self.center) > np.abs(delta)
        points = np.where(outside, np.nextafter(points, self.center), points)
        if self.box is not None:
            points = np.clip(points, *self.box)
        # Without a budget a feature keeps its very bits, whatever x + 0 rounds to.
        return np.where(self.eps == 0, self.center, points)

    @abstractmethod
    def dual_norm(self, gradient: NDArray) -> NDArray:
        """Largest first-order gain within the ball, for gradients (..., d)."""

    @abstractmethod
    def random(self, noise: NDArray) -> NDArray:
        """Map standard normal noise (m, d + 1) to points uniform in the ball."""

    @abstractmethod
    def _steepest(self, gradient: NDArray, size: float | NDArray) -> NDArray: ...

    @abstractmethod
    def _project(self, delta: NDArray) -> NDArray:
        """Nearest perturbation within the budget."""


class LinfBall(Ball):
    """Every feature within its budget."""

    def dual_norm(self, gradient: NDArray) -> NDArray:
        return np.abs(gradient * self.eps).sum(axis=-1)

    def random(self, noise: NDArray) -> NDArray:
        uniform = 2 * ndtr(noise[:, :-1]) - 1
        return self.project(self.center + self.eps * uniform)

    def _steepest(self, gradient: NDArray, size: float | NDArray) -> NDArray:
        return np.sign(gradient)

    def _project(self, delta: NDArray) -> NDArray:
        return np.clip(delta, -self.eps, self.eps)


class L2Ball(Ball):
    """Euclidean ball; an ellipsoid if the budget differs between features."""

    def dual_norm(self, gradient: NDArray) -> NDArray:
        return np.linalg.norm(gradient * self.eps, axis=-1)

    def random(self, noise: NDArray) -> NDArray:
        direction = _normalise(noise[:, :-1])
        radius = ndtr(noise[:, -1:]) ** (1 / self.center.shape[1])
        return self.project(self.center + self.eps * radius * direction)

    def _steepest(self, gradient: NDArray, size: float | NDArray) -> NDArray:
        return _normalise(gradient * size)

    def _project(self, delta: NDArray) -> NDArray:
        scaled = np.divide(delta, self.eps, out=np.zeros_like(delta), where=self.eps > 0)
        length = np.linalg.norm(scaled, axis=-1, keepdims=True)
        return np.where(length > 1, delta / np.maximum(length, 1), delta)


def _normalise(vectors: NDArray) -> NDArray:
    """Rows of length 1; a zero row stays 0. Scaled first, so that tiny rows survive."""
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    vectors = np.divide(vectors, largest, out=np.zeros_like(vectors), where=largest > 0)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, length, out=vectors, where=length > 0)


def make_ball(norm: float, center: NDArray, eps: float | NDArray, box: tuple | None) -> Ball:
    """Ball of the given norm, inf or 2."""
    return (LinfBall if norm == np.inf else L2Ball)(center, eps, box)
