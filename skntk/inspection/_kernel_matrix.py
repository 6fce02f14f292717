"""Kernel matrices as images (Fig. 15)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._utils.validation import check_option
from ._arguments import check_mapping, check_square
from ._base import Display, axes_grid
from ._curves import named_trackers

__all__ = ["KernelMatrixDisplay"]

#: Most numbers on an axis.
_MOST_TICKS = 10


class KernelMatrixDisplay(Display):
    """Kernel matrices side by side, with the samples in order of class.

    Parameters
    ----------
    kernels : dict of str to ndarray of shape (n, n)
        Kernel matrices by the titles of their panels.
    share_scale : bool
        Whether all panels have the same colour scale.
    n_outputs : int or None
        Number of outputs, if rows are in order of them: their squares are numbered on the axes.

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

    def __init__(
        self, *, kernels: Any, share_scale: bool = False, n_outputs: int | None = None
    ) -> None:
        self.kernels = kernels
        self.share_scale = share_scale
        self.n_outputs = n_outputs

    @classmethod
    def from_estimator(
        cls,
        tracker: Any,
        *,
        order: str = "trace",
        steps: Sequence[int] | None = None,
        share_scale: bool = False,
        ax: Any = None,
    ) -> KernelMatrixDisplay:
        """Plot recorded kernels.

        Samples are in order of class if the tracker knows their labels.

        Parameters
        ----------
        tracker : KernelDynamicsTracker or mapping from str to KernelDynamicsTracker
            One tracker, or several by name, each with at least one recorded step.
        order : {"trace", "sample", "output"}, default="trace"
            "trace" shows (n, n), the trace over the network's k outputs divided by k. The others
            show all (n k, n k) entries: "sample" in the order they are recorded in, all outputs
            of a sample together; "output" all samples of an output together, so that the squares
            on the diagonal are the outputs, as in the paper's figure.
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
        check_option("order", order, tuple(_ORDERS))
        kernels: dict[str, NDArray] = {}
        counts = set()
        for label, each in named_trackers(tracker, "").items():
            for step in each.steps_[[0, -1]].tolist() if steps is None else steps:
                blocks = _blocks(each, step)
                counts.add(blocks.shape[1])
                kernels[f"{label} step {step}".strip()] = _ORDERS[order](blocks)
        n_outputs = counts.pop() if order == "output" and len(counts) == 1 else None
        return cls.from_predictions(kernels, share_scale=share_scale, n_outputs=n_outputs, ax=ax)

    @classmethod
    def from_predictions(
        cls,
        kernels: Mapping[str, ArrayLike],
        *,
        labels: ArrayLike | None = None,
        share_scale: bool = False,
        n_outputs: int | None = None,
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
        n_outputs : int, default=None
            Number of outputs, if rows are in order of them: their squares are numbered on the
            axes.
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
            if n_outputs is not None and (n_outputs < 1 or len(kernel) % n_outputs):
                raise ValueError(
                    f"n_outputs={n_outputs} does not divide the {len(kernel)} rows of "
                    f"kernels[{name!r}]."
                )
        display = cls(kernels=arrays, share_scale=share_scale, n_outputs=n_outputs)
        return display.plot(ax=ax)

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
            if self.n_outputs is not None:
                _number_outputs(axis, len(kernel), self.n_outputs)
            self.figure_.colorbar(image, ax=axis, shrink=0.8, label="kernel")


def _number_outputs(axis: Any, n_rows: int, n_outputs: int) -> None:
    """Number the squares of the outputs, or some of them where all would run into each other."""
    outputs = np.arange(0, n_outputs, -(-n_outputs // _MOST_TICKS))
    middles = (outputs + 0.5) * n_rows / n_outputs - 0.5
    numbers = [str(output) for output in outputs]
    axis.set_xticks(middles, numbers, fontsize="small")
    axis.set_yticks(middles, numbers, fontsize="small")
    axis.tick_params(length=0)
    axis.set(xlabel="output", ylabel="output")


def _blocks(tracker: Any, step: int) -> NDArray:
    """Kernel (n, k, n, k), samples in order of class if the labels are known."""
    n = tracker.n_samples
    kernel = tracker.kernel(step)
    k = len(kernel) // n
    blocks = kernel.reshape(n, k, n, k)
    if tracker.labels is None:
        return blocks
    order = np.argsort(tracker.labels, kind="stable")
    return blocks[order][:, :, order]


def _trace(blocks: NDArray) -> NDArray:
    return np.trace(blocks, axis1=1, axis2=3) / blocks.shape[1]


def _by_sample(blocks: NDArray) -> NDArray:
    n, k, _, _ = blocks.shape
    return blocks.reshape(n * k, n * k)


def _by_output(blocks: NDArray) -> NDArray:
    n, k, _, _ = blocks.shape
    return blocks.transpose(1, 0, 3, 2).reshape(n * k, n * k)


_ORDERS = {"trace": _trace, "sample": _by_sample, "output": _by_output}
