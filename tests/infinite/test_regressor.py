"""NTKRegressor: kernel ridge, gradient flow, several targets, weights, and clear errors."""

import pickle

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from helpers import central_differences, gaussian
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from skntk import NTKClassifier, NTKRegressor
from skntk.kernels import FullyConnectedNTK

X, Z = gaussian(20, 4), gaussian(7, 4, seed=9)
Y = gaussian(20, 3, seed=1)
KERNEL = FullyConnectedNTK(1)


@pytest.mark.parametrize("y", [Y[:, 0], Y[:, :1], Y], ids=["vector", "column", "columns"])
@pytest.mark.parametrize("weights", [None, np.arange(20) % 4 * 0.7])
@pytest.mark.parametrize("solver", ["auto", "eigh", "cg"])
def test_infinite_time_is_kernel_ridge(y, weights, solver):
    ridge = KernelRidge(alpha=0.1, kernel="precomputed").fit(KERNEL(X), y, weights)
    expected = ridge.predict(KERNEL(Z, X))
    options = {"alpha": 0.1, "solver": solver, "tol": 1e-12, "random_state": 0}
    found = NTKRegressor(KERNEL, **options).fit(X, y, weights).predict(Z)
    given = NTKRegressor("precomputed", **options).fit(KERNEL(X), y, weights)
    assert found.shape == expected.shape
    assert_allclose(found, expected, rtol=0, atol=1e-9)
    assert_allclose(given.predict(KERNEL(Z, X)), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("time", [0.0, 0.01, 1.0, 30.0])
def test_finite_time_is_the_gradient_flow(time):
    K = KERNEL(X)
    expected = KERNEL(Z, X) @ np.linalg.solve(K, Y - scipy.linalg.expm(-K * time) @ Y)
    assert_allclose(NTKRegressor(KERNEL, time=time).fit(X, Y).predict(Z), expected, atol=1e-8)
    moved = NTKRegressor(KERNEL, alpha=0.3).fit(X, Y).at_time(time, alpha=0.0)
    assert isinstance(moved, NTKRegressor)
    assert_allclose(moved.predict(Z), expected, atol=1e-8)


@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**32 - 1),
    solver=st.sampled_from([("cholesky", None), ("eigh", None), ("cg", None), ("cg", 0)]),
    time=st.sampled_from([0.0, 0.05, 1.0, np.inf, np.inf]),
    alpha=st.sampled_from([1e-2, 1.0]),
)
def test_whole_numbers_are_equal_samples(seed, solver, time, alpha):
    rng = np.random.default_rng(seed)
    w = rng.integers(0, 4, 12)
    w[0] = 1
    name, limit = solver if np.isinf(time) else ("eigh", None)
    network = NTKRegressor(
        "fc1", solver=name, time=time, alpha=alpha, tol=1e-12, random_state=0, memory_limit=limit
    )
    weighted = network.fit(X[:12], Y[:12], w).predict(Z)
    repeated = network.fit(X[:12].repeat(w, axis=0), Y[:12].repeat(w, axis=0)).predict(Z)
    assert_allclose(weighted, repeated, rtol=0, atol=1e-8)


def test_it_is_the_classifier_on_encoded_labels():
    labels = np.arange(20) % 3
    clf = NTKClassifier("fc2", time=0.5, alpha=0.01).fit(X, labels)
    network = NTKRegressor("fc2", time=0.5, alpha=0.01).fit(X, np.eye(3)[labels])
    assert_array_equal(network.predict(Z), clf.decision_function(Z))


def test_targets_are_not_centred():
    shifted = NTKRegressor("fc1", alpha=5.0).fit(X, Y[:, 0] + 100).predict(Z)
    plain = NTKRegressor("fc1", alpha=5.0).fit(X, Y[:, 0]).predict(Z)
    assert np.abs(shifted - plain - 100).max() > 1


@pytest.mark.parametrize("y", [Y[:, 0], Y])
def test_input_gradients(y):
    network = NTKRegressor("fc2", alpha=0.1).fit(X, y)
    cotangents = gaussian(*(7, *y.shape[1:]), seed=3)

    def weighted(points):
        return (network.predict(points) * cotangents).reshape(7, -1).sum(axis=1)

    expected = central_differences(weighted, Z)
    found = network.input_vjp(Z, cotangents)
    assert_allclose(found, expected, atol=1e-6)
    outputs, pullback = network.linearize(Z)
    assert_allclose(outputs.reshape(network.predict(Z).shape), network.predict(Z))
    assert_allclose(pullback(cotangents.reshape(7, -1)), found, atol=1e-10)
    with pytest.raises(ValueError, match="cotangents have shape"):
        network.input_vjp(Z, np.ones((7, 5)))


def test_the_score_is_r2_with_weights():
    network, w = NTKRegressor("fc1", alpha=0.1).fit(X, Y), np.arange(7.0)
    truth = gaussian(7, 3, seed=4)
    assert network.score(Z, truth, w) == r2_score(truth, network.predict(Z), sample_weight=w)


def test_a_search_and_transformed_targets():
    data, y = load_diabetes(return_X_y=True)
    data = StandardScaler().fit_transform(data)[:150]
    network = TransformedTargetRegressor(NTKRegressor("fc1"), transformer=StandardScaler())
    grid = {"regressor__alpha": [1.0, 10.0], "regressor__kernel__depth": [1, 2]}
    search = GridSearchCV(network, grid, cv=2).fit(data, y[:150])
    assert search.best_score_ > 0.3


def test_a_copy_and_a_pickle_predict_the_same():
    network = NTKRegressor("fc1", alpha=0.1).fit(X, Y)
    assert_array_equal(pickle.loads(pickle.dumps(network)).predict(Z), network.predict(Z))
    assert_array_equal(clone(network).fit(X, Y).predict(Z), network.predict(Z))


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (np.array(list("ab") * 10), TypeError, "y is an array of <U1"),
        (np.array(["a", 1.0] * 10, dtype=object), TypeError, "y is no array of numbers"),
        (scipy.sparse.csr_array(Y), TypeError, "y is a sparse matrix"),
        (np.full(20, np.nan), ValueError, "y contains NaN"),
        (1j * Y, ValueError, "Complex data"),
        (Y[:5], ValueError, "inconsistent numbers"),
    ],
)
def test_wrong_targets_are_refused(y, error, message):
    network = NTKRegressor("fc1")
    with pytest.raises(error, match=message):
        network.fit(X, y)
    with pytest.raises(NotFittedError):
        network.predict(X)


def test_targets_beyond_the_precision_of_the_inputs_are_refused():
    with pytest.raises(ValueError, match=r"y holds 1e\+30.*float32; scale"):
        NTKRegressor("fc1").fit(X.astype(np.float32), np.full(20, 1e30))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time": -1.0}, "time=-1.0"),
        ({"alpha": -1.0}, "alpha=-1.0"),
        ({"solver": "lu"}, "solver='lu'"),
        ({"solver": "cholesky", "time": 1.0}, "cannot stop"),
        ({"max_iter": 0}, "max_iter=0"),
        ({"tol": 0.0}, "tol=0.0"),
    ],
)
def test_wrong_parameters_are_refused_and_leave_nothing_fitted(options, message):
    network = NTKRegressor("fc1").fit(X, Y)
    with pytest.raises(ValueError, match=message):
        network.set_params(**options).fit(X, Y)
    with pytest.raises(NotFittedError):
        network.predict(X)


def test_memory_is_checked_before_work():
    with pytest.raises(MemoryError, match="solver='eigh' for n=20"):
        NTKRegressor("fc1", solver="eigh", memory_limit=100).fit(X, Y)
