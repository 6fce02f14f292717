"""A kernel's eigenvectors as features, with their usefulness and robustness."""

from ._decomposer import SpectralFeatureDecomposer
from ._selector import RobustFeatureSelector

__all__ = ["RobustFeatureSelector", "SpectralFeatureDecomposer"]
