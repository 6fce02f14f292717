"""Cholesky: accurate for a regular matrix; an error, and an intact matrix, for a singular one."""

import numpy as np
import pytest
import scipy.linalg
from helpers import gaussian
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.linalg import LinAlgError
from numpy.testing import assert_allclose, assert_array_equal

from skntk.kernels import FullyConnectedNTK, TwoLayerNTK
from skntk.solvers import _cholesky, solve_cholesky

SIZES = pytest.mark.parametrize("n", [1, 2, 7, 64, 150])


def regular(n, dtype=np.float64):
    A = gaussian(n, n + 5)
    gram = A @ A.T + n * np.eye(n)
    return ((gram + gram.T) / 2).astype(dtype)


@SIZES
@pytest.mark.parametrize("alpha", [0.0, 0.5])
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-10), (np.float32, 1e-4)])
@pytest.mark.parametrize("overwrite", [False, True])
def test_solves(n, alpha, dtype, rtol, overwrite):
    gram, targets = regular(n, dtype), gaussian(n, 3, seed=1).astype(dtype)
    before = gram.copy()
    A = solve_cholesky(gram, targets, alpha, overwrite=overwrite)
    expected = np.linalg.solve(before.astype(float) + alpha * np.eye(n), targets)
    assert A.dtype == dtype
    assert A.flags.c_contiguous
    assert_allclose(A, expected, rtol=rtol, atol=rtol * np.abs(expected).max())
    if not overwrite:
        assert_array_equal(gram, before)


@pytest.mark.parametrize("n", [50, 300])
@pytest.mark.parametrize("alpha", [0.0, 1e-4])
def test_refinement_gives_back_the_digits_that_float32_loses(n, alpha, monkeypatch):
    monkeypatch.setattr(_cholesky, "_BLOCK_BYTES", 8 * n * 37)  # several blocks of rows
    basis, _ = np.linalg.qr(gaussian(n, n))
    gram = (basis * np.logspace(-5, 0, n)) @ basis.T
    gram = ((gram + gram.T) / 2).astype(np.float32)
    targets = gaussian(n, 3, seed=1).astype(np.float32)
    exact = np.linalg.solve(gram.astype(float) + alpha * np.eye(n), targets)
    factor = scipy.linalg.cho_factor(gram + np.float32(alpha) * np.eye(n, dtype=np.float32))
    unrefined = scipy.linalg.cho_solve(factor, targets)

    def error(A):
        return np.linalg.norm(A - exact) / np.linalg.norm(exact)

    assert error(unrefined) > 1e-5
    assert error(solve_cholesky(gram, targets, alpha)) < 2e-7


@pytest.mark.parametrize(("quality", "accepted"), [(1.0, True), (0.95, True), (0.7, False)])
def test_corrections_that_hardly_shrink_are_refused(quality, accepted):
    """A factor with a large relative error, as that of a nearly singular matrix has."""
    targets = gaussian(5, 2).astype(np.float32)
    solution = _cholesky._refine(lambda A: A, lambda A: quality * A, targets, 1e-6)
    assert (solution is not None) == accepted
    if accepted:
        assert_allclose(solution, targets, rtol=1e-6)


def test_one_target_that_is_solved_at_once_does_not_end_the_others():
    n = 60
    basis, _ = np.linalg.qr(gaussian(n, n))
    gram = (basis * np.logspace(-4, 0, n)) @ basis.T
    gram = ((gram + gram.T) / 2).astype(np.float32)
    targets = np.column_stack([np.zeros(n), gaussian(n, 1)]).astype(np.float32)
    A = solve_cholesky(gram, targets)
    assert_array_equal(A[:, 0], 0)
    assert_allclose(gram.astype(float) @ A, targets, atol=1e-3)


@given(
    A=arrays(np.float64, (5, 5), elements=st.floats(-1, 1)),
    Y=arrays(np.float64, (5, 2), elements=st.floats(-1, 1)),
    alpha=st.floats(1e-3, 1),
)
def test_solves_with_ridge(A, Y, alpha):
    gram = A @ A.T
    solution = solve_cholesky(gram, Y, alpha)
    assert_allclose(gram @ solution + alpha * solution, Y, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("n", [1, 16, 17, 150])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_panels_beyond_the_indices_of_blas(n, dtype, monkeypatch):
    gram, targets = regular(n, dtype), gaussian(n, 3, seed=1).astype(dtype)
    expected = solve_cholesky(gram, targets, 0.5)
    monkeypatch.setattr(_cholesky, "OVERFLOW", 0)
    monkeypatch.setattr(_cholesky, "_PANEL", 16)
    assert_allclose(solve_cholesky(gram, targets, 0.5), expected, rtol=1e-5 if n > 1 else 1e-7)
    gram[-1, -1] = -1.0
    attempt = gram.copy()
    with pytest.raises(LinAlgError, match="ill-conditioned"):
        solve_cholesky(attempt, targets, 0.5, overwrite=True)
    assert_array_equal(attempt, gram)


def test_targets_are_left_alone():
    gram, targets = regular(4), np.asfortranarray(gaussian(4, 2))
    before = targets.copy()
    solve_cholesky(gram, targets, overwrite=True)
    assert_array_equal(targets, before)


SINGULAR = {
    "zero": np.zeros((6, 6)),
    "rank_one": np.ones((6, 6)),
    "indefinite": regular(6) - 30 * np.eye(6),
    "negative": -regular(6),
    "rank_two": np.add.outer(np.arange(6.0), np.arange(6.0)),
    "scales": np.diag(10.0 ** -np.arange(0, 24, 4)),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("gram", SINGULAR.values(), ids=SINGULAR)
@pytest.mark.parametrize("overwrite", [False, True])
def test_singular_is_refused_and_restored(gram, overwrite, dtype):
    gram = gram.astype(dtype)
    attempt = gram.copy()
    with pytest.raises(LinAlgError, match="ill-conditioned"):
        solve_cholesky(attempt, gaussian(6, 2).astype(dtype), overwrite=overwrite)
    assert_array_equal(attempt, gram)


@pytest.mark.parametrize("overwrite", [False, True])
def test_late_failure_restores(overwrite):
    # Only the last pivot fails, when all the rest has been overwritten.
    gram = regular(150)
    gram[-1, -1] = -1.0
    attempt = gram.copy()
    with pytest.raises(LinAlgError, match="ill-conditioned"):
        solve_cholesky(attempt, gaussian(150, 1), 0.1, overwrite=overwrite)
    assert_array_equal(attempt, gram)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kernel", [FullyConnectedNTK(1), TwoLayerNTK()], ids=["fc1", "two_layer"])
def test_duplicates_never_pass_unnoticed(kernel, dtype):
    noticed = 0
    for seed in range(200):
        X = gaussian(20, 5, seed=seed).astype(dtype)
        X[1] = X[0]
        try:
            solve_cholesky(kernel(X), np.eye(20, dtype=dtype))
        except LinAlgError:
            noticed += 1
    assert noticed == 200


def test_ridge_cures_duplicates():
    X = gaussian(20, 5)
    X[1] = X[0]
    assert np.isfinite(solve_cholesky(FullyConnectedNTK(1)(X), np.ones((20, 1)), 1e-6)).all()
