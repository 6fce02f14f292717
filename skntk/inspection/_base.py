"""Base of the Displays: find or make axes, draw, set the title.

A new Display derives from `Display`, stores its constructor's arguments under their own names, and
draws in `_draw`; classmethods `from_estimator` and `from_predictions` make it and call `plot`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Display", "axes_grid", "legend_beside", "polar_axes", "single_axes"]


class Display(ABC):
    """Base of all displays.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Figure drawn on.
    ax_ : matplotlib Axes
        Axes drawn on, or the first of them.
    """

    figure_: Any
    ax_: Any

    #: Title, of displays that have one.
    name: str | None = None

    def plot(self, ax: Any = None, **options: Any) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, or array of as many as are drawn on, default=None
            Where to draw; None: a new figure.
        **options : dict
            For the artist, of displays that have one.

        Returns
        -------
        display : Display
            Itself.
        """
        self._draw(ax, **options)
        if self.name is not None:
            self.ax_.set_title(self.name, wrap=True)
        return self

    @abstractmethod
    def _draw(self, ax: Any) -> None:
        """Set `figure_` and `ax_`, and draw."""


def single_axes(ax: Any = None, **figure_options: Any) -> tuple[Any, Any]:
    """Figure and axes to draw on; new ones unless given."""
    plt = _pyplot()
    if ax is None:
        figure, ax = plt.subplots(layout="constrained", **figure_options)
        return figure, ax
    return ax.figure, ax


def polar_axes(ax: Any = None, **figure_options: Any) -> tuple[Any, Any]:
    """Figure and polar axes to draw on; new ones unless given.

    Raises
    ------
    ValueError
        If `ax` is not polar.
    """
    if ax is None:
        options = {"subplot_kw": {"projection": "polar"}, **figure_options}
        figure, ax = single_axes(None, **options)
        # The layout does not know of the labels along an arc.
        figure.get_layout_engine().set(w_pad=0.15, h_pad=0.15)
        return figure, ax
    if getattr(ax, "name", None) != "polar":
        raise ValueError(
            "ax has no polar coordinates; make it with "
            "plt.subplots(subplot_kw={'projection': 'polar'}), or pass ax=None."
        )
    return ax.figure, ax


def legend_beside(ax: Any, *, own_figure: bool) -> None:
    """Legend outside of the axes, within the figure if that was made for them."""
    if own_figure:
        ax.figure.legend(fontsize="small", loc="outside lower center")
    else:
        ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(0.75, 1.1))


def axes_grid(
    n_rows: int, n_columns: int, ax: Any = None, *, cell: float = 1.4
) -> tuple[Any, NDArray]:
    """Figure and an (n_rows, n_columns) array of axes, inside `ax` if it is given.

    Raises
    ------
    ValueError
        If `ax` is an array of axes of another shape.
    """
    plt = _pyplot()
    if ax is None:
        figure, axes = plt.subplots(
            n_rows,
            n_columns,
            squeeze=False,
            figsize=(cell * n_columns + 0.6, cell * n_rows + 0.4),
            layout="constrained",
        )
        return figure, axes
    if isinstance(ax, plt.Axes):
        ax.set_axis_off()
        spec = ax.get_subplotspec()
        if spec is None:
            raise ValueError(
                "ax is not part of a subplot grid; make it with plt.subplots, or pass ax=None."
            )
        inner = spec.subgridspec(n_rows, n_columns)
        return ax.figure, inner.subplots(squeeze=False)
    axes = np.asarray(ax, dtype=object)
    if axes.size != n_rows * n_columns:
        raise ValueError(
            f"ax has {axes.size} axes and the display needs {n_rows} x {n_columns}; pass one "
            "axes, as many as that, or None."
        )
    axes = axes.reshape(n_rows, n_columns)
    return axes[0, 0].figure, axes


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Displays need matplotlib, which is not installed; pip install 'skntk[plot]'."
        ) from error
    return plt
