"""Bridges between this package and other toolboxes."""

from ._bridges import from_jax, from_torch, to_art, to_gaussian_process, to_jax, to_torch
from ._function_classifier import FunctionClassifier
from ._functions import jax_derivative as _jax_derivative  # noqa: F401  attacks find it thereby

__all__ = [
    "FunctionClassifier",
    "from_jax",
    "from_torch",
    "to_art",
    "to_gaussian_process",
    "to_jax",
    "to_torch",
]
