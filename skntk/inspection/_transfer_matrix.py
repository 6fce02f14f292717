"""Accuracy of victims on the adversarial examples of sources, as a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..attacks import NTKAttack
from ..transfer import transfer_matrix
from ._arguments import check_length, free_attack
from ._base import Display, single_axes

__all__ = ["TransferMatrixDisplay"]


class TransferMatrixDisplay(Display):
    """Accuracy of each victim (column) on the adversarial examples of each source (row).

    The examples of a source transfer to a victim where the field is dark.

    Parameters
    ----------
    accuracy : ndarray of shape (S, V)
        Accuracies in [0, 1].
    names : (sequence of str, sequence of str)
        Names of the sources and of the victims.
    clean_accuracy : ndarray of shape (V,) or None
        Accuracy without an attack, a row of its own on top.
    name : str or None
        Title of the plot.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot.
    figure_ : matplotlib Figure
        Figure that contains the axes.
    image_ : matplotlib AxesImage
        The matrix that is drawn.

    Examples
    --------
    >>> from skntk.inspection import TransferMatrixDisplay
    >>> names = ["fc1", "network"], ["fc1", "network", "forest"]
    >>> accuracy = [[0.1, 0.2, 0.5], [0.3, 0.1, 0.6]]
    >>> display = TransferMatrixDisplay.from_predictions(accuracy, names)
    >>> display.image_.get_array().shape
    (2, 3)
    """

    def __init__(
        self, *, accuracy: Any, names: Any, clean_accuracy: Any = None, name: str | None = None
    ) -> None:
        self.accuracy = accuracy
        self.names = names
        self.clean_accuracy = clean_accuracy
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        sources: Any,
        victims: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        attack: NTKAttack | None = None,
        name: str | None = None,
        ax: Any = None,
    ) -> TransferMatrixDisplay:
        """Attack the sources, ask the victims, and draw their accuracies.

        Parameters
        ----------
        sources, victims : mapping from str to estimator, or list
            Fitted classifiers, as `skntk.transfer.transfer_matrix` takes them.
        X : array-like of shape (n, d)
            Clean samples.
        y : array-like of shape (n,)
            True labels.
        attack : NTKAttack, default=None
            The attack, with None as its estimator. None: the default attack, FGSM.
        name : str, default=None
            Title of the plot.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        display : TransferMatrixDisplay
        """
        matrix = transfer_matrix(sources, victims, X, y, attack=free_attack(attack))
        return cls.from_predictions(
            matrix.accuracy,
            matrix.names,
            clean_accuracy=matrix.clean_accuracy,
            name=name,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        accuracy: ArrayLike,
        names: tuple[Sequence[str], Sequence[str]],
        *,
        clean_accuracy: ArrayLike | None = None,
        name: str | None = None,
        ax: Any = None,
    ) -> TransferMatrixDisplay:
        """Draw given accuracies.

        Parameters
        ----------
        accuracy : array-like of shape (S, V)
            Accuracies in [0, 1].
        names : (sequence of str, sequence of str)
            Names of the sources and of the victims.
        clean_accuracy : array-like of shape (V,), default=None
            Accuracy without an attack, a row of its own on top.
        name : str, default=None
            Title of the plot.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        display : TransferMatrixDisplay

        Raises
        ------
        ValueError
            If `accuracy` is not a matrix of numbers in [0, 1], or names do not fit it.
        """
        accuracy = _shares("accuracy", accuracy)
        if accuracy.ndim != 2 or not accuracy.size:
            raise ValueError(f"accuracy has shape {accuracy.shape}; give (sources, victims).")
        check_length("names", names, 2)
        for kind, given, count in zip(("source", "victim"), names, accuracy.shape, strict=True):
            check_length(f"names of each {kind}", given, count)
        if clean_accuracy is not None:
            clean_accuracy = _shares("clean_accuracy", clean_accuracy)
            check_length("clean_accuracy", clean_accuracy, accuracy.shape[1])
        display = cls(accuracy=accuracy, names=names, clean_accuracy=clean_accuracy, name=name)
        return display.plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        rows, shown = list(self.names[0]), self.accuracy
        if self.clean_accuracy is not None:
            rows, shown = ["(clean)", *rows], np.vstack([self.clean_accuracy, shown])
        size = (1.8 + 0.8 * shown.shape[1], 1.5 + 0.55 * len(shown))
        self.figure_, self.ax_ = single_axes(ax, figsize=size)
        self.image_ = self.ax_.imshow(shown, vmin=0, vmax=1, cmap="cividis", aspect="auto")
        for (row, column), share in np.ndenumerate(shown):
            color = "white" if share < 0.5 else "black"
            self.ax_.text(column, row, f"{share:.2f}", ha="center", va="center", color=color)
        self.ax_.set_xticks(range(shown.shape[1]), self.names[1], rotation=30, ha="right")
        self.ax_.set_yticks(range(len(rows)), rows)
        if self.clean_accuracy is not None:
            self.ax_.axhline(0.5, color="white", linewidth=3)
        self.ax_.set(xlabel="victim", ylabel="source of the examples")
        self.figure_.colorbar(self.image_, ax=self.ax_, label="accuracy")


def _shares(name: str, values: ArrayLike) -> Any:
    """Numbers in [0, 1] as an array."""
    shares = np.asarray(values, dtype=float)
    if not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError(f"{name} holds {shares.min()} to {shares.max()}; give shares in [0, 1].")
    return shares
