"""The two ways to subtract the initial output, and the kernel of a fitted network."""

import pickle

import jax
import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")

from flax import linen as nn
from flax import nnx
from sklearn.base import clone

from skntk import FlaxClassifier, NTKAttack, NTKClassifier, SpectralFeatureDecomposer
from skntk.networks import TwoLayerReLU

RNG = np.random.default_rng(0)
X, Z = RNG.random((20, 4)), RNG.random((6, 4))
LABELS = {1: np.arange(20) % 2, 3: np.arange(20) % 3}
OPTIONS = {"loss": "squared_error", "batch_size": None, "learning_rate": 0.1, "random_state": 0}


def network(module=None, **parameters):
    module = nn.Sequential([nn.Dense(16), nn.relu, nn.Dense(3)]) if module is None else module
    return FlaxClassifier(module, **(OPTIONS | {"max_epochs": 5} | parameters))


def test_measurement_trains_the_network_itself_and_subtracts_its_start():
    plain = network().fit(X, LABELS[3])
    start = network(max_epochs=0).fit(X, LABELS[3])
    measured = network(centered="measurement").fit(X, LABELS[3])
    for a, b in zip(*(jax.tree.leaves(c.params_) for c in (plain, measured)), strict=True):
        np.testing.assert_array_equal(a, b)
    expected = plain.decision_function(Z) - start.decision_function(Z)
    np.testing.assert_allclose(measured.decision_function(Z), expected, atol=1e-14)
    c = RNG.standard_normal((6, 3))
    gradient = plain.input_vjp(Z, c) - start.input_vjp(Z, c)
    np.testing.assert_allclose(measured.input_vjp(Z, c), gradient, atol=1e-14)
    np.testing.assert_array_equal(plain.history_["loss"], measured.history_["loss"])


def test_training_is_true_and_another_flow():
    as_true, named, measured = (
        network(centered=c).fit(X, LABELS[3]) for c in (True, "training", "measurement")
    )
    np.testing.assert_array_equal(as_true.decision_function(Z), named.decision_function(Z))
    assert np.abs(named.decision_function(Z) - measured.decision_function(Z)).max() > 1e-3


def test_training_is_nearer_to_the_kernel():
    """A wide network whose start is not small."""
    module = TwoLayerReLU(2000, init_std=1.0)
    time = 400 * 0.1 / 20
    kernel = NTKClassifier("two_layer", time=time).fit(X, LABELS[1])
    off = [
        np.abs(
            network(module, centered=c, max_epochs=400).fit(X, LABELS[1]).decision_function(Z)
            - kernel.decision_function(Z)
        ).mean()
        for c in ("training", "measurement", False)
    ]
    assert off[0] < 0.2 * min(off[1:])


def test_other_names_are_refused():
    with pytest.raises(ValueError, match="centered='test'"):
        network(centered="test").fit(X, LABELS[3])


class Twins(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(4, 8, rngs=rngs)
        self.second = nnx.Linear(8, 3, rngs=rngs)

    def __call__(self, x):
        return self.second(nnx.tanh(self.first(x)))


class Normalised(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(8)(x))
        return nn.Dense(3)(nn.relu(x))


NETWORKS = {
    "linen": lambda: network().fit(X, LABELS[3]),
    "nnx": lambda: network(Twins).fit(X, LABELS[3]),
    "two layers, whose signs are constants": lambda: network(TwoLayerReLU(8)).fit(X, LABELS[1]),
    "running statistics": lambda: network(Normalised()).fit(X, LABELS[3]),
    "linearised": lambda: network(linearize_at=2).fit(X, LABELS[3]),
    "centred": lambda: network(centered=True).fit(X, LABELS[3]),
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_as_kernel_is_the_tangent_kernel_of_the_fitted_network(make):
    clf = make()
    kernel = clf.as_kernel()
    full = clf.empirical_ntk(X[:5])
    np.testing.assert_array_equal(kernel.full(X[:5]), full)
    k = len(full) // 5
    trace = np.einsum("iaja->ij", full.reshape(5, k, 5, k)) / k
    np.testing.assert_allclose(kernel(X[:5]), trace, rtol=1e-12)
    for same in (clone(kernel), pickle.loads(pickle.dumps(kernel))):
        np.testing.assert_array_equal(same(X[:5]), kernel(X[:5]))
    assert len(repr(kernel)) < 5000


def test_machines_features_and_attacks_take_it():
    clf = NETWORKS["linen"]()
    kernel = clf.as_kernel()
    before = kernel(X)
    machine = NTKClassifier(kernel, alpha=0.1).fit(X, LABELS[3])
    assert NTKAttack(machine, eps=0.05).generate(Z).shape == Z.shape
    outputs = NTKClassifier(kernel, alpha=0.1, multi_output=True).fit(X, LABELS[3])
    assert outputs.decision_function(Z).shape == (6, 3)
    decomposer = SpectralFeatureDecomposer(kernel, n_components=4).fit(X, LABELS[3])
    assert decomposer.transform(Z).shape == (6, 12)
    clf.set_params(warm_start=True).fit(X, LABELS[3])
    np.testing.assert_array_equal(kernel(X), before)
