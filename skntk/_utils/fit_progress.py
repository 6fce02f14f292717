"""Stages of a fit as tasks for scikit-learn's callbacks, such as `ProgressBar`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["FitProgress", "no_progress"]


class FitProgress:
    """Reports the progress of a fit to the estimator's callbacks.

    Parameters
    ----------
    estimator : estimator with callbacks
        Estimator that is being fitted.
    n_stages : int
        Largest number of stages.
    """

    def __init__(self, estimator: Any, n_stages: int):
        self.estimator = estimator
        self.root = estimator._init_callback_context(max_subtasks=n_stages)
        self.root.call_on_fit_task_begin(estimator=estimator)

    @contextmanager
    def stage(self, name: str, n_steps: int) -> Iterator[Callable[[], None]]:
        """Run a stage of at most `n_steps` steps; call the yielded function after each."""
        context = self.root.subcontext(task_name=name, max_subtasks=n_steps)
        context.call_on_fit_task_begin(estimator=self.estimator)

        def on_step() -> None:
            step = context.subcontext(task_name="step")
            step.call_on_fit_task_begin(estimator=self.estimator)
            step.call_on_fit_task_end(estimator=self.estimator)

        yield on_step
        context.call_on_fit_task_end(estimator=self.estimator)

    def finish(self) -> None:
        """Report that the fit has ended."""
        self.root.call_on_fit_task_end(estimator=self.estimator)


@contextmanager
def no_progress(name: str, n_steps: int) -> Iterator[Callable[[], None]]:
    """Run a stage without reporting its progress."""
    yield lambda: None
