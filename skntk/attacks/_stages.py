"""The stages of each method, and which samples go through them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._apgd import apgd
from ._differentiable import Linearization
from ._losses import LOSSES, TOWARD_CLASS, as_logits
from ._samples import Samples
from ._search import Objective, ascend
from ._specification import Options
from ._square import square

__all__ = ["METHODS", "stage_names"]

#: Classes toward which "auto" moves, the nearest ones first.
_NEAREST = 9


def _both_ways(samples: Samples, run: Callable[[Samples, Objective], None]) -> None:
    """Raise the objective, and go the other way as well from where two ways lead up."""
    run(samples, samples.best.objective)
    rows = np.flatnonzero(samples.best.objective.tied(*samples.clean, samples.ball.dual_norm))
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
    """Toward the class that is nearest but `rank` at the clean samples.

    From a random point: the ascents from the sample raise the margin, which moves toward the
    nearest class first.
    """
    own = samples.best.labels
    logits = as_logits(samples.clean[0])
    logits[np.arange(len(own)), own] = -np.inf
    other = np.argsort(-logits, axis=1, kind="stable")[:, rank]
    objective = Objective(TOWARD_CLASS, np.stack([own, other], axis=1), targeted=False)
    _climb(samples, objective, samples.random(-1))


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


def stages_of(options: Options, n_classes: int | None) -> list[Stage]:
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
