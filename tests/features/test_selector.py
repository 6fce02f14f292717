"""Only the best features: the machine they make, their ranking, its cost in a search."""

import pickle
import warnings
from functools import partial

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from helpers import central_differences
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import LinAlgWarning
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.pipeline import Pipeline

import skntk.features._decomposer
import skntk.features._decomposition_cache
import skntk.networks
from skntk import (
    NTKAttack,
    NTKClassifier,
    RobustFeatureSelector,
    SpectralFeatureDecomposer,
    load_neural_tangents,
)
from skntk.kernels import EmpiricalNTK, FullyConnectedNTK, StaxNTK

D = 5
fc1 = partial(SpectralFeatureDecomposer, "fc1")


def uniform(*shape, seed=0):
    return np.random.default_rng(seed).uniform(size=shape)


def labels(n, k):
    return np.arange(n) % k


def data(n=30, k=2):
    """Classes that lie apart along the first features, so that some features are robust."""
    X, y = uniform(n, D), labels(n, k)
    X[:, :2] = 0.3 * X[:, :2] + 0.6 * np.stack([y / (k - 1), 1 - y / (k - 1)], axis=1)
    return X, y


def fitted(k=2, **options):
    options = {"n_features_to_select": 4, "eps": 0.1} | options
    return RobustFeatureSelector(fc1(), **options).fit(*data(k=k))


@pytest.fixture
def decompositions(monkeypatch):
    """List that grows by one at every eigendecomposition; starts with an empty cache."""
    calls = []
    original = skntk.infinite._training_spectrum.eigendecompose

    def counted(gram, *args, **kwargs):
        calls.append(len(gram))
        return original(gram, *args, **kwargs)

    monkeypatch.setattr(skntk.infinite._training_spectrum, "eigendecompose", counted)
    skntk.features._decomposition_cache._RECENT.results.clear()
    return calls


# S2: the machine


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(6, 20), k=st.integers(2, 3))
def test_all_features_are_the_full_machine(seed, n, k):
    X, y, Z = uniform(n, D, seed=seed), labels(n, k), uniform(3, D, seed=seed + 1)
    decomposer = SpectralFeatureDecomposer("fc1").fit(X, y)
    selector = RobustFeatureSelector(decomposer, cv="prefit", n_features_to_select=1.0, eps=0.1)
    selector.fit(X, y)
    assert selector.n_features_ == n
    full = NTKClassifier("fc1", solver="eigh").fit(X, y)
    outputs = selector.decision_function(Z)
    assert_allclose(outputs, decomposer.decision_function(Z), atol=1e-10)
    assert_allclose(outputs, full.decision_function(Z), atol=1e-9)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("cv", [None, 3])
def test_machine_is_the_sum_of_the_kept_features(k, cv):
    selector, Z = fitted(k, cv=cv), uniform(6, D, seed=1)
    outputs = selector.decomposer_.feature_outputs(Z)[:, selector.get_support()].sum(axis=1)
    expected = outputs[:, 0] if k == 2 else outputs
    assert_allclose(selector.decision_function(Z), expected, atol=1e-12)
    decided = expected > 0 if k == 2 else expected.argmax(axis=1)
    assert_array_equal(selector.predict(Z), decided)
    assert selector.score(*data(k=k)) > 1 / k + 0.2


@pytest.mark.parametrize("k", [2, 3])
def test_decomposes_what_is_not_held_out(k):
    X, y = data(30, k)
    # By default the last fifth of each class ranks.
    held_out = np.concatenate([np.flatnonzero(y == c)[-round(30 / k / 5) :] for c in range(k)])
    kept = np.setdiff1d(np.arange(30), held_out)
    selector = fitted(k)
    assert_array_equal(selector.X_fit_, X[kept])
    expected = fc1().fit(X[kept], y[kept])
    held_out.sort()
    scores = expected.score_features(X[held_out], y[held_out], eps=0.1, clip_values=None)
    assert_array_equal(selector.decomposer_.robustness_, scores.robustness)
    assert_array_equal(selector.decomposer_.usefulness_, scores.usefulness)


def test_held_out_samples_are_shuffled_by_random_state():
    kept = [fitted(random_state=seed).X_fit_ for seed in (0, 0, 1)]
    assert_array_equal(kept[0], kept[1])
    assert (kept[0] != kept[2]).any()
    _, y = data()
    counts = [(y[(data()[0][:, None] == A).all(axis=2).any(axis=1)] == 0).sum() for A in kept]
    assert counts == [12, 12, 12]


@pytest.mark.parametrize("random_state", [None, 0])
@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.9, 0.999])
def test_every_class_is_on_both_sides_of_the_split(fraction, random_state):
    X, y = data(8)
    selector = RobustFeatureSelector(
        fc1(), validation_fraction=fraction, n_features_to_select=1, random_state=random_state
    ).fit(X, y)
    assert len(selector.classes_) == 2
    assert 2 <= len(selector.X_fit_) <= 6


def test_a_class_of_one_sample():
    X, y = data(9)
    y[-1] = 7
    for random_state in (None, 0):
        selector = RobustFeatureSelector(fc1(), random_state=random_state).fit(X, y)
        assert selector.classes_.tolist() == [0, 1, 7]


def test_options_reach_the_scores():
    X, y = data()
    options = {"eps": np.linspace(0.05, 0.2, D), "norm": 2, "clip_values": (0.0, 1.0)}
    selector = RobustFeatureSelector(fc1(), n_features_to_select=3, **options).fit(X, y)
    y_last = np.zeros(30, bool)
    y_last[24:] = True
    expected = fc1().fit(X[~y_last], y[~y_last]).score_features(X[y_last], y[y_last], **options)
    assert_array_equal(selector.decomposer_.robustness_, expected.robustness)


# Ranking


def values_of(selector, rank_by):
    if callable(rank_by):
        return np.asarray(rank_by(selector.decomposer_))
    name = "eigenvalues_" if rank_by == "eigenvalue" else f"{rank_by}_"
    return getattr(selector.decomposer_, name)


def by_position(decomposer):
    return np.arange(len(decomposer.eigenvalues_)) % 7


@pytest.mark.parametrize("rank_by", ["robustness", "usefulness", "eigenvalue", by_position])
@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("cv", [None, 3])
def test_ranking(rank_by, k, cv):
    selector = fitted(k, rank_by=rank_by, cv=cv)
    values = values_of(selector, rank_by)
    p = len(values)
    assert sorted(selector.ranking_) == list(range(1, p + 1))
    order = np.argsort(selector.ranking_)
    # Folds have fewer features than the whole, whose last ones have no scores and are ranked last.
    ranked = np.nan_to_num(values, nan=-1.0)[order]
    assert (ranked[:-1] >= ranked[1:]).all()
    ties = ranked[:-1] == ranked[1:]
    assert (np.diff(order)[ties] > 0).all()
    assert_array_equal(selector.get_support(), selector.ranking_ <= 4)
    assert_array_equal(selector.get_support(indices=True), np.sort(order[:4]))
    if rank_by == "eigenvalue":
        assert_array_equal(selector.ranking_, np.arange(1, p + 1))


def test_rank_by_list():
    selector = fitted(rank_by=lambda decomposer: list(range(len(decomposer.eigenvalues_))))
    assert selector.ranking_[-1] == 1


def test_features_lost_to_rounding_are_kept_last():
    # They put out 0, which is class 0 under any attack: robust, and nothing at all.
    X, y = data(12)
    X, y = np.tile(X, (3, 1)), np.tile(y, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LinAlgWarning)
        decomposer = fc1(n_components=24)
        selector = RobustFeatureSelector(decomposer, n_features_to_select=5, eps=0.5).fit(X, y)
    lost = selector.decomposer_.eigenvalues_ == 0
    assert lost.any()
    assert selector.ranking_[lost].min() > selector.ranking_[~lost].max()


# How many


@pytest.mark.parametrize(
    ("n_features_to_select", "n_features"),
    [(1, 1), (7, 7), (24, 24), (np.int64(3), 3), (0.5, 12), (1.0, 24), (0.001, 1)],
)
def test_number_of_features(n_features_to_select, n_features):
    selector = fitted(n_features_to_select=n_features_to_select)
    assert selector.n_features_ == n_features
    assert selector.get_support().sum() == n_features
    assert selector.transform(data()[0]).shape == (30, n_features)
    assert selector.validation_curve_ is None


@pytest.mark.parametrize("k", [2, 3])
def test_chosen_number_is_the_most_robust(k):
    X, y = data(k=k)
    selector = fitted(k, n_features_to_select=None)
    curve = selector.validation_curve_
    held_out = ~(X[:, None] == selector.X_fit_).all(axis=2).any(axis=1)
    assert held_out.sum() == 6
    assert curve.n_features[0] == 1
    assert curve.n_features[-1] == 24
    for r, accuracy, robust in zip(
        curve.n_features, curve.accuracy, curve.robust_accuracy, strict=True
    ):
        machine = selector.with_n_features(int(r))
        assert machine.score(X[held_out], y[held_out]) == pytest.approx(accuracy)
        cotangents = machine.decision_function(X[held_out])
        truth = y[held_out]
        if k == 2:
            cotangents = np.where(truth == 1, -1.0, 1.0)
        else:
            p = np.exp(cotangents)
            cotangents = p / p.sum(axis=1, keepdims=True) - np.eye(k)[truth]
        gradient = machine.input_vjp(X[held_out], cotangents)
        attacked = X[held_out] + 0.1 * np.sign(gradient)
        assert machine.score(attacked, truth) == pytest.approx(robust)
    best = max(
        range(len(curve.n_features)),
        key=lambda i: (curve.robust_accuracy[i], curve.accuracy[i], -curve.n_features[i]),
    )
    assert selector.n_features_ == curve.n_features[best]


def test_number_is_not_chosen_on_training_samples():
    # Random labels: whatever the number, held-out samples are right half of the time.
    rng = np.random.default_rng(0)
    X, y = rng.uniform(size=(60, D)), rng.permutation(labels(60, 2))
    curve = RobustFeatureSelector(fc1(), cv=3, eps=0.01).fit(X, y).validation_curve_
    assert np.max(curve.accuracy) < 0.8


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("options", [{}, {"cv": 3}, {"random_state": 3}])
def test_with_n_features_is_a_fresh_fit(k, options, decompositions):
    selector = fitted(k, n_features_to_select=None, **options)
    before, Z = selector.dual_coef_.copy(), uniform(5, D, seed=1)
    del decompositions[:]
    for r in (1, 6, 0.5):
        cut = selector.with_n_features(r)
        assert decompositions == []
        fresh = fitted(k, n_features_to_select=r, memory=None, **options)
        del decompositions[:]
        assert cut.n_features_to_select == r
        assert cut.n_features_ == fresh.n_features_
        assert_array_equal(cut.decision_function(Z), fresh.decision_function(Z))
        assert_array_equal(cut.transform(Z), fresh.transform(Z))
        assert_array_equal(cut.get_support(), fresh.get_support())
        assert_array_equal(cut.get_feature_names_out(), fresh.get_feature_names_out())
        assert cut.decomposer_.eigenvectors_ is selector.decomposer_.eigenvectors_
    assert selector.n_features_to_select is None
    assert_array_equal(selector.dual_coef_, before)


# Selector


@pytest.mark.parametrize("k", [2, 3])
def test_transform_gives_the_decomposers_columns(k):
    selector, Z = fitted(k, rank_by=by_position), uniform(6, D, seed=1)
    support = selector.get_support()
    outputs = selector.decomposer_.feature_outputs(Z)[:, support]
    assert_array_equal(selector.transform(Z), outputs.reshape(6, -1))
    names = selector.decomposer_.get_feature_names_out().reshape(len(support), -1)
    assert_array_equal(selector.get_feature_names_out(), names[support].ravel())
    indices = selector.get_support(indices=True)
    first = f"ntk{indices[0]}" if k == 2 else f"ntk{indices[0]}_0"
    assert selector.get_feature_names_out()[0] == first
    assert_array_equal(selector.fit_transform(*data(k=k)), selector.transform(data(k=k)[0]))


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("cv", [None, 3])
def test_pandas_output(k, cv):
    X, y = data(k=k)
    X = pd.DataFrame(X, columns=list("abcde"), index=range(100, 130))
    selector = RobustFeatureSelector(fc1(), n_features_to_select=3, cv=cv)
    frame = selector.set_output(transform="pandas").fit_transform(X, pd.Series(y, X.index))
    assert frame.columns.tolist() == selector.get_feature_names_out().tolist()
    assert frame.index.equals(X.index)
    assert_array_equal(frame, selector.set_output(transform="default").transform(X))
    assert selector.score(X, y) > 0.5
    assert selector.feature_names_in_.tolist() == list("abcde")
    with pytest.raises(ValueError, match="feature names"):
        selector.predict(X.rename(columns={"a": "z"}))


def test_the_decomposer_knows_the_names():
    X, y = data()
    frame = pd.DataFrame(X, columns=list("abcde"))
    selector = RobustFeatureSelector(fc1(), n_features_to_select=3).fit(frame, y)
    assert_array_equal(selector.decomposer_.feature_names_in_, list("abcde"))
    assert selector.decomposer_.predict(frame).shape == (30,)
    # The cached decomposition is of arrays and stays so.
    assert not hasattr(fitted().decomposer_, "feature_names_in_")


def test_prefit_on_a_frame():
    X, y = data()
    X = pd.DataFrame(X, columns=list("abcde"))
    selector = RobustFeatureSelector(fc1().fit(X, y), cv="prefit", n_features_to_select=3)
    assert selector.fit(X, y).transform(X).shape == (30, 3)


def test_no_inverse_transform():
    selector = fitted()
    assert not hasattr(selector, "inverse_transform")
    with pytest.raises(AttributeError, match="do not determine"):
        selector.inverse_transform(np.zeros((2, 4)))


@pytest.mark.parametrize("k", [2, 3])
def test_in_a_pipeline(k):
    X, y = data(k=k)
    features = RobustFeatureSelector(fc1(), n_features_to_select=6, eps=0.1)
    pipeline = Pipeline([("features", features), ("clf", LogisticRegression())])
    pipeline.set_output(transform="pandas").fit(X, y)
    assert pipeline.score(X, y) > 1 / k + 0.2
    assert pipeline["clf"].n_features_in_ == (6 if k == 2 else 18)
    names = pipeline[:-1].get_feature_names_out()
    assert_array_equal(names, pipeline["clf"].feature_names_in_)


# Gradients


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("kernel", ["fc1", "fc3", "two_layer"])
def test_input_vjp_is_central_differences(k, kernel):
    selector = RobustFeatureSelector(
        SpectralFeatureDecomposer(kernel), n_features_to_select=4, rank_by=by_position
    ).fit(*data(k=k))
    Z = uniform(5, D, seed=1)
    cotangents = np.random.default_rng(2).standard_normal(selector.decision_function(Z).shape)

    def weighted(Z):
        return (cotangents * selector.decision_function(Z)).reshape(len(Z), -1).sum(axis=1)

    expected = central_differences(weighted, Z)
    atol = 1e-6 * np.abs(expected).max()
    assert_allclose(selector.input_vjp(Z, cotangents), expected, rtol=1e-6, atol=atol)


def test_attack_follows_the_gradient_of_the_machine():
    selector = fitted(n_features_to_select=2, rank_by=by_position)
    X, y = data()
    X_adv = NTKAttack(selector, eps=0.05, clip_values=None).generate(X, y)
    gradient = central_differences(selector.decision_function, X)
    expected = X - 0.05 * np.where(y == 1, 1, -1)[:, None] * np.sign(gradient)
    # A sample that the step does not harm stays where it is.
    moved = (X_adv != X).any(axis=1)
    assert moved.sum() > 20
    assert_allclose(X_adv[moved], expected[moved], atol=1e-12)
    of_all = NTKAttack(selector.decomposer_, eps=0.05, clip_values=None).generate(X, y)
    assert np.abs(of_all - X_adv).max() > 0.05


# Cross-validation and fitted decomposers


@pytest.mark.parametrize("k", [2, 3])
def test_scores_are_averaged_over_folds(k, decompositions):
    X, y = data(k=k)
    selector = fitted(k, cv=3)
    assert sorted(decompositions) == [20, 20, 20, 30]
    robustness = []
    for train, test in StratifiedKFold(3).split(X, y):
        fold = fc1().fit(X[train], y[train])
        scores = fold.score_features(X[test], y[test], eps=0.1, clip_values=None)
        robustness.append(scores.robustness)
    assert_allclose(selector.decomposer_.robustness_[:20], np.mean(robustness, axis=0))
    assert_array_equal(selector.X_fit_, X)
    # What no fold has scored comes last, in order.
    assert_array_equal(selector.ranking_[20:], np.arange(21, 31))


def test_splitters():
    X, y = data()
    splitter = KFold(3, shuffle=True, random_state=0)
    by_splitter = fitted(cv=splitter)
    by_list = fitted(cv=list(splitter.split(X, y)))
    assert_array_equal(by_splitter.ranking_, by_list.ranking_)
    assert (by_splitter.ranking_ != fitted(cv=3).ranking_).any()


def test_prefit(decompositions):
    X, y = data()
    decomposer = fc1().fit(X[:20], y[:20])
    before = dict(vars(decomposer))
    del decompositions[:]
    selector = RobustFeatureSelector(decomposer, cv="prefit", n_features_to_select=3, eps=0.1)
    selector.fit(X[20:], y[20:])
    assert decompositions == []
    assert vars(decomposer).keys() == before.keys()
    assert_array_equal(selector.X_fit_, X[:20])
    scores = decomposer.score_features(X[20:], y[20:], eps=0.1, clip_values=None)
    assert_array_equal(selector.decomposer_.robustness_, scores.robustness)


def test_prefit_that_is_not():
    with pytest.raises(NotFittedError):
        RobustFeatureSelector(fc1(), cv="prefit").fit(*data())
    X, y = data()
    decomposer = fc1().fit(X[:, :4], y)
    with pytest.raises(ValueError, match="5 features"):
        RobustFeatureSelector(decomposer, cv="prefit").fit(X, y)
    with pytest.raises(ValueError, match="never saw"):
        RobustFeatureSelector(decomposer, cv="prefit").fit(X[:, :4], y + 1)


def test_fitting_clones_the_decomposer():
    decomposer = fc1()
    selector = RobustFeatureSelector(decomposer).fit(*data())
    assert not hasattr(decomposer, "eigenvalues_")
    assert selector.decomposer is decomposer
    assert RobustFeatureSelector().fit(*data()).decomposer_.kernel == "fc2"


# Decompositions are made once


GRID = {"n_features_to_select": [1, 2, 5, None], "decomposer__kernel": ["fc1", "fc2"]}


def search(memory, n_jobs=None, **options):
    selector = RobustFeatureSelector(fc1(), eps=0.1, memory=memory, **options)
    return GridSearchCV(selector, GRID, cv=3, n_jobs=n_jobs, refit=False).fit(*data())


@pytest.mark.parametrize(("cv", "each"), [(None, 1), (3, 4)])
def test_search_decomposes_each_fold_and_kernel_once(cv, each, decompositions):
    result = search("auto", cv=cv)
    assert len(decompositions) == 3 * 2 * each
    del decompositions[:]
    uncached = search(None, cv=cv)
    assert len(decompositions) == 3 * 2 * 4 * each
    expected = uncached.cv_results_["mean_test_score"]
    assert_array_equal(result.cv_results_["mean_test_score"], expected)


def test_search_with_a_directory(decompositions, tmp_path):
    search(str(tmp_path))
    assert len(decompositions) == 3 * 2
    skntk.features._decomposition_cache._RECENT.results.clear()
    search(joblib.Memory(str(tmp_path), verbose=0))
    assert len(decompositions) == 3 * 2
    assert not skntk.features._decomposition_cache._RECENT.results


def test_search_with_threads(decompositions, monkeypatch):
    # So small that each thread evicts what the others are about to use.
    monkeypatch.setattr(skntk.features._decomposition_cache._RECENT, "max_bytes", 1)
    with joblib.parallel_config("threading"):
        result = search("auto", n_jobs=4)
    assert np.isfinite(result.cv_results_["mean_test_score"]).all()


def test_recent_decompositions_are_bounded(decompositions, monkeypatch):
    recent = skntk.features._decomposition_cache._RECENT
    monkeypatch.setattr(recent, "max_bytes", 3 * 24 * (24 + D) * 8)
    X, y = data()
    for shift in range(6):
        RobustFeatureSelector(fc1(), n_features_to_select=1).fit(X + shift, y)
        assert len(recent.results) <= 3
    assert len(decompositions) == 6
    RobustFeatureSelector(fc1(), n_features_to_select=2).fit(X + 5, y)
    assert len(decompositions) == 6
    RobustFeatureSelector(fc1(), n_features_to_select=2).fit(X, y)
    assert len(decompositions) == 7


@pytest.mark.parametrize(
    "change",
    [
        {"decomposer": fc1(n_components=10)},
        {"decomposer": SpectralFeatureDecomposer(FullyConnectedNTK(1, bias_std=0.2))},
        {"eps": 0.2},
        {"norm": 2},
        {"clip_values": (0.0, 1.0)},
        {"validation_fraction": 0.3},
        {"random_state": 0},
    ],
)
def test_cache_tells_settings_apart(change):
    options = {"decomposer": fc1(), "n_features_to_select": 3, "eps": 0.1}
    RobustFeatureSelector(**options).fit(*data())
    cached = RobustFeatureSelector(**options | change).fit(*data())
    fresh = RobustFeatureSelector(**options | change, memory=None).fit(*data())
    assert_array_equal(cached.decomposer_.robustness_, fresh.decomposer_.robustness_)
    assert_array_equal(cached.dual_coef_, fresh.dual_coef_)


def define(scale):
    """A function as a notebook defines it, again and again under one name."""
    namespace = {"scale": scale}
    exec("def features(params, x):\n    return scale * x @ params", namespace)
    return namespace["features"]


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_kernel_that_was_redefined_is_decomposed_again(decompositions, tmp_path, on_disk):
    """It had the eigenvalues of the old one."""
    X, y = data()
    memory = str(tmp_path) if on_disk else "auto"
    for scale in (1.0, 3.0):
        kernel = EmpiricalNTK(define(scale), np.ones((D, 1)))
        options = {"n_features_to_select": 3, "memory": memory}
        decomposer = SpectralFeatureDecomposer(kernel, n_components=3)
        selector = RobustFeatureSelector(decomposer, **options).fit(X, y)
        fresh = clone(decomposer).fit(selector.X_fit_, y[: len(selector.X_fit_)])
        assert_allclose(selector.decomposer_.eigenvalues_[0], fresh.eigenvalues_[0])


@pytest.mark.parametrize("on_disk", [False, True])
def test_equal_modules_are_decomposed_once(decompositions, tmp_path, on_disk):
    """Once a fold and once for the refit, not once a candidate."""
    pytest.importorskip("flax")
    kernel = EmpiricalNTK(skntk.networks.TwoLayerReLU(8), random_state=0)
    decomposer = SpectralFeatureDecomposer(kernel, n_components=8)
    memory = str(tmp_path) if on_disk else "auto"
    selector = RobustFeatureSelector(decomposer, eps=0.1, memory=memory)
    GridSearchCV(selector, {"n_features_to_select": [1, 2, 5, 8]}, cv=3).fit(*data())
    assert len(decompositions) == 4


@pytest.mark.parametrize("cv", [None, 3])
def test_cache_does_not_follow_the_users_arrays(cv, decompositions):
    X, y = data()
    Z = uniform(4, D, seed=1)
    options = {"n_features_to_select": 5, "cv": cv}
    first = RobustFeatureSelector(fc1(), **options).fit(X, y)
    expected = first.decision_function(Z)
    X[:] = 0
    again = RobustFeatureSelector(fc1(), **options).fit(*data())
    assert_array_equal(again.decision_function(Z), expected)


def test_cache_does_not_share_what_a_user_can_change(decompositions):
    X, y = data()
    Z = uniform(4, D, seed=1)
    first = RobustFeatureSelector(fc1(), n_features_to_select=5).fit(X, y)
    expected = first.decision_function(Z)
    for name in ("eigenvalues_", "eigenvectors_", "robustness_", "feature_coef_"):
        array = getattr(first.decomposer_, name)
        if array.flags.writeable:
            array[:] = 0
    again = RobustFeatureSelector(fc1(), n_features_to_select=5).fit(X, y)
    assert_array_equal(again.decision_function(Z), expected)


def test_kernel_that_does_not_pickle():
    stax = load_neural_tangents().stax
    network = stax.serial(stax.Dense(1, W_std=1.5), stax.Relu(), stax.Dense(1))
    decomposer = SpectralFeatureDecomposer(StaxNTK(network))
    selector = RobustFeatureSelector(decomposer, n_features_to_select=3).fit(*data())
    assert selector.transform(data()[0]).shape == (30, 3)


def test_memory_of_a_wrong_kind():
    with pytest.raises(ValueError, match="memory"):
        RobustFeatureSelector(memory=3).fit(*data())


# Bad input


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"decomposer": "fc1"}, TypeError, "decomposer='fc1' must be a SpectralFeatureDecomposer"),
        ({"rank_by": "size"}, ValueError, "rank_by='size' is not supported; choose one of 'robus"),
        ({"rank_by": None}, ValueError, "rank_by=None is not supported"),
        ({"n_features_to_select": 0}, ValueError, "n_features_to_select=0 is out of range"),
        ({"n_features_to_select": -3}, ValueError, "n_features_to_select=-3 is out of range"),
        ({"n_features_to_select": 1.5}, ValueError, "n_features_to_select=1.5 is not a fraction"),
        ({"n_features_to_select": np.nan}, ValueError, "n_features_to_select=nan is out of range"),
        ({"n_features_to_select": "all"}, TypeError, "n_features_to_select must be an integer"),
        ({"n_features_to_select": True}, TypeError, "n_features_to_select must be an integer"),
        ({"norm": 1}, ValueError, "norm=1 is not supported"),
        ({"eps": -1}, ValueError, "eps=-1 is out of range"),
        ({"eps": np.nan}, ValueError, "eps=nan is out of range"),
        ({"eps": None}, TypeError, "eps must be a real number"),
        ({"eps": [0.1, 0.2]}, ValueError, "eps has 2 values for 5 features"),
        ({"clip_values": (0.4, 0.6)}, ValueError, r"outside clip_values=\(0.4, 0.6\)"),
        ({"clip_values": 1}, ValueError, "clip_values=1 is not a pair"),
        ({"validation_fraction": 0}, ValueError, "validation_fraction=0 is out of range"),
        ({"validation_fraction": 1.0}, ValueError, "validation_fraction=1 leaves no sample"),
        ({"validation_fraction": 3}, ValueError, "validation_fraction=3 leaves no sample"),
        ({"cv": "folds"}, ValueError, "cv='folds' is not supported; give a splitter or 'prefit'"),
        ({"cv": 1}, ValueError, "n_splits=1"),
        ({"cv": 0.5}, ValueError, "cv"),
        ({"memory": 3}, ValueError, "memory"),
    ],
)
def test_wrong_parameters(parameters, error, message, decompositions):
    with pytest.raises(error, match=message):
        RobustFeatureSelector(**parameters).fit(*data())
    assert decompositions == []


def test_more_features_than_there_are():
    with pytest.raises(ValueError, match="n_features_to_select=25 is more than the 24 features"):
        fitted(n_features_to_select=25)
    with pytest.raises(ValueError, match="n_features_to_select=25 is more than the 24 features"):
        fitted().with_n_features(25)
    selector = RobustFeatureSelector(fc1(n_components=6), n_features_to_select=7)
    with pytest.raises(ValueError, match="raise the decomposer's n_components"):
        selector.fit(*data())


@pytest.mark.parametrize("n_features", [0, 1.5, -1, None, "all", np.nan])
def test_wrong_cuts(n_features):
    with pytest.raises((ValueError, TypeError), match="n_features_to_select"):
        fitted().with_n_features(n_features)


@pytest.mark.parametrize(
    "value", [3, [1.0], None, ["a"] * 24, [1j] * 24, np.full(24, np.nan), np.ones((24, 1))]
)
def test_wrong_values_to_rank_by(value):
    with pytest.raises(ValueError, match="rank_by gave"):
        fitted(rank_by=lambda decomposer: value)


def test_values_that_are_nan_are_counted():
    values = np.arange(24.0)
    values[:3] = np.nan
    with pytest.raises(ValueError, match="rank_by gave NaN for 3 of 24 features"):
        fitted(rank_by=lambda decomposer: values)


def test_bad_training_data():
    X, y = data()
    with pytest.raises(ValueError, match="one class only"):
        RobustFeatureSelector().fit(X, np.zeros(30))
    with pytest.raises(ValueError, match="leave none to rank features on"):
        RobustFeatureSelector().fit(X[:3], [0, 1, 2])
    with pytest.raises(ValueError, match="contains NaN"):
        RobustFeatureSelector().fit(np.where(X > 0.9, np.nan, X), y)


def test_not_fitted():
    selector, X = RobustFeatureSelector(), uniform(3, D)
    for call in (
        lambda: selector.transform(X),
        lambda: selector.predict(X),
        lambda: selector.input_vjp(X, np.ones(3)),
        lambda: selector.with_n_features(1),
        selector.get_support,
        selector.get_feature_names_out,
    ):
        with pytest.raises(NotFittedError):
            call()


def test_a_fit_that_fails_leaves_nothing_fitted():
    selector, X = fitted(), uniform(3, D)
    with pytest.raises(ValueError, match="one class only"):
        selector.fit(X, np.zeros(3))
    for call in (
        lambda: selector.transform(X),
        lambda: selector.predict(X),
        lambda: selector.with_n_features(1),
        selector.get_support,
        selector.get_feature_names_out,
    ):
        with pytest.raises(NotFittedError):
            call()


# Copies


@pytest.mark.parametrize("n_features_to_select", [None, 3])
@pytest.mark.parametrize("cv", [None, 3])
def test_round_trips(n_features_to_select, cv):
    selector = fitted(3, n_features_to_select=n_features_to_select, cv=cv)
    Z = uniform(4, D, seed=1)
    data_ = skops.io.dumps(selector)
    untrusted = skops.io.get_untrusted_types(data=data_)
    assert all(name.startswith("skntk.") for name in untrusted), untrusted
    for copy in (
        pickle.loads(pickle.dumps(selector)),
        skops.io.loads(data_, trusted=untrusted),
    ):
        assert_array_equal(copy.decision_function(Z), selector.decision_function(Z))
        assert_array_equal(copy.transform(Z), selector.transform(Z))
        assert_array_equal(
            copy.with_n_features(2).decision_function(Z),
            selector.with_n_features(2).decision_function(Z),
        )
    fresh = clone(selector)
    assert not hasattr(fresh, "ranking_")
    assert fresh.get_params().keys() == selector.get_params().keys()
    assert_array_equal(fresh.fit(*data(k=3)).ranking_, selector.ranking_)


def test_float32_stays_float32():
    X, y = data()
    selector = RobustFeatureSelector(fc1(), n_features_to_select=3).fit(X.astype(np.float32), y)
    assert selector.transform(X.astype(np.float32)).dtype == np.float32
    assert selector.decision_function(X.astype(np.float32)).dtype == np.float32
    assert selector.input_vjp(X.astype(np.float32), np.ones(30)).dtype == np.float32


def test_features_without_scores_come_last_by_whatever_criterion():
    X, y = uniform(40, 8), np.arange(40) % 2
    selector = RobustFeatureSelector(
        fc1(), cv=3, n_features_to_select=5, rank_by=lambda d: d.usefulness_ * d.robustness_
    ).fit(X, y)
    unscored = np.isnan(selector.decomposer_.usefulness_)
    assert unscored.any() and not (selector.get_support() & unscored).any()
    assert selector.ranking_[unscored].min() > selector.ranking_[~unscored].max()
    by_name = RobustFeatureSelector(fc1(), cv=3, n_features_to_select=5).fit(X, y)
    assert by_name.ranking_[unscored].min() > by_name.ranking_[~unscored].max()


def test_a_frozen_decomposer_is_as_prefit_and_survives_a_grid():
    X, y = uniform(40, 8), np.arange(40) % 2
    decomposer = fc1(n_components=10).fit(X, y)
    frozen = RobustFeatureSelector(FrozenEstimator(decomposer), n_features_to_select=3)
    prefit = RobustFeatureSelector(decomposer, cv="prefit", n_features_to_select=3)
    assert_array_equal(frozen.fit(X, y).ranking_, prefit.fit(X, y).ranking_)
    assert_allclose(frozen.decision_function(X), prefit.decision_function(X))
    search = GridSearchCV(frozen, {"n_features_to_select": [2, 10]}, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    with pytest.raises(NotFittedError):
        RobustFeatureSelector(FrozenEstimator(fc1())).fit(X, y)
