"""Networks of finite width, and their standard, adversarial or linearised training."""

from typing import Any

from .._utils.optional import import_for, is_installed
from ._adversarial_training import AdversarialTraining

__all__ = ["AdversarialTraining", "FlaxClassifier"]
if not is_installed("optax"):
    __all__.remove("FlaxClassifier")


def __getattr__(name: str) -> Any:
    """Import `FlaxClassifier` on first access, since Optax is an optional dependency."""
    if name != "FlaxClassifier":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_for(name, "._classifier", __name__, extra="flax").FlaxClassifier
