"""`KernelDynamicsTracker` in training runs that are complete, interrupted, resumed or refused."""

import os
import pickle
import re
import signal
import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")

from flax import linen as nn
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

import skntk.dynamics._record
from skntk import AdversarialTraining, FlaxClassifier, KernelDynamicsTracker
from skntk._utils.snapshots import SnapshotStore
from skntk.dynamics import SnapshotError
from skntk.kernels import EmpiricalNTK
from skntk.networks import TwoLayerReLU

DIGITS, LABELS = load_digits(n_class=3, return_X_y=True)
X, y = DIGITS[:80] / 16, LABELS[:80]
BATCH, BATCH_LABELS = X[:6], y[:6]
TOP = (3, 5)
ADVERSARY = AdversarialTraining(0.1, max_iter=2)
OTHER_ADVERSARY = AdversarialTraining(0.3, method="fgsm")
RESULTS = [
    *["steps_", "distances_", "polar_radius_", "polar_angle_", "frobenius_norm_"],
    *["eigenvalues_", "concentration_", "top_polar_radius_", "top_polar_angle_"],
]


class MLP(nn.Module):
    n_outputs: int = 3

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.n_outputs)(nn.tanh(nn.Dense(5)(x)))


def network(max_epochs=4, **options):
    options = {"learning_rate": 0.5, "batch_size": 20, "random_state": 0} | options
    return FlaxClassifier(MLP(), max_epochs=max_epochs, **options)


def make_tracker(**options):
    options = {"top": TOP} | options
    return KernelDynamicsTracker(BATCH, BATCH_LABELS, **options)


def train(tracker, max_epochs=4, **options):
    return network(max_epochs, **options).set_callbacks(tracker).fit(X, y)


def assert_same_results(a, b):
    np.testing.assert_equal({name: getattr(a, name) for name in RESULTS}, results(b))
    for step in a.steps_:
        kernel = a.kernel(step)
        assert kernel.dtype == b.kernel(step).dtype
        np.testing.assert_array_equal(kernel, b.kernel(step))


def results(tracker):
    return {name: getattr(tracker, name) for name in RESULTS}


def cosine(K, L):
    return np.sum(K * L) / np.sqrt(np.sum(K * K) * np.sum(L * L))


def cut_down(K, p):
    values, vectors = np.linalg.eigh(K)
    return (vectors[:, -p:] * values[-p:]) @ vectors[:, -p:].T


def assert_results_follow_from_kernels(tracker):
    kernels = [tracker.kernel(step).astype(float) for step in tracker.steps_]

    def polar(kernels):
        start, end = kernels[0], kernels[-1]
        moved = [np.linalg.norm(K - start) for K in kernels]
        angles = [np.arccos(min(1, cosine(K, start))) for K in kernels]
        return np.array(moved) / np.linalg.norm(end - start), angles

    distances = [[1 - cosine(K, L) for L in kernels] for K in kernels]
    np.testing.assert_allclose(tracker.distances_, distances, atol=1e-13)
    radius, angle = polar(kernels)
    np.testing.assert_allclose(tracker.polar_radius_, radius, rtol=1e-9)
    np.testing.assert_allclose(tracker.polar_angle_, angle, atol=1e-7)
    norms = np.array([np.linalg.norm(K) for K in kernels])
    np.testing.assert_allclose(tracker.frobenius_norm_, norms, rtol=1e-12)
    values = np.array([np.linalg.eigvalsh(K)[::-1] for K in kernels])
    np.testing.assert_allclose(
        tracker.eigenvalues_, values[:, : max(tracker.top)], atol=1e-11 * values.max()
    )
    for results in (tracker.concentration_, tracker.top_polar_radius_, tracker.top_polar_angle_):
        assert results.keys() == set(tracker.top)
    for p in tracker.top:
        share = np.square(values[:, :p]).sum(axis=1) / norms**2
        np.testing.assert_allclose(tracker.concentration_[p], share, rtol=1e-9)
        radius, angle = polar([cut_down(K, p) for K in kernels])
        np.testing.assert_allclose(tracker.top_polar_radius_[p], radius, rtol=1e-6)
        np.testing.assert_allclose(tracker.top_polar_angle_[p], angle, atol=1e-7)


@pytest.fixture(scope="module")
def uninterrupted():
    """Trackers of 6 epochs of standard and of adversarial training."""
    trackers = {}
    for adversary in (None, ADVERSARY):
        trackers[adversary] = make_tracker()
        train(trackers[adversary], 6, adversary=adversary)
    return trackers


# --- as a callback ---------------------------------------------------------------------------


@pytest.mark.parametrize("training", [None, ADVERSARY], ids=["standard", "adversarial"])
def test_both_batches_of_one_training(training):
    """Clean and attacked batches, two trackers on one fit, in standard and in adversarial runs."""
    clean = make_tracker(adversary=AdversarialTraining(0.0))
    attacked = make_tracker(adversary=None if training else ADVERSARY)
    network(2, adversary=training).set_callbacks(clean, attacked).fit(X, y)
    for step in (0, 1, 2):
        clf = network(step, adversary=training).fit(X, y)
        on_batch = clf.empirical_ntk(BATCH)
        on_attacked = clf.empirical_ntk(clf.attack(BATCH, BATCH_LABELS, ADVERSARY))
        scale = np.abs(on_batch).max()
        np.testing.assert_allclose(clean.kernel(step), on_batch, rtol=0, atol=1e-10 * scale)
        np.testing.assert_allclose(attacked.kernel(step), on_attacked, rtol=0, atol=1e-10 * scale)
        assert np.abs(on_attacked - on_batch).max() > 1e-3 * scale


@pytest.mark.parametrize("own", [None, OTHER_ADVERSARY], ids=["network's", "own"])
@pytest.mark.parametrize("adversary", [None, ADVERSARY], ids=["standard", "adversarial"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernels_are_those_of_the_network_trained_that_long(dtype, adversary, own):
    inputs, batch = X.astype(dtype), BATCH.astype(dtype)
    tracker = KernelDynamicsTracker(batch, BATCH_LABELS, top=TOP, adversary=own)
    network(3, adversary=adversary).set_callbacks(tracker).fit(inputs, y)
    np.testing.assert_array_equal(tracker.steps_, [0, 1, 2, 3])
    for step in tracker.steps_:
        clf = network(step, adversary=adversary).fit(inputs, y)
        points = batch
        if own or adversary:
            points = clf.attack(batch, BATCH_LABELS, own or adversary)
            assert (np.abs(points - batch).max(axis=1) > 0.01).all()
        expected = clf.empirical_ntk(points)
        assert expected.shape == (18, 18) and tracker.kernel(step).dtype == dtype
        np.testing.assert_array_equal(tracker.kernel(step), expected)
    assert_results_follow_from_kernels(tracker)


def test_tracking_does_not_change_training():
    expected = network(adversary=ADVERSARY).fit(X, y)
    clf = train(make_tracker(), adversary=ADVERSARY)
    jax.tree.map(np.testing.assert_array_equal, clf.params_, expected.params_)


@pytest.mark.parametrize(
    ("every", "max_epochs", "steps"),
    [
        (1, 2, [0, 1, 2]),
        (2, 5, [0, 2, 4, 5]),
        (2, 4, [0, 2, 4]),
        (10, 3, [0, 3]),
        (np.int64(3), 1, [0, 1]),
        (1, 0, [0]),
    ],
)
def test_first_and_last_are_always_recorded(every, max_epochs, steps):
    tracker = make_tracker(every=every)
    train(tracker, max_epochs)
    np.testing.assert_array_equal(tracker.steps_, steps)
    assert tracker.distances_.shape == (len(steps), len(steps))


def test_the_last_is_recorded_when_another_callback_stops_training():
    class Stopper(Interrupter):
        def on_fit_task_end(self, estimator, context, *, fitted_estimator):
            return context.task_name == "epoch" and fitted_estimator.n_epochs_ == 3

    tracker = make_tracker(every=2)
    network(9).set_callbacks(tracker, Stopper()).fit(X, y)
    np.testing.assert_array_equal(tracker.steps_, [0, 2, 3])


def test_a_single_kernel():
    tracker = make_tracker()
    train(tracker, 0)
    np.testing.assert_array_equal(tracker.distances_, [[0]])
    for polar in (tracker.polar_radius_, tracker.polar_angle_, tracker.top_polar_angle_[5]):
        np.testing.assert_array_equal(polar, [0])


def test_all_eigenvalues_may_be_followed():
    tracker = make_tracker(top=18)
    train(tracker, 2)
    assert tracker.top == (18,)
    np.testing.assert_allclose(tracker.concentration_[18], 1)
    np.testing.assert_allclose(tracker.top_polar_radius_[18], tracker.polar_radius_, rtol=1e-8)
    np.testing.assert_allclose(tracker.top_polar_angle_[18], tracker.polar_angle_, rtol=1e-8)


def test_linearised_and_centred_training():
    tracker = make_tracker()
    options = {"centered": True, "linearize_at": 2, "adversary": ADVERSARY}
    train(tracker, **options)
    for step in tracker.steps_:
        clf = network(step, **options).fit(X, y)
        points = clf.attack(BATCH, BATCH_LABELS, ADVERSARY)
        np.testing.assert_array_equal(tracker.kernel(step), clf.empirical_ntk(points))


def test_frozen_variables_and_two_classes():
    tracker = KernelDynamicsTracker(BATCH, top=2)
    clf = FlaxClassifier(TwoLayerReLU(7), max_epochs=2, learning_rate=0.5, random_state=0)
    clf.set_callbacks(tracker).fit(X, y == 0)
    assert tracker.kernel(2).shape == (6, 6)
    np.testing.assert_array_equal(tracker.kernel(2), clf.empirical_ntk(BATCH))


def test_warm_start_goes_on():
    tracker, expected = make_tracker(), make_tracker()
    clf = train(tracker, 2, warm_start=True)
    clf.fit(X, y)
    train(expected, 4)
    assert_same_results(tracker, expected)


def test_fitting_again_the_same_is_no_other_run(monkeypatch):
    tracker = make_tracker()
    clf = train(tracker, 2)
    kernels = count_kernels(monkeypatch)
    clf.fit(X, y)
    assert kernels == [] and len(tracker.steps_) == 3


def count_kernels(monkeypatch):
    computed, original = [], FlaxClassifier.empirical_ntk

    def spy(self, points):
        computed.append(self.n_epochs_)
        return original(self, points)

    monkeypatch.setattr(FlaxClassifier, "empirical_ntk", spy)
    return computed


@pytest.mark.parametrize("adversary", [None, ADVERSARY], ids=["standard", "adversarial"])
def test_feature_names_are_compared_as_scikit_learn_does(adversary):
    columns = [f"p{k}" for k in range(64)]
    frame = pd.DataFrame(X, columns=columns)
    tracker = KernelDynamicsTracker(frame[:6], BATCH_LABELS, top=TOP)
    network(1, adversary=adversary).set_callbacks(tracker).fit(frame, pd.Series(y))
    expected = make_tracker()
    train(expected, 1, adversary=adversary)
    assert_same_results(tracker, expected)
    pickle.loads(pickle.dumps(tracker))
    wrong = KernelDynamicsTracker(frame[:6][columns[::-1]], BATCH_LABELS, top=TOP)
    with pytest.raises(ValueError, match="feature names"):
        network(1, adversary=adversary).set_callbacks(wrong).fit(frame, y)


def test_beside_a_progress_bar():
    tracker, expected = make_tracker(), make_tracker()
    network(2).set_callbacks(ProgressBar(), tracker).fit(X, y)
    train(expected, 2)
    assert_same_results(tracker, expected)


def test_cloned_and_pickled_estimators(tmp_path):
    tracker = make_tracker()
    clf = train(tracker, 2)
    assert_same_results(pickle.loads(pickle.dumps(clf))._skl_callbacks[0], tracker)
    copy = clone(clf).fit(X, y)  # the same callback has nothing new to record
    jax.tree.map(np.testing.assert_array_equal, copy.params_, clf.params_)
    stored = make_tracker(directory=tmp_path)
    train(stored, 1)
    again = pickle.loads(pickle.dumps(stored))
    train(again, 2)
    assert_same_results(again, tracker)


# --- results ---------------------------------------------------------------------------------


@pytest.mark.parametrize("adversary", [None, ADVERSARY], ids=["standard", "adversarial"])
def test_in_memory_and_on_disk_are_the_same(tmp_path, uninterrupted, adversary):
    stored = make_tracker(directory=tmp_path / "run")
    train(stored, 6, adversary=adversary)
    assert_same_results(stored, uninterrupted[adversary])
    loaded = KernelDynamicsTracker.load(tmp_path / "run")
    assert_same_results(loaded, uninterrupted[adversary])
    assert (loaded.top, loaded.every, loaded.n_samples) == (TOP, 1, 6)
    np.testing.assert_array_equal(loaded.labels, BATCH_LABELS)


@pytest.mark.parametrize("n_kernels", [0, 1, 2, 3, 6])
@pytest.mark.parametrize("on_disk", [False, True])
def test_blocks_of_any_size_give_the_same(tmp_path, monkeypatch, uninterrupted, n_kernels, on_disk):
    tracker = make_tracker(directory=tmp_path if on_disk else None)
    train(tracker, 6)
    # Before the patch, as the shared tracker caches what it computes.
    expected = uninterrupted[None].distances_
    monkeypatch.setattr(skntk.dynamics._record, "_BLOCK_BYTES", n_kernels * 18 * 18 * 8)
    np.testing.assert_allclose(tracker.distances_, expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_array_equal(tracker.distances_, tracker.distances_.T)


def quadratic(params, x):
    return jnp.square(x @ params) / 10


def test_never_all_kernels_in_memory(tmp_path, monkeypatch):
    n = 600  # large beside what other threads and JAX allocate, which is traced as well
    monkeypatch.setattr(skntk.dynamics._record, "_BLOCK_BYTES", 2 * 8 * n**2)
    rng = np.random.default_rng(0)
    tracker = KernelDynamicsTracker(rng.normal(size=(n, 4)), top=2, directory=tmp_path)
    weights, step = rng.normal(size=(2, 4, 1))
    tracker.record(quadratic, weights, 0)
    tracemalloc.start()
    for t in range(1, 20):
        tracker.record(quadratic, weights + t * step, t)
    results(tracker)
    results(KernelDynamicsTracker.load(tmp_path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * tracker.kernel(0).nbytes


def test_results_cannot_be_spoilt_from_outside():
    tracker = make_tracker()
    train(tracker, 2)
    before = pickle.dumps(results(tracker))
    for value in results(tracker).values():
        for array in value.values() if isinstance(value, dict) else [value]:
            array[:] = -1
    tracker.kernel(1)[:] = -1
    assert pickle.dumps(results(tracker)) == before
    assert (tracker.kernel(1) != -1).any()


def test_results_follow_new_steps():
    tracker = KernelDynamicsTracker(np.eye(3), top=1)
    for step in range(4):
        tracker.record(quadratic, np.array([[1.0], [1.0], [step]]), step)
        assert tracker.distances_.shape == (step + 1, step + 1)
        assert tracker.top_polar_angle_[1].shape == (step + 1,)
    assert_results_follow_from_kernels(tracker)


def test_the_batch_is_fixed():
    batch, labels = BATCH.copy(), BATCH_LABELS.copy()
    tracker = KernelDynamicsTracker(batch, labels, top=TOP)
    batch[:], labels[:] = 0, 0
    train(tracker, 1)
    expected = make_tracker()
    train(expected, 1)
    assert_same_results(tracker, expected)


# --- record, from any loop -------------------------------------------------------------------


def images():
    return np.random.default_rng(0).uniform(size=(4, 5, 5, 1)).astype(np.float32)


def convolve(params, x):
    assert x.shape[1:] == (5, 5, 1)
    hidden = jax.lax.conv_general_dilated(
        x, params["w"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jnp.tanh(hidden).reshape(len(x), -1) @ params["v"]


def convolution_parameters(seed):
    rng = np.random.default_rng(seed)
    w, v = rng.normal(size=(3, 3, 1, 2)), rng.normal(size=(18, 2))
    return {"w": w.astype(np.float32), "v": v.astype(np.float32)}


def plain_kernel(apply_fn, params, x):
    jacobian = jax.jacobian(apply_fn)(params, x)
    n, k = apply_fn(params, x).shape
    J = np.concatenate([np.reshape(j, (n * k, -1)) for j in jax.tree.leaves(jacobian)], axis=1)
    return J @ J.T


def test_record_takes_images_and_any_tree_of_parameters(tmp_path):
    tracker = KernelDynamicsTracker(images(), top=(1, 4))
    stored = KernelDynamicsTracker(images(), top=(1, 4), directory=tmp_path)
    for step, jump in enumerate([0, 100, 7]):
        params = jax.tree.map(jnp.asarray, convolution_parameters(step))
        for each in (tracker, stored):
            each.record(convolve, params, jnp.asarray(jump))
        expected = plain_kernel(convolve, params, images())
        assert tracker.kernel(jump).dtype == np.float32
        np.testing.assert_allclose(tracker.kernel(jump), expected, rtol=2e-4, atol=1e-4)
    np.testing.assert_array_equal(tracker.steps_, [0, 7, 100])
    assert_results_follow_from_kernels(tracker)
    assert_same_results(tracker, stored)


def test_record_in_a_loop_of_jax():
    """Gradient descent on a Linen module gives the kernels of the equivalent function."""
    module = MLP()
    batch, labels = jnp.asarray(BATCH), jnp.asarray(BATCH_LABELS)
    params = module.init(jax.random.key(0), batch)["params"]

    def apply(params, x):
        return module.apply({"params": params}, x)

    def loss(params):
        return jnp.mean(jnp.square(apply(params, batch) - jax.nn.one_hot(labels, 3)))

    tracker = KernelDynamicsTracker(BATCH, top=TOP)
    whole = KernelDynamicsTracker(BATCH, top=TOP)
    for step in range(3):
        tracker.record(apply, params, step)
        whole.record(module.apply, {"params": params}, step)
        expected = EmpiricalNTK(module, params).full(BATCH)
        np.testing.assert_allclose(tracker.kernel(step), expected, rtol=1e-10, atol=1e-12)
        params = jax.tree.map(lambda w, g: w - 0.5 * g, params, jax.grad(loss)(params))
    assert tracker.polar_radius_[1] > 0
    np.testing.assert_array_equal(tracker.distances_, whole.distances_)


@pytest.mark.parametrize("n_outputs", [1, 2, 3])
def test_record_attacks_as_a_network_does(n_outputs):
    labels = BATCH_LABELS if n_outputs == 3 else (BATCH_LABELS == 0).astype(int)
    clf = FlaxClassifier(MLP(n_outputs), max_epochs=2, random_state=0, learning_rate=0.5)
    clf.fit(X, y if n_outputs == 3 else (y == 0).astype(int))
    tracker = KernelDynamicsTracker(BATCH, labels, adversary=ADVERSARY, top=2)
    tracker.record(lambda params, x: MLP(n_outputs).apply({"params": params}, x), clf.params_, 2)
    points = clf.attack(BATCH, labels, ADVERSARY)
    assert np.abs(points - BATCH).max() > 0.05
    np.testing.assert_allclose(tracker.kernel(2), clf.empirical_ntk(points), rtol=1e-9, atol=1e-11)


def test_record_attacks_images():
    labels = np.array([0, 1, 1, 0])
    tracker = KernelDynamicsTracker(images(), labels, adversary=ADVERSARY, top=2)
    clean = KernelDynamicsTracker(images(), top=2)
    for each in (tracker, clean):
        each.record(convolve, convolution_parameters(0), 0)
    assert np.abs(tracker.kernel(0) - clean.kernel(0)).max() > 1e-3


def test_record_is_idempotent_and_refuses_another_network():
    tracker = KernelDynamicsTracker(np.eye(3), top=1)
    tracker.record(quadratic, np.ones((3, 1)), 0)
    tracker.record(quadratic, np.ones((3, 1)), 0)
    with pytest.raises(SnapshotError, match="step 0 was recorded with other parameters"):
        tracker.record(quadratic, 2 * np.ones((3, 1)), 0)
    np.testing.assert_array_equal(tracker.steps_, [0])


def test_a_zero_kernel():
    tracker = KernelDynamicsTracker(np.eye(3), top=1)
    for step, size in enumerate([0.0, 1.0, 2.0]):
        tracker.record(quadratic, np.full((3, 1), size), step)
    np.testing.assert_array_equal(tracker.distances_[0], [0, 1, 1])
    np.testing.assert_array_equal(tracker.concentration_[1][:1], [0])
    assert all(np.isfinite(a).all() for a in (tracker.polar_radius_, tracker.polar_angle_))


# --- interrupted and resumed -------------------------------------------------------------------


class Interrupter:
    """A callback that interrupts training after a given epoch."""

    def __init__(self, after=None):
        self.after = after

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if context.task_name == "epoch" and fitted_estimator.n_epochs_ == self.after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("adversary", [None, ADVERSARY], ids=["standard", "adversarial"])
def test_interrupted_in_mid_training(tmp_path, monkeypatch, uninterrupted, adversary, first):
    tracker = make_tracker(directory=tmp_path)
    clf = network(6, adversary=adversary)
    callbacks = [Interrupter(3), tracker] if first else [tracker, Interrupter(3)]
    with pytest.raises(KeyboardInterrupt):
        clf.set_callbacks(*callbacks).fit(X, y)
    done = [0, 1, 2] if first else [0, 1, 2, 3]
    np.testing.assert_array_equal(tracker.steps_, done)
    np.testing.assert_array_equal(KernelDynamicsTracker.load(tmp_path).steps_, done)
    kernels = count_kernels(monkeypatch)
    resumed = make_tracker(directory=tmp_path, resume=True)
    np.testing.assert_array_equal(resumed.steps_, done)
    train(resumed, 6, adversary=adversary)
    assert kernels == [step for step in range(7) if step not in done]
    assert_same_results(resumed, uninterrupted[adversary])


def test_interrupted_in_memory(uninterrupted):
    tracker = make_tracker()
    with pytest.raises(KeyboardInterrupt):
        network(6).set_callbacks(tracker, Interrupter(3)).fit(X, y)
    train(tracker, 6)
    assert_same_results(tracker, uninterrupted[None])


TRAINING = """
import sys
sys.path.insert(0, sys.argv[1])
from test_tracker import *

class Report(Interrupter):
    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        print(fitted_estimator.n_epochs_, flush=True)

tracker = make_tracker(directory=sys.argv[2], resume=True)
network(100_000, adversary=ADVERSARY).set_callbacks(tracker, Report()).fit(X, y)
"""


def test_killed_in_mid_training(tmp_path):
    command = [sys.executable, "-c", TRAINING, Path(__file__).parent, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(3):
            process.stdout.readline()
        process.kill()
        told = [3, *map(int, process.stdout.read().split())]
    assert process.returncode == -signal.SIGKILL
    resumed = make_tracker(directory=tmp_path, resume=True)
    done = resumed.steps_[-1]
    assert done in (told[-1], told[-1] + 1)
    np.testing.assert_array_equal(resumed.steps_, np.arange(done + 1))
    train(resumed, done + 2, adversary=ADVERSARY)
    expected = make_tracker()
    train(expected, done + 2, adversary=ADVERSARY)
    assert_same_results(resumed, expected)


@pytest.mark.parametrize("suffix", ["npz", "json"])
def test_a_damaged_checkpoint_is_named_and_recomputed(tmp_path, monkeypatch, uninterrupted, suffix):
    train(make_tracker(directory=tmp_path), 6)
    (path,) = tmp_path.glob(f"step-0000000004*.{suffix}")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    left = [0, 1, 2, 3, 5, 6]
    with pytest.warns(RuntimeWarning, match=r"step-0000000004\.json.*ignored") as caught:
        loaded = KernelDynamicsTracker.load(tmp_path)
    assert len(caught) == 1 and caught[0].filename == __file__
    np.testing.assert_array_equal(loaded.steps_, left)
    assert_results_follow_from_kernels(loaded)
    with pytest.warns(RuntimeWarning, match=r"step-0000000004\.json.*ignored") as caught:
        resumed = make_tracker(directory=tmp_path, resume=True)
    assert caught[0].filename == __file__
    kernels = count_kernels(monkeypatch)
    train(resumed, 6)
    assert kernels == [4]
    assert_same_results(resumed, uninterrupted[None])
    assert_same_results(KernelDynamicsTracker.load(tmp_path), uninterrupted[None])


def test_damage_after_reading_is_found_when_it_matters(tmp_path):
    tracker = make_tracker(directory=tmp_path)
    train(tracker, 2)
    (path,) = tmp_path.glob("step-0000000001.*.npz")
    path.write_bytes(path.read_bytes()[:-1])
    for use in (lambda: tracker.kernel(1), lambda: tracker.distances_):
        with pytest.raises(SnapshotError, match=r"step-0000000001\.json"):
            use()


def test_other_files_in_the_directory_are_ignored(tmp_path):
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "step-1.json").write_text("{}")
    (tmp_path / ".draft.tmp").write_text("")
    tracker = make_tracker(directory=tmp_path)
    train(tracker, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same_results(KernelDynamicsTracker.load(tmp_path), tracker)
    assert (tmp_path / ".draft.tmp").exists()


def test_a_full_disk_stops_training_and_loses_nothing(tmp_path, monkeypatch, uninterrupted):
    tracker = make_tracker(directory=tmp_path)
    train(tracker, 2)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(skntk._utils.snapshots.os, "fsync", full)
        with pytest.raises(OSError, match=r"No space left.*bytes.*step-0000000003"):
            train(tracker, 6)
    np.testing.assert_array_equal(tracker.steps_, [0, 1, 2])
    train(tracker, 6)
    assert_same_results(tracker, uninterrupted[None])


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "step"),
    [
        ({"random_state": 1}, 0),
        ({"adversary": ADVERSARY}, 0),
        ({"learning_rate": 0.1}, 1),
        ({"batch_size": 10}, 1),
    ],
    ids=["seed", "adversary", "rate", "batches"],
)
@pytest.mark.parametrize("on_disk", [False, True])
def test_another_run_is_refused(tmp_path, on_disk, options, step):
    tracker = make_tracker(directory=tmp_path if on_disk else None)
    train(tracker, 2)
    if on_disk:
        tracker = make_tracker(directory=tmp_path, resume=True)
    before = results(tracker)
    with pytest.raises(SnapshotError, match=f"step {step} was recorded with other"):
        train(tracker, 2, **options)
    np.testing.assert_equal(results(tracker), before)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"X": X[1:7]}, "batch"),
        ({"X": BATCH.astype(np.float32)}, "batch"),
        ({"y": BATCH_LABELS + 1}, "labels"),
        ({"y": None}, "labels"),
        ({"every": 2}, "every"),
        ({"top": (3, 6)}, "top"),
        ({"adversary": ADVERSARY}, "adversary"),
    ],
)
def test_another_tracker_is_refused(tmp_path, change, named):
    train(make_tracker(directory=tmp_path), 1)
    options = {"X": BATCH, "y": BATCH_LABELS, "top": TOP, "directory": tmp_path}
    with pytest.raises(SnapshotError, match="resume=True"):
        KernelDynamicsTracker(**options)
    with pytest.raises(SnapshotError, match=f"another run.*different {named}"):
        KernelDynamicsTracker(**options | change, resume=True)


def test_loading_nothing(tmp_path):
    for directory in (tmp_path, tmp_path / "absent"):
        with pytest.raises(SnapshotError, match="holds no checkpoints"):
            KernelDynamicsTracker.load(directory)
    make_tracker(directory=tmp_path / "new")
    with pytest.raises(SnapshotError, match="no checkpoint that can be read"):
        KernelDynamicsTracker.load(tmp_path / "new")
    skntk._utils.snapshots.SnapshotStore(tmp_path / "other", {"a": 1})
    with pytest.raises(SnapshotError, match="of this version"):
        KernelDynamicsTracker.load(tmp_path / "other")


@pytest.mark.parametrize(
    "labels", [["b", "a", "c"], [10, 2, 1], [2.5, 1.0, 0.5], [True, False, True]]
)
def test_labels_are_loaded_as_they_were(tmp_path, labels):
    tracker = KernelDynamicsTracker(np.eye(3), labels, top=1, directory=tmp_path)
    tracker.record(quadratic, np.ones((3, 1)), 0)
    loaded = KernelDynamicsTracker.load(tmp_path)
    np.testing.assert_array_equal(loaded.labels, labels)
    KernelDynamicsTracker(np.eye(3), labels, top=1, directory=tmp_path, resume=True)


def test_a_loaded_tracker_has_results_only(tmp_path):
    train(make_tracker(directory=tmp_path), 1)
    loaded = KernelDynamicsTracker.load(tmp_path)
    for use in (lambda: train(loaded), lambda: loaded.record(quadratic, np.ones((64, 1)), 9)):
        with pytest.raises(ValueError, match=r"loaded for its results.*resume=True"):
            use()


@pytest.mark.parametrize("name", [name for name in RESULTS if name != "steps_"])
def test_nothing_recorded_yet(name):
    with pytest.raises(NotFittedError, match="Nothing was recorded"):
        getattr(make_tracker(), name)


def test_steps_that_were_not_recorded():
    tracker = make_tracker()
    assert tracker.steps_.shape == (0,)
    train(tracker, 2)
    with pytest.raises(KeyError, match=re.escape("step=7 was not recorded; steps_ are [0, 1, 2]")):
        tracker.kernel(7)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"X": BATCH[0]}, ValueError, "2D array"),
        ({"X": BATCH * np.nan}, ValueError, "X contains NaN"),
        ({"X": BATCH[:0], "y": None}, ValueError, "0 sample"),
        ({"X": [["a"]], "y": None}, ValueError, "convert"),
        ({"y": BATCH_LABELS[:5]}, ValueError, r"6 samples and y has shape \(5,\)"),
        ({"y": BATCH_LABELS[:, None]}, ValueError, r"y has shape \(6, 1\)"),
        ({"every": 0}, ValueError, "every=0"),
        ({"every": 1.5}, TypeError, "every must be an integer"),
        ({"top": 0}, ValueError, "top=0"),
        ({"top": ()}, ValueError, "top is empty"),
        ({"top": (3, 2.5)}, TypeError, "top must be an integer"),
        ({"top": "10"}, TypeError, "top='10'"),
        ({"top": None}, TypeError, "top=None"),
        ({"top": True}, TypeError, "top must be an integer"),
        ({"adversary": 0.3}, TypeError, "adversary=0.3 must be an AdversarialTraining"),
        ({"adversary": ADVERSARY, "y": None}, ValueError, "y=None.*labels"),
        ({"adversary": ADVERSARY, "X": BATCH * 255}, ValueError, r"outside clip_values.*by 255"),
        ({"resume": 1}, TypeError, "resume must be True or False"),
        ({"directory": 5}, TypeError, "int"),
    ],
)
def test_wrong_parameters(tmp_path, options, error, match):
    options = {"X": BATCH, "y": BATCH_LABELS, "directory": tmp_path / "new"} | options
    with pytest.raises(error, match=match):
        KernelDynamicsTracker(**options)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("tracker", "options", "match"),
    [
        (lambda: KernelDynamicsTracker(BATCH[:, :5], BATCH_LABELS, top=1), {}, "5 features.*64"),
        (
            lambda: KernelDynamicsTracker(BATCH.reshape(6, 8, 8), top=1),
            {},
            r"X.reshape\(len\(X\), -1\)",
        ),
        (lambda: KernelDynamicsTracker(BATCH), {}, r"top=\(10, 20\) asks for 20 .* 18 rows"),
        (lambda: KernelDynamicsTracker(BATCH, top=1), {"adversary": ADVERSARY}, "y=None.*labels"),
        (
            lambda: KernelDynamicsTracker(BATCH, BATCH_LABELS + 1, top=1),
            {"adversary": ADVERSARY},
            "never saw",
        ),
        (
            lambda: KernelDynamicsTracker(BATCH * 2, BATCH_LABELS, top=1),
            {"adversary": ADVERSARY},
            "outside clip_values",
        ),
    ],
    ids=["width", "images", "top", "no-labels", "labels", "box"],
)
def test_an_unfit_batch_is_refused_before_training(monkeypatch, tracker, options, match):
    kernels = count_kernels(monkeypatch) if match.startswith("top") else None
    epochs, trained = [], network(2, **options).set_callbacks(tracker(), Interrupter(1))
    monkeypatch.setattr(
        "skntk.finite._epochs.train_epoch", lambda *args: epochs.append(1), raising=True
    )
    with pytest.raises(ValueError, match=match):
        trained.fit(X, y)
    assert not epochs and not kernels


def test_other_estimators_are_refused():
    clf = LogisticRegression().set_callbacks(make_tracker())
    with pytest.raises(TypeError, match=r"LogisticRegression has no empirical_ntk.*Flax"):
        clf.fit(X, y)


@pytest.mark.parametrize(
    ("apply_fn", "params", "step", "error", "match"),
    [
        (quadratic, np.ones((3, 1)), -1, ValueError, "step=-1"),
        (quadratic, np.ones((3, 1)), 1.0, TypeError, "step must be an integer"),
        (quadratic, np.ones((3, 1)), jnp.ones(()), TypeError, "step must be an integer"),
        (quadratic, np.ones((3, 1)), True, TypeError, "step must be an integer"),
        (None, np.ones((3, 1)), 0, TypeError, "apply_fn=None must be a function"),
        (quadratic, np.ones((4, 1)), 0, ValueError, "n_features=3"),
        (quadratic, {"w": np.ones((3, 1)), "n": 3}, 0, TypeError, "params holds an array of int"),
        (lambda w, x: x @ w[:, 0], np.ones((3, 1)), 0, ValueError, r"outputs of shape \(2,\)"),
        (quadratic, np.full((3, 1), np.nan), 0, ValueError, "kernel at step 0 holds NaN"),
        (quadratic, np.full((3, 1), 1e200), 0, ValueError, "NaN or infinity; lower the learning"),
    ],
)
def test_wrong_records(tmp_path, apply_fn, params, step, error, match):
    tracker = KernelDynamicsTracker(np.eye(3), top=1, directory=tmp_path)
    with pytest.raises(error, match=match):
        tracker.record(apply_fn, params, step)
    assert not len(tracker.steps_)
    # The failed record does not affect later ones.
    again = KernelDynamicsTracker(np.eye(3), top=2, directory=tmp_path)
    again.record(quadratic, np.ones((3, 1)), 0)
    assert KernelDynamicsTracker.load(tmp_path).steps_.tolist() == [0]


def test_two_trackers_on_one_directory_replace_nothing(tmp_path):
    one, other = (KernelDynamicsTracker(np.eye(3), top=1, directory=tmp_path) for _ in range(2))
    one.record(quadratic, np.ones((3, 1)), 0)
    kernel = one.kernel(0)
    with pytest.raises(SnapshotError, match=r"step-0000000000.*already, recorded by another run"):
        other.record(quadratic, 2 * np.ones((3, 1)), 0)
    np.testing.assert_array_equal(KernelDynamicsTracker.load(tmp_path).kernel(0), kernel)


def test_a_directory_is_held_while_a_network_is_trained(tmp_path):
    """The error of a second tracker names the process that holds the directory."""
    refused = []

    class Rival:
        def setup(self, estimator, context): ...
        def teardown(self, estimator, context): ...
        def on_fit_task_begin(self, estimator, context): ...

        def on_fit_task_end(self, estimator, context):
            with pytest.raises(SnapshotError, match=f"in use by process {os.getpid()} on") as error:
                make_tracker(directory=tmp_path, resume=True)
            refused.append(error)

    tracker = make_tracker(directory=tmp_path)
    network().set_callbacks(tracker, Rival()).fit(X, y)
    assert refused
    make_tracker(directory=tmp_path, resume=True)


@pytest.mark.parametrize("missing", ["n_samples", "labels", "every", "top"])
def test_settings_without_a_key_are_damage(tmp_path, missing):
    KernelDynamicsTracker(np.eye(3), top=1, directory=tmp_path)
    settings = SnapshotStore.open(tmp_path).settings
    del settings[missing]
    SnapshotStore(tmp_path, settings).save("step-0000000000", {"kernel": np.eye(3)}, network="")
    with pytest.raises(SnapshotError, match=f"not those of a tracker: '{missing}'"):
        KernelDynamicsTracker.load(tmp_path)


def test_polars_frames():
    frame = polars.DataFrame(X, schema=[f"pixel{k}" for k in range(X.shape[1])])
    clf = network(adversary=ADVERSARY).set_callbacks(KernelDynamicsTracker(frame[:4], y[:4], top=2))
    clf.fit(frame, y)
    plain = network(adversary=ADVERSARY).set_callbacks(KernelDynamicsTracker(X[:4], y[:4], top=2))
    plain.fit(X, y)
    recorded, expected = clf._skl_callbacks[0], plain._skl_callbacks[0]
    np.testing.assert_array_equal(recorded.distances_, expected.distances_)


@pytest.mark.parametrize("labels", [[0, 1, 3], [-1, 0, 1], [0.0, 1.0, 1.0], ["a", "b", "c"]])
def test_record_needs_indices_of_outputs_to_attack(labels):
    tracker = KernelDynamicsTracker(np.eye(3), labels, top=1, adversary=ADVERSARY)
    with pytest.raises(ValueError, match="indices of outputs"):
        tracker.record(quadratic, np.ones((3, 3)), 0)
