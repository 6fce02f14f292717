"""Numbers about models under attack, and about kernels."""

from ._gradients import gradient_cosine_similarity, loss_gradient
from ._kernels import (
    cka,
    kernel_alignment,
    kernel_distance,
    polar_coordinates,
    spectral_concentration,
    subspace_overlap,
)
from ._robustness import (
    make_robust_scorer,
    robust_accuracy_score,
    robust_r2_score,
)

__all__ = [
    "cka",
    "gradient_cosine_similarity",
    "kernel_alignment",
    "kernel_distance",
    "loss_gradient",
    "make_robust_scorer",
    "polar_coordinates",
    "robust_accuracy_score",
    "robust_r2_score",
    "spectral_concentration",
    "subspace_overlap",
]
