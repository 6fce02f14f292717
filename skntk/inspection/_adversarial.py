"""Originals, perturbations and adversarial examples side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._utils.frames import framed_like
from ._arguments import check_length, class_names
from ._base import Display, axes_grid
from ._images import magnitude, resolve_image_shape, show_image, show_signed

__all__ = ["AdversarialExamplesDisplay"]


class AdversarialExamplesDisplay(Display):
    """Images before and after an attack, and the perturbations (Fig. 1, top).

    Parameters
    ----------
    X, X_adv : ndarray of shape (n, d)
        Clean and adversarial images, pixels in [0, 1].
    image_shape : tuple of int (H, W, C)
        Height, width and channels of an image.
    labels, labels_adv : sequence of str or None
        Predicted class of each clean and of each adversarial image, shown as a title.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Figure that contains the axes.
    axes_ : ndarray of matplotlib Axes of shape (3, n)
        Clean images in the first row, perturbations in the second, adversarial images in
        the third.
    ax_ : matplotlib Axes
        First of `axes_`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skntk import NTKAttack, NTKClassifier
    >>> from skntk.inspection import AdversarialExamplesDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = NTKClassifier("fc1").fit(X[:200] / 16, y[:200])
    >>> display = AdversarialExamplesDisplay.from_estimator(
    ...     NTKAttack(clf, eps=0.2), X[200:204] / 16, y[200:204]
    ... )
    """

    def __init__(
        self,
        X: NDArray,
        X_adv: NDArray,
        *,
        image_shape: Any,
        labels: Any = None,
        labels_adv: Any = None,
    ) -> None:
        self.X = X
        self.X_adv = X_adv
        self.image_shape = image_shape
        self.labels = labels
        self.labels_adv = labels_adv

    @classmethod
    def from_estimator(
        cls,
        attack: Any,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        target_names: Any = None,
        ax: Any = None,
    ) -> AdversarialExamplesDisplay:
        """Attack images and plot the adversarial examples.

        Parameters
        ----------
        attack : NTKAttack
            Attack on a fitted estimator, whose predictions become the titles.
        X : array-like of shape (n, d)
            Clean images, one column of the plot each.
        y : array-like of shape (n,), default=None
            True labels, or targets if the attack is targeted. If None, the labels that the
            estimator predicts for `X`.
        image_shape : tuple of int (H, W) or (H, W, C), default=None
            Height, width and channels of an image. If None, images are square.
        target_names : mapping from label to name, or sequence of names, default=None
            Name of each class in the titles. A sequence names the labels 0, 1, ..., as that of
            scikit-learn's data sets does. If None, the labels are shown.
        ax : matplotlib Axes or array of Axes, default=None
            Axes to plot on: one, which is divided into a grid, or one for each panel. If None,
            a new figure is created.

        Returns
        -------
        display : AdversarialExamplesDisplay
        """
        X_adv = attack.generate(X, y)
        labels, labels_adv = (
            [f"taken for {name}" for name in class_names(predictions, target_names)]
            for predictions in map(attack.estimator.predict, (X, framed_like(X, X_adv)))
        )
        if y is not None and not attack.targeted:
            true = class_names(np.asarray(y), target_names)
            labels = [f"{name}\n{taken}" for name, taken in zip(true, labels, strict=True)]
        return cls.from_predictions(
            X, X_adv, labels=labels, labels_adv=labels_adv, image_shape=image_shape, ax=ax
        )

    @classmethod
    def from_predictions(
        cls,
        X: ArrayLike,
        X_adv: ArrayLike,
        *,
        labels: Any = None,
        labels_adv: Any = None,
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
    ) -> AdversarialExamplesDisplay:
        """Plot given images.

        Parameters
        ----------
        X, X_adv : array-like of shape (n, d)
            Clean and adversarial images, pixels in [0, 1].
        labels, labels_adv : sequence of str of length n, default=None
            Titles of the clean and of the adversarial images.
        image_shape : tuple of int (H, W) or (H, W, C), default=None
            Height, width and channels of an image. If None, images are square.
        ax : matplotlib Axes or array of Axes, default=None
            Axes to plot on: one, which is divided into a grid, or one for each panel. If None,
            a new figure is created.

        Returns
        -------
        display : AdversarialExamplesDisplay
        """
        X, X_adv = np.asarray(X), np.asarray(X_adv)
        if X.shape != X_adv.shape or X.ndim != 2 or len(X) == 0:
            raise ValueError(
                f"X has shape {X.shape} and X_adv {X_adv.shape}; give the same samples, (n, d)."
            )
        check_length("labels", labels, len(X))
        check_length("labels_adv", labels_adv, len(X))
        shape = resolve_image_shape(image_shape, X.shape[1])
        display = cls(X, X_adv, image_shape=shape, labels=labels, labels_adv=labels_adv)
        return display.plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        self.figure_, self.axes_ = axes_grid(3, len(self.X), ax)
        self.ax_ = self.axes_[0, 0]
        for column, (clean, adversarial) in enumerate(zip(self.X, self.X_adv, strict=True)):
            top, middle, bottom = self.axes_[:, column]
            show_image(top, clean, self.image_shape)
            show_signed(middle, adversarial - clean, self.image_shape)
            middle.set_xlabel(magnitude(adversarial - clean), fontsize="x-small")
            show_image(bottom, adversarial, self.image_shape)
            if self.labels is not None:
                top.set_title(self.labels[column], fontsize="small")
            if self.labels_adv is not None:
                bottom.set_title(self.labels_adv[column], fontsize="small")
        for row, name in zip(self.axes_[:, 0], ("clean", "added", "adversarial"), strict=True):
            row.set_ylabel(name)
