"""Values that XLA computes once, however many results use them.

On a CPU, XLA emits one loop per output and repeats in it all operations that it considers cheap,
so the layers of a network would be computed over and over. A division by a number that is unknown
at compile time is not considered cheap. (`jax.lax.optimization_barrier` has no effect on a CPU.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax

__all__ = ["computed_once", "with_one"]

_ONE: ContextVar[Any] = ContextVar("one", default=1.0)


@contextmanager
def with_one(one: jax.Array) -> Iterator[None]:
    """Context in which to trace a function; `one` is 1, a value that the compiler does not know."""
    token = _ONE.set(one)
    try:
        yield
    finally:
        _ONE.reset(token)


def computed_once(array: jax.Array) -> jax.Array:
    """Return the same values, which XLA does not compute again for each of their uses."""
    return array / _ONE.get()
