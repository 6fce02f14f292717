"""Keys that are equal for equal things: what is compiled for, and what a cache goes by."""

from __future__ import annotations

import functools
from typing import Any

__all__ = ["comparable"]


class _Partial(functools.partial):
    """A partial that equals its copies, by its parts."""

    def _parts(self) -> tuple[Any, ...]:
        return self.func, self.args, tuple(sorted(self.keywords.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Partial) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())


def comparable(function: Any) -> Any:
    """Give a function such that nothing is compiled again for the copies `clone` makes of it.

    Copies of a function are the function itself; but those of a `functools.partial` are not
    even equal to it.
    """
    if not isinstance(function, functools.partial):
        return function
    partial = _Partial(function.func, *function.args, **function.keywords)
    try:
        hash(partial)
    except TypeError:  # for its arguments, which then have no equality to rely on
        return function
    return partial
