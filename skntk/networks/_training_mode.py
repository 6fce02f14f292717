"""The training mode of networks: how a module is told, and what it may change."""

from __future__ import annotations

import inspect
from typing import Any

import jax
import numpy as np

from .._utils.precision import own_precision
from ._function import Network, failed

__all__ = [
    "carried",
    "check_training_mode",
    "mode_arguments",
    "other_flags",
    "refuse_idle_statistics",
]

#: Names by which Flax and its examples tell a module its mode, and their values in training.
_MODES = {
    "train": True,
    "training": True,
    "is_train": True,
    "is_training": True,
    "deterministic": False,
    "use_running_average": False,
    "inference": False,
    "eval_mode": False,
    "is_eval": False,
}


def mode_arguments(function: Any, *, training: bool) -> dict[str, Any]:
    """Arguments that tell a function the mode, as far as it has parameters of these names."""
    names = inspect.signature(function).parameters
    return {name: value is training for name, value in _MODES.items() if name in names}


def other_flags(function: Any) -> dict[str, Any]:
    """Arguments of a call that are True or False by default, and of no known name, inverted."""
    parameters = inspect.signature(function).parameters.items()
    return {
        name: not parameter.default
        for name, parameter in parameters
        if isinstance(parameter.default, bool) and name not in _MODES
    }


def carried(after: Any, before: Any) -> Any:
    """Variables that a training step leaves to the next one, in the dtypes they had.

    Raises
    ------
    ValueError
        If they are not the same ones as before, such as values that a module collects.
    """
    forms = [
        [(jax.tree_util.keystr(path), leaf.shape) for path, leaf in leaves]
        for leaves in map(jax.tree_util.tree_leaves_with_path, (after, before))
    ]
    if forms[0] != forms[1]:
        changed = ", ".join(sorted({name for name, _ in {*forms[0]} ^ {*forms[1]}}))
        raise ValueError(
            f"the variables {changed} appear, disappear or change their shape in training mode; "
            "only variables that keep their shape, such as running statistics, are supported"
        )
    return jax.tree.map(lambda new, old: new.astype(old.dtype), after, before)


def refuse_idle_statistics(network: Network, constants: Any) -> None:
    """Raise ValueError if running statistics would stay at the values they are born with."""
    if not network.has_training_mode and "batch_stats" in constants:
        raise ValueError(
            f"module {network.name!r} keeps running statistics ('batch_stats'), but is never told "
            f"that it is trained; give its call an argument named {' or '.join(_MODES)}."
        )


def check_training_mode(
    network: Network, params: Any, constants: Any, n_features: int, dtype: Any
) -> None:
    """Raise ValueError if the network does not run in training mode, or is not told of it."""
    _refuse_unknown_modes(network, params, constants, n_features, dtype)
    if not network.has_training_mode:
        return
    try:
        with own_precision():
            batch = jax.ShapeDtypeStruct((2, n_features), np.dtype(dtype))
            key = jax.eval_shape(lambda: jax.random.key(0))
            jax.eval_shape(network.apply_in_training, params, constants, batch, key)
    except Exception as error:  # whatever the network's own code raises
        raise failed(network, n_features, dtype, error) from error


def _refuse_unknown_modes(
    network: Network, params: Any, constants: Any, n_features: int, dtype: Any
) -> None:
    """Raise ValueError if an argument of no known name would switch the mode."""
    with own_precision():
        batch = jax.ShapeDtypeStruct((2, n_features), np.dtype(dtype))
        names = network.unknown_modes(params, constants, batch)
    if names:
        raise ValueError(
            f"module {network.name!r} draws random numbers or changes its variables if the "
            f"argument {' or '.join(names)} of its call is switched, and would be trained without "
            f"that; name the argument {' or '.join(_MODES)}, or make it a field of the module."
        )
