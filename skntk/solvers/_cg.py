"""Preconditioned conjugate residuals for (K + alpha I) A = Y, given products with K alone.

They are conjugate gradients that minimise the residual in place of the error's energy. Where K
is singular and no A solves the system, as with equal samples of different labels, conjugate
gradients break down, and these arrive at the least-squares solution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning

from ._interface import Options, Solution, Solver, System
from ._preconditioner import make_preconditioner, preconditioner_rank
from ._spectrum import indefinite

__all__ = ["CG", "ConjugateResiduals", "conjugate_residuals", "diagnose"]

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
    residual : ndarray of shape (k,)
        Of each column, |Y - (K + alpha I) A| / |Y|.
    least_squares : ndarray of bool of shape (k,)
        Which columns have a residual that the matrix maps to 0, so that none is smaller.
    n_iter : int
        Iterations, each of which takes a product with K.
    norm, curvature : float
        Largest |(K + alpha I) v| / |v| seen so far, and smallest v . (K + alpha I) v / |v|^2.
    """

    coefficients: NDArray
    residual: NDArray
    least_squares: NDArray
    n_iter: int = 0
    norm: float = 0.0
    curvature: float = np.inf

    def is_indefinite(self) -> bool:
        """Whether the matrix has a negative eigenvalue that is no rounding error."""
        return self.curvature < -np.sqrt(np.finfo(self.coefficients.dtype).eps) * self.norm

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

    All columns share the products with K; each has its own steps. Iteration ends early if the
    matrix turns out to be indefinite.

    Parameters
    ----------
    product : callable
        V (n, k) -> K V.
    targets : ndarray of shape (n, k)
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
    scale = _norms(targets)
    scale = np.where(scale > 0, scale, 1)
    # Of a huge ridge no square must be taken: the system is solved in units of it.
    unit = targets.dtype.type(max(1.0, alpha))
    shift = targets.dtype.type(alpha / unit)
    k = targets.shape[1]
    best = ConjugateResiduals(np.zeros_like(targets), _norms(targets) / scale, np.zeros(k, bool))

    def apply(vectors: NDArray) -> NDArray:
        """Product, noting what it says about the matrix."""
        image = product(vectors) / unit + shift * vectors
        norms = _norms(vectors)
        seen = norms > 0
        if seen.any():
            best.norm = max(best.norm, float((_norms(image)[seen] / norms[seen]).max()))
            quotients = _dots(vectors, image)[seen] / norms[seen] ** 2
            best.curvature = min(best.curvature, float(quotients.min()))
        return image

    apply(np.ones((len(targets), 1), targets.dtype))  # near the eigenvector of most kernels
    while not best.finished(tol).all() and best.n_iter < max_iter and not best.is_indefinite():
        descent = _Descent(apply, best, targets, scale, precondition or np.copy, tol)
        found = descent.run(max_iter, on_step)
        # By rounding, the residual carried along drifts from the true one: go on from that.
        reached = _norms(targets - apply(found.coefficients)) / scale
        flatter = (found.ratio < descent.first_ratio / 2) & (reached < 1.01 * best.residual)
        better = (reached < best.residual) | flatter | found.least_squares
        gained = (reached < best.residual / 2) | flatter
        best.coefficients = np.where(better, found.coefficients, best.coefficients)
        best.residual = np.where(better, reached, best.residual)
        best.least_squares = found.least_squares
        if not gained[~best.finished(tol)].any():
            break
    best.coefficients /= unit
    best.norm, best.curvature = best.norm * float(unit), best.curvature * float(unit)
    return best


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

    def __init__(
        self,
        apply: Operator,
        state: ConjugateResiduals,
        targets: NDArray,
        scale: NDArray,
        precondition: Operator,
        tol: float,
    ):
        self.apply, self.state, self.scale, self.tol = apply, state, scale, tol
        self.precondition = precondition
        self.coefficients = state.coefficients.copy()
        started = bool(self.coefficients.any())
        self.residual = targets - apply(self.coefficients) if started else targets.copy()
        self.gradient = self.precondition(self.residual)
        self.image = apply(self.gradient)
        self.direction, self.direction_image = self.gradient.copy(), self.image.copy()
        self.energy = _dots(self.gradient, self.image)
        k = targets.shape[1]
        self.found = _Found(
            state.coefficients.copy(), state.residual.copy(), np.full(k, np.inf), np.zeros(k, bool)
        )
        self.first_ratio = self._ratio()
        self.least, self.least_ratio = state.residual.copy(), self.first_ratio.copy()
        self.improved = np.zeros(k, int)

    def run(self, max_iter: int, on_step: Callable[[], Any]) -> _Found:
        """Iterate; the state counts."""
        first = self.state.n_iter
        active = self._active(0)
        while active.any() and self.state.n_iter < max_iter and not self.state.is_indefinite():
            self._step(active)
            self.state.n_iter += 1
            on_step()
            active &= self._active(self.state.n_iter - first)
        return self.found

    def _step(self, active: NDArray) -> None:
        dtype = self.residual.dtype
        along = self.precondition(self.direction_image)
        step = _divide(self.energy, _dots(self.direction_image, along))
        step = np.where(active, step, 0).astype(dtype)
        self.coefficients += step * self.direction
        self.residual -= step * self.direction_image
        self.gradient -= step * along
        self.image = self.apply(self.gradient)
        previous, self.energy = self.energy, _dots(self.gradient, self.image)
        turn = _divide(self.energy, previous).astype(dtype)
        self.direction = self.gradient + turn * self.direction
        self.direction_image = self.image + turn * self.direction_image

    def _ratio(self) -> NDArray:
        """How far, (k,), the residuals are from what the matrix maps to 0: 1 at most."""
        return _divide(_norms(self.image), self.state.norm * _norms(self.gradient))

    def _active(self, n_steps: int) -> NDArray:
        """Keep what is better than before, and give the columns (k,) to go on with."""
        eps = np.finfo(self.residual.dtype).eps
        reached, ratio = _norms(self.residual) / self.scale, self._ratio()
        self._keep(reached, np.where(ratio < np.sqrt(eps), ratio, np.inf))
        singular = (ratio <= eps**0.75) & (reached > self.tol)
        self.found.least_squares |= singular
        progress = (reached < 0.9 * self.least) | (ratio < 0.5 * self.least_ratio)
        self.improved[progress] = n_steps
        self.least = np.minimum(self.least, reached)
        self.least_ratio = np.minimum(self.least_ratio, ratio)
        # Rounding has taken over, or nothing changes any more.
        stuck = (reached > _DIVERGED * self.least) | (n_steps - self.improved > _PATIENCE)
        return ~(singular | stuck | (reached <= self.tol) | (self.energy <= 0))

    def _keep(self, reached: NDArray, ratio: NDArray) -> None:
        """Keep the iterates of smallest residual; of those alike, where it is closest to flat."""
        found = self.found
        flatter = (ratio < found.ratio) & (reached <= 1.01 * found.residual)
        smaller = reached < np.where(np.isinf(found.ratio), 1, 0.99) * found.residual
        kept = flatter | smaller
        lifted = self._lifted(ratio)
        found.coefficients[:, kept] = lifted[:, kept]
        found.residual[kept], found.ratio[kept] = reached[kept], ratio[kept]

    def _lifted(self, ratio: NDArray) -> NDArray:
        """Coefficients, less what K maps to 0: a multiple of the residual where that is flat.

        Liu, Milzarek and Roosta, "Obtaining pseudo-inverse solutions with MINRES", 2023.
        """
        if np.isinf(ratio).all():
            return self.coefficients
        square = _dots(self.residual, self.residual)
        share = _divide(_dots(self.residual, self.coefficients), square)
        share = np.where(np.isinf(ratio), 0, share).astype(self.residual.dtype)
        return self.coefficients - share * self.residual


def diagnose(state: ConjugateResiduals, tol: float) -> Warning | None:
    """Warning that there is no solution, or that the iteration stopped short of it, or None."""
    if not state.finished(tol).all():
        return ConvergenceWarning(
            f"solver='cg' stopped after {state.n_iter} iterations at a relative residual of "
            f"{state.residual.max():.1e}, above tol={tol:.1e}. Likely causes: (a) max_iter is too "
            "small, (b) the Gram matrix is ill-conditioned: set alpha, or pass float64 input. The "
            "iterate of smallest residual is kept."
        )
    if state.least_squares.any():
        floor = 10 * np.finfo(state.coefficients.dtype).eps * state.norm
        return LinAlgWarning(
            "The Gram matrix is ill-conditioned: to rounding it is singular, and no machine "
            "reaches all the labels, as where equal samples have different ones. solver='cg' gives "
            f"the least-squares solution, as the other solvers do. Set alpha={10 * floor:.0e} or "
            "more, or pass distinct samples or float64 input."
        )
    return None


def _dots(left: NDArray, right: NDArray) -> NDArray:
    # In float64: the rounding of these is what slows the iteration down.
    return np.einsum("ik,ik->k", left, right, dtype=np.float64)


def _norms(vectors: NDArray) -> Any:
    return np.sqrt(_dots(vectors, vectors))


def _divide(numerator: NDArray, denominator: NDArray) -> NDArray:
    """Quotient, 0 for columns that have converged to nothing."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _solve(system: System, options: Options) -> Solution:
    tol = options.tol
    if tol is None:
        tol = float(np.sqrt(np.finfo(system.targets.dtype).eps))
    state = conjugate_residuals(
        system.matrix.__matmul__,
        system.targets,
        system.alpha,
        precondition=make_preconditioner(system.matrix, system.alpha, options.random_state),
        tol=tol,
        max_iter=options.max_iter,
        on_step=options.on_step,
    )
    if state.is_indefinite():
        raise indefinite(state.curvature - system.alpha, state.norm, system.alpha)
    return Solution(
        state.coefficients, solver="cg", n_iter=state.n_iter, diagnosis=diagnose(state, tol)
    )


#: The columns of the preconditioner, chosen and decomposed, and its basis.
CG = Solver(_solve, n_values=lambda n: 3 * n * preconditioner_rank(n), iterative=True)
