"""Warnings that point at the line in the user's code."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn_user"]

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


def _package(module_globals: dict) -> str:
    return str(module_globals.get("__name__", "")).partition(".")[0]
