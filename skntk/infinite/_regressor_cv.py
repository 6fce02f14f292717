"""An infinitely wide network on real targets, its ridge and time chosen by leave-one-out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.callback import with_callbacks

from ..kernels import NeuralTangentKernel
from ._kernel_machine import KernelRegressorMixin
from ._leave_one_out import LeaveOneOut
from ._leave_one_out_search import LeaveOneOutSearchMixin

__all__ = ["NTKRegressorCV"]


class NTKRegressorCV(LeaveOneOutSearchMixin, KernelRegressorMixin, BaseEstimator):
    """`NTKRegressor` that chooses its ridge and its time by leave-one-out.

    One eigendecomposition serves every candidate, as in `sklearn.linear_model.RidgeCV`; the
    formula is that of `NTKClassifierCV`. As there, a sample is left out with all its weight, so a
    weight of 2 is not two equal samples, one of which would stay.

    Parameters
    ----------
    kernel : str or NeuralTangentKernel, default="fc2"
        As of `NTKRegressor`; "precomputed" takes Gram matrices in place of inputs.
    alphas : array-like of shape (n_alphas,), default=(1e-3, 1e-2, 1e-1, 1.0)
        Ridges to choose from.
    times : array-like of shape (n_times,), default=(inf,)
        Gradient-flow times to choose from.
    n_jobs : int, default=None
        Joblib workers that share the Gram matrix.

    Attributes
    ----------
    alpha_, time_ : float
        The candidate of largest score; the first of them if several are equal.
    best_score_ : float
        Its score: the negative mean squared error, over samples and targets, of the outputs for
        samples left out, in the squared unit of the targets.
    scores_ : ndarray of shape (n_alphas, n_times)
        That of every candidate.
    X_fit_ : ndarray of shape (n, d) or None
        Training inputs of positive weight; None if the kernel is precomputed.
    dual_coef_ : ndarray of shape (n, k)
        Dual coefficients at the choice, on all samples; as of `NTKRegressor`.
    kernel_ : NeuralTangentKernel or None
        The kernel; None if it is precomputed.
    n_features_in_ : int
        Number of input features.

    See Also
    --------
    NTKRegressor : With a given ridge and time.
    NTKClassifierCV : The same choice for labels, which can be made under attack.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skntk import NTKRegressorCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> X, y = StandardScaler().fit_transform(X), (y - y.mean()) / y.std()
    >>> network = NTKRegressorCV("fc1", alphas=[0.1, 10.0, 1000.0]).fit(X[:300], y[:300])
    >>> network.alpha_
    10.0
    >>> network.score(X[300:], y[300:]) > 0.4
    True
    """

    def __init__(
        self,
        kernel: str | NeuralTangentKernel = "fc2",
        *,
        alphas: ArrayLike = (1e-3, 1e-2, 1e-1, 1.0),
        times: ArrayLike = (np.inf,),
        n_jobs: int | None = None,
    ) -> None:
        self.kernel = kernel
        self.alphas = alphas
        self.times = times
        self.n_jobs = n_jobs

    @with_callbacks
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> NTKRegressorCV:
        """Score every candidate and fit the best one on all samples.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Training inputs; with a precomputed kernel, the (n, n) Gram matrix.
        y : array-like of shape (n,) or (n, k)
            Real targets, which share the choice.
        sample_weight : array-like of shape (n,), default=None
            Weights of the samples in the loss and in the scores, 0 or more. If None, all are 1.

        Returns
        -------
        self : NTKRegressorCV

        Raises
        ------
        TypeError
            For targets that are not numbers.
        ValueError
            For wrong parameters, inputs or targets that are not finite, or negative weights.
        MemoryError
            If the Gram matrix and its eigenvectors would not fit.
        """
        # A fit that fails must not leave the results of an earlier one.
        self.__dict__.pop("dual_coef_", None)
        candidates = self._candidates()
        X, targets, weights, kept = self._training_samples(X, y, sample_weight)

        def score(held_out: LeaveOneOut, time: float, alpha: float) -> float:
            errors = np.square(held_out.outputs(time, alpha) - targets).mean(axis=1)
            return -float(np.average(errors, weights=weights))

        self._choose(X, targets, weights, kept, candidates=candidates, score=score)
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
        return self._mean(X)
