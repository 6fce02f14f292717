"""An adversarial perturbation as a sum over features (Fig. 1)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._utils.frames import framed_like
from ..attacks import NTKAttack
from ._arguments import as_sample, check_length, class_names, default_components
from ._base import Display, axes_grid
from ._images import blank_axes, magnitude, resolve_image_shape, show_image, show_signed

__all__ = ["PerturbationDecompositionDisplay"]


class PerturbationDecompositionDisplay(Display):
    """An attack on an image (top) and the features that make up its gradient (bottom).

    The top row reads image + perturbation = adversarial example. The bottom row writes the
    loss gradient, from which the perturbation was made, as a sum over features.

    Parameters
    ----------
    image, adversarial : ndarray of shape (d,)
        Image before and after the attack.
    parts : ndarray of shape (q, d)
        Contributions of single features to the loss gradient.
    total : ndarray of shape (d,)
        Loss gradient.
    titles : sequence of str
        Names of the parts.
    image_shape : tuple of int (H, W, C)
        Height, width and channels of an image.
    labels : tuple of str or None
        Predicted class before and after the attack.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Figure that contains the axes.
    axes_ : ndarray of matplotlib Axes of shape (2, q + 2)
        The attack in the first row; the parts, their difference from the total, and the
        total in the second.
    ax_ : matplotlib Axes
        First of `axes_`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skntk import SpectralFeatureDecomposer
    >>> from skntk.inspection import PerturbationDecompositionDisplay
    >>> X, y = load_digits(n_class=2, return_X_y=True)
    >>> decomposer = SpectralFeatureDecomposer("fc1").fit(X[:100] / 16, y[:100])
    >>> display = PerturbationDecompositionDisplay.from_estimator(
    ...     decomposer, X[100] / 16, y[100], eps=0.2
    ... )
    """

    def __init__(
        self,
        *,
        image: Any,
        adversarial: Any,
        parts: Any,
        total: Any,
        titles: Any,
        image_shape: Any,
        labels: Any = None,
    ) -> None:
        self.image = image
        self.adversarial = adversarial
        self.parts = parts
        self.total = total
        self.titles = titles
        self.image_shape = image_shape
        self.labels = labels

    @classmethod
    def from_estimator(
        cls,
        decomposer: Any,
        x: ArrayLike,
        y: Any,
        *,
        eps: float = 8 / 255,
        clip_values: Any = (0.0, 1.0),
        components: ArrayLike | None = None,
        image_shape: tuple[int, ...] | None = None,
        target_names: Any = None,
        ax: Any = None,
    ) -> PerturbationDecompositionDisplay:
        """Attack one image with FGSM and decompose its loss gradient (Eq. 45).

        Parameters
        ----------
        decomposer : SpectralFeatureDecomposer
            Fitted decomposer.
        x : array-like of shape (d,) or (1, d)
            Image to attack.
        y : label
            True class of the image.
        eps : float, default=8/255
            Largest change of each pixel.
        clip_values : tuple or None, default=(0.0, 1.0)
            Lowest and highest value of an input. If None, values are not clipped.
        components : array-like of int, default=None
            Indices of the features shown one by one; the others are shown as their sum. If
            None, the first five.
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
        display : PerturbationDecompositionDisplay
        """
        x = as_sample(x)
        chosen = default_components(components, [decomposer])
        adversarial = NTKAttack(decomposer, eps=eps, clip_values=clip_values).generate(x, [y])
        decomposition = decomposer.decompose_gradient(x, [y])
        before, after = (
            class_names(decomposer.predict(image), target_names)[0]
            for image in (x, framed_like(x, adversarial))
        )
        label = class_names(np.asarray([y]), target_names)[0]
        labels = [f"{label}\ntaken for {before}", f"taken for {after}"]
        return cls.from_predictions(
            x,
            adversarial,
            parts=decomposition.parts[0, chosen],
            total=decomposition.total,
            titles=[f"feature {index}" for index in chosen],
            labels=labels,
            image_shape=image_shape,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        image: ArrayLike,
        adversarial: ArrayLike,
        *,
        parts: ArrayLike,
        total: ArrayLike,
        titles: Any = None,
        labels: Any = None,
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
    ) -> PerturbationDecompositionDisplay:
        """Plot a given perturbation and a given decomposition of the gradient.

        Parameters
        ----------
        image, adversarial : array-like of shape (d,) or (1, d)
            Image before and after the attack.
        parts : array-like of shape (q, d)
            Contributions of single features to the loss gradient.
        total : array-like of shape (d,) or (1, d)
            Loss gradient.
        titles : sequence of str, default=None
            Names of the parts. If None, "part 1", "part 2", ...
        labels : sequence of two str, default=None
            Predicted class before and after the attack.
        image_shape : tuple of int (H, W) or (H, W, C), default=None
            Height, width and channels of an image. If None, images are square.
        ax : matplotlib Axes or array of Axes, default=None
            Axes to plot on: one, which is divided into a grid, or one for each panel. If None,
            a new figure is created.

        Returns
        -------
        display : PerturbationDecompositionDisplay
        """
        image, adversarial, total = (np.asarray(v).ravel() for v in (image, adversarial, total))
        parts = np.asarray(parts)
        d = len(image)
        if adversarial.shape != (d,) or total.shape != (d,) or parts.shape[1:] != (d,):
            raise ValueError(
                f"image has {d} values, adversarial {adversarial.size}, total {total.size}, and "
                f"parts has shape {parts.shape}; give {d} values each, and parts of shape (q, {d})."
            )
        if titles is None:
            titles = [f"part {k + 1}" for k in range(len(parts))]
        check_length("titles", titles, len(parts))
        check_length("labels", labels, 2)
        display = cls(
            image=image,
            adversarial=adversarial,
            parts=parts,
            total=total,
            titles=titles,
            image_shape=resolve_image_shape(image_shape, d),
            labels=labels,
        )
        return display.plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        n_columns = max(3, len(self.parts) + 2)
        self.figure_, self.axes_ = axes_grid(2, n_columns, ax)
        self.ax_ = self.axes_[0, 0]
        for axes in self.axes_.flat:
            blank_axes(axes)
            axes.set_frame_on(False)
        self._plot_attack()
        self._plot_parts()

    def _plot_attack(self) -> None:
        clean, perturbation, adversarial = self.axes_[0, :3]
        before, after = self.labels or ("image", "adversarial")
        show_image(clean, self.image, self.image_shape)
        clean.set_title(before, fontsize="small")
        show_signed(perturbation, self.adversarial - self.image, self.image_shape)
        perturbation.set_title("+ perturbation", fontsize="small")
        perturbation.set_xlabel(magnitude(self.adversarial - self.image), fontsize="small")
        show_image(adversarial, self.adversarial, self.image_shape)
        adversarial.set_title(f"= {after}", fontsize="small")

    def _plot_parts(self) -> None:
        rest = self.total - self.parts.sum(axis=0)
        shown = [*self.parts, rest, self.total]
        titles = [*self.titles, "all others", "= gradient"]
        for k, (axes, part, title) in enumerate(zip(self.axes_[1], shown, titles, strict=False)):
            show_signed(axes, part, self.image_shape)
            sign = "+ " if 0 < k < len(shown) - 1 else ""
            share = np.linalg.norm(part) / (np.linalg.norm(self.total) or 1.0)
            axes.set_title(f"{sign}{title}", fontsize="small")
            axes.set_xlabel(f"norm {share:.2f}", fontsize="small")
