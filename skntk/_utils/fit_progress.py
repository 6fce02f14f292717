"""Stages of a fit as tasks that scikit-learn's callbacks, its `ProgressBar`, can follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["FitProgress", "no_progress"]


class FitProgress:
    """Tells an estimator's callbacks how far its fit is.

    Parameters
    ----------
    estimator : estimator with callbacks
        In its `fit`.
    n_stages : int
        Largest number of stages.
    """

    def __init__(self, estimator: Any, n_stages: int):
        self.estimator = estimator
        self.root = estimator._init_callback_context(max_subtasks=n_stages)
        self.root.call_on_fit_task_begin(estimator=estimator)

    @contextmanager
    def stage(self, name: str, n_steps: int) -> Iterator[Callable[[], None]]:
        """Run a stage of at most `n_steps`; call what it yields after each."""
        context = self.root.subcontext(task_name=name, max_subtasks=n_steps)
        context.call_on_fit_task_begin(estimator=self.estimator)

        def on_step() -> None:
            step = context.subcontext(task_name="step")
            step.call_on_fit_task_begin(estimator=self.estimator)
            step.call_on_fit_task_end(estimator=self.estimator)

        yield on_step
        context.call_on_fit_task_end(estimator=self.estimator)

    def finish(self) -> None:
        """Say that the fit is over."""
        self.root.call_on_fit_task_end(estimator=self.estimator)


@contextmanager
def no_progress(name: str, n_steps: int) -> Iterator[Callable[[], None]]:
    """A stage that nobody follows."""
    yield lambda: None
