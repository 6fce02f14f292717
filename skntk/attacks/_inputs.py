"""Samples, labels and budgets of an attack, checked against its estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array

from .._utils.showing import shown
from .._utils.targets import as_columns, label_indices
from .._utils.validation import check_array_or_real, check_no_text, check_table
from ._black_box import Model, as_black_box
from ._differentiable import as_victim
from ._regressors import check_targets

__all__ = ["check_budgets", "validate_inputs"]

#: For whoever took the half-axes of one ball for several balls.
_SEVERAL = "Several budgets are run(X, y, epsilons=[...])."

#: What to do about columns that are no numbers.
_ENCODE = (
    "an attack moves numbers: encode these columns before the pipeline is fitted, for instance by "
    "sklearn.preprocessing.OrdinalEncoder, and leave them as they are with eps=0 there"
)


def validate_inputs(
    attack: Any, X: ArrayLike, y: ArrayLike | None
) -> tuple[Model, NDArray, NDArray | None]:
    """View of the estimator of an attack, samples (n, d), and labels or targets, or None."""
    without_gradient = attack.method == "square"
    model = (as_black_box if without_gradient else as_victim)(attack.estimator)
    if model.classes_ is None and attack.loss != "cross_entropy":
        raise ValueError(
            f"loss={attack.loss!r} is a loss of classifiers, and {type(attack.estimator).__name__} "
            "is a regressor, on which an attack raises the squared error; leave loss out."
        )
    X_raw: Any = X
    check_table(X)
    try:
        X = check_array(X, dtype=[np.float64, np.float32], order="C", input_name="X")
    except (TypeError, ValueError):
        check_no_text(X_raw, _ENCODE)
        raise
    # On what the user gave, so that scikit-learn can check feature names and width.
    names = ["decision_function", "predict_proba", "predict"]
    name = next(n for n in names if hasattr(attack.estimator, n))
    first = getattr(attack.estimator, name)((X_raw if hasattr(X_raw, "columns") else X)[:1])
    if y is None:
        if attack.targeted:
            goal = "value" if model.classes_ is None else "class"
            raise ValueError(f"targeted=True needs y, the {goal} to move each sample toward.")
        return model, X, None
    if model.classes_ is None:
        labels = check_targets(y, as_columns(np.asarray(first)).shape[1])
    else:
        labels = label_indices(y, model.classes_)
    if len(labels) != len(X):
        raise ValueError(f"X has {len(X)} samples and y has {len(labels)}; give one each.")
    return model, X, labels


def check_budgets(
    epsilons: Any, n_features: int, *, name: str = "epsilons", hint: str = _SEVERAL
) -> NDArray:
    """Budgets (E,), or (E, d) if any of them has one value per feature."""
    is_number = isinstance(epsilons, np.ndarray) and epsilons.ndim == 0
    if is_number or isinstance(epsilons, str) or not hasattr(epsilons, "__len__"):
        raise TypeError(f"{name}={shown(epsilons)} is not a sequence; give [{shown(epsilons)}].")
    budgets = [check_array_or_real("eps", eps, n_features, low=0.0, hint=hint) for eps in epsilons]
    if not budgets:
        raise ValueError(f"{name} is empty; give at least one budget.")
    return np.stack(np.broadcast_arrays(*budgets))
