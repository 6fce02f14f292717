"""Decompositions of the folds of a cross-validation, each scored on what it leaves out."""

from __future__ import annotations

import copy
import numbers
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import check_cv
from sklearn.utils.validation import check_is_fitted

from .._utils.fit_progress import FitProgress
from ._decomposer import SpectralFeatureDecomposer
from ._decomposition_cache import cached_decomposition
from ._held_out import HeldOut, Samples

__all__ = ["cross_validation_parts", "decompose_folds", "score_prefit"]

#: A fitted and scored decomposer, and the samples that each fold holds out.
Scored = tuple[SpectralFeatureDecomposer, list[HeldOut]]


def cross_validation_parts(
    cv: Any, samples: Samples, kept: NDArray | None, n_samples: int
) -> list[tuple[NDArray, NDArray]]:
    """Indices of samples to decompose and to hold out, for each fold.

    Parameters
    ----------
    cv : int, splitter or iterable
        An iterable holds indices of all `n_samples` samples, those of weight 0 included.
    samples : Samples
        The samples of positive weight.
    kept : ndarray of int or None
        Their indices among all samples; None if they are all samples.
    n_samples : int

    Raises
    ------
    ValueError
        If one side of a fold has no sample of positive weight.
    """
    parts = list(check_cv(cv, samples.y, classifier=True).split(samples.X, samples.y))
    if kept is None or isinstance(cv, numbers.Integral) or hasattr(cv, "split"):
        return parts
    place = np.full(n_samples, -1)
    place[kept] = np.arange(len(kept))
    parts = [tuple(side[side >= 0] for side in (place[a], place[b])) for a, b in parts]
    for i, sides in enumerate(parts):
        if not all(map(len, sides)):
            raise ValueError(
                f"In split {i} of cv, all samples on one side have weight 0; give each side a "
                "sample of positive weight."
            )
    return parts


def decompose_folds(
    template: SpectralFeatureDecomposer,
    samples: Samples,
    parts: list[tuple[NDArray, NDArray]],
    ball: dict[str, Any],
    *,
    whole: bool,
    memory: Any,
    progress: FitProgress,
) -> Scored:
    """Decompose each fold, and if there is more than the fold, `whole`, all samples as well.

    The features of all samples have the mean scores of those of the folds.
    """
    template = clone(template).set_callbacks()  # a cached one calls none, a pickle carries none
    decompose = partial(cached_decomposition(memory), template)
    folds = []
    with progress.stage("features", len(parts) + whole) as on_step:
        for a, b in parts:
            held_out = samples.rows(b)
            scored = decompose(samples.rows(a), held_out, ball)
            folds.append(HeldOut(scored, held_out))
            on_step()
        if whole:
            scored = decompose(samples, None, ball)
            on_step()
    decomposer = copy.copy(scored)
    if whole:
        _average_scores([fold.decomposer for fold in folds], decomposer)
    return decomposer, folds


def score_prefit(
    decomposer: SpectralFeatureDecomposer | None,
    X_raw: Any,
    samples: Samples,
    ball: dict[str, Any],
    progress: FitProgress,
) -> Scored:
    """Scored copy of the given decomposer, with all samples as its held-out samples.

    `X_raw` are the inputs as the user gave them, with the names of the features.
    """
    decomposer = SpectralFeatureDecomposer() if decomposer is None else decomposer
    check_is_fitted(decomposer, "dual_coef_")
    decomposer = copy.copy(decomposer)
    with progress.stage("features", 1) as on_step:
        decomposer.score_features(X_raw, samples.y, sample_weight=samples.weights, **ball)
        on_step()
    return decomposer, [HeldOut(decomposer, samples)]


def _average_scores(
    folds: list[SpectralFeatureDecomposer], decomposer: SpectralFeatureDecomposer
) -> None:
    """Set the scores of a decomposer to the mean of those of its folds."""
    n_features = len(decomposer.eigenvalues_)
    p = min(n_features, *(len(fold.eigenvalues_) for fold in folds))
    for name in ("usefulness_", "robustness_"):
        mean = np.mean([getattr(fold, name)[:p] for fold in folds], axis=0)
        # Folds have fewer features than the whole, so the last features were not scored.
        setattr(decomposer, name, np.pad(mean, (0, n_features - p), constant_values=np.nan))
