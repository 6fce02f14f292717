"""Checks of arguments that several Displays share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from ..attacks import NTKAttack
from ..attacks._free_attack import check_free_attack
from ..features._components import check_components

__all__ = [
    "as_numbers",
    "as_sample",
    "check_length",
    "check_mapping",
    "check_square",
    "class_names",
    "default_components",
    "free_attack",
]

#: Number of features that are shown by default.
_N_SHOWN = 5


def as_sample(x: Any) -> Any:
    """Return one sample as a matrix with one row.

    A DataFrame is returned as it is, so that its feature names can be checked later.

    Raises
    ------
    ValueError
        If `x` does not hold exactly one sample.
    """
    sample = x if hasattr(x, "columns") else np.atleast_2d(np.asarray(x))
    if sample.shape[0] != 1 or sample.ndim != 2:
        raise ValueError(f"x has shape {sample.shape}; give one sample, (d,) or (1, d).")
    return sample


def default_components(components: Any, decomposers: Collection[Any]) -> NDArray:
    """Check indices of features; None chooses the first few that all decomposers have."""
    for decomposer in decomposers:
        check_is_fitted(decomposer)
    p = min(len(decomposer.eigenvalues_) for decomposer in decomposers)
    return np.arange(min(_N_SHOWN, p)) if components is None else check_components(components, p)


def free_attack(attack: Any) -> NTKAttack:
    """An attack that is made on whatever is drawn; None: the default one."""
    attack = NTKAttack(None) if attack is None else attack
    check_free_attack(attack)
    return attack


def class_names(labels: NDArray, target_names: Any) -> list[str]:
    """Return the name of each label; a label that a mapping leaves out stands for itself.

    Raises
    ------
    TypeError
        If `target_names` is no mapping and no sequence.
    ValueError
        If a sequence has no place for a label.
    """
    labels = labels.tolist()
    if target_names is None or isinstance(target_names, Mapping):
        return [str((target_names or {}).get(label, label)) for label in labels]
    if isinstance(target_names, str) or not isinstance(target_names, Sequence | np.ndarray):
        raise TypeError(
            f"target_names={target_names!r} must be a mapping from label to name, or a sequence."
        )
    names = dict(enumerate(target_names))
    for label in labels:
        if label not in names:
            raise ValueError(
                f"target_names has {len(names)} entries, and label {label!r} is no place among "
                "them; give a mapping from label to name."
            )
    return [str(names[label]) for label in labels]


def check_mapping(name: str, values: Any) -> None:
    """Raise unless `values` is a mapping that is not empty.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If it is empty.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"{name} must be a mapping from names, got {type(values).__name__}.")
    if not values:
        raise ValueError(f"{name} is empty; give at least one.")


def check_square(name: str, matrix: NDArray) -> None:
    """Raise ValueError unless `matrix` is a square matrix that is not empty."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ValueError(f"{name} has shape {matrix.shape}; give a square matrix.")


def check_length(name: str, values: Any, n: int) -> None:
    """Raise ValueError unless `values` is None or has n entries."""
    if values is not None and len(values) != n:
        raise ValueError(f"{name} has {len(values)} entries, but {n} are needed.")


def as_numbers(name: str, values: Any) -> NDArray:
    """Array of floats; raise TypeError for what is none."""
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        kind = type(values).__name__
        raise TypeError(f"{name} must be a vector of numbers, got {kind}.") from None
