"""Choice of held-out samples, and scores on them of machines with fewer features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from .._utils.targets import label_indices
from ..attacks._box import check_clip_values
from ._decomposer import SpectralFeatureDecomposer
from ._machine_scores import score_machines

__all__ = [
    "HeldOut",
    "Samples",
    "ValidationCurve",
    "dual_coef",
    "split_classes",
    "validation_curve",
]

#: How many numbers of features are tried if the user gives none.
_N_CANDIDATES = 24


class Samples(NamedTuple):
    """Inputs (n, d), labels (n,), and weights (n,) or None for ones."""

    X: NDArray
    y: NDArray
    weights: NDArray | None = None

    def rows(self, indices: NDArray) -> Samples:
        """Return some of the samples."""
        return Samples(
            self.X[indices],
            self.y[indices],
            None if self.weights is None else self.weights[indices],
        )


class HeldOut(NamedTuple):
    """A fitted decomposer and samples on which it was not fitted."""

    decomposer: SpectralFeatureDecomposer
    samples: Samples


@dataclass(frozen=True, eq=False)
class ValidationCurve:
    """Accuracy on held-out samples against the number of features kept.

    Attributes
    ----------
    n_features : ndarray of int of shape (q,)
        Numbers of features.
    accuracy, robust_accuracy : ndarray of shape (q,)
        Accuracy on clean samples and under FGSM.
    """

    n_features: NDArray
    accuracy: NDArray
    robust_accuracy: NDArray

    def best(self) -> int:
        """Return the most robust number; among equals, the most accurate, then the smallest."""
        order = np.lexsort((-self.n_features, self.accuracy, self.robust_accuracy))
        return int(self.n_features[order[-1]])


def validation_curve(folds: list[HeldOut], ranking: NDArray, **ball: Any) -> ValidationCurve:
    """Accuracies at about two dozen numbers of best-ranked features, averaged over folds."""
    p = len(ranking)
    counts = np.unique(np.geomspace(1, p, min(p, _N_CANDIDATES)).round().astype(int))
    scores = [_score_cuts(*fold, ranking, counts, **ball) for fold in folds]
    return ValidationCurve(counts, *np.mean(scores, axis=0))


def _score_cuts(
    decomposer: SpectralFeatureDecomposer,
    samples: Samples,
    ranking: NDArray,
    counts: NDArray,
    *,
    eps: Any,
    norm: float,
    clip_values: Any,
) -> tuple[NDArray, NDArray]:
    """Accuracy, clean and under FGSM, at each number of features."""
    clean, robust = score_machines(
        decomposer._expansion(),
        decomposer.X_fit_,
        len(counts),
        lambda chosen: np.stack([dual_coef(decomposer, ranking, r) for r in counts[chosen]]),
        samples.X,
        label_indices(samples.y, decomposer.classes_),
        budgets=np.asarray(eps)[None],
        norm=norm,
        box=check_clip_values(clip_values, samples.X),
        weights=samples.weights,
    )
    return clean, robust[:, 0]


def dual_coef(decomposer: SpectralFeatureDecomposer, ranking: NDArray, n_features: int) -> NDArray:
    """Dual coefficients (n, k) of the sum of the best features."""
    # A fold has fewer samples than the whole, hence fewer features, but for rounding.
    kept = np.flatnonzero(ranking[: len(decomposer.eigenvalues_)] <= n_features)
    return decomposer._sum_of_features(kept)


def split_classes(y: NDArray, fraction: float, random_state: Any) -> tuple[NDArray, NDArray]:
    """Indices to decompose and to hold out, a fraction of each class but never all of it.

    With ``random_state=None``, the last samples of each class are held out.
    """
    classes, indices = np.unique(y, return_inverse=True)
    rng = None if random_state is None else check_random_state(random_state)
    held_out = np.zeros(len(y), dtype=bool)
    for k in range(len(classes)):
        members = np.flatnonzero(indices == k)
        if rng is not None:
            members = rng.permutation(members)
        # A class of one sample stays with the decomposition.
        n_held_out = min(len(members) - 1, max(1, round(fraction * len(members))))
        held_out[members[len(members) - n_held_out :]] = True
    if not held_out.any():
        raise ValueError(
            f"n_samples={len(y)} in {len(classes)} classes leave none to rank features on; give "
            "at least two samples of some class, or cv='prefit'."
        )
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
