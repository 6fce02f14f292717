"""Keys that are equal for equal values, for caches of results and of compiled programs."""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import joblib
import numpy as np

__all__ = ["NoKeyError", "comparable", "is_of_library", "value_key"]

#: Packages whose functions and classes are identified by their names in any process.
_LIBRARIES = ("builtins", "flax", "jax", "numpy", "optax", "scipy", "sklearn", "skntk")


class NoKeyError(TypeError):
    """An object cannot be reliably told apart from others."""


def value_key(
    value: Any,
    *,
    persistent: bool = False,
    otherwise: Callable[[Any], Hashable] | None = None,
) -> Hashable:
    """Key of a value, such as an estimator's parameters, for a cache that is never stale.

    Arrays and containers are keyed by what they hold, estimators, kernels and dataclasses (Linen
    modules are) by their class and parameters. A function is keyed by itself, as in JAX, so one
    that is redefined under the same name gets another key. The key keeps the function alive, so
    its identity is never reused.

    Parameters
    ----------
    value : object
    persistent : bool, default=False
        Whether the key must be valid in other processes. Only functions and classes of
        libraries then have a key here, which is their name.
    otherwise : callable, default=None
        Gives the key of a part that has none here, in place of the error.

    Raises
    ------
    NoKeyError
        If the value has no key.
    """
    key = functools.partial(value_key, persistent=persistent, otherwise=otherwise)
    named = functools.partial(_definition_key, persistent=persistent, otherwise=otherwise)
    kind = type(value)
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return kind.__name__, repr(value)  # tells -0.0 from 0.0, and equates NaN with NaN
    if isinstance(value, type):
        return named(value)
    if isinstance(value, np.dtype | slice | range | enum.Enum):
        return named(kind), repr(value)
    if isinstance(value, np.random.RandomState | np.random.Generator):
        return named(kind), joblib.hash(value)
    if isinstance(value, Mapping):
        return named(kind), tuple((key(name), key(item)) for name, item in value.items())
    if isinstance(value, set | frozenset):
        return named(kind), frozenset(map(key, value))
    if isinstance(value, tuple | list):
        return named(kind), tuple(map(key, value))
    if isinstance(value, functools.partial):
        return "partial", key(value.func), key(value.args), key(value.keywords)
    if inspect.ismethod(value):
        return "method", key(value.__func__), key(value.__self__)
    if hasattr(value, "__array__"):
        return _array_key(np.asarray(value), key)
    if hasattr(value, "get_params"):
        return named(kind), key(value.get_params(deep=False))
    if dataclasses.is_dataclass(value):
        fields = [field.name for field in dataclasses.fields(value) if field.name != "parent"]
        return named(kind), tuple((name, key(getattr(value, name))) for name in fields)
    if callable(value) and (otherwise is None or _is_function(value)):
        return _function_key(value, named)
    if otherwise is not None:
        return otherwise(value)
    raise NoKeyError(f"{value!r} has no key.")


def _array_key(array: np.ndarray, key: Any) -> Hashable:
    if array.dtype.hasobject:
        return "array", array.shape, tuple(map(key, array.ravel().tolist()))
    return "array", array.shape, array.dtype.str, joblib.hash(np.ascontiguousarray(array))


def _function_key(function: Any, named: Any) -> Hashable:
    """Key of a function, also if JAX has transformed it, which makes copies compare unequal."""
    if not _is_function(function):
        raise NoKeyError(f"{function!r} has no key.")
    return type(function).__name__, *map(named, _function_parts(function))


def _is_function(value: Any) -> bool:
    return all(inspect.isroutine(part) for part in _function_parts(value))


def _function_parts(function: Any) -> list[Any]:
    """The function itself and the rules that JAX differentiates it by."""
    rules = [getattr(function, name, None) for name in ("jvp", "fwd", "bwd")]
    return [inspect.unwrap(part) for part in (function, *rules) if part is not None]


def _definition_key(
    definition: Any, persistent: bool, otherwise: Callable[[Any], Hashable] | None
) -> Hashable:
    """Key of a function or class: itself or, if persistent, its name."""
    if not persistent:
        return definition
    name = f"{definition.__module__}.{definition.__qualname__}"
    if is_of_library(definition) and "<" not in name:
        return name
    if otherwise is not None:
        return otherwise(definition)
    raise NoKeyError(f"{definition!r} may be defined differently in another process.")


def is_of_library(definition: Any) -> bool:
    """Whether a function or class is one of a library's, the same in any process."""
    return str(definition.__module__).partition(".")[0] in _LIBRARIES


class _Partial(functools.partial):
    """A partial that is equal to its copies, because its parts are compared."""

    def _parts(self) -> tuple[Any, ...]:
        return self.func, self.args, tuple(sorted(self.keywords.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Partial) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())


def comparable(function: Any) -> Any:
    """Return a function whose copies compare equal, so that `clone` causes no recompilation.

    A copy of a plain function is the function itself, but a copy of a `functools.partial` is
    not even equal to it.
    """
    if not isinstance(function, functools.partial):
        return function
    partial = _Partial(function.func, *function.args, **function.keywords)
    try:
        hash(partial)
    except TypeError:  # its arguments are not hashable, so there is no equality to rely on
        return function
    return partial
