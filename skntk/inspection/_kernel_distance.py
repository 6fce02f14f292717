"""Distances between the kernels at any two checkpoints (Fig. 6, left)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._arguments import check_square
from ._base import Display, single_axes
from ._curves import check_tracker

__all__ = ["KernelDistanceDisplay"]


class KernelDistanceDisplay(Display):
    """Heat map of pairwise kernel distances.

    Parameters
    ----------
    distances : ndarray of shape (T, T)
        Distance (Eq. 12) between each two kernels.
    steps : ndarray of shape (T,)
        Checkpoint of each kernel.
    name : str or None
        Title of the plot.
    vmax : float or None
        Distance at the upper end of the colour scale. If None, the largest distance.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot.
    figure_ : matplotlib Figure
        Figure that contains the axes.
    image_ : matplotlib AxesImage
        The heat map.

    Examples
    --------
    >>> from skntk.inspection import KernelDistanceDisplay
    >>> display = KernelDistanceDisplay.from_predictions([[0.0, 0.3], [0.3, 0.0]])
    >>> display.image_.get_array().shape
    (2, 2)
    """

    def __init__(
        self, *, distances: Any, steps: Any, name: str | None = None, vmax: float | None = None
    ) -> None:
        self.distances = distances
        self.steps = steps
        self.name = name
        self.vmax = vmax

    @classmethod
    def from_estimator(
        cls, tracker: Any, *, name: str | None = None, vmax: float | None = None, ax: Any = None
    ) -> KernelDistanceDisplay:
        """Plot the distances between the kernels that a tracker has recorded.

        Parameters
        ----------
        tracker : KernelDynamicsTracker
            Tracker with at least one recorded step.
        name : str, default=None
            Title of the plot.
        vmax : float, default=None
            Distance at the upper end of the colour scale. If None, the largest distance. Use the
            same value for plots that are to be compared.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        display : KernelDistanceDisplay
        """
        tracker = check_tracker(tracker)
        return cls.from_predictions(tracker.distances_, tracker.steps_, name=name, vmax=vmax, ax=ax)

    @classmethod
    def from_predictions(
        cls,
        distances: ArrayLike,
        steps: ArrayLike | None = None,
        *,
        name: str | None = None,
        vmax: float | None = None,
        ax: Any = None,
    ) -> KernelDistanceDisplay:
        """Plot given distances.

        Parameters
        ----------
        distances : array-like of shape (T, T)
            Distance between each two kernels.
        steps : array-like of shape (T,), default=None
            Checkpoint of each kernel. If None, 0, 1, ...
        name : str, default=None
            Title of the plot.
        vmax : float, default=None
            Distance at the upper end of the colour scale. If None, the largest distance.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        display : KernelDistanceDisplay
        """
        distances = np.asarray(distances, dtype=float)
        check_square("distances", distances)
        steps = np.arange(len(distances)) if steps is None else np.asarray(steps)
        if steps.shape != (len(distances),):
            raise ValueError(
                f"steps has shape {steps.shape} for {len(distances)} kernels; give one each."
            )
        return cls(distances=distances, steps=steps, name=name, vmax=vmax).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        self.figure_, self.ax_ = single_axes(ax, figsize=(4.2, 3.5))
        self.image_ = self.ax_.imshow(
            self.distances, vmin=0, vmax=self.vmax, origin="lower", cmap="viridis"
        )
        # Checkpoints need not be evenly spaced, so the ticks carry their steps.
        ticks = np.arange(0, len(self.steps), max(1, round((len(self.steps) - 1) / 4)))
        labels = [str(step) for step in self.steps[ticks]]
        self.ax_.set_xticks(ticks, labels)
        self.ax_.set_yticks(ticks, labels)
        self.ax_.set(xlabel="checkpoint", ylabel="checkpoint")
        self.figure_.colorbar(self.image_, ax=self.ax_, label="kernel distance")
