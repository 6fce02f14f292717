"""Flax Linen modules as pairs of pure functions."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Hashable, Mapping
from typing import Any

import jax
from flax import linen

from .._utils.copying import copy_module
from ._function import as_outputs, network_key, refuse_batch_statistics, shaped

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
        variables = dict(self.module.init(key, shaped(x, self.input_shape)))
        return variables.pop("params", {}), _constants(variables)

    def apply(self, params: Any, constants: Any, x: jax.Array) -> Any:
        """Outputs (n, k)."""
        variables = {"params": params, **constants}
        return as_outputs(self.module.apply(variables, shaped(x, self.input_shape)), x)


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
    return network, variables.pop("params"), _constants(variables)


def _constants(variables: dict[str, Any]) -> dict[str, Any]:
    refuse_batch_statistics(variables.get("batch_stats"))
    return variables
