"""Functions of arrays that some library can differentiate.

Attacks use no such library themselves. The room that owns one says here how to differentiate a
function with it, and what is needed is imported only then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from numpy.typing import NDArray

__all__ = ["DifferentiableFunction", "derivative_of", "differentiates_functions"]


class DifferentiableFunction(Protocol):
    """A function of rows and its pullback."""

    def outputs(self, X: NDArray) -> NDArray:
        """Outputs (m, k) for inputs (m, d)."""

    def vjp(self, X: NDArray, cotangents: NDArray) -> NDArray:
        """Gradient (m, d) of the outputs weighted by cotangents (m, k)."""


#: From a function and its number of features to a differentiable one; None where it is none of
#: the library's.
Differentiator = Callable[[Callable, int], DifferentiableFunction | None]

_differentiators: list[Differentiator] = []


def differentiates_functions(differentiator: Differentiator) -> Differentiator:
    """Add a way to differentiate functions; a decorator."""
    _differentiators.append(differentiator)
    return differentiator


def derivative_of(function: Callable, n_features: int) -> DifferentiableFunction | None:
    """Differentiable form of a function from (m, n_features) to (m, k), or None."""
    found = (differentiator(function, n_features) for differentiator in _differentiators)
    return next((derivative for derivative in found if derivative is not None), None)
