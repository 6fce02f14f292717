"""A training that was killed or interrupted resumes from its last epoch, bitwise identically."""

import functools
import pickle
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")

import optax
from flax import linen as nn
from flax import nnx
from sklearn.base import clone

from skntk import AdversarialTraining, FlaxClassifier, KernelDynamicsTracker
from skntk.dynamics import SnapshotError
from skntk.finite import _training

X = np.random.default_rng(0).random((12, 4))
y = np.arange(12) % 2

OPTIONS = {
    "adam": {"optimizer": "adam"},
    "half precision": {"optimizer": optax.adam(0.1, mu_dtype=jax.numpy.bfloat16)},
    "centred": {"centered": True},
    "linearised": {"linearize_at": 2},
    "adversarial": {"adversary": AdversarialTraining(0.1, max_iter=2)},
}


def network(**parameters):
    options = {"learning_rate": 0.1, "random_state": 0, "batch_size": 5, "max_epochs": 5}
    return FlaxClassifier(**({"module": nn.Dense(1)} | options | parameters))


def described(activation=nn.relu, momentum=0.5, rate=0.1):
    """Options whose values are in functions, and in what these close over."""
    return {
        "module": nn.Sequential([nn.Dense(4), activation, nn.Dense(1)]),
        "optimizer": functools.partial(optax.sgd, momentum=momentum),
        "learning_rate": optax.exponential_decay(rate, 2, 0.9),
    }


class Interruption:
    """Interrupts training in the middle of an epoch, after a given number of steps."""

    def __init__(self, patch, steps):
        self.steps, self.count = steps, 0
        self.step = _training._descend
        patch.setattr(_training, "_descend", self)

    def __call__(self, *arguments):
        self.count += 1
        if self.count > self.steps:
            raise KeyboardInterrupt
        return self.step(*arguments)


def assert_same_training(a, b):
    assert a.n_epochs_ == b.n_epochs_
    for name in ("params_", "_optimizer_state", "origin_", "anchor_"):
        left, right = (jax.tree.leaves(getattr(clf, name)) for clf in (a, b))
        for one, other in zip(left, right, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    for name in a.history_.keys() | b.history_.keys():
        np.testing.assert_array_equal(a.history_[name], b.history_[name])


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_an_interrupted_training_goes_on_to_the_same_bits(options, tmp_path, monkeypatch):
    whole = network(**options).fit(X, y, X, y)
    clf = network(checkpoint=tmp_path / "run", **options)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        Interruption(patch, steps=10)  # three per epoch: in the fourth
        clf.fit(X, y, X, y)
    assert not hasattr(clf, "params_")
    with pytest.raises(SnapshotError, match="resume=True"):
        clf.fit(X, y, X, y)
    with monkeypatch.context() as patch:
        counted = Interruption(patch, steps=100)
        clf.set_params(resume=True).fit(X, y, X, y)
    assert counted.count == 6  # the two epochs that were not finished
    assert_same_training(clf, whole)
    # A finished training is not repeated; more epochs continue from its end.
    assert_same_training(clf.fit(X, y, X, y), whole)
    longer = network(**(options | {"max_epochs": 7})).fit(X, y, X, y)
    assert_same_training(clf.set_params(max_epochs=7).fit(X, y, X, y), longer)
    pickle.dumps(clf)


KILLED = """
import os, signal, sys
sys.path[:0] = sys.argv[3:]
from test_checkpoints import X, described, y, network, KernelDynamicsTracker, _training
step, steps = _training._descend, []
def descend(*arguments):
    steps.append(1)
    if len(steps) > 11:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(*arguments)
_training._descend = descend
tracker = KernelDynamicsTracker(X[:5], top=2, directory=sys.argv[2])
network(checkpoint=sys.argv[1], **described()).set_callbacks(tracker).fit(X, y)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_training_goes_on_with_its_tracker(tmp_path, monkeypatch):
    run, kernels = tmp_path / "run", tmp_path / "kernels"
    command = [sys.executable, "-c", KILLED, str(run), str(kernels), *sys.path]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    whole_tracker = KernelDynamicsTracker(X[:5], top=2)
    whole = network(**described()).set_callbacks(whole_tracker).fit(X, y)
    tracker = KernelDynamicsTracker(X[:5], top=2, directory=kernels, resume=True)
    with monkeypatch.context() as patch:
        counted = Interruption(patch, steps=100)
        clf = network(checkpoint=run, resume=True, **described())
        clf.set_callbacks(tracker).fit(X, y)
    assert counted.count == 6  # epochs 4 and 5; 4 was broken off in its last step
    assert_same_training(clf, whole)
    np.testing.assert_array_equal(tracker.steps_, whole_tracker.steps_)
    for step in tracker.steps_:
        np.testing.assert_array_equal(tracker.kernel(step), whole_tracker.kernel(step))


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path):
    whole = network().fit(X, y)
    network(checkpoint=tmp_path, max_epochs=4).fit(X, y)
    names = sorted(path.name for path in tmp_path.glob("epoch-*.npz"))
    assert len(names) == 2  # the last, and one more in case it is damaged
    (tmp_path / names[-1]).write_bytes(b"damaged")
    with pytest.warns(RuntimeWarning, match="epoch-0000000004.*damaged"):
        clf = network(checkpoint=tmp_path, resume=True).fit(X, y)
    assert_same_training(clf, whole)


CHANGED = {
    "loss": {"loss": "squared_error"},
    "optimizer": {"optimizer": "adam"},
    "learning_rate": {"learning_rate": 0.2},
    "adversary": {"adversary": AdversarialTraining(0.1)},
    "random_state": {"random_state": 1},
}


@pytest.mark.parametrize("name, options", CHANGED.items())
def test_another_training_is_not_mixed_in(name, options, tmp_path):
    network(checkpoint=tmp_path, max_epochs=1).fit(X, y)
    with pytest.raises(SnapshotError, match=f"different {name};"):
        network(checkpoint=tmp_path, resume=True, **options).fit(X, y)
    with pytest.raises(SnapshotError, match="different data;"):
        network(checkpoint=tmp_path, resume=True).fit(X[::-1], y)


class Halved(nn.Module):
    layer: nn.Module
    factor: float = 0.5

    def __call__(self, x):
        return self.factor * self.layer(x)


def factory(activation):
    def make(rngs):
        return nnx.Sequential(nnx.Linear(4, 3, rngs=rngs), activation, nnx.Linear(3, 1, rngs=rngs))

    return make


#: Pairs with weights and optimisers' states of the same shapes, that train differently.
ALIKE = {
    "activation": ("module", described()["module"], described(nn.tanh)["module"]),
    "field": ("module", Halved(nn.Dense(1)), Halved(nn.Dense(1), 2.0)),
    "closure": ("module", factory(nnx.relu), factory(nnx.tanh)),
    "bound": ("optimizer", described()["optimizer"], described(momentum=0.9)["optimizer"]),
    "made": ("optimizer", optax.sgd(0.1, 0.5), optax.sgd(0.1, 0.9)),
    "steps": ("optimizer", *(optax.MultiSteps(optax.sgd(0.1), k) for k in (2, 3))),
    "schedule": ("learning_rate", *(described(rate=r)["learning_rate"] for r in (0.1, 0.2))),
}


@pytest.mark.parametrize("name, first, second", ALIKE.values(), ids=ALIKE)
def test_another_training_of_the_same_shapes_is_not_mixed_in(name, first, second, tmp_path):
    network(checkpoint=tmp_path, max_epochs=1, **{name: first}).fit(X, y)
    with pytest.raises(SnapshotError, match=f"different {name};"):
        network(checkpoint=tmp_path, resume=True, **{name: second}).fit(X, y)
    clf = clone(network(checkpoint=tmp_path, resume=True, **{name: first}))
    assert_same_training(clf.fit(X, y), network(**{name: first}).fit(X, y))


def test_the_same_settings_written_otherwise_go_on(tmp_path):
    options = {"module": Halved(nn.Dense(1)), "random_state": 3}
    network(checkpoint=tmp_path, max_epochs=1, input_shape=(4,), **options).fit(X, y)
    options |= {"random_state": np.int64(3)}
    clf = network(checkpoint=tmp_path, resume=True, input_shape=[np.int64(4)], **options)
    assert clf.fit(X, y).n_epochs_ == 5


def test_parameters_that_do_not_go_together():
    with pytest.raises(ValueError, match="resume=True needs a checkpoint"):
        network(resume=True).fit(X, y)
    with pytest.raises(ValueError, match="warm_start=True both say"):
        network(checkpoint="run", warm_start=True).fit(X, y)
    with pytest.raises(TypeError, match="checkpoint=3 must be the path of a directory"):
        network(checkpoint=3).fit(X, y)


def test_messages_name_the_parameter_and_a_file_is_no_directory(tmp_path):
    used, file = tmp_path / "used", tmp_path / "file"
    file.write_text("mine")
    network(checkpoint=used, max_epochs=1).fit(X, y)
    with pytest.raises(SnapshotError, match=r"^checkpoint=.*used' already holds checkpoints"):
        network(checkpoint=used, max_epochs=1).fit(X, y)
    with pytest.raises(SnapshotError, match=r"^checkpoint=.*used' holds checkpoints of another"):
        network(checkpoint=used, max_epochs=1, resume=True).fit(X + 1, y)
    for path in (file, file / "below"):
        clf = network(checkpoint=path, max_epochs=1)
        with pytest.raises(
            SnapshotError, match=r"^checkpoint=.* is a file or lies under one; give"
        ):
            clf.fit(X, y)
        assert not hasattr(clf, "params_")
        with pytest.raises(SnapshotError, match=r"^directory=.* is a file or lies under one; give"):
            KernelDynamicsTracker(X[:5], top=2, directory=path)
        with pytest.raises(SnapshotError, match=r"holds no checkpoints: .*[Nn]ot a directory"):
            KernelDynamicsTracker.load(path)
    assert file.read_text() == "mine"
