"""The eigendecomposition, and the gradient flow that it gives at every time."""

import re

import numpy as np
import pytest
from helpers import gaussian
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import LinAlgWarning

from skntk.kernels import FullyConnectedNTK
from skntk.solvers import Spectrum, eigendecompose, ill_conditioned, solve_cholesky

N = 6


def rotate(eigenvalues, seed=0):
    """Symmetric matrix with the given eigenvalues."""
    Q, _ = np.linalg.qr(gaussian(len(eigenvalues), len(eigenvalues), seed=seed))
    gram = (Q * eigenvalues) @ Q.T
    return (gram + gram.T) / 2


def with_duplicates(n=20):
    """Gram matrix of samples, two of them equal, and targets that differ between these two."""
    X = gaussian(n, 5)
    X[1] = X[0]
    targets = np.sign(gaussian(n, 1, seed=1))
    targets[:2, 0] = 1, -1
    return FullyConnectedNTK(1)(X), targets


REGULAR = arrays(np.float64, N, elements=st.floats(1e-3, 10), fill=st.nothing())
# Duplicate samples give eigenvalues of exactly 0.
SINGULAR = arrays(np.float64, N, elements=st.one_of(st.just(0.0), st.floats(1e-3, 10)))
# A subnormal number has too few digits to compare.
TARGETS = arrays(np.float64, (N, 2), elements=st.floats(-1, 1, allow_subnormal=False))
TIMES = st.one_of(
    st.floats(0, 100), st.sampled_from([0.0, 1e3, 1e6, 1e9, 1e12, 1e15, 1e18, np.inf])
)


@given(eigenvalues=SINGULAR)
def test_decomposes(eigenvalues):
    gram = np.asfortranarray(rotate(eigenvalues))  # the order in which LAPACK could work in place
    before = gram.copy()
    spectrum = eigendecompose(gram)
    values, V = spectrum.eigenvalues, spectrum.eigenvectors
    assert_array_equal(gram, before)
    assert (values[spectrum.resolved] > 0).all()
    assert (np.diff(values) <= 0).all()
    assert_allclose(values, np.sort(eigenvalues)[::-1], rtol=1e-10, atol=1e-13)
    assert_allclose(V.T @ V, np.eye(N), atol=1e-13)
    assert_allclose((V * values) @ V.T, gram, atol=1e-13 * (1 + values[0]))
    assert V.flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [1, 2, 65])
def test_sizes_and_dtypes(n, dtype):
    gram = rotate(np.arange(1, n + 1)).astype(dtype)
    for overwrite in (False, True):
        spectrum = eigendecompose(gram.copy(), overwrite=overwrite)
        assert spectrum.eigenvalues.dtype == spectrum.eigenvectors.dtype == dtype
        assert_allclose(spectrum.eigenvalues, np.arange(n, 0, -1), rtol=1e-4)
        coefficients = spectrum.coefficients(np.ones((n, 3), dtype), 1.0, 0.1)
        assert coefficients.dtype == dtype
        assert coefficients.shape == (n, 3)


def test_rounding_is_taken_for_zero():
    gram, _ = with_duplicates()
    assert not eigendecompose(gram).resolved[-1]
    assert not eigendecompose(gram.astype(np.float32)).resolved[-1]
    assert not eigendecompose(np.zeros((3, 3))).resolved.any()


# Gradient flow


@given(eigenvalues=SINGULAR, Y=TARGETS, alpha=st.sampled_from([0.0, 0.1]))
def test_nothing_is_learnt_at_time_zero(eigenvalues, Y, alpha):
    assert_array_equal(eigendecompose(rotate(eigenvalues)).coefficients(Y, 0.0, alpha), 0)


@given(eigenvalues=REGULAR, Y=TARGETS, alpha=st.sampled_from([0.0, 0.1]))
def test_infinite_time_is_the_solution(eigenvalues, Y, alpha):
    gram = rotate(eigenvalues)
    spectrum = eigendecompose(gram)
    expected = np.linalg.solve(gram + alpha * np.eye(N), Y)
    tolerance = {"rtol": 1e-8, "atol": 1e-8 * np.abs(expected).max()}
    assert_allclose(spectrum.coefficients(Y, np.inf, alpha), expected, **tolerance)
    assert_allclose(spectrum.coefficients(Y, 1e6, alpha), expected, **tolerance)
    assert_allclose(solve_cholesky(gram, Y, alpha), expected, **tolerance)


@given(eigenvalues=REGULAR, Y=TARGETS, time=st.floats(0, 100))
def test_solves_the_flow(eigenvalues, Y, time):
    """At time t the residual is exp(-K t) Y."""
    gram = rotate(eigenvalues)
    values, V = np.linalg.eigh(gram)
    expected = V @ (np.exp(-values * time)[:, None] * (V.T @ Y))
    residual = Y - gram @ eigendecompose(gram).coefficients(Y, time, 0.0)
    assert_allclose(residual, expected, rtol=1e-8, atol=1e-8)


@given(eigenvalues=SINGULAR, Y=TARGETS, times=st.tuples(TIMES, TIMES))
def test_training_residual_never_increases(eigenvalues, Y, times):
    gram = rotate(eigenvalues)
    spectrum = eigendecompose(gram)
    early, late = (
        np.linalg.norm(gram @ spectrum.coefficients(Y, time, 0.0) - Y) for time in sorted(times)
    )
    assert late <= early + 1e-8 * np.linalg.norm(Y)


@pytest.mark.parametrize("time", [1e6, 1e9, 1e12, 1e15, 1e18, 1e100])
def test_late_times_tend_to_the_limit_with_duplicates(time):
    gram, Y = with_duplicates()
    spectrum = eigendecompose(gram)
    limit = gram @ spectrum.coefficients(Y, np.inf, 0.0)
    assert_allclose(gram @ spectrum.coefficients(Y, time, 0.0), limit, atol=1e-8)
    assert_allclose(limit[:2], 0, atol=1e-8)  # the mean of the two targets that differ


# Warnings


def test_warns_of_lost_eigenvalues_with_a_cure():
    gram, _ = with_duplicates()
    spectrum = eigendecompose(gram)
    message = r"1 of its 20 eigenvalues.*condition number.*duplicate.*Set alpha=\S+ or more"
    warning = ill_conditioned(spectrum)
    assert isinstance(warning, LinAlgWarning)
    assert re.search(message, str(warning))


def test_does_not_warn_of_a_regular_matrix():
    assert ill_conditioned(eigendecompose(rotate(np.arange(1.0, 7.0)))) is None
    assert ill_conditioned(Spectrum(np.ones(2), np.eye(2))) is None


def test_the_suggested_alpha_is_enough():
    gram, Y = with_duplicates()
    warning = ill_conditioned(eigendecompose(gram))
    alpha = float(str(warning).split("alpha=")[1].split()[0])
    assert np.isfinite(solve_cholesky(gram, Y, alpha)).all()


def test_lanczos_overlooks_no_copy_of_an_eigenvalue():
    gram = np.diag(np.r_[np.full(5, 10.0), np.linspace(5, 1, 30), np.zeros(165)])
    spectrum = eigendecompose(gram, 10, solver="arpack", random_state=0)
    assert_allclose(spectrum.eigenvalues, gram.diagonal()[:10], rtol=1e-9)


def test_the_error_state_of_numpy_does_not_matter():
    spectrum = Spectrum(np.array([1.0, 1e-3]), np.eye(2))
    with np.errstate(all="raise"):
        coefficients = spectrum.coefficients(np.full((2, 1), 1e-308), 1e-5, 0.0)
    assert_allclose(coefficients, 0, atol=1e-300)
