"""Usefulness and robustness of features, each a classifier of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Bunch, check_consistent_length

from .._utils.targets import label_indices
from .._utils.validation import check_array_or_real, check_norm
from .._utils.weights import check_sample_weight
from ..attacks._box import check_clip_values
from ..infinite._kernel_machine import KernelClassifierMixin
from ._components import check_components
from ._machine_scores import score_machines

__all__ = ["FeatureScoresMixin"]


class FeatureScoresMixin(KernelClassifierMixin):
    """Scores from `kernel_`, `X_fit_` and the dual vectors and coefficients of the features."""

    eigenvalues_: NDArray
    feature_coef_: NDArray
    usefulness_: NDArray
    robustness_: NDArray
    _dual_vectors: NDArray

    def score_features(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        eps: Any,
        norm: float = np.inf,
        clip_values: Any = (0.0, 1.0),
        components: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
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
        sample_weight : array-like of shape (m,), default=None
            Weights of the samples in the accuracies. If None, all are 1.

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
            weights=check_sample_weight(sample_weight, X),
        )
        self.usefulness_ = np.full(len(self.eigenvalues_), np.nan)
        self.robustness_ = self.usefulness_.copy()
        self.usefulness_[chosen], self.robustness_[chosen] = clean, robust
        return Bunch(usefulness=clean, robustness=robust)

    def _feature_duals(self, components: NDArray) -> NDArray:
        """Dual coefficients (p, n, k) of single features."""
        vectors = self._dual_vectors[:, components].T
        return vectors[:, :, None] * self.feature_coef_[components][:, None, :]
