"""Kernel matrices as images (Fig. 15)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arguments import check_mapping, check_square
from ._base import Display, axes_grid
from ._curves import named_trackers

__all__ = ["KernelMatrixDisplay"]


class KernelMatrixDisplay(Display):
    """Kernel matrices side by side, with the samples in order of class.

    Parameters
    ----------
    kernels : dict of str to ndarray of shape (n, n)
        Kernel matrices by the titles of their panels.
    share_scale : bool
        Whether all panels have the same colour scale.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Figure that contains the axes.
    axes_ : ndarray of matplotlib Axes of shape (1, n_kernels)
        One panel for each kernel.
    ax_ : matplotlib Axes
        First of `axes_`.

    Examples
    --------
    >>> import numpy as np
    >>> from skntk.inspection import KernelMatrixDisplay
    >>> display = KernelMatrixDisplay.from_predictions({"start": np.eye(3), "end": 2 * np.eye(3)})
    >>> display.axes_.shape
    (1, 2)
    """

    def __init__(self, *, kernels: Any, share_scale: bool = False) -> None:
        self.kernels = kernels
        self.share_scale = share_scale

    @classmethod
    def from_estimator(
        cls,
        tracker: Any,
        *,
        steps: Sequence[int] | None = None,
        share_scale: bool = False,
        ax: Any = None,
    ) -> KernelMatrixDisplay:
        """Plot recorded kernels, averaged over the network's outputs.

        The average is the trace over the k outputs divided by k. Samples are in order of class
        if the tracker knows their labels.

        Parameters
        ----------
        tracker : KernelDynamicsTracker or mapping from str to KernelDynamicsTracker
            One tracker, or several by name, each with at least one recorded step.
        steps : sequence of int, default=None
            Recorded steps to show. If None, the first and the last of each tracker.
        share_scale : bool, default=False
            Whether all panels have the same colour scale.
        ax : matplotlib Axes or array of Axes, default=None
            Axes to plot on: one, which is divided into a grid, or one for each panel. If None,
            a new figure is created.

        Returns
        -------
        display : KernelMatrixDisplay
        """
        kernels: dict[str, NDArray] = {}
        for label, each in named_trackers(tracker, "").items():
            for step in each.steps_[[0, -1]].tolist() if steps is None else steps:
                kernels[f"{label} step {step}".strip()] = _between_samples(each, step)
        return cls.from_predictions(kernels, share_scale=share_scale, ax=ax)

    @classmethod
    def from_predictions(
        cls,
        kernels: Mapping[str, ArrayLike],
        *,
        labels: ArrayLike | None = None,
        share_scale: bool = False,
        ax: Any = None,
    ) -> KernelMatrixDisplay:
        """Plot given kernels.

        Parameters
        ----------
        kernels : mapping from str to array-like of shape (n, n)
            Kernel matrices by the titles of their panels.
        labels : array-like of shape (n,), default=None
            Classes by which the samples are sorted. If None, they stay in the given order.
        share_scale : bool, default=False
            Whether all panels have the same colour scale.
        ax : matplotlib Axes or array of Axes, default=None
            Axes to plot on: one, which is divided into a grid, or one for each panel. If None,
            a new figure is created.

        Returns
        -------
        display : KernelMatrixDisplay
        """
        check_mapping("kernels", kernels)
        arrays = {name: np.asarray(kernel, dtype=float) for name, kernel in kernels.items()}
        order = None if labels is None else np.argsort(np.asarray(labels), kind="stable")
        for name, kernel in arrays.items():
            check_square(f"kernels[{name!r}]", kernel)
            if order is not None and len(order) != len(kernel):
                raise ValueError(
                    f"labels has {len(order)} entries and kernels[{name!r}] has {len(kernel)} "
                    "rows; give one label for each row."
                )
            if order is not None:
                arrays[name] = kernel[np.ix_(order, order)]
        return cls(kernels=arrays, share_scale=share_scale).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        self.figure_, self.axes_ = axes_grid(1, len(self.kernels), ax, cell=3.0)
        self.ax_ = self.axes_[0, 0]
        limits: dict[str, float] = {}
        if self.share_scale:
            limits["vmin"] = min(kernel.min() for kernel in self.kernels.values())
            limits["vmax"] = max(kernel.max() for kernel in self.kernels.values())
        for axis, (name, kernel) in zip(self.axes_[0], self.kernels.items(), strict=True):
            image = axis.imshow(kernel, cmap="viridis", **limits)
            axis.set(xticks=[], yticks=[], title=name)
            self.figure_.colorbar(image, ax=axis, shrink=0.8, label="kernel")


def _between_samples(tracker: Any, step: int) -> NDArray:
    """Kernel (n, n) averaged over the outputs, in order of class if the labels are known."""
    kernel = tracker.kernel(step)
    n = tracker.n_samples
    k = len(kernel) // n
    kernel = np.trace(kernel.reshape(n, k, n, k), axis1=1, axis2=3) / k
    if tracker.labels is None:
        return kernel
    order = np.argsort(tracker.labels, kind="stable")
    return kernel[np.ix_(order, order)]
