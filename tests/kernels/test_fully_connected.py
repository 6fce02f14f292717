"""The fully connected kernel against its definition, in 48-digit arithmetic, and stax."""

import math
from decimal import Decimal, localcontext

import jax
import numpy as np
import pytest
from helpers import gaussian
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

from skntk import load_neural_tangents
from skntk.kernels import FullyConnectedNTK

PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628621")
PARAMETERS = [(1, 0.1), (1, 0.0), (3, 0.0), (3, 0.5)]


# The reference is the recursion of the definition, in so many digits that it can be naive.


def sin_cos(x):
    sums, term = [Decimal(0), Decimal(0)], Decimal(1)
    for k in range(64):
        sums[k % 2] += term if k % 4 < 2 else -term
        term *= x / (k + 1)
    return sums[1], sums[0]


def arccos(c):
    if c < 0:
        return PI - arccos(-c)
    sine = (max(1 - c, Decimal(0)) / 2).sqrt()  # of half the angle
    half = Decimal(math.asin(sine))
    for _ in range(2):
        s, c = sin_cos(half)
        half -= (s - sine) / c
    return 2 * half


def decimals(array):
    return [Decimal(float(value)) for value in array]


def dot(x, z):
    return sum(a * b for a, b in zip(x, z, strict=True))


def reference(x, z, depth, w, b):
    s, q_x, q_z = (w * dot(*pair) / len(x) + b for pair in ((x, z), (x, x), (z, z)))
    t = s
    for _ in range(depth):
        scale = (q_x * q_z).sqrt()
        theta = arccos(s / scale)
        sine, cosine = sin_cos(theta)
        s = w * scale * (sine + (PI - theta) * cosine) / (2 * PI) + b
        t = s + w * (PI - theta) / (2 * PI) * t
        q_x, q_z = w * q_x / 2 + b, w * q_z / 2 + b
    return t


def reference_gradient(x, z, step, *parameters):
    """Central differences, which give the mean of the one-sided derivatives at a kink."""
    gradient = []
    for k in range(len(x)):
        sides = [[*x[:k], x[k] + sign * step, *x[k + 1 :]] for sign in (1, -1)]
        ahead, behind = (reference(side, z, *parameters) for side in sides)
        gradient.append(float((ahead - behind) / (2 * step)))
    return np.array(gradient)


def squared(*parameters):
    """Variances as the kernel computes them, by squaring in float64."""
    return [Decimal(parameter**2) for parameter in parameters]


@pytest.fixture(autouse=True)
def digits():
    with localcontext(prec=48):
        yield


@pytest.mark.parametrize(("depth", "bias_std"), PARAMETERS)
@given(
    X=arrays(np.float64, (2, 3), elements=st.floats(-10, 10), fill=st.nothing()),
    weight_std=st.floats(0.5, 2),
)
def test_equals_the_definition(depth, bias_std, X, weight_std):
    X[:, 0] += np.where(X[:, 0] < 0, -1e-3, 1e-3)  # away from 0, where the angle is undefined
    kernel = FullyConnectedNTK(depth, weight_std=weight_std, bias_std=bias_std)
    x, z = map(decimals, X)
    expected = float(reference(x, z, depth, *squared(weight_std, bias_std)))
    scale = np.sqrt(np.prod(kernel.diag(X)))
    assert_allclose(kernel(X)[0, 1], expected, rtol=1e-12, atol=1e-12 * scale)


@pytest.mark.parametrize(("depth", "bias_std"), PARAMETERS)
@pytest.mark.parametrize("sign", [1, -1])
def test_equals_the_definition_near_ties(depth, bias_std, sign):
    kernel = FullyConnectedNTK(depth, bias_std=bias_std)
    x, direction = gaussian(2, 3)
    for distance in [0.0, 1e-16, 1e-15, 1e-14, 1e-13, *np.logspace(-12, -3, 10)]:
        z = sign * x + distance * direction
        expected = float(reference(decimals(x), decimals(z), depth, *squared(2**0.5, bias_std)))
        scale = np.sqrt(kernel.diag(x[None]) * kernel.diag(z[None]))[0]
        assert abs(kernel(x[None], z[None])[0, 0] - expected) <= 1e-12 * scale


@pytest.mark.parametrize(("depth", "bias_std"), PARAMETERS)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("distance", [0.0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3])
def test_gradient_near_ties(depth, bias_std, sign, distance):
    x, direction = gaussian(2, 3)
    z = sign * x + distance * direction
    gradient = FullyConnectedNTK(depth, bias_std=bias_std).input_vjp([x], [z], [[1.0]])[0]
    step = Decimal(distance or 1) * Decimal("1e-12")
    parameters = depth, *squared(2**0.5, bias_std)
    expected = reference_gradient(decimals(x), decimals(z), step, *parameters)
    assert_allclose(gradient, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_radial_part_of_the_gradient_is_kept_at_ties(depth):
    # Euler's theorem: a homogeneous function of degree 1 is its gradient times its argument.
    X = gaussian(5, 3)
    kernel = FullyConnectedNTK(depth, bias_std=0.0)
    for Z in (X, -X, 2 * X):
        gradient = kernel.input_vjp(X, Z, np.eye(5))
        values = kernel(X, Z).diagonal()
        assert_allclose((X * gradient).sum(axis=1), values, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("depth", [0, 1])
def test_gradient_at_zero_is_the_mean_of_both_sides(depth):
    z = gaussian(3)
    gradient = FullyConnectedNTK(depth, bias_std=0.0).input_vjp([[0.0] * 3], [z], [[1.0]])[0]
    parameters = depth, *squared(2**0.5, 0.0)
    expected = reference_gradient(decimals(np.zeros(3)), decimals(z), Decimal(1), *parameters)
    assert_allclose(gradient, expected, rtol=1e-12)


# The diagonal


@pytest.mark.parametrize("depth", [0, 1, 3])
@given(
    X=arrays(np.float64, (3, 2), elements=st.floats(-100, 100)),
    weight_std=st.floats(0.5, 2),
    bias_std=st.one_of(st.just(0.0), st.floats(1e-100, 2)),
)
def test_diagonal_is_the_closed_form(depth, X, weight_std, bias_std):
    w, b = weight_std**2, bias_std**2
    q = t = w * (X**2).sum(axis=1) / 2 + b
    for _ in range(depth):
        q = w * q / 2 + b
        t = q + w * t / 2
    kernel = FullyConnectedNTK(depth, weight_std=weight_std, bias_std=bias_std)
    for diagonal in (kernel.diag(X), kernel(X).diagonal(), kernel(X, X.copy()).diagonal()):
        assert_allclose(diagonal, t, rtol=1e-12, atol=1e-290)  # where squares underflow


# Depth 0


@given(X=arrays(np.float64, (4, 3), elements=st.floats(-100, 100)))
def test_depth_zero_is_the_linear_kernel(X):
    kernel = FullyConnectedNTK(0, weight_std=1.5, bias_std=0.2)
    K = 1.5**2 * X @ X.T / 3 + 0.2**2
    assert_allclose(kernel(X), K, rtol=1e-12, atol=1e-12 * K.max())
    W = gaussian(4, 4)
    gradient = W @ X * 1.5**2 / 3
    atol = 1e-12 * np.abs(X).max() + 1e-300
    assert_allclose(kernel.input_vjp(X, X, W), gradient, rtol=1e-12, atol=atol)


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_one_feature(depth):
    X = np.array([[-2.0], [-1.0], [0.0], [0.5], [3.0]])
    kernel = FullyConnectedNTK(depth, bias_std=0.0)
    # Features of one sign are parallel: K(x, z) = x z K(1, 1).
    K = kernel(X)
    assert_allclose(K[3:, 3:], X[3:] * X[3:].T * kernel.diag([[1.0]]), rtol=1e-12)
    assert_allclose(K[:2, :2], X[:2] * X[:2].T * kernel.diag([[1.0]]), rtol=1e-12)
    assert np.isfinite(kernel.input_vjp(X, X, np.ones((5, 5)))).all()


# Comparison with neural_tangents


def stax_reference(X, depth, weight_std, bias_std):
    stax = load_neural_tangents().stax
    layer = {"W_std": weight_std, "b_std": bias_std or None}
    hidden = [stax.Dense(1, **layer), stax.Relu()] * depth
    _, _, kernel_fn = stax.serial(*hidden, stax.Dense(1, **layer))
    with jax.enable_x64(True):
        X = X.astype(np.float64)
        return np.asarray(jax.jit(kernel_fn, static_argnums=2)(X, X, "ntk"))


@pytest.mark.parametrize("depth", [0, 1, 3, 5])
@pytest.mark.parametrize(("weight_std", "bias_std"), [(2**0.5, 0.1), (1.2, 0.0), (1.7, 0.8)])
def test_equals_neural_tangents(depth, weight_std, bias_std):
    X = gaussian(30, 5).astype(np.float32)
    X[1], X[2], X[3] = X[0], -X[0], X[0] * (1 + 1e-5)
    expected = stax_reference(X, depth, weight_std, bias_std)
    kernel = FullyConnectedNTK(depth, weight_std=weight_std, bias_std=bias_std)
    for dtype, tolerance in ((np.float64, 1e-7), (np.float32, 1e-5)):
        K = kernel(X.astype(dtype))
        assert K.dtype == dtype
        assert_allclose(K, expected, rtol=tolerance, atol=tolerance * expected.max())


# Parameters


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"depth": -1}, ValueError, "depth=-1 is out of range; give an integer of at least 0"),
        ({"depth": 1.0}, TypeError, r"depth must be an integer, got 1.0 \(float\)"),
        ({"depth": "2"}, TypeError, "depth must be an integer, got '2'"),
        ({"depth": True}, TypeError, "depth must be an integer, got True"),
        ({"weight_std": 0.0}, ValueError, "weight_std=0.0 is out of range; give a number greater"),
        ({"weight_std": -1}, ValueError, "weight_std=-1 is out of range"),
        ({"weight_std": np.nan}, ValueError, "weight_std=nan is out of range"),
        ({"weight_std": None}, TypeError, "weight_std must be a real number, got None"),
        ({"bias_std": -0.1}, ValueError, "bias_std=-0.1 is out of range; give a number at least 0"),
        ({"bias_std": np.inf}, ValueError, "bias_std=inf is out of range.*finite"),
        ({"bias_std": "1"}, TypeError, "bias_std must be a real number, got '1'"),
    ],
)
def test_wrong_parameters(parameters, error, message):
    X = np.ones((2, 2))
    kernel = FullyConnectedNTK(**parameters)  # constructors do not validate
    for call in (kernel, kernel.diag, lambda X: kernel.input_vjp(X, X, X)):
        with pytest.raises(error, match=message):
            call(X)


def test_parameters_from_numpy():
    X = gaussian(3, 2)
    kernel = FullyConnectedNTK(np.int64(2), weight_std=np.float32(1.5), bias_std=np.float64(0.25))
    expected = FullyConnectedNTK(2, weight_std=1.5, bias_std=0.25)(X)
    assert kernel(X).dtype == np.float64
    assert_allclose(kernel(X), expected, rtol=1e-15)
