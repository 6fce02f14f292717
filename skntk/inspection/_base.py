"""Base class of the Displays, and the figures and axes they plot on.

A new Display derives from `Display`, stores the arguments of its constructor under the same names,
and draws in `_draw`. Its class methods `from_estimator` and `from_predictions` construct it and
call `plot`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Display", "axes_grid", "legend_beside", "polar_axes", "series_style", "single_axes"]

_MARKERS = "osD^vP*X"


class Display(ABC):
    """Base class of all Displays.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Figure that contains the axes.
    ax_ : matplotlib Axes
        Axes of the plot; the first of them if there are several.
    """

    figure_: Any
    ax_: Any

    #: Title of the plot; None for none.
    name: str | None = None
    #: Room between the axes and the title, in points; None for that of matplotlib's settings.
    _title_pad: float | None = None

    def plot(self, ax: Any = None, **options: Any) -> Self:
        """Plot the stored data.

        Parameters
        ----------
        ax : matplotlib Axes or array of Axes, default=None
            Axes to plot on; an array is for Displays with several panels. If None, a new
            figure is created.
        **options : dict
            Passed to matplotlib, by Displays that accept any.

        Returns
        -------
        display : Display
            The Display itself.
        """
        self._draw(ax, **options)
        if self.name is not None:
            self.ax_.set_title(self.name, wrap=True, pad=self._title_pad)
        return self

    @abstractmethod
    def _draw(self, ax: Any) -> None:
        """Draw the data, and set `figure_` and `ax_`."""


def single_axes(ax: Any = None, **figure_options: Any) -> tuple[Any, Any]:
    """Return `ax` and its figure, or new ones if it is None."""
    plt = _pyplot()
    if ax is None:
        figure, ax = plt.subplots(layout="constrained", **figure_options)
        return figure, ax
    return ax.figure, ax


def polar_axes(ax: Any = None, **figure_options: Any) -> tuple[Any, Any]:
    """Return polar `ax` and its figure, or new ones if it is None.

    Raises
    ------
    ValueError
        If `ax` is not polar.
    """
    if ax is None:
        options = {"subplot_kw": {"projection": "polar"}, **figure_options}
        figure, ax = single_axes(None, **options)
        # Constrained layout leaves no room for the labels along the arc.
        figure.get_layout_engine().set(w_pad=0.15, h_pad=0.15)
        return figure, ax
    if getattr(ax, "name", None) != "polar":
        raise ValueError(
            "ax must have polar coordinates; create it with "
            "plt.subplots(subplot_kw={'projection': 'polar'}), or pass ax=None."
        )
    return ax.figure, ax


def series_style(index: int) -> dict[str, Any]:
    """Colour and marker of one of several curves, told apart without colours as well."""
    colors = _pyplot().style.library["tableau-colorblind10"]["axes.prop_cycle"].by_key()["color"]
    return {
        "color": colors[index % len(colors)],
        "marker": _MARKERS[index % len(_MARKERS)],
        "markersize": 4,
    }


def legend_beside(ax: Any, *, own_figure: bool, anchor: tuple[float, float] = (1.02, 1.0)) -> None:
    """Put the legend below a figure of the Display's own, else right of the axes, at `anchor`."""
    if own_figure:
        ax.figure.legend(fontsize="small", loc="outside lower center")
    else:
        ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=anchor)


def axes_grid(
    n_rows: int, n_columns: int, ax: Any = None, *, cell: float = 1.4
) -> tuple[Any, NDArray]:
    """Return a figure and an (n_rows, n_columns) array of axes.

    If `ax` is a single Axes, the grid is created inside it.

    Raises
    ------
    ValueError
        If `ax` is an array with another number of axes, or a single Axes that is not part
        of a subplot grid.
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
                "ax is not part of a subplot grid; create it with plt.subplots, or pass ax=None."
            )
        inner = spec.subgridspec(n_rows, n_columns)
        return ax.figure, inner.subplots(squeeze=False)
    axes = np.asarray(ax, dtype=object)
    if axes.size != n_rows * n_columns:
        raise ValueError(
            f"ax has {axes.size} axes and the display needs {n_rows} x {n_columns}; pass that "
            "many, a single Axes, or None."
        )
    axes = axes.reshape(n_rows, n_columns)
    return axes[0, 0].figure, axes


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Displays need matplotlib, which is not installed; run pip install 'skntk[plot]'."
        ) from error
    return plt
