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

    Of networks that were followed with several `seeds`, lines are means and bands reach from the
    lowest to the highest of the seeds.

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
        *arguments : array-like
            Samples, as in `skntk.transfer.follow_transfer`.
        ax : matplotlib Axes or array of Axes, default=None
            Axes to plot on: one, which is divided into a grid, or one for each panel. If None,
            a new figure is created.
        **options : dict
            Further arguments of `skntk.transfer.follow_transfer`.

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
            ``transfer_robust_accuracy``, as returned by `skntk.transfer.follow_transfer`; and,
            for bands, ``runs``, a sequence of such mappings.
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
            seeds = f" ({len(curve['runs'])} seeds)" if "runs" in curve else ""
            self.ax_.plot(epochs, curve["cosine"], label=f"{name}{seeds}", **style)
            _draw_band(self.ax_, curve, "cosine", color)
            for key, (line, label) in _ACCURACIES.items():
                below.plot(epochs, curve[key], line, color=color, label=f"{name}, {label}")
                _draw_band(below, curve, key, color)
        self.ax_.set(ylabel="cosine of loss gradients", xscale="log", ylim=(None, 1.02))
        below.set(xlabel="epochs", ylabel="network accuracy", xscale="log", ylim=(-0.02, 1.02))
        self.ax_.legend(fontsize="small")
        below.legend(fontsize="x-small")


def _draw_band(ax: Any, curve: Mapping[str, Any], key: str, color: str) -> None:
    """Shade from the lowest to the highest of several runs."""
    if "runs" in curve:
        values = np.array([run[key] for run in curve["runs"]])
        low, high = values.min(axis=0), values.max(axis=0)
        ax.fill_between(curve["epochs"], low, high, color=color, alpha=0.2, linewidth=0)


def _check_curves(curves: Any) -> None:
    """Raise unless there is a curve, each with its parts of one length."""
    if not isinstance(curves, Mapping) or not all(isinstance(c, Mapping) for c in curves.values()):
        raise TypeError(
            "curves must be a mapping from names to results of follow_transfer, got "
            f"{curves!r:.80}."
        )
    if not curves:
        raise ValueError("curves is empty; give at least one.")
    for name, curve in curves.items():
        _check_curve(f"curves[{name!r}]", curve)
        if "runs" in curve:
            for k, run in enumerate(curve["runs"]):
                _check_curve(f"curves[{name!r}]['runs'][{k}]", run, len(curve["epochs"]))
            if not len(curve["runs"]):
                raise ValueError(f"curves[{name!r}]['runs'] is empty; give one, or leave it out.")


def _check_curve(label: str, curve: Mapping[str, Any], length: int | None = None) -> None:
    """Raise unless the parts of a curve are vectors of one length."""
    needed = ["epochs", "cosine", *_ACCURACIES]
    missing = [key for key in needed if key not in curve]
    if missing:
        raise ValueError(f"{label} lacks {', '.join(missing)}; it needs {needed}.")
    shapes = {key: np.shape(curve[key]) for key in needed}
    if len({*shapes.values()}) > 1 or len(shapes["epochs"]) != 1 or not len(curve["epochs"]):
        raise ValueError(f"{label} has shapes {shapes}; give vectors of one length.")
    if length is not None and len(curve["epochs"]) != length:
        raise ValueError(f"{label} has {len(curve['epochs'])} epochs; give {length}, as the mean.")
