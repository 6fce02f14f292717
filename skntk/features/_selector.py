"""Selector and classifier that keeps the robust features of a network (App. D.3)."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.feature_selection import SelectorMixin
from sklearn.model_selection import check_cv
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils.fit_progress import FitProgress
from .._utils.showing import shown
from .._utils.targets import encode_targets
from .._utils.validation import (
    check_array_or_real,
    check_integer,
    check_norm,
    check_option,
    check_real,
    check_table,
)
from ..attacks._box import check_clip_values
from ..infinite._kernel_machine import KernelClassifierMixin
from ._decomposer import SpectralFeatureDecomposer
from ._decomposition_cache import cached_decomposition
from ._held_out import HeldOut, dual_coef, split_classes, validation_curve

__all__ = ["RobustFeatureSelector"]

_CRITERIA = ("robustness", "usefulness", "eigenvalue")


class RobustFeatureSelector(
    KernelClassifierMixin, CallbackSupportMixin, SelectorMixin, BaseEstimator
):
    r"""Kernel machine restricted to the best-ranked features of another (App. D.3).

    Features are ranked on held-out samples, and the r best are kept with their eigenvalues:
    :math:`f'_r = \sum_{i\ \text{kept}} f^{(i)}`. The selector is a classifier with that output,
    and a transformer that returns the outputs of the kept features.

    Parameters
    ----------
    decomposer : SpectralFeatureDecomposer, default=None
        Decomposer that supplies the features. If None, one with default parameters. It is
        cloned unless ``cv="prefit"``.
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
        serve only to rank its features.
    memory : {"auto"}, str, joblib.Memory or None, default="auto"
        Cache of decompositions, so that a grid search over `n_features_to_select` computes
        each only once. "auto" keeps the most recent 2 GiB in this process. A directory or a
        Memory also serves joblib's worker processes. If None, nothing is cached.
    random_state : int, RandomState instance or None, default=None
        Shuffles the split. If None, the last samples of each class are held out.

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
        averaged over the folds; None if `n_features_to_select` was given.
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

    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike) -> RobustFeatureSelector:
        """Decompose, rank and select.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Inputs.
        y : array-like of shape (n,)
            Labels of any type.

        Returns
        -------
        self : RobustFeatureSelector
        """
        self.__dict__.pop("dual_coef_", None)  # must not appear fitted if this fit fails
        self._check_parameters()
        X_raw = X
        check_table(X)
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C")
        encode_targets(y)
        check_array_or_real("eps", self.eps, X.shape[1], low=0.0)
        check_clip_values(self.clip_values, X)
        progress = FitProgress(self, n_stages=2)
        if isinstance(self.cv, str):
            self.decomposer_, folds = self._score_prefit(X_raw, X, y, progress)
        else:
            self.decomposer_, folds = self._decompose(X, y, progress)
        for name in ("classes_", "X_fit_", "kernel_"):
            setattr(self, name, getattr(self.decomposer_, name))
        order = np.argsort(-self._criterion(), kind="stable")
        self.ranking_ = np.empty_like(order)
        self.ranking_[order] = np.arange(1, len(order) + 1)
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
        _check_n_features(n_features)
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
        if self.decomposer is not None and not isinstance(
            self.decomposer, SpectralFeatureDecomposer
        ):
            raise TypeError(
                f"decomposer={shown(self.decomposer)} must be a SpectralFeatureDecomposer or None."
            )
        if not callable(self.rank_by):
            check_option("rank_by", self.rank_by, _CRITERIA)
        if self.n_features_to_select is not None:
            _check_n_features(self.n_features_to_select)
        check_norm(self.norm)
        fraction = check_real("validation_fraction", self.validation_fraction, low=0, strict=True)
        if fraction >= 1:
            raise ValueError(
                f"validation_fraction={fraction:g} leaves no sample to decompose; give less than 1."
            )
        if isinstance(self.cv, str) and self.cv != "prefit":
            raise ValueError(f"cv={self.cv!r} is not supported; give a splitter or 'prefit'.")

    def _ball(self) -> dict[str, Any]:
        return {"eps": self.eps, "norm": check_norm(self.norm), "clip_values": self.clip_values}

    def _score_prefit(
        self, X_raw: Any, X: NDArray, y: NDArray, progress: FitProgress
    ) -> tuple[SpectralFeatureDecomposer, list[HeldOut]]:
        """Scored copy of the given decomposer, with all samples as its held-out samples."""
        decomposer = SpectralFeatureDecomposer() if self.decomposer is None else self.decomposer
        check_is_fitted(decomposer, "dual_coef_")
        decomposer = copy.copy(decomposer)
        with progress.stage("features", 1) as on_step:
            decomposer.score_features(X_raw, y, **self._ball())  # X_raw has the feature names
            on_step()
        return decomposer, [HeldOut(decomposer, X, y)]

    def _decompose(
        self, X: NDArray, y: NDArray, progress: FitProgress
    ) -> tuple[SpectralFeatureDecomposer, list[HeldOut]]:
        """Fitted and scored decomposer, and the held-out samples of each fold."""
        template = clone(
            SpectralFeatureDecomposer() if self.decomposer is None else self.decomposer
        ).set_callbacks()  # a cached decomposition calls none, and a pickle carries none
        decompose = partial(cached_decomposition(self.memory), template)
        if self.cv is None:
            splits = [split_classes(y, self.validation_fraction, self.random_state)]
        else:
            splits = list(check_cv(self.cv, y, classifier=True).split(X, y))
        folds = []
        with progress.stage("features", len(splits) + (self.cv is not None)) as on_step:
            for a, b in splits:
                scored = decompose(X[a], y[a], X[b], y[b], self._ball())
                folds.append(HeldOut(scored, X[b], y[b]))
                on_step()
            if self.cv is not None:
                scored = decompose(X, y, None, None, self._ball())
                on_step()
        decomposer = copy.copy(scored)
        if self.cv is not None:
            _average_scores([fold.decomposer for fold in folds], decomposer)
        if hasattr(self, "feature_names_in_"):
            decomposer.feature_names_in_ = self.feature_names_in_
        return decomposer, folds

    def _criterion(self) -> NDArray:
        if callable(self.rank_by):
            values = np.asarray(self.rank_by(self.decomposer_))
        else:
            name = {"eigenvalue": "eigenvalues_"}.get(self.rank_by, f"{self.rank_by}_")
            values = getattr(self.decomposer_, name)
        p = len(self.decomposer_.eigenvalues_)
        if values.shape != (p,) or values.dtype.kind not in "biuf":
            raise ValueError(
                f"rank_by gave values of shape {values.shape} and type {values.dtype}; give one "
                f"number per feature, ({p},)."
            )
        values = values.astype(float)
        if np.isnan(values).any():
            raise ValueError(
                f"rank_by gave NaN for {np.isnan(values).sum()} of {p} features; give a number "
                "for each, -inf for those to be kept last."
            )
        # A feature whose eigenvalue is lost to rounding is useless: it always predicts one class.
        return np.where(self.decomposer_.eigenvalues_ > 0, values, -np.inf)

    def _select(self, n_features: int | float | None) -> RobustFeatureSelector:
        p = len(self.ranking_)
        if n_features is None:
            self.n_features_ = self.validation_curve_.best()
        elif isinstance(n_features, float | np.floating):
            self.n_features_ = max(1, round(float(n_features) * p))
        elif n_features > p:
            raise ValueError(
                f"n_features_to_select={n_features} is more than the {p} features there are; "
                "give at most that many, or raise the decomposer's n_components."
            )
        else:
            self.n_features_ = int(n_features)
        self.dual_coef_ = dual_coef(self.decomposer_, self.ranking_, self.n_features_)
        return self

    def _feature_machine(self) -> SpectralFeatureDecomposer:
        """The decomposer with only the kept features."""
        kept = self.get_support()
        machine = copy.copy(self.decomposer_)
        machine.eigenvalues_ = machine.eigenvalues_[kept]
        machine.eigenvectors_ = machine.eigenvectors_[:, kept]
        machine.feature_coef_ = machine.feature_coef_[kept]
        return machine


def _check_n_features(n_features: Any) -> None:
    if isinstance(n_features, float | np.floating):
        check_real("n_features_to_select", n_features, low=0.0, strict=True)
        if n_features > 1:
            raise ValueError(
                f"n_features_to_select={n_features!r} is not a fraction; give an integer, or a "
                "float in (0, 1]."
            )
    else:
        check_integer("n_features_to_select", n_features, low=1)


def _average_scores(
    folds: list[SpectralFeatureDecomposer], decomposer: SpectralFeatureDecomposer
) -> None:
    """Set the scores of a decomposer to the mean of those of its folds."""
    p = min(len(fold.eigenvalues_) for fold in folds)
    for name in ("usefulness_", "robustness_"):
        mean = np.mean([getattr(fold, name)[:p] for fold in folds], axis=0)
        # Folds have fewer features than the whole, so the last features were not scored.
        padded = np.pad(mean, (0, len(decomposer.eigenvalues_) - p), constant_values=-1.0)
        setattr(decomposer, name, padded)
