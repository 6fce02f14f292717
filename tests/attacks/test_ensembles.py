"""Classifiers made of others: gradients against differences of scikit-learn's own outputs."""

import numpy as np
import pandas as pd
import pytest
from helpers import central_differences
from scipy.special import logit
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    BaggingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier, SGDClassifier
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC, NuSVC

from skntk import NTKAttack, NTKClassifier
from skntk.attacks._differentiable import as_differentiable

ENCODER = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
BINS = KBinsDiscretizer(3, encode="onehot-dense", quantile_method="averaged_inverted_cdf")

NTK = NTKClassifier("fc1", alpha=0.1)
OTHER = NTKClassifier("fc2", alpha=0.01)
PIPE = make_pipeline(StandardScaler(), PCA(3), NTKClassifier("fc1", alpha=0.1))
LOGISTIC = LogisticRegression()
PAIR = [("ntk", NTK), ("pipe", PIPE)]
VOTING = VotingClassifier([*PAIR, ("linear", LOGISTIC)], voting="soft", weights=[1, 2, 0.5])
BAGGING = BaggingClassifier(NTK, 4, max_samples=0.8, random_state=0)
SUBSETS = BaggingClassifier(
    PIPE, 4, max_features=0.9, bootstrap_features=True, bootstrap=False, random_state=0
)
CALIBRATED = CalibratedClassifierCV(NTK, cv=2)
PREFIT = CalibratedClassifierCV(NTK, cv=2, ensemble=False)
REST = OneVsRestClassifier(NTK)
STACKING = StackingClassifier([*PAIR, ("linear", LOGISTIC)], NTK, cv=2)

#: Classifiers of two and of three classes, and what they predict by.
TABLE = {
    "linear, logistic": (LOGISTIC, "outputs"),
    "linear, ridge": (RidgeClassifier(), "outputs"),
    "linear, support vectors": (LinearSVC(), "outputs"),
    "linear, gradient descent": (SGDClassifier(random_state=0), "outputs"),
    "linear, perceptron": (Perceptron(), "outputs"),
    "linear, discriminant": (LinearDiscriminantAnalysis(), "outputs"),
    "voting": (VOTING, "probabilities"),
    "voting, one dropped and one without weight": (
        VotingClassifier([("gone", "drop"), *PAIR], voting="soft", weights=[3, 1, 0]),
        "probabilities",
    ),
    "voting of voting": (
        VotingClassifier([("inner", VOTING), ("ntk", OTHER)], voting="soft"),
        "probabilities",
    ),
    "voting at the end of a pipeline": (make_pipeline(StandardScaler(), VOTING), "probabilities"),
    "bagging": (BAGGING, "probabilities"),
    "bagging, columns": (SUBSETS, "probabilities"),
    "bagging of voting": (BaggingClassifier(VOTING, 2, random_state=1), "probabilities"),
    "calibrated": (CALIBRATED, "probabilities"),
    "calibrated, prefit": (PREFIT, "probabilities"),
    "calibrated probabilities": (CalibratedClassifierCV(VOTING, cv=2), "probabilities"),
    "calibrated bagging": (CalibratedClassifierCV(BAGGING, cv=2), "probabilities"),
    "calibrated, temperature": (
        CalibratedClassifierCV(NTK, method="temperature", cv=2),
        "probabilities",
    ),
    "one against the rest": (REST, "outputs"),
    "one against the rest, pipeline": (OneVsRestClassifier(PIPE), "outputs"),
    "one against the rest, bagging": (OneVsRestClassifier(BAGGING), "outputs"),
    "one against the rest, voting": (OneVsRestClassifier(VOTING), "unnormalized"),
    "stacking": (STACKING, "outputs"),
    "stacking, passthrough": (
        StackingClassifier(PAIR, LOGISTIC, cv=2, passthrough=True),
        "outputs",
    ),
    "stacking of outputs": (
        StackingClassifier(PAIR, OTHER, cv=2, stack_method="decision_function"),
        "outputs",
    ),
    "stacking below bagging": (StackingClassifier(PAIR, BAGGING, cv=2), "probabilities"),
    "voting of stacking and the rest": (
        VotingClassifier([("s", STACKING), ("r", REST), ("c", CALIBRATED)], voting="soft"),
        "probabilities",
    ),
    "search": (GridSearchCV(VOTING, {"ntk__alpha": [0.1, 1.0]}, cv=2), "probabilities"),
}

TWO_CLASSES = {
    "threshold of probabilities": (FixedThresholdClassifier(NTK, threshold=0.6), 0.6, "proba"),
    "threshold of the first class": (
        FixedThresholdClassifier(NTK, threshold=0.6, pos_label="a"),
        0.6,
        "proba of a",
    ),
    "threshold of outputs": (
        FixedThresholdClassifier(PIPE, threshold=0.2, response_method="decision_function"),
        0.2,
        "outputs",
    ),
    "threshold of outputs of the first class": (
        FixedThresholdClassifier(
            NTK, threshold=0.2, response_method="decision_function", pos_label="a"
        ),
        0.2,
        "outputs of a",
    ),
}

FOREST = RandomForestClassifier(3, random_state=0)
BINNED = make_pipeline(BINS, NTK)

#: Classifiers, and a part of what is said of them.
REFUSED = {
    "forest": (FOREST, r"RandomForestClassifier.* has no decision_function and no input_vjp"),
    "hard voting": (VotingClassifier(PAIR), r"VotingClassifier.*counts labels \(voting='hard'\)"),
    "voting of a forest": (
        VotingClassifier([*PAIR, ("forest", FOREST)], voting="soft"),
        r"VotingClassifier\(\.\.\.\), within it RandomForestClassifier.*has no .*input_vjp",
    ),
    "voting of gradient descent": (
        VotingClassifier([("s", SGDClassifier(loss="log_loss")), ("n", NTK)], voting="soft"),
        r"within it SGDClassifier.*has no predict_proba that is known",
    ),
    "negative weights": (
        VotingClassifier(PAIR, voting="soft", weights=[3, -1]),
        "has negative weights",
    ),
    "voting of bins": (
        VotingClassifier([("b", BINNED), ("n", NTK)], voting="soft"),
        r"'kbinsdiscretizer' \(KBinsDiscretizer\) is not known to be affine",
    ),
    "isotonic": (
        CalibratedClassifierCV(NTK, method="isotonic", cv=2),
        r"CalibratedClassifierCV.* has steps \(method='isotonic'\)",
    ),
    "temperature of probabilities": (
        CalibratedClassifierCV(VOTING, method="temperature", cv=2),
        r"within it VotingClassifier.* is calibrated by temperature from probabilities",
    ),
    "bagging of labels": (
        BaggingClassifier(LinearSVC(), 2),
        r"BaggingClassifier.* has members without predict_proba",
    ),
    "stacking of labels": (
        StackingClassifier(PAIR, NTK, cv=2, stack_method="predict"),
        r"StackingClassifier.*within it NTKClassifier.*gives a StackingClassifier its labels",
    ),
    "stacking below a forest": (
        StackingClassifier(PAIR, FOREST, cv=2),
        r"within it RandomForestClassifier.*has no .*input_vjp",
    ),
}


def data(n_classes=2, n=36):
    rng = np.random.default_rng(0)
    X = rng.random((n, 4)) * [1, 2, 0.5, 3]
    score = X @ [1, -1, 2, 0.3] + 0.3 * rng.standard_normal(n)
    y = np.digitize(score, np.quantile(score, np.arange(1, n_classes) / n_classes))
    return X, np.array(["a", "b", "c"])[y]


def points(n=5):
    return np.random.default_rng(1).random((n, 4)) * [1, 2, 0.5, 3]


def predicted_by(estimator, X, kind):
    """What a fitted classifier predicts by, in scikit-learn's own numbers."""
    if kind == "outputs":
        return estimator.decision_function(X).reshape(len(X), -1)
    if kind == "unnormalized" and len(estimator.classes_) > 2:
        return np.log([member.predict_proba(X)[:, 1] for member in estimator.estimators_]).T
    logs = np.log(estimator.predict_proba(X))
    return logs[:, 1:] - logs[:, :1] if logs.shape[1] == 2 else logs


def relative_error(estimator, X, reference):
    """Of the outputs, and of the gradient against central differences."""
    outputs, pullback = as_differentiable(estimator).linearize(X)
    np.testing.assert_allclose(outputs, reference(X), rtol=1e-9, atol=1e-9)
    cotangents = np.random.default_rng(2).standard_normal(outputs.shape)
    slopes = central_differences(reference, X, 1e-4)
    expected = np.einsum("mdk,mk->md", slopes, cotangents)
    return np.abs(pullback(cotangents) - expected).max() / np.abs(expected).max()


def labels(estimator, X):
    """Predictions from the outputs that are attacked."""
    outputs = as_differentiable(estimator).outputs(X)
    if outputs.shape[1] == 1:
        return estimator.classes_[(outputs[:, 0] > 0).astype(int)]
    return estimator.classes_[outputs.argmax(axis=1)]


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", TABLE)
def test_gradient_of_what_is_predicted_by(name, n_classes):
    estimator, kind = TABLE[name]
    X, y = data(n_classes)
    estimator = clone(estimator).fit(X, y)
    error = relative_error(estimator, points(), lambda X: predicted_by(estimator, X, kind))
    assert error < 1e-7
    np.testing.assert_array_equal(labels(estimator, X), estimator.predict(X))


@pytest.mark.parametrize("name", TWO_CLASSES)
def test_thresholds(name):
    estimator, threshold, kind = TWO_CLASSES[name]
    X, y = data()
    estimator = clone(estimator).fit(X, y)

    def reference(X):
        if "outputs" in kind:
            score = estimator.decision_function(X)
            return (score + threshold if kind == "outputs of a" else score - threshold)[:, None]
        p = estimator.predict_proba(X)
        first = logit(p[:, 0]) - logit(threshold)
        return (-first if kind == "proba of a" else logit(p[:, 1]) - logit(threshold))[:, None]

    assert relative_error(estimator, points(), reference) < 1e-7
    np.testing.assert_array_equal(labels(estimator, X), estimator.predict(X))
    assert (estimator.predict(X) != estimator.estimator_.predict(X)).any()


def test_a_tuned_threshold():
    X, y = data()
    tuned = TunedThresholdClassifierCV(NTK, cv=2, scoring="accuracy").fit(X, y)

    def reference(X):
        return logit(tuned.predict_proba(X)[:, 1:]) - logit(tuned.best_threshold_)

    assert relative_error(tuned, points(), reference) < 1e-7
    np.testing.assert_array_equal(labels(tuned, X), tuned.predict(X))


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_gradient_is_refused_with_the_reason_and_a_remedy(name):
    estimator, message = REFUSED[name]
    X, y = data()
    estimator = clone(estimator).fit(X, y)
    with pytest.raises(TypeError, match=message + r".*method='square'"):
        NTKAttack(estimator, clip_values=None).generate(X, y)


EVERY = {
    **{name: TABLE[name][0] for name in ("voting", "bagging, columns", "calibrated", "search")},
    **{name: TABLE[name][0] for name in ("one against the rest", "stacking below bagging")},
    **{name: case[0] for name, case in (TWO_CLASSES | REFUSED).items()},
    "pipeline of hard voting": make_pipeline(StandardScaler(), VotingClassifier(PAIR)),
    "hard voting with weights": VotingClassifier(PAIR, weights=[1.0, 3.0]),
    "frozen threshold": FrozenEstimator(FixedThresholdClassifier(NTK, threshold=0.6).fit(*data())),
}


@pytest.mark.parametrize("name", EVERY)
def test_an_attack_without_gradients_goes_by_the_same_predictions(name):
    estimator = EVERY[name]
    X, y = data()
    estimator = clone(estimator).fit(X, y)
    attack = NTKAttack(
        estimator, method="square", eps=0.3, n_queries=10, clip_values=None, random_state=0
    )
    result = attack.run(X[:12], y[:12], epsilons=[0.3])
    assert result.report.n_misclassified == (estimator.predict(X[:12]) != y[:12]).sum()
    wrong = estimator.predict(result.X_adv[0]) != y[:12]
    np.testing.assert_array_equal(result.success[0], wrong)
    assert wrong.sum() > (estimator.predict(X[:12]) != y[:12]).sum()


@pytest.mark.parametrize(
    "name, dtype",
    [
        ("voting", np.float32),
        ("bagging, columns", np.float64),
        ("calibrated", np.float64),
        ("stacking", np.float64),
    ],
)
def test_success_is_what_the_classifier_predicts(name, dtype):
    X, y = data(3)
    X = X.astype(dtype)
    estimator = clone(TABLE[name][0]).fit(X, y)
    attack = NTKAttack(estimator, eps=0.3, method="pgd", max_iter=5, clip_values=None)
    result = attack.run(X, y, epsilons=[0.3])
    assert result.X_adv.dtype == dtype
    predictions = estimator.predict(result.X_adv[0])
    np.testing.assert_array_equal(result.success[0], predictions != y)
    assert result.report.robust_accuracy[0] < estimator.score(X, y)


def test_probabilities_that_are_rounded_to_one_still_have_a_gradient():
    """The attack follows their logarithms, and has no doubts of saturation."""
    X = data()[0]
    steep = make_pipeline(StandardScaler(), LogisticRegression(C=1e8, max_iter=1000))
    voting = VotingClassifier([("a", steep), ("b", clone(steep))], voting="soft")
    voting.fit(1e3 * X, np.where(X[:, 0] > 0.5, "a", "b"))
    far = 1e3 * (X + np.array([3, 0, 0, 0]))
    assert (voting.predict_proba(far).max(axis=1) == 1).all()
    outputs, pullback = as_differentiable(voting).linearize(far)
    np.testing.assert_allclose(outputs[:, 0], voting.estimators_[0].decision_function(far))
    assert (np.linalg.norm(pullback(np.ones((len(far), 1))), axis=1) > 0).all()
    result = NTKAttack(voting, method="auto", n_queries=5, clip_values=None, random_state=0).run(
        far, voting.predict(far), epsilons=[0.1]
    )
    assert not result.report.doubts


def test_members_that_saw_some_of_the_classes():
    X, y = data(3)
    few = BaggingClassifier(PIPE, 12, max_samples=5, random_state=1).fit(X, y)
    assert {len(member.classes_) for member in few.estimators_} == {2, 3}
    reference = lambda X: predicted_by(few, X, "probabilities")  # noqa: E731
    assert relative_error(few, points(), reference) < 1e-7
    y = np.append(y[:-1], "d")
    lacking = BaggingClassifier(PIPE, 2, max_samples=5, random_state=3).fit(X, y)
    with pytest.raises(TypeError, match=r"no member that saw class .*'d'.*max_samples"):
        as_differentiable(lacking)


@pytest.mark.parametrize("first", [[], [StandardScaler()]], ids=["alone", "behind a scaler"])
def test_categories_in_a_member_must_stay(first):
    X, y = data()
    X[:, 2] = np.round(4 * X[:, 2])
    encoder = ColumnTransformer(
        [
            ("num", StandardScaler(), [0, 1, 3]),
            ("cat", ENCODER, [2]),
        ]
    )
    member = make_pipeline(encoder, NTK)
    voting = VotingClassifier([("columns", member), ("ntk", NTK)], voting="soft")
    model = make_pipeline(*first, voting).fit(X, y)
    attack = NTKAttack(model, eps=0.1, clip_values=None)
    with pytest.raises(ValueError, match=r"eps is positive in columns \[2\].*'cat'.*eps=0 there"):
        attack.generate(X, y)
    X_adv = attack.set_params(eps=[0.1, 0.1, 0.0, 0.1]).generate(X, y)
    np.testing.assert_array_equal(X_adv[:, 2], X[:, 2])
    assert model.score(X_adv, y) < model.score(X, y)


def test_columns_of_bagging_that_must_stay():
    X, y = data()
    X[:, 2] = np.round(4 * X[:, 2])
    encoder = ColumnTransformer(
        [
            ("num", StandardScaler(), [0]),
            ("cat", ENCODER, [1]),
        ]
    )
    bagging = BaggingClassifier(make_pipeline(encoder, NTK), 1, max_features=2, random_state=0)
    bagging.fit(X, y)
    column = bagging.estimators_features_[0][1]
    with pytest.raises(ValueError, match=rf"eps is positive in columns \[{column}\]"):
        NTKAttack(bagging, eps=0.1, clip_values=None).generate(X, y)


def test_members_that_choose_columns_by_name():
    X, y = data()
    frame = pd.DataFrame(X, columns=list("wxyz"))
    named = make_pipeline(ColumnTransformer([("some", StandardScaler(), ["x", "z"])]), NTK)
    voting = VotingClassifier([("named", named), ("ntk", NTK)], voting="soft").fit(frame, y)

    def reference(X):
        return predicted_by(voting, pd.DataFrame(X, columns=list("wxyz")), "probabilities")

    with_names = as_differentiable(voting)
    np.testing.assert_allclose(with_names.outputs(points()), reference(points()), rtol=1e-9)
    assert relative_error(voting, points(), reference) < 1e-7


@pytest.mark.parametrize("name", ["bagging, columns", "stacking, passthrough"])
def test_frames_between_steps(name):
    X, y = data()
    frame = pd.DataFrame(X, columns=list("wxyz"))
    model = make_pipeline(StandardScaler(), clone(TABLE[name][0]))
    plain = clone(model).fit(X, y)
    model[0].set_output(transform="pandas")
    model.fit(frame, y)
    outputs, pullback = as_differentiable(model).linearize(points())
    expected, pullback_of_plain = as_differentiable(plain).linearize(points())
    np.testing.assert_allclose(outputs, expected, rtol=1e-9)
    cotangents = np.ones((5, 1))
    np.testing.assert_allclose(pullback(cotangents), pullback_of_plain(cotangents), rtol=1e-9)


class Sharpened(VotingClassifier):
    """A subclass is what its own `predict_proba` says."""

    def predict_proba(self, X):
        return super().predict_proba(X) ** 2


class Custom(NTKClassifier):
    def predict_proba(self, X):
        return super().predict_proba(X)[:, ::-1]


@pytest.mark.parametrize(
    "estimator, message",
    [
        (Sharpened(PAIR, voting="soft"), "has a predict_proba of its own"),
        (
            VotingClassifier([("custom", Custom("fc1")), ("ntk", NTK)], voting="soft"),
            r"within it Custom\(.*has no predict_proba that is known",
        ),
    ],
)
def test_subclasses_that_predict_otherwise_are_refused(estimator, message):
    with pytest.raises(TypeError, match=message):
        as_differentiable(estimator.fit(*data()))


def test_what_cannot_be_moved_behind_a_stack_is_refused():
    """Its columns are no longer those of the input, so that no budget could leave them."""
    X = np.random.default_rng(0).integers(0, 4, (40, 3)) / 3
    y = np.arange(40) % 2
    encoded = ColumnTransformer([("codes", ENCODER, [1])], remainder="passthrough")
    stack = StackingClassifier(
        [("lr", LogisticRegression())],
        make_pipeline(encoded, LogisticRegression()),
        passthrough=True,
    ).fit(X, y)
    with pytest.raises(TypeError, match="'codes' without a gradient behind the members"):
        NTKAttack(stack, eps=0.1).generate(X, y)
    attack = NTKAttack(stack, eps=0.1, method="square", n_queries=5, random_state=0)
    assert attack.generate(X, y).shape == X.shape


@pytest.mark.parametrize("machine", [SVC, NuSVC])
@pytest.mark.parametrize("wrap", [lambda e: e, lambda e: make_pipeline(StandardScaler(), e)])
def test_outputs_of_pairs_of_classes_are_refused(machine, wrap):
    X, y = load_iris(return_X_y=True)
    options = {"eps": 0.0, "method": "square", "n_queries": 1, "clip_values": None}
    of_pairs = wrap(machine(decision_function_shape="ovo")).fit(X, y)
    with pytest.raises(TypeError, match="decision_function_shape='ovr'"):
        NTKAttack(of_pairs, **options).run(X, y)
    of_classes = wrap(machine()).fit(X, y)
    result = NTKAttack(of_classes, **options).run(X, y)
    assert result.robust_accuracy[0] == pytest.approx(of_classes.score(X, y), abs=0.02)
    two = y < 2
    of_two = wrap(machine(decision_function_shape="ovo")).fit(X[two], y[two])
    assert NTKAttack(of_two, **options).run(X[two], y[two]).robust_accuracy[0] == 1
