"""Decompositions kept for the next fit on the same samples, as a grid search makes them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import joblib
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_memory

from ._decomposer import SpectralFeatureDecomposer

__all__ = ["cached_decomposition", "decompose_and_score"]


def decompose_and_score(
    decomposer: SpectralFeatureDecomposer,
    X: NDArray,
    y: NDArray,
    X_val: NDArray | None,
    y_val: NDArray | None,
    options: dict[str, Any],
) -> SpectralFeatureDecomposer:
    """Fit a clone on some samples and, if there are others, score its features on those."""
    decomposer = clone(decomposer).fit(X, y)
    if X_val is not None:
        decomposer.score_features(X_val, y_val, **options)
    return decomposer


class _RecentResults:
    """Results of `decompose_and_score` in this process, the oldest dropped first."""

    def __init__(self, max_bytes: int):
        self.max_bytes = max_bytes
        self.results: OrderedDict[str, SpectralFeatureDecomposer] = OrderedDict()

    def __call__(
        self, decomposer: SpectralFeatureDecomposer, *arguments: Any
    ) -> SpectralFeatureDecomposer:
        key = joblib.hash((type(decomposer), decomposer.get_params(), *arguments))
        if key not in self.results:
            self.results[key] = decompose_and_score(decomposer, *arguments)
            while len(self.results) > 1 and self._n_bytes() > self.max_bytes:
                self.results.popitem(last=False)
        self.results.move_to_end(key)
        return self.results[key]

    def _n_bytes(self) -> int:
        return sum(r.eigenvectors_.nbytes + r.X_fit_.nbytes for r in self.results.values())


_RECENT = _RecentResults(max_bytes=2 * 2**30)


def cached_decomposition(memory: Any) -> Any:
    """`decompose_and_score` behind a cache: "auto", a directory, a joblib Memory, or None."""
    if isinstance(memory, str) and memory == "auto":
        return _RECENT
    return check_memory(memory).cache(decompose_and_score)
