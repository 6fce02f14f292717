"""Warnings that point at the line of the user's own code."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn_user"]

#: Frames of these are passed over: this package, and what it is called through.
_PASSED_OVER = (__name__.partition(".")[0], "sklearn", "joblib")


def warn_user(warning: Warning | None) -> None:
    """Issue a warning as if at the line that called into this package; None: nothing."""
    if warning is None:
        return
    level, frame = 2, sys._getframe(1)
    while frame.f_back and _package(frame.f_globals) in _PASSED_OVER:
        level, frame = level + 1, frame.f_back
    warnings.warn(warning, stacklevel=level)


def _package(module_globals: dict) -> str:
    return str(module_globals.get("__name__", "")).partition(".")[0]
