"""Preconditioned conjugate residuals for (K + alpha I) A = Y, given products with K alone.

Conjugate residuals are conjugate gradients that minimise the residual in place of the error's
energy. Where K is singular and no A solves the system, as with equal samples of different labels,
conjugate gradients break down, and conjugate residuals arrive at a least-squares solution.

The iteration runs in float64, also for a matrix in float32: the coefficients then have no
rounding of their own, which a nearly singular matrix would enlarge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ConjugateResiduals", "conjugate_residuals"]

#: A residual that grows to so many times its smallest value will not come back.
_DIVERGED = 1e3
#: Iterations without progress after which there will be none.
_PATIENCE = 100

Operator = Callable[[NDArray], NDArray]


@dataclass
class ConjugateResiduals:
    """Where the iteration stands.

    Attributes
    ----------
    coefficients : ndarray of shape (n, k)
        In float64.
    residual : ndarray of shape (k,)
        Of each column, |Y - (K + alpha I) A| / |Y|.
    least_squares : ndarray of bool of shape (k,)
        Which columns have a residual that the matrix maps to 0, so that none is smaller.
    eps : float
        Machine epsilon of the matrix.
    n_iter : int
        Iterations, each of which takes a product with K.
    norm, curvature : float
        Largest |(K + alpha I) v| / |v| seen so far, and smallest v . (K + alpha I) v / |v|^2.
    """

    coefficients: NDArray
    residual: NDArray
    least_squares: NDArray
    eps: float
    n_iter: int = 0
    norm: float = 0.0
    curvature: float = np.inf

    @classmethod
    def start(cls, targets: NDArray) -> ConjugateResiduals:
        """Stand at coefficients of 0."""
        k = targets.shape[1]
        residual = (_norms(targets) > 0).astype(np.float64)
        eps = float(np.finfo(targets.dtype).eps)
        return cls(np.zeros(targets.shape), residual, np.zeros(k, bool), eps)

    def restart(self) -> None:
        """Stand at coefficients of 0 again, with what is known about the matrix."""
        self.coefficients = np.zeros_like(self.coefficients)
        self.residual = np.ones_like(self.residual)
        self.least_squares = np.zeros_like(self.least_squares)

    def prefer(self, other: ConjugateResiduals, columns: NDArray) -> None:
        """Take some columns (k,) from another state."""
        self.coefficients = np.where(columns, other.coefficients, self.coefficients)
        self.residual = np.where(columns, other.residual, self.residual)

    def hides(self, ridge: float) -> bool:
        """Whether a ridge, or none, is lost in the rounding of the matrix."""
        return ridge < 10 * self.eps * self.norm

    @property
    def blind(self) -> float:
        """Ratio |K v| / (|K| |v|) below which v . K v, which is smaller still, is mostly noise."""
        return max(10 * self.eps, 1e-8)

    @property
    def flat(self) -> float:
        """Ratio |K v| / (|K| |v|) that rounding, of K or of products, may give in place of 0."""
        return max(5 * self.eps, 500 * float(np.finfo(np.float64).eps))

    def is_indefinite(self) -> bool:
        """Whether the matrix has a negative eigenvalue that is no rounding error."""
        return self.curvature < -np.sqrt(self.eps) * self.norm

    def finished(self, tol: float) -> NDArray:
        """Which columns, (k,), have arrived."""
        return (self.residual <= tol) | self.least_squares


def conjugate_residuals(
    product: Operator,
    targets: NDArray,
    alpha: float = 0.0,
    *,
    precondition: Operator | None = None,
    tol: float = 1e-6,
    max_iter: int = 1000,
    on_step: Callable[[], Any] = lambda: None,
) -> ConjugateResiduals:
    """Iterate until every column of the residual is small, or as small as it can be.

    All columns share the products with K; each has its own steps. The iteration ends early if the
    matrix turns out to be indefinite.

    A least-squares solution of a singular system is not unique, and the iteration arrives at one
    with a large part that K maps to 0, but only to rounding. So once it has found what part of
    the targets cannot be reached, it starts again toward the rest, and gives the solution of
    smallest norm. A ridge below the rounding of the matrix acts on that rest alone.

    Parameters
    ----------
    product : callable
        V (n, k) in float64 -> K V in float64.
    targets : ndarray of shape (n, k)
        In the dtype of K, whose rounding decides what counts as 0.
    alpha : float, default=0
        Ridge.
    precondition : callable, default=None
        Approximates the inverse, V (n, k) -> V (n, k), symmetric and positive; the identity on
        vectors that K maps to 0.
    tol : float, default=1e-6
        Residual, relative to the targets, to stop at.
    max_iter : int, default=1000
        Largest number of iterations.
    on_step : callable, optional
        Called after every iteration.

    Returns
    -------
    state : ConjugateResiduals
    """
    # Of a huge ridge no square must be taken: the system is solved in units of it.
    unit = max(1.0, alpha)
    scale = _norms(targets)
    run = _Run(
        lambda vectors: product(vectors) / unit,
        alpha / unit,
        precondition or np.copy,
        np.where(scale > 0, scale, 1),
        tol,
        max_iter,
        on_step,
    )
    state = ConjugateResiduals.start(targets)
    targets = targets.astype(np.float64)
    run.measure(state, targets)
    # A ridge below rounding is left out at first: with it, noise would take the place of 0.
    ridge = 0.0 if state.hides(run.ridge) else run.ridge
    run.approach(state, targets, ridge)
    if state.least_squares.any() or ridge < run.ridge:
        first = replace(state)
        unreached = run.unreached(state, targets, ridge)
        state.restart()
        run.approach(state, targets - unreached, run.ridge)
        left = _norms(unreached) / run.scale
        state.least_squares = state.finished(tol) & (left > tol)
        state.residual = np.hypot(state.residual, left)
        state.prefer(first, ~state.finished(tol) & (first.residual < state.residual))
    state.coefficients = state.coefficients / unit
    state.norm, state.curvature = state.norm * unit, state.curvature * unit
    return state


@dataclass
class _Run:
    """The system, and when its iteration ends."""

    product: Operator
    ridge: float
    precondition: Operator
    scale: NDArray
    tol: float
    max_iter: int
    on_step: Callable[[], Any]

    def apply(self, state: ConjugateResiduals, vectors: NDArray, ridge: float) -> NDArray:
        """Product, noting what it says about the matrix."""
        image = self.product(vectors) + ridge * vectors
        norms = _norms(vectors)
        seen = norms > 0
        if seen.any():
            state.norm = max(state.norm, float((_norms(image)[seen] / norms[seen]).max()))
            quotients = _dots(vectors, image)[seen] / norms[seen] ** 2
            state.curvature = min(state.curvature, float(quotients.min()))
        return image

    def goes_on(self, state: ConjugateResiduals) -> bool:
        return state.n_iter < self.max_iter and not state.is_indefinite()

    def measure(self, state: ConjugateResiduals, targets: NDArray) -> None:
        """Estimate the norm of the matrix, by a few steps of power iteration."""
        # A vector of ones is near the leading eigenvector of most kernels.
        vectors = np.column_stack([np.ones(len(targets)), targets])
        for _ in range(3):
            vectors = self.apply(state, vectors, self.ridge)
            vectors = _divide(vectors, _norms(vectors))

    def unreached(self, state: ConjugateResiduals, targets: NDArray, ridge: float) -> NDArray:
        """Part (n, k) of the targets that K does not reach, where that is what is left.

        The residual R is that part and a rest that K does reach, but which the iteration no longer
        sees beside it. The rest alone is the solution Z of K Z = K R.
        """
        residual = targets - self.apply(state, state.coefficients, ridge)
        residual = np.where(state.least_squares, residual, 0)
        scale = state.norm * _norms(residual)
        run = replace(self, scale=np.where(scale > 0, scale, 1), tol=state.flat)
        rest = replace(state)
        rest.restart()
        run.approach(rest, self.apply(state, residual, 0.0), 0.0)
        state.n_iter, state.norm, state.curvature = rest.n_iter, rest.norm, rest.curvature
        return residual - rest.coefficients

    def approach(self, state: ConjugateResiduals, targets: NDArray, ridge: float) -> None:
        """Improve the coefficients of a state until every column has arrived."""
        while not state.finished(self.tol).all() and self.goes_on(state):
            descent = _Descent(self, state, targets, ridge)
            found = descent.run()
            # By rounding, the residual carried along drifts from the true one: go on from that.
            reached = _norms(targets - self.apply(state, found.coefficients, ridge)) / self.scale
            flatter = (found.ratio < descent.first_ratio / 2) & (reached < 1.01 * state.residual)
            better = (reached < state.residual) | flatter | found.least_squares
            gained = (reached < state.residual / 2) | flatter
            state.coefficients = np.where(better, found.coefficients, state.coefficients)
            state.residual = np.where(better, reached, state.residual)
            state.least_squares = found.least_squares
            if not gained[~state.finished(self.tol)].any():
                break


@dataclass
class _Found:
    """The best iterate of each column."""

    coefficients: NDArray
    residual: NDArray
    ratio: NDArray  # `_Descent._ratio` where that is small, else infinite
    least_squares: NDArray


class _Descent:
    """One run of the iteration, from the true residual of a state.

    With M the preconditioner and R the residual, `gradient` is M R and `image` (K + alpha I) M R.
    """

    def __init__(self, run: _Run, state: ConjugateResiduals, targets: NDArray, ridge: float):
        self.system, self.state, self.ridge = run, state, ridge
        self.coefficients = state.coefficients.copy()
        started = bool(self.coefficients.any())
        image = run.apply(state, self.coefficients, ridge) if started else 0
        self.residual = targets - image
        self.gradient = run.precondition(self.residual)
        self.image = run.apply(state, self.gradient, ridge)
        self.direction, self.direction_image = self.gradient.copy(), self.image.copy()
        self.energy = _dots(self.gradient, self.image)
        k = targets.shape[1]
        self.found = _Found(
            state.coefficients.copy(), state.residual.copy(), np.full(k, np.inf), np.zeros(k, bool)
        )
        self.first_ratio = self._ratio()
        self.least, self.least_ratio = state.residual.copy(), self.first_ratio.copy()
        self.improved = np.zeros(k, int)

    def run(self) -> _Found:
        """Iterate; the state counts."""
        first = self.state.n_iter
        active = self._active(0)
        while active.any() and self.system.goes_on(self.state):
            self._step(active)
            self.state.n_iter += 1
            self.system.on_step()
            active &= self._active(self.state.n_iter - first)
        return self.found

    def _step(self, active: NDArray) -> None:
        along = self.system.precondition(self.direction_image)
        step = _divide(self.energy, _dots(self.direction_image, along))
        step = np.where(active, step, 0)
        self.coefficients += step * self.direction
        self.residual -= step * self.direction_image
        self.gradient -= step * along
        self.image = self.system.apply(self.state, self.gradient, self.ridge)
        previous, self.energy = self.energy, _dots(self.gradient, self.image)
        turn = _divide(self.energy, previous)
        self.direction = self.gradient + turn * self.direction
        self.direction_image = self.image + turn * self.direction_image

    def _ratio(self) -> NDArray:
        """How far, (k,), the residuals are from what the matrix maps to 0: 1 at most."""
        return _divide(_norms(self.image), self.state.norm * _norms(self.gradient))

    def _active(self, n_steps: int) -> NDArray:
        """Keep what is better than before, and give the columns (k,) to go on with."""
        state = self.state
        reached, ratio = _norms(self.residual) / self.system.scale, self._ratio()
        self._keep(reached, np.where(ratio < np.sqrt(state.eps), ratio, np.inf))
        progress = (reached < 0.9 * self.least) | (ratio < 0.5 * self.least_ratio)
        self.improved[progress] = n_steps
        self.least = np.minimum(self.least, reached)
        self.least_ratio = np.minimum(self.least_ratio, ratio)
        # Rounding has taken over, or nothing changes any more.
        stuck = (reached > _DIVERGED * self.least) | (n_steps - self.improved > _PATIENCE)
        stuck |= self.energy <= 0
        # With a ridge that shows, no residual is mapped to 0.
        flat = (ratio <= state.blind) & state.hides(self.ridge)
        arrived = reached <= self.system.tol
        self.found.least_squares |= flat & ~arrived
        return ~(flat | stuck | arrived)

    def _keep(self, reached: NDArray, ratio: NDArray) -> None:
        """Keep the iterates of smallest residual; of those alike, where it is closest to flat."""
        found = self.found
        flatter = (ratio < found.ratio) & (reached <= 1.01 * found.residual)
        smaller = reached < np.where(np.isinf(found.ratio), 1, 0.99) * found.residual
        kept = flatter | smaller
        found.coefficients[:, kept] = self.coefficients[:, kept]
        found.residual[kept], found.ratio[kept] = reached[kept], ratio[kept]


def _dots(left: NDArray, right: NDArray) -> NDArray:
    return np.einsum("ik,ik->k", left, right, dtype=np.float64)


def _norms(vectors: NDArray) -> Any:
    return np.sqrt(_dots(vectors, vectors))


def _divide(numerator: NDArray, denominator: NDArray) -> NDArray:
    """Quotient, 0 for columns that have converged to nothing."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
