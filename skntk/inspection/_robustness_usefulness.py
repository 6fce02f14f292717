"""Usefulness of features against their robustness (Fig. 2, right; Fig. 8, 9)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._utils.frames import framed_like
from .._utils.showing import shown
from .._utils.validation import check_integer, check_option
from ..attacks import NTKAttack
from ..features._components import check_components, useful_features
from ._arguments import as_numbers, check_length
from ._base import Display, single_axes

__all__ = ["RobustnessUsefulnessDisplay"]

#: Colour and line of the boxes around useful features, told apart without colours as well.
_BOXES = {"robust": ("#009E73", "-"), "not_robust": ("#D55E00", "--")}


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
    components : ndarray of shape (p,) or None
        Indices of the features. If None, 0, 1, ...
    marked : sequence of int or None
        Indices of features whose dots are ringed and numbered.
    boxes : bool
        Whether the useful features are boxed, robust and not robust ones, as in Fig. 2.
    label : label or None
        Class on whose samples alone they were scored.

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
        components: NDArray | None = None,
        marked: Any = None,
        boxes: bool = False,
        label: Any = None,
    ) -> None:
        self.usefulness = usefulness
        self.robustness = robustness
        self.eigenvalues = eigenvalues
        self.chance = chance
        self.name = name
        self.components = components
        self.marked = marked
        self.boxes = boxes
        self.label = label

    @classmethod
    def from_estimator(
        cls,
        decomposer: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        eps: Any = None,
        norm: float = np.inf,
        clip_values: Any = (0.0, 1.0),
        components: ArrayLike | None = None,
        attack: NTKAttack | None = None,
        label: Any = None,
        marked: ArrayLike | None = None,
        boxes: bool = False,
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
        eps : float or ndarray of shape (d,), default=None
            Radius of the ball, as in `SpectralFeatureDecomposer.score_features`; one budget.
        norm : {inf, 2}, default=inf
            Norm of the ball.
        clip_values : tuple or None, default=(0.0, 1.0)
            Lowest and highest value of an input.
        components : array-like of int, default=None
            Indices of features. If None, all kept features.
        attack : NTKAttack, default=None
            Attack in place of FGSM, ``NTKAttack(None, ...)``.
        label : label, default=None
            Class on whose samples alone the features are scored, the "class acc" of Fig. 4: which
            features are useful for it. Chance is then a guess at random, 1 / n_classes.
        marked : array-like of int, default=None
            Indices of features whose dots are ringed and numbered, among `components`.
        boxes : bool, default=False
            Whether the useful features are boxed, robust and not robust ones, as in Fig. 2.
        name : str, default=None
            Title of the plot. If None, the decomposer's kernel if that is a string.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        display : RobustnessUsefulnessDisplay
        """
        if isinstance(eps, list | tuple):
            raise TypeError(f"eps={shown(eps)} is several budgets; a picture has one.")
        labels = np.asarray(y)
        _, counts = np.unique(labels, return_counts=True)
        chance = counts.max() / counts.sum()
        if label is not None:
            of_class = labels == label
            if not np.any(of_class):
                raise ValueError(f"label={label!r} is not in y; give the label of a sample.")
            X, labels = framed_like(X, np.asarray(X)[of_class]), labels[of_class]
            chance = 1 / len(decomposer.classes_)
        scores = decomposer.score_features(
            X,
            labels,
            eps=eps,
            norm=norm,
            clip_values=clip_values,
            components=components,
            attack=attack,
        )
        if name is None and isinstance(decomposer.kernel, str):
            name = decomposer.kernel
        chosen = check_components(components, len(decomposer.eigenvalues_))
        return cls.from_predictions(
            scores.usefulness,
            scores.robustness,
            eigenvalues=decomposer.eigenvalues_[chosen],
            chance=chance,
            label=label,
            name=name,
            components=chosen,
            marked=marked,
            boxes=boxes,
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
        components: ArrayLike | None = None,
        marked: ArrayLike | None = None,
        boxes: bool = False,
        label: Any = None,
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
        components : array-like of shape (p,), default=None
            Indices of the features. If None, 0, 1, ...
        marked : array-like of int, default=None
            Indices of features whose dots are ringed and numbered, among `components`.
        boxes : bool, default=False
            Whether the useful features are boxed, robust and not robust ones; needs `chance`.
        label : label, default=None
            Class on whose samples alone they were scored, named on the axes.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        display : RobustnessUsefulnessDisplay

        Raises
        ------
        ValueError
            If lengths differ, `marked` is not among `components`, or boxes lack `chance`.
        """
        values = {"usefulness": usefulness, "robustness": robustness}
        if eigenvalues is not None:
            values["eigenvalues"] = eigenvalues
        arrays = {key: as_numbers(key, value) for key, value in values.items()}
        shapes = {key: array.shape for key, array in arrays.items()}
        if len(set(shapes.values())) > 1 or arrays["usefulness"].ndim != 1:
            raise ValueError(f"Scores have shapes {shapes}; give vectors of equal length.")
        if arrays["usefulness"].size == 0:
            raise ValueError("usefulness is empty; give the scores of at least one feature.")
        count = len(arrays["usefulness"])
        indices = np.arange(count) if components is None else np.asarray(components)
        check_length("components", indices, count)
        if boxes and chance is None:
            raise ValueError("boxes=True needs chance, above which a feature is useful; give it.")
        if marked is not None and not np.isin(marked, indices).all():
            raise ValueError(f"marked={marked!r} must be among the components {indices.tolist()}.")
        display = cls(
            **arrays,
            chance=chance,
            name=name,
            components=indices,
            marked=marked,
            boxes=boxes,
            label=label,
        )
        return display.plot(ax=ax)

    def find(self, kind: str = "not_robust", n_features: int | None = None) -> NDArray:
        """Useful features that are robust, or not, the clearest first.

        A feature is useful if its accuracy is above `chance`, and robust if that under attack still
        is. Robust ones come in order of that accuracy; the others in order of usefulness less
        robustness. With m samples an accuracy varies by about ``sqrt(chance * (1 - chance) / m)``,
        so that the last ones may be there by luck.

        Parameters
        ----------
        kind : {"not_robust", "robust"}, default="not_robust"
            Which of the useful features.
        n_features : int, default=None
            How many at most. If None, all.

        Returns
        -------
        components : ndarray of int
            Indices of the features, as `components` of `FeatureGradientDisplay` or `marked` here.
        """
        check_option("kind", kind, tuple(_BOXES))
        check_integer("n_features", 1 if n_features is None else n_features, low=1)
        if self.chance is None:
            raise ValueError("chance=None does not say which features are useful; give it.")
        scores = self.usefulness, self.robustness
        return self._indices()[useful_features(*scores, self.chance, kind)[:n_features]]

    def _indices(self) -> NDArray:
        return np.arange(len(self.usefulness)) if self.components is None else self.components

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
            guess = "most frequent class" if self.label is None else "guess at random"
            line = {"color": "0.5", "linestyle": ":", "linewidth": 1}
            self.ax_.axhline(self.chance, label=guess, zorder=0, **line)
            if self.boxes:
                self._draw_boxes(self.chance)
            else:
                shade = {"color": "tab:green", "alpha": 0.15, "linewidth": 0}
                self.ax_.axhspan(self.chance, 1, label="useful", zorder=0, **shade)
            self.ax_.legend(fontsize="x-small", loc="lower right")
        of_class = "" if self.label is None else f" for class {self.label}"
        names = {"xlabel": f"robustness{of_class}", "ylabel": f"usefulness{of_class}"}
        self.ax_.set(**names, xlim=(-0.03, 1), ylim=(0, 1))
        self.ax_.set_aspect("equal")
        if self.marked is not None:
            self._mark(np.atleast_1d(self.marked))

    def _draw_boxes(self, chance: float) -> None:
        for kind, (color, line) in _BOXES.items():
            left, right = (chance + 0.005, 0.995) if kind == "robust" else (-0.025, chance - 0.005)
            corners = [left, right, right, left, left], [chance, chance, 0.995, 0.995, chance]
            label = "useful, " + kind.replace("_", " ")
            self.ax_.plot(*corners, color=color, linestyle=line, linewidth=1.5, label=label)

    def _mark(self, marked: NDArray) -> None:
        """Ring dots, and number them in a column beside them, since they often lie close."""
        rows = np.flatnonzero(np.isin(self._indices(), marked))
        rows = rows[np.argsort(self.usefulness[rows], kind="stable")]
        self.ax_.scatter(
            *(self.robustness[rows], self.usefulness[rows]),
            **{"s": 60, "facecolors": "none", "edgecolors": "black", "zorder": 4},
        )
        for height, row in enumerate(rows):
            self.ax_.annotate(
                str(self._indices()[row]),
                (self.robustness[row], self.usefulness[row]),
                xytext=(25, 12 * (height - (len(rows) - 1) / 2)),
                textcoords="offset points",
                fontsize="small",
                arrowprops={"arrowstyle": "-", "linewidth": 0.6},
            )

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
