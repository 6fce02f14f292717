"""`kernel_distance`, `polar_coordinates` and `spectral_concentration` by their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skntk.metrics import kernel_distance, polar_coordinates, spectral_concentration

seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from([np.float32, np.float64])


def kernel(rng, n, dtype=np.float64):
    J = rng.normal(size=(n, n))
    return (J @ J.T).astype(dtype)


@given(seeds, st.integers(1, 12), dtypes)
def test_kernel_distance(seed, n, dtype):
    rng = np.random.default_rng(seed)
    K, L = kernel(rng, n, dtype), kernel(rng, n, dtype)
    k, m = K.astype(float), L.astype(float)
    expected = 1 - np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m))
    distance = kernel_distance(K, L)
    assert isinstance(distance, float) and 0 <= distance <= 2
    assert distance == pytest.approx(expected, rel=1e-9, abs=1e-14)
    assert distance == kernel_distance(L, K)
    assert kernel_distance(3 * k, 0.2 * m) == pytest.approx(distance, rel=1e-9, abs=1e-14)
    assert kernel_distance(K, K) == 0
    assert kernel_distance(k, -7 * k) == pytest.approx(2)


def test_kernel_distance_of_almost_the_same_kernels():
    """1 - cos is 0 in floating point for all of these."""
    for size in (1e-9, 1e-11, 1e-13):
        turned = [[1, 0], [0, 1 + size]]
        assert kernel_distance(np.eye(2), turned) == pytest.approx(size**2 / 8, rel=2e-2)


@pytest.mark.parametrize("n", [1, 4])
def test_kernel_distance_to_a_zero_kernel(n):
    zero = np.zeros((n, n))
    assert kernel_distance(zero, np.eye(n)) == kernel_distance(np.eye(n), zero) == 1
    assert kernel_distance(zero, zero) == 1


@given(seeds, st.integers(2, 6), st.integers(1, 10), dtypes)
def test_polar_coordinates(seed, n_kernels, n, dtype):
    rng = np.random.default_rng(seed)
    kernels = [kernel(rng, n, dtype) for _ in range(n_kernels)]
    radius, angle = polar_coordinates(kernels)
    start, *_, end = (K.astype(float) for K in kernels)
    for t, K in enumerate(kernels):
        K = K.astype(float)
        moved = np.linalg.norm(K - start) / np.linalg.norm(end - start)
        assert radius[t] == pytest.approx(moved, rel=1e-9)
        assert 1 - np.cos(angle[t]) == pytest.approx(kernel_distance(K, start), abs=1e-14)
    assert radius.shape == angle.shape == (n_kernels,)
    stacked = polar_coordinates(np.stack(kernels))
    np.testing.assert_array_equal(stacked, [radius, angle])


def test_polar_coordinates_of_one_kernel():
    np.testing.assert_array_equal(polar_coordinates([np.eye(3)]), [[0], [0]])


@given(seeds, st.integers(1, 12), dtypes, st.data())
def test_spectral_concentration(seed, n, dtype, data):
    K = kernel(np.random.default_rng(seed), n, dtype)
    p = data.draw(st.integers(1, n))
    share = spectral_concentration(K, p)
    squares = np.sort(np.linalg.eigvalsh(K.astype(float)) ** 2)[::-1]
    assert isinstance(share, float) and 0 <= share <= 1
    assert share == pytest.approx(squares[:p].sum() / squares.sum(), rel=1e-6)
    assert spectral_concentration(K, n) == pytest.approx(1, rel=1e-6)
    if p < n:
        assert share <= spectral_concentration(K, p + 1)


@pytest.mark.parametrize("p", [1, 7, 10, 20, 210])
def test_spectral_concentration_of_many_samples(p):
    rng = np.random.default_rng(0)
    values = np.sort(rng.exponential(size=21))[::-1]
    vectors = np.linalg.qr(rng.normal(size=(21, 21)))[0]
    squares = np.square(values).repeat(10)
    # Every eigenvalue ten times, as for the outputs of a very wide network.
    K = np.kron((vectors * values) @ vectors.T, np.eye(10))
    expected = squares[:p].sum() / squares.sum()
    assert spectral_concentration(K, p) == pytest.approx(expected, rel=1e-10)


def test_spectral_concentration_of_extreme_kernels():
    assert spectral_concentration(np.zeros((3, 3)), 2) == 0
    for scale in (1e-200, 1e200):
        assert spectral_concentration(scale * np.eye(4), 1) == pytest.approx(0.25)


def test_metrics_leave_their_input_alone():
    K, L = np.eye(4), np.ones((4, 4))
    for array in (K, L):
        array.flags.writeable = False
    kernel_distance(K, L), polar_coordinates([K, L]), spectral_concentration(K, 2)
    np.testing.assert_array_equal(K, np.eye(4))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: kernel_distance(np.eye(2), np.eye(3)), ValueError, r"\(2, 2\), \(3, 3\)"),
        (lambda: kernel_distance(np.ones((2, 3)), np.eye(2)), ValueError, "K1.*square"),
        (lambda: kernel_distance(np.eye(2), np.eye(2) * np.nan), ValueError, "K2.*NaN"),
        (lambda: kernel_distance(np.eye(2), np.eye(2) * 1j), TypeError, "K2.*real"),
        (lambda: polar_coordinates([]), ValueError, "kernels is empty"),
        (lambda: polar_coordinates([np.eye(2), np.eye(3)]), ValueError, "same samples"),
        (lambda: polar_coordinates(np.eye(3)), ValueError, r"kernels\[0\]"),
        (lambda: polar_coordinates([np.eye(2), [[np.nan]]]), ValueError, r"kernels\[1\].*NaN"),
        (lambda: spectral_concentration(np.eye(3), 4), ValueError, "p=4 is more than the 3"),
        (lambda: spectral_concentration(np.eye(3), 0), ValueError, "p=0"),
        (lambda: spectral_concentration(np.eye(3), 1.5), TypeError, "p must be an integer"),
        (lambda: spectral_concentration(np.eye(3), True), TypeError, "p must be an integer"),
        (lambda: spectral_concentration([[1, 2], [0, 1]], 1), ValueError, "not symmetric"),
        (lambda: spectral_concentration([1, 2], 1), ValueError, "K has shape"),
    ],
)
def test_clear_errors(call, error, match):
    with pytest.raises(error, match=match):
        call()
