"""Cache of decompositions for repeated fits on the same samples, as in a grid search."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_memory as as_memory

from .._utils.keys import NoKeyError, value_key
from ._decomposer import SpectralFeatureDecomposer
from ._held_out import Samples

__all__ = ["cached_decomposition", "decompose_and_score"]


def decompose_and_score(
    decomposer: SpectralFeatureDecomposer,
    training: Samples,
    held_out: Samples | None,
    options: dict[str, Any],
) -> SpectralFeatureDecomposer:
    """Fit a clone on samples and, if some are held out, score its features on those."""
    decomposer = clone(decomposer).fit(*training)
    if held_out is not None:
        decomposer.score_features(held_out.X, held_out.y, sample_weight=held_out.weights, **options)
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
        return sum(_n_bytes(result) for result in self.results.values())


def _n_bytes(decomposer: SpectralFeatureDecomposer) -> int:
    """Bytes of the arrays of a fitted decomposer, each of which may have two names."""
    arrays = {id(a): a.nbytes for a in vars(decomposer).values() if isinstance(a, np.ndarray)}
    return sum(arrays.values())


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
