"""Infinitely wide networks as kernel machines, at any training time, in closed form."""

from ._classifier import NTKClassifier
from ._classifier_cv import NTKClassifierCV
from ._regressor import NTKRegressor
from ._regressor_cv import NTKRegressorCV

__all__ = ["NTKClassifier", "NTKClassifierCV", "NTKRegressor", "NTKRegressorCV"]
