"""Checks of the number of features and of indices of features, and which are useful."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils.showing import shown
from .._utils.validation import check_integer

__all__ = ["check_components", "check_n_components", "useful_features"]


def check_n_components(n_components: Any, n_features: int) -> None:
    """Raise unless `n_components` is None or an integer from 1 to `n_features`."""
    if n_components is None:
        return
    check_integer("n_components", n_components, low=1)
    if n_components > n_features:
        raise ValueError(
            f"n_components={n_components} is more than the {n_features} features there are; give "
            f"at most {n_features}, or None."
        )


def check_components(components: Any, n_features: int) -> NDArray:
    """Indices of the chosen features as a vector; None chooses all.

    Raises
    ------
    ValueError
        Unless `components` is an index below `n_features`, or a list of such indices.
    """
    if components is None:
        return np.arange(n_features)
    chosen = np.atleast_1d(np.asarray(components))
    if not np.issubdtype(chosen.dtype, np.integer) or chosen.ndim != 1 or len(chosen) == 0:
        raise ValueError(
            f"components={shown(components)} must be one or several integer indices of features."
        )
    if chosen.min() < 0 or chosen.max() >= n_features:
        raise ValueError(
            f"components={shown(components)} must lie between 0 and {n_features - 1}: {n_features} "
            "features were kept; raise n_components for more."
        )
    return chosen


def useful_features(usefulness: NDArray, robustness: NDArray, chance: float, kind: str) -> NDArray:
    """Indices of the useful features that are robust, or "not_robust", the clearest first.

    A feature is useful if its accuracy is above chance, and robust if that under attack still is.
    Robust ones come in order of that accuracy; the others in order of what they lose.
    """
    robust = robustness > chance
    chosen = np.flatnonzero((usefulness > chance) & (robust == (kind == "robust")))
    clarity = robustness if kind == "robust" else usefulness - robustness
    return chosen[np.argsort(-clarity[chosen], kind="stable")]
