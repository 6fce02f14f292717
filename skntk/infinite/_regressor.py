"""An infinitely wide network as a scikit-learn regressor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.callback import with_callbacks
from sklearn.utils.validation import validate_data

from .._utils.targets import real_targets
from .._utils.validation import check_ridge, check_table
from .._utils.weights import check_sample_weight
from ..kernels import NeuralTangentKernel
from ._gradient_flow import GradientFlowMixin

__all__ = ["NTKRegressor"]


class NTKRegressor(GradientFlowMixin, RegressorMixin, BaseEstimator):
    r"""Infinitely wide network trained on real targets by gradient flow, in closed form.

    .. math:: f_t(x) = \Theta(x, X) K^{-1} (I - e^{-Kt}) Y

    (Eq. 7, 16), with the targets as they are: they are not centred. At infinite time it is
    `sklearn.kernel_ridge.KernelRidge` with the neural tangent kernel. Weights of samples are as in
    `NTKClassifier`.

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
        As of `NTKClassifier`.
    n_jobs : int, default=None
        Number of joblib workers that compute the Gram matrix.
    random_state : int, RandomState instance or None, default=None
        Determines the pivots of "cg"; the other solvers are deterministic.
    tol : float, default=None
        Relative residual at which "cg" stops. If None, the square root of the machine
        epsilon of the inputs.
    max_iter : int, default=1000
        Largest number of iterations of "cg".
    memory_limit : float, default=None
        Bytes that n x n matrices may take. If None, all available memory. The limit is checked
        before anything is allocated.

    Attributes
    ----------
    X_fit_ : ndarray of shape (n, d) or None
        Training inputs of positive weight; None if the kernel is precomputed.
    dual_coef_ : ndarray of shape (n, k)
        Dual coefficients A_t, one column a target. With a precomputed kernel, they have a row of
        zeros for each sample of weight 0.
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
    NTKClassifier : The same network on encoded labels.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skntk import NTKRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> X, y = StandardScaler().fit_transform(X), (y - y.mean()) / y.std()
    >>> network = NTKRegressor("fc1", alpha=10.0).fit(X[:300], y[:300])
    >>> network.score(X[300:], y[300:]) > 0.4
    True
    >>> network.at_time(0.01).predict(X[:5]).shape
    (5,)
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
        self.memory_limit = memory_limit

    @with_callbacks
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> NTKRegressor:
        """Compute the dual coefficients.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Training inputs; with a precomputed kernel, the (n, n) Gram matrix.
        y : array-like of shape (n,) or (n, k)
            Real targets.
        sample_weight : array-like of shape (n,), default=None
            Weights w of the samples in the loss, 0 or more. If None, all are 1.

        Returns
        -------
        self : NTKRegressor

        Raises
        ------
        TypeError
            For targets that are not numbers.
        ValueError
            For invalid parameters, inputs, targets or weights that are not finite, or negative
            weights.
        MemoryError
            If the Gram matrix would not fit in memory.
        """
        self._check_parameters()
        # A fit that fails must not leave the results of an earlier one.
        self.__dict__.pop("dual_coef_", None)
        check_table(X)
        X, y = validate_data(
            self, X, y, dtype=[np.float64, np.float32], order="C", multi_output=True
        )
        check_ridge(self.alpha, X.dtype)
        targets = real_targets(y, X.dtype)
        self._one_target = y.ndim == 1
        self._train(X, targets, check_sample_weight(sample_weight, X))
        return self

    def predict(self, X: ArrayLike) -> NDArray:
        r"""Outputs :math:`f_t(x) = \Theta(x, X) A_t` (Eq. 16).

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs; with a precomputed kernel, the (m, n) values Theta(x, X).

        Returns
        -------
        outputs : ndarray of shape (m,) or (m, k)
            As many dimensions as the targets of the fit.
        """
        outputs = self._outputs(X)
        return outputs.ravel() if self._one_target else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
