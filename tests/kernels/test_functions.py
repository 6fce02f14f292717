"""Kernels as JAX functions of two points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import gaussian
from numpy.testing import assert_allclose

from skntk.kernels import (
    ConvolutionalNTK,
    EmpiricalNTK,
    FullyConnectedNTK,
    PairNTK,
    StaxNTK,
    TwoLayerNTK,
)

D = 4


class Quadratic(PairNTK):
    def pair_function(self, n_features):
        return (lambda x, z, offset: (jnp.dot(x, z) + offset) ** 2), (0.5,)


KERNELS = {
    "linear": FullyConnectedNTK(0),
    "fc2": FullyConnectedNTK(2),
    "no bias": FullyConnectedNTK(3, bias_std=0.0),
    "two_layer": TwoLayerNTK(),
    "conv": ConvolutionalNTK(2, image_shape=(2, 2, 1)),
    "conv no bias": ConvolutionalNTK(1, image_shape=(2, 2, 1), bias_std=0.0),
    "pair": Quadratic(),
    "composed": (FullyConnectedNTK(1) + 0.5 * TwoLayerNTK()) * Quadratic(),
    "nngp": FullyConnectedNTK(2)._as_nngp(),
}
each = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
X = np.concatenate([gaussian(4, D), np.zeros((1, D))])
Z = np.concatenate([X[:2], -X[:2], gaussian(2, D, seed=1), np.zeros((1, D))])


def gram(kernel):
    function = kernel.as_jax()
    return jax.jit(jax.vmap(jax.vmap(function, (None, 0)), (0, None)))


@each
def test_values_and_gradients_are_those_of_the_kernel_at_kinks_too(kernel):
    weights = gaussian(len(X), len(Z), seed=2)
    with jax.enable_x64(True):
        values, pullback = jax.vjp(gram(kernel), X, Z)
        by_x, by_z = pullback(jnp.asarray(weights))
    scale = kernel.diag(X).max()
    assert_allclose(values, kernel(X, Z), rtol=1e-11, atol=1e-13 * scale)
    for found, expected in (
        (by_x, kernel.input_vjp(X, Z, weights)),
        (by_z, kernel.input_vjp(Z, X, weights.T)),
    ):
        assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@each
def test_float32_and_forward_mode(kernel):
    x, z = X[0].astype(np.float32), X[1].astype(np.float32)
    function = kernel.as_jax()
    with jax.enable_x64(False):
        value, slope = jax.jvp(function, (x, z), (z, x))
        assert value.dtype == jnp.float32
        assert function(x.astype(np.float16), z.astype(int)).dtype == jnp.float32
    assert_allclose(value, kernel(x, z), rtol=1e-4)
    ones = np.ones((1, 1))
    expected = (
        kernel.input_vjp(X[:1], X[1:2], ones) @ X[1] + kernel.input_vjp(X[1:2], X[:1], ones) @ X[0]
    )
    assert_allclose(slope, expected[0], rtol=1e-3, atol=1e-3)


def test_second_derivatives_away_from_kinks():
    function, x, z = KERNELS["fc2"].as_jax(), X[0], X[1]
    with jax.enable_x64(True):
        hessian = jax.hessian(function)(x, z)
        gradient, step = jax.grad(function), 1e-5
        numeric = [
            (gradient(x + step * e, z) - gradient(x - step * e, z)) / (2 * step) for e in np.eye(D)
        ]
    assert_allclose(hessian, np.array(numeric), rtol=1e-6, atol=1e-8)


def test_wrong_points_and_parameters_and_kernels_without_a_function():
    function = FullyConnectedNTK().as_jax()
    with pytest.raises(ValueError, match=r"x has shape \(5, 4\) and z has \(4,\).*jax.vmap"):
        function(X, X[0])
    with pytest.raises(ValueError, match="depth=-1"):
        FullyConnectedNTK(-1).as_jax()(X[0], X[0])
    for kernel in (EmpiricalNTK(np.matmul, X.T), StaxNTK(None)):
        for composed in (kernel, kernel + TwoLayerNTK(), 2.0 * kernel):
            with pytest.raises(TypeError, match=f"{type(kernel).__name__} has no JAX function"):
                composed.as_jax()
