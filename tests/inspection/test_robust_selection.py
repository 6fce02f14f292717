"""Accuracy of the machines of the r most robust features, drawn against r."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from skntk import NTKAttack, RobustFeatureSelector, SpectralFeatureDecomposer
from skntk.inspection import RobustSelectionDisplay

from_estimator = RobustSelectionDisplay.from_estimator
NAMES = ["clean", "own FGSM", "own PGD", "transferred FGSM", "transferred PGD"]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def problem(n=40, **options):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    X = rng.uniform(size=(n, 6))
    X[:, 0] = 0.25 * X[:, 0] + 0.6 * y
    options = {"n_features_to_select": 3, "eps": 0.15} | options
    selector = RobustFeatureSelector(SpectralFeatureDecomposer("fc1"), **options)
    return selector.fit(X[: n // 2], y[: n // 2]), X[n // 2 :], y[n // 2 :]


@pytest.mark.parametrize("norm", [np.inf, 2])
def test_curves(norm):
    selector, X, y = problem(norm=norm, eps=0.15 if norm == np.inf else 0.3)
    display = from_estimator(selector, X, y, n_features=[2, 7], max_iter=3, eps_step=0.07)
    assert list(display.curves) == list(display.lines_)
    assert sorted(display.curves) == sorted(NAMES)
    common = {"eps": selector.eps, "norm": norm}
    attacks = {
        "FGSM": NTKAttack(None, **common),
        "PGD": NTKAttack(None, method="pgd", max_iter=3, eps_step=0.07, **common),
    }
    for column, r in enumerate([2, 7]):
        machine = selector.with_n_features(r)
        expected = {"clean": machine.score(X, y)}
        for name, attack in attacks.items():
            own = attack.set_params(estimator=machine).generate(X, y)
            expected[f"own {name}"] = machine.score(own, y)
            full = attack.set_params(estimator=selector.decomposer_).generate(X, y)
            expected[f"transferred {name}"] = machine.score(full, y)
        for name, value in expected.items():
            assert display.curves[name][column] == pytest.approx(value), (name, r)
    assert (display.curves["own FGSM"] < display.curves["clean"]).any()
    assert (display.curves["own FGSM"] != display.curves["transferred FGSM"]).any()


def test_eps_and_clip_values():
    selector, X, y = problem(eps=0.01)
    display = from_estimator(selector, X, y, n_features=[5], eps=0.2, clip_values=None)
    machine = selector.with_n_features(5)
    attacked = NTKAttack(machine, eps=0.2, clip_values=None).generate(X, y)
    assert_allclose(display.curves["own FGSM"], machine.score(attacked, y))
    zero = from_estimator(selector, X, y, n_features=[5], eps=0)
    assert all(curve == zero.curves["clean"] for curve in zero.curves.values())
    with pytest.raises(ValueError, match="outside clip_values"):
        from_estimator(selector, 3 * X, y, n_features=[5])


def test_default_cuts():
    selector, X, y = problem()
    display = from_estimator(selector, X, y, max_iter=1)
    p = len(selector.ranking_)
    assert display.n_features[0] == 1
    assert display.n_features[-1] == p
    assert (np.diff(display.n_features) > 0).all()
    # All features, attacked by all features.
    for name in ("FGSM", "PGD"):
        assert display.curves[f"own {name}"][-1] == display.curves[f"transferred {name}"][-1]


def test_selector_stays_as_it_was():
    selector, X, y = problem()
    before = selector.dual_coef_.copy()
    from_estimator(selector, X, y, n_features=[1, 9], max_iter=1)
    assert_array_equal(selector.dual_coef_, before)
    assert selector.n_features_ == 3


def test_selector_fitted_on_a_frame():
    selector, X, y = problem()
    names = list("abcdef")
    train = pd.DataFrame(selector.X_fit_, columns=names)
    selector = RobustFeatureSelector(SpectralFeatureDecomposer("fc1"), n_features_to_select=3)
    selector.fit(train, np.arange(len(train)) % 2)
    frame = pd.DataFrame(X, columns=names)
    display = from_estimator(selector, frame, y, n_features=[3], max_iter=1)
    assert_allclose(display.curves["clean"], selector.score(frame, y))


def test_progress_bar(capsys):
    selector, X, y = problem()
    from_estimator(selector, X, y, n_features=[1], max_iter=1)
    assert capsys.readouterr() == ("", "")
    from_estimator(selector, X, y, n_features=[1], max_iter=1, verbose=1)
    assert "Attacking" in "".join(capsys.readouterr())


def test_from_predictions():
    curves = {"clean": [0.5, 0.7, 0.9], "mine": [0.4, 0.3, 0.0]}
    display = RobustSelectionDisplay.from_predictions([1, 10, 100], curves)
    axes = display.ax_
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "number of features kept"
    assert axes.get_ylabel() == "accuracy"
    for name, line in display.lines_.items():
        assert_array_equal(line.get_xdata(), [1, 10, 100])
        assert_array_equal(line.get_ydata(), curves[name])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["clean", "mine"]
    display.figure_.canvas.draw()


def test_curves_are_told_apart():
    curves = {name: [0.1 * k, 0.2] for k, name in enumerate(NAMES)}
    display = RobustSelectionDisplay.from_predictions([1, 2], curves)
    styles = {(line.get_color(), line.get_linestyle()) for line in display.lines_.values()}
    assert len(styles) == 5
    (bottom, top) = display.ax_.get_ylim()
    assert bottom <= 0 < 1 <= top


def test_given_axes():
    figure, (left, right) = plt.subplots(1, 2)
    display = RobustSelectionDisplay.from_predictions([1, 2], {"clean": [0, 1]}, ax=right)
    assert display.ax_ is right
    assert display.figure_ is figure
    assert not left.lines
    assert display.plot(ax=left) is display
    assert display.ax_ is left
    assert plt.get_fignums() == [figure.number]
    display.plot()
    assert len(plt.get_fignums()) == 2


def test_wrong_values():
    selector, X, y = problem()
    for n_features in ([0], [1000], [1.5]):
        with pytest.raises(ValueError, match="n_features_to_select="):
            from_estimator(selector, X, y, n_features=n_features)
    with pytest.raises(ValueError, match="never saw"):
        from_estimator(selector, X, y + 1, n_features=[1])
    with pytest.raises(NotFittedError):
        from_estimator(RobustFeatureSelector(), X, y)
    with pytest.raises(ValueError, match="clean"):
        RobustSelectionDisplay.from_predictions([1, 2], {"clean": [1]})
    for n_features, curves in (([], {"clean": []}), ([1], {})):
        with pytest.raises(ValueError, match="leave nothing to draw"):
            RobustSelectionDisplay.from_predictions(n_features, curves)
    assert plt.get_fignums() == []
