"""Values that XLA computes once, however many results use them.

On a CPU, XLA makes one loop an output and repeats in it whatever is cheap, so the layers of a
network were computed over and over. A division by a number that it does not know is not cheap.
(`jax.lax.optimization_barrier` does nothing there.)
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
    """Context in which a function is traced; `one` is 1, but only when the program runs."""
    token = _ONE.set(one)
    try:
        yield
    finally:
        _ONE.reset(token)


def computed_once(array: jax.Array) -> jax.Array:
    """Array itself, which XLA will not compute anew for each of its uses."""
    return array / _ONE.get()
