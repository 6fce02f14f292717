"""The kernel's eigenvectors as features of the network (Sec. 4, App. D)."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils.fit_progress import FitProgress
from .._utils.targets import one_hot_or_sign
from .._utils.validation import (
    check_boolean,
    check_option,
    check_real,
    check_ridge,
    check_table,
)
from .._utils.warnings import warn_user
from .._utils.weights import check_class_weight, check_sample_weight, encode_weighted_targets
from ..infinite._training_spectrum import training_spectrum
from ..kernels import NeuralTangentKernel
from ..kernels._resolve import kernel_for
from ..solvers import Spectrum, Weighting, ill_conditioned
from ._components import check_n_components
from ._feature_gradients import FeatureGradientsMixin
from ._feature_scores import FeatureScoresMixin

__all__ = ["SpectralFeatureDecomposer"]


class SpectralFeatureDecomposer(
    FeatureScoresMixin, FeatureGradientsMixin, CallbackSupportMixin, TransformerMixin, BaseEstimator
):
    r"""Decomposition of an infinitely wide network into the features of its kernel.

    With eigenpairs :math:`(\lambda_i, v_i)` of the Gram matrix, the trained network is a
    sum of features (Eq. 9, 44)

    .. math::
        f^{(i)}(x) = \lambda_i^{-1} \Theta(x, X) v_i \, v_i^T Y, \qquad
        \sum_i f^{(i)} = f_\infty,

    each of which is a classifier with its own usefulness and robustness. With weights w of the
    samples and :math:`S = diag(\sqrt w)`, the eigenpairs are those of S K S, and

    .. math::
        f^{(i)}(x) = \lambda_i^{-1} \Theta(x, X) S v_i \, v_i^T S Y.

    At a finite training time t, or with a ridge, :math:`\phi_t(\lambda_i + \alpha)` takes the place
    of :math:`\lambda_i^{-1}`, and the features sum to the network at that time (Eq. 7): large
    eigenvalues are learned first.

    Their sum is the same for all positive weights if K has an inverse; the features are not. A
    whole number has the effect of so many equal samples, and 0 that of leaving a sample out, and
    with all its samples a class.

    Parameters
    ----------
    kernel : str or NeuralTangentKernel, default="fc2"
        "fc1".."fc5", "conv1", "conv2" and "two_layer" name the paper's kernels.
    n_components : int, default=None
        Number of features kept, largest eigenvalue first. If None, all whose eigenvalue exceeds
        rounding error, as in `sklearn.decomposition.KernelPCA`: as many as there are training
        samples, unless samples are repeated or nearly so. The others would put out 0.
    eigen_solver : {"auto", "dense", "arpack"}, default="auto"
        "dense" uses LAPACK; "arpack" uses Lanczos iteration, which takes a few matrix
        products per feature. "auto" chooses "arpack" for less than a tenth of the spectrum
        of at least 500 samples.
    n_jobs : int, default=None
        Number of joblib workers that compute the Gram matrix.
    random_state : int, RandomState instance or None, default=None
        Determines the starting vector of "arpack".
    class_weight : dict, "balanced" or None, default=None
        Factor of the weights of all samples of a class, by label. "balanced" gives all classes
        the same total weight, n / k.
    time : float, default=inf
        Gradient-flow time, as of `NTKClassifier`.
    alpha : float, default=0.0
        Ridge added to the eigenvalues.
    multi_output : bool, default=False
        Whether to decompose the kernel between all outputs, of shape (n k, n k), as of
        `NTKClassifier`. Up to n k features then mix the outputs (Eq. 37-40).

    Attributes
    ----------
    eigenvalues_ : ndarray of shape (p,)
        Eigenvalues, largest first; exactly 0 where they are below rounding error.
    eigenvectors_ : ndarray of shape (n, p), or (n k, p) with `multi_output`
        Eigenvectors in columns, with a row for each sample of positive weight, or for each sample
        and output; signs are arbitrary.
    feature_coef_ : ndarray of shape (p, k), or (p, 1) with `multi_output`
        :math:`\phi_t(\lambda_i + \alpha) v_i^T S Y`: what each feature adds to each output.
    dual_coef_ : ndarray of shape (n, k)
        Dual coefficients of the sum of all kept features.
    usefulness_, robustness_ : ndarray of shape (p,)
        Set by `score_features`; NaN for components that were not scored. `robustness_` is (p, E)
        if a list of E budgets was given.
    classes_, X_fit_, kernel_, n_features_in_
        As in `NTKClassifier`.

    See Also
    --------
    RobustFeatureSelector : Keeps the most robust features only.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skntk import SpectralFeatureDecomposer
    >>> X, y = load_digits(n_class=2, return_X_y=True)
    >>> X = X / 16
    >>> decomposer = SpectralFeatureDecomposer("fc1", n_components=5).fit(X[:200], y[:200])
    >>> decomposer.transform(X[200:300]).shape
    (100, 5)
    >>> scores = decomposer.score_features(X[200:300], y[200:300], eps=0.1)
    >>> bool(np.all(scores.robustness <= scores.usefulness))
    True
    """

    def __init__(
        self,
        kernel: str | NeuralTangentKernel = "fc2",
        *,
        n_components: int | None = None,
        eigen_solver: str = "auto",
        n_jobs: int | None = None,
        random_state: Any = None,
        class_weight: Any = None,
        time: float = np.inf,
        alpha: float = 0.0,
        multi_output: bool = False,
    ) -> None:
        self.kernel = kernel
        self.n_components = n_components
        self.eigen_solver = eigen_solver
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.class_weight = class_weight
        self.time = time
        self.alpha = alpha
        self.multi_output = multi_output

    @with_callbacks
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> SpectralFeatureDecomposer:
        """Decompose the Gram matrix of the training inputs.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Training inputs.
        y : array-like of shape (n,)
            Labels of any type.
        sample_weight : array-like of shape (n,), default=None
            Weights w of the samples, 0 or more. If None, all are 1.

        Returns
        -------
        self : SpectralFeatureDecomposer

        Raises
        ------
        ValueError
            For wrong parameters, inputs that are not finite, negative weights, or fewer than two
            classes with a positive weight.
        MemoryError
            If the Gram matrix would not fit into memory.
        """
        # An estimator whose fit fails must not appear fitted, nor keep the scores of old features.
        for name in ("dual_coef_", "usefulness_", "robustness_"):
            self.__dict__.pop(name, None)
        check_option("eigen_solver", self.eigen_solver, ("auto", "dense", "arpack"))
        check_class_weight(self.class_weight)
        check_real("time", self.time, low=0.0, allow_inf=True)
        check_boolean("multi_output", self.multi_output)
        check_table(X)
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C")
        check_ridge(self.alpha, X.dtype)
        weights = check_sample_weight(sample_weight, X)
        self.classes_, indices, weights, kept = encode_weighted_targets(
            y, self.class_weight, weights
        )
        self.kernel_ = kernel_for(clone(self.kernel, safe=False), X)
        self._check_outputs(X)
        # A copy: cached decompositions outlive the caller's array.
        self.X_fit_ = X.copy() if kept is None else X[kept]
        expansion = self._expansion()
        targets = expansion.rows(one_hot_or_sign(indices, len(self.classes_), X.dtype))
        check_n_components(self.n_components, len(targets))
        weighting = Weighting.from_weights(weights, X.dtype, len(targets) // len(self.X_fit_))
        progress = FitProgress(self, n_stages=2)
        spectrum = training_spectrum(
            expansion,
            self.X_fit_,
            self.n_components,
            n_rows=len(targets),
            what="Decomposing a Gram matrix",
            remedy="use fewer samples, float32 input, or n_components",
            n_jobs=self.n_jobs,
            progress=progress,
            weighting=weighting,
            solver=self.eigen_solver,
            random_state=self.random_state,
        )
        self._set_features(spectrum, weighting, targets)
        progress.finish()
        if not spectrum.hides_rounding(self.time, self.alpha):
            warn_user(ill_conditioned(spectrum))
        return self

    def _set_features(self, spectrum: Spectrum, weighting: Weighting, targets: NDArray) -> None:
        """Set the attributes of the features that are kept, the largest eigenvalues."""
        p = len(spectrum.eigenvalues)
        if self.n_components is None:
            # Of equal samples all features but one are lost, so that their number has no effect.
            p = max(1, int(spectrum.resolved.sum()))
        self.eigenvalues_ = np.where(spectrum.resolved, spectrum.eigenvalues, 0)[:p]
        self.eigenvectors_ = np.ascontiguousarray(spectrum.eigenvectors[:, :p])
        self._dual_vectors = weighting.vectors(self.eigenvectors_)
        phi = spectrum.filter(self.time, self.alpha)[:p, None]
        self.feature_coef_ = phi * (self._dual_vectors.T @ targets)
        self.dual_coef_ = self._sum_of_features(slice(None))

    def _sum_of_features(self, components: Any) -> NDArray:
        """Dual coefficients (n, k) of the sum of some features."""
        coefficients = self._dual_vectors[:, components] @ self.feature_coef_[components]
        return coefficients.reshape(len(self.X_fit_), -1)

    def feature_outputs(self, X: ArrayLike) -> NDArray:
        """Outputs of every kept feature (Eq. 9).

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.

        Returns
        -------
        outputs : ndarray of shape (m, p, k)
            k = 1 for two classes. Their sum over p is `decision_function`.
        """
        return self._feature_outputs(self._validate_inputs(X))

    def _feature_outputs(self, X: NDArray) -> NDArray:
        projections = self._expansion().project(X, self.X_fit_, self._dual_vectors)
        return projections * self.feature_coef_

    def transform(self, X: ArrayLike) -> NDArray:
        """Outputs of every kept feature as columns.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.

        Returns
        -------
        outputs : ndarray of shape (m, p) if binary, else (m, p * k)
            Feature-major: all classes of the first feature, then of the second.
        """
        outputs = self.feature_outputs(X)
        return outputs.reshape(len(outputs), -1)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray:
        """Names of the columns of `transform`.

        Parameters
        ----------
        input_features : ignored
            Every feature depends on all inputs.

        Returns
        -------
        names : ndarray of str
            "ntk0", "ntk1", ...; with the class appended, "ntk0_cat", if there are more
            than two.
        """
        check_is_fitted(self, "dual_coef_")
        names = [f"ntk{i}" for i in range(len(self.eigenvalues_))]
        if self.dual_coef_.shape[1] > 1:
            names = [f"{name}_{label}" for name in names for label in self.classes_]
        return np.asarray(names, dtype=object)

    def _with_features(self, kept: NDArray) -> SpectralFeatureDecomposer:
        """Return a copy with the features in a mask (p,) alone."""
        other = copy.copy(self)
        for name in ("eigenvalues_", "feature_coef_"):
            setattr(other, name, getattr(self, name)[kept])
        for name in ("eigenvectors_", "_dual_vectors"):
            setattr(other, name, getattr(self, name)[:, kept])
        return other

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # All features together fit every label and do not heed class weights, in which
        # scikit-learn's check of them sees a poor score. Its bounds are tested in
        # tests/features/test_feature_weights.py.
        tags.classifier_tags.poor_score = self.n_components is None
        return tags
