"""Robustness of features at several budgets, and under other attacks than FGSM."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits

from skntk import NTKAttack, NTKClassifier, RobustFeatureSelector, SpectralFeatureDecomposer
from skntk.inspection import RobustnessUsefulnessDisplay


@pytest.fixture(scope="module", params=[2, 4], ids=["binary", "four_classes"])
def problem(request):
    X, y = load_digits(n_class=request.param, return_X_y=True)
    X, y = X / 16, np.array(list("abcd"))[y]
    decomposer = SpectralFeatureDecomposer("fc1", n_components=6).fit(X[:80], y[:80])
    return decomposer, X[80:120], y[80:120]


def training_labels(decomposer):
    """Labels of the samples to which the decomposer is fitted."""
    n_classes = len(decomposer.classes_)
    return decomposer.classes_[load_digits(n_class=n_classes, return_X_y=True)[1][:80]]


def test_fgsm_as_an_attack_is_the_paper_s(problem):
    decomposer, X, y = problem
    expected = decomposer.score_features(X, y, eps=0.1)
    attack = NTKAttack(None, method="fgsm", eps=0.1)
    scores = decomposer.score_features(X, y, attack=attack)
    assert_array_equal(scores.usefulness, expected.usefulness)
    assert_array_equal(scores.robustness, expected.robustness)
    assert_array_equal(decomposer.robustness_, expected.robustness)


def test_a_list_is_several_budgets(problem):
    decomposer, X, y = problem
    axes = np.linspace(0, 0.2, X.shape[1])
    scores = decomposer.score_features(X, y, eps=[0.05, axes, 0.2], components=[4, 1])
    assert scores.robustness.shape == (2, 3)
    for e, eps in enumerate([0.05, axes, 0.2]):
        one = decomposer.score_features(X, y, eps=eps, components=[4, 1])
        assert_array_equal(scores.robustness[:, e], one.robustness)
    decomposer.score_features(X, y, eps=(0.05, 0.2), components=[4, 1])
    assert decomposer.robustness_.shape == (6, 2)
    assert np.isnan(decomposer.robustness_[[0, 2, 3, 5]]).all()


@pytest.mark.parametrize("norm", [np.inf, 2])
def test_pgd_on_one_feature_is_pgd_on_that_machine(problem, norm):
    decomposer, X, y = problem
    attack = NTKAttack(None, method="pgd", norm=norm, eps=0.3, max_iter=5, random_state=0)
    weights = np.arange(len(X)) % 3
    scores = decomposer.score_features(
        X, y, attack=attack, eps=[0.1, 0.3], components=[2], sample_weight=weights
    )
    # The feature as a machine of its own, by its definition (Eq. 9).
    v = decomposer.eigenvectors_[:, 2]
    machine = NTKClassifier("fc1").fit(decomposer.X_fit_, np.resize(decomposer.classes_, 80))
    machine.dual_coef_ = np.outer(v, decomposer.feature_coef_[2])
    result = NTKAttack(machine, method="pgd", norm=norm, max_iter=5, random_state=0).run(
        X, y, epsilons=[0.1, 0.3]
    )
    expected = [np.average(~fooled, weights=weights) for fooled in result.success]
    assert_allclose(scores.robustness[0], expected, atol=1e-12)
    assert_allclose(scores.usefulness[0], np.average(machine.predict(X) == y, weights=weights))


def test_stronger_attacks_leave_less(problem):
    decomposer, X, y = problem
    # Features of large eigenvalues are so smooth that one step finds all there is.
    training = decomposer.X_fit_[:40], training_labels(decomposer)[:40]
    deep = SpectralFeatureDecomposer("fc3").fit(*training)
    options = {"eps": [0.05, 0.1, 0.2], "components": [10, 20, 30]}
    fgsm = deep.score_features(X, y, **options)
    auto = NTKAttack(None, method="auto", n_queries=50, max_iter=10, random_state=0)
    worst = deep.score_features(X, y, attack=auto, **options)
    assert (worst.robustness <= fgsm.robustness).all()
    assert (worst.robustness < fgsm.robustness).any()
    assert (np.diff(worst.robustness, axis=1) <= 0).all()
    assert (worst.robustness <= worst.usefulness[:, None]).all()


def test_the_box_of_the_attack_counts(problem):
    decomposer, X, y = problem
    moved = 2 * X - 1
    shifted = SpectralFeatureDecomposer("fc1", n_components=3).fit(
        2 * decomposer.X_fit_ - 1, np.resize(y, 80)
    )
    attack = NTKAttack(None, eps=0.2, clip_values=(-1.0, 1.0))
    expected = shifted.score_features(moved, y, eps=0.2, clip_values=(-1.0, 1.0))
    scores = shifted.score_features(moved, y, attack=attack)
    assert_array_equal(scores.robustness, expected.robustness)


def test_frames(problem):
    decomposer, X, y = problem
    columns = [f"pixel{i}" for i in range(X.shape[1])]
    framed = SpectralFeatureDecomposer("fc1", n_components=2).fit(
        pd.DataFrame(decomposer.X_fit_, columns=columns), np.resize(y, 80)
    )
    attack = NTKAttack(None, eps=0.1)
    expected = framed.score_features(pd.DataFrame(X, columns=columns), y, eps=0.1)
    scores = framed.score_features(pd.DataFrame(X, columns=columns), y, attack=attack)
    assert_array_equal(scores.robustness, expected.robustness)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, TypeError, "eps is missing; give the radius of the ball, or an attack"),
        ({"eps": []}, ValueError, "eps is empty"),
        ({"eps": [0.1, -1]}, ValueError, "eps=-1"),
        ({"eps": np.ones(3)}, ValueError, r"Several budgets are a list, eps=\[0.1, 0.2\]"),
        ({"attack": "pgd"}, TypeError, "attack='pgd' is not an attack"),
        ({"attack": NTKAttack(None, targeted=True)}, ValueError, "is targeted"),
        ({"attack": NTKAttack(None), "norm": 2}, ValueError, "norm=2 is given beside an attack"),
        (
            {"attack": NTKAttack(None), "clip_values": None},
            ValueError,
            "clip_values=None is given beside an attack",
        ),
    ],
)
def test_refused(problem, options, error, message):
    decomposer, X, y = problem
    with pytest.raises(error, match=message):
        decomposer.score_features(X, y, **options)


def test_a_picture_shows_one_budget(problem):
    decomposer, X, y = problem
    attack = NTKAttack(None, method="pgd", eps=0.1)
    display = RobustnessUsefulnessDisplay.from_estimator(decomposer, X, y, attack=attack)
    expected = decomposer.score_features(X, y, attack=attack)
    assert_array_equal(display.robustness, expected.robustness)
    with pytest.raises(TypeError, match="is several budgets; a picture has one"):
        RobustnessUsefulnessDisplay.from_estimator(decomposer, X, y, eps=[0.1, 0.2])


def test_the_selector_s_list_is_one_ball():
    X, y = load_digits(n_class=2, return_X_y=True)
    X = X[:60, 2:62:15] / 16
    decomposer = SpectralFeatureDecomposer("fc1", n_components=5)
    axes = [0.1, 0.2, 0.3, 0.4]
    fitted = [
        RobustFeatureSelector(decomposer, n_features_to_select=2, eps=eps).fit(X, y[:60])
        for eps in (axes, np.array(axes))
    ]
    assert fitted[0].decomposer_.robustness_.shape == (5,)
    assert_array_equal(fitted[0].decomposer_.robustness_, fitted[1].decomposer_.robustness_)
