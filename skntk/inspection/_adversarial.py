"""Originals, perturbations and adversarial examples side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._utils.frames import framed_like
from ._arguments import check_length
from ._base import Display, axes_grid
from ._images import resolve_image_shape, show_image, show_signed

__all__ = ["AdversarialExamplesDisplay"]


class AdversarialExamplesDisplay(Display):
    """Images before and after an attack, with what was added (Fig. 1, top).

    Parameters
    ----------
    X, X_adv : ndarray of shape (n, d)
        Clean and adversarial images, pixels in [0, 1].
    labels, labels_adv : sequence of str or None
        What the classifier says of each.
    image_shape : tuple of int (H, W, C)
        Shape of an image.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Figure drawn on.
    axes_ : ndarray of matplotlib Axes of shape (3, n)
        Rows: originals, perturbations, adversarial images.
    ax_ : matplotlib Axes
        The first of them.

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
        """Attack images and draw the outcome.

        Parameters
        ----------
        attack : NTKAttack
            An attack on a fitted estimator, whose predictions become the titles.
        X : array-like of shape (n, d)
            Clean images; a handful.
        y : array-like of shape (n,), default=None
            True labels.
        image_shape : tuple of int (H, W, C), default=None
            Shape of an image; None: square.
        target_names : mapping from label to name, default=None
            Names for the titles; None: the labels.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : AdversarialExamplesDisplay
        """
        X_adv = attack.generate(X, y)
        names = target_names or {}
        labels, labels_adv = (
            [str(names.get(label, label)) for label in attack.estimator.predict(images).tolist()]
            for images in (X, framed_like(X, X_adv))
        )
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
        """Draw given images.

        Parameters
        ----------
        X, X_adv : array-like of shape (n, d)
            Clean and adversarial images, pixels in [0, 1].
        labels, labels_adv : sequence of str, default=None
            Titles.
        image_shape : tuple of int (H, W, C), default=None
            Shape of an image; None: square.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

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
            show_image(bottom, adversarial, self.image_shape)
            if self.labels is not None:
                top.set_title(self.labels[column], fontsize="small")
            if self.labels_adv is not None:
                bottom.set_title(self.labels_adv[column], fontsize="small")
        for row, name in zip(self.axes_[:, 0], ("clean", "added", "adversarial"), strict=True):
            row.set_ylabel(name)
