"""The choice of a ridge and a time by leave-one-out, which classifier and regressor share."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.callback import CallbackSupportMixin

from .._utils.fit_progress import FitProgress
from .._utils.validation import check_real, check_ridge
from .._utils.warnings import warn_user
from ..solvers import Weighting, ill_conditioned
from ._kernel_machine import KernelMachineMixin
from ._leave_one_out import LeaveOneOut
from ._training_spectrum import training_spectrum

__all__ = ["LeaveOneOutSearchMixin"]

#: Score of the machines without a sample, at a time and a ridge.
Score = Callable[[LeaveOneOut, float, float], float]


class LeaveOneOutSearchMixin(KernelMachineMixin, CallbackSupportMixin):
    """A kernel machine that chooses among `alphas` and `times`."""

    kernel: Any
    alphas: ArrayLike
    times: ArrayLike
    n_jobs: int | None
    alpha_: float
    time_: float
    best_score_: float
    scores_: NDArray

    def _candidates(self) -> tuple[list[float], list[float]]:
        """Ridges and times to choose from."""
        alphas = _check_candidates("alphas", self.alphas)
        return alphas, _check_candidates("times", self.times, allow_inf=True)

    def _choose(
        self,
        X: NDArray,
        targets: NDArray,
        weights: NDArray | None,
        kept: NDArray | None,
        *,
        candidates: tuple[list[float], list[float]],
        score: Score,
        n_matrices: int = 3,
    ) -> None:
        """Score ridges and times, and set the machine of the best on all samples.

        `targets` (n, k) and `weights` are of the kept samples; None keeps all. `n_matrices` is the
        number of n x n matrices held at once.
        """
        alphas, times = candidates
        for alpha in alphas:
            check_ridge(alpha, X.dtype)
        X = self._set_kernel(X, kept)
        weighting = Weighting.from_weights(weights, np.float64)
        progress = FitProgress(self, n_stages=3)
        spectrum = training_spectrum(
            self._expansion(),
            X,
            n_matrices=n_matrices,
            dtype=np.float64,  # in float32 a small ridge would drown
            what=f"Fitting an {type(self).__name__}",
            remedy="use fewer samples or float32 input",
            n_jobs=self.n_jobs,
            progress=progress,
            weighting=weighting,
        )
        held_out = LeaveOneOut(spectrum, targets, weighting)
        scores = []
        with progress.stage("score", len(alphas) * len(times)) as on_step:
            for alpha, time in product(alphas, times):
                scores.append(score(held_out, time, alpha))
                on_step()
        self.scores_ = np.reshape(scores, (len(alphas), len(times)))
        best = np.unravel_index(np.argmax(self.scores_), self.scores_.shape)
        self.alpha_, self.time_ = alphas[best[0]], times[best[1]]
        self.best_score_ = float(self.scores_[best])
        coefficients = held_out.whole(self.time_, self.alpha_).astype(X.dtype)
        self.dual_coef_ = self._of_all_samples(coefficients, kept)
        progress.finish()
        if not spectrum.hides_rounding(self.time_, self.alpha_):
            warn_user(ill_conditioned(spectrum))


def _check_candidates(name: str, values: Any, *, allow_inf: bool = False) -> list[float]:
    candidates = [
        check_real(name, value, low=0.0, allow_inf=allow_inf) for value in np.ravel(values).tolist()
    ]
    if not candidates:
        raise ValueError(f"{name} is empty; give at least one.")
    return candidates
