"""By which of its methods a classifier predicts, where `decision_function` does not say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline

__all__ = ["Reading", "is_hard_vote", "reading_of", "unwrapped"]


@dataclass(frozen=True)
class Reading:
    """How predictions are read from a method's values.

    Attributes
    ----------
    method : {"decision_function", "predict_proba"}
    has_threshold : bool
        Whether, of two classes, `positive` is predicted where its value is above `threshold`. If
        not, the largest value, or the sign of a single one, decides.
    threshold : float
    positive : int
        Index of a class.
    """

    method: Literal["decision_function", "predict_proba"]
    has_threshold: bool = False
    threshold: float = 0.0
    positive: int = 1


def unwrapped(estimator: Any) -> Any:
    """Give the classifier whose methods a search, a pipeline or a frozen estimator passes on."""
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        else:
            return estimator


def is_hard_vote(classifier: Any) -> bool:
    """Whether a classifier counts the labels that others predict."""
    return isinstance(classifier, VotingClassifier) and classifier.voting == "hard"


def reading_of(estimator: Any) -> Reading:
    """Reading of a fitted classifier, pipeline or search."""
    classifier = unwrapped(estimator)
    if isinstance(classifier, FixedThresholdClassifier | TunedThresholdClassifierCV):
        return _with_threshold(classifier)
    if isinstance(classifier, StackingClassifier):
        return reading_of(classifier.final_estimator_)
    if isinstance(classifier, BaggingClassifier) or not hasattr(classifier, "decision_function"):
        # A bagged classifier has the mean of the outputs, and predicts by that of probabilities.
        return Reading("predict_proba")
    return Reading("decision_function")


def _with_threshold(classifier: Any) -> Reading:
    member = getattr(classifier, "estimator_", classifier.estimator)
    wanted = classifier.response_method
    options = ("predict_proba", "decision_function") if wanted == "auto" else (wanted,)
    method = next(name for name in options if hasattr(member, name))
    if isinstance(classifier, TunedThresholdClassifierCV):
        threshold = classifier.best_threshold_
        label = classifier._curve_scorer._get_pos_label()
    else:
        threshold, label = classifier.threshold, classifier.pos_label
        threshold = {"predict_proba": 0.5}.get(method, 0.0) if threshold == "auto" else threshold
    positive = 1 if label is None else int(np.flatnonzero(classifier.classes_ == label)[0])
    return Reading(cast(Any, method), True, float(threshold), positive)
