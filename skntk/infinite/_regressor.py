"""An infinitely wide network as a scikit-learn regressor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.callback import with_callbacks

from .._utils.memory import check_memory
from .._utils.validation import check_boolean, check_ridge
from ..kernels import NeuralTangentKernel
from ._ensemble import ensemble_covariance, ensemble_variance, initial_covariance
from ._gradient_flow import GradientFlowMixin
from ._kernel_machine import KernelRegressorMixin

__all__ = ["NTKRegressor"]


class NTKRegressor(GradientFlowMixin, KernelRegressorMixin, BaseEstimator):
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
    NTKRegressorCV : Chooses its ridge and its time.

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

    The mean of the infinite ensemble, and how far its networks spread:

    >>> mean, std = network.predict(X[300:], return_std=True)
    >>> bool(0 < std.min() and std.max() < 2)
    True
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
        # A fit that fails must not leave the results of an earlier one.
        self.__dict__.pop("dual_coef_", None)
        self._check_parameters()
        X, targets, weights, kept = self._training_samples(X, y, sample_weight)
        check_ridge(self.alpha, X.dtype)
        self._train(X, targets.astype(X.dtype), weights, kept)
        return self

    def predict(self, X: ArrayLike, return_std: bool = False, return_cov: bool = False) -> Any:
        r"""Outputs :math:`f_t(x) = \Theta(x, X) A_t` (Eq. 16), and their spread over networks.

        They are the mean over networks of infinite width that differ in their initial weights and
        were trained to the same time. Before training such networks are a Gaussian process with the
        NNGP kernel :math:`\Sigma` as covariance; trained, with :math:`A_t = P Y` and
        :math:`B = \Theta(x, X) P`, they have the covariance [1]_

        .. math:: \Sigma(x, x') - B \Sigma(X, x') - \Sigma(x, X) B'^T + B \Sigma(X, X) B'^T.

        It does not depend on the targets, each of which has networks of its own, and it holds for
        every time, ridge and weights of samples. Noise of the targets is no part of it.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs; with a precomputed kernel, the (m, n) values Theta(x, X).
        return_std : bool, default=False
            Whether to return the standard deviation over networks.
        return_cov : bool, default=False
            Whether to return the covariance over networks. Both at once are refused.

        Returns
        -------
        outputs : ndarray of shape (m,) or (m, k)
            As many dimensions as the targets of the fit.
        std : ndarray of shape (m,) or (m, k)
            If `return_std`; the same for every target. 0 where rounding has made a variance
            negative.
        cov : ndarray of shape (m, m) or (m, m, k)
            If `return_cov`; the same for every target.

        Raises
        ------
        TypeError
            If a spread is asked for of a kernel that has no `nngp`.
        ValueError
            If a spread is asked for of a precomputed kernel, or both spreads are.
        MemoryError
            If a spread would not fit in memory. It needs the eigendecomposition of the Gram matrix,
            which the first call computes, as `at_time` does, unless "eigh" fitted the machine.

        References
        ----------
        .. [1] Lee, Xiao, Schoenholz, Bahri, Novak, Sohl-Dickstein and Pennington, "Wide Neural
           Networks of Any Depth Evolve as Linear Models Under Gradient Descent", NeurIPS 2019,
           Eq. 16.

        Examples
        --------
        >>> from skntk import NTKRegressor
        >>> network = NTKRegressor("fc2").fit([[0.0], [1.0]], [0.0, 1.0])
        >>> mean, std = network.predict([[1.0], [3.0]], return_std=True)
        >>> std.round(2)
        array([0.  , 0.29])
        """
        check_boolean("return_std", return_std)
        check_boolean("return_cov", return_cov)
        if return_std and return_cov:
            raise ValueError("return_std=True and return_cov=True; ask for one of them at a time.")
        if not (return_std or return_cov):
            return self._mean(X)
        rows = self._validate_inputs(X)
        covariance = initial_covariance(self.kernel_)
        check_memory(
            4 * len(rows) * max(len(rows) * return_cov, len(self.X_fit_)) * rows.itemsize,
            what="The spread of the ensemble",
            n=len(rows),
            remedy="predict fewer samples at a time",
        )
        outputs = self._mean(X)
        spread = ensemble_variance if return_std else ensemble_covariance
        B = self._weights_of_targets(rows)
        values = spread(covariance, rows, self.X_fit_, B, self.n_jobs)
        values = np.sqrt(values) if return_std else values
        return outputs, values if self._one_target else _of_each_target(values, outputs.shape[1])


def _of_each_target(values: NDArray, n_targets: int) -> NDArray:
    """Values with a last axis of that length, along which they are the same."""
    return np.repeat(values[..., None], n_targets, axis=-1)
