"""Batch normalisation and dropout: trained in training mode, used in inference mode."""

import copy
import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")

import optax
from flax import linen as nn
from flax import nnx
from helpers import central_differences
from sklearn.base import clone

from skntk import AdversarialTraining, FlaxClassifier, KernelDynamicsTracker, NTKAttack
from skntk.kernels import EmpiricalNTK

RNG = np.random.default_rng(0)
X = RNG.random((14, 5))
y = np.arange(14) % 3
BOX = (0.0, 1.0)


class Linen(nn.Module):
    """Told its mode as in Flax's own examples."""

    rate: float = 0.0

    @nn.compact
    def __call__(self, x, train: bool):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.8)(nn.Dense(6)(x))
        x = nn.Dropout(self.rate, deterministic=not train)(nn.tanh(x))
        return nn.Dense(3)(x)


class Deterministic(nn.Module):
    @nn.compact
    def __call__(self, x, *, deterministic=True):
        return nn.Dense(3)(nn.Dropout(0.5, deterministic=deterministic)(nn.Dense(6)(x)))


class Training(nn.Module):
    @nn.compact
    def __call__(self, x, training=False):
        return nn.Dense(3)(nn.Dropout(0.5)(nn.Dense(6)(x), deterministic=not training))


class RunningAverage(nn.Module):
    def setup(self):
        self.norm, self.dense = nn.BatchNorm(momentum=0.5), nn.Dense(3)

    def __call__(self, x, use_running_average=None):
        return self.dense(self.norm(x, use_running_average=use_running_average))


class InField(nn.Module):
    """Told its mode by a field, in training mode unless told otherwise."""

    train: bool = True

    @nn.compact
    def __call__(self, x):
        x = nn.BatchNorm(use_running_average=not self.train)(nn.Dense(6)(x))
        return nn.Dense(3)(nn.Dropout(0.5, deterministic=not self.train)(x))


class NNX(nnx.Module):
    def __init__(self, rngs, rate=0.0):
        self.first, self.last = nnx.Linear(5, 6, rngs=rngs), nnx.Linear(6, 3, rngs=rngs)
        self.norm = nnx.BatchNorm(6, momentum=0.8, rngs=rngs)
        self.dropout = nnx.Dropout(rate, rngs=rngs)

    def __call__(self, x):
        return self.last(self.dropout(nnx.tanh(self.norm(self.first(x)))))


def told_by_call(rngs):
    class Called(nnx.Module):
        def __init__(self, rngs):
            self.linear, self.norm = nnx.Linear(5, 3, rngs=rngs), nnx.BatchNorm(3, rngs=rngs)

        def __call__(self, x, *, train):
            return self.norm(self.linear(x), use_running_average=not train)

    return Called(rngs)


RANDOM = {"linen": Linen(0.5), "nnx": functools.partial(NNX, rate=0.5), "field": InField()}
STATEFUL = {"linen": Linen(), "nnx": NNX, "average": RunningAverage(), "called": told_by_call}


def classifier(module, **parameters):
    options = {"max_epochs": 3, "batch_size": 4, "learning_rate": 0.1, "random_state": 0}
    return FlaxClassifier(module, **(options | parameters))


def same(left, right):
    leaves = [jax.tree.leaves((c.params_, c.constants_)) for c in (left, right)]
    return all(np.array_equal(a, b) for a, b in zip(*leaves, strict=True))


def plain_training(clf, momentum_of_steps):
    """The same training written by hand, one batch of all samples after the other."""
    module, x = Linen(), jnp.asarray(X)
    params, stats = clf.params_, clf.constants_["batch_stats"]
    rule = optax.sgd(0.1)
    state = rule.init(params)

    def loss(params, stats):
        variables = {"params": params, "batch_stats": stats}
        outputs, after = module.apply(variables, x, train=True, mutable=["batch_stats"])
        values = optax.softmax_cross_entropy_with_integer_labels(outputs, y)
        return values.mean(), after["batch_stats"]

    for _ in range(momentum_of_steps):
        gradient, stats = jax.grad(loss, has_aux=True)(params, stats)
        updates, state = rule.update(gradient, state)
        params = optax.apply_updates(params, updates)
    return params, stats


def test_training_equals_a_loop_in_plain_flax():
    untrained = classifier(Linen(), max_epochs=0, batch_size=None).fit(X, y)
    clf = classifier(Linen(), max_epochs=5, batch_size=None).fit(X, y)
    with jax.enable_x64(True):
        params, stats = plain_training(untrained, 5)
        variables = {"params": params, "batch_stats": stats}
        outputs = Linen().apply(variables, jnp.asarray(X), train=False)
    for ours, theirs in ((clf.params_, params), (clf.constants_["batch_stats"], stats)):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-9, 1e-12), ours, theirs)
    np.testing.assert_allclose(clf.decision_function(X), outputs, rtol=1e-9)


def test_the_last_batch_is_not_padded():
    """Its statistics would be those of samples that are not in it."""
    X6, y6 = X[:6], y[:6]
    clf = classifier(RunningAverage(), max_epochs=1, batch_size=4, learning_rate=1e-9)
    clf.fit(X6, y6)
    order = np.random.RandomState(np.random.RandomState(0).randint(2**31))
    order.randint(2**31)
    order = order.permutation(6)
    mean = 0.5 * (0.5 * X6[order[:4]].mean(axis=0)) + 0.5 * X6[order[4:]].mean(axis=0)
    stats = clf.constants_["batch_stats"]["norm"]
    np.testing.assert_allclose(stats["mean"], mean, rtol=1e-9)


@pytest.mark.parametrize("module", STATEFUL.values(), ids=STATEFUL)
def test_statistics_run_in_training_and_rest_in_inference(module):
    untrained = classifier(module, max_epochs=0).fit(X, y)
    clf = classifier(module).fit(X, y)
    assert not same(untrained, clf)
    before = copy.deepcopy(clf.constants_)
    outputs = clf.decision_function(X)
    alone = np.vstack([clf.decision_function(x[None]) for x in X])
    np.testing.assert_allclose(alone, outputs, rtol=1e-9)
    clf.empirical_ntk(X[:3])
    NTKAttack(clf, eps=0.1, clip_values=BOX).generate(X, y)
    jax.tree.map(np.testing.assert_array_equal, before, clf.constants_)
    moved = [
        np.abs(np.subtract(a, b)).max()
        for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(untrained.constants_), strict=True)
    ]
    assert min(moved) > 1e-3


@pytest.mark.parametrize(
    "module", [*RANDOM.values(), Deterministic(), Training()], ids=[*RANDOM, "det", "training"]
)
def test_dropout_is_active_in_training_alone_and_reproducible(module):
    clf = classifier(module, max_epochs=2).fit(X, y)
    assert same(clf, classifier(module, max_epochs=2).fit(X, y))
    assert same(clf, clone(clf).fit(X, y))
    # With one order of samples, only the masks of dropout depend on the seed of an epoch.
    losses = classifier(module, max_epochs=4, batch_size=None, learning_rate=1e-12).fit(X, y)
    assert len(set(losses.history_["loss"])) == 4
    rows = clf.decision_function(np.repeat(X[:1], 5, axis=0))
    np.testing.assert_array_equal(rows, rows[:1].repeat(5, axis=0))


@pytest.mark.parametrize("module", RANDOM.values(), ids=RANDOM)
def test_training_goes_on_where_it_stopped(module, tmp_path):
    whole = classifier(module, max_epochs=4).fit(X, y)
    warm = classifier(module, max_epochs=2, warm_start=True).fit(X, y).fit(X, y)
    assert same(whole, warm)
    classifier(module, max_epochs=2, checkpoint=tmp_path).fit(X, y)
    resumed = classifier(module, max_epochs=4, checkpoint=tmp_path, resume=True).fit(X, y)
    assert same(whole, resumed)
    again = pickle.loads(pickle.dumps(whole))
    np.testing.assert_array_equal(again.decision_function(X), whole.decision_function(X))
    again.set_params(warm_start=True, max_epochs=1)
    assert same(again.fit(X, y), classifier(module, max_epochs=5).fit(X, y))


@pytest.mark.parametrize("module", STATEFUL.values(), ids=STATEFUL)
def test_gradients_and_kernel_are_those_of_inference(module):
    clf = classifier(module, adversary=AdversarialTraining(0.05)).fit(X, y)
    c = RNG.standard_normal((14, 3))
    slopes = central_differences(lambda Z: (c * clf.decision_function(Z)).sum(axis=1), X)
    np.testing.assert_allclose(clf.input_vjp(X, c), slopes, atol=1e-7)

    def outputs(params):
        with jax.enable_x64(True):
            return clf._network.apply(params, clf.constants_, jnp.asarray(X[:4])).ravel()

    with jax.enable_x64(True):
        jacobian = jax.jacrev(outputs)(jax.tree.map(jnp.asarray, clf.params_))
    J = np.hstack([np.reshape(leaf, (12, -1)) for leaf in jax.tree.leaves(jacobian)])
    np.testing.assert_allclose(clf.empirical_ntk(X[:4]), J @ J.T, rtol=1e-9, atol=1e-12)
    kernel = EmpiricalNTK(module, random_state=0)
    assert np.linalg.eigvalsh(kernel.full(X)).min() > -1e-9


@pytest.mark.parametrize("module", [Linen(0.3), functools.partial(NNX, rate=0.3)])
def test_the_expansion_is_that_of_inference_and_keeps_its_statistics(module):
    before = classifier(module, max_epochs=2).fit(X, y)
    clf = classifier(module, max_epochs=5, linearize_at=2).fit(X, y)
    jax.tree.map(np.testing.assert_array_equal, before.params_, clf.anchor_)
    jax.tree.map(np.testing.assert_array_equal, before.constants_, clf.constants_)
    np.testing.assert_array_equal(before.empirical_ntk(X), clf.empirical_ntk(X))
    step = jax.tree.map(np.subtract, clf.params_, clf.anchor_)
    with jax.enable_x64(True):
        value, change = jax.jvp(
            lambda p: clf._network.apply(p, before.constants_, jnp.asarray(X)),
            *((tree,) for tree in (jax.tree.map(jnp.asarray, clf.anchor_), step)),
        )
    np.testing.assert_allclose(clf.decision_function(X), value + change, rtol=1e-9)


@pytest.mark.parametrize("module", [Linen(0.3), NNX])
def test_centred_outputs_subtract_the_network_with_its_first_statistics(module, tmp_path):
    options = {"centered": True, "checkpoint": tmp_path}
    first = classifier(module, max_epochs=0, **options).fit(X, y)
    assert np.abs(first.decision_function(X)).max() == 0
    clf = classifier(module, max_epochs=2, **options).fit(X, y)
    with jax.enable_x64(True):
        now = clf._network.apply(clf.params_, clf.constants_, jnp.asarray(X))
        then = clf._network.apply(first.params_, first.constants_, jnp.asarray(X))
    np.testing.assert_allclose(clf.decision_function(X), now - then, atol=1e-12)
    resumed = classifier(module, max_epochs=2, resume=True, **options).fit(X, y)
    np.testing.assert_array_equal(resumed.decision_function(X), clf.decision_function(X))


def test_the_adversary_attacks_the_network_in_inference_mode():
    adversary = AdversarialTraining(0.1, max_iter=2)
    clf = classifier(Linen(0.5), max_epochs=2, warm_start=True, batch_size=None).fit(X, y)
    attacked = clf.attack(X, y, adversary)
    other = copy.deepcopy(clf).set_params(max_epochs=1, adversary=adversary).fit(X, y)
    clf.set_params(max_epochs=1).fit(attacked, y)
    assert same(clf, other)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_trained_networks_are_wrapped_with_their_statistics(dtype):
    inputs = X.astype(dtype)
    clf = classifier(Linen(0.5)).fit(inputs, y)
    variables = {"params": clf.params_, **clf.constants_}
    options = {"classes": [0, 1, 2], "n_features": 5}
    wrapped = FlaxClassifier.from_params(Linen(0.5), variables, **options)
    np.testing.assert_array_equal(wrapped.decision_function(inputs), clf.decision_function(inputs))
    np.testing.assert_array_equal(
        EmpiricalNTK(Linen(0.5), variables).full(inputs), clf.empirical_ntk(inputs)
    )
    warm = wrapped.set_params(warm_start=True, max_epochs=1).fit(inputs, y)
    assert not same(warm, clf)


def test_trained_nnx_modules_are_wrapped_with_their_statistics():
    module = NNX(nnx.Rngs(0), rate=0.5)
    module(jnp.asarray(X, jnp.float32))  # changes the statistics
    assert np.abs(module.norm.mean[...]).max() > 0
    options = {"classes": [0, 1, 2], "n_features": 5}
    by_module = FlaxClassifier.from_params(module, **options)
    by_state = FlaxClassifier.from_params(NNX(nnx.Rngs(1)), nnx.state(module), **options)
    module.eval()
    inputs = X.astype(np.float32)
    for clf in (by_module, by_state, pickle.loads(pickle.dumps(by_module))):
        np.testing.assert_allclose(clf.decision_function(inputs), module(inputs), rtol=1e-5)
    trained = clone(by_module).set_params(max_epochs=1, warm_start=True)
    assert not hasattr(trained, "params_")
    by_module.set_params(max_epochs=1, warm_start=True).fit(X, y)
    assert by_module.n_epochs_ == 1


def test_a_state_that_does_not_belong_to_the_module_is_refused():
    options = {"classes": [0, 1, 2], "n_features": 5}
    state = nnx.state(nnx.Linear(5, 3, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match=r"params holds .*bias.* nothing"):
        FlaxClassifier.from_params(NNX(nnx.Rngs(0)), state, **options)
    with pytest.raises(TypeError, match="params is a dict"):
        FlaxClassifier.from_params(NNX(nnx.Rngs(0)), {"a": 1}, **options)


class AlwaysTraining(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.BatchNorm(use_running_average=False)(x))


class AlwaysTrainingNNX(nnx.Module):
    def __init__(self, rngs):
        self.linear, self.norm = nnx.Linear(5, 3, rngs=rngs), nnx.BatchNorm(3, rngs=rngs)

    def __call__(self, x):
        return self.norm(self.linear(x), use_running_average=False)


class Counter(nnx.Module):
    def __init__(self, rngs):
        self.linear, self.calls = nnx.Linear(5, 3, rngs=rngs), nnx.Variable(jnp.zeros(()))

    def __call__(self, x):
        self.calls[...] += 1
        return self.linear(x)


class Collects(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        history = self.variable("seen", "inputs", lambda: jnp.zeros((0, 5)))
        if train:
            history.value = jnp.concatenate([history.value, x])
        return nn.Dense(3)(x)


class KeepsNNX(nnx.Module):
    def __init__(self, rngs):
        self.linear, self.dropout = nnx.Linear(5, 3, rngs=rngs), nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x):
        if not self.dropout.deterministic:
            self.seen = nnx.Variable(x)
        return self.linear(x)


class MisnamedMode(nn.Module):
    @nn.compact
    def __call__(self, x, learning=False):
        return nn.Dense(3)(nn.BatchNorm(use_running_average=not learning)(x))


REFUSED = {
    "misnamed": (MisnamedMode(), "never told that it is trained; .* named train or training"),
    "linen": (AlwaysTraining(), "changes its variables there"),
    "nnx": (AlwaysTrainingNNX, "changes its state in inference mode"),
    "counter": (Counter, "changes its state in inference mode"),
    "collects": (Collects(), "seen.*change their shape in training mode"),
    "keeps": (KeepsNNX, "seen.*appear.* in training mode"),
}


@pytest.mark.parametrize(("module", "message"), REFUSED.values(), ids=REFUSED)
def test_other_state_is_refused(module, message):
    with pytest.raises(ValueError, match=rf"(?s)module '.*{message}"):
        classifier(module).fit(X, y)


def test_statistics_that_are_frozen_stay_as_they_are_given():
    variables = MisnamedMode().init(jax.random.key(0), X)
    stats = jax.tree.map(lambda leaf: leaf + 0.5, variables["batch_stats"])
    variables = {"params": variables["params"], "batch_stats": stats}
    options = {"warm_start": True, "max_epochs": 1}
    clf = FlaxClassifier.from_params(
        MisnamedMode(), variables, classes=[0, 1, 2], n_features=5, **options
    )
    clf.fit(X, y)
    jax.tree.map(np.testing.assert_array_equal, clf.constants_["batch_stats"], stats)


def test_statistics_that_are_missing_are_named():
    params = Linen().init(jax.random.key(0), X, train=False)["params"]
    with pytest.raises(ValueError, match="running statistics"):
        FlaxClassifier.from_params(Linen(), params, classes=[0, 1, 2], n_features=5)


def test_a_tracker_measures_the_network_in_inference_mode():
    tracker = KernelDynamicsTracker(X[:4], top=(2,))
    clf = classifier(Linen(0.5)).set_callbacks(tracker).fit(X, y)
    np.testing.assert_allclose(tracker.kernel(3), clf.empirical_ntk(X[:4]), rtol=1e-12)
    assert tracker.steps_.tolist() == [0, 1, 2, 3]
