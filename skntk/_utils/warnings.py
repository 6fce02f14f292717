"""Warnings: those that point at the line in the user's code, and those that are ignored."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["user_warnings_ignored", "warn_user"]

#: Frames of these packages are skipped: this one, and those that may call it for the user.
_PASSED_OVER = (__name__.partition(".")[0], "sklearn", "joblib")


def warn_user(warning: Warning | None) -> None:
    """Issue a warning at the line that called into this package; do nothing for None."""
    if warning is None:
        return
    level, frame = 2, sys._getframe(1)
    while frame.f_back and _package(frame.f_globals) in _PASSED_OVER:
        level, frame = level + 1, frame.f_back
    warnings.warn(warning, stacklevel=level)


class _Quiet:
    """One filter of warnings for all threads that want it: the first sets it, the last removes it.

    Each thread's own `warnings.catch_warnings` would put back the filters that it found, also those
    of another thread, and so leave them for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._context = warnings.catch_warnings()

    def enter(self) -> None:
        with self._lock:
            if self._n_inside == 0:
                self._context = warnings.catch_warnings(action="ignore", category=UserWarning)
                self._context.__enter__()
            self._n_inside += 1

    def leave(self) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                self._context.__exit__(None, None, None)


_QUIET = _Quiet()


@contextmanager
def user_warnings_ignored() -> Iterator[None]:
    """Ignore what is a `UserWarning`, in any number of threads at once."""
    _QUIET.enter()
    try:
        yield
    finally:
        _QUIET.leave()


def _package(module_globals: dict) -> str:
    return str(module_globals.get("__name__", "")).partition(".")[0]
