"""Limits on BLAS threads, which are slow for small products and crash on huge matrices."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["OVERFLOW", "blas_threads_for"]

#: From this number of matrix elements on, the threads of OpenBLAS overflow their indices and
#: crash the process in routines for symmetric matrices: rank-k updates and factorisations.
OVERFLOW = 2**31

#: A matrix of at most this many bytes stays in the cache, where extra threads do not help.
_CACHE_BYTES = 32 * 2**20


def blas_threads_for(n_bytes: int) -> AbstractContextManager:
    """Context for repeated products of a matrix of `n_bytes` with a few vectors.

    NumPy and SciPy each ship a BLAS with its own threads, which wait in a busy loop for the next
    call and so take the cores from each other. Small products are two to three times as fast
    on one thread; larger ones keep all threads.
    """
    return _ONE_THREAD.limited() if n_bytes <= _CACHE_BYTES else nullcontext()


class _OneThread:
    """Limit BLAS to one thread until the last user leaves; the limit is process-wide."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.controller: ThreadpoolController | None = None
        self.limit: Any = None

    @contextmanager
    def limited(self) -> Iterator[None]:
        with self.lock:
            if self.users == 0:
                # Finding the libraries takes milliseconds.
                self.controller = self.controller or ThreadpoolController()
                self.limit = self.controller.limit(limits=1, user_api="blas")
            self.users += 1
        try:
            yield
        finally:
            with self.lock:
                self.users -= 1
                if self.users == 0:
                    self.limit.restore_original_limits()


_ONE_THREAD = _OneThread()
