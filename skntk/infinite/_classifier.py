"""An infinitely wide network as a scikit-learn classifier."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils.fit_progress import FitProgress
from .._utils.memory import available_bytes, check_memory
from .._utils.targets import encode_targets, one_hot_or_sign
from .._utils.validation import (
    check_boolean,
    check_integer,
    check_option,
    check_real,
    check_ridge,
    check_table,
)
from .._utils.warnings import warn_user
from ..kernels import NeuralTangentKernel
from ..solvers import (
    SOLVERS,
    Options,
    Solution,
    Spectrum,
    System,
    choose_solver,
    ill_conditioned,
    solve,
)
from ._expansion import AllOutputs, Expansion
from ._kernel_machine import KernelMachineMixin
from ._training_spectrum import training_spectrum

__all__ = ["NTKClassifier"]

#: Rows of a Gram matrix above which `at_time` warns that its decomposition takes minutes.
_LONG = 10_000


class NTKClassifier(KernelMachineMixin, CallbackSupportMixin, BaseEstimator):
    r"""Infinitely wide network trained by gradient flow, at any time, in closed form.

    .. math:: f_t(x) = \Theta(x, X) K^{-1} (I - e^{-Kt}) Y

    (Eq. 7, 16). Two classes are encoded as one output in {-1, +1}, more as one-hot
    outputs; predictions are sign and argmax.

    Parameters
    ----------
    kernel : str or NeuralTangentKernel, default="fc2"
        "fc1".."fc5", "conv1", "conv2" and "two_layer" name the paper's kernels. With
        "precomputed", Gram matrices take the place of inputs.
    time : float, default=inf
        Gradient-flow time: learning rate times number of steps, for the loss
        :math:`\frac12\sum (f - y)^2`. For a loss averaged over n samples, pass t/n.
    alpha : float, default=0.0
        Ridge added to the diagonal of the Gram matrix.
    solver : {"auto", "cholesky", "eigh", "cg"}, default="auto"
        "cholesky" solves for infinite time in n^3/3 operations, and falls back on "eigh" if
        the matrix is ill-conditioned. "eigh" costs 30 to 50 times as much and serves every
        time and ridge (see `at_time`). "cg" iterates conjugate residuals, a variant of
        conjugate gradients, with a randomly pivoted Cholesky preconditioner. It solves for
        infinite time in 2 n^2 k operations per iteration, and needs only products with the
        Gram matrix, which is stored if it fits in memory and otherwise computed again for
        each product. "auto" is "eigh" at a finite time. At infinite time it is "cholesky" up
        to 30,000 rows of the matrix and "cg" beyond; if memory allows only "cg" for fewer
        rows, it uses "cg" and warns.
    n_jobs : int, default=None
        Number of joblib workers that compute the Gram matrix.
    random_state : int, RandomState instance or None, default=None
        Determines the pivots of "cg"; the other solvers are deterministic.
    tol : float, default=None
        Relative residual at which "cg" stops. If None, the square root of the machine
        epsilon of the inputs.
    max_iter : int, default=1000
        Largest number of iterations of "cg".
    multi_output : bool, default=False
        Whether to use the kernel between all outputs, of shape (n k, n k), instead of its trace.
        Then :math:`A = \Theta(X, X)^{-1} Y` mixes outputs (Eq. 37-40). This needs an
        `EmpiricalNTK` with as many outputs as there are targets.
    memory_limit : float, default=None
        Bytes that n x n matrices may take. If None, all available memory. The limit is checked
        before anything is allocated.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    X_fit_ : ndarray of shape (n, d) or None
        Training inputs; None if the kernel is precomputed.
    dual_coef_ : ndarray of shape (n, k)
        Dual coefficients A_t; k = 1 for two classes.
    kernel_ : NeuralTangentKernel or None
        The kernel; None if it is precomputed.
    n_features_in_ : int
        Number of input features.
    solver_ : str
        Solver that computed `dual_coef_`.
    n_iter_ : int
        Number of iterations of "cg"; 1 for the direct solvers.

    See Also
    --------
    NTKAttack : Adversarial examples for a classifier.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skntk import NTKClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = NTKClassifier("fc1").fit(X[:500] / 16, y[:500])
    >>> clf.score(X[500:600] / 16, y[500:600]) > 0.9
    True
    >>> early = clf.at_time(0.1)
    >>> early.time
    0.1
    """

    def __init__(
        self,
        kernel: str | NeuralTangentKernel = "fc2",
        *,
        time: float = np.inf,
        alpha: float = 0.0,
        solver: str = "auto",
        n_jobs: int | None = None,
        random_state: Any = None,
        tol: float | None = None,
        max_iter: int = 1000,
        multi_output: bool = False,
        memory_limit: float | None = None,
    ) -> None:
        self.kernel = kernel
        self.time = time
        self.alpha = alpha
        self.solver = solver
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.tol = tol
        self.max_iter = max_iter
        self.multi_output = multi_output
        self.memory_limit = memory_limit

    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike) -> NTKClassifier:
        """Compute the dual coefficients.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Training inputs; with a precomputed kernel, the (n, n) Gram matrix.
        y : array-like of shape (n,)
            Labels of any type.

        Returns
        -------
        self : NTKClassifier

        Raises
        ------
        ValueError
            For invalid parameters, inputs that are not finite, or a single class.
        MemoryError
            If the Gram matrix would not fit in memory.
        """
        self._check_parameters()
        # A fit that fails must not leave the results of an earlier one.
        self.__dict__.pop("dual_coef_", None)
        check_table(X)
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C")
        check_ridge(self.alpha, X.dtype)
        self.classes_, indices = encode_targets(y)
        targets = one_hot_or_sign(indices, len(self.classes_), X.dtype)
        self._set_kernel(X)
        if self.multi_output:
            self._check_outputs(X, targets.shape[1])
            targets = targets.reshape(-1, 1)  # row index = sample * k + output, as in the matrix
        solution = self._solve(X, targets)
        self._targets, self._alpha, self._spectrum = targets, self.alpha, solution.spectrum
        self.solver_, self.n_iter_ = solution.solver, solution.n_iter
        self.dual_coef_ = solution.coefficients.reshape(len(X), -1)
        warn_user(solution.diagnosis)
        return self

    def at_time(self, time: float, *, alpha: float | None = None) -> NTKClassifier:
        """Return the same network at another gradient-flow time, or with another ridge.

        Parameters
        ----------
        time : float
            Gradient-flow time, 0 or more; may be infinite.
        alpha : float, default=None
            Ridge. If None, the ridge of the fit.

        Returns
        -------
        classifier : NTKClassifier
            A fitted copy that shares the training data and the eigendecomposition. If this
            classifier was fitted by "cholesky" or "cg", the first call for another time
            decomposes the Gram matrix. Eigenvalues below rounding error are left out.

        Raises
        ------
        ValueError
            If the kernel is precomputed and `fit` did not decompose it.
        MemoryError
            If the decomposition would not fit in memory.
        """
        check_is_fitted(self, "dual_coef_")
        check_real("time", time, low=0.0, allow_inf=True)
        alpha = self._alpha if alpha is None else check_ridge(alpha, self._targets.dtype)
        if self._spectrum is None and (time, alpha) == (self.time, self._alpha):
            return copy.copy(self)
        if self._spectrum is None:
            self._spectrum = self._decompose()
        if not self._spectrum.hides_rounding(time, alpha):
            warn_user(ill_conditioned(self._spectrum))
        other = copy.copy(self)
        other.time, other.alpha, other._alpha = time, alpha, alpha
        if not _stops_at(other.solver, time):
            other.solver = "eigh"
        other.solver_, other.n_iter_ = "eigh", 1
        coefficients = self._spectrum.coefficients(self._targets, time, alpha)
        other.dual_coef_ = coefficients.reshape(self.dual_coef_.shape)
        return other

    def _check_parameters(self) -> None:
        check_real("time", self.time, low=0.0, allow_inf=True)
        check_ridge(self.alpha)
        check_option("solver", self.solver, ("auto", *SOLVERS))
        check_integer("max_iter", self.max_iter, low=1)
        check_boolean("multi_output", self.multi_output)
        if self.tol is not None:
            check_real("tol", self.tol, low=0.0, strict=True)
        if self.memory_limit is not None:
            check_real("memory_limit", self.memory_limit, low=0.0)
        if not _stops_at(self.solver, self.time):
            raise ValueError(
                f"solver={self.solver!r} cannot stop at time={self.time!r}; use solver='eigh' or "
                "'auto', or time=np.inf."
            )

    def _expansion(self) -> Expansion:
        return AllOutputs(self.kernel_) if self.multi_output else super()._expansion()

    def _check_outputs(self, X: NDArray, n_targets: int) -> None:
        if not hasattr(self.kernel_, "full"):
            raise ValueError(
                f"multi_output=True needs a kernel between outputs, and kernel={self.kernel!r} has "
                "none; use EmpiricalNTK, or multi_output=False."
            )
        n_outputs = self.kernel_.count_outputs(X.shape[1], X.dtype)
        if n_outputs != n_targets:
            raise ValueError(
                f"The kernel's network has {n_outputs} outputs for {n_targets} targets; give it "
                f"{n_targets}, or use multi_output=False."
            )

    def _solve(self, X: NDArray, targets: NDArray) -> Solution:
        """Solve with the chosen solver; raise MemoryError before anything is computed."""
        expansion, n_rows = self._expansion(), len(targets)
        instead = ", or solver='cg'"

        def fits() -> bool:
            # 1.4 leaves room for blocks and the columns of a preconditioner.
            needed = 1.4 * n_rows**2 * X.itemsize
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

        name, warning = self.solver, None
        if name == "auto":
            name, warning = choose_solver(n_rows, self.time, fits=fits)
        solver = SOLVERS[name]
        check(solver.n_values(n_rows))
        progress = FitProgress(self, n_stages=2)
        if fits() or not solver.iterative:
            with progress.stage("gram", expansion.n_blocks(len(X))) as on_step:
                matrix: Any = expansion.gram(X, self.n_jobs, on_step)
        else:
            matrix = expansion.operator(X, self.n_jobs)  # type: ignore[attr-defined]
        with progress.stage("solve", self.max_iter if solver.iterative else 1) as on_step:
            options = Options(
                tol=self.tol,
                max_iter=self.max_iter,
                random_state=self.random_state,
                check_memory=check,
                on_step=on_step,
            )
            solution = solve(name, System(matrix, targets, self.alpha, self.time), options)
        progress.finish()
        warn_user(warning)
        return solution

    def _decompose(self) -> Spectrum:
        """Eigendecomposition, if the fit did not need it."""
        if self.kernel_ is None:
            raise ValueError(
                "at_time needs the eigendecomposition of the precomputed kernel, which "
                "solver='cholesky' and 'cg' do not compute; fit with solver='eigh'."
            )
        if len(self._targets) > _LONG:
            warn_user(
                UserWarning(
                    f"at_time now decomposes the Gram matrix of {len(self._targets):,} rows, once, "
                    "which takes minutes and reports no progress. Fit with solver='eigh' to have "
                    "fit decompose it and report progress."
                )
            )
        return training_spectrum(
            self._expansion(),
            self.X_fit_,
            n_rows=len(self._targets),
            what="at_time of an NTKClassifier",
            remedy="use fewer samples, float32 input, or a higher memory_limit",
            n_jobs=self.n_jobs,
            memory_limit=self.memory_limit,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = isinstance(self.kernel, str) and self.kernel == "precomputed"
        return tags


def _stops_at(solver: str, time: float) -> bool:
    """Whether a solver can stop at that time."""
    return solver == "auto" or SOLVERS[solver].finite_time or bool(np.isinf(time))
