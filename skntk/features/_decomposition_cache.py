"""Decompositions kept for the next fit on the same samples, as a grid search makes them."""

from __future__ import annotations

import pickle
import threading
from collections import OrderedDict
from typing import Any

import joblib
import numpy as np
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
    """Results of `decompose_and_score` in this process, the oldest dropped first.

    What does not pickle, such as a kernel made of closures, cannot be told apart and is
    decomposed every time.
    """

    def __init__(self, max_bytes: int):
        self.max_bytes = max_bytes
        self.results: OrderedDict[str, SpectralFeatureDecomposer] = OrderedDict()
        self.lock = threading.Lock()

    def __call__(
        self, decomposer: SpectralFeatureDecomposer, *arguments: Any
    ) -> SpectralFeatureDecomposer:
        try:
            key = joblib.hash((type(decomposer), decomposer.get_params(), *arguments))
        except (pickle.PicklingError, AttributeError, TypeError):
            return decompose_and_score(decomposer, *arguments)
        with self.lock:
            result = self.results.get(key)
        if result is None:
            result = _read_only(decompose_and_score(decomposer, *arguments))
        self._keep(key, result)
        return result

    def _keep(self, key: str, result: SpectralFeatureDecomposer) -> None:
        with self.lock:
            self.results[key] = result
            self.results.move_to_end(key)
            while len(self.results) > 1 and self._n_bytes() > self.max_bytes:
                self.results.popitem(last=False)

    def _n_bytes(self) -> int:
        return sum(r.eigenvectors_.nbytes + r.X_fit_.nbytes for r in self.results.values())


def _read_only(decomposer: SpectralFeatureDecomposer) -> SpectralFeatureDecomposer:
    """Lock the arrays, which estimators fitted later will share."""
    for value in vars(decomposer).values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return decomposer


_RECENT = _RecentResults(max_bytes=2 * 2**30)


def cached_decomposition(memory: Any) -> Any:
    """`decompose_and_score` behind a cache: "auto", a directory, a joblib Memory, or None."""
    if isinstance(memory, str) and memory == "auto":
        return _RECENT
    return check_memory(memory).cache(decompose_and_score)
