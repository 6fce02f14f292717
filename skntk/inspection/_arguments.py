"""Arguments that several displays take: a sample, components, names."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from ..attacks import NTKAttack
from ..features._components import check_components

__all__ = ["as_sample", "check_free_attack", "check_length", "default_components"]

#: How many features the displays of single features show unless told.
_N_SHOWN = 5


def as_sample(x: Any) -> Any:
    """One sample as a matrix of one row; a DataFrame stays one, so that names are checked.

    Raises
    ------
    ValueError
        If `x` is several samples, or none.
    """
    sample = x if hasattr(x, "columns") else np.atleast_2d(np.asarray(x))
    if sample.shape[0] != 1 or sample.ndim != 2:
        raise ValueError(f"x has shape {sample.shape}; give one sample, (d,) or (1, d).")
    return sample


def default_components(components: Any, decomposers: Collection[Any]) -> NDArray:
    """Check components of fitted decomposers; None is the first few that all of them have."""
    for decomposer in decomposers:
        check_is_fitted(decomposer)
    p = min(len(decomposer.eigenvalues_) for decomposer in decomposers)
    return np.arange(min(_N_SHOWN, p)) if components is None else check_components(components, p)


def check_free_attack(attack: Any) -> NTKAttack:
    """An attack that is made on whatever is drawn; None: the default one."""
    attack = NTKAttack(None) if attack is None else attack
    if not isinstance(attack, NTKAttack):
        raise TypeError(f"attack={attack!r} is not an attack; give NTKAttack(None, ...).")
    if attack.estimator is not None or attack.targeted:
        raise ValueError(
            "attack has an estimator of its own, or is targeted; give NTKAttack(None, ...), which "
            "is made on the estimators that are drawn."
        )
    return attack


def check_length(name: str, values: Any, n: int) -> None:
    """Raise ValueError unless `values` is None or has n entries."""
    if values is not None and len(values) != n:
        raise ValueError(f"{name} has {len(values)} entries and {n} are drawn; give one for each.")
