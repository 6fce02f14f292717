"""The covariance of a network's outputs at initialisation."""

import jax
import numpy as np
import pytest
from helpers import central_differences, gaussian
from numpy.testing import assert_allclose, assert_array_equal

from skntk import load_neural_tangents
from skntk.kernels import (
    ConvolutionalNTK,
    EmpiricalNTK,
    FullyConnectedNTK,
    PairNTK,
    StaxNTK,
    TwoLayerNTK,
)

stax = load_neural_tangents().stax
D, IMAGE = 18, (3, 3, 2)


def dense(w=1.5, b=0.1):
    return stax.Dense(1, W_std=w, b_std=b)


def fully_connected(depth, w, b):
    return stax.serial(*[dense(w, b), stax.Relu()] * depth, dense(w, b))


def convolutional(depth, w, b):
    conv = stax.Conv(1, (3, 3), padding="SAME", W_std=w, b_std=b)
    return stax.serial(*[conv, stax.Relu()] * depth, stax.Flatten(), dense(w, b))


def two_layer():
    return stax.serial(stax.Dense(1, W_std=D**0.5, b_std=None), stax.Relu())


PARAMETERS = {"usual": (2**0.5, 0.1), "no bias": (1.5, 0.0)}
NETWORKS = {
    f"{name}{depth} {label}": (kernel, network(depth, w, b), shape)
    for label, (w, b) in PARAMETERS.items()
    for depth in (1, 2, 5)
    for name, kernel, network, shape in (
        ("fc", FullyConnectedNTK(depth, weight_std=w, bias_std=b), fully_connected, (D,)),
        (
            "conv",
            ConvolutionalNTK(depth, image_shape=IMAGE, weight_std=w, bias_std=b),
            convolutional,
            IMAGE,
        ),
    )
} | {
    "linear": (FullyConnectedNTK(0), fully_connected(0, 2**0.5, 0.1), (D,)),
    "two layers": (TwoLayerNTK(), two_layer(), (D,)),
    "stax": (StaxNTK(fully_connected(2, 1.5, 0.1)), fully_connected(2, 1.5, 0.1), (D,)),
    "stax images": (
        StaxNTK(convolutional(2, 1.5, 0.1), image_shape=IMAGE),
        convolutional(2, 1.5, 0.1),
        IMAGE,
    ),
}
each = pytest.mark.parametrize(("kernel", "network", "shape"), NETWORKS.values(), ids=NETWORKS)


def samples(n, seed=0):
    return gaussian(n, D, seed=seed)


@each
def test_equals_that_of_neural_tangents(kernel, network, shape):
    X, Z = samples(7), samples(5, seed=1)
    with jax.enable_x64(True):
        blocks = [np.asarray(a).reshape(-1, *shape) for a in (X, Z)]
        expected = np.asarray(network[2](*blocks, "nngp"))
        symmetric = np.asarray(network[2](blocks[0], None, "nngp"))
    assert_allclose(kernel.nngp(X, Z), expected, rtol=1e-10)
    # neural_tangents itself rounds the angle of a sample with itself.
    assert_allclose(kernel.nngp(X), symmetric, rtol=1e-10)


@each
def test_is_symmetric_and_keeps_dtypes(kernel, network, shape):
    X = samples(70)
    covariance = kernel.nngp(X)
    assert_array_equal(covariance, covariance.T)
    assert_allclose(kernel.nngp(X, X.copy()), covariance, rtol=1e-10, atol=1e-12)
    single = kernel.nngp(X.astype(np.float32))
    assert single.dtype == np.float32
    assert_allclose(single, covariance, rtol=1e-4, atol=1e-5)
    assert kernel.nngp(X.astype(np.float32), X).dtype == np.float64
    eigenvalues = np.linalg.eigvalsh(covariance)
    assert eigenvalues[0] >= -1e-12 * eigenvalues[-1]


@each
def test_the_tangent_kernel_stays_what_it_is(kernel, network, shape):
    X = samples(5)
    before = kernel(X)
    kernel.nngp(X)
    assert_array_equal(kernel(X), before)
    # The tangent kernel exceeds the covariance by what the layers below the last contribute.
    if not isinstance(kernel, TwoLayerNTK):
        assert (kernel.diag(X) >= kernel.nngp(X).diagonal() * (1 - 1e-12)).all()


@each
def test_input_gradients_are_central_differences(kernel, network, shape):
    covariance, X, Z, W = kernel._as_nngp(), samples(3), samples(2, seed=1), gaussian(3, 2, seed=2)
    expected = np.einsum(
        "ij,ikj->ik", W, central_differences(lambda X: kernel.nngp(X, Z), X, step=1e-4)
    )
    assert_allclose(covariance.input_vjp(X, Z, W), expected, rtol=1e-6, atol=1e-8)


def test_two_layers_are_a_wide_random_network():
    X = samples(4) / D**0.5
    weights = gaussian(200_000, D, seed=3)
    hidden = np.maximum(X @ weights.T, 0)
    assert_allclose(hidden @ hidden.T / len(weights), TwoLayerNTK().nngp(X), atol=0.02)


class _Other(PairNTK):
    def pair_function(self, n_features):
        return (lambda x, z: x @ z), ()


@pytest.mark.parametrize("kernel", [EmpiricalNTK(lambda p, x: x @ p, np.ones((D, 1))), _Other()])
def test_kernels_without_one_say_so(kernel):
    name = type(kernel).__name__
    with pytest.raises(TypeError, match=f"{name} has no NNGP kernel.*FullyConnectedNTK, .* have"):
        kernel.nngp(samples(3))


def test_bad_inputs_and_parameters_get_the_errors_of_the_kernel():
    X = samples(3)
    with pytest.raises(ValueError, match="depth=-1"):
        FullyConnectedNTK(-1).nngp(X)
    with pytest.raises(ValueError, match="X has 18 features and Z has 17"):
        FullyConnectedNTK().nngp(X, X[:, 1:])
    with pytest.raises(ValueError, match=r"at initialisation \(NNGP\) is not finite for 9 of 9"):
        FullyConnectedNTK(15, weight_std=1e20).nngp(X)
