"""Accuracy under attack, and the scorer that a search takes it from."""

import pickle

import numpy as np
import pandas as pd
import polars
import pytest
from helpers import central_differences
from scipy.optimize import approx_fprime
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skntk import NTKAttack, NTKClassifier
from skntk.inspection import AdversarialExamplesDisplay
from skntk.metrics import (
    gradient_cosine_similarity,
    loss_gradient,
    make_robust_scorer,
    robust_accuracy_score,
)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16, y


@pytest.fixture(scope="module")
def clf(digits):
    X, y = digits
    return NTKClassifier("fc1").fit(X[:200], y[:200])


@pytest.mark.parametrize(
    "params", [{}, {"norm": 2, "eps": 1.0}, {"method": "pgd", "loss": "max_l1"}]
)
def test_white_box_score_is_the_accuracy_on_generated_examples(digits, clf, params):
    X, y = digits[0][200:300], digits[1][200:300]
    X_adv = NTKAttack(clf, **params).generate(X, y)
    score = robust_accuracy_score(clf, X, y, NTKAttack(None, **params))
    assert isinstance(score, float)
    assert score == np.mean(clf.predict(X_adv) == y) < clf.score(X, y)
    report = NTKAttack(clf, **params).run(X, y, epsilons=[NTKAttack(None, **params).eps]).report
    assert score == pytest.approx(report.robust_accuracy[0])


def test_without_a_budget_it_is_the_accuracy(digits, clf):
    X, y = digits[0][200:300], digits[1][200:300]
    assert robust_accuracy_score(clf, X, y, NTKAttack(None, eps=0.0)) == clf.score(X, y)


def test_transfer_asks_the_victim_for_nothing_but_predictions(digits, clf):
    X, y = digits[0][200:300], digits[1][200:300]
    forest = RandomForestClassifier(20, random_state=0).fit(digits[0][:200], digits[1][:200])
    attack = NTKAttack(clf, eps=0.2)
    expected = np.mean(forest.predict(attack.generate(X, y)) == y)
    assert robust_accuracy_score(forest, X, y, attack) == expected
    assert attack.estimator is clf


def test_the_attack_is_not_changed(digits, clf):
    X, y = digits[0][200:220], digits[1][200:220]
    attack = NTKAttack(None, eps=np.full(64, 0.1), num_random_init=1, random_state=0)
    first = robust_accuracy_score(clf, X, y, attack)
    assert attack.estimator is None
    assert robust_accuracy_score(clf, X, y, attack) == first


def test_frames_and_series(digits):
    """The victim is given names too: without them it would warn, and warnings are errors."""
    names = [f"pixel {j}" for j in range(64)]
    frame = pd.DataFrame(digits[0], columns=names)
    y = pd.Series(digits[1], index=[f"digit {i}" for i in range(len(frame))])
    model = make_pipeline(StandardScaler(), NTKClassifier("fc1")).fit(frame[:200], y[:200])
    plain = clone(model).fit(digits[0][:200], digits[1][:200])
    attack = NTKAttack(None, eps=0.1)
    expected = robust_accuracy_score(plain, digits[0][200:260], digits[1][200:260], attack)
    assert robust_accuracy_score(model, frame[200:260], y[200:260], attack) == expected


def test_lists(digits, clf):
    X, y = digits[0][200:220], digits[1][200:220]
    attack = NTKAttack(None, eps=0.1)
    expected = robust_accuracy_score(clf, X, y, attack)
    assert robust_accuracy_score(clf, X.tolist(), y.tolist(), attack) == expected


@pytest.mark.parametrize(
    "attack, error, message",
    [
        (NTKAttack(None, targeted=True), ValueError, "targeted=True.*untargeted"),
        (NTKAttack(NTKClassifier()), NotFittedError, "not fitted"),
        ("fgsm", TypeError, "attack.*'fgsm'.*NTKAttack"),
        (None, TypeError, "attack.*None.*NTKAttack"),
        (NTKAttack, TypeError, "attack.*class.*NTKAttack"),
    ],
    ids=["targeted", "not fitted", "string", "None", "class"],
)
def test_wrong_attacks(digits, clf, attack, error, message):
    with pytest.raises(error, match=message):
        robust_accuracy_score(clf, digits[0][:5], digits[1][:5], attack)


@pytest.mark.parametrize("attack", ["fgsm", None, NTKAttack])
def test_a_scorer_of_something_else_is_refused_at_once(attack):
    with pytest.raises(TypeError, match=r"attack.*NTKAttack"):
        make_robust_scorer(attack)


def test_scorer_calls_the_score(digits, clf):
    X, y = digits[0][200:260], digits[1][200:260]
    attack = NTKAttack(None, eps=0.1)
    scorer = make_robust_scorer(attack)
    expected = robust_accuracy_score(clf, X, y, attack)
    assert scorer(clf, X, y) == expected
    assert pickle.loads(pickle.dumps(scorer))(clf, X, y) == expected
    assert repr(scorer).startswith("make_robust_scorer(NTKAttack(")


def test_cross_validate_white_box_and_transfer(digits, clf):
    X, y = digits[0][:150], digits[1][:150]
    scoring = {
        "clean": "accuracy",
        "white": make_robust_scorer(NTKAttack(None, eps=0.1)),
        "transfer": make_robust_scorer(NTKAttack(clf, eps=0.1)),
    }
    scores = cross_validate(NTKClassifier("fc1"), X, y, cv=3, scoring=scoring, error_score="raise")
    assert (scores["test_white"] < scores["test_clean"]).all()
    assert (scores["test_transfer"] < scores["test_clean"]).all()
    fold = NTKClassifier("fc1").fit(X[50:], y[50:])
    assert scoring["transfer"].attack.estimator is clf
    assert scoring["white"](fold, X[:50], y[:50]) < fold.score(X[:50], y[:50])


def test_grid_search_in_workers(digits):
    """What the README shows: two scores of every candidate, computed in two processes."""
    X, y = digits[0][:160], digits[1][:160]
    pipeline = Pipeline([("scale", StandardScaler()), ("ntk", NTKClassifier())])
    search = GridSearchCV(
        pipeline,
        {
            "ntk__kernel": ["fc1", "two_layer"],
            "ntk__alpha": [1e-2, 1.0],
            "ntk__time": [1.0, np.inf],
        },
        scoring={"clean": "accuracy", "robust": make_robust_scorer(NTKAttack(None, eps=0.1))},
        refit="clean",
        cv=2,
        n_jobs=2,
        error_score="raise",
    ).fit(X, y)
    results = search.cv_results_
    assert search.best_score_ == results["mean_test_clean"].max() > 0.6
    assert (results["mean_test_robust"] < results["mean_test_clean"]).all()
    here = clone(search).set_params(n_jobs=None).fit(X, y)
    for name in ("mean_test_clean", "mean_test_robust"):
        np.testing.assert_allclose(results[name], here.cv_results_[name], rtol=0, atol=0.0126)
    # A fitted search is itself something to attack.
    assert robust_accuracy_score(search, X, y, NTKAttack(None, eps=0.2)) < 0.5


# Eq. 43


def cosine_by_differences(a, b, X, y):
    def loss(x, model, label):
        f = model.decision_function(x[None])[0]
        logits = np.array([-f / 2, f / 2]) if np.ndim(f) == 0 else f
        return np.log(np.exp(logits).sum()) - logits[label]

    cosines = []
    for x, label in zip(X, y, strict=True):
        u, v = (approx_fprime(x, loss, 1e-7, model, label) for model in (a, b))
        cosines.append(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
    return np.mean(cosines)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_gradient_cosine_is_that_of_the_cross_entropy(n_classes):
    rng = np.random.default_rng(0)
    X, y = rng.random((12, 4)), np.arange(12) % n_classes
    a = NTKClassifier("fc1", alpha=0.01).fit(X, y)
    b = make_pipeline(StandardScaler(), NTKClassifier("fc3", alpha=0.1)).fit(X, y)
    X, y = rng.random((6, 4)), rng.integers(n_classes, size=6)
    result = gradient_cosine_similarity(a, b, X, y)
    assert result == pytest.approx(cosine_by_differences(a, b, X, y), abs=1e-4)
    assert gradient_cosine_similarity(b, a, X, y) == pytest.approx(result)
    assert gradient_cosine_similarity(a, a, X, y) == pytest.approx(1)


def test_gradient_cosine_of_opposites_of_nothing_and_of_many(clf, digits):
    X, y = digits[0][:600], digits[1][:600]
    even = (y % 2).astype(int)
    one = NTKClassifier("fc1", alpha=0.1).fit(X[:100], even[:100])
    other = NTKClassifier("fc1", alpha=0.1).fit(X[:100], 1 - even[:100])
    assert gradient_cosine_similarity(one, other, X, even) == pytest.approx(-1)
    untrained = NTKClassifier("fc1", time=0.0).fit(X[:100], even[:100])
    assert gradient_cosine_similarity(one, untrained, X, even) == 0
    halves = [gradient_cosine_similarity(clf, clf.at_time(1.0), X[i::2], y[i::2]) for i in (0, 1)]
    whole = gradient_cosine_similarity(clf, clf.at_time(1.0), X, y)
    assert whole == pytest.approx(np.mean(halves))


@pytest.mark.parametrize("scale", [1e-30, 1e3, 1e30])
def test_gradient_cosine_does_not_depend_on_the_size_of_the_outputs(digits, scale):
    """Outputs of 1e3 saturate the sigmoid."""
    X, even = digits[0][:60], (digits[1][:60] % 2).astype(int)
    one = NTKClassifier("fc1", alpha=0.1).fit(X, even)
    other = NTKClassifier("fc3", alpha=0.1).fit(X, even)
    expected = gradient_cosine_similarity(one, other, X, even)
    one.dual_coef_ = one.dual_coef_ * scale
    assert gradient_cosine_similarity(one, other, X, even) == pytest.approx(expected)


def test_gradient_cosine_of_frames(digits):
    """Names are checked, and not mentioned when they are right."""
    names = [f"pixel {j}" for j in range(64)]
    frame, y = pd.DataFrame(digits[0][:60], columns=names), digits[1][:60]
    model = NTKClassifier("fc1", alpha=0.1).fit(frame, y)
    assert gradient_cosine_similarity(model, model, frame, y) == pytest.approx(1)
    with pytest.raises(ValueError, match="feature names"):
        gradient_cosine_similarity(model, model, frame[names[::-1]], y)


@pytest.mark.parametrize(
    "spoil_X, spoil_y, message",
    [
        (lambda X: X * np.nan, lambda y: y, "X contains NaN"),
        (lambda X: X[:, :3], lambda y: y, "3 features"),
        (lambda X: X, lambda y: y + 10, "never saw"),
        (lambda X: X, lambda y: y[:3], "5 samples and y has 3"),
    ],
)
def test_gradient_cosine_of_wrong_input(digits, clf, spoil_X, spoil_y, message):
    X, y = digits[0][:5], digits[1][:5]
    with pytest.raises(ValueError, match=message):
        gradient_cosine_similarity(clf, clf, spoil_X(X), spoil_y(y))


def plain_loss(name, model, x, label):
    f = model.decision_function(x[None])[0]
    if name == "squared_error":
        target = 2 * label - 1 if np.ndim(f) == 0 else np.eye(len(f))[label]
        return np.sum((f - target) ** 2) / 2
    logits = np.array([-f / 2, f / 2]) if np.ndim(f) == 0 else f
    return np.log(np.exp(logits).sum()) - logits[label]


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("scaled", [False, True])
def test_loss_gradient_is_the_derivative_of_the_loss(loss, n_classes, scaled):
    rng = np.random.default_rng(0)
    X, y = rng.random((12, 4)), np.arange(12) % n_classes
    kernel = NTKClassifier("fc2", alpha=0.01)
    model = make_pipeline(StandardScaler(), kernel) if scaled else kernel
    model.fit(X, y)
    points, labels = rng.random((5, 4)), rng.integers(n_classes, size=5)

    def losses(rows):
        return np.array(
            [plain_loss(loss, model, x, label) for x, label in zip(rows, labels, strict=True)]
        )

    expected = central_differences(losses, points)
    np.testing.assert_allclose(loss_gradient(model, points, labels, loss=loss), expected, rtol=1e-6)


def test_loss_gradient_of_many_samples_of_frames_and_of_float32(digits, clf):
    X, y = digits[0][200:500], digits[1][200:500]
    whole = loss_gradient(clf, X, y)
    assert whole.shape == X.shape and whole.dtype == np.float64
    halves = [loss_gradient(clf, X[rows], y[rows]) for rows in (slice(0, 7), slice(7, None))]
    np.testing.assert_allclose(whole, np.concatenate(halves), rtol=1e-9, atol=1e-12)
    single = NTKClassifier("fc1").fit(digits[0][:200].astype(np.float32), digits[1][:200])
    assert loss_gradient(single, X[:5].astype(np.float32), y[:5]).dtype == np.float32
    names = [f"pixel {j}" for j in range(64)]
    frame = pd.DataFrame(digits[0], columns=names)
    named = NTKClassifier("fc1").fit(frame[:200], y[:200])
    with pytest.raises(ValueError, match="feature names"):
        loss_gradient(named, frame[names[::-1]][:5], y[:5])


def test_loss_gradient_of_a_confident_sample_vanishes_without_losing_digits(digits):
    X, even = digits[0][:60], (digits[1][:60] % 2).astype(int)
    model = NTKClassifier("fc1", alpha=0.1).fit(X, even)
    plain = loss_gradient(model, X, even)
    f = model.decision_function(X)
    model.dual_coef_ = model.dual_coef_ * 100
    signs = 2 * even - 1
    ratio = 100 * np.exp(-np.logaddexp(0, 100 * signs * f) + np.logaddexp(0, signs * f))
    np.testing.assert_allclose(loss_gradient(model, X, even), plain * ratio[:, None], rtol=1e-9)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"loss": "hinge"}, ValueError, "loss='hinge'.*squared_error"),
        ({"y": [11] * 5}, ValueError, "never saw"),
        ({"y": [1] * 3}, ValueError, "5 samples and y has 3"),
        ({"estimator": RandomForestClassifier()}, NotFittedError, "not fitted"),
        ({"estimator": object()}, TypeError, "no decision_function"),
    ],
)
def test_loss_gradient_of_wrong_input(digits, clf, arguments, error, message):
    given = {"estimator": clf, "X": digits[0][:5], "y": digits[1][:5]} | arguments
    with pytest.raises(error, match=message):
        loss_gradient(**given)


def test_cosines_of_samples(digits, clf):
    X, y = digits[0][200:260], digits[1][200:260]
    early = clf.at_time(0.1)
    cosines = gradient_cosine_similarity(clf, early, X, y, average=False)
    u, v = (loss_gradient(model, X, y) for model in (clf, early))
    lengths = np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1)
    np.testing.assert_allclose(cosines, (u * v).sum(axis=1) / lengths, rtol=1e-9)
    assert gradient_cosine_similarity(clf, early, X, y) == pytest.approx(cosines.mean())
    assert np.ptp(cosines) > 0 and np.abs(cosines).max() <= 1 + 1e-12
    untrained = clf.at_time(0.0)
    one_each = gradient_cosine_similarity(clf, untrained, X, y, average=False)
    np.testing.assert_array_equal(one_each, np.zeros(60))
    with pytest.raises(TypeError, match="average"):
        gradient_cosine_similarity(clf, early, X, y, average="yes")


def test_polars_frames(digits):
    X, y = digits
    names = [f"pixel{k}" for k in range(X.shape[1])]
    frame, labels = polars.DataFrame(X, schema=names), polars.Series(y)
    clf = NTKClassifier("fc1").fit(frame[:100], labels[:100])
    attack = NTKAttack(None, eps=0.1)
    score = robust_accuracy_score(clf, frame[100:150], labels[100:150], attack)
    plain = NTKClassifier("fc1").fit(X[:100], y[:100])
    assert score == robust_accuracy_score(plain, X[100:150], y[100:150], attack)
    cosine = gradient_cosine_similarity(clf, clf, frame[100:120], labels[100:120])
    assert cosine == pytest.approx(1)
    on = clone(attack).set_params(estimator=clf)
    display = AdversarialExamplesDisplay.from_estimator(on, frame[100:102], labels[100:102])
    assert display.axes_.shape == (3, 2)
