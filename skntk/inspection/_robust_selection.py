"""Accuracy when only the most robust features are kept (Fig. 10, 11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from .._utils.frames import framed_like
from .._utils.progress import track
from ..attacks import NTKAttack
from ..metrics import robust_accuracy_score
from ._base import Display, series_style, single_axes

__all__ = ["RobustSelectionDisplay"]


class RobustSelectionDisplay(Display):
    """Accuracy of kernel machines of the r most robust features, against r.

    Parameters
    ----------
    n_features : ndarray of shape (q,)
        Numbers of features kept.
    curves : dict of str to ndarray of shape (q,)
        Accuracies by the name of their curve.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot.
    figure_ : matplotlib Figure
        Figure that contains the axes.
    lines_ : dict of str to matplotlib Line2D
        Line of each curve.

    Examples
    --------
    >>> from skntk.inspection import RobustSelectionDisplay
    >>> display = RobustSelectionDisplay.from_predictions(
    ...     [1, 10, 100], {"clean": [0.5, 0.7, 0.9], "own FGSM": [0.4, 0.3, 0.0]}
    ... )
    >>> sorted(display.lines_)
    ['clean', 'own FGSM']
    """

    def __init__(self, *, n_features: NDArray, curves: dict[str, Any]) -> None:
        self.n_features = n_features
        self.curves = curves

    @classmethod
    def from_estimator(
        cls,
        selector: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        n_features: ArrayLike | None = None,
        eps: Any = None,
        clip_values: Any = (0.0, 1.0),
        max_iter: int = 10,
        eps_step: Any = None,
        verbose: int = 0,
        ax: Any = None,
    ) -> RobustSelectionDisplay:
        """Keep several numbers of features of a fitted selector and attack each machine.

        Parameters
        ----------
        selector : RobustFeatureSelector
            Fitted selector.
        X : array-like of shape (m, d)
            Test samples.
        y : array-like of shape (m,)
            True labels.
        n_features : array-like of int, default=None
            Numbers of features to keep. If None, at most a dozen, spaced geometrically.
        eps : float, default=None
            Radius of the ball. If None, the selector's `eps`.
        clip_values : tuple or None, default=(0.0, 1.0)
            Lowest and highest value of an input. If None, values are not clipped.
        max_iter : int, default=10
            Number of PGD steps.
        eps_step : float, default=None
            Size of a PGD step. If None, the default of `NTKAttack`.
        verbose : int, default=0
            Show a progress bar if positive.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        display : RobustSelectionDisplay
            With the curves "clean"; "own FGSM" and "own PGD", on adversarial examples made
            from each machine itself; "transferred FGSM" and "transferred PGD", on examples made
            from the machine of all features.
        """
        check_is_fitted(selector)
        if n_features is None:
            p = len(selector.ranking_)
            n_features = np.unique(np.geomspace(1, p, min(p, 12)).round().astype(int))
        machines = [selector.with_n_features(r) for r in np.atleast_1d(n_features).tolist()]
        common = {
            "eps": selector.eps if eps is None else eps,
            "norm": selector.norm,
            "clip_values": clip_values,
        }
        attacks = {
            "FGSM": NTKAttack(None, **common),
            "PGD": NTKAttack(None, method="pgd", max_iter=max_iter, eps_step=eps_step, **common),
        }
        from_all = {}
        for name, attack in attacks.items():
            X_adv = attack.set_params(estimator=selector.decomposer_).generate(X, y)
            from_all[name] = framed_like(X, X_adv)
        curves: dict[str, list[float]] = {}
        for machine in track(machines, "Attacking", enabled=verbose > 0):
            curves.setdefault("clean", []).append(machine.score(X, y))
            for name, attack in attacks.items():
                own = robust_accuracy_score(machine, X, y, attack.set_params(estimator=machine))
                curves.setdefault(f"own {name}", []).append(own)
                transferred = machine.score(from_all[name], y)
                curves.setdefault(f"transferred {name}", []).append(transferred)
        counts = [machine.n_features_ for machine in machines]
        return cls.from_predictions(counts, curves, ax=ax)

    @classmethod
    def from_predictions(
        cls, n_features: ArrayLike, curves: Any, *, ax: Any = None
    ) -> RobustSelectionDisplay:
        """Plot given curves.

        Parameters
        ----------
        n_features : array-like of shape (q,)
            Numbers of features kept.
        curves : mapping from str to array-like of shape (q,)
            Accuracies by the name of their curve.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.

        Returns
        -------
        display : RobustSelectionDisplay
        """
        counts = np.asarray(n_features)
        if not isinstance(curves, Mapping):
            raise TypeError(f"curves must be a mapping from names, got {type(curves).__name__}.")
        arrays = {name: np.asarray(values, dtype=float) for name, values in curves.items()}
        for name, values in arrays.items():
            if values.shape != counts.shape or values.ndim != 1:
                raise ValueError(
                    f"curves[{name!r}] has shape {values.shape} and n_features has shape "
                    f"{counts.shape}; give one accuracy for each number of features."
                )
        if len(arrays) == 0 or len(counts) == 0:
            raise ValueError(
                f"n_features={n_features!r} and curves={curves!r} leave nothing to draw; give at "
                "least one curve and one number of features."
            )
        return cls(n_features=counts, curves=arrays).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        self.figure_, self.ax_ = single_axes(ax, figsize=(5.5, 3.8))
        # FGSM and PGD often agree: a thin dashed line over a thick pale one leaves both visible.
        own, transferred = (series_style(index)["color"] for index in (1, 0))
        thick: dict[str, Any] = {"linewidth": 4, "alpha": 0.4, "markersize": 4}
        thin: dict[str, Any] = {"linewidth": 1, "linestyle": "--", "markersize": 4}
        styles = {
            "clean": {"color": "black", "marker": ".", "markersize": 4},
            "own FGSM": {"color": own, "marker": "s", **thick},
            "own PGD": {"color": own, "marker": "s", **thin},
            "transferred FGSM": {"color": transferred, "marker": "^", **thick},
            "transferred PGD": {"color": transferred, "marker": "^", **thin},
        }
        self.lines_ = {
            name: self.ax_.plot(
                self.n_features, values, label=name, **styles.get(name, series_style(index + 2))
            )[0]
            for index, (name, values) in enumerate(self.curves.items())
        }
        self.ax_.set(
            xlabel="number of features kept", ylabel="accuracy", xscale="log", ylim=(-0.02, 1)
        )
        self.ax_.legend(fontsize="small")
