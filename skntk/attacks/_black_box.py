"""Estimators of which an attack sees the outputs alone."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_regressor
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from .._utils.optional import import_for
from .._utils.showing import shown
from .._utils.targets import as_columns
from .._utils.warnings import user_warnings_ignored
from ._readings import is_hard_vote, reading_of, unwrapped

__all__ = [
    *("BlackBox", "Model", "as_black_box"),
    *("check_classifies", "check_has_features", "regresses"),
]


class Model(Protocol):
    """What every attack asks of a model."""

    @property
    def classes_(self) -> NDArray | None:
        """Label of each output; of a single output, the labels of negative and positive values.

        None of a regressor.
        """

    def outputs(self, X: NDArray) -> NDArray:
        """Outputs (m, k) for inputs (m, d), with one column for two classes."""

    def check_moves(self, eps: NDArray) -> None:
        """Raise ValueError for budgets (E,) or (E, d) of which the model allows no attack."""


class BlackBox:
    """A fitted estimator as a function from inputs to outputs.

    Parameters
    ----------
    estimator : estimator
        A regressor, or a classifier with `classes_`, and `decision_function` or else
        `predict_proba`; it need have neither if it counts the votes of others.
    """

    def __init__(self, estimator: Any):
        self.estimator = estimator
        self.regresses = regresses(estimator)
        reads = not self.regresses and not is_hard_vote(unwrapped(estimator))
        self.reading = reading_of(estimator) if reads else None

    @property
    def classes_(self) -> NDArray | None:
        """Class labels of a classifier."""
        return None if self.regresses else np.asarray(self.estimator.classes_)

    def outputs(self, X: NDArray) -> NDArray:
        """Outputs (m, k), with one column for two classes."""
        inputs = self._framed(X)
        with user_warnings_ignored():  # on feature names
            if self.regresses:
                return as_columns(np.asarray(self.estimator.predict(inputs)))
            if self.reading is None:
                return _as_outputs(self._votes(inputs))
            values = np.asarray(getattr(self.estimator, self.reading.method)(inputs))
        sign = 1 if self.reading.positive == 1 else -1
        if not self.reading.has_threshold:
            is_output = self.reading.method == "decision_function"
            return as_columns(values) if is_output else _as_outputs(values)
        score = values[:, self.reading.positive] if values.ndim == 2 else sign * values
        return as_columns(sign * (score - self.reading.threshold))

    def _votes(self, inputs: Any) -> NDArray:
        """Sums (m, n_classes) of the weights of members, over those that predict each class."""
        voting = unwrapped(self.estimator)
        weights = voting._weights_not_none
        predicted = np.asarray(self.estimator.transform(inputs)).astype(int)
        of_class = predicted[:, :, None] == np.arange(len(voting.classes_))
        return np.average(of_class, axis=1, weights=weights)

    def check_moves(self, eps: NDArray) -> None:
        """Allow every budget."""

    def _framed(self, X: NDArray) -> Any:
        """Rows under the names that the classifier was fitted with, by which steps choose."""
        names = getattr(self.estimator, "feature_names_in_", None)
        if names is None:
            return X
        # Fitted on a data frame; any library's is read by the names of its columns.
        pandas = import_for("An estimator fitted on a data frame", "pandas", extra="data")
        return pandas.DataFrame(X, columns=names)


def _as_outputs(probabilities: NDArray) -> NDArray:
    """Probabilities, or votes, as outputs: with two classes, how much more the second one has."""
    if probabilities.shape[1] == 2:
        return probabilities[:, 1:] - probabilities[:, :1]
    return probabilities


def as_black_box(estimator: Any) -> BlackBox:
    """View of a fitted classifier, regressor, pipeline or search as a `BlackBox`.

    Raises
    ------
    NotFittedError
        If it is a scikit-learn estimator that is not fitted.
    TypeError
        If it has no outputs, or is no regressor and has no classes.
    """
    check_has_features(estimator)
    if hasattr(estimator, "__sklearn_tags__"):
        check_is_fitted(estimator)
    if regresses(estimator):
        return BlackBox(estimator)
    of_pairs = getattr(unwrapped(estimator), "decision_function_shape", None) == "ovo"
    if of_pairs and len(estimator.classes_) > 2:
        raise TypeError(
            f"estimator={shown(estimator, 60)} gives an output for each pair of classes; set "
            "decision_function_shape='ovr', which gives one for each class."
        )
    has_outputs = hasattr(estimator, "decision_function") or hasattr(estimator, "predict_proba")
    has_outputs = has_outputs or is_hard_vote(unwrapped(estimator))
    if not has_outputs or not hasattr(estimator, "classes_"):
        lacking = "classes_" if has_outputs else "decision_function and no predict_proba"
        raise TypeError(
            f"estimator={type(estimator).__name__} has no {lacking}; an attack without gradients "
            "needs a classifier with classes_ and decision_function or predict_proba."
        )
    return BlackBox(estimator)


def regresses(estimator: Any) -> bool:
    """Whether an estimator says that it is a regressor, so that its outputs are no classes."""
    return hasattr(estimator, "__sklearn_tags__") and is_regressor(estimator)


def check_classifies(estimator: Any, remedy: str = "Give a classifier.") -> None:
    """Raise TypeError for a regressor, whose predictions are no classes."""
    if regresses(estimator):
        raise TypeError(
            f"estimator={type(estimator).__name__} is a regressor, whose outputs are no classes. "
            f"{remedy}"
        )


def check_has_features(estimator: Any) -> None:
    """Raise ValueError for an estimator of precomputed kernels or distances."""
    if hasattr(estimator, "__sklearn_tags__") and get_tags(estimator).input_tags.pairwise:
        raise ValueError(
            f"estimator={type(estimator).__name__} takes a precomputed matrix (such as "
            "kernel='precomputed' makes it do) and has no features to perturb; fit it on samples, "
            "with a kernel of skntk.kernels or of its own."
        )
