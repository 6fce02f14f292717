"""The ridge and the time of an infinitely wide network, chosen by leaving one sample out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.callback import with_callbacks
from sklearn.utils.validation import validate_data

from .._utils.showing import shown
from .._utils.targets import classify, one_hot_or_sign
from .._utils.validation import check_table
from .._utils.weights import check_class_weight, check_sample_weight, encode_weighted_targets
from ..kernels import NeuralTangentKernel
from ._kernel_machine import KernelClassifierMixin
from ._leave_one_out import LeaveOneOut, LeaveOneOutMachine
from ._leave_one_out_search import LeaveOneOutSearchMixin

__all__ = ["NTKClassifierCV"]


class NTKClassifierCV(LeaveOneOutSearchMixin, KernelClassifierMixin, BaseEstimator):
    r"""`NTKClassifier` that chooses its ridge and its time by leave-one-out.

    One eigendecomposition serves every candidate, as in `sklearn.linear_model.RidgeCV`: the
    output for sample i of the machine trained without it is

    .. math:: f^{(-i)}(x_i) = f(x_i) - (K C)_{ii} A_i / C_{ii},
        \quad A = C Y, \quad C = \phi_t(K + \alpha I).

    or its limit where :math:`K + \alpha I` has no inverse. At a finite time, :math:`\phi_t` is a
    sum of such resolvents, and the result is just as exact (`skntk.infinite._leave_one_out`).

    As in `RidgeCV`, a sample is left out with all its weight, and the scores are weighted means.
    So a weight of 2 is not quite two equal samples here, one of which would stay when the other is
    left out.

    Parameters
    ----------
    kernel : str or NeuralTangentKernel, default="fc2"
        As of `NTKClassifier`; "precomputed" takes Gram matrices in place of inputs.
    alphas : array-like of shape (n_alphas,), default=(1e-3, 1e-2, 1e-1, 1.0)
        Ridges to choose from.
    times : array-like of shape (n_times,), default=(inf,)
        Gradient-flow times to choose from.
    attack : NTKAttack, default=None
        Without an estimator of its own. None scores by accuracy; with an attack, by robust
        accuracy: every sample is attacked at the machine trained without it.
    n_jobs : int, default=None
        Joblib workers that share the Gram matrix.
    class_weight : dict, "balanced" or None, default=None
        As of `NTKClassifier`. "balanced" counts all samples, the one left out included.

    Attributes
    ----------
    alpha_, time_ : float
        The candidate of largest score; the first of them if several are equal.
    best_score_ : float
        Its leave-one-out accuracy, clean or robust.
    scores_ : ndarray of shape (n_alphas, n_times)
        That of every candidate.
    classes_ : ndarray of shape (n_classes,)
        Class labels that have a sample of positive weight.
    X_fit_ : ndarray of shape (n, d) or None
        Training inputs of positive weight; None if the kernel is precomputed.
    dual_coef_ : ndarray of shape (n, k)
        Dual coefficients at the choice, on all samples; as of `NTKClassifier`.
    kernel_ : NeuralTangentKernel or None
        The kernel; None if it is precomputed.
    n_features_in_ : int
        Number of input features.

    See Also
    --------
    NTKClassifier : With a given ridge and time.
    NTKRegressorCV : The same choice for real targets.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skntk import NTKClassifierCV
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = NTKClassifierCV("fc1", alphas=[1e-2, 1.0, 1e3]).fit(X[:200] / 16, y[:200])
    >>> clf.alpha_ < 1e3
    True
    >>> clf.scores_.shape
    (3, 1)
    """

    def __init__(
        self,
        kernel: str | NeuralTangentKernel = "fc2",
        *,
        alphas: ArrayLike = (1e-3, 1e-2, 1e-1, 1.0),
        times: ArrayLike = (np.inf,),
        attack: Any = None,
        n_jobs: int | None = None,
        class_weight: Any = None,
    ) -> None:
        self.kernel = kernel
        self.alphas = alphas
        self.times = times
        self.attack = attack
        self.n_jobs = n_jobs
        self.class_weight = class_weight

    @with_callbacks
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> NTKClassifierCV:
        """Score every candidate and fit the best one on all samples.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Training inputs; with a precomputed kernel, the (n, n) Gram matrix.
        y : array-like of shape (n,)
            Labels of any type.
        sample_weight : array-like of shape (n,), default=None
            Weights of the samples in the loss and in the scores, 0 or more. If None, all are 1.

        Returns
        -------
        self : NTKClassifierCV

        Raises
        ------
        ValueError
            For wrong parameters, inputs that are not finite, negative weights, or fewer than two
            classes with a positive weight.
        MemoryError
            If the Gram matrix and its eigenvectors would not fit.
        """
        # A fit that fails must not leave the results of an earlier one.
        self.__dict__.pop("dual_coef_", None)
        candidates = self._candidates()
        self._check_attack()
        check_class_weight(self.class_weight)
        check_table(X)
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C")
        weights = check_sample_weight(sample_weight, X)
        labels = encode_weighted_targets(y, self.class_weight, weights)
        self.classes_, indices, weights, kept = labels
        targets = one_hot_or_sign(indices, len(self.classes_), np.dtype(np.float64))

        def score(held_out: LeaveOneOut, time: float, alpha: float) -> float:
            if self.attack is None:
                right = classify(held_out.outputs(time, alpha)) == indices
            else:
                right = self._withstood(held_out, indices, time, alpha)
            return float(np.average(right, weights=weights))

        self._choose(
            *(X, targets, weights, kept),
            candidates=candidates,
            score=score,
            # Those of the path, and under attack four for each output of the machines, and a copy.
            n_matrices=3 if self.attack is None else 7 + 5 * targets.shape[1],
        )
        return self

    def _check_attack(self) -> None:
        if self.attack is None:
            return
        if isinstance(self.attack, type) or not hasattr(self.attack, "run"):
            raise TypeError(
                f"attack={shown(self.attack)} is not an attack; give NTKAttack(None, ...)."
            )
        if self.attack.estimator is not None:
            raise ValueError(
                "attack has an estimator of its own; give NTKAttack(None, ...), which is made on "
                "each machine in turn."
            )
        if self.attack.targeted:
            raise ValueError(
                "attack has targeted=True, which would move samples toward their own labels; "
                "pass one with targeted=False."
            )
        if isinstance(self.kernel, str) and self.kernel == "precomputed":
            raise ValueError(
                "kernel='precomputed' has no input to attack; pass a kernel of skntk.kernels, or "
                "attack=None."
            )

    def _withstood(
        self, held_out: LeaveOneOut, indices: NDArray, time: float, alpha: float
    ) -> NDArray:
        """Which samples (n,) the attack left right, each at the machine without it."""
        coefficients = held_out.coefficients(time, alpha).astype(self.X_fit_.dtype)
        labels, n = self.classes_[indices], len(indices)
        # The machine knows samples by their place in the batch, and these methods keep it. Others
        # go on with some of the samples only, and get one sample at a time.
        together = self.attack.method in ("fgsm", "pgd")
        right = np.empty(n, bool)
        for part in [slice(0, n)] if together else [slice(i, i + 1) for i in range(n)]:
            machine = LeaveOneOutMachine(
                self.kernel_, self.X_fit_, coefficients[part], self.classes_
            )
            attack = clone(self.attack).set_params(estimator=machine, batch_size=n, n_jobs=None)
            right[part] = ~attack.run(self.X_fit_[part], labels[part]).success[0]
        return right
