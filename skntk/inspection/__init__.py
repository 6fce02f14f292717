"""Pictures: scikit-learn Displays of attacks, features, training and kernels."""

from ._adversarial import AdversarialExamplesDisplay
from ._feature_gradient import FeatureGradientDisplay
from ._perturbation_decomposition import PerturbationDecompositionDisplay
from ._robust_selection import RobustSelectionDisplay
from ._robustness_usefulness import RobustnessUsefulnessDisplay
from ._training_curve import TrainingCurveDisplay
from ._transfer import TransferDisplay

__all__ = [
    "AdversarialExamplesDisplay",
    "FeatureGradientDisplay",
    "PerturbationDecompositionDisplay",
    "RobustSelectionDisplay",
    "RobustnessUsefulnessDisplay",
    "TrainingCurveDisplay",
    "TransferDisplay",
]
