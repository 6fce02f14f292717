"""Weights of samples and classes in the loss of training."""

import jax
import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")

from flax import linen as nn
from sklearn import set_config
from sklearn.model_selection import cross_val_score

from skntk import AdversarialTraining, FlaxClassifier
from skntk.networks import TwoLayerReLU

RNG = np.random.default_rng(0)
X = RNG.random((12, 4))
y = np.array(["a", "b", "c"])[np.arange(12) % 3]
WEIGHTS = RNG.integers(0, 4, 12)


def classifier(**parameters):
    options = {"batch_size": None, "max_epochs": 4, "learning_rate": 0.5, "random_state": 0}
    return FlaxClassifier(TwoLayerReLU(8, 3), **(options | parameters))


def assert_close(left, right, rtol=1e-9):
    for a, b in zip(*(jax.tree.leaves(c.params_) for c in (left, right)), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize("adversary", [None, AdversarialTraining(0.1, max_iter=2)])
def test_whole_numbers_are_repeated_samples(loss, adversary):
    parameters = {"loss": loss, "adversary": adversary}
    weighted = classifier(**parameters).fit(X, y, sample_weight=WEIGHTS)
    repeated = classifier(**parameters).fit(X.repeat(WEIGHTS, axis=0), y.repeat(WEIGHTS))
    assert_close(weighted, repeated)
    np.testing.assert_allclose(weighted.history_["loss"], repeated.history_["loss"], rtol=1e-9)


def test_samples_of_weight_zero_are_left_out_of_batches():
    kept = WEIGHTS > 0
    weighted = classifier(batch_size=5).fit(X, y, sample_weight=WEIGHTS)
    without = classifier(batch_size=5).fit(X[kept], y[kept], sample_weight=WEIGHTS[kept])
    assert_close(weighted, without, rtol=0)


def test_the_scale_of_weights_has_no_effect_and_that_within_batches_has():
    weighted = classifier(batch_size=1).fit(X, y, sample_weight=WEIGHTS)
    assert_close(weighted, classifier(batch_size=1).fit(X, y, sample_weight=7.0 * WEIGHTS))
    plain = classifier(batch_size=1).fit(X[WEIGHTS > 0], y[WEIGHTS > 0])
    assert np.abs(plain.params_["W"] - weighted.params_["W"]).max() > 1e-3


def test_equal_weights_are_none():
    assert_close(classifier().fit(X, y), classifier().fit(X, y, sample_weight=np.full(12, 3.0)))


def test_weights_of_classes_multiply_those_of_samples():
    weights = np.where(y == "a", 2.0, 1.0) * np.where(y == "b", 0.5, 1.0)
    by_class = classifier(class_weight={"a": 2, "b": 0.5, "c": 1}).fit(X, y, sample_weight=WEIGHTS)
    assert_close(by_class, classifier().fit(X, y, sample_weight=WEIGHTS * weights))
    rows = np.r_[0:12, 0, 3, 6]  # seven of "a"
    balanced = classifier(class_weight="balanced").fit(X[rows], y[rows])
    shares = np.where(y[rows] == "a", 4.0, 7.0)
    assert_close(balanced, classifier().fit(X[rows], y[rows], sample_weight=shares))


def test_a_class_without_weight_keeps_its_output():
    clf = classifier(class_weight="balanced").fit(X, y, sample_weight=(y != "b") * 1.0)
    assert clf.classes_.tolist() == ["a", "b", "c"]
    assert np.isfinite(clf.decision_function(X)).all()


REFUSED = {
    "negative": ({}, -WEIGHTS, ValueError, "Negative values in data passed to `sample_weight`"),
    "short": ({}, WEIGHTS[:3], ValueError, "sample_weight"),
    "zero": ({}, 0 * WEIGHTS, ValueError, "Sample weights must contain at least one non-zero"),
    "infinite": ({}, np.full(12, np.inf), ValueError, "sample_weight"),
    "name": ({"class_weight": "equal"}, None, ValueError, "class_weight='equal'"),
    "type": ({"class_weight": [1, 2, 3]}, None, TypeError, "class_weight=.1, 2, 3."),
    "label": ({"class_weight": {"d": 1}}, None, ValueError, "not in class_weight"),
    "below": ({"class_weight": {"a": -1, "b": 1, "c": 1}}, None, ValueError, "not negative"),
    "none": ({"class_weight": {"a": 0, "b": 0, "c": 0}}, None, ValueError, "every sample"),
}


@pytest.mark.parametrize(
    ("parameters", "weights", "kind", "message"), REFUSED.values(), ids=REFUSED
)
def test_wrong_weights_are_refused(parameters, weights, kind, message):
    with pytest.raises(kind, match=message):
        classifier(**parameters).fit(X, y, sample_weight=weights)


def test_weights_are_routed():
    set_config(enable_metadata_routing=True)
    try:
        clf = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scores = cross_val_score(clf, X, y, cv=2, params={"sample_weight": WEIGHTS})
    finally:
        set_config(enable_metadata_routing=False)
    assert np.isfinite(scores).all()


def test_another_weighting_does_not_resume(tmp_path):
    options = {"checkpoint": tmp_path, "resume": True}
    classifier(**options).fit(X, y, sample_weight=WEIGHTS)
    with pytest.raises(ValueError, match="data"):
        classifier(**options).fit(X, y, sample_weight=WEIGHTS + 1)


class Normalised(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(3)(nn.BatchNorm(use_running_average=not train)(x))


def test_samples_of_weight_zero_do_not_enter_running_statistics():
    kept = WEIGHTS > 0
    options = {"max_epochs": 2, "batch_size": 4, "random_state": 0}
    weighted = FlaxClassifier(Normalised(), **options).fit(X, y, sample_weight=WEIGHTS)
    without = FlaxClassifier(Normalised(), **options).fit(
        X[kept], y[kept], sample_weight=WEIGHTS[kept]
    )
    jax.tree.map(np.testing.assert_array_equal, weighted.constants_, without.constants_)
