"""The metrics of kernels by their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skntk.metrics import (
    cka,
    kernel_alignment,
    kernel_distance,
    polar_coordinates,
    spectral_concentration,
    subspace_overlap,
)

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


def cosine(A, B):
    return np.trace(A.T @ B) / np.sqrt(np.trace(A.T @ A) * np.trace(B.T @ B))


def centering(n):
    return np.eye(n) - np.ones((n, n)) / n


@given(seeds, st.integers(2, 12), dtypes)
def test_cka(seed, n, dtype):
    rng = np.random.default_rng(seed)
    K, L = kernel(rng, n, dtype), kernel(rng, n, dtype)
    k, m, H = K.astype(float), L.astype(float), centering(n)
    value = cka(K, L)
    assert isinstance(value, float) and 0 <= value <= 1
    assert value == pytest.approx(cosine(H @ k @ H, H @ m @ H), rel=1e-6, abs=1e-9)
    assert value == pytest.approx(cka(L, K))
    order = rng.permutation(n)
    moved = 1e30 * k[np.ix_(order, order)], 1e-30 * m[np.ix_(order, order)]
    assert value == pytest.approx(cka(*moved), abs=1e-9)
    assert value == pytest.approx(cka(k + 3, m), abs=1e-6)
    assert cka(K, K) == pytest.approx(1)
    assert cka(k, -2 * k) == pytest.approx(-1)


def test_cka_of_linear_features_is_that_of_their_covariances():
    """Kornblith et al., Sec. 3: centred features A and B give |B'A|^2 / (|A'A| |B'B|)."""
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(30, 5)), rng.normal(size=(30, 3))
    Ac, Bc = A - A.mean(axis=0), B - B.mean(axis=0)
    norms = np.linalg.norm(Ac.T @ Ac) * np.linalg.norm(Bc.T @ Bc)
    expected = np.linalg.norm(Bc.T @ Ac) ** 2 / norms
    assert cka(A @ A.T, B @ B.T) == pytest.approx(expected, rel=1e-10)
    turned = A @ np.linalg.qr(rng.normal(size=(5, 5)))[0]
    assert cka(turned @ turned.T, B @ B.T) == pytest.approx(expected, rel=1e-10)


@given(seeds, st.integers(3, 12), st.sampled_from([2, 3]), st.booleans())
def test_kernel_alignment(seed, n, n_classes, centered):
    rng = np.random.default_rng(seed)
    K, y = kernel(rng, n), np.arange(n) % n_classes
    targets = 2.0 * y[:, None] - 1 if n_classes == 2 else np.eye(n_classes)[y]
    ideal, H = targets @ targets.T, centering(n)
    value = kernel_alignment(K, np.array(["a", "b", "c"])[y], centered=centered)
    expected = cosine(H @ K @ H, H @ ideal @ H) if centered else cosine(K, ideal)
    assert isinstance(value, float) and 0 <= value <= 1
    assert value == pytest.approx(expected, rel=1e-6, abs=1e-9)
    other = cka(K, ideal) if centered else 1 - kernel_distance(K, ideal)
    assert value == pytest.approx(other, abs=1e-9)
    assert kernel_alignment(ideal, y, centered=centered) == pytest.approx(1)


def test_alignment_of_two_classes_is_cristianinis():
    K, y = kernel(np.random.default_rng(0), 7), np.array([1, -1, 1, 1, -1, 1, 1])
    assert kernel_alignment(K, y) == pytest.approx(y @ K @ y / (7 * np.linalg.norm(K)))


def test_a_constant_decides_the_alignment_unless_centred():
    rng = np.random.default_rng(0)
    K, y = kernel(rng, 10), np.arange(10) % 2
    constant = 1e6 + K
    assert kernel_alignment(constant, y) < 1e-4 < kernel_alignment(K, y)
    centred = kernel_alignment(K, y, centered=True)
    assert kernel_alignment(constant, y, centered=True) == pytest.approx(centred, rel=1e-6)


def test_kernels_without_anything_to_compare():
    constant, K, y = np.full((4, 4), 0.3), np.diag([1.0, 2, 3, 4]), [0, 1, 0, 1]
    assert cka(constant, K) == cka(np.zeros((4, 4)), K) == 0
    assert kernel_alignment(constant, y, centered=True) == 0
    assert kernel_alignment(np.zeros((4, 4)), y) == 0


@given(seeds, st.integers(2, 12), dtypes, st.data())
def test_subspace_overlap(seed, n, dtype, data):
    rng = np.random.default_rng(seed)
    K, L = kernel(rng, n, dtype), kernel(rng, n, dtype)
    p = data.draw(st.integers(1, n))
    angles = subspace_overlap(K, L, p)
    assert angles.shape == (p,) and (np.diff(angles) <= 0).all()
    assert (angles >= 0).all() and (angles <= np.pi / 2).all()
    top = [np.linalg.eigh(matrix.astype(float))[1][:, n - p :] for matrix in (K, L)]
    cosines = np.linalg.svd(top[0].T @ top[1], compute_uv=False)
    np.testing.assert_allclose(np.cos(angles)[::-1], np.clip(cosines, 0, 1), atol=1e-6)
    np.testing.assert_allclose(angles, subspace_overlap(7 * L, K, p), atol=1e-6)
    np.testing.assert_allclose(subspace_overlap(K, K, p), 0, atol=1e-6)


@pytest.mark.parametrize("n", [6, 240])  # the larger one by Lanczos iteration
def test_subspace_that_turned_by_a_known_angle(n):
    rng = np.random.default_rng(0)
    values = np.r_[9.0, 8, 7, np.linspace(1, 0.1, n - 3)]
    vectors = np.linalg.qr(rng.normal(size=(n, n)))[0]
    turned = vectors.copy()  # in the plane of the third and the last
    turned[:, 2] = np.cos(1e-5) * vectors[:, 2] + np.sin(1e-5) * vectors[:, -1]
    turned[:, -1] = np.cos(1e-5) * vectors[:, -1] - np.sin(1e-5) * vectors[:, 2]
    kernels = [(basis * values) @ basis.T for basis in (vectors, turned)]
    np.testing.assert_allclose(subspace_overlap(*kernels, 3), [1e-5, 0, 0], atol=1e-10)
    np.testing.assert_allclose(subspace_overlap(*kernels, 2), 0, atol=1e-10)


def test_metrics_leave_their_input_alone():
    K, L = np.eye(4), np.ones((4, 4))
    for array in (K, L):
        array.flags.writeable = False
    kernel_distance(K, L), polar_coordinates([K, L]), spectral_concentration(K, 2)
    cka(K, L), kernel_alignment(K, [0, 1, 0, 1]), subspace_overlap(K, L, 1)
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
        (lambda: cka(np.eye(2), np.eye(3)), ValueError, r"\(2, 2\), \(3, 3\)"),
        (lambda: cka(np.eye(2), [[1, 2], [0, 1]]), ValueError, "K2 is not symmetric"),
        (lambda: cka(np.eye(2) * np.nan, np.eye(2)), ValueError, "K1.*NaN"),
        (lambda: kernel_alignment(np.eye(2), [0, 1, 1]), ValueError, "y has 3 .* K has 2"),
        (lambda: kernel_alignment(np.eye(2), [1, 1]), ValueError, "one class only"),
        (lambda: kernel_alignment(np.eye(2), [0, 1], centered=1), TypeError, "centered"),
        (lambda: subspace_overlap(np.eye(2), np.eye(3), 1), ValueError, r"\(2, 2\), \(3, 3\)"),
        (lambda: subspace_overlap(np.eye(2), np.eye(2), 3), ValueError, "p=3 is more than the 2"),
        (lambda: subspace_overlap(np.eye(2), np.eye(2), 0), ValueError, "p=0"),
    ],
)
def test_clear_errors(call, error, match):
    with pytest.raises(error, match=match):
        call()
