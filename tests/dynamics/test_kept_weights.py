"""Networks of earlier epochs, rebuilt from the weights that a tracker kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

pytest.importorskip("flax")
pytest.importorskip("optax")

from flax import linen as nn
from flax import nnx

from skntk import (
    AdversarialTraining,
    FlaxClassifier,
    KernelDynamicsTracker,
    NTKAttack,
    SpectralFeatureDecomposer,
)
from skntk.dynamics import SnapshotError

DIGITS, LABELS = load_digits(n_class=3, return_X_y=True)
X, y = DIGITS[:60] / 16, LABELS[:60]


class Normalised(nn.Module):
    n_outputs: int = 3

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(6)(x))
        return nn.Dense(self.n_outputs, param_dtype=jnp.bfloat16)(nn.tanh(x))


class Dropped(nnx.Module):
    """Its lists and generators are what a tree in NNX may hold besides arrays by name."""

    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(64, 5, rngs=rngs), nnx.Linear(5, 3, rngs=rngs)])
        self.dropout = nnx.Dropout(0.2, rngs=rngs)

    def __call__(self, x):
        return self.layers[1](self.dropout(nnx.tanh(self.layers[0](x))))


TRAININGS = {
    "standard": {"module": nn.Dense(3)},
    "statistics": {"module": Normalised()},
    "nnx": {"module": Dropped},
    "linearised": {"module": nn.Dense(3), "linearize_at": 1},
    "centred": {"module": nn.Dense(3), "centered": True},
    "attacked": {"module": nn.Dense(3), "adversary": AdversarialTraining(0.1, max_iter=2)},
}


def network(max_epochs, name="standard"):
    options = {"learning_rate": 0.5, "batch_size": 20, "random_state": 0} | TRAININGS[name]
    return FlaxClassifier(max_epochs=max_epochs, **options)


def tracker(**options):
    return KernelDynamicsTracker(X[:6], y[:6], **{"top": (3,), "keep_params": True} | options)


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "disk"])
@pytest.mark.parametrize("name", TRAININGS)
def test_networks_are_those_trained_that_long(tmp_path, name, on_disk):
    recorder = tracker(directory=tmp_path if on_disk else None)
    fitted = network(3, name).set_callbacks(recorder).fit(X, y, X[:9], y[:9])
    if on_disk:
        recorder = KernelDynamicsTracker.load(tmp_path)
    for step in range(4):
        expected = network(step, name).fit(X, y, X[:9], y[:9])
        rebuilt = recorder.at_step(step, fitted)
        assert rebuilt.n_epochs_ == step
        assert_array_equal(rebuilt.decision_function(X), expected.decision_function(X))
        assert rebuilt.history_.keys() == fitted.history_.keys()
        assert_array_equal(rebuilt.history_["loss"], expected.history_["loss"])
        for leaf, other in zip(
            jax.tree.leaves(rebuilt.params_), jax.tree.leaves(expected.params_), strict=True
        ):
            assert leaf.dtype == other.dtype
        assert_array_equal(rebuilt.empirical_ntk(X[:6]), expected.empirical_ntk(X[:6]))
        if name != "attacked":
            assert_array_equal(recorder.kernel(step), rebuilt.empirical_ntk(X[:6]))
    assert fitted.n_epochs_ == 3  # the one given is left as it was


def test_features_of_a_network_epoch_by_epoch():
    recorder = tracker()
    fitted = network(2).set_callbacks(recorder).fit(X, y)
    for step in recorder.steps_:
        rebuilt = recorder.at_step(step, fitted)
        decomposer = SpectralFeatureDecomposer(rebuilt.as_kernel(), n_components=4).fit(X, y)
        scores = decomposer.score_features(X, y, eps=0.1)
        assert scores.robustness.shape == (4,)
        attack = NTKAttack(rebuilt, eps=0.1)
        assert attack.generate(X[:5], y[:5]).shape == (5, 64)


def test_a_rebuilt_network_can_be_trained_on():
    recorder = tracker()
    fitted = network(3).set_callbacks(recorder).fit(X, y)
    rebuilt = recorder.at_step(1, fitted).set_callbacks().set_params(warm_start=True, max_epochs=2)
    rebuilt.fit(X, y)
    assert rebuilt.n_epochs_ == 3
    assert rebuilt.history_["loss"].shape == (3,)
    assert rebuilt.history_["loss"][-1] < fitted.history_["loss"][0]
    assert not hasattr(clone(rebuilt), "params_")


def test_trees_of_other_loops(tmp_path):
    def apply(params, x):
        return x @ params["w"] + params["b"][0]

    rng = np.random.default_rng(0)
    trees = [
        {"w": rng.normal(size=(4, 2)).astype(np.float32), "b": (rng.normal(size=2),)}
        for _ in range(3)
    ]
    recorders = [
        KernelDynamicsTracker(np.eye(4), top=(1,), keep_params=True, directory=directory)
        for directory in (None, tmp_path)
    ]
    for step, tree in enumerate(trees):
        given = jax.tree.map(np.copy, tree)
        for recorder in recorders:
            recorder.record(apply, given, step)
        given["w"][:] = 0  # a loop may write to its arrays
    for recorder in (*recorders, KernelDynamicsTracker.load(tmp_path)):
        for step, tree in enumerate(trees):
            found = recorder.params_at(step, like=trees[0])
            assert jax.tree.structure(found) == jax.tree.structure(tree)
            assert_array_equal(found["w"], tree["w"])
            assert found["w"].dtype == np.float32 and found["b"][0].dtype == np.float64
            assert_array_equal(found["b"][0], tree["b"][0])
        recorder.params_at(0, like=trees[0])["w"][:] = 9
        assert_allclose(recorder.params_at(0, like=trees[0])["w"], trees[0]["w"])


def test_an_interrupted_run_keeps_all_weights(tmp_path):
    network(1).set_callbacks(tracker(directory=tmp_path)).fit(X, y)
    resumed = tracker(directory=tmp_path, resume=True)
    fitted = network(3).set_callbacks(resumed).fit(X, y)
    for step in range(4):
        expected = network(step).fit(X, y)
        rebuilt = resumed.at_step(step, fitted)
        assert_array_equal(rebuilt.decision_function(X), expected.decision_function(X))


def test_directories_without_weights_are_another_run(tmp_path):
    network(1).set_callbacks(tracker(directory=tmp_path, keep_params=False)).fit(X, y)
    with pytest.raises(SnapshotError, match="with a different keep_params"):
        tracker(directory=tmp_path, resume=True)
    assert KernelDynamicsTracker.load(tmp_path).keep_params is False


def test_refused():
    recorder, without = tracker(), tracker(keep_params=False)
    fitted = network(1).set_callbacks(recorder, without).fit(X, y)
    with pytest.raises(KeyError, match=r"step=7 was not recorded; steps_ are \[0, 1\]"):
        recorder.at_step(7, fitted)
    with pytest.raises(ValueError, match="Weights were not kept; record with keep_params=True"):
        without.at_step(1, fitted)
    with pytest.raises(TypeError, match="is no FlaxClassifier; of other networks take params_at"):
        recorder.at_step(1, LogisticRegression())
    with pytest.raises(NotFittedError):
        recorder.at_step(1, network(1))
    other = network(1).set_params(module=nn.Dense(3, use_bias=False)).fit(X, y)
    with pytest.raises(ValueError, match="params of step 1 are those of another network"):
        recorder.at_step(1, other)
    with pytest.raises(TypeError, match="keep_params must be True or False"):
        tracker(keep_params="yes")


def test_a_step_of_an_own_loop_has_no_network():
    network = FlaxClassifier(nn.Dense(3), max_epochs=1, random_state=0).fit(X, y)
    tracker = KernelDynamicsTracker(X[:4], top=(1,), keep_params=True)
    tracker.record(network.module.apply, {"params": network.params_}, 0)
    with pytest.raises(ValueError, match=r"recorded by record.*take params_at"):
        tracker.at_step(0, network)
    assert set(tracker.params_at(0, {"params": network.params_})) == {"params"}
