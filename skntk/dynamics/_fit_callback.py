"""The tracker as a fit callback of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from numpy.typing import NDArray

from .._utils.snapshots import hash_of
from ..finite._adversarial_training import AdversarialTraining
from ..networks._function import as_leaves, count_outputs
from ._record import KernelRecord

__all__ = ["FitCallbackMixin"]


class FitCallbackMixin:
    """Records the network of an estimator before its first epoch and after others."""

    X: Any
    y: Any
    every: int
    adversary: AdversarialTraining | None
    _recorded: KernelRecord
    _writing: ExitStack
    _framed: Callable[[NDArray], Any]
    _check_can_record: Callable[[], None]
    _record: Callable[[int, int, str, Any, Callable[[], NDArray]], None]

    def setup(self, estimator: Any, context: Any) -> None:
        """Check, before training, that the batch fits the network."""
        self._check_can_record()
        if not hasattr(estimator, "empirical_ntk"):
            raise TypeError(
                f"{type(estimator).__name__} has no empirical_ntk to record; set the tracker as a "
                "callback of the FlaxClassifier itself."
            )
        if self.X.ndim != 2:
            raise ValueError(
                f"X has shape {self.X.shape}; for an estimator, give one sample a "
                "row: X.reshape(len(X), -1)."
            )
        if self._adversary_of(estimator) is not None and self.y is None:
            raise ValueError("y=None, but training is adversarial; give the labels of X.")
        self._writing.enter_context(self._recorded.store.writing())

    def teardown(self, estimator: Any, context: Any) -> None:
        """Release the lock of the directory."""
        self._writing.close()

    def on_fit_task_begin(
        self, estimator: Any, context: Any, *, fitted_estimator: Any = None
    ) -> None:
        """Record the network before its first step."""
        if context.task_name == "fit" and fitted_estimator is not None:
            self._record_estimator(fitted_estimator)

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, fitted_estimator: Any = None
    ) -> None:
        """Record the network after an epoch, or at the end of training."""
        if fitted_estimator is None:
            return
        if context.task_name == "fit" or fitted_estimator.n_epochs_ % self.every == 0:
            self._record_estimator(fitted_estimator)

    def _record_estimator(self, estimator: Any) -> None:
        adversary = self._adversary_of(estimator)
        weights = estimator.params_, estimator.constants_
        n_features, dtype = estimator.n_features_in_, self.X.dtype
        n_outputs = count_outputs(estimator._network, *weights, n_features, dtype)

        def kernel() -> NDArray:
            X = self._framed(self.X)
            if adversary is not None:
                X = self._framed(estimator.attack(X, self.y, adversary))
            return estimator.empirical_ntk(X)

        network = hash_of(*as_leaves((*weights, estimator.anchor_)), repr(adversary))
        trees = {"params": weights[0], "constants": weights[1], "anchor": estimator.anchor_}
        self._record(int(estimator.n_epochs_), n_outputs, network, trees, kernel)

    def _adversary_of(self, estimator: Any) -> AdversarialTraining | None:
        return self.adversary or getattr(estimator, "adversary", None)
