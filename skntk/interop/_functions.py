"""JAX functions as steps of a pipeline that is attacked."""

from __future__ import annotations

from collections.abc import Callable

from ..attacks._functions import DifferentiableFunction, differentiates_functions

__all__ = ["jax_derivative"]


@differentiates_functions
def jax_derivative(function: Callable, n_features: int) -> DifferentiableFunction | None:
    """Give a function that JAX can trace with the gradient that JAX derives; None for others."""
    from ._jax import JaxFunction

    bridge = JaxFunction(function)
    return bridge if bridge.can_be_traced(n_features) else None
