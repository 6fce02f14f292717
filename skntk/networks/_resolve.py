"""From any form of network that a user may pass to a pair of pure functions."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._utils.optional import import_for
from .._utils.showing import shown
from ._function import FunctionNetwork, Network

__all__ = ["FittedNetwork", "is_trained", "make_network", "wrap_function", "wrap_trained"]


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """A network without its parameters, as an estimator keeps it.

    Attributes
    ----------
    network : Network
    constants : tree of arrays
        What the network needs besides its parameters, such as running statistics.
    """

    network: Network
    constants: Any

    def __repr__(self) -> str:
        return f"FittedNetwork({self.network.name})"


def is_trained(module: Any) -> bool:
    """Whether a module carries its own parameters, as NNX modules do."""
    return _flax_is_loaded() and _nnx().is_nnx(module)


def make_network(module: Any, input_shape: Any, n_outputs: int) -> Network:
    """Wrap a Linen module or class, or an NNX class or factory ``rngs -> module``.

    If a Linen module has a field ``n_outputs`` that is None, it is set to `n_outputs`.

    Raises
    ------
    TypeError
        If `module` is none of these.
    ImportError
        If `module` may be one of these, but Flax is not installed.
    """
    shape = _as_shape(input_shape)
    if is_trained(module) or not (callable(module) or _is_linen(module)):
        raise TypeError(
            f"module={shown(module)} must be a Linen module, an NNX module class, or a function "
            "from nnx.Rngs to an NNX module; pass a trained NNX module to "
            "FlaxClassifier.from_params."
        )
    if _is_linen(module):
        return _linen().wrap_linen(module, shape, n_outputs)
    return _nnx().wrap_nnx_factory(module, shape)


def wrap_trained(module: Any, params: Any, input_shape: Any) -> tuple[Network, Any, Any]:
    """Network, parameters and constants of a module or function with given parameters.

    Raises
    ------
    TypeError
        If `module` is neither an NNX module, nor a Linen module or function with `params`, or
        if `params` has a form that does not belong to it.
    """
    if isinstance(module, FittedNetwork):
        return module.network, params, module.constants
    shape = _as_shape(input_shape)
    if is_trained(module):
        return _nnx().wrap_nnx(module, params, shape)
    if params is None or not (callable(module) or _is_linen(module)):
        raise TypeError(
            f"module={shown(module)} must be an NNX module, or, together with params, a Linen "
            "module or a function apply_fn(params, x)."
        )
    if _is_linen(module):
        return _linen().wrap_linen_variables(module, params, shape)
    return wrap_function(module, params, shape), params, {}


def wrap_function(
    function: Any, params: Any, input_shape: tuple[int, ...] | None
) -> FunctionNetwork:
    """Wrap a function ``apply_fn(params, x)``.

    Raises
    ------
    TypeError
        If it is a module, or no function at all.
    ValueError
        If it is the ``apply`` of a Linen module, and `params` lacks the collection "params".
    """
    if _is_linen(function):
        raise TypeError(
            f"apply_fn={shown(function, 60)} is a Linen module; give apply_fn=module.apply, and as "
            "params the variables that it takes."
        )
    if is_trained(function):
        raise TypeError(
            f"apply_fn={shown(function, 60)} is an NNX module; divide it by graph, params = "
            "nnx.split(module), and give apply_fn=lambda params, x: nnx.merge(graph, params)(x)."
        )
    if not callable(function):
        raise TypeError(f"apply_fn={shown(function, 60)} must be a function of (params, x).")
    of_module = _is_linen(getattr(function, "__self__", None)) and function.__name__ == "apply"
    if of_module and not (isinstance(params, Mapping) and "params" in params):
        raise ValueError(
            "params of module.apply are all its variables, a dict with 'params', which is not in "
            "what was given; give {'params': params}."
        )
    return FunctionNetwork(function, input_shape)


def _as_shape(input_shape: Any) -> tuple[int, ...] | None:
    return None if input_shape is None else tuple(input_shape)


def _flax_is_loaded() -> bool:
    """Whether Flax has been imported; before that, no object can be one of its modules."""
    return sys.modules.get("flax") is not None


def _is_linen(module: Any) -> bool:
    return _flax_is_loaded() and _linen().is_linen(module)


def _linen() -> Any:
    from . import _linen

    return _linen


def _nnx() -> Any:
    return import_for("A network without params", "._nnx", __package__, extra="flax")
