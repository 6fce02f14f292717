"""Input gradients of features as images (Fig. 2 left, 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._arguments import as_sample, check_length, default_components
from ._base import Display, axes_grid
from ._images import resolve_image_shape, show_image, show_signed

__all__ = ["FeatureGradientDisplay"]


class FeatureGradientDisplay(Display):
    """Gradients of features at one image: a row for each model, a column for each feature.

    Parameters
    ----------
    gradients : ndarray of shape (r, p, d)
        Gradients of p features of each of r models.
    image_shape : tuple of int (H, W, C)
        Height, width and channels of an image.
    image : ndarray of shape (d,) or None
        Image at which the gradients were taken, shown in the first column.
    row_labels, titles : sequence of str or None
        Names of the rows (models) and of the columns (features).

    Attributes
    ----------
    figure_ : matplotlib Figure
        Figure that contains the axes.
    axes_ : ndarray of matplotlib Axes
        One row for each model.
    ax_ : matplotlib Axes
        First of `axes_`.

    Examples
    --------
    >>> import numpy as np
    >>> from skntk.inspection import FeatureGradientDisplay
    >>> rng = np.random.default_rng(0)
    >>> display = FeatureGradientDisplay.from_predictions(rng.normal(size=(5, 64)))
    >>> display.axes_.shape
    (1, 5)
    """

    def __init__(
        self,
        *,
        gradients: Any,
        image_shape: Any,
        image: Any = None,
        row_labels: Any = None,
        titles: Any = None,
    ) -> None:
        self.gradients = gradients
        self.image_shape = image_shape
        self.image = image
        self.row_labels = row_labels
        self.titles = titles

    @classmethod
    def from_estimator(
        cls,
        decomposer: Any,
        x: ArrayLike,
        *,
        components: ArrayLike | None = None,
        output: Any = None,
        image_shape: tuple[int, ...] | None = None,
        titles: Any = None,
        ax: Any = None,
    ) -> FeatureGradientDisplay:
        """Plot the feature gradients of one or several fitted decomposers at an image.

        Parameters
        ----------
        decomposer : SpectralFeatureDecomposer or mapping from str to SpectralFeatureDecomposer
            Fitted decomposer, or several by the names of their rows.
        x : array-like of shape (d,) or (1, d)
            Image at which the gradients are taken.
        components : array-like of int, default=None
            Indices of the features shown. If None, the first five.
        output : label, default=None
            Class whose output is differentiated, as in
            `SpectralFeatureDecomposer.feature_gradients`.
        image_shape : tuple of int (H, W) or (H, W, C), default=None
            Height, width and channels of an image. If None, images are square.
        titles : sequence of str, default=None
            Titles of the columns. If None, the features are numbered from 1.
        ax : matplotlib Axes or array of Axes, default=None
            Axes to plot on: one, which is divided into a grid, or one for each panel. If None,
            a new figure is created.

        Returns
        -------
        display : FeatureGradientDisplay
        """
        x = as_sample(x)
        models = decomposer if isinstance(decomposer, Mapping) else {None: decomposer}
        if not models:
            raise ValueError(f"decomposer={decomposer!r} is empty; give at least one decomposer.")
        chosen = default_components(components, models.values())
        gradients = [
            model.feature_gradients(x, components=chosen, output=output)[0]
            for model in models.values()
        ]
        if titles is None:
            titles = [f"feature {index}" for index in chosen]
        return cls.from_predictions(
            np.stack(gradients),
            image=x,
            image_shape=image_shape,
            row_labels=None if None in models else list(models),
            titles=titles,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        gradients: ArrayLike,
        *,
        image: ArrayLike | None = None,
        image_shape: tuple[int, ...] | None = None,
        row_labels: Any = None,
        titles: Any = None,
        ax: Any = None,
    ) -> FeatureGradientDisplay:
        """Plot given gradients.

        Parameters
        ----------
        gradients : array-like of shape (p, d) or (r, p, d)
            Gradients of p features of one model, or of each of r models.
        image : array-like of shape (d,), default=None
            Image at which the gradients were taken, shown in the first column.
        image_shape : tuple of int (H, W) or (H, W, C), default=None
            Height, width and channels of an image. If None, images are square.
        row_labels, titles : sequence of str, default=None
            Names of the rows (models) and of the columns (features).
        ax : matplotlib Axes or array of Axes, default=None
            Axes to plot on: one, which is divided into a grid, or one for each panel. If None,
            a new figure is created.

        Returns
        -------
        display : FeatureGradientDisplay
        """
        gradients = np.asarray(gradients)
        if gradients.ndim == 2:
            gradients = gradients[None]
        if gradients.ndim != 3 or gradients.size == 0:
            raise ValueError(f"gradients has shape {gradients.shape}; give (p, d) or (r, p, d).")
        n_rows, n_features, n_pixels = gradients.shape
        check_length("row_labels", row_labels, n_rows)
        check_length("titles", titles, n_features)
        if image is not None:
            image = np.asarray(image).ravel()
            if len(image) != n_pixels:
                raise ValueError(
                    f"image has {len(image)} values and each gradient has {n_pixels}; give the "
                    "image at which the gradients were taken."
                )
        display = cls(
            gradients=gradients,
            image_shape=resolve_image_shape(image_shape, n_pixels),
            image=image,
            row_labels=row_labels,
            titles=titles,
        )
        return display.plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        n_rows, n_features, _ = self.gradients.shape
        offset = int(self.image is not None)
        self.figure_, self.axes_ = axes_grid(n_rows, n_features + offset, ax)
        self.ax_ = self.axes_[0, 0]
        for row, gradients in enumerate(self.gradients):
            if self.image is not None:
                show_image(self.axes_[row, 0], self.image, self.image_shape)
            for column, gradient in enumerate(gradients):
                show_signed(self.axes_[row, column + offset], gradient, self.image_shape)
            if self.row_labels is not None:
                self.axes_[row, 0].set_ylabel(self.row_labels[row])
        if self.titles is not None:
            for axes, title in zip(self.axes_[0, offset:], self.titles, strict=True):
                axes.set_title(title, fontsize="small")
