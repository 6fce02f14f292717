"""What an attack returns: adversarial examples at each budget, and a report on the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from ._black_box import Model
from ._doubts import doubts
from ._search import BestIterate
from ._stages import BatchSearch, stage_names

__all__ = ["AttackResult", "Record"]


@dataclass(frozen=True)
class AttackResult:
    """Adversarial examples at each budget, and a report.

    Attributes
    ----------
    X_adv : ndarray of shape (E, n, d)
        Adversarial examples.
    success : ndarray of bool of shape (E, n)
        Whether each is misclassified (or, if targeted, classified as its target). What
        succeeds at one budget succeeds at every budget that contains it.
    epsilons : ndarray of shape (E,) or (E, d)
        The budgets; (E, d) if any was given as one value per feature.
    report : Bunch
        ``n_samples``; ``n_misclassified``, already without an attack; ``n_zero_gradient``,
        samples with no direction to go (None if no gradient was asked for); ``n_not_finite``,
        samples with NaN outputs, which never count as a success; and for each budget
        ``n_flipped``, samples that were right and are not any more, ``robust_accuracy``, the
        fraction still right, and ``n_broken``, a dict from the stages of the method to the
        number of samples (E,) on which each was the first to succeed. ``doubts``, a list of
        sentences, has reasons to believe that the model is less robust than that; they are looked
        for by "auto" alone.
    """

    X_adv: NDArray
    success: NDArray
    epsilons: NDArray
    report: Bunch

    def __repr__(self) -> str:
        budgets = np.array2string(self.epsilons, threshold=8, edgeitems=2, separator=", ")
        accuracy = np.array2string(self.robust_accuracy, threshold=8, edgeitems=2, separator=", ")
        n = self.report["n_samples"]
        return f"AttackResult(n_samples={n}, epsilons={budgets}, robust_accuracy={accuracy})"

    @property
    def robust_accuracy(self) -> NDArray:
        """Fraction (E,) of the samples that are still right at each budget, from the report."""
        return self.report["robust_accuracy"]


class Record:
    """What became of every sample at every budget."""

    def __init__(self, X: NDArray, budgets: NDArray):
        self.X, self.budgets = X, budgets
        shape = len(budgets), len(X)
        self.X_adv = np.empty((*shape, X.shape[1]), X.dtype)
        self.success = np.empty(shape, bool)
        self.robust = np.empty(shape, bool)
        self.broken_by = np.empty(shape, object)
        self.misclassified = np.empty(len(X), bool)
        self.finite = np.empty(len(X), bool)
        self.has_gradient: NDArray | None = np.empty(len(X), bool)

    def take_clean(self, batch: slice, search: BatchSearch) -> None:
        """What a batch is before it is attacked."""
        self.misclassified[batch] = search.clean.success
        self.finite[batch] = search.clean.finite
        if search.has_gradient is None:
            self.has_gradient = None
        elif self.has_gradient is not None:
            self.has_gradient[batch] = search.has_gradient
        if batch.start == 0:
            self.first_outputs = search.clean.outputs

    def take(
        self, k: int, batch: slice, search: BatchSearch, best: BestIterate, fell: NDArray
    ) -> None:
        """What became of a batch at one budget."""
        self.X_adv[k, batch], self.success[k, batch] = best.points, best.success
        self.robust[k, batch] = best.robust
        names = np.array([*(name for name, _ in search.stages), None], dtype=object)
        self.broken_by[k, batch] = names[fell]

    def result(self, method: str) -> AttackResult:
        """Everything but the doubts."""
        n_zero = None if self.has_gradient is None else int((~self.has_gradient).sum())
        report = Bunch(
            n_samples=len(self.X),
            n_misclassified=int(self.misclassified.sum()),
            n_zero_gradient=n_zero,
            n_not_finite=int((~self.finite).sum()),
            n_flipped=(self.success & ~self.misclassified).sum(axis=1),
            n_broken={name: (self.broken_by == name).sum(axis=1) for name in stage_names(method)},
            robust_accuracy=self.robust.mean(axis=1),
            doubts=[],
        )
        return AttackResult(self.X_adv, self.success, self.budgets, report)

    def doubts(self, model: Model, report: Bunch) -> list[str]:
        """Reasons to believe that the model is less robust than reported."""
        right = self.finite & ~self.misclassified
        n_zero = 0 if self.has_gradient is None else int((right & ~self.has_gradient).sum())
        outputs = self.first_outputs
        by_search = report["n_broken"]["square"]
        return doubts(model, self.X[: len(outputs)], outputs, n_zero, by_search, len(self.X))
