"""Early stopping: samples held out, when training stops, and the epoch that is kept."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import validate_data

from .._utils.targets import label_indices
from .._utils.validation import check_boolean, check_integer, check_real
from ..networks._function import flattened

__all__ = ["EarlyStoppingMixin"]

_Data = tuple[NDArray, NDArray, NDArray]


class EarlyStoppingMixin:
    """Ends training when validation accuracy stalls, and restores the best epoch."""

    input_shape: tuple[int, ...] | None
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    tol: float
    history_: dict[str, NDArray]
    #: Parameters, constants and optimiser state of the best epoch so far; and its anchor.
    _best: Any
    _best_anchor: Any
    #: Seed of the split, which a warm start repeats, or None.
    _split_seed: int | None
    _random: np.random.RandomState

    def _check_early_stopping(self) -> None:
        check_boolean("early_stopping", self.early_stopping)
        fraction = check_real("validation_fraction", self.validation_fraction, low=0.0, strict=True)
        if fraction >= 1:
            raise ValueError(
                f"validation_fraction={self.validation_fraction!r} leaves nothing to train on; "
                "give a number below 1."
            )
        check_integer("n_iter_no_change", self.n_iter_no_change, low=1)
        check_real("tol", self.tol, low=0.0)

    def _validate_held_out(
        self, X_val: Any, y_val: Any, classes: NDArray
    ) -> tuple[NDArray, NDArray] | None:
        """Validation samples and their class indices."""
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val belong together; give both or neither.")
        if X_val is None:
            return None
        X_val = flattened(X_val, self.input_shape)
        X_val = validate_data(self, X_val, dtype=[np.float64, np.float32], reset=False)
        check_consistent_length(X_val, y_val)
        return X_val, label_indices(y_val, classes)

    def _hold_out(self, X: NDArray, labels: NDArray, weights: NDArray) -> tuple[_Data, Any]:
        """Training samples (X, labels, weights), and validation samples (X, labels)."""
        estimator: Any = self
        if estimator.resume and not isinstance(estimator.random_state, Integral):
            raise ValueError(
                f"random_state={estimator.random_state!r} does not repeat the split of the first "
                "fit, which resume=True needs; give an integer, or X_val and y_val."
            )
        if self._split_seed is None:
            self._split_seed = self._random.randint(2**31)
        try:
            train, test = train_test_split(
                np.arange(len(X)),
                test_size=self.validation_fraction,
                stratify=labels,
                random_state=self._split_seed,
            )
        except ValueError as error:
            raise ValueError(
                f"validation_fraction={self.validation_fraction!r} of {len(X)} samples cannot be "
                f"held out ({error}); give more samples, another fraction, or X_val and y_val."
            ) from error
        return (X[train], labels[train], weights[train]), (X[test], labels[test])

    def _forget_best(self) -> None:
        self._best = self._best_anchor = None
        for name in ("best_epoch_", "best_validation_score_"):
            vars(self).pop(name, None)

    def _scores(self, first: int) -> NDArray:
        """Validation accuracy after each epoch since `first`, under attack if there is one."""
        estimator: Any = self
        attacked = estimator._validation_adversary() is not None
        name = "test_robust_accuracy" if attacked else "test_accuracy"
        return self.history_.get(name, np.empty(0))[first:]

    def _has_stalled(self, first: int) -> bool:
        best, stalled = -np.inf, 0
        for score in self._scores(first) if self.early_stopping else ():
            stalled = stalled + 1 if score < best + self.tol else 0
            best = max(best, score)
        return stalled > self.n_iter_no_change

    def _keep_best(self, first: int) -> None:
        """Keep this epoch if it is better than all before it."""
        scores = self._scores(first)
        if self.early_stopping and scores[-1] > max(scores[:-1], default=-np.inf):
            estimator: Any = self
            self._best = self._current
            self._best_anchor = estimator.anchor_

    @property
    def _current(self) -> tuple[Any, Any, Any]:
        estimator: Any = self
        return estimator.params_, estimator.constants_, estimator._optimizer_state

    def _restore_best(self, first: int) -> None:
        if self._best is None:
            return
        estimator: Any = self
        estimator.params_, estimator.constants_, estimator._optimizer_state = self._best
        estimator.anchor_ = self._best_anchor
        scores = self._scores(first)
        estimator.best_epoch_ = first + int(np.argmax(scores)) + 1
        estimator.best_validation_score_ = float(scores.max())
        self._best = self._best_anchor = None
