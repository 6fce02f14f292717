"""Weights of samples and classes in the features, their scores and their selection."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from helpers import central_differences, gaussian
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import make_blobs
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skntk import NTKClassifier, RobustFeatureSelector, SpectralFeatureDecomposer
from skntk.kernels import FullyConnectedNTK

pytestmark = pytest.mark.filterwarnings("ignore:The Gram matrix is ill-conditioned")

N, D = 18, 4
X, Z = gaussian(N, D), gaussian(7, D, seed=1)
WHOLE = np.random.default_rng(2).integers(0, 4, N)
REAL = np.random.default_rng(3).uniform(0.2, 3, N)
CLASS_WEIGHTS = [None, "balanced", {0: 3.0}]
K_CLASSES = [2, 3]


def labels(k, n=N):
    return np.arange(n) % k


def fc1(**options):
    return SpectralFeatureDecomposer("fc1", **options)


def select(cv=None, n_components=6, **options):
    """Selector of four features by default, in a ball that changes some predictions."""
    options = {"n_features_to_select": 4, "eps": 0.1} | options
    return RobustFeatureSelector(fc1(n_components=n_components), cv=cv, **options)


def assert_same_features(found, expected):
    assert_array_equal(found.classes_, expected.classes_)
    assert_allclose(found.eigenvalues_, expected.eigenvalues_, rtol=1e-9)
    assert_allclose(found.feature_outputs(Z), expected.feature_outputs(Z), atol=1e-8)
    assert_allclose(found.decision_function(Z), expected.decision_function(Z), atol=1e-8)


def assert_same_selection(found, expected):
    assert_array_equal(found.ranking_, expected.ranking_)
    for name in ("usefulness_", "robustness_"):
        scores = getattr(found.decomposer_, name), getattr(expected.decomposer_, name)
        assert_allclose(*scores, rtol=1e-12)
    assert found.n_features_ == expected.n_features_
    assert_allclose(found.transform(Z), expected.transform(Z), atol=1e-8)
    assert_allclose(found.decision_function(Z), expected.decision_function(Z), atol=1e-8)


# The decomposer


@pytest.mark.parametrize("k", K_CLASSES)
def test_features_are_those_of_the_weighted_matrix(k):
    y, kernel, root = labels(k), FullyConnectedNTK(1), np.sqrt(REAL)
    values, vectors = np.linalg.eigh(root[:, None] * kernel(X) * root)
    values, vectors = values[::-1], vectors[:, ::-1]
    Y = 2.0 * y[:, None] - 1 if k == 2 else np.eye(k)[y]
    decomposer = fc1().fit(X, y, REAL)
    assert_allclose(decomposer.eigenvalues_, values, rtol=1e-9)
    outputs = decomposer.feature_outputs(Z)
    for i, v in enumerate(vectors.T):
        expected = np.outer(kernel(Z, X) @ (root * v), (root * v) @ Y) / values[i]
        assert_allclose(outputs[:, i], expected, atol=1e-9)


@pytest.mark.parametrize("class_weight", CLASS_WEIGHTS, ids=str)
@pytest.mark.parametrize(("n_components", "solver"), [(None, "dense"), (3, "dense"), (3, "arpack")])
@pytest.mark.parametrize("k", K_CLASSES)
def test_whole_numbers_are_equal_samples(k, n_components, solver, class_weight):
    y = labels(k)
    template = fc1(
        n_components=n_components, eigen_solver=solver, random_state=0, class_weight=class_weight
    )
    weighted = sklearn.clone(template).fit(X, y, WHOLE)
    repeated = sklearn.clone(template).fit(X.repeat(WHOLE, axis=0), y.repeat(WHOLE))
    assert_same_features(weighted, repeated)
    assert_allclose(weighted.transform(Z), repeated.transform(Z), atol=1e-8)


@pytest.mark.parametrize("class_weight", CLASS_WEIGHTS, ids=str)
@pytest.mark.parametrize("dropped", ["samples", "a class"])
def test_weight_zero_is_leaving_out(dropped, class_weight):
    y = labels(3)
    w = np.where(y == 1 if dropped == "a class" else WHOLE == 0, 0, REAL)
    kept = w > 0
    found = fc1(class_weight=class_weight).fit(X, y, w)
    expected = fc1(class_weight=class_weight).fit(X[kept], y[kept], w[kept])
    assert_same_features(found, expected)
    assert_array_equal(found.X_fit_, X[kept])


def test_positive_weights_change_the_features_but_not_their_sum():
    plain, weighted = fc1().fit(X, labels(3)), fc1().fit(X, labels(3), REAL)
    assert_allclose(weighted.decision_function(Z), plain.decision_function(Z), atol=1e-7)
    difference = weighted.feature_outputs(Z)[:, 1] - plain.feature_outputs(Z)[:, 1]
    assert np.abs(difference).max() > 1e-3


def test_the_scale_of_weights_has_no_effect():
    scaled, plain = fc1().fit(X, labels(3), 8 * REAL), fc1().fit(X, labels(3), REAL)
    assert_allclose(scaled.feature_outputs(Z), plain.feature_outputs(Z), atol=1e-9)


def test_gradients_with_weights():
    decomposer = fc1(n_components=5).fit(X, labels(3), REAL)
    columns = central_differences(decomposer.transform, Z)  # (m, d, p k)
    gradients = decomposer.feature_gradients(Z, output=2)
    assert_allclose(gradients, columns[:, :, 2::3].transpose(0, 2, 1), atol=1e-8)
    c = gaussian(len(Z), 15, seed=5)
    expected = np.einsum("mdq,mq->md", columns, c)
    assert_allclose(decomposer.transform_vjp(Z, c), expected, atol=1e-8)
    found = decomposer.decompose_gradient(Z, labels(3, len(Z)))
    parts, total = found.parts, found.total
    assert_allclose(parts.sum(axis=1), total, atol=1e-10)


@pytest.mark.parametrize("k", K_CLASSES)
def test_scores_are_weighted_accuracies(k):
    y, w = labels(k, 30), np.random.default_rng(6).integers(0, 4, 30)
    T = gaussian(30, D, seed=7)
    decomposer = fc1(n_components=6).fit(X, labels(k))
    options = {"eps": 0.1, "clip_values": None}
    weighted = decomposer.score_features(T, y, sample_weight=w, **options)
    repeated = decomposer.score_features(T.repeat(w, axis=0), y.repeat(w), **options)
    plain = decomposer.score_features(T, y, **options)
    for name in ("usefulness", "robustness"):
        assert_allclose(weighted[name], repeated[name], rtol=1e-12)
        assert not np.allclose(weighted[name], plain[name])


@pytest.mark.parametrize("estimator", [fc1(n_components=6), select(cv=3)], ids=["fc1", "cv"])
def test_class_weights_are_weights_of_samples(estimator):
    y = labels(3)
    names, factors = np.array(["a", "b", "c"])[y], np.array([2.0, 1.0, 0.5])[y]
    by_class = sklearn.clone(estimator).set_params(class_weight={"a": 2.0, "c": 0.5})
    found = by_class.fit(X, names, REAL).transform(Z)
    assert_allclose(found, sklearn.clone(estimator).fit(X, y, REAL * factors).transform(Z))
    rare = y[:15].copy()
    rare[9:] = 0
    balanced = sklearn.clone(estimator).set_params(class_weight="balanced").fit(X[:15], rare)
    shares = (15 / (3 * np.bincount(rare)))[rare]
    expected = sklearn.clone(estimator).fit(X[:15], rare, shares)
    assert_allclose(balanced.transform(Z), expected.transform(Z))


def test_class_weights_bear_on_the_largest_features():
    y = (gaussian(N, 1, seed=8)[:, 0] > 0).astype(int)
    one, other = (fc1(n_components=2, class_weight={c: 1e3}).fit(X, y).predict(X) for c in (0, 1))
    assert (one == 0).sum() > (other == 0).sum()


@pytest.mark.parametrize("estimator", [fc1(), RobustFeatureSelector()], ids=["fc1", "selector"])
def test_the_accuracy_that_scikit_learn_asks_of_a_classifier(estimator):
    T, y = make_blobs(n_samples=300, random_state=0, cluster_std=0.1)
    T = StandardScaler().fit_transform(T)
    assert sklearn.clone(estimator).fit(T, y).score(T, y) > 0.83


@pytest.mark.parametrize("estimator", [fc1(n_components=2), RobustFeatureSelector()])
def test_the_weight_of_one_class_that_scikit_learn_asks_for(estimator):
    T, y = make_blobs(n_samples=300, centers=3, random_state=0, cluster_std=20)
    estimator = sklearn.clone(estimator).set_params(class_weight={0: 1000, 1: 1e-4, 2: 1e-4})
    assert (estimator.fit(T, y).predict(T) == 0).mean() > 0.87


WRONG = {
    "negative": (-REAL, {}, ValueError, "Negative values"),
    "short": (REAL[:3], {}, ValueError, "sample_weight.shape"),
    "zero": (0 * REAL, {}, ValueError, "at least one non-zero"),
    "one class": (labels(2) * 1.0, {}, ValueError, "leave only class 1 with a positive weight"),
    "huge": (1e300 * REAL, {}, ValueError, "divide the weights by their mean"),
    "name": (None, {"class_weight": "even"}, ValueError, "class_weight='even'"),
    "label": (None, {"class_weight": {7: 1.0}}, ValueError, "not in class_weight"),
}


@pytest.mark.parametrize(("w", "options", "error", "message"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("estimator", [fc1(), select()], ids=["decomposer", "selector"])
def test_wrong_weights_are_refused(estimator, w, options, error, message):
    estimator = sklearn.clone(estimator).set_params(**options)
    with pytest.raises(error, match=message):
        estimator.fit(X, labels(2), w)
    assert not hasattr(estimator, "dual_coef_")


def test_n_components_counts_samples_of_positive_weight():
    with pytest.raises(ValueError, match="n_components=18 is more than the 12 features"):
        fc1(n_components=18).fit(X, labels(2), np.arange(N) >= 6)


# The selector


def repeated_parts(parts, counts):
    """Indices of the repeated samples in each part."""
    ends = np.cumsum(counts)
    spread = [np.arange(end - count, end) for end, count in zip(ends, counts, strict=True)]
    return [tuple(np.concatenate([spread[i] for i in side]) for side in part) for part in parts]


@pytest.mark.parametrize("class_weight", CLASS_WEIGHTS, ids=str)
@pytest.mark.parametrize("n_features", [4, None])
@pytest.mark.parametrize("k", K_CLASSES)
def test_selection_by_whole_numbers(k, n_features, class_weight):
    y = labels(k)
    parts = list(StratifiedKFold(3).split(X, y))
    options = {"n_features_to_select": n_features, "class_weight": class_weight}
    weighted = select(parts, n_components=None, **options).fit(X, y, WHOLE)
    repeated = select(repeated_parts(parts, WHOLE), n_components=None, **options)
    repeated.fit(X.repeat(WHOLE, axis=0), y.repeat(WHOLE))
    assert_same_selection(weighted, repeated)
    if n_features is None:
        curves = weighted.validation_curve_, repeated.validation_curve_
        assert_allclose(*(curve.robust_accuracy for curve in curves), rtol=1e-12)


@pytest.mark.parametrize("n_features", [4, None])
def test_selection_of_a_fitted_decomposer_by_whole_numbers(n_features):
    y, T = labels(3), pd.DataFrame(gaussian(N, D, seed=9), columns=list("abcd"))
    decomposer = fc1().fit(T, y, REAL)
    template = RobustFeatureSelector(
        decomposer, cv="prefit", eps=0.1, n_features_to_select=n_features
    )
    frame = pd.DataFrame(X, columns=list("abcd"))
    weighted = sklearn.clone(template, safe=False).set_params(decomposer=decomposer)
    weighted.fit(frame, y, WHOLE)
    rows = np.arange(N).repeat(WHOLE)
    template.fit(frame.iloc[rows], y[rows])
    assert_array_equal(weighted.ranking_, template.ranking_)
    assert weighted.n_features_ == template.n_features_
    assert not hasattr(decomposer, "usefulness_")


@pytest.mark.parametrize("cv", [None, 3, StratifiedKFold(3, shuffle=True, random_state=0)])
@pytest.mark.parametrize("dropped", ["samples", "a class"])
def test_selection_without_samples_of_weight_zero(dropped, cv):
    rng = np.random.default_rng(10)
    T, y = rng.standard_normal((27, D)), labels(3, 27)
    w = np.where(y == 1 if dropped == "a class" else rng.random(27) < 0.3, 0, rng.random(27) + 0.1)
    kept = w > 0
    found = select(cv, random_state=0).fit(T, y, w)
    assert_same_selection(found, select(cv, random_state=0).fit(T[kept], y[kept], w[kept]))


def test_given_indices_are_those_of_all_samples():
    y, w = labels(3), np.where(np.arange(N) < 3, 0, REAL)
    parts = [(np.arange(9), np.arange(9, N)), (np.arange(9, N), np.arange(9))]
    without = [(np.arange(6), np.arange(6, 15)), (np.arange(6, 15), np.arange(6))]
    found = select(parts).fit(X, y, w)
    assert_same_selection(found, select(without).fit(X[3:], y[3:], w[3:]))
    with pytest.raises(ValueError, match="In split 0 of cv, all samples on one side have weight 0"):
        select(parts).fit(X, y, np.arange(N) >= 9)


def test_a_cached_decomposition_has_the_same_weights():
    plain = select(cv=3).fit(X, labels(3))
    weighted = select(cv=3).fit(X, labels(3), REAL)
    assert_same_selection(weighted, select(cv=3, memory=None).fit(X, labels(3), REAL))
    assert not np.allclose(weighted.decision_function(Z), plain.decision_function(Z))


# Routing


def test_weights_are_routed():
    y = labels(2)
    with sklearn.config_context(enable_metadata_routing=True):
        selector = select(cv=3).set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, selector).fit(X, y, sample_weight=REAL)
        scaled = StandardScaler().fit_transform(X)
        assert_same_selection(pipeline[-1], select(cv=3).fit(scaled, y, REAL))
        search = GridSearchCV(
            selector.set_score_request(sample_weight=True), {"n_features_to_select": [2, 5]}, cv=2
        ).fit(X, y, sample_weight=REAL)
        best = select(cv=3, **search.best_params_).fit(X, y, REAL)
        assert_allclose(search.decision_function(Z), best.decision_function(Z))
        decomposer = fc1(n_components=3).set_fit_request(sample_weight=True)
        machine = NTKClassifier("fc1", alpha=1.0).set_fit_request(sample_weight=False)
        features = make_pipeline(decomposer, machine).fit(X, y, sample_weight=REAL)
    assert_same_features(features[0], fc1(n_components=3).fit(X, y, REAL))
