"""What an attack returns: adversarial examples at each budget, and a report on the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from ._batch import BatchOutcome
from ._black_box import Model
from ._doubts import doubts
from ._stages import stage_names

__all__ = ["AttackResult", "Record"]


@dataclass(frozen=True)
class AttackResult:
    """Adversarial examples at each budget, and a report.

    Attributes
    ----------
    X_adv : ndarray of shape (E, n, d)
        Adversarial examples.
    success : ndarray of bool of shape (E, n), or None
        Whether each is misclassified (or, if targeted, classified as its target). What
        succeeds at one budget succeeds at every budget that contains it. None of a regressor, whose
        predictions are not right or wrong.
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
        for by "auto" alone. Of a regressor it has, in place of misclassified and flipped samples,
        of accuracy and of ``n_broken``, ``clean_mean_squared_error``; for each budget
        ``mean_squared_error``; and ``n_raised``, a dict from the stages to the number of samples
        (E,) on which each was the last to raise the squared error (if targeted, to lower it) by
        more than half of what the stages before it had.
    squared_error : ndarray of shape (E, n), or None
        Squared error of a regressor on each example, a sum over its targets. It falls from no
        budget to one that contains it (if targeted, it rises to none). None of a classifier.
    """

    X_adv: NDArray
    success: NDArray | None
    epsilons: NDArray
    report: Bunch
    squared_error: NDArray | None = None

    def __repr__(self) -> str:
        budgets = np.array2string(self.epsilons, threshold=8, edgeitems=2, separator=", ")
        key = "robust_accuracy" if self.squared_error is None else "mean_squared_error"
        numbers = np.array2string(self.report[key], threshold=8, edgeitems=2, separator=", ")
        n = self.report["n_samples"]
        return f"AttackResult(n_samples={n}, epsilons={budgets}, {key}={numbers})"

    @property
    def robust_accuracy(self) -> NDArray:
        """Fraction (E,) of the samples that are still right at each budget, from the report.

        Raises
        ------
        AttributeError
            On the result of a regressor.
        """
        if self.squared_error is not None:
            raise AttributeError(
                "robust_accuracy is a classifier's; of a regressor take squared_error (E, n), or "
                "report.mean_squared_error (E,)."
            )
        return self.report["robust_accuracy"]


class Record:
    """What became of every sample at every budget."""

    def __init__(self, X: NDArray, budgets: NDArray):
        self.X, self.budgets = X, budgets
        shape = len(budgets), len(X)
        self.X_adv = np.empty((*shape, X.shape[1]), X.dtype)
        self.success = np.empty(shape, bool)
        self.robust = np.empty(shape, bool)
        self.fell_to = np.empty(shape, object)
        self.squared_error = np.empty(shape)
        self.clean_squared_error = np.empty(len(X))
        self.misclassified = np.empty(len(X), bool)
        self.finite = np.empty(len(X), bool)
        self.has_gradient: NDArray | None = np.empty(len(X), bool)

    def take(self, batch: slice, outcome: BatchOutcome) -> None:
        """What became of a batch."""
        self.misclassified[batch], self.finite[batch] = outcome.misclassified, outcome.finite
        self.X_adv[:, batch], self.success[:, batch] = outcome.X_adv, outcome.success
        self.robust[:, batch], self.fell_to[:, batch] = outcome.robust, outcome.fell_to
        if outcome.squared_error is not None:
            self.clean_squared_error[batch] = outcome.clean_squared_error
            self.squared_error[:, batch] = outcome.squared_error
        if outcome.has_gradient is None:
            self.has_gradient = None
        elif self.has_gradient is not None:
            self.has_gradient[batch] = outcome.has_gradient
        if batch.start == 0:
            self.first_outputs = outcome.outputs

    def result(self, method: str, *, is_regression: bool) -> AttackResult:
        """Everything but the doubts."""
        names = stage_names(method, is_regression=is_regression)
        counts = {name: (self.fell_to == name).sum(axis=1) for name in names}
        report = Bunch(
            n_samples=len(self.X),
            n_zero_gradient=None if self.has_gradient is None else int((~self.has_gradient).sum()),
            n_not_finite=int((~self.finite).sum()),
            doubts=[],
        )
        if is_regression:
            report.clean_mean_squared_error = float(self.clean_squared_error.mean())
            report.mean_squared_error = self.squared_error.mean(axis=1)
            report.n_raised = counts
            return AttackResult(self.X_adv, None, self.budgets, report, self.squared_error)
        report.n_misclassified = int(self.misclassified.sum())
        report.n_flipped = (self.success & ~self.misclassified).sum(axis=1)
        report.n_broken = counts
        report.robust_accuracy = self.robust.mean(axis=1)
        return AttackResult(self.X_adv, self.success, self.budgets, report)

    def doubts(self, model: Model, report: Bunch) -> list[str]:
        """Reasons to believe that the model is less robust than reported."""
        right = self.finite & ~self.misclassified
        n_zero = 0 if self.has_gradient is None else int((right & ~self.has_gradient).sum())
        outputs = self.first_outputs
        by_search = report["n_broken" if "n_broken" in report else "n_raised"]["square"]
        return doubts(model, self.X[: len(outputs)], outputs, n_zero, by_search, len(self.X))
