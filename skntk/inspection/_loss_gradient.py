"""Gradients of the loss as images, of several models or at several epochs (Fig. 7b)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..metrics import loss_gradient
from ._arguments import check_length
from ._base import Display, axes_grid
from ._images import blank_axes, resolve_image_shape, show_image, show_signed

__all__ = ["LossGradientDisplay"]


class LossGradientDisplay(Display):
    """Gradients of the loss with respect to the input: a row for each model, as images.

    Columns are several images, or one image at several epochs. Every gradient has a colour scale
    of its own, with 0 in the middle; pixels in colour are grey where it is 0.

    Parameters
    ----------
    gradients : ndarray of shape (r, c, d)
        Gradient of each row and column.
    image_shape : tuple of int (H, W, C)
        Height, width and channels of an image.
    images : ndarray of shape (c, d) or (1, d), or None
        Images at which the gradients were taken, in a row on top; a single one stands for all
        columns.
    row_labels, titles : sequence of str or None
        Names of the rows and of the columns.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Figure that contains the axes.
    axes_ : ndarray of matplotlib Axes of shape (r, c), or (r + 1, c) with images
        Panels, that of the images first.
    ax_ : matplotlib Axes
        First of `axes_`.

    Examples
    --------
    >>> import numpy as np
    >>> from skntk.inspection import LossGradientDisplay
    >>> gradients = np.random.default_rng(0).normal(size=(2, 3, 64))
    >>> display = LossGradientDisplay.from_predictions(
    ...     gradients, row_labels=["network", "kernel"], titles=["epoch 1", "epoch 10", "epoch 100"]
    ... )
    >>> display.axes_.shape
    (2, 3)
    """

    def __init__(
        self,
        *,
        gradients: Any,
        image_shape: Any,
        images: Any = None,
        row_labels: Any = None,
        titles: Any = None,
    ) -> None:
        self.gradients = gradients
        self.image_shape = image_shape
        self.images = images
        self.row_labels = row_labels
        self.titles = titles

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        loss: str = "cross_entropy",
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
    ) -> LossGradientDisplay:
        """Plot the loss gradients of fitted classifiers.

        Parameters
        ----------
        estimator : estimator, mapping from str to estimator, or mapping to such mappings
            Fitted classifiers by the names of their rows, with a column for each image; or, for
            one image, of each row several by the names of the columns, which are the same in
            every row: a network and its kernel at several epochs.
        X : array-like of shape (c, d) or (d,)
            Images.
        y : array-like of shape (c,), or a label
            Their true labels.
        loss : {"cross_entropy", "squared_error"}, default="cross_entropy"
            As in `skntk.metrics.loss_gradient`.
        image_shape : tuple of int (H, W) or (H, W, C), default=None
            Height, width and channels of an image. If None, images are square.
        ax : matplotlib Axes or array of Axes, default=None
            Axes to plot on: one, which is divided into a grid, or one for each panel. If None,
            a new figure is created.

        Returns
        -------
        display : LossGradientDisplay

        Raises
        ------
        ValueError
            If there are no estimators, rows have other columns, or several images come with
            several columns.
        """
        X = X if hasattr(X, "columns") else np.atleast_2d(np.asarray(X))
        y = np.atleast_1d(np.asarray(y))
        rows, columns = _rows(estimator)
        if columns is not None and len(y) != 1:
            raise ValueError(
                f"X holds {len(y)} images and estimator has columns {columns}; give one image, "
                "or one estimator a row."
            )
        gradients = [
            np.concatenate([loss_gradient(model, X, y, loss=loss) for model in models])
            for models in rows.values()
        ]
        return cls.from_predictions(
            np.stack(gradients),
            images=np.asarray(X),
            image_shape=image_shape,
            row_labels=None if None in rows else list(rows),
            titles=[f"label {label}" for label in y.tolist()] if columns is None else columns,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        gradients: ArrayLike,
        *,
        images: ArrayLike | None = None,
        image_shape: tuple[int, ...] | None = None,
        row_labels: Any = None,
        titles: Any = None,
        ax: Any = None,
    ) -> LossGradientDisplay:
        """Plot given gradients.

        Parameters
        ----------
        gradients : array-like of shape (c, d) or (r, c, d)
            Gradients of one model, or of each of r.
        images : array-like of shape (c, d) or (1, d), default=None
            Images at which the gradients were taken, in a row on top.
        image_shape : tuple of int (H, W) or (H, W, C), default=None
            Height, width and channels of an image. If None, images are square.
        row_labels, titles : sequence of str, default=None
            Names of the rows and of the columns.
        ax : matplotlib Axes or array of Axes, default=None
            Axes to plot on: one, which is divided into a grid, or one for each panel. If None,
            a new figure is created.

        Returns
        -------
        display : LossGradientDisplay

        Raises
        ------
        ValueError
            If the shapes do not fit each other.
        """
        gradients = np.asarray(gradients)
        if gradients.ndim == 2:
            gradients = gradients[None]
        if gradients.ndim != 3 or gradients.size == 0:
            raise ValueError(f"gradients has shape {gradients.shape}; give (c, d) or (r, c, d).")
        n_rows, n_columns, d = gradients.shape
        check_length("row_labels", row_labels, n_rows)
        check_length("titles", titles, n_columns)
        if images is not None:
            images = np.atleast_2d(np.asarray(images))
            if images.shape not in ((n_columns, d), (1, d)):
                raise ValueError(
                    f"images has shape {images.shape}; give ({n_columns}, {d}), one a column, or "
                    f"(1, {d})."
                )
        display = cls(
            gradients=gradients,
            image_shape=resolve_image_shape(image_shape, d),
            images=images,
            row_labels=row_labels,
            titles=titles,
        )
        return display.plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        n_rows, n_columns, _ = self.gradients.shape
        offset = int(self.images is not None)
        self.figure_, self.axes_ = axes_grid(n_rows + offset, n_columns, ax)
        self.ax_ = self.axes_[0, 0]
        if offset:
            self._draw_images()
        for axes, gradient in zip(
            self.axes_[offset:].flat, self.gradients.reshape(n_rows * n_columns, -1), strict=True
        ):
            show_signed(axes, gradient, self.image_shape)
        for axes, label in zip(self.axes_[offset:, 0], self.row_labels or [], strict=False):
            axes.set_ylabel(label, fontsize="small")
        # A single image belongs to all columns, so that their names stand below it.
        named = self.axes_[offset if offset and len(self.images) < n_columns else 0]
        for axes, title in zip(named, self.titles or [], strict=False):
            axes.set_title(title, fontsize="small")
        if self.image_shape[2] == 1:
            _draw_colorbar(self.figure_, self.axes_[offset:])

    def _draw_images(self) -> None:
        for axes in self.axes_[0]:
            blank_axes(axes)
            axes.set_frame_on(False)
        for axes, image in zip(self.axes_[0], self.images, strict=False):
            show_image(axes, image, self.image_shape)
        self.axes_[0, 0].set_ylabel("image", fontsize="small")


def _draw_colorbar(figure: Any, axes: NDArray) -> None:
    """One bar for panels that each have their own largest value."""
    from matplotlib.cm import ScalarMappable  # without matplotlib, this module can be imported

    scale = ScalarMappable(cmap="RdBu_r")
    scale.set_clim(-1, 1)
    bar = figure.colorbar(scale, ax=list(axes.flat), shrink=0.8, ticks=[-1, 0, 1])
    bar.set_label("gradient / its largest", fontsize="small")


def _rows(estimator: Any) -> tuple[dict[str | None, list[Any]], list[str] | None]:
    """Estimators of each row, and the names of the columns, None if there is one in each row."""
    rows = dict(estimator) if isinstance(estimator, Mapping) else {None: estimator}
    if not rows:
        raise ValueError("estimator is an empty mapping; give at least one estimator.")
    nested = [isinstance(row, Mapping) for row in rows.values()]
    if not any(nested):
        return {name: [model] for name, model in rows.items()}, None
    columns = {name: list(row) if isinstance(row, Mapping) else [] for name, row in rows.items()}
    first = next(iter(columns.values()))
    if not first or any(names != first for names in columns.values()):
        raise ValueError(f"estimator has columns {columns}; give every row the same ones.")
    return {name: list(row.values()) for name, row in rows.items()}, [str(name) for name in first]
