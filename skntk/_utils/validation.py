"""Checks whose errors name the wrong parameter, its value and the remedy."""

from __future__ import annotations

import numbers
from collections.abc import Collection
from typing import Any

import numpy as np
import scipy.sparse

from .showing import shown

__all__ = [
    "check_array_or_real",
    "check_boolean",
    "check_integer",
    "check_no_text",
    "check_norm",
    "check_option",
    "check_real",
    "check_ridge",
    "check_table",
]

#: Norms by the names that people write.
_NORMS = {"inf": np.inf, "linf": np.inf, "l_inf": np.inf, "2": 2.0, "l2": 2.0, "l_2": 2.0}


def check_table(X: Any) -> None:
    """Raise for inputs that are no table of samples, with the line that makes them one.

    Everything else about them is for scikit-learn to say.

    Raises
    ------
    ValueError
        For images (n, H, W, C) or (n, H, W), as an array or a list of them.
    TypeError
        For a loader of batches, or a DataFrame of sparse columns.
    """
    if scipy.sparse.issparse(X):
        return
    kind = type(X).__name__
    if hasattr(X, "__iter__") and not hasattr(X, "__getitem__") and not hasattr(X, "__array__"):
        raise TypeError(
            f"X is a {kind}, which yields batches; put them together: "
            "X = np.concatenate([np.asarray(x).reshape(len(x), -1) for x, _ in X])."
        )
    if isinstance(X, list | tuple):
        first: Any = X[0] if len(X) else None
        is_image = hasattr(first, "__array_interface__") or hasattr(first, "__array__")
        if is_image and np.ndim(first) >= 2:
            raise ValueError(
                f"X is a {kind} of images of shape {np.shape(first)}; give one sample a row: "
                "np.stack([np.asarray(x) for x in X]).reshape(len(X), -1)."
            )
    shape = getattr(X, "shape", ())
    if isinstance(shape, tuple) and len(shape) >= 3:
        first = len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3)
        moved = ".transpose(0, 2, 3, 1)" if first and shape[1] == 3 else ""
        raise ValueError(
            f"X has shape {tuple(shape)}; give one sample a row: X{moved}.reshape(len(X), -1), "
            "with height, width and channels in this order."
        )
    dtypes: Any = getattr(X, "dtypes", None)
    if getattr(dtypes, "size", 0) and all(type(d).__name__ == "SparseDtype" for d in dtypes):
        raise TypeError("X is a DataFrame of sparse columns; give X.sparse.to_dense().")


def check_no_text(X: Any, remedy: str) -> None:
    """Raise ValueError for a table with columns of text, or of anything else but numbers."""
    if isinstance(X, np.ndarray) and X.dtype != object:
        return  # of one kind throughout, which is for scikit-learn to say
    names = X.column_names if hasattr(X, "column_names") else getattr(X, "columns", None)
    if names is None:
        X = np.asarray(X, dtype=object)
        names = range(X.shape[1] if X.ndim == 2 else 0)
        columns = [X[:, name] for name in names]
    else:
        columns = [X[name] for name in names]
    wrong = {
        name: column
        for name, column in zip(names, columns, strict=True)
        if not _holds_numbers(column)
    }
    if wrong:
        first = np.asarray(next(iter(wrong.values())))
        raise ValueError(
            f"X has columns {[*wrong]}, which hold {first[0]!r} and are no numbers; {remedy}."
        )


def _holds_numbers(column: Any) -> bool:
    try:
        np.asarray(column, dtype=float)
    except (TypeError, ValueError):
        return False
    return True


def check_option(name: str, value: Any, options: Collection) -> None:
    """Raise ValueError unless `value` is one of `options`."""
    # `in` would compare arrays elementwise and accept True for 1; NumPy strings are accepted.
    kind = str if isinstance(value, str) else type(value)
    if not any(type(option) is kind and value == option for option in options):
        listed = ", ".join(repr(option) for option in options)
        raise ValueError(f"{name}={shown(value)} is not supported; choose one of {listed}.")


def check_real(
    name: str, value: Any, *, low: float = -np.inf, allow_inf: bool = False, strict: bool = False
) -> float:
    """Return `value` as a float; raise unless it is a real number with `value >= low`.

    With `strict`, `value > low`. NaN is never accepted; infinity only with `allow_inf`.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(
            f"{name} must be a real number, got {shown(value)} ({type(value).__name__})."
        )
    number = float(value)
    bound = f"{'greater than' if strict else 'at least'} {low:g}"
    too_low = number <= low if strict else number < low
    if np.isnan(number) or too_low or (np.isinf(number) and not allow_inf):
        finite = "" if allow_inf else " and finite"
        raise ValueError(f"{name}={shown(value)} is out of range; give a number {bound}{finite}.")
    return number


def check_ridge(alpha: Any, dtype: Any = np.float64) -> float:
    """Return a ridge as a float; raise unless it is 0 or more and far from overflow in `dtype`."""
    number = check_real("alpha", alpha, low=0.0)
    largest = float(np.finfo(dtype).max) / 1e6
    if number > largest:
        raise ValueError(
            f"alpha={alpha!r} overflows in {np.dtype(dtype).name}; give at most {largest:.0e}, or "
            "float64 inputs."
        )
    return number


def check_boolean(name: str, value: Any) -> None:
    """Raise TypeError unless `value` is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(
            f"{name} must be True or False, got {shown(value)} ({type(value).__name__})."
        )


def check_integer(name: str, value: Any, *, low: int) -> int:
    """Return `value` as an int; raise unless it is an integer with `value >= low`."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {shown(value)} ({type(value).__name__}).")
    if value < low:
        raise ValueError(
            f"{name}={shown(value)} is out of range; give an integer of at least {low}."
        )
    return int(value)


def check_array_or_real(
    name: str, value: Any, n_features: int, *, low: float = -np.inf, hint: str = ""
) -> Any:
    """Return a scalar, or a float64 vector with one value per feature, all >= `low`.

    `hint` is a sentence for whoever gives a vector of another length.
    """
    if np.ndim(value) == 0 and not isinstance(value, np.ndarray):
        return check_real(name, value, low=low)
    try:
        vector = np.asarray(value)
    except ValueError as error:  # ragged
        raise ValueError(f"{name}={shown(value)} is not a number or a vector: {error}") from None
    if vector.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be numeric and real, got an array of {vector.dtype}.")
    if vector.ndim == 0:
        return check_real(name, float(vector), low=low)
    # An image-shaped array holds one value per pixel; estimators use flat vectors.
    vector = vector.astype(np.float64).ravel()
    if vector.shape != (n_features,):
        raise ValueError(
            f"{name} has {vector.size} values for {n_features} features; "
            f"give a number, or one value per feature. {hint}".rstrip()
        )
    wrong = ~np.isfinite(vector) | (vector < low)
    if wrong.any():
        bound = "finite" if np.isinf(low) else f"finite and at least {low:g}"
        raise ValueError(
            f"{name} must be {bound} in every feature, got {vector[wrong][0]:g}; give one "
            f"number per feature, {bound}."
        )
    return vector


def check_norm(norm: Any) -> float:
    """Return a norm as inf or 2, also for names such as "inf", "linf" and "l2"; raise otherwise."""
    if isinstance(norm, str):
        number = _NORMS.get(norm.lower())
    else:
        number = norm if np.ndim(norm) == 0 and norm in (2, np.inf) else None
    if number is None:
        raise ValueError(
            f"norm={shown(norm)} is not supported; choose np.inf or 2, or 'linf' or 'l2'."
        )
    return float(number)
