"""Ranking of the features of a scored decomposer, and how many of them are kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils.validation import check_integer, check_real
from ._decomposer import SpectralFeatureDecomposer

__all__ = ["CRITERIA", "check_n_features", "count_features", "rank_features"]

#: Names of criteria, besides callables.
CRITERIA = ("robustness", "usefulness", "eigenvalue")


def rank_features(decomposer: SpectralFeatureDecomposer, rank_by: Any) -> NDArray:
    """Rank (p,) of each feature by a criterion; 1 is best, the larger eigenvalue breaks ties.

    Raises
    ------
    ValueError
        If a callable does not give one number per feature.
    """
    order = np.argsort(-_criterion(decomposer, rank_by), kind="stable")
    ranking = np.empty_like(order)
    ranking[order] = np.arange(1, len(order) + 1)
    return ranking


def _criterion(decomposer: SpectralFeatureDecomposer, rank_by: Any) -> NDArray:
    if callable(rank_by):
        values = np.asarray(rank_by(decomposer))
    else:
        name = {"eigenvalue": "eigenvalues_"}.get(rank_by, f"{rank_by}_")
        values = getattr(decomposer, name)
    p = len(decomposer.eigenvalues_)
    if values.shape != (p,) or values.dtype.kind not in "biuf":
        raise ValueError(
            f"rank_by gave values of shape {values.shape} and type {values.dtype}; give one "
            f"number per feature, ({p},)."
        )
    values = values.astype(float)
    # What follows from the scores of a feature without any is kept last.
    values[np.isnan(values) & np.isnan(decomposer.usefulness_)] = -np.inf
    if np.isnan(values).any():
        raise ValueError(
            f"rank_by gave NaN for {np.isnan(values).sum()} of {p} features; give a number "
            "for each, -inf for those to be kept last."
        )
    # A feature whose eigenvalue is lost to rounding is useless: it always predicts one class.
    return np.where(decomposer.eigenvalues_ > 0, values, -np.inf)


def check_n_features(n_features: Any) -> None:
    """Raise unless `n_features` is an integer of at least 1, or a float in (0, 1]."""
    if isinstance(n_features, float | np.floating):
        check_real("n_features_to_select", n_features, low=0.0, strict=True)
        if n_features > 1:
            raise ValueError(
                f"n_features_to_select={n_features!r} is not a fraction; give an integer, or a "
                "float in (0, 1]."
            )
    else:
        check_integer("n_features_to_select", n_features, low=1)


def count_features(n_features: int | float, p: int) -> int:
    """Return the number of features to keep of p, of which a float is a fraction."""
    if isinstance(n_features, float | np.floating):
        return max(1, round(float(n_features) * p))
    if n_features > p:
        raise ValueError(
            f"n_features_to_select={n_features} is more than the {p} features there are; give at "
            "most that many, or raise the decomposer's n_components. Features whose eigenvalue is "
            "lost to rounding do not count."
        )
    return int(n_features)
