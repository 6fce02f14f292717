"""Results do not depend on the switches of JAX that the host program has set."""

from contextlib import contextmanager

import jax
import numpy as np
import pytest
from helpers import gaussian
from numpy.testing import assert_allclose

from skntk import NTKClassifier, load_neural_tangents
from skntk.kernels import (
    ConvolutionalNTK,
    EmpiricalNTK,
    FullyConnectedNTK,
    StaxNTK,
    TwoLayerNTK,
)

IMAGE = (4, 4, 1)
SWITCHES = {
    "jax_numpy_rank_promotion": "raise",
    "jax_numpy_dtype_promotion": "strict",
    "jax_enable_checks": True,
    "jax_debug_nans": True,
}


def stax_network():
    stax = load_neural_tangents().stax
    layer = {"W_std": 1.4, "b_std": 0.1}
    return stax.serial(stax.Dense(1, **layer), stax.Relu(), stax.Dense(1, **layer))


def two_finite_layers():
    pytest.importorskip("flax")
    from skntk.networks import TwoLayerReLU

    return EmpiricalNTK(TwoLayerReLU(8), random_state=0)


def paper_network():
    pytest.importorskip("flax")
    from skntk.networks import MNISTConvNet

    return EmpiricalNTK(MNISTConvNet(2, image_shape=IMAGE), random_state=0)


KERNELS = {
    "fully connected": lambda: FullyConnectedNTK(2),
    "without bias": lambda: FullyConnectedNTK(2, bias_std=0.0),
    "convolutional": lambda: ConvolutionalNTK(1, image_shape=IMAGE),
    "deep convolutional": lambda: ConvolutionalNTK(2, image_shape=IMAGE),
    "convolutional without bias": lambda: ConvolutionalNTK(1, image_shape=IMAGE, bias_std=0.0),
    "two layers": TwoLayerNTK,
    "stax": lambda: StaxNTK(stax_network),
    "two finite layers": two_finite_layers,
    "paper": paper_network,
}


@contextmanager
def switched(names):
    before = {name: getattr(jax.config, name) for name in names}
    jax.clear_caches()  # traces made before would not be checked
    for name in names:
        jax.config.update(name, SWITCHES[name])
    try:
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def results(kernel):
    X = gaussian(6, 16)
    X[0], X[1], X[3] = 0, -X[2], X[4]
    clf = NTKClassifier(kernel, alpha=0.1).fit(X, np.arange(6) % 2)
    return (
        kernel(X),
        kernel(X, X[:2]),
        kernel.diag(X),
        kernel.input_vjp(X, X[:2], np.ones((6, 2))),
        clf.decision_function(X),
        clf.input_vjp(X, np.ones(6)),
    )


#: Variants of the kernels above, which XLA takes long to compile.
SLOW = ["without bias", "deep convolutional", "convolutional without bias", "two layers", "paper"]


@pytest.mark.parametrize(
    "name", [pytest.param(k, marks=[pytest.mark.slow] * (k in SLOW)) for k in KERNELS]
)
@pytest.mark.parametrize(
    "switches",
    [
        pytest.param(tuple(SWITCHES), id="all"),
        # One at a time, for which XLA compiles everything again.
        *(pytest.param((switch,), marks=pytest.mark.slow, id=switch) for switch in SWITCHES),
    ],
)
def test_the_switches_of_jax_do_not_matter(name, switches):
    expected = results(KERNELS[name]())
    with switched(switches):
        found = results(KERNELS[name]())
    for a, b in zip(found, expected, strict=True):
        assert_allclose(a, b, rtol=1e-10, atol=1e-12)
