"""Conjugate gradients and their preconditioner against LAPACK."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from skntk.kernels import FullyConnectedNTK
from skntk.solvers import _cg, conjugate_residuals, eigendecompose, make_preconditioner
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
    assert state.coefficients.dtype == np.float64
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


def singular(name, n=300):
    """Samples whose kernel is singular, and the kernel."""
    random = np.random.default_rng(0)
    if name == "in pairs":
        return np.tile(random.random((n // 2, 5)), (2, 1)), FullyConnectedNTK(2)
    if name == "rounded":
        return np.round(random.random((n, 3)), 1), FullyConnectedNTK(2)
    if name == "binary":
        return random.integers(0, 2, (n, 6)).astype(float), FullyConnectedNTK(2)
    return random.standard_normal((n, 2)), FullyConnectedNTK(0, bias_std=float(name == "affine"))


SINGULAR = pytest.mark.parametrize("name", ["in pairs", "rounded", "binary", "affine", "linear"])


def assert_least_squares(name, dtype, alpha, seed, atol):
    """The outputs, of samples and beside them, are those of eigh in float64, and are told."""
    X, kernel = singular(name)
    Y = np.sign(targets(len(X)))
    K, beside = kernel(X), kernel(X + 0.03, X)
    expected = eigendecompose(K.copy()).coefficients(Y, np.inf, alpha)
    matrix = kernel(X.astype(dtype))
    precondition = None if seed is None else make_preconditioner(matrix, alpha, seed)
    tol = np.sqrt(np.finfo(dtype).eps)
    state = conjugate_residuals(
        matrix.astype(float).__matmul__, Y.astype(dtype), alpha, precondition=precondition, tol=tol
    )
    coefficients = state.coefficients.astype(dtype)
    for rows in (K, beside):
        assert_allclose(rows @ coefficients, rows @ expected, rtol=0, atol=atol)
    # The solution of smallest norm, which is not enlarged by what K maps to 0.
    assert np.abs(state.coefficients).max() < 2 * np.abs(expected).max() + 1e-3
    assert state.least_squares.all()
    assert "singular" in str(diagnose(state, tol))


@SINGULAR
@pytest.mark.parametrize("seed", [None, 0, 1])
@pytest.mark.parametrize("alpha", [0.0, 1e-14])
def test_singular_systems_have_the_least_squares_solution(name, seed, alpha):
    assert_least_squares(name, np.float64, alpha, seed, 1e-6)


@SINGULAR
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("alpha", [0.0, 1e-8, 1e-5])
def test_singular_systems_in_float32(name, seed, alpha):
    """A ridge below rounding acts on what the matrix reaches, and on nothing else."""
    # Of a part of the targets along an eigenvalue, 5 eps times the condition number may be lost.
    assert_least_squares(name, np.float32, alpha, seed, 2e-2)


@pytest.mark.parametrize("alpha", [1e-6, 1e-3])
@SINGULAR
def test_a_small_ridge_on_a_singular_system(name, alpha):
    X, kernel = singular(name)
    K, Y = kernel(X), np.sign(targets(len(X)))
    expected = eigendecompose(K.copy()).coefficients(Y, np.inf, alpha)
    state = solve(K, Y, alpha, precondition=make_preconditioner(K, alpha, 0), tol=1.5e-8)
    # Coefficients of 1 / alpha, in whose products the rounding of K shows.
    atol = 1e-6 + 1e-13 / alpha
    assert_allclose(K @ state.coefficients, K @ expected, rtol=0, atol=atol)


def test_stops_at_max_iter_with_the_best_that_it_has():
    X, kernel = singular("rounded")
    K, Y = kernel(X), targets(len(X))
    best = np.inf
    for max_iter in (5, 20, 40, 60, 80, 200):
        state = solve(K, Y, precondition=make_preconditioner(K, 0.0, 0), max_iter=max_iter)
        reached = np.linalg.norm(Y - K @ state.coefficients, axis=0) / np.linalg.norm(Y, axis=0)
        assert state.n_iter <= max_iter
        assert_allclose(state.residual, reached, rtol=1e-3)
        assert (reached <= 1).all()
        assert reached.max() <= 1.01 * best
        best = reached.max()


def test_a_matrix_in_float32_is_read_in_blocks(monkeypatch):
    K, V = gram_matrix(dtype=np.float32), targets()
    monkeypatch.setattr(_cg, "_BLOCK_BYTES", 7 * 8 * len(K))
    product = _cg._product(K, V)
    assert product.dtype == np.float64
    assert_allclose(product, K.astype(float) @ V, rtol=1e-12)


def test_an_indefinite_matrix_is_noticed():
    state = solve(-np.eye(5), np.ones((5, 2)), tol=1e-6)
    assert state.is_indefinite()
    assert_array_equal(state.coefficients, 0)
