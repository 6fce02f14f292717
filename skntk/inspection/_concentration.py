"""How much of the kernel lies in its top eigenvalues (Fig. 5, 13)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._base import Display, series_style, single_axes
from ._curves import check_curves, check_followed, named_trackers

__all__ = ["ConcentrationDisplay"]


class ConcentrationDisplay(Display):
    """Share of the squared Frobenius norm in the top p eigenvalues, through training.

    Parameters
    ----------
    curves : dict of str to (steps, concentration)
        Two arrays of shape (T,) for each training run.
    p : int or None
        Number of eigenvalues, shown in the label of the y-axis.
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
    >>> from skntk.inspection import ConcentrationDisplay
    >>> display = ConcentrationDisplay.from_predictions({"pgd": ([0, 1, 2], [0.9, 0.95, 0.96])})
    >>> list(display.lines_)
    ['pgd']
    """

    def __init__(
        self, *, curves: dict[str, Any], p: int | None = None, name: str | None = None
    ) -> None:
        self.curves = curves
        self.p = p
        self.name = name

    @classmethod
    def from_estimator(
        cls, tracker: Any, *, p: int | None = None, name: str | None = None, ax: Any = None
    ) -> ConcentrationDisplay:
        """Plot the concentration of the kernels that trackers have recorded.

        Parameters
        ----------
        tracker : KernelDynamicsTracker or mapping from str to KernelDynamicsTracker
            One tracker, or several by name, each with at least one recorded step.
        p : int, default=None
            Number of eigenvalues, one of each tracker's `top`. If None, the last `top` of the
            first tracker.
        name : str, default=None
            Title of the plot.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        display : ConcentrationDisplay
        """
        curves = {}
        for label, each in named_trackers(tracker).items():
            p = each.top[-1] if p is None else p
            check_followed("p", p, each)
            curves[label] = each.steps_, each.concentration_[p]
        return cls.from_predictions(curves, p=p, name=name, ax=ax)

    @classmethod
    def from_predictions(
        cls,
        curves: Mapping[str, Any],
        *,
        p: int | None = None,
        name: str | None = None,
        ax: Any = None,
    ) -> ConcentrationDisplay:
        """Plot given curves.

        Parameters
        ----------
        curves : mapping from str to (steps, concentration)
            Two array-likes of shape (T,) for each training run.
        p : int, default=None
            Number of eigenvalues, shown in the label of the y-axis.
        name : str, default=None
            Title of the plot.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        display : ConcentrationDisplay
        """
        checked = check_curves(curves, ("steps", "concentration"))
        return cls(curves=checked, p=p, name=name).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        self.figure_, self.ax_ = single_axes(ax, figsize=(4.5, 3.5))
        if ax is None:  # the ticks of given axes are the caller's
            self.ax_.locator_params(axis="x", integer=True, min_n_ticks=1)
        self.lines_ = {}
        for index, (label, (steps, share)) in enumerate(self.curves.items()):
            style = series_style(index)
            (self.lines_[label],) = self.ax_.plot(steps, share, label=label, **style)
        top = "p" if self.p is None else self.p
        self.ax_.set(xlabel="checkpoint", ylabel=f"share of the top {top} eigenvalues")
        self.ax_.legend(fontsize="small")
