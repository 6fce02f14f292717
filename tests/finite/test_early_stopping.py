"""Early stopping keeps the best epoch on validation samples."""

import jax
import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")

from flax import linen as nn
from sklearn.model_selection import train_test_split

from skntk import AdversarialTraining, FlaxClassifier, KernelDynamicsTracker
from skntk.networks import TwoLayerReLU

RNG = np.random.default_rng(1)
X = RNG.random((40, 4))
y = (X[:, 0] + 0.5 * RNG.standard_normal(40) > 0.5).astype(int)  # noise, to be overfitted
X_val = RNG.random((30, 4))
y_val = (X_val[:, 0] > 0.5).astype(int)
HELD_OUT = {"X_val": X_val, "y_val": y_val}


class Normalised(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(nn.Dense(16)(x))
        return nn.Dense(2)(nn.Dropout(0.3, deterministic=not train)(nn.tanh(x)))


def classifier(module=None, **parameters):
    options = {"batch_size": 10, "max_epochs": 30, "learning_rate": 0.2, "random_state": 0}
    options |= {"early_stopping": True, "n_iter_no_change": 4, "optimizer": "adam"}
    return FlaxClassifier(module or TwoLayerReLU(16), **(options | parameters))


def same(left, right):
    names = ("params_", "constants_", "anchor_")
    leaves = [jax.tree.leaves([getattr(c, name) for name in names]) for c in (left, right)]
    return all(np.array_equal(a, b) for a, b in zip(*leaves, strict=True))


@pytest.mark.parametrize(
    ("module", "parameters", "name"),
    [
        (Normalised(), {}, "test_accuracy"),
        (None, {"linearize_at": 1}, "test_accuracy"),
        (
            None,
            {"adversary": AdversarialTraining(0.02, max_iter=1), "max_epochs": 8},
            "test_robust_accuracy",
        ),
    ],
    ids=["statistics", "linearised", "robust"],
)
def test_the_best_epoch_is_kept(module, parameters, name):
    clf = classifier(module, **parameters).fit(X, y, **HELD_OUT)
    scores = clf.history_[name]
    best = int(np.argmax(scores))
    assert (clf.best_epoch_, clf.best_validation_score_) == (best + 1, scores[best])
    assert clf.n_epochs_ == len(scores) == min(clf.max_epochs, best + 1 + 5)
    if name == "test_accuracy":
        assert clf.score(X_val, y_val) == scores[best]
    options = parameters | {"early_stopping": False, "max_epochs": best + 1}
    assert same(clf, classifier(module, **options).fit(X, y, **HELD_OUT))


def test_samples_are_held_out_where_none_are_given():
    clf = classifier(validation_fraction=0.25, max_epochs=3).fit(X, y)
    assert clf.history_["test_accuracy"].shape == (3,)
    random = np.random.RandomState(np.random.RandomState(0).randint(2**31))
    random.randint(2**31)
    _, test = train_test_split(
        np.arange(40), test_size=0.25, stratify=y, random_state=random.randint(2**31)
    )
    assert clf.best_validation_score_ == clf.score(X[test], y[test])
    again = classifier(validation_fraction=0.25, max_epochs=3).fit(X, y)
    assert same(clf, again)


def test_a_tolerance_stops_slow_progress():
    clf = classifier(tol=1.0, n_iter_no_change=2).fit(X, y, **HELD_OUT)
    assert clf.n_epochs_ == 4  # the first improves on nothing, three do not improve by 1


@pytest.mark.parametrize("given", [{}, HELD_OUT], ids=["split", "given"])
def test_an_interrupted_training_resumes_and_stops_where_it_would_have(given, tmp_path):
    whole = classifier(Normalised()).fit(X, y, **given)
    options = {"checkpoint": tmp_path, "resume": True}
    for epochs in (whole.best_epoch_, whole.n_epochs_, 30):
        resumed = classifier(Normalised(), max_epochs=epochs, **options).fit(X, y, **given)
    assert same(whole, resumed)
    assert resumed.n_epochs_ == whole.n_epochs_
    assert resumed.best_epoch_ == whole.best_epoch_


def test_a_warm_start_goes_on_from_the_best_epoch_with_the_same_split():
    clf = classifier(warm_start=True, max_epochs=2).fit(X, y)
    seed = clf._split_seed
    clf.fit(X, y)
    assert clf._split_seed == seed
    assert clf.n_epochs_ == 4
    assert clf.best_epoch_ in (3, 4)
    clf.set_params(early_stopping=False, max_epochs=1).fit(X, y)
    assert not hasattr(clf, "best_epoch_")


def test_a_tracker_records_every_epoch_as_it_was():
    tracker = KernelDynamicsTracker(X[:4], top=(2,))
    clf = classifier(n_iter_no_change=1, tol=1.0).set_callbacks(tracker).fit(X, y, **HELD_OUT)
    assert tracker.steps_.tolist() == [0, 1, 2, 3]
    kept = tracker.kernel(clf.best_epoch_)
    np.testing.assert_allclose(kept, clf.empirical_ntk(X[:4]), rtol=1e-12)


@pytest.mark.parametrize(
    ("parameters", "kind", "message"),
    [
        ({"early_stopping": "yes"}, TypeError, "early_stopping"),
        ({"validation_fraction": 1.0}, ValueError, "validation_fraction=1.0"),
        ({"validation_fraction": 0.0}, ValueError, "validation_fraction=0.0"),
        ({"validation_fraction": 0.01}, ValueError, "validation_fraction=0.01 of 40 samples"),
        ({"n_iter_no_change": 0}, ValueError, "n_iter_no_change"),
        ({"tol": -1.0}, ValueError, "tol"),
    ],
)
def test_wrong_parameters_are_refused(parameters, kind, message):
    with pytest.raises(kind, match=message):
        classifier(**parameters).fit(X, y)


def test_a_split_that_a_resumed_fit_cannot_repeat_is_refused(tmp_path):
    with pytest.raises(ValueError, match="random_state=None does not repeat the split"):
        classifier(random_state=None, checkpoint=tmp_path, resume=True).fit(X, y)
