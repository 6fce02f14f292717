"""What every Display does first: find or make its axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["axes_grid", "polar_axes", "single_axes"]


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
        return single_axes(None, **options)
    if getattr(ax, "name", None) != "polar":
        raise ValueError(
            "ax has no polar coordinates; make it with "
            "plt.subplots(subplot_kw={'projection': 'polar'}), or pass ax=None."
        )
    return ax.figure, ax


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
