"""Clean and adversarial risk of a regressor over training time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from ..attacks import NTKAttack
from ..infinite import NTKRegressor
from ._arguments import free_attack
from ._base import Display, series_style, single_axes
from ._curves import check_curves

__all__ = ["RiskOverTimeDisplay"]

#: Finite times by default.
_N_TIMES = 20


class RiskOverTimeDisplay(Display):
    """Mean squared error over training time, clean and under attack.

    The network is one and the same at every time, and is attacked anew at each. Where the risk
    under attack has its minimum before the end of training, early stopping makes it more robust.

    Parameters
    ----------
    curves : dict of str to (ndarray of shape (T,), ndarray of shape (T,))
        Finite gradient-flow times and risks by name, "clean" and "adversarial" among them.
    limits : dict of str to float, default=None
        Risk of each at infinite time, drawn as a dotted line.
    name : str, default=None
        Title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Their figure.
    lines_ : dict of str to matplotlib Line2D
        The curves.
    best_times_ : dict of str to float
        Time of the smallest risk of each; infinity if no finite time is better.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import minmax_scale, scale
    >>> from skntk import NTKAttack, NTKRegressor
    >>> from skntk.inspection import RiskOverTimeDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> X, y = minmax_scale(X), scale(y)
    >>> network = NTKRegressor("fc2", solver="eigh").fit(X[:200], y[:200])
    >>> display = RiskOverTimeDisplay.from_estimator(
    ...     network, X[200:260], y[200:260], NTKAttack(None, eps=0.02), times=[0.01, 0.1, 1.0]
    ... )
    >>> sorted(display.lines_)
    ['adversarial', 'clean']
    """

    def __init__(
        self,
        curves: dict[str, Any],
        *,
        limits: dict[str, float] | None = None,
        name: str | None = None,
    ) -> None:
        self.curves = curves
        self.limits = limits
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        regressor: NTKRegressor,
        X: ArrayLike,
        y: ArrayLike,
        attack: NTKAttack | None = None,
        *,
        times: ArrayLike | None = None,
        name: str | None = None,
        ax: Any = None,
    ) -> RiskOverTimeDisplay:
        """Attack a regressor at several times of its training.

        Parameters
        ----------
        regressor : NTKRegressor
            Fitted; it is taken to each time by `at_time`.
        X : array-like of shape (m, d)
            Test samples.
        y : array-like of shape (m,) or (m, k)
            Their values.
        attack : NTKAttack, default=None
            The attack, with None as its estimator; if None, the default one.
        times : array-like of shape (T,), default=None
            Gradient-flow times, positive; infinity is drawn as a line across. If None, 20 from a
            tenth of the time of the largest eigenvalue of the Gram matrix to ten times that of the
            median one, and infinity.
        name : str, default=None
            Title.
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure.

        Returns
        -------
        display : RiskOverTimeDisplay

        Raises
        ------
        TypeError
            If `regressor` is no `NTKRegressor`.
        ValueError
            If the attack has an estimator of its own or is targeted, or times are not positive.
        """
        if not isinstance(regressor, NTKRegressor):
            raise TypeError(f"regressor={regressor!r} is not an NTKRegressor, which has at_time.")
        attack = free_attack(attack)
        if times is None:
            values = regressor.at_time(0.0)._spectrum.eigenvalues  # type: ignore[union-attr]
            first, last = 0.1 / values[0], 10 / max(np.median(values), 1e-6 * values[0])
            times = [*np.geomspace(first, last, _N_TIMES), np.inf]
        times = _check_times(times)
        risks: dict[str, list[float]] = {"clean": [], "adversarial": []}
        for time in times:
            victim = clone(attack).set_params(estimator=regressor.at_time(float(time)))
            report = victim.run(X, y, epsilons=[attack.eps]).report
            risks["clean"].append(report.clean_mean_squared_error)
            risks["adversarial"].append(report.mean_squared_error[0])
        return cls.from_predictions(
            {key: (times, risk) for key, risk in risks.items()}, name=name, ax=ax
        )

    @classmethod
    def from_predictions(
        cls, curves: Mapping[str, Any], *, name: str | None = None, ax: Any = None
    ) -> RiskOverTimeDisplay:
        """Draw given risks.

        Parameters
        ----------
        curves : mapping from str to (array-like of shape (T,), array-like of shape (T,))
            Positive times and risks by name; a risk at infinite time is drawn as a line across.
        name : str, default=None
            Title.
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure.

        Returns
        -------
        display : RiskOverTimeDisplay
        """
        finite, limits = {}, {}
        for key, (times, risks) in dict(curves).items():
            times, risks = _check_times(times), np.asarray(risks, dtype=float)
            if times.shape != risks.shape:
                raise ValueError(
                    f"curves[{key!r}] has {times.size} times and {risks.size} risks; give one each."
                )
            order = np.argsort(times, kind="stable")
            order = order[np.isfinite(times[order])]
            finite[key] = (times[order], risks[order])
            if np.isinf(times).any():
                limits[key] = float(risks[np.isinf(times)][0])
        checked = check_curves(finite, ("times", "risks"))
        return cls(checked, limits=limits, name=name).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        self.figure_, self.ax_ = single_axes(ax, figsize=(5, 3.5))
        self.lines_, self.best_times_ = {}, {}
        for index, (key, (times, risks)) in enumerate(self.curves.items()):
            style = series_style(index)
            (self.lines_[key],) = self.ax_.plot(times, risks, label=key, **style)
            limit = (self.limits or {}).get(key, np.inf)
            if np.isfinite(limit):
                self.ax_.axhline(limit, color=style["color"], linestyle=":", linewidth=1)
            best = float(times[np.argmin(risks)])
            self.best_times_[key] = best if np.min(risks) < limit else np.inf
        if self.limits:
            self.ax_.plot([], [], color="0.4", linestyle=":", linewidth=1, label="at infinite time")
        self.ax_.set(xscale="log", xlabel="gradient-flow time", ylabel="mean squared error")
        self.ax_.legend(fontsize="small")


def _check_times(times: Any) -> NDArray:
    """Positive times (T,), with at most one infinity, in the order given."""
    values = np.asarray(times, dtype=float)
    if values.ndim != 1 or not np.isfinite(values).any():
        raise ValueError(
            f"times={times!r} is no vector with a finite time; give times such as "
            "np.geomspace(0.01, 100, 20)."
        )
    if not (values > 0).all():
        raise ValueError(f"times holds {values.min():.3g}; give positive times.")
    return values
