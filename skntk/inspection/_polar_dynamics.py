"""The path of the kernel in polar coordinates (Fig. 6 right, 14)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ._base import Display, legend_beside, polar_axes
from ._curves import check_curves, named_trackers

__all__ = ["PolarDynamicsDisplay"]


class PolarDynamicsDisplay(Display):
    """Distance from the first kernel against the angle to it, through training.

    Parameters
    ----------
    curves : dict of str to (radius, angle)
        For each training run two arrays (T,), Eq. 13, in order of time.
    name : str or None
        Title.

    Attributes
    ----------
    ax_ : matplotlib PolarAxes
        Axes drawn on.
    figure_ : matplotlib Figure
        Their figure.
    lines_ : dict of str to matplotlib Line2D
        The paths.

    Examples
    --------
    >>> from skntk.inspection import PolarDynamicsDisplay
    >>> display = PolarDynamicsDisplay.from_predictions({"standard": ([0, 0.6, 1], [0, 0.4, 0.5])})
    >>> list(display.lines_)
    ['standard']
    """

    def __init__(self, *, curves: dict[str, Any], name: str | None = None) -> None:
        self.curves = curves
        self.name = name

    @classmethod
    def from_estimator(
        cls, tracker: Any, *, top: int | None = None, name: str | None = None, ax: Any = None
    ) -> PolarDynamicsDisplay:
        """Draw the paths of trackers' kernels.

        Parameters
        ----------
        tracker : KernelDynamicsTracker, or mapping from name to them
            With recorded steps.
        top : int, default=None
            Size of the top eigenspace to follow, one of the tracker's; None: all of it.
        name : str, default=None
            Title.
        ax : matplotlib PolarAxes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : PolarDynamicsDisplay
        """
        curves = {}
        for label, each in named_trackers(tracker).items():
            if top is None:
                curves[label] = each.polar_radius_, each.polar_angle_
            elif top in each.top:
                curves[label] = each.top_polar_radius_[top], each.top_polar_angle_[top]
            else:
                raise ValueError(f"top={top!r} was not followed; the tracker has {each.top}.")
        return cls.from_predictions(curves, name=name, ax=ax)

    @classmethod
    def from_predictions(
        cls, curves: Mapping[str, Any], *, name: str | None = None, ax: Any = None
    ) -> PolarDynamicsDisplay:
        """Draw given paths.

        Parameters
        ----------
        curves : mapping from str to (radius, angle)
            As `skntk.metrics.polar_coordinates` gives them.
        name : str, default=None
            Title.
        ax : matplotlib PolarAxes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : PolarDynamicsDisplay
        """
        return cls(curves=check_curves(curves, ("radius", "angle")), name=name).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        self.figure_, self.ax_ = polar_axes(ax, figsize=(4.5, 4))
        self.lines_ = {}
        for label, (radius, angle) in self.curves.items():
            (line,) = self.ax_.plot(angle, radius, marker=".", label=label)
            self.ax_.plot(angle[-1:], radius[-1:], marker="o", color=line.get_color())
            self.lines_[label] = line
        # A kernel and its start are both positive: no angle exceeds a right one.
        widest = max(float(np.max(angle)) for _, angle in self.curves.values())
        self.ax_.set_thetalim(0, max(np.pi / 2, widest))
        self.ax_.set_rlim(0, None)
        legend_beside(self.ax_, own_figure=ax is None)
