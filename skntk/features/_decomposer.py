"""The kernel's eigenvectors as features of the network (Sec. 4, App. D)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import Bunch, check_consistent_length
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils.fit_progress import FitProgress
from .._utils.memory import check_memory
from .._utils.targets import encode_targets, label_indices, one_hot_or_sign
from .._utils.validation import check_array_or_real, check_norm, check_option, check_table
from .._utils.warnings import warn_user
from ..attacks._box import check_clip_values
from ..infinite._expansion import Pairs
from ..infinite._kernel_machine import KernelClassifierMixin
from ..infinite._training_spectrum import training_spectrum
from ..kernels import NeuralTangentKernel
from ..kernels._gram import row_blocks
from ..kernels._resolve import kernel_for
from ..solvers import ill_conditioned
from ._components import check_components, check_n_components
from ._machine_scores import cross_entropy_gradient, gradient_shares, score_machines

__all__ = ["SpectralFeatureDecomposer"]


class SpectralFeatureDecomposer(
    KernelClassifierMixin, CallbackSupportMixin, TransformerMixin, BaseEstimator
):
    r"""Decomposition of an infinitely wide network into the features of its kernel.

    With eigenpairs :math:`(\lambda_i, v_i)` of the Gram matrix, the trained network is a
    sum of features (Eq. 9, 44)

    .. math::
        f^{(i)}(x) = \lambda_i^{-1} \Theta(x, X) v_i \, v_i^T Y, \qquad
        \sum_i f^{(i)} = f_\infty,

    each of which is a classifier with its own usefulness and robustness.

    Parameters
    ----------
    kernel : str or NeuralTangentKernel, default="fc2"
        "fc1".."fc5", "conv1", "conv2" and "two_layer" name the paper's kernels.
    n_components : int, default=None
        Number of features kept, largest eigenvalue first. If None, all n are kept.
    eigen_solver : {"auto", "dense", "arpack"}, default="auto"
        "dense" uses LAPACK; "arpack" uses Lanczos iteration, which takes a few matrix
        products per feature. "auto" chooses "arpack" for less than a tenth of the spectrum
        of at least 500 samples.
    n_jobs : int, default=None
        Number of joblib workers that compute the Gram matrix.
    random_state : int, RandomState instance or None, default=None
        Determines the starting vector of "arpack".

    Attributes
    ----------
    eigenvalues_ : ndarray of shape (p,)
        Eigenvalues, largest first; exactly 0 where they are below rounding error.
    eigenvectors_ : ndarray of shape (n, p)
        Eigenvectors in columns; signs are arbitrary.
    feature_coef_ : ndarray of shape (p, k)
        :math:`\lambda_i^{-1} v_i^T Y`: what each feature adds to each output.
    dual_coef_ : ndarray of shape (n, k)
        Dual coefficients of the sum of all kept features.
    usefulness_, robustness_ : ndarray of shape (p,)
        Set by `score_features`; NaN for components that were not scored.
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
    ) -> None:
        self.kernel = kernel
        self.n_components = n_components
        self.eigen_solver = eigen_solver
        self.n_jobs = n_jobs
        self.random_state = random_state

    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike) -> SpectralFeatureDecomposer:
        """Decompose the Gram matrix of the training inputs.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Training inputs.
        y : array-like of shape (n,)
            Labels of any type.

        Returns
        -------
        self : SpectralFeatureDecomposer

        Raises
        ------
        ValueError
            For wrong parameters, inputs that are not finite, or a single class.
        MemoryError
            If the Gram matrix would not fit into memory.
        """
        # An estimator whose fit fails must not appear fitted, nor keep the scores of old features.
        for name in ("dual_coef_", "usefulness_", "robustness_"):
            self.__dict__.pop(name, None)
        check_option("eigen_solver", self.eigen_solver, ("auto", "dense", "arpack"))
        check_table(X)
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C")
        check_n_components(self.n_components, len(X))
        self.classes_, indices = encode_targets(y)
        self.kernel_ = kernel_for(clone(self.kernel, safe=False), X)
        self.X_fit_ = X.copy()  # cached decompositions outlive the caller's array
        progress = FitProgress(self, n_stages=2)
        spectrum = training_spectrum(
            self._expansion(),
            self.X_fit_,
            self.n_components,
            what="Decomposing a Gram matrix",
            remedy="use fewer samples, float32 input, or n_components",
            n_jobs=self.n_jobs,
            progress=progress,
            solver=self.eigen_solver,
            random_state=self.random_state,
        )
        spectrum.check_definite(np.inf, 0.0, has_ridge=False)
        self.eigenvalues_ = np.where(spectrum.resolved, spectrum.eigenvalues, 0)
        self.eigenvectors_ = spectrum.eigenvectors
        targets = one_hot_or_sign(indices, len(self.classes_), X.dtype)
        inverse = spectrum.filter(np.inf, 0.0)
        self.feature_coef_ = inverse[:, None] * (self.eigenvectors_.T @ targets)
        self.dual_coef_ = self.eigenvectors_ @ self.feature_coef_
        progress.finish()
        warn_user(ill_conditioned(spectrum, has_ridge=False))
        return self

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
        projections = [
            self.kernel_(X[rows], self.X_fit_) @ self.eigenvectors_
            for rows in row_blocks(len(X), len(self.X_fit_), X.itemsize)
        ]
        return np.concatenate(projections)[:, :, None] * self.feature_coef_

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

    def transform_vjp(self, X: ArrayLike, cotangents: ArrayLike) -> NDArray:
        r"""Gradient of the columns of `transform`, weighted by cotangents.

        It lets an attack differentiate a pipeline in which this transformer is an earlier step.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.
        cotangents : array-like of shape (m, p) or (m, p * k)
            Weights, shaped like ``transform(X)``.

        Returns
        -------
        gradient : ndarray of shape (m, d)
        """
        X = self._validate_inputs(X)
        shape = (len(X), *self.feature_coef_.shape)
        c = np.asarray(cotangents, X.dtype)
        if c.size != np.prod(shape) or len(c) != len(X):
            raise ValueError(
                f"cotangents have shape {c.shape}; give one weight for each of the "
                f"{np.prod(shape[1:])} columns of transform, for {len(X)} samples."
            )
        weights = np.einsum("mpk,pk->mp", c.reshape(shape), self.feature_coef_)
        duals = self.eigenvectors_.astype(X.dtype, copy=False)
        return Pairs(self.kernel_).input_vjp(X, self.X_fit_, duals, weights)

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
        if self.feature_coef_.shape[1] > 1:
            names = [f"{name}_{label}" for name in names for label in self.classes_]
        return np.asarray(names, dtype=object)

    def feature_gradients(
        self, X: ArrayLike, components: ArrayLike | None = None, output: Any = None
    ) -> NDArray:
        r"""Gradient of features with respect to the input, to be viewed as images (Fig. 2, 4).

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.
        components : array-like of int, default=None
            Indices of features. If None, all kept features.
        output : label, default=None
            Class whose output is differentiated. If None, each feature's largest output.
            All outputs of a feature have the same gradient up to a factor, and two classes
            share one output.

        Returns
        -------
        gradients : ndarray of shape (m, p, d)
        """
        X = self._validate_inputs(X)
        chosen = check_components(components, len(self.eigenvalues_))
        coefficients = self.feature_coef_[chosen]
        columns = np.abs(coefficients).argmax(axis=1)
        if output is not None:
            # Two classes share a column.
            columns[:] = label_indices([output], self.classes_)[0] % coefficients.shape[1]
        scale = np.take_along_axis(coefficients, columns[:, None], axis=1)[:, 0]
        weights = np.broadcast_to(scale, (len(X), len(chosen)))
        return self._weighted_gradients(X, chosen, weights)

    def decompose_gradient(self, X: ArrayLike, y: ArrayLike) -> Bunch:
        r"""Loss gradient as a sum over features (Eq. 10, 45, 46).

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.
        y : array-like of shape (m,)
            True labels.

        Returns
        -------
        decomposition : Bunch
            ``parts`` (m, p, d), the contribution of each feature i,
            :math:`\sum_r (\sigma(f_\infty) - \hat y)_r \nabla f^{(i)}_r`; ``total`` (m, d), their
            sum, the gradient of the cross-entropy of all kept features; ``gradients`` (m, p, d),
            of each feature's own cross-entropy; and ``alpha`` (m, p), the :math:`\alpha_i` of
            Eq. 46: a part is alpha times a gradient. With more than two classes, alpha is 0 for a
            feature whose own gradient vanishes.
        """
        X = self._validate_inputs(X)
        labels = label_indices(y, self.classes_)
        check_consistent_length(X, labels)
        gram, pullback = self.kernel_.linearize(X, self.X_fit_)
        residual = cross_entropy_gradient(gram @ self.dual_coef_, labels)
        weights, own, alpha = gradient_shares(
            residual, gram @ self.eigenvectors_, self.feature_coef_, labels
        )
        parts = self._weighted_gradients(X, slice(None), np.ones_like(weights), n_arrays=2)
        gradients = parts * own[:, :, None]
        parts *= weights[:, :, None]
        total = pullback(residual @ self.dual_coef_.T)
        return Bunch(parts=parts, total=total, alpha=alpha.astype(X.dtype), gradients=gradients)

    def score_features(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        eps: Any,
        norm: float = np.inf,
        clip_values: Any = (0.0, 1.0),
        components: ArrayLike | None = None,
    ) -> Bunch:
        """Usefulness and robustness of each feature as a classifier (Eq. 3, 4, 14, 15).

        Parameters
        ----------
        X : array-like of shape (m, d)
            Held-out inputs, inside `clip_values`.
        y : array-like of shape (m,)
            True labels.
        eps : float or array-like of shape (d,)
            Radius of the ball; an array gives the half-axis along each input.
        norm : {inf, 2}, default=inf
            Norm of the ball.
        clip_values : tuple or None, default=(0.0, 1.0)
            Lowest and highest value of an input. If None, values are not clipped.
        components : array-like of int, default=None
            Indices of features. If None, all kept features.

        Returns
        -------
        scores : Bunch
            ``usefulness``: accuracy; ``robustness``: accuracy on FGSM examples made from
            the feature itself with the true labels. One value per component, also stored in
            `usefulness_` and `robustness_`.
        """
        X = self._validate_inputs(X)
        eps = check_array_or_real("eps", eps, X.shape[1], low=0.0)
        norm = check_norm(norm)
        labels = label_indices(y, self.classes_)
        check_consistent_length(X, labels)
        chosen = check_components(components, len(self.eigenvalues_))
        clean, robust = score_machines(
            self.kernel_,
            self.X_fit_,
            len(chosen),
            lambda machines: self._feature_duals(chosen[machines]),
            X,
            labels,
            eps=eps,
            norm=norm,
            box=check_clip_values(clip_values, X),
        )
        self.usefulness_ = np.full(len(self.eigenvalues_), np.nan)
        self.robustness_ = self.usefulness_.copy()
        self.usefulness_[chosen], self.robustness_[chosen] = clean, robust
        return Bunch(usefulness=clean, robustness=robust)

    def _feature_duals(self, components: NDArray) -> NDArray:
        """Dual coefficients (p, n, k) of single features."""
        vectors = self.eigenvectors_[:, components].T
        return vectors[:, :, None] * self.feature_coef_[components][:, None, :]

    def _weighted_gradients(
        self, X: NDArray, components: Any, weights: NDArray, *, n_arrays: int = 1
    ) -> NDArray:
        """Gradients (m, p, d) of Theta(x, X) v_i, times weights (m, p).

        `n_arrays` of their size must fit into memory.
        """
        (n, d), p = self.X_fit_.shape, weights.shape[1]
        check_memory(
            n_arrays * len(X) * p * d * X.itemsize,
            what=f"Gradients of {p} features",
            n=len(X),
            remedy="choose components, or pass fewer samples at a time",
        )
        gradients = np.empty((len(X), p, d), X.dtype)
        vectors = self.eigenvectors_[:, components].astype(X.dtype, copy=False)
        for rows in row_blocks(len(X), n * p, X.itemsize):
            _, pullback = self.kernel_.linearize(X[rows], self.X_fit_)
            block = weights[rows].T[:, :, None] * vectors.T[:, None, :]
            gradients[rows] = pullback(block).transpose(1, 0, 2)
        return gradients
