"""JAX functions as classifiers."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import Compilations
from numpy.testing import assert_allclose, assert_array_equal

from skntk import NTKAttack
from skntk.interop import from_jax

W = np.random.default_rng(0).standard_normal((4, 3))
X = np.random.default_rng(1).random((300, 4))


def function(x):
    return jnp.tanh(x @ W.astype(x.dtype)) ** 2


def binary(x):
    return function(x)[:, 0] - 0.3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m", [1, 5, 256, 300])
def test_outputs_and_gradients_are_those_of_jax(m, dtype):
    clf = from_jax(function, classes=[0, 1, 2], n_features=4)
    inputs = X[:m].astype(dtype)
    cotangents = np.random.default_rng(2).standard_normal((m, 3)).astype(dtype)
    with jax.enable_x64(True):
        outputs, pullback = jax.vjp(function, jnp.asarray(inputs))
        gradient = pullback(jnp.asarray(cotangents))[0]
    tolerance = {"rtol": 1e-12 if dtype == np.float64 else 1e-5, "atol": 1e-6}
    assert clf.decision_function(inputs).dtype == dtype
    assert_allclose(clf.decision_function(inputs), outputs, **tolerance)
    assert_allclose(clf.input_vjp(inputs, cotangents), gradient, **tolerance)


def test_two_classes():
    clf = from_jax(binary, classes=["low", "high"], n_features=4)
    assert clf.decision_function(X).shape == (300,)
    result = NTKAttack(clf, eps=0.3, method="auto", n_queries=20, random_state=0).run(
        X[:40], clf.predict(X[:40]), epsilons=[0.3]
    )
    assert result.success.mean() > 0.5
    assert_array_equal(clf.predict(result.X_adv[0]) != clf.predict(X[:40]), result.success[0])


def test_few_sizes_are_compiled():
    clf = from_jax(function, classes=[0, 1, 2], n_features=4)
    clf.decision_function(X)
    with Compilations() as compiled:
        for m in (256, 255, 200, 129, 300):
            clf.decision_function(X[:m])
    assert compiled.count <= 1


def test_it_is_pickled():
    clf = pickle.loads(pickle.dumps(from_jax(function, classes=[0, 1, 2], n_features=4)))
    assert_allclose(clf.decision_function(X), function(X), rtol=1e-5)
