"""How many threads BLAS takes for products that are too short to share."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache

from threadpoolctl import ThreadpoolController

__all__ = ["blas_threads_for"]

#: A matrix of that many bytes stays in the cache, where one thread reads it as fast as several.
_CACHE_BYTES = 32 * 2**20


def blas_threads_for(n_bytes: int) -> AbstractContextManager:
    """Context for products, again and again, of a matrix of so many bytes with a few vectors.

    NumPy and SciPy each bring a BLAS with threads of its own, which wait in a loop for the next
    call and take the cores from the other's. Small products are two to three times as fast on
    one thread; the others keep all threads.
    """
    return (
        _controller().limit(limits=1, user_api="blas") if n_bytes <= _CACHE_BYTES else nullcontext()
    )


@cache
def _controller() -> ThreadpoolController:
    # Finding the libraries takes milliseconds.
    return ThreadpoolController()
