"""Copies of networks that share the functions of the original."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import Any

from sklearn import clone

__all__ = ["clone_parameter", "copy_module"]


def copy_module(module: Any) -> Any:
    """Deep copy in which functions are not copied.

    A copy of an activation such as `flax.linen.relu` is not equal to it: with a module that holds
    one, everything would be compiled and computed again.
    """
    functions: dict[int, Any] = {}
    _collect(module, functions, set())
    try:
        return copy.deepcopy(module, functions)
    except Exception as error:  # whatever a module's own attribute access raises
        raise TypeError(
            f"A {type(module).__name__} cannot be copied, as estimators and kernels do with their "
            f"parameters ({error}). Of an adapter between Linen and NNX give the module within."
        ) from error


def clone_parameter(value: Any) -> Any:
    """Copy a constructor's parameter, as scikit-learn's `clone` does."""
    if hasattr(value, "get_params") and not isinstance(value, type):
        return clone(value)
    return copy_module(value)


def _collect(value: Any, functions: dict[int, Any], seen: set[int]) -> None:
    """Enter the functions within a module as already copied, in the form of `deepcopy`'s memo."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Mapping):
        parts = list(value.values())
    elif isinstance(value, list | tuple | set | frozenset):
        parts = list(value)
    elif hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        slots = {name: getattr(value, name, None) for name in value.__dataclass_fields__}
        parts = list(getattr(value, "__dict__", slots).values())
    else:
        parts = []
        if inspect.isroutine(value) or hasattr(
            value, "__wrapped__"
        ):  # or a function transformed by JAX
            functions[id(value)] = value
    for part in parts:
        _collect(part, functions, seen)
