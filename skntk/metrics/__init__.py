"""Numbers about models under attack, and about kernels."""

from ._kernels import kernel_distance, polar_coordinates, spectral_concentration
from ._robustness import gradient_cosine_similarity, make_robust_scorer, robust_accuracy_score

__all__ = [
    "gradient_cosine_similarity",
    "kernel_distance",
    "make_robust_scorer",
    "polar_coordinates",
    "robust_accuracy_score",
    "spectral_concentration",
]
