"""Accuracy under attack, against the budget of the attack."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from ..attacks import NTKAttack
from ..attacks._black_box import check_classifies
from ._arguments import free_attack
from ._base import Display, legend_beside, series_style, single_axes
from ._curves import check_curves

__all__ = ["RobustAccuracyDisplay"]


class RobustAccuracyDisplay(Display):
    """Robust accuracy of estimators under attacks, against the radius of the attack.

    Parameters
    ----------
    curves : dict of str to (ndarray of shape (E,), ndarray of shape (E,))
        Budgets and accuracies of each estimator, under each attack.
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

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skntk import NTKAttack, NTKClassifier
    >>> from skntk.inspection import RobustAccuracyDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> X = X / 16
    >>> machines = {k: NTKClassifier(k).fit(X[:200], y[:200]) for k in ("fc1", "fc3")}
    >>> display = RobustAccuracyDisplay.from_estimator(
    ...     machines, X[200:250], y[200:250], epsilons=[0, 0.1, 0.2]
    ... )
    >>> sorted(display.lines_)
    ['fc1', 'fc3']

    One machine under several attacks:

    >>> attacks = {
    ...     "FGSM": NTKAttack(None),
    ...     "worst case": NTKAttack(None, method="auto", n_queries=50, random_state=0),
    ... }
    >>> display = RobustAccuracyDisplay.from_estimator(
    ...     machines["fc1"], X[200:220], y[200:220], epsilons=[0, 0.1], attack=attacks
    ... )
    >>> sorted(display.lines_)
    ['FGSM', 'worst case']
    """

    def __init__(self, curves: dict[str, Any], *, name: str | None = None) -> None:
        self.curves = curves
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        epsilons: ArrayLike,
        attack: NTKAttack | Mapping[str, NTKAttack] | None = None,
        name: str | None = None,
        ax: Any = None,
    ) -> RobustAccuracyDisplay:
        """Attack fitted estimators at several budgets.

        Parameters
        ----------
        estimator : estimator, or dict of str to estimator
            Fitted, as `NTKAttack` takes them; several by name.
        X : array-like of shape (n, d)
            Test samples.
        y : array-like of shape (n,)
            Their labels.
        epsilons : array-like of shape (E,)
            Radii, as of `NTKAttack.run`.
        attack : NTKAttack, or mapping from str to NTKAttack, default=None
            The attack, with None as its estimator; its `eps` is not used. Several by name: a
            curve for each estimator under each attack. None: the default attack, FGSM; an
            evaluation asks for the worst case, ``NTKAttack(None, method="auto")``.
        name : str, default=None
            Title.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : RobustAccuracyDisplay

        Raises
        ------
        TypeError
            If `attack` is no attack, or an estimator is a regressor.
        ValueError
            If `attack` has an estimator of its own, is targeted, or `epsilons` are no numbers.
        """
        attacks = dict(attack) if isinstance(attack, Mapping) else {"": attack}
        attacks = {label: free_attack(each) for label, each in attacks.items()}
        budgets = np.asarray(epsilons, dtype=float)
        if budgets.ndim != 1:
            raise ValueError(
                f"epsilons has shape {budgets.shape}; give one number for each budget, which are "
                "the axis of the picture."
            )
        machines = dict(estimator) if isinstance(estimator, Mapping) else {"": estimator}
        for fitted in machines.values():
            check_classifies(fitted, "A regressor's error is drawn by RiskOverTimeDisplay.")
        curves = {}
        for (machine, fitted), (label, each) in product(machines.items(), attacks.items()):
            name_of_both = ", ".join(filter(None, (machine, label))) or type(fitted).__name__
            own = clone(each).set_params(estimator=fitted)
            result = own.run(X, y, epsilons=budgets.tolist())
            curves[name_of_both] = (budgets, result.robust_accuracy)
        return cls.from_predictions(curves, name=name, ax=ax)

    @classmethod
    def from_predictions(
        cls, curves: Mapping[str, Any], *, name: str | None = None, ax: Any = None
    ) -> RobustAccuracyDisplay:
        """Draw given accuracies.

        Parameters
        ----------
        curves : mapping from str to (array-like of shape (E,), array-like of shape (E,))
            Budgets and accuracies, as `epsilons` and `robust_accuracy` of an `AttackResult`.
        name : str, default=None
            Title.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : RobustAccuracyDisplay

        Raises
        ------
        ValueError
            If there are no curves, or one is not two finite vectors of one length.
        TypeError
            If they have no names.
        """
        checked = check_curves(curves, ("budgets", "accuracies"))
        return cls(checked, name=name).plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        own_figure = ax is None
        self.figure_, self.ax_ = single_axes(ax, figsize=(5, 3.6))
        self.lines_ = {}
        for index, (label, (budgets, accuracies)) in enumerate(self.curves.items()):
            order = np.argsort(budgets)
            (self.lines_[label],) = self.ax_.plot(
                budgets[order], accuracies[order], label=label, **series_style(index)
            )
        self.ax_.set(xlabel="eps", ylabel="robust accuracy", ylim=(-0.02, 1.02))
        if len(self.curves) > 1:
            legend_beside(self.ax_, own_figure=own_figure)
