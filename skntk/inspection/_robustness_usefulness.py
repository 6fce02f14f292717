"""Usefulness of features against their robustness (Fig. 2, right; Fig. 8, 9)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..features._components import check_components
from ._base import Display, single_axes

__all__ = ["RobustnessUsefulnessDisplay"]


class RobustnessUsefulnessDisplay(Display):
    """Scatter plot of the usefulness of features against their robustness.

    The larger the eigenvalue of a feature, the larger and darker its dot.

    Parameters
    ----------
    usefulness, robustness : ndarray of shape (p,)
        Accuracy of each feature on clean samples and on FGSM examples made from the feature.
    eigenvalues : ndarray of shape (p,) or None
        Eigenvalues of the features. If None, all dots are alike.
    chance : float or None
        Accuracy above which a feature is useful, drawn as a line: the frequency of the most
        common class.
    name : str or None
        Title of the plot.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot.
    figure_ : matplotlib Figure
        Figure that contains the axes.
    scatter_ : matplotlib PathCollection
        Dots of the features.

    Examples
    --------
    >>> from skntk.inspection import RobustnessUsefulnessDisplay
    >>> display = RobustnessUsefulnessDisplay.from_predictions(
    ...     [0.6, 0.7], [0.5, 0.1], eigenvalues=[10.0, 1.0], chance=0.5
    ... )
    >>> display.ax_.get_xlabel()
    'robustness'
    """

    def __init__(
        self,
        *,
        usefulness: NDArray,
        robustness: NDArray,
        eigenvalues: NDArray | None = None,
        chance: float | None = None,
        name: str | None = None,
    ) -> None:
        self.usefulness = usefulness
        self.robustness = robustness
        self.eigenvalues = eigenvalues
        self.chance = chance
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        decomposer: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        eps: Any,
        norm: float = np.inf,
        clip_values: Any = (0.0, 1.0),
        components: ArrayLike | None = None,
        name: str | None = None,
        ax: Any = None,
    ) -> RobustnessUsefulnessDisplay:
        """Score the features of a fitted decomposer and plot the scores.

        Parameters
        ----------
        decomposer : SpectralFeatureDecomposer
            Fitted decomposer.
        X : array-like of shape (m, d)
            Held-out samples.
        y : array-like of shape (m,)
            True labels.
        eps, norm, clip_values, components
            As in `SpectralFeatureDecomposer.score_features`.
        name : str, default=None
            Title of the plot. If None, the decomposer's kernel if that is a string.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        display : RobustnessUsefulnessDisplay
        """
        scores = decomposer.score_features(
            X, y, eps=eps, norm=norm, clip_values=clip_values, components=components
        )
        if name is None and isinstance(decomposer.kernel, str):
            name = decomposer.kernel
        chosen = check_components(components, len(decomposer.eigenvalues_))
        _, counts = np.unique(np.asarray(y), return_counts=True)
        return cls.from_predictions(
            scores.usefulness,
            scores.robustness,
            eigenvalues=decomposer.eigenvalues_[chosen],
            chance=counts.max() / counts.sum(),
            name=name,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        usefulness: ArrayLike,
        robustness: ArrayLike,
        *,
        eigenvalues: ArrayLike | None = None,
        chance: float | None = None,
        name: str | None = None,
        ax: Any = None,
    ) -> RobustnessUsefulnessDisplay:
        """Plot given scores.

        Parameters
        ----------
        usefulness, robustness : array-like of shape (p,)
            Scores of each feature, in [0, 1].
        eigenvalues : array-like of shape (p,), default=None
            Eigenvalues of the features. If None, all dots are alike.
        chance : float, default=None
            Accuracy above which a feature is useful, drawn as a line. If None, no line.
        name : str, default=None
            Title of the plot.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        display : RobustnessUsefulnessDisplay
        """
        values = {"usefulness": usefulness, "robustness": robustness}
        if eigenvalues is not None:
            values["eigenvalues"] = eigenvalues
        arrays = {key: _as_numbers(key, value) for key, value in values.items()}
        shapes = {key: array.shape for key, array in arrays.items()}
        if len(set(shapes.values())) > 1 or arrays["usefulness"].ndim != 1:
            raise ValueError(f"Scores have shapes {shapes}; give vectors of equal length.")
        if arrays["usefulness"].size == 0:
            raise ValueError("usefulness is empty; give the scores of at least one feature.")
        return cls(**arrays, chance=chance, name=name).plot(ax=ax)

    def _draw(self, ax: Any, **scatter_options: Any) -> None:
        self.figure_, self.ax_ = single_axes(ax, figsize=(5.2, 4))
        weight = self._relative_log_eigenvalues()
        style: dict[str, Any] = {
            "s": 8 + 120 * weight**2,
            "c": weight,
            "cmap": "Blues",
            "vmin": -0.5,
            "vmax": 1.0,
            "edgecolors": "0.3",
            "linewidths": 0.4,
        }
        # Larger dots are drawn first, so that they do not hide smaller ones.
        order = np.argsort(-weight, kind="stable")
        style.update(s=style["s"][order], c=weight[order])
        style.update(scatter_options)
        self.scatter_ = self.ax_.scatter(self.robustness[order], self.usefulness[order], **style)
        if ax is None and np.ptp(weight) > 0 and "c" not in scatter_options:
            self._draw_colorbar(np.asarray(self.eigenvalues))
        if self.chance is not None:
            line = {"color": "0.5", "linestyle": ":", "linewidth": 1}
            self.ax_.axhline(self.chance, label="most frequent class", zorder=0, **line)
            shade = {"color": "tab:green", "alpha": 0.15, "linewidth": 0}
            self.ax_.axhspan(self.chance, 1, label="useful", zorder=0, **shade)
            self.ax_.legend(fontsize="x-small", loc="lower right")
        self.ax_.set(xlabel="robustness", ylabel="usefulness", xlim=(-0.03, 1), ylim=(0, 1))
        self.ax_.set_aspect("equal")

    def _draw_colorbar(self, eigenvalues: NDArray) -> None:
        """Say which eigenvalues the colours and sizes stand for."""
        positive = eigenvalues[eigenvalues > 0]
        bar = self.figure_.colorbar(self.scatter_, ax=self.ax_, shrink=0.7)
        bar.ax.set_ylim(0, 1)
        logs = np.linspace(np.log10(positive.min()), np.log10(positive.max()), 4)
        bar.set_ticks(np.linspace(0, 1, 4), labels=[f"{float(f'{10**log:.1g}'):g}" for log in logs])
        bar.set_label("eigenvalue (large dots: large)")

    def _relative_log_eigenvalues(self) -> NDArray:
        """Logarithms of the eigenvalues, scaled to 0 for the smallest and 1 for the largest."""
        values = self.eigenvalues
        if values is None or not (values > 0).any():
            return np.full(len(self.usefulness), 0.5)
        logs = np.log(np.maximum(values, values[values > 0].min()))
        spread = np.ptp(logs)
        return (logs - logs.min()) / spread if spread > 0 else np.ones_like(logs)


def _as_numbers(name: str, values: ArrayLike) -> NDArray:
    """Array of floats; raise TypeError for what is none."""
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        kind = type(values).__name__
        raise TypeError(f"{name} must be a vector of numbers, got {kind}.") from None
