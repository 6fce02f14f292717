"""Probabilities of every classifier, and their logarithms."""

import numpy as np
import pytest
from helpers import gaussian
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss

from skntk import (
    FunctionClassifier,
    NTKClassifier,
    NTKClassifierCV,
    RobustFeatureSelector,
    SpectralFeatureDecomposer,
)

X, Z = gaussian(30, 4), gaussian(6, 4, seed=9)
LABELS = {2: (X[:, 0] > 0).astype(int), 3: np.digitize(X[:, 0], [-0.5, 0.5])}


def flax_classifier():
    pytest.importorskip("flax")
    pytest.importorskip("optax")
    from skntk import FlaxClassifier
    from skntk.networks import TwoLayerReLU

    return FlaxClassifier(TwoLayerReLU(8, n_outputs=3), max_epochs=1, random_state=0)


MAKERS = {
    "classifier": lambda: NTKClassifier("fc1"),
    "searched": lambda: NTKClassifierCV("fc1"),
    "decomposer": lambda: SpectralFeatureDecomposer("fc1"),
    "selector": lambda: RobustFeatureSelector(SpectralFeatureDecomposer("fc1"), eps=0.1),
    "network": flax_classifier,
}


@pytest.mark.parametrize("n_classes", LABELS)
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_logarithms_are_those_of_the_probabilities(make, n_classes):
    clf = make()
    if n_classes == 2 and make is flax_classifier:
        clf.set_params(module=clf.module.clone(n_outputs=1))
    clf.fit(X, LABELS[n_classes])
    probabilities, logarithms = clf.predict_proba(Z), clf.predict_log_proba(Z)
    assert logarithms.shape == (6, n_classes)
    assert logarithms.dtype == probabilities.dtype
    assert_allclose(logarithms, np.log(probabilities), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_logarithms_stay_finite_where_probabilities_vanish(n_classes):
    steep = FunctionClassifier(
        lambda x: 1e4 * (x[:, 0] if n_classes == 2 else x),
        lambda x, c: np.zeros_like(x),
        classes=range(n_classes),
        n_features=n_classes,
    )
    points = np.eye(n_classes)
    assert (steep.predict_proba(points) == 0).any()
    logarithms = steep.predict_log_proba(points)
    assert np.isfinite(logarithms).all()
    assert logarithms.min() == pytest.approx(-1e4)


@pytest.mark.parametrize("n_classes", [2, 10])
def test_probabilities_are_calibrated_by_scikit_learn(n_classes):
    """As the docstring says: outputs near their targets are never sure, and a temperature helps."""
    data, y = load_digits(return_X_y=True)
    data, y = data / 16, y if n_classes == 10 else y % 2
    clf = NTKClassifier("fc1").fit(data[:300], y[:300])
    at_the_samples = clf.predict_proba(data[:300]).max(axis=1)
    expected = 1 / (1 + np.exp(-1)) if n_classes == 2 else np.e / (np.e + 9)
    assert_allclose(at_the_samples, expected, atol=1e-6)
    calibrated = CalibratedClassifierCV(
        NTKClassifier("fc1"), method="temperature", ensemble=False, cv=3
    ).fit(data[:300], y[:300])
    rest, truth = data[300:500], y[300:500]
    assert_array_equal(calibrated.predict(rest), clf.predict(rest))
    before, after = (log_loss(truth, m.predict_proba(rest)) for m in (clf, calibrated))
    assert after < 0.6 * before
