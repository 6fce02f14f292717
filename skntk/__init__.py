"""The neural tangent kernel for scikit-learn, for the study of adversarial robustness."""

from ._shadowing import check_not_shadowed

check_not_shadowed()

from ._affine import AffineMap
from ._classifier import NTKClassifier
from ._decomposer import SpectralFeatureDecomposer
from ._neural_tangents import load as load_neural_tangents
from ._selector import RobustFeatureSelector
from .attacks import AttackResult, NTKAttack

__all__ = [
    "AffineMap",
    "AttackResult",
    "NTKAttack",
    "NTKClassifier",
    "RobustFeatureSelector",
    "SpectralFeatureDecomposer",
    "load_neural_tangents",
]

__version__ = "0.1.0"
