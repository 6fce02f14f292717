"""By which arguments a module is told its mode, whatever they are called."""

import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")

from flax import linen as nn
from flax import nnx

from skntk import FlaxClassifier
from skntk.networks._training_mode import mode_arguments, other_flags

X = np.random.default_rng(0).random((12, 4)).astype(np.float32)
y = np.arange(12) % 2


def linen_module(name, active, layer="dropout"):
    """Module class with a boolean argument that is `active` in training."""

    def call(self, x, **flags):
        active_now = flags[name] is active
        if layer == "dropout":
            x = nn.Dropout(0.5, deterministic=not active_now)(x)
        elif layer == "statistics":
            x = nn.BatchNorm(use_running_average=not active_now)(x)
        x = nn.Dense(8, name="hidden")(x)
        return nn.Dense(1)(nn.relu(x))

    namespace = {"call": nn.compact(call)}
    code = f"def __call__(self, x, {name}={not active}): return self.call(x, {name}={name})"
    exec(code, namespace)
    namespace = {key: namespace[key] for key in ("call", "__call__")}
    return type("Module", (nn.Module,), namespace)


def nnx_module(name, active, layer="dropout"):
    class Module(nnx.Module):
        def __init__(self, rngs):
            self.norm = nnx.BatchNorm(4, rngs=rngs)
            self.dropout = nnx.Dropout(0.5, rngs=rngs)
            self.dense = nnx.Linear(4, 1, rngs=rngs)

        def train(self, **attributes):
            """Leave the mode to the call."""

        eval = train

        def call(self, x, flag):
            if layer == "dropout":
                x = self.dropout(x, deterministic=flag is not active)
            elif layer == "statistics":
                x = self.norm(x, use_running_average=flag is not active)
            return self.dense(x)

    namespace = {}
    exec(f"def __call__(self, x, {name}={not active}): return self.call(x, {name})", namespace)
    Module.__call__ = namespace["__call__"]
    return Module


MAKERS = {"linen": linen_module, "nnx": nnx_module}
NAMES = {
    **{"train": True, "training": True, "is_train": True, "is_training": True},
    **{"deterministic": False, "use_running_average": False, "inference": False},
    **{"eval_mode": False, "is_eval": False},
}


def fitted(module):
    return FlaxClassifier(module, max_epochs=2, batch_size=None, random_state=0).fit(X, y)


@pytest.mark.parametrize(("name", "active"), NAMES.items())
def test_known_names(name, active):
    for make in MAKERS.values():
        call = make(name, active).__call__
        assert mode_arguments(call, training=True) == {name: active}
        assert mode_arguments(call, training=False) == {name: not active}
        assert other_flags(call) == {}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("name", ["is_training", "inference"])
def test_dropout_is_on_in_training_alone(make, name):
    module = make(name, NAMES[name])
    clf, plain = fitted(module), fitted(make(name, NAMES[name], layer=None))
    assert not np.allclose(clf.history_["loss"], plain.history_["loss"])
    np.testing.assert_array_equal(clf.decision_function(X), clf.decision_function(X))


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("layer", ["dropout", "statistics"])
@pytest.mark.parametrize("active", [True, False])
def test_an_unknown_name_is_refused(make, layer, active):
    clf = FlaxClassifier(make("noisy", active, layer), max_epochs=1)
    # Linen's running statistics have a name of their own, by which they are known first.
    with pytest.raises(ValueError, match=r"argument noisy of its call|'batch_stats'.*never told"):
        clf.fit(X, y)
    assert not hasattr(clf, "params_")


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_an_argument_that_switches_something_else_is_no_mode(make):
    assert not fitted(make("verbose", True, layer=None))._network.has_training_mode
