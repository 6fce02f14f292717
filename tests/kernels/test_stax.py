"""Networks of neural_tangents, flat and convolutional, in tiles."""

import pickle
import warnings

import jax
import numpy as np
import pytest
from helpers import gaussian
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skntk import NTKClassifier, load_neural_tangents
from skntk.kernels import FullyConnectedNTK, PairNTK, StaxNTK

LAYER = {"W_std": 2**0.5, "b_std": 0.1}
IMAGE = (3, 2, 2)
CALLS = []


def flat():
    CALLS.append("flat")
    stax = load_neural_tangents().stax
    return stax.serial(stax.Dense(1, **LAYER), stax.Relu(), stax.Dense(1, **LAYER))


def flattened():
    stax = load_neural_tangents().stax
    convolution = stax.Conv(1, (3, 3), padding="SAME", **LAYER)
    return stax.serial(convolution, stax.Relu(), stax.Flatten(), stax.Dense(1, **LAYER))


def pooled():
    stax = load_neural_tangents().stax
    convolution = stax.Conv(1, (3, 3), padding="SAME", **LAYER)
    return stax.serial(convolution, stax.Relu(), stax.GlobalAvgPool(), stax.Dense(1, **LAYER))


NETWORKS = pytest.mark.parametrize(
    ("network", "image_shape"), [(flat, None), (flattened, IMAGE), (pooled, IMAGE)]
)


@NETWORKS
def test_equals_kernel_fn(network, image_shape):
    X, Z = gaussian(5, 12), gaussian(4, 12, seed=1)
    kernel = StaxNTK(network, image_shape=image_shape)
    shape = (12,) if image_shape is None else image_shape
    kernel_fn = jax.jit(network()[2], static_argnums=2)
    with jax.enable_x64(True):
        rectangular = kernel_fn(X.reshape(-1, *shape), Z.reshape(-1, *shape), "ntk")
        square = kernel_fn(X.reshape(-1, *shape), X.reshape(-1, *shape), "ntk")
    assert_allclose(kernel(X, Z), rectangular, rtol=1e-10)
    assert_allclose(kernel(X), square, rtol=1e-7)  # limited by its arccos at equal inputs
    assert_allclose(kernel.diag(X), kernel(X).diagonal(), rtol=1e-12)
    single = kernel(X.astype(np.float32), Z.astype(np.float32))
    assert single.dtype == np.float32
    assert_allclose(single, rectangular, rtol=1e-5)


@NETWORKS
def test_tiles_do_not_matter(network, image_shape):
    X, Z, W = gaussian(5, 12), gaussian(3, 12, seed=1), gaussian(5, 3, seed=2)
    whole = StaxNTK(network, image_shape=image_shape)
    tiled = StaxNTK(network, image_shape=image_shape, tile_size=2)
    K = tiled(X)
    assert_array_equal(K, K.T)
    assert_allclose(K, whole(X), rtol=1e-7)
    assert_allclose(tiled(X, Z), whole(X, Z), rtol=1e-12)
    assert_allclose(tiled.diag(X), whole.diag(X), rtol=1e-7)
    assert_allclose(tiled.input_vjp(X, Z, W), whole.input_vjp(X, Z, W), rtol=1e-10, atol=1e-12)


@NETWORKS
def test_input_vjp_is_central_differences(network, image_shape):
    X, Z, W = gaussian(3, 12), gaussian(4, 12, seed=1), gaussian(3, 4, seed=2)
    kernel = StaxNTK(network, image_shape=image_shape)
    expected = np.empty_like(X)
    for k, shift in enumerate(1e-5 * np.eye(12)):
        difference = kernel(X + shift, Z) - kernel(X - shift, Z)
        expected[:, k] = (W * difference).sum(axis=1) / 2e-5
    assert_allclose(kernel.input_vjp(X, Z, W), expected, rtol=1e-6, atol=1e-6)


@NETWORKS
def test_finite_at_ties(network, image_shape):
    X = gaussian(3, 12)
    X = np.concatenate([X, X, -X, 2 * X, 0 * X])
    kernel = StaxNTK(network, image_shape=image_shape)
    assert np.isfinite(kernel(X)).all()
    assert np.isfinite(kernel.input_vjp(X, X, np.ones((15, 15)))).all()


def test_network_without_bias():
    stax = load_neural_tangents().stax
    kernel = StaxNTK(stax.serial(stax.Dense(1, W_std=2**0.5), stax.Relu(), stax.Dense(1)))
    X = np.concatenate([np.zeros((1, 12)), gaussian(4, 12)])
    assert_array_equal(kernel(X)[0], 0)
    assert np.isfinite(kernel.input_vjp(X, X, np.ones((5, 5)))).all()


def test_network_as_a_tuple():
    X = gaussian(5, 12)
    kernel = StaxNTK(flat())
    assert_allclose(kernel(X), FullyConnectedNTK(1)(X), rtol=1e-7)
    assert_array_equal(clone(kernel)(X), kernel(X))
    assert clone(kernel).network[2] is kernel.network[2]


def test_function_that_returns_the_network_is_called_once_and_pickles():
    X = gaussian(5, 12)
    expected = StaxNTK(flat)(X)
    n_calls = len(CALLS)
    kernel = pickle.loads(pickle.dumps(StaxNTK(flat, tile_size=3)))
    assert kernel.get_params() == {"network": flat, "image_shape": None, "tile_size": 3}
    assert_allclose(kernel(X), expected, rtol=1e-7)
    assert len(CALLS) == n_calls


SCALES = np.linspace(0.5, 1.5, 12)
PLACES = np.arange(12)


def by_quadrature():
    """A layer that holds the nodes and weights of a quadrature, and its closed form."""
    stax = load_neural_tangents().stax
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the error of the quadrature
        sine = stax.ElementwiseNumerical(jax.numpy.sin, deg=40)
    before, after = stax.Dense(1, **LAYER), stax.Dense(1, **LAYER)
    kernel, expected = (stax.serial(before, layer, after) for layer in (sine, stax.Sin()))
    return StaxNTK(kernel), StaxNTK(expected)


def of_scaled_inputs():
    """Inputs multiplied by constants and reordered, and the same done before the kernel."""
    _, _, kernel_fn = network = flat()

    def scaled(x, z, get):
        return kernel_fn((x * SCALES)[:, PLACES], (z * SCALES)[:, PLACES], get)

    return StaxNTK((*network[:2], scaled)), ScaledFirst()


class ScaledFirst:
    def __call__(self, X, Z):
        return FullyConnectedNTK(1)(X * SCALES, Z * SCALES)

    def input_vjp(self, X, Z, W):
        return FullyConnectedNTK(1).input_vjp(X * SCALES, Z * SCALES, W) * SCALES


def scaled_product(x, z):
    return jax.numpy.dot(x * SCALES, z[PLACES] / SCALES)


class ScaledInputs:
    """The kernel of `scaled_inputs`, without constants in compiled code."""

    def __call__(self, X, Z):
        return FullyConnectedNTK(1)(X * SCALES, Z * SCALES)

    def input_vjp(self, X, Z, W):
        return FullyConnectedNTK(1).input_vjp(X * SCALES, Z * SCALES, W) * SCALES


class ScaledProduct(PairNTK):
    def pair_function(self, n_features):
        return scaled_product, ()


def of_pairs():
    return ScaledProduct(), FullyConnectedNTK(0, weight_std=12**0.5, bias_std=0.0)


@pytest.mark.parametrize("first", [np.float32, np.float64])
@pytest.mark.parametrize("kernel_and_expected", [by_quadrature, of_scaled_inputs, of_pairs])
def test_constants_of_64_bits_at_both_precisions(kernel_and_expected, first):
    kernel, expected = kernel_and_expected()
    second = np.float64 if first == np.float32 else np.float32
    X, Z, W = gaussian(5, 12), gaussian(4, 12, seed=1), gaussian(5, 4, seed=2)
    gram, gradient = expected(X, Z), expected.input_vjp(X, Z, W)
    for dtype in (first, second, first):
        tolerance = {"rtol": 1e-6, "atol": 1e-6 if dtype == np.float64 else 1e-5}
        x, z, w = X.astype(dtype), Z.astype(dtype), W.astype(dtype)
        found = kernel(x, z), kernel.input_vjp(x, z, w), kernel.diag(x)
        assert {array.dtype for array in found} == {np.dtype(dtype)}
        assert_allclose(found[0], gram, **tolerance)
        assert_allclose(found[1], gradient, **tolerance)
        assert_allclose(found[2], kernel(x).diagonal(), **tolerance)


def without_layers():
    return load_neural_tangents().stax.Relu()


def without_flatten():
    stax = load_neural_tangents().stax
    return stax.serial(stax.Conv(1, (3, 3), padding="SAME", **LAYER), stax.Relu())


def with_two_outputs():
    stax = load_neural_tangents().stax
    branches = stax.parallel(stax.Dense(1, **LAYER), stax.Dense(1, **LAYER))
    return stax.serial(stax.FanOut(2), branches)


@pytest.mark.parametrize(
    ("network", "image_shape", "message"),
    [
        (without_flatten, IMAGE, r"shape \(3, 2, 2, 2, 3, 3\) for 3 and 2 samples.*Flatten"),
        (flat, IMAGE, r"must have one value for each pair, \(3, 2\)"),
        (flattened, None, r"cannot take samples of shape \(12,\).*image_shape"),
        (without_layers, None, r"cannot take samples of shape \(12,\).*must be Gaussian.*Dense"),
        (with_two_outputs, None, r"cannot take samples of shape \(12,\)"),
    ],
)
def test_networks_without_a_value_for_each_pair_are_refused(network, image_shape, message):
    with pytest.raises(ValueError, match=f"^network .*{message}"):
        NTKClassifier(StaxNTK(network, image_shape=image_shape)).fit(gaussian(4, 12), [0, 1, 0, 1])


def dropout(mode):
    stax = load_neural_tangents().stax
    dense = stax.Dense(1, **LAYER)
    return stax.serial(dense, stax.Relu(), stax.Dropout(0.5, mode=mode), dense)


@pytest.mark.parametrize("tile_size", [None, 1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_kernel_that_depends_on_other_samples_is_refused(tile_size, dtype):
    X = gaussian(4, 12).astype(dtype)
    kernel = StaxNTK(dropout("train"), tile_size=tile_size)
    for compute in (kernel, kernel.diag, lambda X: kernel.input_vjp(X, X, np.ones((4, 4)))):
        with pytest.raises(ValueError, match=r"^network .*more than two samples.*mode=.test"):
            compute(X)
    tested = StaxNTK(dropout("test"), tile_size=tile_size)(X)
    assert_allclose(tested, FullyConnectedNTK(1)(X), rtol=1e-5)


@pytest.mark.parametrize("network", [None, "fc1", (1, 2, 3), (flat, flat), lambda: 3])
def test_wrong_network(network):
    with pytest.raises(TypeError, match=r"network=.* must be \(init_fn, apply_fn, kernel_fn\)"):
        StaxNTK(network)(gaussian(2, 12))


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        (
            {"image_shape": (3, 3, 1)},
            ValueError,
            r"image_shape=\(3, 3, 1\) has 9 values",
        ),
        ({"image_shape": (3, 4)}, ValueError, r"image_shape=\(3, 4\) must be \(height, width, ch"),
        ({"image_shape": 12}, ValueError, r"image_shape=12 must be \(height, width, channels\)"),
        ({"image_shape": (3, 2, 2.0)}, TypeError, "image_shape must be an integer, got 2.0"),
        ({"image_shape": (-3, -2, 2)}, ValueError, "image_shape=-3 is out of range"),
        ({"tile_size": 0}, ValueError, "tile_size=0 is out of range; give an integer of at least"),
        ({"tile_size": 2.0}, TypeError, "tile_size must be an integer, got 2.0"),
    ],
)
def test_wrong_parameters(parameters, error, message):
    with pytest.raises(error, match=message):
        StaxNTK(flattened, **parameters)(gaussian(2, 12))
