"""The stages of each method, and which samples go through them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils.targets import classify
from ._apgd import apgd
from ._balls import make_ball
from ._differentiable import Linearization
from ._losses import LOSSES, SQUARED_ERROR, TOWARD_CLASS, as_logits
from ._samples import Samples
from ._search import BestIterate, Objective, ascend
from ._specification import Options
from ._square import square

__all__ = ["METHODS", "BatchSearch", "stage_names"]

#: Classes toward which "auto" moves, the nearest ones first.
_NEAREST = 9


def _both_ways(samples: Samples, run: Callable[[Samples, Objective], None]) -> None:
    """Raise the objective, and go the other way as well from where two ways lead up."""
    run(samples, samples.best.objective)
    rows = np.flatnonzero(samples.best.objective.tied(samples.clean[0]))
    if len(rows):
        part = samples.take(rows)
        run(part, part.opposite)
        samples.best.put(rows, part.best)


def _ascend(samples: Samples, step_size: Any, n_steps: int) -> None:
    def run(samples: Samples, objective: Objective) -> None:
        for start, known in samples.starts:
            ascend(
                samples.model,
                samples.ball,
                start,
                samples.best,
                step_size=step_size,
                n_steps=n_steps,
                linearization=known,
                objective=objective,
            )

    _both_ways(samples, run)


def _fgsm(samples: Samples) -> None:
    _ascend(samples, samples.options.specification.eps, 1)


def _pgd(samples: Samples) -> None:
    steps = samples.options.specification
    _ascend(samples, steps.step_size, steps.n_steps)


def _climb(
    samples: Samples, objective: Objective, start: NDArray, known: Linearization | None = None
) -> None:
    steps = samples.options.specification
    apgd(
        samples.model,
        samples.ball,
        start,
        samples.best,
        objective,
        step_size=steps.step_size,
        n_steps=steps.n_steps,
        linearization=known,
        until_success=samples.options.is_worst_case,
    )


def _apgd(samples: Samples) -> None:
    def run(samples: Samples, objective: Objective) -> None:
        for start, known in samples.starts:
            _climb(samples, objective, start, known)

    _both_ways(samples, run)


def _apgd_twice(samples: Samples) -> None:
    """From the sample, and from a random point as well."""
    _apgd(samples)
    _climb(samples, samples.best.objective, samples.random(-1))


def _apgd_on_cross_entropy(samples: Samples) -> None:
    """From a random point, because with two classes it goes the same way as the margin."""
    labels, targeted = samples.best.labels, samples.options.targeted
    objective = Objective(LOSSES["cross_entropy"], labels, targeted)
    _climb(samples, objective, samples.random(-1))


def _apgd_across(samples: Samples) -> None:
    """Through a regressor's targets to their other side, where the error may end up larger."""
    _climb(samples, samples.opposite, samples.ball.center, samples.clean)


def _apgd_toward(samples: Samples, rank: int) -> None:
    """Toward the class that is nearest but `rank` at the clean samples."""
    own = samples.best.labels
    logits = as_logits(samples.clean[0])
    logits[np.arange(len(own)), own] = -np.inf
    other = np.argsort(-logits, axis=1, kind="stable")[:, rank]
    objective = Objective(TOWARD_CLASS, np.stack([own, other], axis=1), targeted=False)
    _climb(samples, objective, samples.ball.center, samples.clean)


def _square(samples: Samples) -> None:
    options = samples.options
    square(
        samples.model,
        samples.ball,
        samples.best,
        samples.best.objective,
        seeds=samples.seeds,
        n_queries=options.n_queries,
        until_success=options.is_worst_case,
    )


Stage = tuple[str, Callable[[Samples], None]]

#: The loss of "auto" is the margin. All of FGSM comes before any further step, so that no method
#: is weaker than it.
METHODS: dict[str, list[Stage]] = {
    "fgsm": [("fgsm", _fgsm)],
    "pgd": [("fgsm", _fgsm), ("pgd", _pgd)],
    "apgd": [("fgsm", _fgsm), ("apgd", _apgd)],
    "square": [("square", _square)],
    "auto": [
        ("fgsm", _fgsm),
        ("apgd-margin", _apgd_twice),
        ("apgd-cross_entropy", _apgd_on_cross_entropy),
        *(("apgd-targeted", partial(_apgd_toward, rank=rank)) for rank in range(_NEAREST)),
        ("square", _square),
    ],
}

#: The stages of "auto" on a regressor, whose samples all go through each.
_OF_REGRESSORS: list[Stage] = [
    ("fgsm", _fgsm),
    ("apgd-squared_error", _apgd_twice),
    ("apgd-across", _apgd_across),
    ("square", _square),
]


def _stages(options: Options, n_classes: int | None) -> list[Stage]:
    """Stages of a method for so many classes; None for a regressor."""
    if n_classes is None:
        stages = _of_regressors(options.specification.method)
        return [stage for stage in stages if not (options.targeted and stage[1] is _apgd_across)]
    stages = METHODS[options.specification.method]
    # Two classes have one other class each, and a target is given already.
    n_others = 0 if n_classes == 2 or options.targeted else min(_NEAREST, n_classes - 1)
    targeted = [stage for stage in stages if stage[0] == "apgd-targeted"]
    return [stage for stage in stages if stage not in targeted[n_others:]]


def _of_regressors(method: str) -> list[Stage]:
    return _OF_REGRESSORS if method == "auto" else METHODS[method]


def stage_names(method: str, *, is_regression: bool = False) -> list[str]:
    """Names of the stages of a method, each once, in the order in which they run."""
    stages = _of_regressors(method) if is_regression else METHODS[method]
    return list(dict.fromkeys(name for name, _ in stages))


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
        self.stages = _stages(options, None if self.is_regression else len(model.classes_))

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
