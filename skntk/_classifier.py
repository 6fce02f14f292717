"""An infinitely wide network as a scikit-learn classifier."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from ._gram import gram_matrix
from ._kernel_machine import KernelMachineMixin
from ._memory import check_memory
from ._targets import encode_targets, one_hot_or_sign
from ._validation import check_option, check_real
from .kernels import resolve_kernel
from .solvers import Spectrum, eigendecompose, solve_cholesky, warn_ill_conditioned

__all__ = ["NTKClassifier"]

_SOLVERS = ("auto", "cholesky", "eigh")


class NTKClassifier(KernelMachineMixin, BaseEstimator):
    r"""Infinitely wide network trained by gradient flow, at any time, in closed form.

    .. math:: f_t(x) = \Theta(x, X) K^{-1} (I - e^{-Kt}) Y

    (Eq. 7, 16). Two classes are encoded as one output in {-1, +1}, more as one-hot
    outputs; predictions are sign and argmax.

    Parameters
    ----------
    kernel : str or NeuralTangentKernel, default="fc2"
        "fc1".."fc5" and "two_layer" name the paper's kernels; "precomputed" takes Gram
        matrices in place of inputs.
    time : float, default=inf
        Gradient-flow time: learning rate times number of steps, for the loss
        :math:`\frac12\sum (f - y)^2`. For a loss averaged over n samples, pass t/n.
    alpha : float, default=0.0
        Ridge added to the diagonal of the Gram matrix.
    solver : {"auto", "cholesky", "eigh"}, default="auto"
        "cholesky" solves for infinite time in n^3/3 operations; "eigh" costs 30 to 50
        times as much and serves every time and ridge (see `at_time`). "auto" is
        "cholesky" at infinite time and "eigh" at a finite one. An ill-conditioned
        Gram matrix is always decomposed.
    n_jobs : int, default=None
        Joblib workers that share the Gram matrix.
    random_state : int, RandomState instance or None, default=None
        Kept for randomised solvers; the present ones are deterministic.

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

    See Also
    --------
    NTKAttack : Adversarial examples for it.

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
        kernel="fc2",
        *,
        time=np.inf,
        alpha=0.0,
        solver="auto",
        n_jobs=None,
        random_state=None,
    ):
        self.kernel = kernel
        self.time = time
        self.alpha = alpha
        self.solver = solver
        self.n_jobs = n_jobs
        self.random_state = random_state

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
            For wrong parameters, inputs that are not finite, or a single class.
        MemoryError
            If the Gram matrix would not fit.
        """
        solver = self._check_parameters()
        # A fit that fails must not leave the answers of an earlier one.
        self.__dict__.pop("dual_coef_", None)
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C")
        self.classes_, indices = encode_targets(y)
        targets = one_hot_or_sign(indices, len(self.classes_), X.dtype)
        gram = self._gram(X)
        self._spectrum: Spectrum | None = None
        self._targets = targets
        self._alpha = self.alpha
        coefficients = None
        if solver == "cholesky":
            # The caller's own Gram matrix must survive the fit.
            overwrite = self.kernel_ is not None
            coefficients = solve_cholesky(gram, targets, self.alpha, overwrite=overwrite)
        if coefficients is None:
            if solver == "cholesky":
                _check_memory(2, X)  # beyond the Gram matrix, which is there
            self._spectrum = eigendecompose(gram, overwrite=self.kernel_ is not None)
            if not self._spectrum.resolves(self.time, self.alpha):
                warn_ill_conditioned(self._spectrum)
            coefficients = self._spectrum.coefficients(targets, self.time, self.alpha)
        self.dual_coef_ = coefficients
        return self

    def at_time(self, time: float) -> NTKClassifier:
        """Return the same network at another gradient-flow time.

        Parameters
        ----------
        time : float
            Gradient-flow time, 0 or more; may be infinite.

        Returns
        -------
        classifier : NTKClassifier
            A fitted copy that shares the training data and the eigendecomposition. If
            this one was fitted by Cholesky, the first call decomposes the Gram matrix.
        """
        check_is_fitted(self, "dual_coef_")
        check_real("time", time, low=0.0, allow_inf=True)
        if self._spectrum is None:
            self._spectrum = self._decompose_again()
        other = copy.copy(self)
        other.time = time
        if other.solver == "cholesky" and not np.isinf(time):
            other.solver = "eigh"
        other.dual_coef_ = self._spectrum.coefficients(self._targets, time, self._alpha)
        return other

    def _check_parameters(self) -> str:
        check_real("time", self.time, low=0.0, allow_inf=True)
        check_real("alpha", self.alpha, low=0.0)
        check_option("solver", self.solver, _SOLVERS)
        if self.solver == "cholesky" and not np.isinf(self.time):
            raise ValueError(
                f"solver='cholesky' cannot stop at time={self.time!r}; use solver='eigh' or "
                "'auto', or time=np.inf."
            )
        if self.solver == "auto":
            return "cholesky" if np.isinf(self.time) else "eigh"
        return self.solver

    def _gram(self, X: NDArray) -> NDArray:
        n = len(X)
        if isinstance(self.kernel, str) and self.kernel == "precomputed":
            self.kernel_, self.X_fit_ = None, None
            if X.shape != (n, n):
                raise ValueError(
                    f"Precomputed kernel must be a square matrix. Input is a "
                    f"{X.shape[0]}x{X.shape[1]} matrix."
                )
            return (X + X.T) / 2
        self.kernel_ = resolve_kernel(clone(self.kernel, safe=False), X.shape[1])
        self.X_fit_ = X
        _check_memory(1 if self.solver != "eigh" and np.isinf(self.time) else 3, X)
        return gram_matrix(self.kernel_, X, self.n_jobs)

    def _decompose_again(self) -> Spectrum:
        if self.kernel_ is None:
            raise ValueError(
                "at_time needs the eigendecomposition, which solver='cholesky' does not make "
                "of a precomputed kernel; fit with solver='eigh'."
            )
        return eigendecompose(gram_matrix(self.kernel_, self.X_fit_, self.n_jobs), overwrite=True)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = isinstance(self.kernel, str) and self.kernel == "precomputed"
        return tags


def _check_memory(n_matrices: int, X: NDArray) -> None:
    n = len(X)
    check_memory(
        n_matrices * n * n * X.itemsize,
        what="Fitting an NTKClassifier",
        n=n,
        remedy="use fewer samples, float32 input, or solver='cholesky' with an alpha",
    )
