"""Optax optimisers by name, function or transformation, hashable as static arguments of `jit`."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import jax
import numpy as np
import optax

from .._utils.keys import comparable
from .._utils.validation import check_real

__all__ = [
    "Optimizer",
    "check_optimizer",
    "convert_state",
    "init_optimizer",
    "make_optimizer",
    "optimizer_key",
]

#: (name or function or transformation, schedule or None). A constant rate is an argument of the
#: compiled functions, so that another rate does not cause another compilation.
Optimizer = tuple[Any, Any]


def _names() -> tuple[str, ...]:
    """Names of Optax's optimisers: functions whose first parameter is a learning rate."""
    found = []
    for name, function in vars(optax).items():
        if inspect.isfunction(function) and not name.startswith(("_", "scale_by")):
            parameters = inspect.signature(function).parameters
            if next(iter(parameters), None) == "learning_rate" and name != "lbfgs":
                found.append(name)
    return tuple(sorted(found))


_NAMES = _names()


def _is_transformation(optimizer: Any) -> bool:
    return isinstance(optimizer, optax.GradientTransformation | optax.MultiSteps)


def check_optimizer(optimizer: Any, learning_rate: Any) -> None:
    """Raise unless the arguments define an optimiser and its learning rate."""
    if not callable(learning_rate):
        check_real("learning_rate", learning_rate, low=0.0, strict=True)
    if isinstance(optimizer, str):
        if optimizer not in _NAMES:
            raise ValueError(
                f"optimizer={optimizer!r} is not the name of an optimiser in optax that takes a "
                f"learning rate; choose one of {', '.join(_NAMES)}, or give a transformation."
            )
    elif not (callable(optimizer) or _is_transformation(optimizer)):
        raise TypeError(
            f"optimizer={optimizer!r} must be the name of an optimiser in optax, a function from "
            "the learning rate to one, or an optax.GradientTransformation."
        )
    try:
        made = make_optimizer(optimizer_key(optimizer, learning_rate), learning_rate)
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"optimizer={optimizer!r} cannot be made from a learning rate alone ({error}); bind "
            "its other arguments with functools.partial."
        ) from error
    if not isinstance(made, optax.GradientTransformation):
        raise ValueError(
            f"optimizer={optimizer!r} returns a {type(made).__name__} for a learning rate; it must "
            "return an optax.GradientTransformation."
        )
    _check_updates(optimizer, made)


def _check_updates(optimizer: Any, made: optax.GradientTransformation) -> None:
    """Raise ValueError for an optimiser that needs more than gradients and parameters."""

    def step(weights: dict[str, jax.Array]) -> Any:
        return made.update(weights, made.init(weights), weights)

    try:
        jax.eval_shape(step, {"weights": jax.ShapeDtypeStruct((2, 2), np.float32)})
    except Exception as error:
        raise ValueError(
            f"optimizer={optimizer!r} needs more than gradients and parameters for a step "
            f"({error}); choose one that does not, such as 'adam'."
        ) from error


def optimizer_key(optimizer: Any, learning_rate: Any) -> Optimizer:
    """Return the part of an optimiser that is a static argument of compiled functions."""
    schedule = comparable(learning_rate) if callable(learning_rate) else None
    return comparable(optimizer), schedule


def make_optimizer(optimizer: Optimizer, learning_rate: Any) -> optax.GradientTransformation:
    """Optax optimiser with the given learning rate, unless it has a schedule."""
    rule, schedule = optimizer
    if isinstance(rule, optax.MultiSteps):
        return rule.gradient_transformation()
    if isinstance(rule, optax.GradientTransformation):
        return rule
    rule = getattr(optax, rule) if isinstance(rule, str) else rule
    return rule(learning_rate if schedule is None else schedule)


@partial(jax.jit, static_argnums=0)
def init_optimizer(optimizer: Optimizer, params: Any, learning_rate: Any) -> Any:
    """Initial state of the optimiser."""
    return make_optimizer(optimizer, learning_rate).init(params)


def convert_state(state: Any, before: np.dtype, dtype: np.dtype) -> Any:
    """Convert the parts of a state that have the dtype of the parameters to another dtype."""

    def convert(leaf: Any) -> Any:
        return leaf.astype(dtype) if leaf.dtype == before else leaf

    return jax.tree.map(convert, state)
