"""Selector and classifier that keeps the robust features of a network (App. D.3)."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.feature_selection import SelectorMixin
from sklearn.frozen import FrozenEstimator
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils.fit_progress import FitProgress
from .._utils.showing import shown
from .._utils.validation import (
    check_array_or_real,
    check_norm,
    check_option,
    check_real,
    check_table,
)
from .._utils.weights import check_class_weight, check_sample_weight, encode_weighted_targets
from ..attacks._box import check_clip_values
from ..infinite._expansion import Expansion
from ..infinite._kernel_machine import KernelClassifierMixin
from ._decomposer import SpectralFeatureDecomposer
from ._folds import cross_validation_parts, decompose_folds, score_prefit
from ._held_out import HeldOut, Samples, dual_coef, split_classes, validation_curve
from ._ranking import CRITERIA, check_n_features, count_features, rank_features

__all__ = ["RobustFeatureSelector"]


class RobustFeatureSelector(
    KernelClassifierMixin, CallbackSupportMixin, SelectorMixin, BaseEstimator
):
    r"""Kernel machine restricted to the best-ranked features of another (App. D.3).

    Features are ranked on held-out samples, and the r best are kept with their eigenvalues:
    :math:`f'_r = \sum_{i\ \text{kept}} f^{(i)}`. The selector is a classifier with that output,
    and a transformer that returns the outputs of the kept features.

    Weights of samples enter the decomposition, as in `SpectralFeatureDecomposer`, and all scores,
    which are weighted accuracies. A sample is held out with all its weight, and one of weight 0 is
    left out of both sides. So whole numbers have the effect of equal samples if these stay on one
    side, as in a `cv` of given indices, which refer to all samples.

    Parameters
    ----------
    decomposer : SpectralFeatureDecomposer, default=None
        Decomposer that supplies the features. If None, one with default parameters. It is
        cloned unless ``cv="prefit"`` or it is a `FrozenEstimator`.
    n_features_to_select : int or float, default=None
        Number of features to keep; a float in (0, 1] is a fraction. If None, one of about
        two dozen geometrically spaced numbers: the one whose machine is most accurate under
        FGSM on the held-out samples or, among equals, most accurate on clean ones.
    rank_by : {"robustness", "usefulness", "eigenvalue"} or callable, default="robustness"
        Criterion of the ranking, largest first; the larger eigenvalue breaks ties. A callable
        maps the fitted, scored decomposer to one value per feature.
    eps : float or array-like of shape (d,), default=8/255
        Radius of the ball in which robustness is measured; an array gives the half-axis
        along each input.
    norm : {inf, 2}, default=inf
        Norm of the ball.
    clip_values : tuple or None, default=None
        Lowest and highest value of an input. None: no box, as everywhere; unlike that of an
        attack, whose data are often images, it is the default, because features are of any scale.
    validation_fraction : float, default=0.2
        Fraction of each class held out from the decomposition to rank the features on.
    cv : int, splitter, "prefit" or None, default=None
        If None, one split, by `validation_fraction`. With folds, each is decomposed separately,
        the scores of the i-th features are averaged over the folds, and the features kept are
        those of all samples. With "prefit", `decomposer` is already fitted, and the samples
        serve only to rank its features; in a grid, whose clones would not be fitted, give
        ``FrozenEstimator(decomposer)`` in its place, with any `cv`.
    memory : {"auto"}, str, joblib.Memory or None, default="auto"
        Cache of decompositions, so that a grid search over `n_features_to_select` computes
        each only once. "auto" keeps the most recent 2 GiB in this process. A directory or a
        Memory also serves joblib's worker processes. If None, nothing is cached.
    random_state : int, RandomState instance or None, default=None
        Shuffles the split. If None, the last samples of each class are held out.
    class_weight : dict, "balanced" or None, default=None
        Factor of the weights of all samples of a class, by label, in the decomposition and in the
        scores; "balanced" counts all samples. A `class_weight` of the decomposer is a further
        factor in the decomposition alone.

    Attributes
    ----------
    decomposer_ : SpectralFeatureDecomposer
        The fitted decomposer, with its scores.
    ranking_ : ndarray of int of shape (p,)
        Rank of each feature; 1 is kept first.
    n_features_ : int
        Number of features kept.
    validation_curve_ : ValidationCurve or None
        ``n_features``, and ``accuracy`` and ``robust_accuracy`` on the held-out samples,
        averaged over the folds; None if `n_features_to_select` was given to `fit`.
    classes_, X_fit_, dual_coef_, kernel_, n_features_in_
        As in `NTKClassifier`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skntk import RobustFeatureSelector, SpectralFeatureDecomposer
    >>> X, y = load_digits(n_class=2, return_X_y=True)
    >>> selector = RobustFeatureSelector(
    ...     SpectralFeatureDecomposer("fc1", n_components=20), n_features_to_select=5, eps=0.1
    ... ).fit(X / 16, y)
    >>> selector.transform(X / 16).shape
    (360, 5)
    >>> selector.with_n_features(10).transform(X / 16).shape
    (360, 10)
    """

    def __init__(
        self,
        decomposer: SpectralFeatureDecomposer | None = None,
        *,
        n_features_to_select: int | float | None = None,
        rank_by: Any = "robustness",
        eps: Any = 8 / 255,
        norm: float = np.inf,
        clip_values: Any = None,
        validation_fraction: float = 0.2,
        cv: Any = None,
        memory: Any = "auto",
        random_state: Any = None,
        class_weight: Any = None,
    ) -> None:
        self.decomposer = decomposer
        self.n_features_to_select = n_features_to_select
        self.rank_by = rank_by
        self.eps = eps
        self.norm = norm
        self.clip_values = clip_values
        self.validation_fraction = validation_fraction
        self.cv = cv
        self.memory = memory
        self.random_state = random_state
        self.class_weight = class_weight

    @with_callbacks
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> RobustFeatureSelector:
        """Decompose, rank and select.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Inputs.
        y : array-like of shape (n,)
            Labels of any type.
        sample_weight : array-like of shape (n,), default=None
            Weights of the samples in the decomposition and in the scores, 0 or more. If None, all
            are 1.

        Returns
        -------
        self : RobustFeatureSelector

        Raises
        ------
        ValueError
            For wrong parameters, inputs that are not finite, negative weights, or fewer than two
            classes with a positive weight.
        """
        self.__dict__.pop("dual_coef_", None)  # must not appear fitted if this fit fails
        self._check_parameters()
        X_raw = X
        check_table(X)
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C")
        weights = check_sample_weight(sample_weight, X)
        labels = encode_weighted_targets(y, self.class_weight, weights)
        check_array_or_real("eps", self.eps, X.shape[1], low=0.0, hint="The ball is one.")
        check_clip_values(self.clip_values, X)
        progress = FitProgress(self, n_stages=2)
        samples = Samples(X, y)
        if labels.kept is not None:
            samples, X_raw = samples.rows(labels.kept), _safe_indexing(X_raw, labels.kept)
        samples = samples._replace(weights=labels.weights)
        if isinstance(self.cv, str) or isinstance(self.decomposer, FrozenEstimator):
            self.decomposer_, folds = score_prefit(
                self._given_decomposer(), X_raw, samples, self._ball(), progress
            )
        else:
            self.decomposer_, folds = self._decompose(samples, labels.kept, len(X), progress)
        for name in ("classes_", "X_fit_", "kernel_"):
            setattr(self, name, getattr(self.decomposer_, name))
        self.ranking_ = rank_features(self.decomposer_, self.rank_by)
        self.validation_curve_: Any = None
        if self.n_features_to_select is None:
            with progress.stage("curve", 1) as on_step:
                self.validation_curve_ = validation_curve(folds, self.ranking_, **self._ball())
                on_step()
        self._select(self.n_features_to_select)
        progress.finish()
        return self

    def with_n_features(self, n_features: int | float) -> RobustFeatureSelector:
        """Keep another number of features of the same ranking, without a new decomposition.

        Parameters
        ----------
        n_features : int or float
            As `n_features_to_select`.

        Returns
        -------
        selector : RobustFeatureSelector
            A fitted copy that shares the decomposition.
        """
        check_is_fitted(self, "dual_coef_")
        check_n_features(n_features)
        other = copy.copy(self)
        other.n_features_to_select = n_features
        return other._select(n_features)

    def transform(self, X: ArrayLike) -> NDArray:
        """Outputs of the kept features, in order of decreasing eigenvalue.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.

        Returns
        -------
        outputs : ndarray of shape (m, r) if binary, else (m, r * k)
            Feature-major: all classes of the first feature, then of the second.
        """
        X = self._validate_inputs(X)
        outputs = self._feature_machine()._feature_outputs(X)
        return outputs.reshape(len(X), -1)

    def transform_vjp(self, X: ArrayLike, cotangents: ArrayLike) -> NDArray:
        """Gradient of the columns of `transform`, weighted by cotangents.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Inputs.
        cotangents : array-like of shape (m, r) or (m, r * k)
            Weights, shaped like ``transform(X)``.

        Returns
        -------
        gradient : ndarray of shape (m, d)
        """
        return self._feature_machine().transform_vjp(self._validate_inputs(X), cotangents)

    @property
    def inverse_transform(self) -> Any:
        """Not available, unlike in other selectors: outputs do not determine the input."""
        raise AttributeError(
            "RobustFeatureSelector has no inverse_transform: the outputs of NTK features do not "
            "determine the input."
        )

    def get_feature_names_out(self, input_features: Any = None) -> NDArray:
        """Names of the columns of `transform`: the decomposer's names of the kept features.

        Parameters
        ----------
        input_features : ignored
            Every feature depends on all inputs.

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self, "dual_coef_")
        names = self.decomposer_.get_feature_names_out()
        support = self.get_support()
        return names.reshape(len(support), -1)[support].ravel()

    def _get_support_mask(self) -> NDArray:
        check_is_fitted(self, "dual_coef_")
        return self.ranking_ <= self.n_features_

    def _check_parameters(self) -> None:
        decomposer = self._given_decomposer()
        if decomposer is not None and not isinstance(decomposer, SpectralFeatureDecomposer):
            raise TypeError(
                f"decomposer={shown(self.decomposer)} must be a SpectralFeatureDecomposer, a "
                "FrozenEstimator of one that is fitted, or None."
            )
        if not callable(self.rank_by):
            check_option("rank_by", self.rank_by, CRITERIA)
        if self.n_features_to_select is not None:
            check_n_features(self.n_features_to_select)
        check_norm(self.norm)
        check_class_weight(self.class_weight)
        fraction = check_real("validation_fraction", self.validation_fraction, low=0, strict=True)
        if fraction >= 1:
            raise ValueError(
                f"validation_fraction={fraction:g} leaves no sample to decompose; give less than 1."
            )
        if isinstance(self.cv, str) and self.cv != "prefit":
            raise ValueError(f"cv={self.cv!r} is not supported; give a splitter or 'prefit'.")

    def _given_decomposer(self) -> Any:
        given: Any = self.decomposer
        return given.estimator if isinstance(given, FrozenEstimator) else given

    def _ball(self) -> dict[str, Any]:
        # A list is the half-axes of one ball here, of which `score_features` makes several balls.
        eps = np.asarray(self.eps) if np.ndim(self.eps) else self.eps
        return {"eps": eps, "norm": check_norm(self.norm), "clip_values": self.clip_values}

    def _decompose(
        self, samples: Samples, kept: NDArray | None, n_samples: int, progress: FitProgress
    ) -> tuple[SpectralFeatureDecomposer, list[HeldOut]]:
        """Fitted and scored decomposer, and the held-out samples of each fold."""
        if self.cv is None:
            parts = [split_classes(samples.y, self.validation_fraction, self.random_state)]
        else:
            parts = cross_validation_parts(self.cv, samples, kept, n_samples)
        decomposer, folds = decompose_folds(
            SpectralFeatureDecomposer() if self.decomposer is None else self.decomposer,
            samples,
            parts,
            self._ball(),
            whole=self.cv is not None,
            memory=self.memory,
            progress=progress,
        )
        if hasattr(self, "feature_names_in_"):
            decomposer.feature_names_in_ = self.feature_names_in_
        return decomposer, folds

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # With weights that leave one class to count, scikit-learn's check of class weights has a
        # handful of samples held out that do, and many features are right on all of them. Its
        # bounds are tested in tests/features/test_feature_weights.py, on more samples.
        tags.classifier_tags.poor_score = self.cv is None
        return tags

    def _select(self, n_features: int | float | None) -> RobustFeatureSelector:
        if n_features is None:
            self.n_features_ = self.validation_curve_.best()
        else:
            self.n_features_ = count_features(n_features, len(self.ranking_))
        self.dual_coef_ = dual_coef(self.decomposer_, self.ranking_, self.n_features_)
        return self

    def _expansion(self) -> Expansion:
        return self.decomposer_._expansion()

    def _feature_machine(self) -> SpectralFeatureDecomposer:
        """The decomposer with only the kept features."""
        return self.decomposer_._with_features(self.get_support())
