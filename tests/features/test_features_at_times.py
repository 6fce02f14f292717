"""Features at a finite training time, or with a ridge."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.model_selection import GridSearchCV

from skntk import NTKAttack, NTKClassifier, RobustFeatureSelector, SpectralFeatureDecomposer

RNG = np.random.default_rng(0)
X, Z = RNG.random((40, 5)), RNG.random((15, 5))
LABELS = {2: (X[:, 0] > 0.5).astype(int), 3: (3 * X[:, 0]).astype(int)}
TIMES = [(0.01, 0.0), (0.1, 0.0), (5.0, 0.3), (np.inf, 0.3), (np.inf, 0.0)]


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(("time", "alpha"), TIMES)
def test_they_sum_to_the_network_at_that_time(time, alpha, n_classes):
    y, options = LABELS[n_classes], {"time": time, "alpha": alpha}
    decomposer = SpectralFeatureDecomposer("fc2", **options).fit(X, y)
    machine = NTKClassifier("fc2", solver="eigh", **options).fit(X, y)
    expected = machine.decision_function(Z)
    assert_allclose(decomposer.decision_function(Z), expected, atol=1e-10)
    parts = decomposer.feature_outputs(Z).sum(axis=1).reshape(expected.shape)
    assert_allclose(parts, expected, atol=1e-10)


def test_weights_too():
    w = RNG.random(40) + 0.1
    options = {"time": 2.0, "alpha": 0.1}
    decomposer = SpectralFeatureDecomposer("fc2", **options).fit(X, LABELS[3], w)
    machine = NTKClassifier("fc2", **options).fit(X, LABELS[3], w)
    assert_allclose(decomposer.decision_function(Z), machine.decision_function(Z), atol=1e-10)


def test_large_eigenvalues_are_learned_first():
    early, late = (
        SpectralFeatureDecomposer("fc2", time=time).fit(X, LABELS[2]) for time in (0.05, np.inf)
    )
    shares = early.feature_coef_ / late.feature_coef_
    assert_allclose(shares[:, 0], -np.expm1(-0.05 * late.eigenvalues_), rtol=1e-8)
    assert shares[0] > 0.8 > 0.1 > shares[-1]


def test_a_selector_of_early_features_is_attacked_and_searched():
    y = LABELS[3]
    decomposer = SpectralFeatureDecomposer("fc2", time=1.0)
    selector = RobustFeatureSelector(decomposer, n_features_to_select=40, eps=0.05, cv="prefit")
    decomposer.fit(X, y)
    selector.fit(X, y)
    machine = NTKClassifier("fc2", time=1.0).fit(X, y)
    assert_allclose(selector.decision_function(Z), machine.decision_function(Z), atol=1e-10)
    attack = {"eps": 0.05, "clip_values": None}
    found = NTKAttack(selector, **attack).generate(Z)
    assert_allclose(found, NTKAttack(machine, **attack).generate(Z), atol=1e-10)
    grid = {"decomposer__time": [0.1, np.inf], "decomposer__alpha": [0.0, 0.1]}
    selector = RobustFeatureSelector(
        SpectralFeatureDecomposer("fc2"), n_features_to_select=5, eps=0.05
    )
    search = GridSearchCV(selector, grid, cv=2).fit(X, LABELS[2])
    assert len(set(search.cv_results_["mean_test_score"])) > 1


@pytest.mark.parametrize(
    ("options", "error"),
    [({"time": -1.0}, ValueError), ({"alpha": -1.0}, ValueError), ({"time": "1"}, TypeError)],
)
def test_wrong_times_and_ridges(options, error):
    with pytest.raises(error, match=next(iter(options))):
        SpectralFeatureDecomposer("fc1", **options).fit(X, LABELS[2])
