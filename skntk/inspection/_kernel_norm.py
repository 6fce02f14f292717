"""Norm of the kernel through training (Fig. 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._base import Display, series_style, single_axes
from ._curves import check_curves, named_trackers

__all__ = ["KernelNormDisplay"]


class KernelNormDisplay(Display):
    """Frobenius norm of the kernel through training.

    Parameters
    ----------
    curves : dict of str to (steps, norms)
        Two arrays of shape (T,) for each training run.
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
    >>> from skntk.inspection import KernelNormDisplay
    >>> display = KernelNormDisplay.from_predictions({"pgd": ([0, 1, 2], [10.0, 15.0, 16.0])})
    >>> list(display.lines_)
    ['pgd']
    """

    def __init__(self, *, curves: dict[str, Any], name: str | None = None) -> None:
        self.curves = curves
        self.name = name

    @classmethod
    def from_estimator(
        cls, tracker: Any, *, name: str | None = None, ax: Any = None
    ) -> KernelNormDisplay:
        """Plot the norm of the kernels that trackers have recorded.

        Parameters
        ----------
        tracker : KernelDynamicsTracker or mapping from str to KernelDynamicsTracker
            One tracker, or several by name, each with at least one recorded step.
        name : str, default=None
            Title of the plot.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        display : KernelNormDisplay
        """
        curves = {
            label: (each.steps_, each.frobenius_norm_)
            for label, each in named_trackers(tracker).items()
        }
        return cls.from_predictions(curves, name=name, ax=ax)

    @classmethod
    def from_predictions(
        cls, curves: Mapping[str, Any], *, name: str | None = None, ax: Any = None
    ) -> KernelNormDisplay:
        """Plot given curves.

        Parameters
        ----------
        curves : mapping from str to (steps, norms)
            Two array-likes of shape (T,) for each training run.
        name : str, default=None
            Title of the plot.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        display : KernelNormDisplay

        Raises
        ------
        ValueError
            If there are no curves, or one is not two finite vectors of one length.
        TypeError
            If `curves` is not a mapping.
        """
        return cls(curves=check_curves(curves, ("steps", "norms")), name=name).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        self.figure_, self.ax_ = single_axes(ax, figsize=(4.5, 3.5))
        if ax is None:  # the ticks of given axes are the caller's
            self.ax_.locator_params(axis="x", integer=True, min_n_ticks=1)
        self.lines_ = {}
        for index, (label, (steps, norms)) in enumerate(self.curves.items()):
            style = series_style(index)
            (self.lines_[label],) = self.ax_.plot(steps, norms, label=label, **style)
        self.ax_.set(xlabel="checkpoint", ylabel="Frobenius norm of the kernel")
        self.ax_.set_ylim(0, 1.05 * self.ax_.dataLim.ymax or None)  # from 0, so that growth shows
        self.ax_.legend(fontsize="small")
