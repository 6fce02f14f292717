"""Views of scikit-learn's linear classifiers, and of its classifiers made of others."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model._base import LinearClassifierMixin
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline

from . import _combinations as combine
from ._affine import as_in_sklearn
from ._readings import is_hard_vote, reading_of
from ._views import (
    Combined,
    Composed,
    Inputs,
    Linearization,
    Method,
    OfColumns,
    Piped,
    Refusal,
    View,
    known_view,
    view,
)

__all__ = ["flattened"]


class _Linear:
    """Outputs of a linear classifier."""

    frozen: Any = ()

    def __init__(self, classifier: Any):
        self.classifier = classifier

    def outputs(self, X: NDArray) -> NDArray:
        """Outputs (m, k), with one column for two classes."""
        return np.asarray(self.classifier.decision_function(X)).reshape(len(X), -1)

    def linearize(self, X: NDArray) -> Linearization:
        """Outputs and the transposed coefficients."""
        # of a single output a vector, in some classifiers
        matrix = self.classifier.coef_
        matrix = matrix[None] if matrix.ndim == 1 else matrix
        return self.outputs(X), lambda cotangents: np.asarray(cotangents @ matrix)


def _as_it_is(register: Callable) -> Callable:
    """Refuse subclasses that predict otherwise than scikit-learn does."""

    @wraps(register)
    def checked(estimator: Any, method: Method) -> View:
        names = ("predict", "predict_proba", "decision_function", "transform")
        changed = [n for n in names if hasattr(estimator, n) and not as_in_sklearn(estimator, n)]
        if changed:
            raise Refusal(estimator, f"has a {changed[0]} of its own and no input_vjp")
        return register(estimator, method)

    return checked


@known_view.register(LinearClassifierMixin)
@_as_it_is
def _linear(classifier: Any, method: Method) -> View:
    outputs = _Linear(classifier)
    if method != "predict_proba":
        return outputs
    if not isinstance(classifier, LogisticRegression | LinearDiscriminantAnalysis):
        raise Refusal(classifier, "has no predict_proba that is known to be a softmax")
    return Combined([outputs], combine.softmax())


@known_view.register
def _frozen(frozen: FrozenEstimator, method: Method) -> View:
    return view(frozen.estimator, method)


@known_view.register
def _pipeline(pipeline: Pipeline, method: Method) -> View:
    return Piped([*flattened(pipeline.steps[:-1])], view(pipeline.steps[-1][1], method))


def flattened(steps: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Give the steps that transform, with nested pipelines expanded."""
    found: list[tuple[str, Any]] = []
    for name, step in steps:
        if isinstance(step, Pipeline):
            found += flattened(step.steps)
        elif step is not None and step != "passthrough":
            found.append((name, step))
    return found


def _as_predicted(probabilities: View, n_classes: int, method: Method) -> View:
    """Logarithms (m, k) of probabilities; to predict by with two classes, the logit."""
    if method == "predict" and n_classes == 2:
        return Combined([probabilities], combine.difference)
    return probabilities


@known_view.register
@_as_it_is
def _voting(voting: VotingClassifier, method: Method) -> View:
    if is_hard_vote(voting):
        raise Refusal(voting, "counts labels (voting='hard'), which have no gradient; vote 'soft'")
    weights = voting._weights_not_none
    weights = np.ones(len(voting.estimators_)) if weights is None else np.asarray(weights)
    if (weights < 0).any():
        raise Refusal(voting, "has negative weights, with which a mean is no probability")
    members = [view(member, "predict_proba") for member in voting.estimators_]
    mean = Combined(members, combine.log_mean(weights))
    return _as_predicted(mean, len(voting.classes_), method)


@known_view.register
@_as_it_is
def _bagging(bagging: BaggingClassifier, method: Method) -> View:
    n_members, n_classes = len(bagging.estimators_), len(bagging.classes_)
    of: Method = "decision_function" if method == "decision_function" else "predict_proba"
    members, seen = [], np.zeros(n_classes, bool)
    pairs = zip(bagging.estimators_, bagging.estimators_features_, strict=True)
    for member, columns in pairs:
        if not hasattr(member, of):
            raise Refusal(bagging, f"has members without {of}, whose labels it counts")
        part: View = OfColumns(view(member, of), np.asarray(columns), bagging.n_features_in_)
        if of == "predict_proba" and len(member.classes_) < n_classes:
            part = Combined([part], combine.scattered(member.classes_, n_classes, -np.inf))
        seen[member.classes_] = True
        members.append(part)
    if not seen.all():
        label = bagging.classes_[~seen][0]
        raise Refusal(bagging, f"has no member that saw class {label!r}; take larger max_samples")
    if of == "decision_function":
        return Combined(members, combine.add(np.full(n_members, 1 / n_members)))
    mean = Combined(members, combine.log_mean(np.ones(n_members)))
    return _as_predicted(mean, n_classes, method)


@known_view.register
@_as_it_is
def _one_vs_rest(rest: OneVsRestClassifier, method: Method) -> View:
    if rest.multilabel_:
        raise Refusal(rest, "predicts several labels for a sample; attack one of its estimators_")
    members = rest.estimators_
    if len(members) == 1:
        has_outputs = hasattr(members[0], "decision_function")
        by_outputs = method == "predict" and has_outputs
        return view(members[0], "decision_function" if by_outputs else method)
    if method != "predict_proba" and hasattr(members[0], "decision_function"):
        return Combined([view(m, "decision_function") for m in members], combine.beside)
    positive = [Combined([view(m, "predict_proba")], combine.column(1)) for m in members]
    logs = Combined([*positive], combine.beside)
    return Combined([logs], combine.normalized) if method == "predict_proba" else logs


@known_view.register
@_as_it_is
def _calibrated(calibrated: CalibratedClassifierCV, method: Method) -> View:
    if calibrated.method == "isotonic":
        reason = "has steps (method='isotonic'), whose gradient is 0; calibrate by 'sigmoid'"
        raise Refusal(calibrated, reason)
    n_classes = len(calibrated.classes_)
    members = [_calibrated_member(part, n_classes) for part in calibrated.calibrated_classifiers_]
    mean = Combined(members, combine.log_mean(np.ones(len(members))))
    return _as_predicted(mean, n_classes, method)


def _calibrated_member(member: Any, n_classes: int) -> View:
    """Logarithms of the calibrated probabilities of one of the classifiers."""
    scores = _response(member.estimator, ("decision_function", "predict_proba"), n_classes)
    if member.method == "temperature":
        if not hasattr(member.estimator, "decision_function"):
            reason = "is calibrated by temperature from probabilities; give it a decision_function"
            raise Refusal(member.estimator, reason)
        # Its logits for two classes are -f and f, ours -f/2 and f/2.
        beta = float(member.calibrators[0].beta_)
        return Combined([scores], combine.softmax(2 * beta if n_classes == 2 else beta))
    slopes = -np.array([calibrator.a_ for calibrator in member.calibrators])
    offsets = -np.array([calibrator.b_ for calibrator in member.calibrators])
    if n_classes == 2:
        logits = Combined([scores], combine.add([slopes[0]], offsets[0]))
        return Combined([logits], combine.softmax())
    logs = Combined([scores], combine.sigmoid(slopes, offsets))
    positions = np.searchsorted(member.classes, member.estimator.classes_)
    if len(positions) < n_classes:
        logs = Combined([logs], combine.scattered(positions, n_classes, -np.inf))
    return Combined([logs], combine.normalized)


def _response(member: Any, methods: tuple[Any, ...], n_classes: int) -> View:
    """Values of the first of these methods: outputs, or probabilities without a redundant one."""
    method: Method = next(name for name in methods if hasattr(member, name))
    values = view(member, method)
    if method == "predict_proba":
        values = Combined([values], combine.exponential)
        if n_classes == 2:
            return Combined([values], combine.column(1))
    return values


@known_view.register
@_as_it_is
def _stacking(stacking: StackingClassifier, method: Method) -> View:
    members: list[View] = []
    for member, name in zip(stacking.estimators_, stacking.stack_method_, strict=True):
        if name not in ("decision_function", "predict_proba"):
            raise Refusal(member, "gives a StackingClassifier its labels, which have no gradient")
        members.append(_response(member, (name,), len(stacking.classes_)))
    if stacking.passthrough:
        members.append(Inputs())
    final = view(stacking.final_estimator_, method)
    if final.frozen:
        raise Refusal(
            stacking.final_estimator_,
            f"has a part {final.frozen[0][0].name!r} without a gradient behind the members of a "
            "StackingClassifier",
        )
    return Composed(Combined(members, combine.beside), final)


@known_view.register(FixedThresholdClassifier)
@known_view.register(TunedThresholdClassifierCV)
@_as_it_is
def _threshold(classifier: Any, method: Method) -> View:
    member = getattr(classifier, "estimator_", classifier.estimator)
    if method != "predict":
        return view(member, method)
    reading = reading_of(classifier)
    values, threshold = view(member, reading.method), reading.threshold
    sign = 1.0 if reading.positive == 1 else -1.0
    if reading.method == "predict_proba":
        # p > t where logit p > logit t, which has a gradient at any p
        if not 0 < threshold < 1:
            raise Refusal(classifier, f"predicts one class only, with a threshold of {threshold}")
        values, threshold = Combined([values], combine.difference), logit(threshold)
    # Values of the positive class are compared, and what comes out is for the second class.
    return Combined([values], combine.add([1.0], -sign * threshold))
