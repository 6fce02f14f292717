"""Distances, polar coordinates and top eigenpairs, compared with their definitions."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

import skntk.dynamics._geometry
from skntk.dynamics._geometry import (
    as_kernel,
    concentration,
    frobenius_products,
    normalize,
    pairwise_distances,
    polar_from_distances,
    top_distances,
    top_eigenpairs,
)

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 12)
dtypes = st.sampled_from([np.float32, np.float64])


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with threadpool_limits(1):  # the matrices are small
        yield


def kernels(rng, n_kernels, n, rank=None, dtype=np.float64):
    J = rng.normal(size=(n_kernels, n, n if rank is None else rank))
    return (J @ J.transpose(0, 2, 1)).astype(dtype)


def all_distances(stack):
    norms, units = zip(*map(normalize, stack), strict=True)
    differences = np.stack(units) - units[0]
    products = frobenius_products(differences, differences)
    return pairwise_distances(products, np.array(norms)), np.array(norms)


def truncated(K, p):
    values, vectors = np.linalg.eigh(K)
    return (vectors[:, -p:] * values[-p:]) @ vectors[:, -p:].T


def by_definition(stack):
    """Eq. 12 and 13, one pair at a time."""
    stack = np.asarray(stack, dtype=np.longdouble)
    norms = [np.sqrt((K * K).sum()) for K in stack]
    distances = np.array(
        [
            [1 - (K * L).sum() / (k * m) for L, m in zip(stack, norms, strict=True)]
            for K, k in zip(stack, norms, strict=True)
        ]
    )
    moved = np.array([np.sqrt(np.square(K - stack[0]).sum()) for K in stack])
    angle = np.arccos(np.clip(1 - distances[0], -1, 1))
    return distances, moved / moved[-1], angle


@given(seeds, st.integers(2, 6), sizes, dtypes)
def test_definitions(seed, n_kernels, n, dtype):
    rng = np.random.default_rng(seed)
    stack = kernels(rng, n_kernels, n, dtype=dtype).astype(float)
    stack *= 10.0 ** rng.integers(-3, 4, size=(n_kernels, 1, 1))
    expected, expected_radius, expected_angle = by_definition(stack)
    distances, norms = all_distances(stack)
    np.testing.assert_allclose(distances, expected, rtol=1e-9, atol=1e-14)
    np.testing.assert_array_equal(distances, distances.T)
    np.testing.assert_array_equal(distances.diagonal(), 0)
    np.testing.assert_allclose(norms, [np.linalg.norm(K) for K in stack], rtol=1e-13)
    radius, angle = polar_from_distances(distances[0], norms)
    np.testing.assert_allclose(radius, expected_radius.astype(float), rtol=1e-10)
    # The arccos of the definition is inaccurate at small angles.
    np.testing.assert_allclose(angle, expected_angle.astype(float), rtol=1e-6, atol=2e-9)
    assert radius[0] == angle[0] == 0 and radius[-1] == 1


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e-30, 1e30, 1e160, 1e300])
def test_no_scale_is_too_large_or_too_small(scale):
    stack = kernels(np.random.default_rng(0), 3, 5)
    expected, _ = all_distances(stack)
    distances, norms = all_distances(stack * scale)
    np.testing.assert_allclose(distances, expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(norms / scale, [np.linalg.norm(K) for K in stack], rtol=1e-12)
    for measured, plain in zip(
        polar_from_distances(distances[0], norms), by_definition(stack)[1:], strict=True
    ):
        np.testing.assert_allclose(measured, plain.astype(float), rtol=1e-9, atol=2e-9)
    values, _ = top_eigenpairs(stack[0] * scale, 5)
    np.testing.assert_allclose(values / scale, np.linalg.eigvalsh(stack[0])[::-1], rtol=1e-10)


@given(seeds, st.floats(-12, -1), st.integers(2, 10))
def test_movements_far_below_rounding_are_measured(seed, exponent, n):
    """K_t = K_0 + s_t E, with E orthogonal to K_0: all results are known in closed form."""
    rng = np.random.default_rng(seed)
    K, E = kernels(rng, 2, n)
    E -= np.vdot(E, K) / np.vdot(K, K) * K
    E /= np.linalg.norm(E) / np.linalg.norm(K)
    size = 10.0**exponent
    s = np.array([0, 0.25, 0.5, 1]) * size
    distances, norms = all_distances([K + step * E for step in s])
    theta = np.arctan(s)
    error = 1e-14 / size  # rounding of K + s E
    np.testing.assert_allclose(
        distances, 2 * np.sin((theta[:, None] - theta) / 2) ** 2, rtol=1e-9, atol=error * size**2
    )
    radius, angle = polar_from_distances(distances[0], norms)
    np.testing.assert_allclose(angle, theta, rtol=1e-9, atol=error * size)
    np.testing.assert_allclose(radius, [0, 0.25, 0.5, 1], rtol=1e-9, atol=error)


@given(seeds, st.integers(1, 5), st.integers(2, 12), st.data())
def test_top_distances_are_those_of_kernels_really_cut_down(seed, n_kernels, n, data):
    rng = np.random.default_rng(seed)
    p = data.draw(st.integers(1, n))
    stack = kernels(rng, n_kernels, n)
    stack[1:] = stack[0] + 10.0 ** data.draw(st.floats(-6, 0)) * stack[1:]
    values, vectors = zip(*(top_eigenpairs(K, p) for K in stack), strict=True)
    distances, norms = top_distances(np.stack(values), np.stack(vectors))
    formed = [(v * w) @ v.T for w, v in zip(values, vectors, strict=True)]
    expected, expected_norms = all_distances(formed)
    np.testing.assert_allclose(norms, expected_norms, rtol=1e-12)
    np.testing.assert_allclose(np.sqrt(distances), np.sqrt(expected[0]), rtol=1e-7, atol=1e-14)
    if p == n:
        whole = all_distances(stack)[0][0]
        np.testing.assert_allclose(np.sqrt(distances), np.sqrt(whole), rtol=1e-6, atol=1e-13)


def test_top_distances_agree_with_plain_truncation():
    stack = kernels(np.random.default_rng(1), 4, 30)
    for p in (1, 7, 29, 30):
        values, vectors = zip(*(top_eigenpairs(K, p) for K in stack), strict=True)
        measured = polar_from_distances(*top_distances(np.stack(values), np.stack(vectors)))
        expected = by_definition([truncated(K, p) for K in stack])[1:]
        for mine, plain in zip(measured, expected, strict=True):
            np.testing.assert_allclose(mine, plain.astype(float), atol=1e-10)


def test_zero_kernels():
    K = np.eye(3)
    distances, norms = all_distances([K, 0 * K, 2 * K, 0 * K])
    np.testing.assert_array_equal(
        distances, [[0, 1, 0, 1], [1, 0, 1, 1], [0, 1, 0, 1], [1, 1, 1, 0]]
    )
    radius, angle = polar_from_distances(distances[0], norms)
    np.testing.assert_allclose(radius, [0, 1, 1, 1])
    np.testing.assert_allclose(angle, [0, np.pi / 2, 0, np.pi / 2])
    # The same holds if the first kernel is zero, and for eigenpairs.
    distances, norms = all_distances([0 * K, K])
    np.testing.assert_array_equal(distances, [[0, 1], [1, 0]])
    np.testing.assert_array_equal(polar_from_distances(distances[0], norms)[0], [0, 1])
    values = np.array([[1.0, 1], [0, 0], [2, 2]])
    distances, norms = top_distances(values, np.stack([K[:, :2]] * 3))
    np.testing.assert_allclose(distances, [0, 1, 0], atol=1e-30)
    np.testing.assert_allclose(norms, [np.sqrt(2), 0, np.sqrt(8)])
    assert concentration(values, norms, 1).tolist() == pytest.approx([0.5, 0, 0.5])


@pytest.mark.parametrize("same", [1, 3])
def test_a_kernel_that_ends_where_it_began(same):
    stack = kernels(np.random.default_rng(0), 1, 4).repeat(same, axis=0)
    distances, norms = all_distances(stack)
    np.testing.assert_array_equal(distances, np.zeros((same, same)))
    for measured in polar_from_distances(distances[0], norms):
        np.testing.assert_array_equal(measured, np.zeros(same))


def test_opposite_kernels():
    K = np.diag([1.0, 2.0, 0.5])
    distances, norms = all_distances([K, -K])
    np.testing.assert_allclose(distances, [[0, 2], [2, 0]])
    assert polar_from_distances(distances[0], norms)[1][1] == pytest.approx(np.pi)


@given(seeds, sizes, st.data())
def test_concentration(seed, n, data):
    rng = np.random.default_rng(seed)
    p = data.draw(st.integers(1, n))
    K = kernels(rng, 1, n, rank=data.draw(st.integers(1, n)))[0]
    values = np.linalg.eigvalsh(K)[::-1]
    expected = np.square(values[:p]).sum() / np.square(K).sum()
    share = concentration(top_eigenpairs(K, n)[0], np.array(np.linalg.norm(K)), p)
    assert share == pytest.approx(expected, rel=1e-12) and 0 <= share <= 1


# --- top eigenpairs ------------------------------------------------------------------------


def assert_are_top_eigenpairs(K, p, tolerance=1e-12):
    values, vectors = top_eigenpairs(K, p)
    assert values.shape == (p,) and vectors.shape == (len(K), p)
    expected = np.linalg.eigvalsh(K)[::-1]
    scale = np.abs(expected).max() or 1
    np.testing.assert_allclose(values / scale, expected[:p] / scale, atol=tolerance)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(p), atol=1e-10)
    np.testing.assert_allclose(K @ vectors / scale, vectors * values / scale, atol=1e-10)
    again = top_eigenpairs(K.copy(), p)
    np.testing.assert_array_equal(values, again[0])
    np.testing.assert_array_equal(vectors, again[1])


@given(seeds, sizes, st.data())
def test_small_kernels(seed, n, data):
    rng = np.random.default_rng(seed)
    K = kernels(rng, 1, n, rank=data.draw(st.integers(1, n)))[0]
    assert_are_top_eigenpairs(K, data.draw(st.integers(1, n)))


@pytest.mark.parametrize("p", [1, 20, 51, 52, 208])
def test_lanczos_agrees_with_the_whole_spectrum(p):
    K = kernels(np.random.default_rng(0), 1, 208)[0]
    assert_are_top_eigenpairs(K, p)


def test_lanczos_is_what_large_kernels_take(monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("the whole matrix was reduced")

    K = kernels(np.random.default_rng(0), 1, 200)[0]
    monkeypatch.setattr(skntk.dynamics._geometry.scipy.linalg, "eigh", refuse)
    top_eigenpairs(K, 20)
    with pytest.raises(AssertionError, match="reduced"):
        top_eigenpairs(K[:199, :199], 20)


@cache
def special_kernels():
    rng = np.random.default_rng(0)
    inputs = kernels(rng, 1, 26, rank=22)[0]
    return {
        "zero": np.zeros((208, 208)),
        "identity": np.eye(208),
        "ones": np.ones((208, 208)),
        "one entry": np.diag(np.r_[1.0, np.zeros(207)]),
        "two values": np.diag(np.repeat([1.0, 2.0], 104)),
        "classes": np.kron(np.eye(8), np.ones((26, 26))),
        "low rank": kernels(rng, 1, 208, rank=5)[0],
        "constant diagonal": kernels(rng, 1, 208, rank=15)[0] + np.eye(208),
        # As for a network of many channels: the same kernel for each of its 8 outputs.
        "infinite width": np.kron(inputs, np.eye(8)),
        "tiny": 1e-300 * kernels(rng, 1, 208)[0],
        "indefinite": (lambda A: A + A.T)(rng.normal(size=(208, 208))),
        "negative": -kernels(rng, 1, 208)[0],
    }


@pytest.mark.parametrize("name", special_kernels())
@pytest.mark.parametrize("p", [1, 5, 20])
def test_no_eigenvalue_is_overlooked(name, p):
    """Lanczos iteration alone finds one eigenvector of each eigenvalue."""
    assert_are_top_eigenpairs(special_kernels()[name], p)


def test_a_matrix_of_zeros_is_not_for_arpack(monkeypatch):
    monkeypatch.setattr("skntk.dynamics._geometry._distinct_by_lanczos", None)
    values, _ = top_eigenpairs(np.zeros((208, 208)), 3)
    np.testing.assert_array_equal(values, 0)


def test_an_eigenvalue_hidden_from_the_start_is_not_overlooked():
    start = np.random.default_rng(0).uniform(-1, 1, 208)
    hidden = np.zeros(208)
    hidden[:2] = start[1], -start[0]
    hidden /= np.linalg.norm(hidden)
    rest = np.diag(np.linspace(1, 2, 208))
    projection = np.eye(208) - np.outer(hidden, hidden)
    K = projection @ rest @ projection + 9 * np.outer(hidden, hidden)
    assert_are_top_eigenpairs((K + K.T) / 2, 3)


# --- input ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float16, np.float32, np.float64])
def test_as_kernel_gives_float64(dtype):
    K = as_kernel(np.eye(3, dtype=dtype), "K")
    assert K.dtype == np.float64
    np.testing.assert_array_equal(K, np.eye(3))


@pytest.mark.parametrize(
    ("K", "error", "match"),
    [
        (np.ones(3), ValueError, r"K2 has shape \(3,\).*square"),
        (np.ones((2, 3)), ValueError, r"K2 has shape \(2, 3\)"),
        (np.ones((0, 0)), ValueError, "square"),
        (np.ones((2, 2, 2)), ValueError, "square"),
        (3.0, ValueError, r"shape \(\)"),
        (np.eye(2) * np.nan, ValueError, "K2 holds NaN"),
        (np.full((2, 2), np.inf), ValueError, "infinity"),
        (np.eye(2) * 1j, TypeError, "K2 must hold real numbers.*complex"),
        (np.array([["a"]]), TypeError, "real numbers"),
        (np.array([[None]]), TypeError, "object"),
    ],
)
def test_as_kernel_refuses(K, error, match):
    with pytest.raises(error, match=match):
        as_kernel(K, "K2")


def test_norms_do_not_depend_on_threads():
    """Bitwise comparison of two runs must not depend on the number of threads."""
    kernel = kernels(np.random.default_rng(0), 1, 150)[0]
    norms = set()
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            norms.add(normalize(kernel)[0])
    assert len(norms) == 1
