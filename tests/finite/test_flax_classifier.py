"""A network as a classifier: every variant of training, compared with training by hand."""

import functools
import itertools
import pickle
import subprocess
import sys
import warnings
from collections.abc import Sequence
from typing import Any
from unittest import SkipTest

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")

import flax.linen as nn
import optax
import scipy.sparse
from flax import nnx
from helpers import Compilations
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted

from skntk import AdversarialTraining, FlaxClassifier, NTKAttack, NTKClassifier
from skntk.networks import TwoLayerReLU


class MLP(nn.Module):
    """A smooth network, for which finite differences converge."""

    n_outputs: Any = None
    features: Sequence[int] = (8,)

    @nn.compact
    def __call__(self, x):
        for width in self.features:
            x = nn.tanh(nn.Dense(width)(x))
        return nn.Dense(self.n_outputs)(x)


class NNXMLP(nnx.Module):
    def __init__(self, rngs, n_outputs=1):
        self.first = nnx.Linear(4, 8, rngs=rngs)
        self.last = nnx.Linear(8, n_outputs, rngs=rngs)

    def __call__(self, x):
        return self.last(nnx.tanh(self.first(x)))


def nnx_factory(rngs):
    return NNXMLP(rngs, n_outputs=3)


def nnx_sequential(rngs):
    return nnx.Sequential(nnx.Linear(4, 8, rngs=rngs), nnx.tanh, nnx.Linear(8, 1, rngs=rngs))


class Affine(nn.Module):
    n_outputs: Any = None

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.n_outputs)(x)


def samples(n=20, n_classes=2, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n, 4))
    X[np.arange(n), np.arange(n) % n_classes] += 1  # every class occurs, and can be learned
    return (X / 2).astype(dtype), np.arange(n) % n_classes


def network(module=MLP, **parameters):
    return FlaxClassifier(module, **({"max_epochs": 2, "random_state": 0} | parameters))


def leaves(clf):
    return jax.tree.leaves(clf.params_)


def assert_same_bits(a, b):
    for left, right in zip(leaves(a), leaves(b), strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


def assert_close(a, b, rtol=1e-12):
    for left, right in zip(leaves(a), leaves(b), strict=True):
        np.testing.assert_allclose(left, right, rtol=rtol, atol=rtol)


def targets(y):
    """Targets of the squared error: {-1, +1} for two classes, one-hot for more."""
    classes = np.unique(y)
    if len(classes) == 2:
        return np.where(y == classes[1], 1.0, -1.0)[:, None]
    return (y[:, None] == classes).astype(float)


# --- scikit-learn's contract ---------------------------------------------------------------


# Some checks train on unscaled numbers, of which the fit warns, as linear models do.
@pytest.mark.filterwarnings("ignore:The mean loss:sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        FlaxClassifier(MLP, optimizer="adam", learning_rate=0.05, max_epochs=30, random_state=0),
        FlaxClassifier(
            # Of 16 units those that a sample excites may have equal signs for two outputs: a tie.
            TwoLayerReLU(32, n_outputs=None, init_std=0.5),
            learning_rate=0.3,
            max_epochs=100,
            random_state=0,
        ),
    ]
)
def test_checks(estimator, check):
    try:
        check(estimator)
    except SkipTest as error:
        pytest.fail(f"skipped: {error}")


@pytest.mark.parametrize("flag", [False, True])
def test_the_precision_flag_is_neither_heeded_nor_changed(flag):
    before = jax.config.jax_enable_x64
    results = {}
    try:
        for dtype in (np.float32, np.float64):
            X, y = samples(dtype=dtype)
            jax.config.update("jax_enable_x64", flag)
            clf = network(adversary=AdversarialTraining(0.1)).fit(X, y, X, y)
            results[dtype] = clf.decision_function(X)
            assert all(leaf.dtype == dtype for leaf in leaves(clf))
            assert results[dtype].dtype == clf.empirical_ntk(X).dtype == dtype
            assert clf.input_vjp(X, np.ones(len(X))).dtype == dtype
            assert clf.predict_proba(X).dtype == dtype
            assert jax.config.jax_enable_x64 is flag
            jax.config.update("jax_enable_x64", not flag)
            np.testing.assert_array_equal(clf.decision_function(X), results[dtype])
    finally:
        jax.config.update("jax_enable_x64", before)
    np.testing.assert_allclose(results[np.float32], results[np.float64], atol=1e-4)
    assert not np.array_equal(results[np.float32], results[np.float64])


def test_other_dtypes_and_layouts_train_alike():
    X, y = samples(24)
    X = np.float16(X)
    expected = network().fit(np.float64(X), y)
    read_only = np.float64(X)
    read_only.flags.writeable = False
    for same in (X, np.asfortranarray(np.float64(X)), np.repeat(np.float64(X), 2, 1)[:, ::2]):
        assert_same_bits(network().fit(same, y), expected)
    assert_same_bits(network().fit(read_only, y), expected)


def test_labels_of_any_type():
    X, y = samples()
    expected = network().fit(X, y)
    for labels in (np.array(["no", "yes"]), np.array([-(2**40), 2**40]), np.array([False, True])):
        clf = network(adversary=None).fit(X, labels[y], X, labels[y])
        assert_same_bits(clf, expected)
        np.testing.assert_array_equal(clf.predict(X), labels[expected.predict(X)])
        assert clf.history_["test_accuracy"][-1] == expected.score(X, y)


def test_bad_inputs():
    X, y = samples()
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        network().fit(scipy.sparse.csr_array(X), y)
    with pytest.raises(ValueError, match="one class"):
        network().fit(X, np.zeros(20))
    for bad in (np.nan, np.inf):
        spoilt = X.copy()
        spoilt[3, 1] = bad
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            network().fit(spoilt, y)
    with pytest.raises(NotFittedError):
        network().predict(X)
    for method in (network().empirical_ntk, functools.partial(network().input_vjp, cotangents=y)):
        with pytest.raises(NotFittedError):
            method(X)
    clf = network().fit(X, y)
    with pytest.raises(ValueError, match="cotangents"):
        clf.input_vjp(X, np.ones((20, 3)))
    with pytest.raises(ValueError, match="3 features"):
        clf.decision_function(X[:, :3])


def test_feature_names():
    X, y = samples()
    frame = pd.DataFrame(X, columns=list("abcd"))
    clf = network().fit(frame, y, frame, y)
    assert clf.feature_names_in_.tolist() == list("abcd")
    np.testing.assert_array_equal(clf.predict(frame), network().fit(X, y).predict(X))
    for call in (clf.predict, clf.empirical_ntk, lambda f: clf.fit(frame, y, f, y)):
        with pytest.raises(ValueError, match="feature names"):
            call(frame[list("dcba")])


def test_clone_has_the_parameters_and_no_fit():
    X, y = samples()
    clf = network(MLP(features=(3, 3)), adversary=AdversarialTraining(0.1)).fit(X, y)
    copy = clone(clf)
    assert not hasattr(copy, "params_") and copy.adversary == clf.adversary
    assert_same_bits(copy.fit(X, y), clf)


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        (MLP, {"centered": True, "linearize_at": 1}),
        (TwoLayerReLU(8), {}),
        (NNXMLP, {"linearize_at": 3}),
        (nnx_sequential, {}),
    ],
)
def test_pickle_keeps_the_bits_and_the_state_of_training(module, extra):
    X, y = samples()
    clf = network(module, optimizer="adam", batch_size=8, warm_start=True, **extra).fit(X, y)
    copy = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(copy.decision_function(X), clf.decision_function(X))
    np.testing.assert_array_equal(copy.empirical_ntk(X), clf.empirical_ntk(X))
    assert_same_bits(copy.fit(X, y), clf.fit(X, y))


def test_loky_workers():
    X, y = samples()
    clf = network(MLP(features=(7,)), adversary=AdversarialTraining(0.05))
    parallel, serial = (
        cross_val_predict(clf, X, y, cv=2, n_jobs=n_jobs, method="decision_function")
        for n_jobs in (2, 1)
    )
    np.testing.assert_array_equal(parallel, serial)


def test_grid_search():
    X, y = samples(60)
    grid = {"learning_rate": [1e-6, 0.1], "adversary": [None, AdversarialTraining(0.01)]}
    search = GridSearchCV(network(optimizer="adam", max_epochs=15), grid, cv=2).fit(X, y)
    assert search.best_params_["learning_rate"] == 0.1


# --- gradients -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_classes", "extra"),
    [
        (2, {}),
        (3, {"centered": True}),
        (2, {"linearize_at": 1}),
        (3, {"linearize_at": 0, "centered": True}),
    ],
    ids=str,
)
def test_input_vjp_equals_central_differences(n_classes, extra):
    X, y = samples(n_classes=n_classes)
    clf = network(learning_rate=0.5, max_epochs=3, batch_size=8, **extra).fit(X, y)
    few = X[:5]
    outputs = clf.decision_function(few)
    assert outputs.shape == ((5,) if n_classes == 2 else (5, n_classes))
    c = np.random.default_rng(0).normal(size=outputs.shape)
    numeric = np.empty_like(few)
    for j, step in enumerate(1e-5 * np.eye(4)):
        change = clf.decision_function(few + step) - clf.decision_function(few - step)
        numeric[:, j] = (c * change).reshape(5, -1).sum(axis=1) / 2e-5
    np.testing.assert_allclose(clf.input_vjp(few, c), numeric, atol=1e-6)
    assert np.abs(numeric).max() > 1e-3


def test_input_vjp_and_outputs_beyond_one_block():
    X, y = samples(600)
    clf = network().fit(X, y)
    c = np.linspace(-1, 1, 600)
    whole, outputs, attacked = (
        clf.input_vjp(X, c),
        clf.decision_function(X),
        clf.attack(X, y, AdversarialTraining(0.1)),
    )
    for k in (0, 255, 256, 511, 512, 599):
        one = slice(k, k + 1)
        np.testing.assert_allclose(clf.input_vjp(X[one], c[one]), whole[one], rtol=1e-9)
        np.testing.assert_allclose(clf.decision_function(X[one]), outputs[one], rtol=1e-9)
        adversarial = clf.attack(X[one], y[one], AdversarialTraining(0.1))
        np.testing.assert_allclose(adversarial, attacked[one], rtol=1e-9)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_both_ways_to_say_two_classes(n_outputs):
    X, y = samples(60)
    clf = network(MLP(n_outputs=n_outputs), learning_rate=0.5, max_epochs=30).fit(X, y)
    outputs, proba = clf.decision_function(X), clf.predict_proba(X)
    assert outputs.shape == (60,) and proba.shape == (60, 2)
    np.testing.assert_array_equal(clf.predict(X), (outputs > 0).astype(int))
    np.testing.assert_array_equal(clf.predict(X), proba.argmax(axis=1))
    assert clf.score(X, y) > 0.9
    with jax.enable_x64(True):
        raw = np.asarray(MLP(n_outputs=n_outputs).apply({"params": clf.params_}, X))
    expected = raw[:, 0] if n_outputs == 1 else raw[:, 1] - raw[:, 0]
    np.testing.assert_allclose(outputs, expected, rtol=1e-12, atol=1e-14)
    assert clf.empirical_ntk(X).shape == (60 * n_outputs, 60 * n_outputs)
    X_adv = NTKAttack(clf, eps=0.3).generate(X / 2, y)
    assert clf.score(X_adv, y) < clf.score(X / 2, y)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_empirical_ntk_is_the_gram_matrix_of_jacobians(n_outputs):
    X, y = samples(n_classes=max(n_outputs, 2))
    module = MLP(n_outputs=n_outputs)
    clf = network(module, max_epochs=1).fit(X, y)
    few = X[:3]
    with jax.enable_x64(True):
        jacobian = jax.jit(jax.jacrev(lambda p: module.apply({"params": p}, few)))(clf.params_)
        flat = [np.reshape(leaf, (3 * n_outputs, -1)) for leaf in jax.tree.leaves(jacobian)]
    J = np.concatenate(flat, axis=1)
    np.testing.assert_allclose(clf.empirical_ntk(few), J @ J.T, rtol=1e-10, atol=1e-12)


def test_empirical_ntk_that_does_not_fit_is_refused(monkeypatch):
    X, y = samples()
    clf = network().fit(X, y)
    monkeypatch.setattr("skntk._utils.memory.available_bytes", lambda *_: 1000)
    with pytest.raises(MemoryError, match="20"):
        clf.empirical_ntk(X)


# --- modules -------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3])
def test_linen_class_and_instance_are_the_same_network(n_classes):
    X, y = samples(n_classes=n_classes)
    k = 1 if n_classes == 2 else n_classes
    fits = [network(module).fit(X, y) for module in (MLP, MLP(), MLP(n_outputs=k))]
    for other in fits[1:]:
        assert_same_bits(fits[0], other)
    assert MLP().n_outputs is None


@pytest.mark.parametrize(
    ("module", "n_classes"), [(NNXMLP, 2), (nnx_factory, 3), (nnx_sequential, 2)]
)
def test_nnx_modules_learn_as_their_linen_twin(module, n_classes):
    X, y = samples(60, n_classes=n_classes)
    clf = network(module, learning_rate=0.5, max_epochs=0).fit(X, y)
    first, last = sorted(
        (leaf for leaf in leaves(clf) if leaf.ndim == 2), key=lambda leaf: leaf.shape[0]
    )
    assert all(leaf.dtype == np.float64 for leaf in leaves(clf))
    outputs = clf.decision_function(X).reshape(60, -1)
    np.testing.assert_allclose(outputs, np.tanh(X @ first) @ last, rtol=1e-10, atol=1e-12)
    trained = network(module, learning_rate=0.5, max_epochs=60).fit(X, y)
    assert trained.score(X, y) > 0.9
    assert trained.history_["loss"][-1] < trained.history_["loss"][0]


def test_modules_with_fields_given_as_lists():
    X, y = samples()
    as_list, as_tuple = (network(MLP(features=kind([5, 3]))).fit(X, y) for kind in (list, tuple))
    assert_same_bits(as_list, as_tuple)


@pytest.mark.parametrize("input_shape", [(2, 2), (2, 2, 1), [4]])
def test_input_shape_is_what_the_module_sees(input_shape):
    seen = []

    class Spy(nn.Module):
        @nn.compact
        def __call__(self, x):
            seen.append(x.shape[1:])
            return nn.Dense(1)(x.reshape(len(x), -1))

    X, y = samples()
    clf = network(Spy(), input_shape=input_shape).fit(X, y)
    assert set(seen) == {tuple(input_shape)}
    assert clf.input_vjp(X, np.ones(20)).shape == X.shape


def test_input_shape_that_does_not_match_is_refused():
    X, y = samples()
    with pytest.raises(ValueError, match="input_shape"):
        network(input_shape=(3, 3)).fit(X, y)


@pytest.mark.parametrize(
    ("n_outputs", "n_classes", "allowed"), [(3, 2, "1 or 2"), (1, 3, "3"), (4, 3, "3")]
)
def test_wrong_number_of_outputs_is_refused_and_nothing_is_fitted(n_outputs, n_classes, allowed):
    X, y = samples(n_classes=n_classes)
    clf = network(MLP(n_outputs=n_outputs))
    with pytest.raises(ValueError, match=rf"\(n, {n_outputs}\).*{n_classes} classes.*{allowed}"):
        clf.fit(X, y)
    with pytest.raises(NotFittedError):
        check_is_fitted(clf)


@pytest.mark.parametrize(
    "module",
    [None, 3, "mlp", NNXMLP(nnx.Rngs(0)), lambda rngs: 3],
    ids=["none", "number", "text", "trained", "factory of a number"],
)
def test_what_is_no_module_is_refused(module):
    X, y = samples()
    with pytest.raises(TypeError, match="module"):
        network(module).fit(X, y)


# --- parameters ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("loss", "hinge", ValueError),
        ("loss", None, ValueError),
        ("optimizer", "no_such_rule", ValueError),
        ("optimizer", "l2_loss", ValueError),  # a name in optax, but not an optimiser
        ("optimizer", "losses", ValueError),
        ("optimizer", 5, TypeError),
        ("optimizer", None, TypeError),
        ("learning_rate", 0.0, ValueError),
        ("learning_rate", -1.0, ValueError),
        ("learning_rate", np.nan, ValueError),
        ("learning_rate", "fast", TypeError),
        ("batch_size", 0, ValueError),
        ("batch_size", 2.5, TypeError),
        ("max_epochs", -1, ValueError),
        ("max_epochs", 1.0, TypeError),
        ("linearize_at", -1, ValueError),
        ("linearize_at", 0.5, TypeError),
        ("adversary", 0.1, TypeError),
        ("validation_adversary", "pgd", TypeError),
        ("input_shape", 4, TypeError),
    ],
)
def test_wrong_parameters_are_named(name, value, error):
    X, y = samples()
    clf = network(**{name: value})
    with pytest.raises(error, match=name):
        clf.fit(X, y)
    assert not hasattr(clf, "params_")


# --- optimisation --------------------------------------------------------------------------


def test_optimisers_by_name_function_and_transformation_are_the_same():
    X, y = samples()
    fits = [
        network(optimizer=rule, learning_rate=0.02, batch_size=8).fit(X, y)
        for rule in ("adam", optax.adam, functools.partial(optax.adam), optax.adam(0.02))
    ]
    for other in fits[1:]:
        assert_close(fits[0], other, rtol=1e-14)
    other_rule = network(optimizer="sgd", learning_rate=0.02, batch_size=8).fit(X, y)
    assert not np.allclose(leaves(other_rule)[1], leaves(fits[0])[1])


def test_schedules_count_steps_not_epochs():
    X, y = samples()
    # 3 steps an epoch: the rate changes within the second epoch.
    schedule = optax.piecewise_constant_schedule(0.1, {4: 0.0})
    clf = network(learning_rate=schedule, batch_size=8, warm_start=True).fit(X, y)
    frozen = leaves(clf)
    clf.fit(X, y)
    for left, right in zip(leaves(clf), frozen, strict=True):
        np.testing.assert_array_equal(left, right)
    assert clf.n_epochs_ == 4
    constant = network(learning_rate=optax.constant_schedule(0.1), batch_size=8).fit(X, y)
    assert_close(constant, network(learning_rate=0.1, batch_size=8).fit(X, y), rtol=1e-14)
    assert not np.allclose(leaves(constant)[1], frozen[1], rtol=1e-6)


@functools.partial(jax.jit, static_argnums=0)
def loss_and_gradient(loss, params, x, Y):
    module = MLP(n_outputs=Y.shape[1])
    return jax.value_and_grad(lambda p: loss(module.apply({"params": p}, x), Y).mean())(params)


def by_hand(clf, X, Y, partition, transformation, loss):
    """Parameters and mean loss after training on the given batches from the state of `clf`."""
    with jax.enable_x64(True):
        params = jax.tree.map(jnp.asarray, clf.params_)
        state = transformation.init(params)
        total = 0.0
        for rows in partition:
            rows = np.asarray(rows)
            value, gradient = loss_and_gradient(loss, params, X[rows], Y[rows])
            total += float(value) * len(rows)
            updates, state = transformation.update(gradient, state, params)
            params = optax.apply_updates(params, updates)
    return jax.tree.map(np.asarray, params), total / len(X)


def half_square(outputs, Y):
    return 0.5 * jnp.sum((outputs - Y) ** 2, axis=1)


def logistic(outputs, Y):
    return jnp.logaddexp(0, -Y * outputs)[:, 0]


def log_softmax(outputs, Y):
    return -jnp.sum(Y * jax.nn.log_softmax(outputs), axis=1)


@pytest.mark.parametrize(
    ("loss", "n_classes", "formula"),
    [
        ("squared_error", 2, half_square),
        ("squared_error", 3, half_square),
        ("cross_entropy", 2, logistic),
        ("cross_entropy", 3, log_softmax),
    ],
)
def test_an_epoch_of_mini_batches_equals_a_loop_by_hand(loss, n_classes, formula):
    X, y = samples(5, n_classes=n_classes)
    Y = targets(y)
    rule = functools.partial(optax.sgd, momentum=0.9)
    start, after = (
        network(
            loss=loss, optimizer=rule, learning_rate=0.5, batch_size=3, max_epochs=k
        ).fit(X, y)
        for k in (0, 1)
    )  # fmt: skip
    # The order of samples is not specified: exactly one of the ten ways to split five samples
    # into three and two must give the result.
    errors = []
    for first in itertools.combinations(range(5), 3):
        rest = [k for k in range(5) if k not in first]
        params, value = by_hand(start, X, Y, [first, rest], rule(0.5), formula)
        differences = jax.tree.map(lambda a, b: np.abs(a - b).max(), params, after.params_)
        errors.append(max(jax.tree.leaves(differences)) + abs(value - after.history_["loss"][0]))
    errors = np.sort(errors)
    assert errors[0] < 1e-13 < 1e-6 < errors[1]


def test_without_shuffling_the_batches_are_in_order_in_every_epoch():
    X, y = samples(5)
    rule = functools.partial(optax.sgd, momentum=0.9)
    options = {"optimizer": rule, "learning_rate": 0.5, "batch_size": 3, "shuffle": False}
    start, after = (network(**options, max_epochs=k).fit(X, y) for k in (0, 2))
    batches = [[0, 1, 2], [3, 4], [0, 1, 2], [3, 4]]
    params, _ = by_hand(start, X, targets(y), batches, rule(0.5), logistic)
    for mine, expected in zip(jax.tree.leaves(after.params_), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-11, atol=1e-13)
    shuffled = network(**options | {"shuffle": True}, max_epochs=2).fit(X, y)
    assert not np.allclose(leaves(shuffled)[1], leaves(after)[1])
    with pytest.raises(TypeError, match="shuffle"):
        network(shuffle=0).fit(X, y)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("batch_size", [None, 20, 1000])
def test_full_batch_step_of_squared_error_is_the_formula(n_classes, batch_size):
    X, y = samples(n_classes=n_classes)
    start, after = (
        network(
            loss="squared_error", learning_rate=0.3, batch_size=batch_size, max_epochs=k
        ).fit(X, y)
        for k in (0, 1)
    )  # fmt: skip
    p, residual = start.params_, start.decision_function(X).reshape(20, -1) - targets(y)
    hidden = np.tanh(X @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"])
    back = residual @ p["Dense_1"]["kernel"].T * (1 - hidden**2)
    gradients = {
        "Dense_0": {"kernel": X.T @ back, "bias": back.sum(axis=0)},
        "Dense_1": {"kernel": hidden.T @ residual, "bias": residual.sum(axis=0)},
    }
    for layer, group in gradients.items():
        for name, gradient in group.items():
            expected = p[layer][name] - 0.3 / 20 * gradient
            np.testing.assert_allclose(after.params_[layer][name], expected, rtol=1e-11, atol=1e-13)
    loss = 0.5 * (residual**2).sum(axis=1).mean()
    assert after.history_["loss"][0] == pytest.approx(loss, rel=1e-12)


def test_batches_are_shuffled_anew_every_epoch_with_mini_batches_only():
    X, y = samples(6)
    order = np.random.default_rng(1).permutation(6)
    full = [
        network(batch_size=None, max_epochs=3).fit(a, b) for a, b in ((X, y), (X[order], y[order]))
    ]
    assert_close(*full, rtol=1e-12)
    # With a tiny learning rate, the loss of an epoch does not depend on the order.
    slow = network(batch_size=4, learning_rate=1e-12, max_epochs=3).fit(X, y).history_["loss"]
    np.testing.assert_allclose(slow, slow[0], rtol=1e-9)


@pytest.mark.parametrize("batch_size", [7, None])
def test_the_same_random_state_gives_the_same_bits(batch_size):
    X, y = samples()
    options = {"batch_size": batch_size, "adversary": AdversarialTraining(0.1), "max_epochs": 3}
    first, second, other = (network(**options, random_state=s).fit(X, y) for s in (3, 3, 4))
    assert_same_bits(first, second)
    assert not np.array_equal(leaves(first)[1], leaves(other)[1])
    assert_same_bits(first.fit(X, y), second)
    instances = [
        network(**options, random_state=np.random.RandomState(5)).fit(X, y) for _ in range(2)
    ]
    assert_same_bits(*instances)
    network(**options, random_state=None).fit(X, y)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": functools.partial(optax.sgd, momentum=0.9), "linearize_at": 5},
        {"optimizer": "adam", "adversary": AdversarialTraining(0.1), "linearize_at": 3},
        {"linearize_at": 8, "adversary": AdversarialTraining(0.1, norm=2), "centered": True},
        {"learning_rate": optax.cosine_decay_schedule(0.5, 25)},
        {"batch_size": None, "loss": "squared_error", "dtype": np.float32},
    ],
    ids=["linear at the seam", "linear before it", "linear after it", "schedule", "full batch"],
)
def test_five_epochs_and_five_more_are_ten(options):
    options = {"batch_size": 7, "dtype": np.float64} | options
    X, y = samples(dtype=options.pop("dtype"))
    straight = network(**options, max_epochs=10).fit(X, y, X, y)
    halves = network(**options, max_epochs=5, warm_start=True).fit(X, y, X, y)
    assert halves.n_epochs_ == 5
    halves.fit(X, y, X, y)
    assert halves.n_epochs_ == straight.n_epochs_ == 10
    assert_same_bits(halves, straight)
    np.testing.assert_array_equal(halves.decision_function(X), straight.decision_function(X))
    assert set(halves.history_) == set(straight.history_)
    for key, values in straight.history_.items():
        assert values.shape == (10,)
        np.testing.assert_array_equal(halves.history_[key], values)


def test_without_warm_start_fit_begins_anew():
    X, y = samples()
    clf = network(max_epochs=3).fit(X, y, X, y)
    expected = leaves(clf)
    clf.fit(X, y)
    for left, right in zip(leaves(clf), expected, strict=True):
        np.testing.assert_array_equal(left, right)
    assert clf.n_epochs_ == 3 and set(clf.history_) == {"loss"}


def test_warm_start_refuses_labels_it_never_saw():
    X, y = samples()
    clf = network(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="never saw"):
        clf.fit(X, y + 1)
    assert clf.n_epochs_ == 2


def test_an_epoch_of_linearisation_that_has_passed_is_not_ignored():
    X, y = samples()
    clf = network(warm_start=True, max_epochs=3).fit(X, y)
    clf.set_params(linearize_at=1)
    with pytest.raises(ValueError, match="linearize_at"):
        clf.fit(X, y)


# --- compilation ---------------------------------------------------------------------------


def compilations(action):
    with Compilations() as compiled:
        action()
    return compiled.count


@pytest.mark.parametrize("module", [MLP(features=(5,)), NNXMLP])
def test_nothing_recompiles_between_epochs_or_in_a_second_fit(module):
    X, y = samples(23)
    rule = functools.partial(optax.adam, b1=0.8)
    clf = network(
        module, optimizer=rule, batch_size=9, max_epochs=1, adversary=AdversarialTraining(0.07)
    )
    assert compilations(lambda: clf.fit(X, y, X, y)) > 0
    assert compilations(lambda: clf.fit(X, y, X, y)) == 0
    assert compilations(lambda: clf.set_params(max_epochs=4).fit(X, y, X, y)) == 0
    assert compilations(lambda: clf.set_params(learning_rate=0.3).fit(X[::-1], y, X, y)) == 0
    assert compilations(lambda: clf.set_params(random_state=8).fit(X, y, X, y)) == 0
    assert compilations(lambda: clf.fit(X[:22], y[:22])) == 0
    assert compilations(lambda: clf.set_params(batch_size=8).fit(X, y)) > 0


@pytest.mark.parametrize(
    "optimizer", ["adam", optax.adam, functools.partial(optax.sgd, momentum=0.9)]
)
def test_nothing_recompiles_in_a_clone(optimizer):
    """Clones, as a search or cross-validation makes them."""
    X, y = samples(21)
    clf = network(MLP(features=(6,)), optimizer=optimizer).fit(X, y)
    assert compilations(lambda: clone(clf).fit(X, y)) == 0


# --- centred and linearised models ---------------------------------------------------------


@pytest.mark.parametrize("module", [MLP(n_outputs=2), TwoLayerReLU(16), NNXMLP])
def test_centred_outputs_start_at_zero(module):
    X, y = samples()
    clf = network(module, centered=True, max_epochs=0).fit(X, y)
    np.testing.assert_array_equal(clf.decision_function(X), 0)
    plain = network(module, max_epochs=0).fit(X, y)
    assert_same_bits(clf, plain)
    np.testing.assert_array_equal(clf.empirical_ntk(X), plain.empirical_ntk(X))


def test_centred_outputs_are_the_network_less_itself_at_first():
    X, y = samples(n_classes=3)
    clf = network(centered=True, learning_rate=0.5, max_epochs=4, batch_size=6).fit(X, y)
    module = MLP(n_outputs=3)
    with jax.enable_x64(True):
        f = module.apply({"params": clf.params_}, X)
        f_0 = module.apply({"params": clf.origin_}, X)
    assert_same_bits(network(max_epochs=0).fit(X, y), _with_params(clf.origin_))
    np.testing.assert_allclose(clf.decision_function(X), f - f_0, rtol=1e-12, atol=1e-14)


class _with_params:
    def __init__(self, params):
        self.params_ = params


@pytest.mark.parametrize(("epoch", "adversary"), [(0, None), (2, AdversarialTraining(0.1))])
def test_linearised_outputs_are_the_first_order_expansion(epoch, adversary):
    X, y = samples(n_classes=3)
    options = {"learning_rate": 1.0, "batch_size": 8, "adversary": adversary}
    before = network(**options, max_epochs=epoch).fit(X, y)
    clf = network(**options, max_epochs=epoch + 3, linearize_at=epoch).fit(X, y)
    module = MLP(n_outputs=3)
    points = samples(seed=5)[0]
    with jax.enable_x64(True):
        f = jax.jit(jax.jacrev(lambda p: module.apply({"params": p}, points)))
        jacobian = f(before.params_)
        steps = jax.tree.map(lambda w, w_e: w - w_e, clf.params_, before.params_)
        products = jax.tree.map(lambda J, s: jnp.tensordot(J, s, s.ndim), jacobian, steps)
        expected = module.apply({"params": before.params_}, points) + sum(jax.tree.leaves(products))
        full = module.apply({"params": clf.params_}, points)
    np.testing.assert_allclose(clf.decision_function(points), expected, rtol=1e-11, atol=1e-12)
    assert np.abs(full - expected).max() > 1e-3
    np.testing.assert_allclose(
        clf.empirical_ntk(points[:4]), before.empirical_ntk(points[:4]), rtol=1e-10, atol=1e-12
    )


def test_linearisation_at_an_epoch_not_reached_changes_nothing():
    X, y = samples()
    assert_same_bits(network(linearize_at=2).fit(X, y), network().fit(X, y))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_linearised_descent_is_the_kernels_in_function_space(n_classes):
    X, y = samples(n_classes=n_classes)
    points = samples(n_classes=n_classes, seed=7)[0]
    Y, n = targets(y), len(X)
    k = Y.shape[1]
    options = {"loss": "squared_error", "batch_size": None, "centered": True}
    start = network(**options, max_epochs=0).fit(X, y)
    joint = start.empirical_ntk(np.vstack([X, points]))
    K, across = joint[: n * k, : n * k], joint[n * k :, : n * k]
    eigenvalues, V = np.linalg.eigh(K)
    rate, steps = 0.5 * n / eigenvalues[-1], 40
    clf = network(**options, linearize_at=0, learning_rate=rate, max_epochs=steps).fit(X, y)

    def outputs(inputs):
        return clf.decision_function(inputs).ravel()

    # Discrete steps agree to rounding.
    decay = (1 - rate / n * eigenvalues) ** steps
    projected = V.T @ Y.ravel()
    np.testing.assert_allclose(outputs(X), V @ ((1 - decay) * projected), rtol=1e-8, atol=1e-9)
    weights = rate / n * sum((1 - rate / n * eigenvalues) ** s for s in range(steps))
    expected = across @ (V @ (weights * projected))
    np.testing.assert_allclose(outputs(points), expected, rtol=1e-8, atol=1e-9)


def test_linearised_descent_approaches_gradient_flow():
    X, y = samples()
    n = len(X)
    options = {"loss": "squared_error", "batch_size": None, "centered": True}
    K = network(**options, max_epochs=0).fit(X, y).empirical_ntk(X)
    horizon = 8 / np.linalg.eigvalsh(K)[-1]
    flow = NTKClassifier("precomputed", time=horizon, solver="eigh").fit(K, y).decision_function(K)
    errors = []
    for steps in (50, 200, 800):
        clf = network(
            **options, linearize_at=0, learning_rate=horizon * n / steps, max_epochs=steps
        )
        errors.append(np.abs(clf.fit(X, y).decision_function(X) - flow).max())
    # The error is of first order in the step, which is a quarter of the previous one each time.
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 4, rtol=0.1)
    assert errors[-1] < 5e-3 * np.abs(flow).max()


# --- adversaries ---------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[np.float32, np.float64], ids=["f32", "f64"])
def victim(request):
    X, y = samples(60, n_classes=3, dtype=request.param)
    return (
        network(MLP(features=(16,)), optimizer="adam", learning_rate=0.05, max_epochs=15).fit(X, y),
        X,
        y,
    )


def cross_entropy(clf, X, y):
    return -np.log(clf.predict_proba(np.float64(X))[np.arange(len(y)), y])


@pytest.mark.parametrize("norm", [np.inf, 2])
@pytest.mark.parametrize(
    ("eps", "options"),
    [
        (0.1, {"method": "fgsm"}),
        (0.1, {"method": "pgd"}),
        (0.1, {"eps_step": 7.0}),
        (3.0, {"eps_step": 0.5, "max_iter": 40}),
    ],
    ids=str,
)
def test_examples_stay_in_the_ball_and_the_box(victim, norm, eps, options):
    clf, X, y = victim
    X_adv = clf.attack(X, y, AdversarialTraining(eps, norm=norm, **options))
    assert X_adv.dtype == X.dtype and X_adv.shape == X.shape
    assert X_adv.min() >= 0 and X_adv.max() <= 1
    lengths = np.linalg.norm(np.float64(X_adv) - np.float64(X), norm, axis=1)
    assert lengths.max() <= eps + 4 * float(np.spacing(np.abs(X).max()))
    if options.get("eps_step", 1) != 7.0 and eps < 1:  # huge steps may land anywhere
        assert (cross_entropy(clf, X_adv, y) >= cross_entropy(clf, X, y) - 1e-6).all()
        assert cross_entropy(clf, X_adv, y).mean() > cross_entropy(clf, X, y).mean() + 0.01


@pytest.mark.parametrize("norm", [np.inf, 2])
def test_without_a_box_the_whole_ball_is_used(victim, norm):
    clf, X, y = victim
    adversary = AdversarialTraining(0.5, method="fgsm", norm=norm, clip_values=None)
    X_adv = clf.attack(X, y, adversary)
    lengths = np.linalg.norm(X_adv - X, norm, axis=1)
    np.testing.assert_allclose(lengths, 0.5, rtol=1e-5)
    assert X_adv.min() < 0 or X_adv.max() > 1


def test_no_budget_changes_nothing(victim):
    clf, X, y = victim
    np.testing.assert_array_equal(clf.attack(X, y, AdversarialTraining(0.0)), X)


@pytest.mark.parametrize("norm", [np.inf, 2])
@pytest.mark.parametrize("n_outputs", [1, 2, 3])
def test_fgsm_equals_the_library_attack(norm, n_outputs):
    X, y = samples(40, n_classes=max(2, n_outputs))
    clf = network(MLP(n_outputs=n_outputs), learning_rate=0.5, max_epochs=5).fit(X, y)
    ours = clf.attack(X, y, AdversarialTraining(0.02, method="fgsm", norm=norm))
    expected = NTKAttack(clf, eps=0.02, norm=norm, method="fgsm").generate(X, y)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)


def test_pgd_is_no_weaker_than_fgsm_on_average(victim):
    clf, X, y = victim
    losses = [
        cross_entropy(clf, clf.attack(X, y, AdversarialTraining(0.2, method=method)), y).mean()
        for method in ("fgsm", "pgd")
    ]
    assert losses[1] >= losses[0] - 1e-6


def test_confident_samples_are_attacked_too():
    """Where softmax rounds to one-hot, its gradient is 0; that of the attack must not be."""
    X, y = samples(30, n_classes=3, dtype=np.float32)
    kernel = np.zeros((4, 3), np.float32)
    kernel[range(3), range(3)] = 1e4
    params = {"Dense_0": {"kernel": kernel, "bias": np.zeros(3, np.float32)}}
    clf = FlaxClassifier.from_params(Affine(3), params, classes=[0, 1, 2], n_features=4)
    X_adv = clf.attack(X, y, AdversarialTraining(0.01, method="fgsm", clip_values=None))
    runner_up = np.where(np.arange(3) == y[:, None], -1, X[:, :3]).argmax(axis=1)
    rows = np.arange(30)
    np.testing.assert_allclose(X_adv[rows, y] - X[rows, y], -0.01, atol=1e-6)
    np.testing.assert_allclose(X_adv[rows, runner_up] - X[rows, runner_up], 0.01, atol=1e-6)


@pytest.mark.parametrize(
    ("norm", "extra"), [(np.inf, {}), (2, {"linearize_at": 0}), (np.inf, {"centered": True})]
)
def test_training_meets_the_examples_of_the_current_weights(norm, extra):
    X, y = samples(n_classes=3)
    adversary = AdversarialTraining(0.2, norm=norm, max_iter=3)
    options = {"batch_size": None, "learning_rate": 0.5, "max_epochs": 1, **extra}
    adversarial = network(adversary=adversary, **options, warm_start=True).fit(X, y)
    start = network(**(options | {"max_epochs": 0})).fit(X, y)
    first = start.attack(X, y, adversary)
    clean = network(**options, warm_start=True).fit(first, y)
    assert_close(adversarial, clean)
    # The second step is attacked at the weights after the first step, not at the initial ones.
    second = adversarial.attack(X, y, adversary)
    assert np.abs(second - first).max() > 1e-6
    assert_close(adversarial.fit(X, y), clean.fit(second, y))


def test_each_step_of_an_epoch_is_attacked_on_the_weights_it_starts_from():
    X, y = samples(2)
    adversary = AdversarialTraining(0.4, max_iter=3)
    options = {"learning_rate": 5.0, "batch_size": 1}
    epoch = network(**options, adversary=adversary, max_epochs=1).fit(X, y)
    distances = []
    for order in ([0, 1], [1, 0]):
        hand = network(**options, max_epochs=0, warm_start=True).fit(X, y)
        hand.set_params(max_epochs=1)
        for k in order:
            one = slice(k, k + 1)
            hand.fit(hand.attack(X[one], y[one], adversary), y[one])
        differences = jax.tree.map(lambda a, b: np.abs(a - b).max(), hand.params_, epoch.params_)
        distances.append(max(jax.tree.leaves(differences)))
    assert min(distances) < 1e-12 < 1e-6 < max(distances)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"eps": -0.1}, ValueError, "eps"),
        ({"eps": np.nan}, ValueError, "eps"),
        ({"eps": "0.1"}, TypeError, "eps"),
        ({"eps": None}, TypeError, "eps"),
        ({"eps": 0.1, "method": "apgd"}, ValueError, "method"),
        ({"eps": 0.1, "norm": 1}, ValueError, "norm"),
        ({"eps": 0.1, "max_iter": 0}, ValueError, "max_iter"),
        ({"eps": 0.1, "max_iter": 2.0}, TypeError, "max_iter"),
        ({"eps": 0.1, "eps_step": -1}, ValueError, "eps_step"),
        ({"eps": 0.1, "clip_values": (1, 0)}, ValueError, "clip_values"),
        ({"eps": 0.1, "clip_values": (0, np.nan)}, ValueError, "clip_values"),
        ({"eps": 0.1, "clip_values": (0, 1, 2)}, ValueError, "clip_values"),
        ({"eps": 0.1, "clip_values": 5}, ValueError, "clip_values"),
        ({"eps": 0.1, "clip_values": ("a", "b")}, TypeError, "clip_values"),
    ],
)
def test_wrong_adversaries_are_refused(arguments, error, match):
    with pytest.raises(error, match=match):
        AdversarialTraining(**arguments)


def test_adversary_steps():
    assert AdversarialTraining(0.3, method="fgsm").n_steps == 1
    assert AdversarialTraining(0.3, method="fgsm", eps_step=0.1).step_size == 0.3
    assert AdversarialTraining(0.7).step_size == pytest.approx(0.25)
    assert AdversarialTraining(0.3, eps_step=0.1, max_iter=20).n_steps == 20
    assert AdversarialTraining(0.3) == AdversarialTraining(0.3) != AdversarialTraining(0.2)


@pytest.mark.parametrize("box", [[0.0, 1.0], (np.float64(0), 1), np.array([0.0, 1.0])], ids=repr)
def test_clip_values_of_other_sequences(box):
    X, y = samples()
    plain, other = (
        network(adversary=AdversarialTraining(0.1, clip_values=values)).fit(X, y)
        for values in ((0.0, 1.0), box)
    )
    assert_same_bits(plain, other)


def test_samples_outside_the_adversarys_box_are_refused():
    """Otherwise clipping would silently destroy raw pixels of 0 to 255."""
    X, y = samples()
    adversary = AdversarialTraining(0.1)
    with pytest.raises(ValueError, match="255"):
        network(adversary=adversary).fit(255 * X, y)
    with pytest.raises(ValueError, match="clip_values"):
        network(validation_adversary=adversary).fit(X - 1, y, X - 1, y)
    with pytest.raises(ValueError, match="clip_values"):
        network().fit(X, y).attack(255 * X, y, adversary)


def test_attack_refuses_labels_and_adversaries_it_does_not_know():
    X, y = samples()
    clf = network().fit(X, y)
    with pytest.raises(ValueError, match="never saw"):
        clf.attack(X, y + 1, AdversarialTraining(0.1))
    with pytest.raises(TypeError, match="adversary"):
        clf.attack(X, y, 0.1)
    with pytest.raises(ValueError, match="samples"):
        clf.attack(X, y[:7], AdversarialTraining(0.1))


# --- history -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("adversary", "validation_adversary"),
    [
        (None, None),
        (AdversarialTraining(0.1, method="fgsm"), None),
        (AdversarialTraining(0.1, method="fgsm"), AdversarialTraining(0.2)),
    ],
)
def test_history_of_a_fit_with_validation_samples(adversary, validation_adversary):
    X, y = samples(40)
    X_val, y_val = samples(15, seed=3)
    clf = network(
        adversary=adversary,
        validation_adversary=validation_adversary,
        max_epochs=3,
        learning_rate=0.5,
        batch_size=9,
    ).fit(X, y, X_val, y_val)
    measured = validation_adversary or adversary
    expected = {
        "test_accuracy": clf.score(X_val, y_val),
        "train_accuracy": clf.score(X[:15], y[:15]),
    }
    if measured is not None:
        for part, (inputs, labels) in {"train": (X[:15], y[:15]), "test": (X_val, y_val)}.items():
            attacked = clf.attack(inputs, labels, measured)
            expected[f"{part}_robust_accuracy"] = clf.score(attacked, labels)
    assert set(clf.history_) == set(expected) | {"loss"}
    for key, value in expected.items():
        assert clf.history_[key].shape == (3,)
        assert clf.history_[key][-1] == pytest.approx(value, abs=1e-12)
    without = network(
        adversary=adversary, max_epochs=3, learning_rate=0.5, batch_size=9
    ).fit(X, y)  # fmt: skip
    assert_same_bits(clf, without)  # measuring does not disturb training


def test_history_has_an_entry_for_every_epoch():
    X, y = samples()
    clf = network(max_epochs=2, warm_start=True).fit(X, y, X, y).fit(X, y)
    clf.fit(X, y, X, y)
    assert {key: values.shape for key, values in clf.history_.items()} == {
        "loss": (6,),
        "train_accuracy": (6,),
        "test_accuracy": (6,),
    }
    np.testing.assert_array_equal(np.isnan(clf.history_["test_accuracy"]), [0, 0, 1, 1, 0, 0])
    assert network(max_epochs=0).fit(X, y).history_["loss"].shape == (0,)


@pytest.mark.parametrize(
    ("held_out", "match"),
    [
        (lambda X, y: (X, None), "y_val"),
        (lambda X, y: (None, y), "X_val"),
        (lambda X, y: (X, y[:7]), r"inconsistent|samples"),
        (lambda X, y: (X, y + 5), "never saw"),
        (lambda X, y: (X[:, :3], y), "features"),
        (lambda X, y: (X * np.nan, y), "NaN"),
    ],
    ids=["no y", "no X", "lengths", "labels", "width", "nan"],
)
def test_wrong_validation_samples_are_refused_before_training(held_out, match):
    X, y = samples()
    recorder = Recorder()
    clf = network().set_callbacks(recorder)
    with pytest.raises(ValueError, match=match):
        clf.fit(X, y, *held_out(X, y))
    assert recorder.epochs == []


def test_verbose_prints_every_epoch(capsys):
    X, y = samples()
    network(max_epochs=3, verbose=1).fit(X, y, X, y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and "loss" in lines[0] and "test_accuracy" in lines[0]
    network(max_epochs=3).fit(X, y)
    assert capsys.readouterr().out == ""


# --- callbacks -----------------------------------------------------------------------------


class Recorder:
    """Arguments of a callback before training and at the end of every epoch."""

    def __init__(self, X=None, stop_after=None):
        self.X, self.stop_after = X, stop_after
        self.epochs, self.outputs, self.kernels, self.roots = [], [], [], 0
        self.begun, self.ended = [], []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, *, fitted_estimator):
        self.begun.append((context.task_name, fitted_estimator))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        self.ended.append((context.task_name, fitted_estimator))
        if context.task_name != "epoch":
            self.roots += 1
            return False
        self.epochs.append(fitted_estimator.n_epochs_)
        if self.X is not None:
            fitted_estimator.predict(self.X)
            self.outputs.append(fitted_estimator.decision_function(self.X))
            self.kernels.append(fitted_estimator.empirical_ntk(self.X))
        return len(self.epochs) == self.stop_after


@pytest.mark.parametrize(
    ("frame", "extra"), [(False, {}), (True, {"centered": True, "linearize_at": 2})]
)
def test_callbacks_get_an_estimator_that_predicts_at_every_epoch(frame, extra):
    X, y = samples()
    if frame:
        X = pd.DataFrame(X, columns=list("abcd"))
    recorder = Recorder(X)
    options = {"learning_rate": 0.5, "batch_size": 8, **extra}
    network(max_epochs=4, **options).set_callbacks(recorder).fit(X, y)
    assert recorder.epochs == [1, 2, 3, 4] and recorder.roots == 1
    for epochs, outputs in enumerate(recorder.outputs, start=1):
        expected = network(max_epochs=epochs, **options).fit(X, y)
        np.testing.assert_array_equal(outputs, expected.decision_function(X))
        np.testing.assert_array_equal(recorder.kernels[epochs - 1], expected.empirical_ntk(X))


@pytest.mark.parametrize("warm_start", [False, True])
def test_callbacks_see_the_network_before_and_after_every_epoch(warm_start):
    X, y = samples()
    options = {"learning_rate": 0.5, "batch_size": 8}
    clf = network(max_epochs=3, warm_start=True, **options)
    if warm_start:
        clf.fit(X, y)
    done = 3 if warm_start else 0
    recorder = Recorder()
    clf.set_callbacks(recorder).fit(X, y)
    assert [name for name, _ in recorder.begun] == ["fit", "epoch", "epoch", "epoch"]
    assert [name for name, _ in recorder.ended] == ["epoch", "epoch", "epoch", "fit"]
    begun, ended = ([done + k for k in epochs] for epochs in ((0, 0, 1, 2), (1, 2, 3, 3)))
    for seen, epochs in ((recorder.begun, begun), (recorder.ended, ended)):
        assert [fitted.n_epochs_ for _, fitted in seen] == epochs
        for (_, fitted), epoch in zip(seen, epochs, strict=True):
            # Compared after training, when the arguments of a callback must not have changed.
            expected = network(max_epochs=epoch, **options).fit(X, y)
            assert_same_bits(fitted, expected)
            np.testing.assert_array_equal(fitted.history_["loss"], expected.history_["loss"])
            np.testing.assert_array_equal(
                fitted.decision_function(X), expected.decision_function(X)
            )


def test_a_callback_that_returns_true_stops_training():
    X, y = samples()
    clf = network(max_epochs=10).set_callbacks(Recorder(stop_after=3)).fit(X, y)
    assert clf.n_epochs_ == 3 and clf.history_["loss"].shape == (3,)
    assert_same_bits(clf, network(max_epochs=3).fit(X, y))


@pytest.mark.parametrize("max_epochs", [0, 3])
def test_progress_bar(max_epochs):
    X, y = samples()
    clf = network(max_epochs=max_epochs).set_callbacks(ProgressBar()).fit(X, y)
    assert_same_bits(clf, network(max_epochs=max_epochs).fit(X, y))


# --- divergence ----------------------------------------------------------------------------


def fitted_state(clf):
    return {
        name: value
        for name, value in vars(clf).items()
        if name not in clf.get_params() and not name.startswith("_skl")
    }


def diverge(clf, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # may occur in the first epoch
        clf.set_params(learning_rate=1e30, loss="squared_error", max_epochs=50).fit(X, y)


def interrupt(clf, X, y):
    class Interrupt:
        def setup(self, estimator, context): ...
        def teardown(self, estimator, context): ...
        def on_fit_task_begin(self, estimator, context): ...

        def on_fit_task_end(self, estimator, context):
            raise KeyboardInterrupt

    clf.set_callbacks(Interrupt()).fit(X, y)


FAILURES = {
    "parameter": (lambda clf, X, y: clf.set_params(max_epochs=-1).fit(X, y), ValueError),
    "diverged": (diverge, FloatingPointError),
    "interrupted": (interrupt, KeyboardInterrupt),
    "another width": (lambda clf, X, y: clf.fit(np.hstack([X, X])[:, :3], 0 * y), ValueError),
    "one class": (lambda clf, X, y: clf.fit(X, 0 * y), ValueError),
    "validation": (lambda clf, X, y: clf.fit(X, y, X[:, :1], y), ValueError),
    "box": (
        lambda clf, X, y: clf.set_params(adversary=AdversarialTraining(0.1)).fit(100 * X, y),
        ValueError,
    ),
}


@pytest.mark.parametrize("fail", FAILURES)
@pytest.mark.parametrize("fitted", [False, True])
def test_a_fit_that_fails_leaves_nothing_fitted(fail, fitted):
    X, y = samples()
    clf = network(max_epochs=2)
    if fitted:
        clf.fit(X, y)
    action, error = FAILURES[fail]
    with pytest.raises(error):
        action(clf, X, y)
    assert fitted_state(clf) == {}
    with pytest.raises(NotFittedError):
        clf.predict(X)


# A warm start does not need samples of all classes.
@pytest.mark.parametrize("fail", [fail for fail in FAILURES if fail != "one class"])
def test_a_warm_fit_that_fails_leaves_the_state_before_whole(fail):
    X, y = samples()
    options = {"max_epochs": 2, "batch_size": 7, "warm_start": True}  # batches take random numbers
    clf, other = (network(**options).fit(X, y) for _ in range(2))
    before = fitted_state(clf)
    action, error = FAILURES[fail]
    with pytest.raises(error):
        action(clf, X, y)
    assert fitted_state(clf).keys() == before.keys()
    assert_same_bits(clf, other)
    np.testing.assert_array_equal(clf.history_["loss"], other.history_["loss"])
    restored = clf.set_params(**network(**options).get_params()).set_callbacks()
    assert_same_bits(restored.fit(X, y), other.fit(X, y))


@pytest.mark.parametrize(
    ("name", "value"), [("module", MLP(features=(3,))), ("input_shape", (1, 2)), ("centered", True)]
)
def test_warm_start_goes_on_with_the_same_network_only(name, value):
    X, y = samples()
    clf = network(MLP(features=(6,)), max_epochs=1, warm_start=True).fit(X, y)
    before = fitted_state(clf)
    with pytest.raises(ValueError, match=f"^{name} was changed since the last fit"):
        clf.set_params(**{name: value}).fit(X, y)
    assert fitted_state(clf) == before
    clf.set_params(module=MLP(features=(6,)), input_shape=None, centered=False).fit(X, y)
    assert clf.n_epochs_ == 2


def test_parameters_that_overflow_in_the_last_step_are_not_kept():
    """The loss of an epoch is measured before its last step, so it does not show them."""
    X, y = samples(dtype=np.float32)
    options = {"loss": "squared_error", "batch_size": None, "learning_rate": 3e38}
    start = network(Affine, max_epochs=0, **options).fit(1000 * X, y)
    clf = network(Affine, max_epochs=0, warm_start=True, **options).fit(1000 * X, y)
    with pytest.raises(FloatingPointError, match="learning_rate"):
        clf.set_params(max_epochs=1).fit(1000 * X, y)
    assert_same_bits(clf, start)
    assert clf.n_epochs_ == 0


# --- trained networks ----------------------------------------------------------------------


def raw_outputs(module, variables, X):
    with jax.enable_x64(X.dtype == np.float64):
        return np.asarray(module.apply(variables, X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bare", [False, True])
def test_from_params_of_a_linen_module(dtype, bare):
    X, y = samples(n_classes=3, dtype=dtype)
    module = MLP(n_outputs=3)
    variables = module.init(jax.random.key(1), X)
    clf = FlaxClassifier.from_params(
        module, variables["params"] if bare else variables, classes=["a", "b", "c"], n_features=4
    )
    expected = raw_outputs(module, variables, X)
    np.testing.assert_allclose(clf.decision_function(X), expected, rtol=1e-6, atol=1e-7)
    labels = np.array(["a", "b", "c"])
    np.testing.assert_array_equal(clf.predict(X), labels[expected.argmax(axis=1)])
    assert NTKAttack(clf, eps=0.1).generate(X, labels[y]).shape == X.shape
    assert clf.empirical_ntk(X[:2]).shape == (6, 6)
    assert 0 <= clf.score(X, labels[y]) <= 1
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(clf)).decision_function(X), clf.decision_function(X)
    )


def test_from_params_keeps_other_collections():
    X = samples()[0]
    module = TwoLayerReLU(16)
    variables = module.init(jax.random.key(2), jnp.ones((1, 4)))
    clf = FlaxClassifier.from_params(module, variables, classes=[0, 1], input_shape=(2, 2))
    assert clf.n_features_in_ == 4
    expected = raw_outputs(module, variables, X)[:, 0]
    np.testing.assert_allclose(clf.decision_function(X), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [NNXMLP, nnx_sequential])
def test_from_params_of_an_nnx_module(make, dtype):
    X, y = samples(dtype=dtype)
    module = make(nnx.Rngs(3))
    expected = np.asarray(module(jnp.asarray(X, jnp.float32)))[:, 0]
    clf = FlaxClassifier.from_params(module, classes=[0, 1], n_features=4)
    np.testing.assert_allclose(clf.decision_function(X), expected, rtol=1e-5, atol=1e-6)
    assert NTKAttack(clf, eps=0.1).generate(X, y).shape == X.shape
    # Wrapping takes a copy, so that later changes of the user's module have no effect.
    nnx.update(module, jax.tree.map(jnp.zeros_like, nnx.state(module)))
    np.testing.assert_allclose(clf.decision_function(X), expected, rtol=1e-5, atol=1e-6)


def test_from_params_reads_classes_in_the_order_of_the_outputs():
    X, y = samples(n_classes=3)
    module = MLP(n_outputs=3)
    variables = module.init(jax.random.key(1), X)
    expected = raw_outputs(module, variables, X)
    names = np.array(["dog", "cat", "ant"])
    clf = FlaxClassifier.from_params(module, variables, classes=names, n_features=4)
    np.testing.assert_array_equal(clf.predict(X), names[expected.argmax(axis=1)])
    X_adv = NTKAttack(clf, eps=0.05).generate(X, names[y])
    ordered = FlaxClassifier.from_params(module, variables, classes=[0, 1, 2], n_features=4)
    np.testing.assert_array_equal(X_adv, NTKAttack(ordered, eps=0.05).generate(X, y))


def test_from_params_goes_on_training():
    X, y = samples()
    module = MLP(n_outputs=1)
    variables = module.init(jax.random.key(1), X)
    clf = FlaxClassifier.from_params(
        module, variables, classes=[0, 1], n_features=4,
        warm_start=True, max_epochs=20, optimizer="adam", random_state=0,
    )  # fmt: skip
    clf.fit(X, y)
    assert clf.n_epochs_ == 20 and clf.history_["loss"][-1] < clf.history_["loss"][0]
    before = np.logaddexp(0, -targets(y) * raw_outputs(module, variables, X)).mean()
    assert clf.history_["loss"][0] == pytest.approx(before, rel=1e-5)


@pytest.mark.parametrize(
    ("classes", "n_outputs", "match"),
    [
        ([0, 1], 3, "outputs"),
        ([0, 1, 2], 1, "outputs"),
        ([0], 1, "classes"),
        ([0, 0], 1, "classes"),
    ],
)
def test_from_params_checks_classes_against_outputs(classes, n_outputs, match):
    module = MLP(n_outputs=n_outputs)
    variables = module.init(jax.random.key(1), jnp.ones((1, 4)))
    with pytest.raises(ValueError, match=match):
        FlaxClassifier.from_params(module, variables, classes=classes, n_features=4)


def test_from_params_errors():
    module = MLP(n_outputs=1)
    variables = module.init(jax.random.key(1), jnp.ones((1, 4)))
    with pytest.raises(ValueError, match="n_features"):
        FlaxClassifier.from_params(module, variables, classes=[0, 1])
    with pytest.raises(TypeError, match="params"):
        FlaxClassifier.from_params(module, classes=[0, 1], n_features=4)
    with pytest.raises(TypeError, match="module"):
        FlaxClassifier.from_params("mlp", variables, classes=[0, 1], n_features=4)
    with pytest.raises(TypeError, match="n_features"):
        FlaxClassifier.from_params(module, variables, classes=[0, 1], n_features=4.0)
    with pytest.raises(ValueError, match="n_features"):
        FlaxClassifier.from_params(module, variables, classes=[0, 1], n_features=5)


def test_an_outside_model_cannot_be_centred_in_silence():
    module = MLP(n_outputs=1)
    X = samples()[0]
    variables = module.init(jax.random.key(1), X)
    with pytest.raises(ValueError, match="centered"):
        FlaxClassifier.from_params(module, variables, classes=[0, 1], n_features=4, centered=True)


# --- optional dependency -------------------------------------------------------------------

WITHOUT = """
import sys
import skntk, skntk.metrics, skntk.transfer, skntk.kernels, skntk.attacks

assert "FlaxClassifier" in dir(skntk)
assert not {"flax", "optax"} & set(sys.modules)


def import_error(statement):
    try:
        exec(statement)
    except ImportError as error:
        return str(error)


FIT = "from skntk import FlaxClassifier as C; C(lambda rngs: rngs).fit([[0.0], [1.0]], [0, 1])"
for missing in ("flax", "optax"):
    sys.modules[missing] = None
    print(missing, import_error(FIT))
    print(missing, import_error("from skntk.networks import TwoLayerReLU"))
    for name in [name for name in sys.modules if name.startswith("skntk")]:
        del sys.modules[name]
    exec("from skntk import *")
    exec("from skntk.networks import *")
    del sys.modules[missing]
"""


def test_flax_is_imported_on_demand_and_the_error_without_it_says_what_to_install():
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    *errors, networks_without_optax = result.stdout.splitlines()
    assert [line.split()[0] for line in errors] == ["flax", "flax", "optax"]
    for line in errors:
        missing = line.split()[0]
        assert f"needs {missing}" in line and "pip install 'skntk[flax]'" in line
    assert networks_without_optax == "optax None"  # networks need only Flax


def test_images_get_the_hint_to_reshape_after_the_fit_too():
    X, y = np.random.default_rng(0).random((8, 4)), np.arange(8) % 2
    clf = FlaxClassifier(TwoLayerReLU(4), max_epochs=1, random_state=0).fit(X, y)
    images = X.reshape(8, 2, 2)
    calls = [clf.predict, clf.decision_function, lambda X: clf.input_vjp(X, y)]
    for call in calls:
        with pytest.raises(ValueError, match=r"X\.reshape\(len\(X\), -1\)"):
            call(images)
