"""Weights of samples and of classes, at every time and ridge, by every solver."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from helpers import gaussian
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import make_blobs
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skntk import NTKClassifier, NTKClassifierCV
from skntk.kernels import EmpiricalNTK, FullyConnectedNTK

pytestmark = pytest.mark.filterwarnings("ignore:The Gram matrix is ill-conditioned")

Z = gaussian(7, 4, seed=9)
TIMES = [0.0, 0.05, 1.0, 50.0, np.inf]
#: Solver, memory limit: with no memory, "cg" computes the matrix again for each product.
SOLVERS = [("cholesky", None), ("eigh", None), ("cg", None), ("cg", 0)]


def draw(seed, n_classes, weights=(0, 1, 2, 3)):
    """Samples, labels and whole-number weights, positive for one sample of each class."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(8, 16))
    w = rng.choice(weights, n)
    w[:n_classes] = rng.integers(1, 4, n_classes)
    return rng.standard_normal((n, 4)), np.arange(n) % n_classes, w


def machine(solver, time, alpha, **options):
    name, limit = solver
    if not np.isinf(time):
        name, limit = "eigh", None
    return NTKClassifier(
        "fc1",
        solver=name,
        time=time,
        alpha=alpha,
        tol=1e-12,
        random_state=0,
        memory_limit=limit,
        **options,
    )


@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_classes=st.sampled_from([2, 3]),
    solver=st.sampled_from(SOLVERS),
    time=st.sampled_from([*TIMES, np.inf, np.inf]),
    alpha=st.sampled_from([0.0, 1e-2, 1.0]),
    class_weight=st.sampled_from([None, "balanced", {0: 3.0}]),
)
def test_whole_numbers_are_equal_samples(seed, n_classes, solver, time, alpha, class_weight):
    """A weight of 0 included, which leaves a sample out."""
    X, y, w = draw(seed, n_classes)
    template = machine(solver, time, alpha, class_weight=class_weight)
    weighted = template.fit(X, y, sample_weight=w).decision_function(Z)
    repeated = template.fit(X.repeat(w, axis=0), y.repeat(w)).decision_function(Z)
    assert_allclose(weighted, repeated, rtol=0, atol=1e-8)


@settings(max_examples=50)
@given(
    seed=st.integers(0, 2**32 - 1),
    solver=st.sampled_from(SOLVERS[:3]),
    time=st.sampled_from(TIMES),
    alpha=st.sampled_from([0.0, 1e-2, 1.0]),
)
def test_at_time_keeps_the_weights(seed, solver, time, alpha):
    X, y, w = draw(seed, 3, weights=(0.0, 0.3, 1.7))
    fitted = machine(solver, np.inf, 0.5).fit(X, y, w).at_time(time, alpha=alpha)
    expected = machine(solver, time, alpha).fit(X, y, w)
    assert_allclose(fitted.dual_coef_, expected.dual_coef_, rtol=0, atol=1e-8)
    assert fitted.dual_coef_.shape == expected.dual_coef_.shape == ((w > 0).sum(), 3)


@pytest.mark.parametrize("solver", ["cholesky", "eigh", "cg"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_kernel_ridge_with_weights(solver, n_classes):
    X, y, w = draw(3, n_classes, weights=(0.0, 0.3, 1.7))
    kernel = FullyConnectedNTK(1)
    K, cross = kernel(X), kernel(Z, X)
    Y = 2.0 * y - 1 if n_classes == 2 else np.eye(n_classes)[y]
    options = {"alpha": 0.1, "solver": solver, "tol": 1e-12, "random_state": 0}
    found = NTKClassifier("precomputed", **options).fit(K, y, sample_weight=w)
    expected = KernelRidge(alpha=0.1, kernel="precomputed").fit(K, Y, sample_weight=w)
    assert_allclose(found.decision_function(cross), expected.predict(cross), atol=1e-9)
    assert len(found.dual_coef_) == len(X)
    assert_array_equal(found.dual_coef_[w == 0], 0)
    from_inputs = NTKClassifier(kernel, **options).fit(X, y, sample_weight=w)
    assert_array_equal(from_inputs.X_fit_, X[w > 0])
    assert_allclose(from_inputs.decision_function(Z), expected.predict(cross), atol=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_without_a_ridge_a_network_that_fits_all_labels_ignores_weights(solver):
    X, y, _ = draw(4, 2)
    w = np.random.default_rng(0).uniform(0.2, 5, len(X))
    plain = machine(solver, np.inf, 0.0).fit(X, y).decision_function(Z)
    assert_allclose(
        machine(solver, np.inf, 0.0).fit(X, y, w).decision_function(Z), plain, atol=1e-8
    )


@pytest.mark.parametrize("solver", SOLVERS)
def test_equal_samples_of_different_labels_meet_at_their_weighted_mean(solver):
    X = np.vstack([Z, Z[:1]])
    y = np.array([1, 0, 1, 0, 1, 0, 1, 0])
    w = np.array([3.0, 1, 1, 1, 1, 1, 1, 1])
    f = machine(solver, np.inf, 0.0).fit(X, y, w).decision_function(Z[:1])
    assert_allclose(f, 0.5, atol=1e-6)


@pytest.mark.parametrize("time", [0.5, np.inf])
def test_weights_of_a_kernel_between_outputs(time):
    def apply_fn(params, x):
        return np.tanh(x @ params["w"]) if isinstance(x, np.ndarray) else _tanh(x @ params["w"])

    X, y, w = draw(5, 3)
    kernel = EmpiricalNTK(apply_fn, {"w": gaussian(4, 3)})
    template = NTKClassifier(kernel, multi_output=True, time=time, alpha=0.1)
    weighted = template.fit(X, y, w).decision_function(Z)
    repeated = template.fit(X.repeat(w, axis=0), y.repeat(w)).decision_function(Z)
    assert_allclose(weighted, repeated, atol=1e-8)


def _tanh(x):
    import jax.numpy as jnp

    return jnp.tanh(x)


def test_class_weights_multiply():
    X, y, w = draw(6, 3)
    labels = np.array(["a", "b", "c"])[y]
    factors = np.array([2.0, 1.0, 0.5])[y]
    found = NTKClassifier("fc1", alpha=1.0, class_weight={"a": 2.0, "c": 0.5}).fit(X, labels, w)
    expected = NTKClassifier("fc1", alpha=1.0).fit(X, labels, w * factors)
    assert_array_equal(found.dual_coef_, expected.dual_coef_)
    alone = NTKClassifier("fc1", alpha=1.0, class_weight={"a": 2.0, "c": 0.5}).fit(X, labels)
    expected = NTKClassifier("fc1", alpha=1.0).fit(X, labels, factors)
    assert_array_equal(alone.dual_coef_, expected.dual_coef_)


@pytest.mark.parametrize("kernel", ["fc1", "precomputed"])
@pytest.mark.parametrize("class_weight", [None, "balanced", {"a": 3.0, "b": 2.0}])
@pytest.mark.parametrize("Machine", [NTKClassifier, NTKClassifierCV])
def test_a_class_of_weight_zero_is_left_out(Machine, class_weight, kernel):
    X, y = gaussian(12, 4), np.array(list("abcd"))[np.arange(12) % 4]
    w = np.where(y == "b", 0.0, np.random.default_rng(0).uniform(0.5, 2, 12))
    kept = w > 0
    K, cross = FullyConnectedNTK(1)(X), FullyConnectedNTK(1)(Z, X)
    inputs = (X, Z, X[kept], Z)
    if kernel == "precomputed":
        inputs = (K, cross, K[np.ix_(kept, kept)], cross[:, kept])
    options = {"alpha": 0.5} if Machine is NTKClassifier else {"alphas": [1e-2, 0.5]}
    found = Machine(kernel, class_weight=class_weight, **options).fit(inputs[0], y, w)
    without = {"a": 3.0} if isinstance(class_weight, dict) else class_weight
    expected = Machine(kernel, class_weight=without, **options).fit(inputs[2], y[kept], w[kept])
    assert found.classes_.tolist() == ["a", "c", "d"]
    assert_allclose(
        found.decision_function(inputs[1]), expected.decision_function(inputs[3]), rtol=1e-9
    )


def test_a_class_weight_of_zero_leaves_two_classes():
    X, y = gaussian(12, 4), np.arange(12) % 3
    found = NTKClassifier("fc1", alpha=0.5, class_weight={1: 0.0}).fit(X, y)
    expected = NTKClassifier("fc1", alpha=0.5).fit(X[y != 1], y[y != 1])
    assert found.classes_.tolist() == [0, 2]
    assert_allclose(found.decision_function(Z), expected.decision_function(Z), rtol=1e-9)


def test_bagging_with_a_rare_class():
    X, y = gaussian(20, 4), np.array([0] * 10 + [1] * 9 + [2])
    bagged = BaggingClassifier(NTKClassifier("fc1", alpha=0.5), n_estimators=6, random_state=0)
    bagged.fit(X, y, sample_weight=np.ones(20))
    assert min(len(machine.classes_) for machine in bagged.estimators_) == 2
    assert_allclose(bagged.predict_proba(Z).sum(axis=1), 1)


def test_balanced_classes_have_equal_weight():
    X, y = gaussian(12, 4), np.array([0] * 9 + [1] * 3)
    found = NTKClassifier("fc1", alpha=1.0, class_weight="balanced").fit(X, y)
    expected = NTKClassifier("fc1", alpha=1.0).fit(X, y, np.where(y == 0, 12 / 18, 2.0))
    assert_allclose(found.dual_coef_, expected.dual_coef_, rtol=1e-12)


def test_weights_of_any_form_and_a_number():
    X, y, w = draw(7, 2, weights=(1, 2))
    expected = NTKClassifier("fc1", alpha=1.0).fit(X, y, w.astype(float)).dual_coef_
    for form in (w, w.tolist(), pd.Series(w), w.astype(np.float32)):
        assert_array_equal(NTKClassifier("fc1", alpha=1.0).fit(X, y, form).dual_coef_, expected)
    plain = NTKClassifier("fc1", alpha=0.5).fit(X, y).dual_coef_
    assert_allclose(NTKClassifier("fc1", alpha=1.0).fit(X, y, 2.0).dual_coef_, plain, rtol=1e-9)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0] * 7 + [-1.0], "sample_weight.*non-negative|Negative values"),
        ([1.0] * 7 + [np.nan], "sample_weight contains NaN"),
        ([1.0] * 7 + [np.inf], "sample_weight contains infinity"),
        ([0.0] * 8, "at least one non-zero"),
        ([1.0] * 7, r"sample_weight.shape"),
        (np.ones((8, 2)), "1D array"),
        ([1.0, 0.0] * 4, "leave only class 0 with a positive weight"),
        ([1e300] + [1.0] * 7, r"sample_weight.*1e\+300.*divide"),
    ],
)
def test_wrong_weights_are_refused_before_work(weights, message):
    clf = NTKClassifier("fc1")
    with pytest.raises(ValueError, match=message):
        clf.fit(gaussian(8, 4), np.arange(8) % 2, weights)
    assert not hasattr(clf, "dual_coef_")


@pytest.mark.parametrize(
    ("class_weight", "error", "message"),
    [
        ("even", ValueError, "class_weight='even' is not supported"),
        ([1, 2], TypeError, r"class_weight=\[1, 2\]"),
        ({0: -1.0}, ValueError, r"class_weight\[0\]=-1.0"),
        ({0: "2"}, TypeError, r"class_weight\[0\]"),
        ({0: 0.0}, ValueError, "leave only class 1 with a positive weight"),
        ({0: 0.0, 1: 0.0}, ValueError, "leave no class with a positive weight"),
        ({7: 2.0}, ValueError, "not in class_weight"),
    ],
)
def test_wrong_class_weights_are_refused(class_weight, error, message):
    with pytest.raises(error, match=message):
        NTKClassifier("fc1", class_weight=class_weight).fit(gaussian(8, 4), np.arange(8) % 2)


def test_weights_are_routed():
    X, y, w = draw(8, 2, weights=(1, 5))
    with sklearn.config_context(enable_metadata_routing=True):
        clf = NTKClassifier("fc1", alpha=1.0).set_fit_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), clf)
        pipeline.fit(X, y, sample_weight=w)
        scaled = StandardScaler().fit_transform(X)
        expected = NTKClassifier("fc1", alpha=1.0).fit(scaled, y, w)
        assert_array_equal(pipeline[-1].dual_coef_, expected.dual_coef_)
        scores = cross_validate(
            clf.set_score_request(sample_weight=True), X, y, params={"sample_weight": w}, cv=2
        )
    assert np.isfinite(scores["test_score"]).all()


def test_boosting():
    X, y = gaussian(40, 4), (gaussian(40, 1, seed=2)[:, 0] > 0).astype(int)
    boosted = AdaBoostClassifier(NTKClassifier("fc1", alpha=20.0), n_estimators=3).fit(X, y)
    assert len(boosted.estimators_) > 1


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("solver", ["auto", "eigh", "cg"])
def test_the_accuracy_that_scikit_learn_asks_of_a_classifier(solver, n_classes):
    """Its own check leaves out the machine that fits every label; see `__sklearn_tags__`."""
    X, y = make_blobs(n_samples=300, centers=n_classes, random_state=0, cluster_std=0.1)
    X = StandardScaler().fit_transform(X)
    clf = NTKClassifier(solver=solver, random_state=0).fit(X, y)
    assert clf.score(X, y) > 0.83


def test_class_weights_have_an_effect_with_a_ridge():
    X, y = make_blobs(centers=2, random_state=0, cluster_std=20)
    clf = NTKClassifier(alpha=1.0, class_weight={0: 1000, 1: 1e-4}).fit(X, y)
    assert (clf.predict(X) == 0).mean() > 0.87
