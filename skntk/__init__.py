"""The neural tangent kernel for scikit-learn, for the study of adversarial robustness."""

from typing import Any

from ._shadowing import check_not_shadowed

check_not_shadowed()

from ._adversarial_training import AdversarialTraining
from ._affine import AffineMap
from ._classifier import NTKClassifier
from ._classifier_cv import NTKClassifierCV
from ._decomposer import SpectralFeatureDecomposer
from ._neural_tangents import load as load_neural_tangents
from ._selector import RobustFeatureSelector
from .attacks import AttackResult, NTKAttack
from .dynamics import KernelDynamicsTracker

__all__ = [
    "AdversarialTraining",
    "AffineMap",
    "AttackResult",
    "FlaxClassifier",
    "KernelDynamicsTracker",
    "NTKAttack",
    "NTKClassifier",
    "NTKClassifierCV",
    "RobustFeatureSelector",
    "SpectralFeatureDecomposer",
    "load_neural_tangents",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import what needs Flax only when it is asked for: Flax is an optional dependency."""
    if name != "FlaxClassifier":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from ._flax_classifier import FlaxClassifier
    except ModuleNotFoundError as error:
        if error.name not in ("flax", "optax"):
            raise
        raise ImportError(
            f"FlaxClassifier needs {error.name}, which is not installed; pip install 'skntk[flax]'."
        ) from error
    return FlaxClassifier


def __dir__() -> list[str]:
    return sorted(__all__)
