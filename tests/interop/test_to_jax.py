"""Fitted kernel machines as JAX functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression

from skntk import (
    NTKClassifier,
    NTKRegressor,
    NTKRegressorCV,
    RobustFeatureSelector,
    SpectralFeatureDecomposer,
)
from skntk.interop import to_jax

X = np.random.default_rng(0).random((30, 4))
Z = np.concatenate([np.random.default_rng(1).random((5, 4)), X[:2], np.zeros((1, 4))])
MACHINES = {
    "classifier": NTKClassifier("fc2", alpha=1e-2),
    "at a time": NTKClassifier("conv1", time=3.0),
    "features": SpectralFeatureDecomposer("fc1", n_components=8),
    "selector": RobustFeatureSelector(SpectralFeatureDecomposer("two_layer"), eps=0.1),
}


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_outputs_and_gradients_are_those_of_the_machine(machine, n_classes):
    machine = machine.fit(X, np.arange(30) % n_classes)
    outputs = machine.decision_function(Z)
    cotangents = np.random.default_rng(2).standard_normal(outputs.shape)
    with jax.enable_x64(True):
        function = jax.jit(to_jax(machine))
        found, pullback = jax.vjp(function, Z)
        gradient = pullback(jnp.asarray(cotangents))[0]
        single = function(Z[0])
    expected = machine.input_vjp(Z, cotangents)
    assert found.shape == outputs.shape
    assert single.shape == outputs.shape[1:]
    assert_allclose(found, outputs, atol=1e-8 * np.abs(machine.dual_coef_).sum())
    assert_allclose(single, found[0], rtol=1e-9, atol=1e-9)
    assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8 * np.abs(machine.dual_coef_).sum())


@pytest.mark.parametrize("machine", [NTKRegressor("fc1"), NTKRegressorCV("fc1")], ids=["", "cv"])
@pytest.mark.parametrize("n_targets", [1, 2])
def test_a_regressor_gives_its_targets(machine, n_targets):
    machine = machine.fit(X, np.sin(X[:, :n_targets]))
    with jax.enable_x64(True):
        found = np.reshape(to_jax(machine)(Z), (len(Z), n_targets))
    assert_allclose(found, machine.predict(Z), atol=1e-8 * np.abs(machine.dual_coef_).sum())


def test_what_has_no_jax_function_is_refused():
    y = np.arange(30) % 2
    for other in (NTKClassifier(), LogisticRegression().fit(X, y), "fc1"):
        with pytest.raises(TypeError, match="is no fitted kernel machine; give a fitted"):
            to_jax(other)
    with pytest.raises(ValueError, match="kernel='precomputed' leaves no inputs"):
        to_jax(NTKClassifier("precomputed").fit(np.eye(30), y))
    with pytest.raises(ValueError, match=r"x has shape \(3,\); give one point, \(4,\), or"):
        to_jax(NTKClassifier().fit(X, y))(np.ones(3))
