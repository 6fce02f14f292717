"""The two-layer kernel (Eq. 42) against its closed form and neural_tangents."""

import jax
import numpy as np
import pytest
from helpers import gaussian
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from skntk import load_neural_tangents
from skntk.kernels import TwoLayerNTK

KERNEL = TwoLayerNTK()


def rotated(angle):
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def test_equals_the_closed_form():
    small = np.logspace(-15, -1, 57)
    theta = np.concatenate([[0], small, np.linspace(0.1, np.pi, 100), np.pi - small])
    # These coordinates represent small angles to full relative accuracy.
    Z = np.stack([np.cos(theta), np.sin(theta)], axis=1) * 3
    expected = 6 * np.cos(theta) * (np.pi - theta) / (2 * np.pi)
    assert_allclose(KERNEL([[2.0, 0.0]], Z)[0], expected, rtol=1e-12, atol=1e-12)


@given(angles=arrays(np.float64, 2, elements=st.floats(0, 2 * np.pi)))
def test_depends_on_the_angle_alone(angles):
    X = rotated(angles)
    theta = 2 * np.arctan2(np.linalg.norm(X[0] - X[1]), np.linalg.norm(X[0] + X[1]))
    expected = np.cos(theta) * (np.pi - theta) / (2 * np.pi)
    assert_allclose(KERNEL(X)[0, 1], expected, rtol=1e-12, atol=1e-12)


@given(X=arrays(np.float64, (3, 2), elements=st.floats(-100, 100)))
def test_diagonal_is_half_the_squared_norm(X):
    expected = (X**2).sum(axis=1) / 2
    assert_allclose(KERNEL.diag(X), expected, rtol=1e-12, atol=1e-300)
    assert_allclose(KERNEL(X).diagonal(), expected, rtol=1e-12, atol=1e-300)


def test_gradient_equals_the_closed_form():
    X, Z = gaussian(6, 3), gaussian(4, 3, seed=1)
    W = gaussian(6, 4, seed=2)
    cosine = X @ Z.T / np.linalg.norm(X, axis=1)[:, None] / np.linalg.norm(Z, axis=1)
    theta = np.arccos(cosine)
    by_product = W * (np.pi - theta + cosine / np.sin(theta)) / (2 * np.pi)
    radial = -W * (X @ Z.T) * cosine / np.sin(theta) / (2 * np.pi)
    expected = by_product @ Z + (radial / (X**2).sum(axis=1)[:, None]).sum(axis=1)[:, None] * X
    assert_allclose(KERNEL.input_vjp(X, Z, W), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-7, 1e-8])
@pytest.mark.parametrize("sign", [1, -1])
def test_gradient_near_ties(distance, sign):
    x = np.array([[1.0, 0.0]])
    theta = distance if sign == 1 else np.pi - distance
    z = [[sign * np.cos(distance), np.sin(distance)]]
    radial = np.cos(theta) * (np.pi - theta) / (2 * np.pi)
    # d theta / d x_2 = -1, for |x| = 1 and z above the axis.
    tangential = (np.sin(theta) * (np.pi - theta) + np.cos(theta)) / (2 * np.pi)
    assert_allclose(KERNEL.input_vjp(x, z, [[1.0]]), [[radial, tangential]], atol=1e-6)


def test_gradient_at_ties():
    X = gaussian(5, 3)
    weights = np.eye(5)
    assert_allclose(KERNEL.input_vjp(X, X, weights), X / 2, rtol=1e-12)
    assert_allclose(KERNEL.input_vjp(X, -X, weights), 0, atol=1e-12)
    # At x = 0 the derivative is the mean of the one-sided ones, z / 4.
    assert_allclose(KERNEL.input_vjp(0 * X, X, weights), X / 4, rtol=1e-12)


def test_one_feature():
    X = np.array([[-2.0], [0.0], [1.0], [3.0]])
    expected = np.maximum(X * X.T, 0) / 2
    assert_allclose(KERNEL(X), expected, rtol=1e-15)
    assert_array_equal(KERNEL.diag(X), expected.diagonal())


def test_equals_neural_tangents():
    # The tangent kernel minus that of the read-out is w k0 <x, z> / d.
    stax = load_neural_tangents().stax
    _, _, kernel_fn = stax.serial(stax.Dense(1), stax.Relu(), stax.Dense(1))
    X = gaussian(20, 5).astype(np.float32)
    X[1], X[2] = X[0], -X[0]
    with jax.enable_x64(True):
        kernels = kernel_fn(X.astype(np.float64), None, ("ntk", "nngp"))
        expected = 5 * np.asarray(kernels.ntk - kernels.nngp)
    for dtype, tolerance in ((np.float64, 1e-7), (np.float32, 1e-5)):
        K = KERNEL(X.astype(dtype))
        assert_allclose(K, expected, rtol=tolerance, atol=tolerance * expected.max())


def test_has_no_parameters():
    assert KERNEL.get_params() == {}
    assert repr(KERNEL) == "TwoLayerNTK()"
    with pytest.raises(ValueError, match="no parameter 'depth'"):
        TwoLayerNTK().set_params(depth=1)
    with pytest.raises(TypeError):
        TwoLayerNTK(2)
