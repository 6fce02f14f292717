"""A kernel's eigenvectors as features: which are useful, and which are robust."""

from ._decomposer import SpectralFeatureDecomposer
from ._selector import RobustFeatureSelector

__all__ = ["RobustFeatureSelector", "SpectralFeatureDecomposer"]
