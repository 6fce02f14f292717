"""Usefulness and robustness of features, each a classifier of its own."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Bunch, check_consistent_length

from .._utils.showing import shown
from .._utils.targets import label_indices
from .._utils.validation import check_norm
from .._utils.weights import check_sample_weight
from ..attacks import NTKAttack
from ..attacks._box import check_clip_values
from ..attacks._free_attack import attack_on, check_free_attack
from ..attacks._inputs import check_budgets
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
        eps: Any = None,
        norm: float = np.inf,
        clip_values: Any = (0.0, 1.0),
        components: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        attack: NTKAttack | None = None,
    ) -> Bunch:
        """Usefulness and robustness of each feature as a classifier (Eq. 3, 4, 14, 15).

        Parameters
        ----------
        X : array-like of shape (m, d)
            Held-out inputs, inside `clip_values`.
        y : array-like of shape (m,)
            True labels.
        eps : float, ndarray of shape (d,), or list of these
            Radius of the ball; an array gives the half-axis along each input, and a list several
            balls. If None, that of `attack`.
        norm : {inf, 2}, default=inf
            Norm of the ball.
        clip_values : tuple or None, default=(0.0, 1.0)
            Lowest and highest value of an input. If None, values are not clipped.
        components : array-like of int, default=None
            Indices of features. If None, all kept features.
        sample_weight : array-like of shape (m,), default=None
            Weights of the samples in the accuracies. If None, all are 1.
        attack : NTKAttack, default=None
            Attack made on each feature in place of FGSM, ``NTKAttack(None, ...)``, in a norm and a
            box of its own; then `norm` and `clip_values` are not to be given here. FGSM takes all
            features at once; another attack takes one at a time.

        Returns
        -------
        scores : Bunch
            ``usefulness`` (p,): accuracy; ``robustness`` (p,), or (p, E) at E balls: accuracy on
            examples made from the feature itself with the true labels, by FGSM or `attack`. One row
            per component, also stored in `usefulness_` and `robustness_`.
        """
        X_given, X = X, self._validate_inputs(X)
        labels = label_indices(y, self.classes_)
        check_consistent_length(X, labels)
        weights = check_sample_weight(sample_weight, X)
        chosen = check_components(components, len(self.eigenvalues_))
        if attack is not None:
            eps, clip_values = _of_attack(attack, eps, norm, clip_values)
        budgets, several = _as_budgets(eps, X.shape[1])
        norm, box = check_norm(norm), check_clip_values(clip_values, X)
        clean, robust = score_machines(
            self._expansion(),
            self.X_fit_,
            len(chosen),
            lambda machines: self._feature_duals(chosen[machines]),
            X,
            labels,
            budgets=budgets if attack is None else budgets[:0],
            norm=norm,
            box=box,
            weights=weights,
        )
        if attack is not None:
            found = [self._attacked(attack, i, X_given, y, budgets) for i in chosen]
            robust = np.stack([np.average(~each, axis=1, weights=weights) for each in found])
        robust = robust if several else robust[:, 0]
        self.usefulness_ = np.full(len(self.eigenvalues_), np.nan)
        self.robustness_ = np.full((len(self.eigenvalues_), *robust.shape[1:]), np.nan)
        self.usefulness_[chosen], self.robustness_[chosen] = clean, robust
        return Bunch(usefulness=clean, robustness=robust)

    def _attacked(
        self, attack: NTKAttack, component: int, X: ArrayLike, y: ArrayLike, budgets: NDArray
    ) -> NDArray:
        """Whether one feature as a classifier is fooled, (E, m)."""
        feature = copy.copy(self)
        feature.dual_coef_ = self._feature_duals(np.array([component]))[0]
        fooled = attack_on(attack, feature).run(X, y, epsilons=[*budgets]).success
        assert fooled is not None  # None of regressors alone
        return fooled

    def _feature_duals(self, components: NDArray) -> NDArray:
        """Dual coefficients (p, n, k) of single features."""
        vectors = self._dual_vectors[:, components].T
        by_sample = vectors.reshape(len(components), len(self.X_fit_), -1)
        return by_sample * self.feature_coef_[components][:, None, :]


def _of_attack(attack: NTKAttack, eps: Any, norm: Any, clip_values: Any) -> tuple[Any, Any]:
    """Radius and box of an attack; raise if the call gives norm or box as well."""
    check_free_attack(attack)
    for name, value, default in (("norm", norm, np.inf), ("clip_values", clip_values, (0.0, 1.0))):
        if not np.array_equal(value, default):
            raise ValueError(
                f"{name}={shown(value)} is given beside an attack; give it to NTKAttack alone."
            )
    return (attack.eps if eps is None else eps), attack.clip_values


def _as_budgets(eps: Any, n_features: int) -> tuple[NDArray, bool]:
    """Budgets (E,) or (E, d), and whether they were a list."""
    if eps is None:
        raise TypeError("eps is missing; give the radius of the ball, or an attack.")
    several = isinstance(eps, list | tuple)
    hint = "Several budgets are a list, eps=[0.1, 0.2]."
    return check_budgets(eps if several else [eps], n_features, name="eps", hint=hint), several
