"""Accuracy during training, clean and under attack (Fig. 12, 16)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._base import Display, single_axes

__all__ = ["TrainingCurveDisplay"]

_CURVES = {
    "train_accuracy": ("train, clean", {"color": "C0", "linestyle": "--"}),
    "test_accuracy": ("test, clean", {"color": "C0"}),
    "train_robust_accuracy": ("train, attacked", {"color": "C3", "linestyle": "--"}),
    "test_robust_accuracy": ("test, attacked", {"color": "C3"}),
}


class TrainingCurveDisplay(Display):
    """Training and test accuracy after every epoch.

    Parameters
    ----------
    history : dict of str to ndarray of shape (n_epochs,)
        At least one of "train_accuracy", "test_accuracy", "train_robust_accuracy" and
        "test_robust_accuracy". Other keys are ignored.
    linearized_at : int or None
        Epoch at which the network was linearized, marked by a vertical line.
    name : str or None
        Title of the plot.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot.
    figure_ : matplotlib Figure
        Figure that contains the axes.
    lines_ : dict of str to matplotlib Line2D
        Line of each curve.

    Examples
    --------
    >>> from skntk.inspection import TrainingCurveDisplay
    >>> display = TrainingCurveDisplay.from_predictions({"test_accuracy": [0.5, 0.8, 0.9]})
    >>> list(display.lines_)
    ['test_accuracy']
    """

    def __init__(
        self, *, history: dict[str, Any], linearized_at: int | None = None, name: str | None = None
    ) -> None:
        self.history = history
        self.linearized_at = linearized_at
        self.name = name

    @classmethod
    def from_estimator(
        cls, classifier: Any, *, name: str | None = None, ax: Any = None
    ) -> TrainingCurveDisplay:
        """Plot the history of a network that was fitted with validation samples.

        Parameters
        ----------
        classifier : FlaxClassifier
            Classifier fitted with `X_val` and `y_val`.
        name : str, default=None
            Title of the plot.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        display : TrainingCurveDisplay
        """
        check_is_fitted(classifier)
        return cls.from_predictions(
            classifier.history_, linearized_at=classifier.linearize_at, name=name, ax=ax
        )

    @classmethod
    def from_predictions(
        cls,
        history: Mapping[str, Any],
        *,
        linearized_at: int | None = None,
        name: str | None = None,
        ax: Any = None,
    ) -> TrainingCurveDisplay:
        """Plot given accuracies.

        Parameters
        ----------
        history : mapping from str to array-like of shape (n_epochs,)
            Accuracies by name, as in `history_` of `FlaxClassifier`.
        linearized_at : int, default=None
            Epoch at which the network was linearized, marked by a vertical line.
        name : str, default=None
            Title of the plot.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        display : TrainingCurveDisplay
        """
        return cls(history=dict(history), linearized_at=linearized_at, name=name).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        known = [key for key in _CURVES if key in self.history]
        if not known:
            raise ValueError(
                f"history={sorted(self.history)!r} has no accuracy; fit with X_val and y_val."
            )
        self.figure_, self.ax_ = single_axes(ax, figsize=(4.5, 3.5))
        self.lines_ = {}
        for key in known:
            label, style = _CURVES[key]
            epochs = np.arange(1, len(self.history[key]) + 1)
            (self.lines_[key],) = self.ax_.plot(epochs, self.history[key], label=label, **style)
        if self.linearized_at is not None:
            self.ax_.axvline(
                self.linearized_at, color="0.5", linestyle=":", linewidth=1, label="linearised"
            )
        self.ax_.set(xlabel="epoch", ylabel="accuracy", ylim=(-0.02, 1.02))
        self.ax_.legend(fontsize="small")
