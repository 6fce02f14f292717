"""Conjugate gradients and their preconditioner against LAPACK."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from skntk.kernels import FullyConnectedNTK
from skntk.solvers import conjugate_residuals, make_preconditioner
from skntk.solvers._cg import diagnose
from skntk.solvers._preconditioner import LowRankPreconditioner, pivoted_cholesky


def gram_matrix(n=300, d=5, dtype=np.float64):
    X = np.random.default_rng(0).random((n, d))
    return FullyConnectedNTK(2)(X).astype(dtype)


def targets(n=300, k=3, dtype=np.float64):
    return np.random.default_rng(1).standard_normal((n, k)).astype(dtype)


def solve(K, Y, alpha=0.0, **options):
    return conjugate_residuals(K.__matmul__, Y, alpha, **options)


@pytest.mark.parametrize("preconditioned", [False, True])
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-8), (np.float32, 1e-3)])
def test_solves_the_system(dtype, rtol, preconditioned):
    K, Y, alpha = gram_matrix(dtype=dtype), targets(dtype=dtype), 0.1
    precondition = make_preconditioner(K, alpha, 0) if preconditioned else None
    state = solve(K, Y, alpha, precondition=precondition, tol=rtol / 100)
    expected = np.linalg.solve(K.astype(float) + alpha * np.eye(len(K)), Y)
    assert state.coefficients.dtype == dtype
    assert_allclose(state.coefficients, expected, rtol=0, atol=rtol * np.abs(expected).max())
    residual = Y - K @ state.coefficients - alpha * state.coefficients
    relative = np.linalg.norm(residual, axis=0) / np.linalg.norm(Y, axis=0)
    assert state.residual == pytest.approx(relative, rel=0.5)


def test_the_preconditioner_saves_iterations():
    K, Y = gram_matrix(), targets()
    plain = solve(K, Y, 1e-3, tol=1e-6)
    helped = solve(K, Y, 1e-3, precondition=make_preconditioner(K, 1e-3, 0), tol=1e-6)
    assert helped.n_iter < plain.n_iter / 3


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_an_exact_factor_is_an_exact_inverse_within_its_span(alpha):
    rng = np.random.default_rng(0)
    factor = rng.standard_normal((50, 8))
    precondition = LowRankPreconditioner.from_factor(factor.copy(), alpha)
    inside = factor @ rng.standard_normal((8, 2))
    images = precondition(factor @ (factor.T @ inside) + alpha * inside)
    # The eigenvalues are relative to the smallest one that is kept.
    smallest = np.linalg.eigvalsh(factor.T @ factor)[0] + alpha
    assert_allclose(images, smallest * inside, rtol=1e-9)
    outside = np.linalg.svd(factor)[0][:, 8:10]
    assert_allclose(precondition(outside), outside, atol=1e-12)


def test_pivoted_cholesky_is_the_matrix_at_full_rank():
    K = gram_matrix(60)
    factor = pivoted_cholesky(lambda i: K[:, i], K.diagonal(), 60, np.random.RandomState(0))
    assert_allclose(factor @ factor.T, K, rtol=1e-6)


def test_pivoted_cholesky_of_a_matrix_of_low_rank_stops_there():
    B = np.random.default_rng(0).standard_normal((200, 4))
    K = B @ B.T
    factor = pivoted_cholesky(lambda i: K[:, i], K.diagonal(), 150, np.random.RandomState(0))
    assert_allclose(factor @ factor.T, K, atol=1e-6)
    zero = pivoted_cholesky(lambda i: 0 * K[:, i], 0 * K.diagonal(), 9, np.random.RandomState(0))
    assert zero.shape == (200, 0)


def test_a_low_rank_factor_captures_the_top_of_the_spectrum():
    K = gram_matrix()
    factor = pivoted_cholesky(lambda i: K[:, i], K.diagonal(), 100, np.random.RandomState(0))
    missing = K - factor @ factor.T
    assert np.linalg.eigvalsh(missing)[0] > -1e-8 * np.trace(K)
    best = np.linalg.eigvalsh(K)[:-100].sum()
    assert np.trace(missing) < 10 * best


def test_duplicates_do_not_break_the_preconditioner():
    K = np.tile(gram_matrix(50), (4, 4))
    state = solve(K, targets(200), 0.1, precondition=make_preconditioner(K, 0.1, 0), tol=1e-8)
    expected = np.linalg.solve(K + 0.1 * np.eye(200), targets(200))
    assert_allclose(state.coefficients, expected, atol=1e-6)


def test_columns_have_their_own_steps():
    K, Y = gram_matrix(), targets()
    together = solve(K, Y, 0.1, tol=1e-10).coefficients
    for k in range(3):
        alone = solve(K, Y[:, [k]], 0.1, tol=1e-10).coefficients
        assert_allclose(together[:, [k]], alone, atol=1e-7 * np.abs(alone).max())


def test_a_column_of_zeros_stays_zero():
    K, Y = gram_matrix(), targets()
    Y[:, 1] = 0
    coefficients = solve(K, Y, 0.1).coefficients
    assert_array_equal(coefficients[:, 1], 0)
    assert np.isfinite(coefficients).all()


def test_says_when_it_stops_short_and_only_then():
    K, Y = gram_matrix(), targets()
    told = []
    short = solve(K, Y, 1e-3, max_iter=4, on_step=lambda: told.append(1))
    assert (short.n_iter, len(told)) == (4, 4)
    warning = diagnose(short, 1e-6)
    assert isinstance(warning, ConvergenceWarning)
    assert re.search(r"4 iterations .* tol=1\.0e-06.*max_iter.*alpha", str(warning))
    assert diagnose(solve(K, Y, 0.1, tol=1e-6), 1e-6) is None


def test_an_indefinite_matrix_has_a_positive_preconditioner():
    K = targets(60, 60)
    precondition = make_preconditioner(K + K.T, 0.0, 0)
    assert np.linalg.eigvalsh(precondition(np.eye(60)))[0] > 0


@pytest.mark.parametrize("preconditioned", [False, True])
def test_conflicting_duplicates_give_the_least_squares_solution(preconditioned):
    K, Y = np.tile(gram_matrix(60), (2, 2)), targets(120)
    precondition = make_preconditioner(K, 0.0, 0) if preconditioned else None
    state = solve(K, Y, precondition=precondition, tol=1e-8)
    best = np.linalg.pinv(K, rcond=1e-12, hermitian=True) @ Y
    assert_allclose(K @ state.coefficients, K @ best, atol=1e-6)
    if preconditioned:
        assert state.least_squares.all()
        assert "singular" in str(diagnose(state, 1e-8))


def test_an_indefinite_matrix_is_noticed():
    state = solve(-np.eye(5), np.ones((5, 2)), tol=1e-6)
    assert state.is_indefinite()
    assert_array_equal(state.coefficients, 0)
