"""Infinitely wide networks: kernel machines at any time, in closed form."""

from ._classifier import NTKClassifier
from ._classifier_cv import NTKClassifierCV

__all__ = ["NTKClassifier", "NTKClassifierCV"]
