"""Flax Linen modules as pure functions, in inference and in training mode."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Hashable, Mapping
from typing import Any

import jax
from flax import linen
from flax.errors import InvalidRngError

from .._utils.copying import copy_module
from ._function import as_outputs, network_key, shaped
from ._training_mode import carried, mode_arguments, other_flags

__all__ = ["LinenNetwork", "is_linen", "wrap_linen", "wrap_linen_variables"]


@dataclasses.dataclass(frozen=True, eq=False)
class LinenNetwork:
    """A Linen module; all collections except "params" are constants."""

    module: linen.Module
    input_shape: tuple[int, ...] | None

    @property
    def name(self) -> str:
        """Name of the module's class."""
        return type(self.module).__name__

    @functools.cached_property
    def _key(self) -> Hashable:
        # The module's own comparison fails for array fields, and its hash for lists.
        return network_key(self.module, self.input_shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LinenNetwork) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __reduce__(self) -> Any:
        return LinenNetwork, (self.module, self.input_shape)

    def init(self, key: jax.Array, x: jax.Array) -> tuple[Any, Any]:
        """Draw parameters for inputs like `x`."""
        module, mode = self._in_mode(training=False)
        variables = dict(module.init(key, shaped(x, self.input_shape), **mode))
        return variables.pop("params", {}), variables

    def apply(self, params: Any, constants: Any, x: jax.Array) -> Any:
        """Outputs (n, k)."""
        module, mode = self._in_mode(training=False)
        variables = {"params": params, **constants}
        return as_outputs(module.apply(variables, shaped(x, self.input_shape), **mode), x)

    @functools.cached_property
    def has_training_mode(self) -> bool:
        """Whether a field of the module, or an argument of its call, tells it the mode."""
        return bool(self._fields(training=True) or self._arguments(training=True))

    def apply_in_training(
        self, params: Any, constants: Any, x: jax.Array, key: jax.Array
    ) -> tuple[Any, Any]:
        """Outputs (n, k) of a batch in training mode, and the collections after it."""
        module, mode = self._in_mode(training=True)
        outputs, after = module.apply(
            {"params": params, **constants},
            shaped(x, self.input_shape),
            **mode,
            # Flax draws from "params" whatever random numbers have no stream of their own.
            rngs=dict(zip(("params", "dropout"), jax.random.split(key), strict=True)),
            mutable=[*constants],
        )
        return as_outputs(outputs, x), carried({**constants, **after}, constants)

    def unknown_modes(self, params: Any, constants: Any, x: Any) -> list[str]:
        """Boolean arguments of the call, of no known name, that switch the mode."""
        module, mode = self._in_mode(training=False)
        found = []

        def call(params: Any, constants: Any, x: jax.Array, flag: dict[str, Any]) -> Any:
            variables = {"params": params, **constants}
            return module.apply(variables, shaped(x, self.input_shape), **(mode | flag))

        for name, value in other_flags(type(self.module).__call__).items():
            try:
                jax.eval_shape(functools.partial(call, flag={name: value}), params, constants, x)
            except InvalidRngError:  # statistics that rest are refused, or meant, by themselves
                found.append(name)
            except Exception:  # an argument that switches something else may need more than that
                continue
        return found

    def _in_mode(self, *, training: bool) -> tuple[linen.Module, dict[str, Any]]:
        """Return the module in a mode, and the arguments of its call."""
        fields, arguments = self._fields(training), self._arguments(training)
        return (self.module.clone(**fields) if fields else self.module), arguments

    def _fields(self, training: bool) -> dict[str, Any]:
        """Fields that tell the mode; one that is None leaves it to the call."""
        modes = mode_arguments(type(self.module), training=training)
        return {k: v for k, v in modes.items() if isinstance(getattr(self.module, k), bool)}

    def _arguments(self, training: bool) -> dict[str, Any]:
        modes = mode_arguments(type(self.module).__call__, training=training)
        return {k: v for k, v in modes.items() if k not in self._fields(training)}


def is_linen(module: Any) -> bool:
    """Whether `module` is a Linen module or a class of Linen modules."""
    if isinstance(module, type):
        return issubclass(module, linen.Module)
    return isinstance(module, linen.Module)


def wrap_linen(module: Any, shape: tuple[int, ...] | None, n_outputs: int) -> LinenNetwork:
    """Network of a module or class; a field ``n_outputs`` of None is set to `n_outputs`."""
    # A copy, since the key of compilation must not change if the user changes a list field.
    module = module() if isinstance(module, type) else copy_module(module)
    fields = {field.name for field in dataclasses.fields(module)}
    if "n_outputs" in fields and module.n_outputs is None:
        module = module.clone(n_outputs=n_outputs)
    return LinenNetwork(module, shape)


def wrap_linen_variables(
    module: linen.Module, variables: Any, shape: tuple[int, ...] | None
) -> tuple[LinenNetwork, Any, Any]:
    """Network, parameters and constants of a module with its variables, or its parameters."""
    if not isinstance(variables, Mapping):
        raise TypeError(
            f"params is a {type(variables).__name__}; give the variables that module.init returns, "
            "or their 'params' alone, which is `state.params` of a TrainState."
        )
    variables = dict(variables) if "params" in variables else {"params": variables}
    network = LinenNetwork(copy_module(module), shape)
    return network, variables.pop("params"), variables
