"""The attack on one batch of samples, at any number of budgets: what a worker does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils.targets import classify
from ._balls import make_ball
from ._differentiable import Linearization
from ._losses import LOSSES, SQUARED_ERROR
from ._samples import Samples
from ._search import BestIterate, Objective
from ._specification import Options
from ._stages import stages_of

__all__ = ["BatchOutcome", "attack_batch"]


@dataclass(frozen=True)
class BatchOutcome:
    """What became of a batch of m samples at E budgets.

    Attributes
    ----------
    X_adv : ndarray of shape (E, m, d)
    success, robust : ndarray of bool of shape (E, m)
    fell_to : ndarray of object of shape (E, m)
        Name of the stage to which each success is owed, or None.
    squared_error : ndarray of shape (E, m), or None
        Of a regressor.
    outputs : ndarray of shape (m, k)
        Of the clean samples, as are the rest.
    misclassified, finite : ndarray of bool of shape (m,)
    has_gradient : ndarray of bool of shape (m,), or None
        None for a black box.
    clean_squared_error : ndarray of shape (m,), or None
    """

    X_adv: NDArray
    success: NDArray
    robust: NDArray
    fell_to: NDArray
    squared_error: NDArray | None
    outputs: NDArray
    misclassified: NDArray
    finite: NDArray
    has_gradient: NDArray | None
    clean_squared_error: NDArray | None


@np.errstate(all="ignore")  # tiny numbers vanish, and what is not finite is counted
def attack_batch(
    options: Options,
    model: Any,
    X: NDArray,
    labels: NDArray | None,
    box: tuple | None,
    noise: NDArray,
    seeds: NDArray,
    budgets: NDArray,
) -> BatchOutcome:
    """Attack a batch within budgets (E,) or (E, d); the rest is as of `BatchSearch`."""
    search = BatchSearch(options, model, X, labels, box, noise, seeds)
    found: dict[int, tuple[BestIterate, NDArray]] = {}
    for k in np.argsort([np.mean(eps) for eps in budgets], kind="stable"):
        contained = [before for j, before in found.items() if np.all(budgets[j] <= budgets[k])]
        found[k] = search.at(budgets[k], contained)
    best = [found[k][0] for k in range(len(budgets))]
    names = np.array([*(name for name, _ in search.stages), None], dtype=object)
    clean, regresses = search.clean, search.is_regression
    return BatchOutcome(
        X_adv=np.stack([b.points for b in best]),
        success=np.stack([b.success for b in best]),
        robust=np.stack([b.robust for b in best]),
        fell_to=np.stack([names[found[k][1]] for k in range(len(budgets))]),
        squared_error=np.stack([b.squared_error for b in best]) if regresses else None,
        outputs=clean.outputs,
        misclassified=clean.success,
        finite=clean.finite,
        has_gradient=search.has_gradient,
        clean_squared_error=clean.squared_error if regresses else None,
    )


class BatchSearch:
    """The attack on one batch, at any number of budgets.

    Parameters
    ----------
    options : Options
    model : Model
    X : ndarray of shape (m, d)
        Clean samples.
    labels : ndarray of shape (m,), or (m, k), or None
        Class indices, or a regressor's targets; None for the predictions.
    box : tuple or None
        Lowest and highest value of a feature.
    noise : ndarray of shape (r, m, d + 1)
        Normal numbers of the random starts.
    seeds : ndarray of shape (m,)
        Of the random search.

    Attributes
    ----------
    clean : BestIterate
        The samples themselves.
    has_gradient : ndarray of bool of shape (m,), or None
        None for a black box.
    is_regression : bool
        Whether outputs are real numbers without classes.
    """

    def __init__(
        self,
        options: Options,
        model: Any,
        X: NDArray,
        labels: NDArray | None,
        box: tuple | None,
        noise: NDArray,
        seeds: NDArray,
    ):
        self.options, self.model, self.X, self.box = options, model, X, box
        self.noise, self.seeds = noise, seeds
        self.linearization = _linearization(model, X)
        outputs, pullback = self.linearization
        self.is_regression = model.classes_ is None
        own = outputs.astype(np.float64) if self.is_regression else classify(outputs)
        labels = own if labels is None else labels
        loss = LOSSES["margin" if options.is_worst_case else options.loss]
        loss = SQUARED_ERROR if self.is_regression else loss
        objective = Objective(loss, own if loss.label_free else labels, options.targeted)
        self.clean = BestIterate(X, outputs, objective, labels)
        self.has_gradient = None
        if options.specification.method != "square":
            dual_norm = make_ball(options.specification.norm, X, 1.0, None).dual_norm
            self.has_gradient = dual_norm(objective.gradient(outputs, pullback, dual_norm)) > 0
        self.stages = stages_of(options, None if self.is_regression else len(model.classes_))

    def at(
        self, eps: Any, contained: list[tuple[BestIterate, NDArray]]
    ) -> tuple[BestIterate, NDArray]:
        """Attack within `eps`.

        Parameters
        ----------
        eps : float or ndarray of shape (d,)
            Budget.
        contained : list of (BestIterate, ndarray of shape (m,))
            What this method returned for budgets within this one.

        Returns
        -------
        best : BestIterate
            Best points, at least as good as those of the budgets within this one.
        fell : ndarray of int of shape (m,)
            Index in `stages` of the one that succeeded on each sample first, or on a regressor was
            the last to gain more than half of what others had; -1: none of them.
        """
        best = self.clean.copy()
        fell = np.full(len(self.X), -1)
        if np.max(eps) > 0:
            for smaller, _ in contained:
                best.update(smaller.points, smaller.outputs)
            _mark(fell, best, contained)
            self._run_stages(eps, best, fell)
        for smaller, _ in contained:
            best.keep_successes(smaller)
        _mark(fell, best, contained)
        return best, fell

    def _run_stages(self, eps: Any, best: BestIterate, fell: NDArray) -> None:
        options = self.options
        specification = replace(options.specification, eps=eps)
        ball = make_ball(specification.norm, self.X, eps, self.box)
        samples = Samples(
            self.model,
            replace(options, specification=specification),
            ball,
            best,
            self.linearization,
            self.noise,
            self.seeds,
        )
        for index, (_, run) in enumerate(self.stages):
            before = best.copy()
            if not options.is_worst_case or not before.success.any():
                run(samples)
            elif not before.success.all():
                rows = np.flatnonzero(~before.success)
                part = samples.take(rows)
                run(part)
                best.put(rows, part.best)
            fell[best.fell_since(before, self.clean)] = index


def _mark(fell: NDArray, best: BestIterate, contained: list[tuple[BestIterate, NDArray]]) -> None:
    """Say of successes carried over from smaller budgets which stage they are owed to."""
    for smaller, earlier in contained:
        carried = smaller.success & best.success & (fell < 0)
        fell[carried] = earlier[carried]


def _linearization(model: Any, X: NDArray) -> Linearization:
    """Outputs and pullback; none where the model is a black box."""
    if hasattr(model, "linearize"):
        return model.linearize(X)

    def no_pullback(cotangents: NDArray) -> NDArray:
        raise TypeError("A black box has no gradient.")

    return model.outputs(X), no_pullback
