"""Infinitely wide networks as kernel machines, at any training time, in closed form."""

from ._classifier import NTKClassifier
from ._classifier_cv import NTKClassifierCV

__all__ = ["NTKClassifier", "NTKClassifierCV"]
