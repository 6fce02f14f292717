"""Training as users expect it: optimisers of every kind, inputs of any scale, callbacks."""

import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")

import optax
from flax import linen as nn
from sklearn.callback import ScoringMonitor
from sklearn.exceptions import ConvergenceWarning

from skntk import FlaxClassifier

X = np.random.default_rng(0).random((12, 4))
y = np.arange(12) % 3

OPTIMIZERS = {
    "state in half precision": partial(optax.adam, mu_dtype=jnp.float16),
    "state in bfloat16": partial(optax.sgd, momentum=0.9, accumulator_dtype=jnp.bfloat16),
    "several steps": optax.MultiSteps(optax.adam(0.1), 2),
    "chain": optax.chain(optax.clip(0.1), optax.adam(0.1)),
}


def network(**parameters):
    options = {"learning_rate": 0.1, "random_state": 0, "batch_size": 5} | parameters
    return FlaxClassifier(nn.Dense(3), **options)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_state_of_an_optimiser_is_its_own(optimizer):
    """Two fits of three epochs equal one of six, for every kind of optimiser."""
    warm = network(optimizer=optimizer, max_epochs=3, warm_start=True).fit(X, y).fit(X, y)
    at_once = network(optimizer=optimizer, max_epochs=6).fit(X, y)
    np.testing.assert_array_equal(warm.decision_function(X), at_once.decision_function(X))
    assert jax.tree.all(
        jax.tree.map(
            lambda a, b: a.dtype == b.dtype, warm._optimizer_state, at_once._optimizer_state
        )
    )


def test_the_state_follows_the_parameters_to_another_precision():
    warm = network(optimizer="adam", max_epochs=2, warm_start=True)
    warm.fit(X.astype(np.float32), y).fit(X, y)
    assert {leaf.dtype for leaf in jax.tree.leaves(warm.params_)} == {np.dtype(np.float64)}
    at_once = network(optimizer="adam", max_epochs=4).fit(X, y)
    np.testing.assert_allclose(
        warm.decision_function(X), at_once.decision_function(X), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize(
    "name",
    ["scale_by_adam", "clip", "trace", "scale", "add_noise", "ema", "global_norm", "nothing"],
)
def test_names_that_are_no_optimisers_are_refused(name):
    """The learning rate would be passed as another parameter, and training would ascend."""
    with pytest.raises(ValueError, match=f"optimizer='{name}' is not the name.*adam, .*sgd"):
        network(optimizer=name).fit(X, y)


@pytest.mark.parametrize("optimizer", [optax.lbfgs(), optax.polyak_sgd(), optax.lbfgs])
def test_optimisers_that_ask_for_the_loss_are_refused_before_training(optimizer):
    clf = network(optimizer=optimizer)
    with pytest.raises(ValueError, match="more than gradients and parameters"):
        clf.fit(X, y)
    assert not hasattr(clf, "params_")


@pytest.mark.slow
def test_every_optimiser_of_the_list_trains():
    from skntk.finite._optimizer import _NAMES

    assert {"adam", "adamw", "sgd", "rmsprop", "lion"} <= set(_NAMES)
    for name in _NAMES:
        _trains(name)


@pytest.mark.parametrize("name", ["adamw", "noisy_sgd"])
def test_an_optimiser_of_the_list_trains(name):
    _trains(name)


def _trains(name):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Specifying a key", UserWarning)  # from noisy_sgd
        warnings.simplefilter("ignore", DeprecationWarning)  # from names that Optax deprecates
        clf = network(optimizer=name, learning_rate=1e-3, max_epochs=1).fit(X, y)
    assert np.isfinite(clf.history_["loss"]).all(), name


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_inputs_of_the_wrong_scale_are_noticed(loss):
    """Bytes as inputs make the loss explode, which is warned of."""
    module = nn.Sequential([nn.Dense(64), nn.relu, nn.Dense(3)])
    images = np.repeat(X * 255, 20, axis=0)
    rate = 0.05 if loss == "cross_entropy" else 1e-4
    clf = FlaxClassifier(module, loss=loss, learning_rate=rate, max_epochs=1, random_state=0)
    with pytest.warns(ConvergenceWarning, match=r"inputs of up to 25\d.*Scale X"):
        clf.fit(images, np.repeat(y, 20))
    clf.fit(images / 255, np.repeat(y, 20))  # no warning, which would be an error


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_steps_that_grow_too_long_later_are_noticed_once(loss):
    schedule = optax.linear_schedule(0.0, 300.0, 2)
    options = {"learning_rate": schedule, "batch_size": None, "max_epochs": 5}
    with pytest.warns(ConvergenceWarning, match="mean loss of epoch 3 is") as caught:
        network(loss=loss, **options).fit(20 * X if loss == "cross_entropy" else X, y)
    assert len(caught) == 1


def test_scikit_learns_monitor_gets_what_it_scores_on():
    """No result of a callback is missing."""
    monitor = ScoringMonitor(scoring="accuracy")
    clf = network(max_epochs=3).set_callbacks(monitor).fit(X, y)
    entries = monitor.get_logs().data
    scores = [entry["accuracy"] for entry in entries if entry["task_name"] == "epoch"]
    assert len(scores) == 3
    assert scores[-1] == clf.score(X, y)


def test_images_come_as_they_are_or_as_rows():
    images = X.reshape(12, 2, 2, 1)
    module = nn.Sequential([nn.Conv(2, (2, 2)), lambda x: x.reshape(len(x), -1), nn.Dense(3)])
    options = {"input_shape": (2, 2, 1), "max_epochs": 1, "random_state": 0}
    rows = FlaxClassifier(module, **options).fit(X, y, X, y)
    clf = FlaxClassifier(module, **options).fit(images, y, images, y)
    np.testing.assert_array_equal(clf.predict_proba(images), rows.predict_proba(X))
    with pytest.raises(ValueError, match=r"X\.reshape\(len\(X\), -1\)"):
        FlaxClassifier(module, **(options | {"input_shape": None})).fit(images, y)
