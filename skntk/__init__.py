"""The neural tangent kernel for scikit-learn, for the study of adversarial robustness."""

from typing import Any

from ._utils.shadowing import check_not_shadowed

check_not_shadowed()

from ._utils.optional import is_installed
from .attacks import AffineMap, AttackResult, NTKAttack
from .dynamics import KernelDynamicsTracker
from .features import RobustFeatureSelector, SpectralFeatureDecomposer
from .finite import AdversarialTraining
from .infinite import NTKClassifier, NTKClassifierCV, NTKRegressor, NTKRegressorCV
from .interop import FunctionClassifier
from .kernels import load_neural_tangents

__all__ = [
    "AdversarialTraining",
    "AffineMap",
    "AttackResult",
    "FlaxClassifier",
    "FunctionClassifier",
    "KernelDynamicsTracker",
    "NTKAttack",
    "NTKClassifier",
    "NTKClassifierCV",
    "NTKRegressor",
    "NTKRegressorCV",
    "RobustFeatureSelector",
    "SpectralFeatureDecomposer",
    "load_neural_tangents",
]
if not is_installed("optax"):  # `from skntk import *` takes what there is
    __all__.remove("FlaxClassifier")

__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """Import what needs Flax when it is asked for."""
    if name != "FlaxClassifier":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .finite import FlaxClassifier

    return FlaxClassifier


def __dir__() -> list[str]:
    return sorted(__all__)
