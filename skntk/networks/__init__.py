"""The interface of a network, its adapters, the paper's networks and a residual one."""

from typing import Any

from .._utils.optional import import_for, is_installed

_MODULES = ("CIFARConvNet", "MNISTConvNet", "ResNet18", "TwoLayerReLU")

__all__ = [*_MODULES] if is_installed("flax") else []


def __getattr__(name: str) -> Any:
    """Import the modules on first access, since Flax is an optional dependency."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_for(f"skntk.networks.{name}", "._modules", __name__, extra="flax"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
