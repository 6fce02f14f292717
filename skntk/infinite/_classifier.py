"""An infinitely wide network as a scikit-learn classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.callback import with_callbacks
from sklearn.utils.validation import validate_data

from .._utils.targets import one_hot_or_sign
from .._utils.validation import check_boolean, check_ridge, check_table
from .._utils.weights import check_class_weight, check_sample_weight, encode_weighted_targets
from ..kernels import NeuralTangentKernel
from ._gradient_flow import GradientFlowMixin
from ._kernel_machine import KernelClassifierMixin

__all__ = ["NTKClassifier"]


class NTKClassifier(GradientFlowMixin, KernelClassifierMixin, BaseEstimator):
    r"""Infinitely wide network trained by gradient flow, at any time, in closed form.

    .. math:: f_t(x) = \Theta(x, X) K^{-1} (I - e^{-Kt}) Y

    (Eq. 7, 16). Two classes are encoded as one output in {-1, +1}, more as one-hot
    outputs; predictions are sign and argmax. With weights w, which minimise
    :math:`\frac12 \sum_i w_i (f(x_i) - y_i)^2`,

    .. math:: f_t(x) = \Theta(x, X) S \phi_t(S K S + \alpha I) S Y, \quad
        S = diag(\sqrt w), \quad \phi_t(\lambda) = (1 - e^{-\lambda t}) / \lambda.

    A whole number has the effect of so many equal samples, and 0 that of leaving a sample out, and
    with all its samples a class.
    Where the network fits every label, at infinite time and without a ridge, other weights have
    no effect.

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
        time and ridge (see `at_time`). "cg" needs only products with the Gram matrix, each of
        2 n^2 k operations, and stores the matrix if it fits in memory and otherwise computes
        it again for each product. At infinite time it iterates conjugate residuals, a variant
        of conjugate gradients, with a randomly pivoted Cholesky preconditioner; at a finite
        time it works in the Krylov space of the targets. "auto" is "cholesky" at infinite
        time, up to 30,000 rows of the matrix, and "eigh" at a finite time, up to 10,000;
        beyond, and with a warning where memory does not allow these, it is "cg".
    n_jobs : int, default=None
        Number of joblib workers that compute the Gram matrix.
    random_state : int, RandomState instance or None, default=None
        Determines the pivots of "cg"; the other solvers are deterministic.
    tol : float, default=None
        Relative residual at which "cg" stops. If None, the square root of the machine
        epsilon of the inputs.
    max_iter : int, default=1000
        Largest number of products of "cg".
    multi_output : bool, default=False
        Whether to use the kernel between all outputs, of shape (n k, n k), instead of its trace.
        Then :math:`A = \Theta(X, X)^{-1} Y` mixes outputs (Eq. 37-40). This needs an
        `EmpiricalNTK` with as many outputs as there are targets.
    class_weight : dict, "balanced" or None, default=None
        Factor of the weights of all samples of a class, by label. "balanced" gives all classes
        the same total weight, n / k.
    memory_limit : float, default=None
        Bytes that n x n matrices may take. If None, all available memory. The limit is checked
        before anything is allocated.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels that have a sample of positive weight.
    X_fit_ : ndarray of shape (n, d) or None
        Training inputs of positive weight; None if the kernel is precomputed.
    dual_coef_ : ndarray of shape (n, k)
        Dual coefficients A_t; k = 1 for two classes. With a precomputed kernel, they have a row
        of zeros for each sample of weight 0.
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
        class_weight: Any = None,
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
        self.class_weight = class_weight
        self.memory_limit = memory_limit

    @with_callbacks
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> NTKClassifier:
        """Compute the dual coefficients.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Training inputs; with a precomputed kernel, the (n, n) Gram matrix.
        y : array-like of shape (n,)
            Labels of any type.
        sample_weight : array-like of shape (n,), default=None
            Weights w of the samples in the loss, 0 or more. If None, all are 1.

        Returns
        -------
        self : NTKClassifier

        Raises
        ------
        ValueError
            For invalid parameters, inputs that are not finite, negative weights, or fewer than
            two classes with a positive weight.
        MemoryError
            If the Gram matrix would not fit in memory.
        """
        # A fit that fails must not leave the results of an earlier one.
        self.__dict__.pop("dual_coef_", None)
        self._check_parameters()
        check_table(X)
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C")
        check_ridge(self.alpha, X.dtype)
        weights = check_sample_weight(sample_weight, X)
        labels = encode_weighted_targets(y, self.class_weight, weights)
        self.classes_ = labels.classes
        targets = one_hot_or_sign(labels.indices, len(labels.classes), X.dtype)
        self._train(X, targets, labels.weights, labels.kept)
        return self

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_boolean("multi_output", self.multi_output)
        check_class_weight(self.class_weight)

    def _set_kernel(self, X: NDArray, kept: NDArray | None = None) -> NDArray:
        X = super()._set_kernel(X, kept)
        self._check_outputs(X)
        return X

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # A network that fits every label does not heed class weights, in which scikit-learn's check
        # of them sees a poor score. Its accuracy is tested in tests/infinite/test_sample_weight.py.
        interpolates = np.array_equal(self.alpha, 0) and np.array_equal(self.time, np.inf)
        tags.classifier_tags.poor_score = interpolates
        return tags
