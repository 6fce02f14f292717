"""Displays, as in scikit-learn, of attacks, features, training and kernels."""

from ._adversarial import AdversarialExamplesDisplay
from ._concentration import ConcentrationDisplay
from ._ensemble_band import EnsembleBandDisplay
from ._feature_gradient import FeatureGradientDisplay
from ._kernel_distance import KernelDistanceDisplay
from ._kernel_matrix import KernelMatrixDisplay
from ._kernel_norm import KernelNormDisplay
from ._loss_gradient import LossGradientDisplay
from ._perturbation_decomposition import PerturbationDecompositionDisplay
from ._polar_dynamics import PolarDynamicsDisplay
from ._risk_over_time import RiskOverTimeDisplay
from ._robust_accuracy import RobustAccuracyDisplay
from ._robust_selection import RobustSelectionDisplay
from ._robustness_usefulness import RobustnessUsefulnessDisplay
from ._training_curve import TrainingCurveDisplay
from ._transfer import TransferDisplay
from ._transfer_matrix import TransferMatrixDisplay

__all__ = [
    "AdversarialExamplesDisplay",
    "ConcentrationDisplay",
    "EnsembleBandDisplay",
    "FeatureGradientDisplay",
    "KernelDistanceDisplay",
    "KernelMatrixDisplay",
    "KernelNormDisplay",
    "LossGradientDisplay",
    "PerturbationDecompositionDisplay",
    "PolarDynamicsDisplay",
    "RiskOverTimeDisplay",
    "RobustAccuracyDisplay",
    "RobustSelectionDisplay",
    "RobustnessUsefulnessDisplay",
    "TrainingCurveDisplay",
    "TransferDisplay",
    "TransferMatrixDisplay",
]
