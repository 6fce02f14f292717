"""Cache of decompositions for repeated fits on the same samples, as in a grid search."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_memory as as_memory

from .._utils.keys import NoKeyError, value_key
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
    """Fit a clone on (X, y) and, if `X_val` is given, score its features on (X_val, y_val)."""
    decomposer = clone(decomposer).fit(X, y)
    if X_val is not None:
        decomposer.score_features(X_val, y_val, **options)
    return decomposer


class _RecentResults:
    """Results of `decompose_and_score` in this process, the oldest dropped first.

    If an argument has no key, such as a kernel of a trained NNX module, nothing is cached.
    """

    def __init__(self, max_bytes: int):
        self.max_bytes = max_bytes
        self.results: OrderedDict[Hashable, SpectralFeatureDecomposer] = OrderedDict()
        self.lock = threading.Lock()

    def __call__(
        self, decomposer: SpectralFeatureDecomposer, *arguments: Any
    ) -> SpectralFeatureDecomposer:
        try:
            key = value_key((decomposer, *arguments))
        except NoKeyError:
            return decompose_and_score(decomposer, *arguments)
        with self.lock:
            result = self.results.get(key)
        if result is None:
            result = _read_only(decompose_and_score(decomposer, *arguments))
        self._keep(key, result)
        return result

    def _keep(self, key: Hashable, result: SpectralFeatureDecomposer) -> None:
        with self.lock:
            self.results[key] = result
            self.results.move_to_end(key)
            while len(self.results) > 1 and self._n_bytes() > self.max_bytes:
                self.results.popitem(last=False)

    def _n_bytes(self) -> int:
        return sum(r.eigenvectors_.nbytes + r.X_fit_.nbytes for r in self.results.values())


def _read_only(decomposer: SpectralFeatureDecomposer) -> SpectralFeatureDecomposer:
    """Make the arrays read-only, because later fits will share them."""
    for value in vars(decomposer).values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return decomposer


_RECENT = _RecentResults(max_bytes=2 * 2**30)


class _StoredResults:
    """Results of `decompose_and_score` in a joblib Memory, which outlives the process.

    If an argument may have another meaning in another process, such as a kernel of the user's own
    functions or classes, nothing is cached.
    """

    def __init__(self, memory: joblib.Memory):
        self.memory = memory

    def __call__(
        self, decomposer: SpectralFeatureDecomposer, *arguments: Any
    ) -> SpectralFeatureDecomposer:
        try:
            key = joblib.hash(value_key((decomposer, *arguments), persistent=True))
        except NoKeyError:
            return decompose_and_score(decomposer, *arguments)
        return self.memory.cache(_by_key, ignore=["decomposer", "arguments"])(
            key, decomposer, arguments
        )


def _by_key(
    key: str, decomposer: SpectralFeatureDecomposer, arguments: tuple
) -> SpectralFeatureDecomposer:
    return decompose_and_score(decomposer, *arguments)


def cached_decomposition(memory: Any) -> Any:
    """`decompose_and_score` behind a cache: "auto", a directory, a joblib Memory, or None."""
    if isinstance(memory, str) and memory == "auto":
        return _RECENT
    if memory is None:
        return decompose_and_score
    return _StoredResults(as_memory(memory))
