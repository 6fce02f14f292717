"""Sums, products and multiples of kernels."""

import pickle

import jax
import numpy as np
import pytest
from helpers import gaussian
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import skntk.kernels
from skntk import NTKAttack, NTKClassifier, SpectralFeatureDecomposer
from skntk.kernels import (
    ConstantKernel,
    EmpiricalNTK,
    FullyConnectedNTK,
    ProductKernel,
    ScaledKernel,
    SumKernel,
    TwoLayerNTK,
)

D = 4
X, Z = gaussian(9, D), gaussian(6, D, seed=1)
A, B = FullyConnectedNTK(1), TwoLayerNTK()
VALUES = {
    "sum": (A + B, lambda a, b: a + b),
    "product": (A * B, lambda a, b: a * b),
    "left": (2.0 * A, lambda a, b: 2 * a),
    "right": (A * 0.5, lambda a, b: a / 2),
    "numpy": (np.float64(3) * B, lambda a, b: 3 * b),
    "integer": (np.int64(3) * B, lambda a, b: 3 * b),
    "constant": (A + 1.5, lambda a, b: a + 1.5),
    "number first": (np.float64(0.5) + B, lambda a, b: b + 0.5),
    "whole number": (A * (B + 2), lambda a, b: a * (b + 2)),
    "nested": ((A + 2.0 * B) * (B + A) * 0.5, lambda a, b: (a + 2 * b) * (b + a) / 2),
}
each = pytest.mark.parametrize(("kernel", "combine"), VALUES.values(), ids=VALUES)


@each
@pytest.mark.parametrize("size", [2, 2048])
def test_values_are_those_of_the_parts(kernel, combine, size, monkeypatch):
    monkeypatch.setattr(skntk.kernels.NeuralTangentKernel, "block_size", size)
    assert_allclose(kernel(X), combine(A(X), B(X)), rtol=1e-12)
    assert_allclose(kernel(X, Z), combine(A(X, Z), B(X, Z)), rtol=1e-12, atol=1e-14)
    assert_allclose(kernel.diag(X), combine(A.diag(X), B.diag(X)), rtol=1e-12)
    assert_array_equal(kernel(X), kernel(X).T)
    assert kernel(X.astype("f4")).dtype == np.float32


@each
def test_repr_can_be_typed_and_equality_is_by_parameters(kernel, combine):
    assert eval(repr(kernel), vars(skntk.kernels)) == kernel
    assert pickle.loads(pickle.dumps(kernel)) == kernel == clone(kernel)
    assert kernel != A
    assert len(kernel._repr_html_()) > 100


def test_equality_of_kernels():
    def linear(weights, n=1):
        return EmpiricalNTK(np.matmul, {"w": weights}, n_draws=n)

    assert FullyConnectedNTK(1) == A
    assert hash(A) == hash(FullyConnectedNTK(2))
    assert FullyConnectedNTK(2) != A
    assert A != "fc1"
    assert A + B != B + A
    assert linear(np.ones(3)) == linear(np.ones(3))
    assert linear(np.ones(3)) != linear(np.zeros(3))
    assert linear(np.ones(3)) != linear(np.ones(2))


def test_nested_parameters_can_be_set_and_searched():
    kernel = A + 2.0 * FullyConnectedNTK(2)
    assert kernel.get_params()["right__kernel__depth"] == 2
    copy = clone(kernel).set_params(right__kernel__depth=3, right__factor=5.0, left=TwoLayerNTK())
    assert repr(copy).startswith("TwoLayerNTK() + 5.0 * FullyConnectedNTK(depth=3,")
    assert kernel.right.kernel.depth == 2
    replaced = clone(kernel).set_params(left__depth=4, left=FullyConnectedNTK(1))
    assert replaced.left.depth == 4
    with pytest.raises(ValueError, match="SumKernel has no parameter 'left__width'"):
        kernel.set_params(left__width=3)
    y = np.arange(40) % 2
    points = gaussian(40, D)
    points[:, 0] += 3 * y
    grid = {"kernel__left__depth": [1, 2], "kernel__right__factor": [0.1, 1.0]}
    search = GridSearchCV(NTKClassifier(kernel, alpha=0.1), grid, cv=2).fit(points, y)
    assert search.best_score_ > 0.7
    assert search.best_estimator_.kernel_.left.depth == search.best_params_["kernel__left__depth"]


@pytest.mark.parametrize("kernel", [A + B, A * B, 2.0 * A, A + 1.0])
def test_estimators_and_attacks_take_them(kernel):
    points = np.random.default_rng(0).random((40, D))
    y = np.arange(40) % 3
    classifier = NTKClassifier(kernel).fit(points, y)
    assert classifier.score(points, y) == 1
    assert SpectralFeatureDecomposer(kernel).fit(points, y).score(points, y) == 1
    attacked = NTKAttack(classifier, eps=0.1, method="pgd").generate(points, y)
    assert classifier.score(attacked, y) < 1
    by_cg = NTKClassifier(kernel, solver="cg", alpha=1e-3, memory_limit=1.0).fit(points, y)
    expected = NTKClassifier(kernel, alpha=1e-3).fit(points, y).decision_function(points)
    assert_allclose(by_cg.decision_function(points), expected, atol=1e-4)


def test_a_multiple_of_the_kernel_is_another_time():
    y = np.arange(9) % 2
    slow = NTKClassifier(A, time=2.0).fit(X, y).decision_function(Z)
    fast = NTKClassifier(2.0 * A, time=1.0).fit(X, y).decision_function(Z)
    assert_allclose(fast, slow, rtol=1e-9)


def test_covariances_at_initialisation():
    a, b = A.nngp(X), B.nngp(X)
    assert_allclose((A + 2.0 * B).nngp(X), a + 2 * b, rtol=1e-12)
    with pytest.raises(TypeError, match="ProductKernel has no NNGP kernel"):
        (A * B).nngp(X)


@pytest.mark.parametrize("number", [0, -1.0, np.nan, np.inf, np.float64(-2), True])
def test_numbers_are_positive_and_finite(number):
    for multiply in (lambda: number * A, lambda: A * number):
        with pytest.raises((ValueError, TypeError), match="factor"):
            multiply()


@pytest.mark.parametrize("number", [0, -1.0, np.nan, np.inf, True])
def test_constants_are_positive_and_finite(number):
    for shift in (lambda: number + A, lambda: A + number, lambda: ConstantKernel(number)(X)):
        with pytest.raises((ValueError, TypeError), match="value"):
            shift()


def test_a_constant_is_the_kernel_of_a_trained_bias():
    def apply_fn(params, x):
        return x @ params["w"] + 2.0 * params["b"]

    bias = EmpiricalNTK(apply_fn, {"w": np.ones((D, 1)), "b": np.zeros(1)})
    linear = EmpiricalNTK(lambda params, x: x @ params["w"], {"w": np.ones((D, 1))})
    kernel = linear + 4.0
    assert_allclose(kernel(X, Z), bias(X, Z), rtol=1e-9, atol=1e-12)
    W = gaussian(9, 6, seed=2)
    assert_allclose(kernel.input_vjp(X, Z, W), bias.input_vjp(X, Z, W), rtol=1e-9, atol=1e-12)
    assert_allclose((A + 4.0).nngp(X), A.nngp(X) + 4, rtol=1e-12)
    value = jax.jit((A + 4.0).as_jax())(X[0], Z[0])
    assert_allclose(value, (A + 4.0)(X[0], Z[0]), rtol=1e-5)


def test_what_is_no_kernel_is_refused():
    for combine in (
        lambda: A + X,
        lambda: A + "fc1",
        lambda: A * "fc1",
        lambda: "fc1" + A,
        lambda: A * X,
    ):
        with pytest.raises(TypeError, match=r"unsupported|concatenate|multiply|support ufuncs"):
            combine()
    with pytest.raises(ValueError, match=r"factor=-1\.0"):
        ScaledKernel(A, -1.0)(X)
    with pytest.raises(TypeError, match=r"right='fc1' must be a kernel.*resolve_kernel"):
        SumKernel(A, "fc1")(X)
    with pytest.raises(TypeError, match="left=3 must be a kernel"):
        ProductKernel(3, A)(X)
    with pytest.raises(ValueError, match="depth=-1"):
        (FullyConnectedNTK(-1) + B)(X)
