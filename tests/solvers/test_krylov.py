"""The flow at a finite time by products alone, against the eigendecomposition."""

import re

import numpy as np
import pytest
from helpers import gaussian
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from skntk import NTKClassifier
from skntk.kernels import FullyConnectedNTK
from skntk.kernels._gram import GramOperator
from skntk.solvers import Options, System, eigendecompose, solve
from skntk.solvers._krylov import krylov_flow


def problem(n=200, d=6, k=3, dtype=np.float64):
    X = np.random.default_rng(0).random((n, d)).astype(dtype)
    return FullyConnectedNTK(2)(X), gaussian(n, k, seed=1).astype(dtype)


@pytest.mark.parametrize("alpha", [0.0, 1e-2])
@pytest.mark.parametrize("time", [1e-4, 1e-2, 1.0, 1e2, 1e4, 1e8])
def test_the_flow_is_that_of_the_eigendecomposition(time, alpha):
    K, Y = problem()
    expected = eigendecompose(K.copy()).coefficients(Y, time, alpha)
    flow = krylov_flow(K.__matmul__, Y, time, alpha, tol=1e-10)
    assert_allclose(flow.coefficients, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    assert_allclose(K @ flow.coefficients, K @ expected, rtol=0, atol=1e-9 * np.abs(Y).max())
    assert (flow.residual <= 1e-10).all()


@given(seed=st.integers(0, 2**32 - 1), log_time=st.floats(-4, 6), log_alpha=st.floats(-8, 2))
def test_the_residual_bounds_the_error_of_the_outputs(seed, log_time, log_alpha):
    """Also where the matrix has a low rank, or repeated eigenvalues, or targets that are alike."""
    rng = np.random.default_rng(seed)
    n, rank, k = rng.integers(2, 40), rng.integers(1, 40), rng.integers(1, 5)
    B = rng.standard_normal((n, min(n, rank))) * rng.choice([1.0, 1.0, 0.1, 30.0])
    K, Y = B @ B.T, rng.standard_normal((n, k))
    Y[:, -1] = Y[:, 0] * rng.choice([0.0, 1.0, 2.0])
    time, alpha = 10.0**log_time, 10.0**log_alpha
    expected = eigendecompose(K.copy()).coefficients(Y, time, alpha)
    for max_iter in (2, 1000):
        flow = krylov_flow(K.__matmul__, Y, time, alpha, tol=1e-9, max_iter=max_iter)
        error = np.linalg.norm(K @ (flow.coefficients - expected), axis=0)
        bound = flow.residual * np.linalg.norm(Y, axis=0)
        # Of K, times the largest value of the filter.
        rounding = 1e-10 + 1e-14 * np.linalg.norm(K) * min(time, 1 / alpha)
        assert (error <= 1.5 * bound + rounding * np.linalg.norm(Y)).all()
    assert (flow.residual <= 1e-9).all()


def test_a_space_of_all_dimensions_is_exact_and_ends():
    K, Y = problem(n=12, k=5)
    expected = eigendecompose(K.copy()).coefficients(Y, 1e3, 0.0)
    flow = krylov_flow(K.__matmul__, Y, 1e3, tol=1e-300)
    assert flow.n_iter <= 3
    assert_allclose(flow.coefficients, expected, rtol=1e-6, atol=1e-8)


def test_an_invariant_space_ends_at_once():
    K, _ = problem(n=50)
    leading = eigendecompose(K.copy()).eigenvectors[:, :2]
    flow = krylov_flow(K.__matmul__, leading, 3.0, tol=1e-12)
    assert flow.n_iter <= 2


def test_no_time_and_no_targets_cost_nothing():
    def refuse(vectors):
        raise AssertionError("no product is needed")

    _, Y = problem(n=10)
    assert_array_equal(krylov_flow(refuse, Y, 0.0).coefficients, np.zeros_like(Y))
    assert_array_equal(krylov_flow(refuse, 0 * Y, 1.0).coefficients, np.zeros_like(Y))


def test_it_says_when_it_stops_short():
    K, Y = problem()
    steps = []
    options = Options(tol=1e-10, max_iter=3, on_step=lambda: steps.append(1))
    solution = solve("cg", System(K, Y, time=1e4), options)
    assert (solution.n_iter, len(steps)) == (3, 3)
    assert isinstance(solution.diagnosis, ConvergenceWarning)
    assert re.search(r"3 products at .* above tol=1\.0e-10.*max_iter", str(solution.diagnosis))


def test_memory_is_asked_for_before_it_is_taken():
    K, Y = problem()

    def refuse(n_values):
        raise MemoryError

    with pytest.raises(MemoryError):
        solve("cg", System(K, Y, time=1.0), Options(check_memory=refuse))


def test_an_indefinite_matrix_follows_the_equation_or_is_refused():
    X = gaussian(60, 4)
    K, Y = np.tanh(2 * X @ X.T - 1), gaussian(60, 2, seed=1)
    values, vectors = np.linalg.eigh(K)
    expected = vectors @ ((-np.expm1(-values * 0.5) / values)[:, None] * (vectors.T @ Y))
    solution = solve("cg", System(K, Y, time=0.5), Options(tol=1e-12))
    assert_allclose(solution.coefficients, expected, rtol=1e-8, atol=1e-8)
    with pytest.raises(ValueError, match="indefinite"):
        solve("cg", System(K, Y, time=1e4), Options())


@pytest.mark.parametrize("time", [0.1, 10.0, 1e4])
def test_single_precision_leaves_out_what_is_rounding(time):
    """As "eigh" does: the directions below the rounding of the matrix would add noise."""
    K, Y = problem(dtype=np.float32)
    expected = solve("eigh", System(K.copy(), Y, 1e-2, time), Options())
    solution = solve("cg", System(K, Y, 1e-2, time), Options())
    assert solution.coefficients.dtype == np.float32
    outputs, wanted = (K.astype(float) @ s.coefficients for s in (solution, expected))
    assert_allclose(outputs, wanted, rtol=0, atol=2e-3 * np.abs(Y).max())


@pytest.mark.parametrize("memory_limit", [None, 1000])
def test_an_estimator_at_a_finite_time(memory_limit):
    """With the matrix stored, and without; `at_time` solves again by products."""
    X = np.random.default_rng(0).random((90, 5))
    y = (3 * X[:, 0] + X[:, 1]).astype(int)
    params = {"solver": "cg", "tol": 1e-11, "memory_limit": memory_limit}
    expected = NTKClassifier("fc2", time=2.0, alpha=0.1, solver="eigh").fit(X, y)
    fitted = NTKClassifier("fc2", time=2.0, alpha=0.1, **params).fit(X, y)
    later = NTKClassifier("fc2", **params).fit(X, y, np.full(90, 1.0)).at_time(2.0, alpha=0.1)
    for clf in (fitted, later):
        assert (clf.solver_, clf.solver, clf.time) == ("cg", "cg", 2.0)
        assert_allclose(clf.decision_function(X), expected.decision_function(X), atol=1e-9)
    assert fitted.at_time(3.0).n_iter_ > 1
    assert_allclose(GramOperator(fitted.kernel_, X) @ later.dual_coef_, later.decision_function(X))


def test_a_precomputed_kernel_is_not_kept():
    K, _ = problem(n=30)
    clf = NTKClassifier("precomputed", solver="cg", time=1.0).fit(K, np.arange(30) % 2)
    with pytest.raises(ValueError, match="precomputed kernel, which solver='cg' does not keep"):
        clf.at_time(2.0)
