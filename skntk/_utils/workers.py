"""Tasks shared among joblib's workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from joblib import effective_n_jobs
from sklearn.utils.parallel import Parallel, delayed

__all__ = ["in_order"]


def in_order(
    function: Callable, tasks: Iterable[tuple[Any, ...]], n_jobs: int | None
) -> Iterator[Any]:
    """Results of a function of each task, in order, from joblib's workers if there are several."""
    if effective_n_jobs(n_jobs) == 1:
        return (function(*task) for task in tasks)
    # From a generator, results are taken as they arrive instead of all being held at once.
    return Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(function)(*task) for task in tasks
    )
