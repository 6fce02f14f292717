"""A network and its kernel during training (Fig. 3, 7a)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..transfer import follow_transfer
from ._base import Display, axes_grid, series_style

__all__ = ["TransferDisplay"]

#: Line and label of each accuracy.
_ACCURACIES = {
    "accuracy": (":", "clean"),
    "own_robust_accuracy": ("-", "own examples"),
    "transfer_robust_accuracy": ("--", "kernel's examples"),
}


class TransferDisplay(Display):
    """Cosine of the loss gradients (top) and accuracy of the network under attack (bottom).

    Parameters
    ----------
    curves : dict of str to Bunch
        Result of `skntk.transfer.follow_transfer` for each network.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Figure that contains the axes.
    axes_ : ndarray of matplotlib Axes of shape (2, 1)
        Axes of the cosine and of the accuracies.
    ax_ : matplotlib Axes
        First of `axes_`.

    Examples
    --------
    >>> from skntk.inspection import TransferDisplay
    >>> curve = dict(
    ...     epochs=[10, 100],
    ...     cosine=[0.8, 0.9],
    ...     accuracy=[0.7, 0.8],
    ...     own_robust_accuracy=[0.1, 0.0],
    ...     transfer_robust_accuracy=[0.1, 0.0],
    ... )
    >>> display = TransferDisplay.from_predictions({"width 1000": curve})
    >>> display.axes_.shape
    (2, 1)
    """

    def __init__(self, curves: dict[str, Any]) -> None:
        self.curves = curves

    @classmethod
    def from_estimator(
        cls, network: Any, kernel: Any, *arguments: Any, ax: Any = None, **options: Any
    ) -> TransferDisplay:
        """Follow networks and a kernel during training, and plot the result.

        Parameters
        ----------
        network : FlaxClassifier or mapping from str to FlaxClassifier
            Network to train, or several by name.
        kernel : NTKClassifier
            Kernel to compare them with.
        *arguments, **options
            Further arguments of `skntk.transfer.follow_transfer`.
        ax : matplotlib Axes or array of Axes, default=None
            Axes to plot on: one, which is divided into a grid, or one for each panel. If None,
            a new figure is created.

        Returns
        -------
        display : TransferDisplay
        """
        networks = network if isinstance(network, Mapping) else {"network": network}
        if not networks:
            raise ValueError("network is an empty mapping; give at least one network.")
        curves = {
            name: follow_transfer(each, kernel, *arguments, **options)
            for name, each in networks.items()
        }
        return cls(curves).plot(ax=ax)

    @classmethod
    def from_predictions(cls, curves: Mapping[str, Any], *, ax: Any = None) -> TransferDisplay:
        """Plot given curves.

        Parameters
        ----------
        curves : mapping from str to mapping
            For each network ``epochs``, ``cosine``, ``accuracy``, ``own_robust_accuracy`` and
            ``transfer_robust_accuracy``, as returned by `skntk.transfer.follow_transfer`.
        ax : matplotlib Axes or array of Axes, default=None
            Axes to plot on: one, which is divided into a grid, or one for each panel. If None,
            a new figure is created.

        Returns
        -------
        display : TransferDisplay

        Raises
        ------
        ValueError
            If there are no curves, or one lacks a part or has parts of several lengths.
        TypeError
            If `curves` is not a mapping of mappings.
        """
        _check_curves(curves)
        return cls(dict(curves)).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        self.figure_, self.axes_ = axes_grid(2, 1, ax, cell=3.0)
        if ax is None:
            self.figure_.set_size_inches(5, 5.5)
        self.ax_, below = self.axes_[:, 0]
        for k, (name, curve) in enumerate(self.curves.items()):
            style = series_style(k)
            color = style["color"]
            epochs = np.asarray(curve["epochs"])
            self.ax_.plot(epochs, curve["cosine"], label=name, **style)
            for key, (line, label) in _ACCURACIES.items():
                below.plot(epochs, curve[key], line, color=color, label=f"{name}, {label}")
        self.ax_.set(ylabel="cosine of loss gradients", xscale="log", ylim=(None, 1.02))
        below.set(xlabel="epochs", ylabel="network accuracy", xscale="log", ylim=(-0.02, 1.02))
        self.ax_.legend(fontsize="small")
        below.legend(fontsize="x-small")


def _check_curves(curves: Any) -> None:
    """Raise unless there is a curve, each with its parts of one length."""
    if not isinstance(curves, Mapping) or not all(isinstance(c, Mapping) for c in curves.values()):
        raise TypeError(
            "curves must be a mapping from names to results of follow_transfer, got "
            f"{curves!r:.80}."
        )
    if not curves:
        raise ValueError("curves is empty; give at least one.")
    needed = ["epochs", "cosine", *_ACCURACIES]
    for name, curve in curves.items():
        missing = [key for key in needed if key not in curve]
        if missing:
            raise ValueError(f"curves[{name!r}] lacks {', '.join(missing)}; it needs {needed}.")
        lengths = {key: np.shape(curve[key]) for key in needed}
        if len({*lengths.values()}) > 1 or len(lengths["epochs"]) != 1 or not len(curve["epochs"]):
            raise ValueError(f"curves[{name!r}] has shapes {lengths}; give vectors of one length.")
