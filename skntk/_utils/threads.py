"""Two weaknesses of BLAS threads: short products, and symmetric matrices that are huge."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["OVERFLOW", "blas_threads_for"]

#: Elements of a matrix from which on OpenBLAS's threads overflow their indices, and crash the
#: process, where they make use of symmetry: in a rank-k update and in a factorisation.
OVERFLOW = 2**31

#: A matrix of that many bytes stays in the cache, where one thread reads it as fast as several.
_CACHE_BYTES = 32 * 2**20


def blas_threads_for(n_bytes: int) -> AbstractContextManager:
    """Context for products, again and again, of a matrix of so many bytes with a few vectors.

    NumPy and SciPy each bring a BLAS with threads of its own, which wait in a loop for the next
    call and take the cores from the other's. Small products are two to three times as fast on
    one thread; the others keep all threads.
    """
    return _ONE_THREAD.limited() if n_bytes <= _CACHE_BYTES else nullcontext()


class _OneThread:
    """One BLAS thread while anybody wants it: the limit is the process's, not the thread's."""

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
