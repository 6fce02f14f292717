"""Training by gradient flow in closed form, which the classifier and the regressor share."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.callback import CallbackSupportMixin
from sklearn.utils.validation import check_is_fitted

from .._utils.fit_progress import FitProgress, no_progress
from .._utils.memory import available_bytes, check_memory
from .._utils.validation import check_integer, check_option, check_real, check_ridge
from .._utils.warnings import warn_user
from ..solvers import (
    SOLVERS,
    Options,
    Solution,
    Spectrum,
    System,
    Weighting,
    choose_solver,
    ill_conditioned,
    solve,
)
from ._kernel_machine import KernelMachineMixin
from ._training_spectrum import training_spectrum

__all__ = ["GradientFlowMixin"]

#: Rows of a Gram matrix above which `at_time` warns that its decomposition takes minutes.
_LONG = 10_000


class GradientFlowMixin(KernelMachineMixin, CallbackSupportMixin):
    """Dual coefficients of targets, at the time and ridge of the fit or at others.

    After training, `_targets` and `_spectrum` are S Y and the eigenpairs of S K S, or None, with
    `_weighting` S; a row of them is a sample of positive weight.
    """

    kernel: Any
    time: float
    alpha: float
    solver: str
    n_jobs: int | None
    random_state: Any
    tol: float | None
    max_iter: int
    memory_limit: float | None
    solver_: str
    n_iter_: int
    _spectrum: Spectrum | None

    def at_time(self, time: float, *, alpha: float | None = None) -> Self:
        """Return the same network at another gradient-flow time, or with another ridge.

        Parameters
        ----------
        time : float
            Gradient-flow time, 0 or more; may be infinite.
        alpha : float, default=None
            Ridge. If None, the ridge of the fit.

        Returns
        -------
        machine : estimator
            A fitted copy that shares the training data and the eigendecomposition. If this
            one was fitted by "cholesky", the first call for another time decomposes the Gram
            matrix; if it was fitted by "cg", every call solves again by products. Eigenvalues
            below rounding error are left out.

        Raises
        ------
        ValueError
            If the kernel is precomputed and `fit` did not decompose it.
        MemoryError
            If the decomposition, or the space in which "cg" works, would not fit in memory.
        """
        check_is_fitted(self, "dual_coef_")
        check_real("time", time, low=0.0, allow_inf=True)
        alpha = self._alpha if alpha is None else check_ridge(alpha, self._targets.dtype)
        if self._spectrum is None and (time, alpha) == (self._time, self._alpha):
            return copy.copy(self)
        other = copy.copy(self)
        other.time, other.alpha = time, alpha
        other._time, other._alpha = time, alpha
        if self._spectrum is None and SOLVERS[self.solver_].iterative:
            return other._solve_again()
        if self._spectrum is None:
            self._spectrum = other._spectrum = self._decompose("at_time")
        if not self._spectrum.hides_rounding(time, alpha):
            warn_user(ill_conditioned(self._spectrum))
        if not _stops_at(other.solver, time):
            other.solver = "eigh"
        other.solver_, other.n_iter_ = "eigh", 1
        other._set_dual_coef(self._spectrum.coefficients(self._targets, time, alpha))
        return other

    def _check_parameters(self) -> None:
        check_real("time", self.time, low=0.0, allow_inf=True)
        check_ridge(self.alpha)
        check_option("solver", self.solver, ("auto", *SOLVERS))
        check_integer("max_iter", self.max_iter, low=1)
        if self.tol is not None:
            check_real("tol", self.tol, low=0.0, strict=True)
        if self.memory_limit is not None:
            check_real("memory_limit", self.memory_limit, low=0.0)
        if not _stops_at(self.solver, self.time):
            raise ValueError(
                f"solver={self.solver!r} cannot stop at time={self.time!r}; use solver='eigh' or "
                "'auto', or time=np.inf."
            )

    def _train(
        self, X: NDArray, targets: NDArray, weights: NDArray | None, kept: NDArray | None
    ) -> None:
        """Set the kernel and the dual coefficients for targets (n, k) of the kept samples."""
        self._kept = kept
        X = self._set_kernel(X, kept)
        rows = self._expansion().rows(targets)
        self._weighting = Weighting.from_weights(weights, X.dtype, len(rows) // len(X))
        self._targets = self._weighting.vectors(rows)
        self._time, self._alpha = self.time, self.alpha
        self._n_outputs = targets.shape[1]
        progress = FitProgress(self, n_stages=2)
        self._set_solution(self._solve(X, self.solver, progress.stage))
        progress.finish()

    def _solve_again(self) -> Self:
        """Set the dual coefficients for the same targets."""
        if self.kernel_ is None:
            raise ValueError(
                "at_time needs the precomputed kernel, which solver='cg' does not keep; fit at "
                "that time, or with solver='eigh'."
            )
        self._set_solution(self._solve(self.X_fit_, self.solver_, no_progress))
        return self

    def _set_solution(self, solution: Solution) -> None:
        self._spectrum = solution.spectrum
        self.solver_, self.n_iter_ = solution.solver, solution.n_iter
        self._set_dual_coef(solution.coefficients)
        warn_user(solution.diagnosis)

    def _set_dual_coef(self, coefficients: NDArray) -> None:
        """Set the attribute from the coefficients of the weighted system."""
        coefficients = self._weighting.vectors(coefficients).reshape(-1, self._n_outputs)
        self.dual_coef_ = self._of_all_samples(coefficients, self._kept)

    def _solve(self, X: NDArray, name: str, stage: Callable[..., Any]) -> Solution:
        """Solve with the solver of that name; raise MemoryError before anything is computed."""
        expansion, n_rows = self._expansion(), len(self._targets)
        instead = ", or solver='cg'"

        def fits(n_values: int) -> bool:
            # 1.4 leaves room for blocks and the columns of a preconditioner.
            needed = 1.4 * n_values * X.itemsize
            return not expansion.has_operator or needed < available_bytes(self.memory_limit)

        def check(n_values: int) -> None:
            check_memory(
                n_values * X.itemsize,
                what=f"Fitting by solver={name!r}",
                n=len(X),
                remedy=f"use fewer samples or float32 input{'' if solver.iterative else instead}",
                # memory_limit bounds n x n matrices, of which iterative solvers need none.
                limit=None if solver.iterative else self.memory_limit,
            )

        warning = None
        if name == "auto":
            name, warning = choose_solver(n_rows, self.time, fits=fits)
        solver = SOLVERS[name]
        check(solver.n_values(n_rows))
        if fits(n_rows**2) or not solver.iterative:
            with stage("gram", expansion.n_blocks(len(X))) as on_step:
                matrix: Any = expansion.gram(X, self.n_jobs, on_step)
        else:
            matrix = expansion.operator(X, self.n_jobs)  # type: ignore[attr-defined]
        matrix = self._weighting.matrix(matrix)
        with stage("solve", self.max_iter if solver.iterative else 1) as on_step:
            options = Options(
                tol=self.tol,
                max_iter=self.max_iter,
                random_state=self.random_state,
                check_memory=check,
                on_step=on_step,
            )
            system = System(matrix, self._targets, self.alpha, self.time)
            solution = solve(name, system, options)
        warn_user(warning)
        return solution

    def _weights_of_targets(self, X: NDArray) -> NDArray:
        r"""Matrix B (m, n) of which the outputs are :math:`B Y`, by targets of positive weight."""
        if self._spectrum is None:
            self._spectrum = self._decompose("The spread of the ensemble")
        kernel_values = self._weighting.vectors(self.kernel_._block(self.X_fit_, X))
        solved = self._spectrum.coefficients(kernel_values, self._time, self._alpha)
        return self._weighting.vectors(solved).T

    def _decompose(self, purpose: str) -> Spectrum:
        """Eigendecomposition, if the fit did not need it."""
        if self.kernel_ is None:
            raise ValueError(
                f"{purpose} needs the eigendecomposition of the precomputed kernel, which "
                "solver='cholesky' and 'cg' do not compute; fit with solver='eigh'."
            )
        if len(self._targets) > _LONG:
            warn_user(
                UserWarning(
                    f"{purpose} now decomposes the Gram matrix of {len(self._targets):,} rows, "
                    "once, which takes minutes and reports no progress. Fit with solver='eigh' to "
                    "have fit decompose it and report progress."
                )
            )
        return training_spectrum(
            self._expansion(),
            self.X_fit_,
            n_rows=len(self._targets),
            what=f"{purpose} of an {type(self).__name__}",
            remedy="use fewer samples, float32 input, or a higher memory_limit",
            n_jobs=self.n_jobs,
            memory_limit=self.memory_limit,
            weighting=self._weighting,
        )


def _stops_at(solver: str, time: float) -> bool:
    """Whether a solver can stop at that time."""
    return solver == "auto" or SOLVERS[solver].finite_time or bool(np.isinf(time))
