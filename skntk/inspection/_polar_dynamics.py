"""Path of the kernel during training in polar coordinates (Fig. 6, right; Fig. 14)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ._base import Display, legend_beside, polar_axes, series_style
from ._curves import check_curves, check_followed, named_trackers

__all__ = ["PolarDynamicsDisplay"]


class PolarDynamicsDisplay(Display):
    """Distance from the initial kernel and angle to it, during training.

    Parameters
    ----------
    curves : dict of str to (radius, angle)
        Two arrays of shape (T,) for each training run (Eq. 13), in order of time.
    name : str or None
        Title of the plot.

    Attributes
    ----------
    ax_ : matplotlib PolarAxes
        Axes of the plot.
    figure_ : matplotlib Figure
        Figure that contains the axes.
    lines_ : dict of str to matplotlib Line2D
        Line of each path.

    Examples
    --------
    >>> from skntk.inspection import PolarDynamicsDisplay
    >>> display = PolarDynamicsDisplay.from_predictions({"standard": ([0, 0.6, 1], [0, 0.4, 0.5])})
    >>> list(display.lines_)
    ['standard']
    """

    _title_pad = 40.0  # above the label of the angles, which runs beside the arc

    def __init__(self, *, curves: dict[str, Any], name: str | None = None) -> None:
        self.curves = curves
        self.name = name

    @classmethod
    def from_estimator(
        cls, tracker: Any, *, top: int | None = None, name: str | None = None, ax: Any = None
    ) -> PolarDynamicsDisplay:
        """Plot the paths of the kernels that trackers have recorded.

        Parameters
        ----------
        tracker : KernelDynamicsTracker or mapping from str to KernelDynamicsTracker
            One tracker, or several by name, each with at least one recorded step.
        top : int, default=None
            Number of top eigenvectors whose span is followed, one of each tracker's `top`. If
            None, the whole kernel is followed.
        name : str, default=None
            Title of the plot.
        ax : matplotlib PolarAxes, default=None
            Polar axes to plot on. If None, a new figure is created.

        Returns
        -------
        display : PolarDynamicsDisplay
        """
        curves = {}
        for label, each in named_trackers(tracker).items():
            if top is None:
                curves[label] = each.polar_radius_, each.polar_angle_
            else:
                check_followed("top", top, each)
                curves[label] = each.top_polar_radius_[top], each.top_polar_angle_[top]
        return cls.from_predictions(curves, name=name, ax=ax)

    @classmethod
    def from_predictions(
        cls, curves: Mapping[str, Any], *, name: str | None = None, ax: Any = None
    ) -> PolarDynamicsDisplay:
        """Plot given paths.

        Parameters
        ----------
        curves : mapping from str to (radius, angle)
            Two array-likes of shape (T,) for each training run, as returned by
            `skntk.metrics.polar_coordinates`.
        name : str, default=None
            Title of the plot.
        ax : matplotlib PolarAxes, default=None
            Polar axes to plot on. If None, a new figure is created.

        Returns
        -------
        display : PolarDynamicsDisplay
        """
        return cls(curves=check_curves(curves, ("radius", "angle")), name=name).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        self.figure_, self.ax_ = polar_axes(ax, figsize=(4.5, 4))
        self.lines_ = {}
        for index, (label, (radius, angle)) in enumerate(self.curves.items()):
            style = series_style(index)
            (line,) = self.ax_.plot(angle, radius, label=label, linewidth=1, **style)
            line.set_markevery([])  # the points of the path follow, and only the legend has one
            self.ax_.scatter(
                angle,
                radius,
                s=np.linspace(8, 45, len(radius)),
                c=style["color"],
                marker=style["marker"],
                edgecolors="w",
                linewidths=0.4,
            )
            self.lines_[label] = line
        # Two positive semidefinite kernels are at most a right angle apart.
        widest = max(float(np.max(angle)) for _, angle in self.curves.values())
        self.ax_.set_thetalim(0, max(np.pi / 2, widest))
        self.ax_.set_rlim(0, None)
        self.ax_.set_xlabel("distance from the first kernel\n(larger dots are later)", labelpad=16)
        middle = np.deg2rad(self.ax_.get_thetamax()) / 2
        self.ax_.text(
            middle,
            1.28 * self.ax_.get_rmax(),
            "angle to the first kernel",
            rotation=np.rad2deg(middle) - 90,
            ha="center",
            va="center",
        )
        # Clear of that label.
        legend_beside(self.ax_, own_figure=ax is None, anchor=(1.15, 1.1))
