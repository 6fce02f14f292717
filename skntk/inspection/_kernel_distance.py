"""Distance of the kernel between any two checkpoints (Fig. 6, left)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._base import Display, single_axes
from ._curves import check_tracker

__all__ = ["KernelDistanceDisplay"]


class KernelDistanceDisplay(Display):
    """Heat map of pairwise kernel distances.

    Parameters
    ----------
    distances : ndarray of shape (T, T)
        Eq. 12.
    steps : ndarray of shape (T,)
        Checkpoint of each row.
    name : str or None
        Title.
    vmax : float or None
        Distance at the end of the colour scale; None: the largest there is.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Their figure.
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
        """Draw the distances of a tracker's kernels.

        Parameters
        ----------
        tracker : KernelDynamicsTracker
            With at least one recorded step.
        name : str, default=None
            Title.
        vmax : float, default=None
            Distance at the end of the colour scale, to compare pictures.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

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
        """Draw given distances.

        Parameters
        ----------
        distances : array-like of shape (T, T)
        steps : array-like of shape (T,), default=None
            Checkpoint of each row; None: 0, 1, ...
        name : str, default=None
            Title.
        vmax : float, default=None
            Distance at the end of the colour scale.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : KernelDistanceDisplay
        """
        distances = np.asarray(distances, dtype=float)
        if distances.ndim != 2 or distances.shape[0] != distances.shape[1] or not distances.size:
            raise ValueError(f"distances has shape {distances.shape}; give a square matrix.")
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
        # Checkpoints need not be evenly spaced: rows are labelled with their steps.
        ticks = np.unique(np.linspace(0, len(self.steps) - 1, 5).round().astype(int))
        labels = [str(step) for step in self.steps[ticks]]
        self.ax_.set_xticks(ticks, labels)
        self.ax_.set_yticks(ticks, labels)
        self.ax_.set(xlabel="checkpoint", ylabel="checkpoint")
        self.figure_.colorbar(self.image_, ax=self.ax_, label="kernel distance")
