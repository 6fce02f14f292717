"""The infinite ensemble of networks over one input: its mean, and a band around it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from ..infinite import NTKRegressor
from ._base import Display, single_axes

__all__ = ["EnsembleBandDisplay"]

#: Inputs at which the curve is computed by default, and how far it goes on beyond the samples.
_N_POINTS, _MARGIN = 200, 0.25


class EnsembleBandDisplay(Display):
    """Mean of the infinite ensemble over one input, plus and minus two standard deviations.

    Parameters
    ----------
    x : ndarray of shape (m,)
        Inputs, in ascending order.
    mean, std : ndarray of shape (m,)
        Mean and standard deviation over networks there.
    x_train, y_train : ndarray of shape (n,) or None
        Training samples, drawn as points.
    name : str or None
        Title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Their figure.
    line_ : matplotlib Line2D
        The mean.
    band_ : matplotlib PolyCollection
        The band.
    points_ : matplotlib Line2D or None
        The training samples.

    Examples
    --------
    >>> import numpy as np
    >>> from skntk import NTKRegressor
    >>> from skntk.inspection import EnsembleBandDisplay
    >>> x = np.array([-1.0, -0.5, 0.4, 1.0])
    >>> network = NTKRegressor("fc3").fit(x[:, None], np.sin(3 * x))
    >>> display = EnsembleBandDisplay.from_estimator(network, x, np.sin(3 * x))
    >>> display.mean.shape
    (200,)
    """

    def __init__(
        self,
        *,
        x: NDArray,
        mean: NDArray,
        std: NDArray,
        x_train: NDArray | None = None,
        y_train: NDArray | None = None,
        name: str | None = None,
    ) -> None:
        self.x = x
        self.mean = mean
        self.std = std
        self.x_train = x_train
        self.y_train = y_train
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        regressor: NTKRegressor,
        x_train: ArrayLike | None = None,
        y_train: ArrayLike | None = None,
        *,
        x: ArrayLike | None = None,
        name: str | None = None,
        ax: Any = None,
    ) -> EnsembleBandDisplay:
        """Predict mean and standard deviation over one input.

        Parameters
        ----------
        regressor : NTKRegressor
            Fitted on one feature and one target, with a kernel that has `nngp`.
        x_train, y_train : array-like of shape (n,) or (n, 1), default=None
            Samples to draw as points, such as those of the fit.
        x : array-like of shape (m,), default=None
            Inputs of the curve. If None, 200 from a quarter of the range of the training inputs
            below them to as much above.
        name : str, default=None
            Title.
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure.

        Returns
        -------
        display : EnsembleBandDisplay

        Raises
        ------
        TypeError
            If `regressor` is no `NTKRegressor`, or its kernel has no `nngp`.
        ValueError
            If it has several features or targets.
        """
        if not isinstance(regressor, NTKRegressor):
            raise TypeError(f"regressor={regressor!r} is not an NTKRegressor, which has a spread.")
        check_is_fitted(regressor, "dual_coef_")
        n_features, n_targets = regressor.n_features_in_, regressor.dual_coef_.shape[1]
        if n_features != 1 or n_targets != 1 or regressor.X_fit_ is None:
            raise ValueError(
                f"regressor has {n_features} features and {n_targets} targets; a band is drawn for "
                "one feature and one target, and not for a precomputed kernel."
            )
        if x is None:
            low, high = regressor.X_fit_.min(), regressor.X_fit_.max()
            margin = _MARGIN * (high - low or 1.0)
            x = np.linspace(low - margin, high + margin, _N_POINTS)
        x = np.sort(_as_vector("x", x))
        mean, std = regressor.predict(x[:, None], return_std=True)
        return cls.from_predictions(
            x, mean, std, x_train=x_train, y_train=y_train, name=name, ax=ax
        )

    @classmethod
    def from_predictions(
        cls,
        x: ArrayLike,
        mean: ArrayLike,
        std: ArrayLike,
        *,
        x_train: ArrayLike | None = None,
        y_train: ArrayLike | None = None,
        name: str | None = None,
        ax: Any = None,
    ) -> EnsembleBandDisplay:
        """Draw a given mean and standard deviation.

        Parameters
        ----------
        x, mean, std : array-like of shape (m,) or (m, 1)
            Inputs, and mean and standard deviation there.
        x_train, y_train : array-like of shape (n,) or (n, 1), default=None
            Training samples, both or neither.
        name : str, default=None
            Title.
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure.

        Returns
        -------
        display : EnsembleBandDisplay

        Raises
        ------
        ValueError
            If lengths differ, a value is not finite, or a deviation is negative.
        """
        x, mean, std = (_as_vector(key, v) for key, v in {"x": x, "mean": mean, "std": std}.items())
        if not len(x) == len(mean) == len(std):
            raise ValueError(
                f"x, mean and std have {len(x)}, {len(mean)} and {len(std)} values; give one of "
                "each for every point."
            )
        if (std < 0).any():
            raise ValueError(f"std holds {std.min():.3g}; give deviations of 0 or more.")
        points = _as_points(x_train, y_train)
        order = np.argsort(x, kind="stable")
        display = cls(
            x=x[order],
            mean=mean[order],
            std=std[order],
            x_train=points[0],
            y_train=points[1],
            name=name,
        )
        return display.plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        self.figure_, self.ax_ = single_axes(ax, figsize=(5, 3.5))
        low, high = self.mean - 2 * self.std, self.mean + 2 * self.std
        self.band_ = self.ax_.fill_between(
            self.x, low, high, color="C0", alpha=0.25, linewidth=0, label="± 2 std over networks"
        )
        (self.line_,) = self.ax_.plot(self.x, self.mean, color="C0", label="mean")
        self.points_ = None
        if self.x_train is not None:
            (self.points_,) = self.ax_.plot(
                self.x_train,
                self.y_train,
                "o",
                color="0.15",
                markersize=4,
                label="training samples",
            )
        self.ax_.set(xlabel="input", ylabel="output")
        self.ax_.legend(fontsize="small")


def _as_points(x: Any, y: Any) -> tuple[NDArray | None, NDArray | None]:
    """Coordinates of points, both or neither."""
    if (x is None) != (y is None):
        raise ValueError("x_train and y_train go together; give both or neither.")
    if x is None:
        return None, None
    x, y = _as_vector("x_train", x), _as_vector("y_train", y)
    if len(x) != len(y):
        raise ValueError(f"x_train has {len(x)} values and y_train {len(y)}; give one each.")
    return x, y


def _as_vector(name: str, values: Any) -> NDArray:
    """Finite numbers (m,) from a vector or a column."""
    vector = np.asarray(values, dtype=float)
    if vector.ndim == 2 and vector.shape[1] == 1:
        vector = vector[:, 0]
    if vector.ndim != 1 or not len(vector):
        raise ValueError(f"{name} has shape {vector.shape}; give a vector of at least one value.")
    if not np.isfinite(vector).all():
        raise ValueError(f"{name} holds NaN or infinity; give finite values.")
    return vector
