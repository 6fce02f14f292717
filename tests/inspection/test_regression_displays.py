"""The band of the infinite ensemble, and risks over training time."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from helpers import gaussian
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from skntk import NTKAttack, NTKClassifier, NTKRegressor
from skntk.inspection import EnsembleBandDisplay, RiskOverTimeDisplay

LINE = np.array([0.5, -1.0, 1.0, -0.2])
X = gaussian(30, 3)
Y = X[:, 0] + 0.3 * gaussian(30, seed=1)
ATTACK = NTKAttack(None, eps=0.1, method="pgd", max_iter=3, clip_values=None)


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def network():
    return NTKRegressor("fc1", solver="eigh").fit(X[:20], Y[:20])


def band_of(display):
    """Lowest and highest value of the band at each input."""
    vertices = display.band_.get_paths()[0].vertices
    return (
        np.array([ends(vertices[vertices[:, 0] == x, 1]) for x in display.x])
        for ends in (np.min, np.max)
    )


def test_the_band_is_two_standard_deviations():
    machine = NTKRegressor("fc2", alpha=0.1).fit(LINE[:, None], np.sin(LINE))
    display = EnsembleBandDisplay.from_estimator(machine, LINE[:, None], np.sin(LINE), name="one")
    mean, std = machine.predict(display.x[:, None], return_std=True)
    assert_array_equal(display.line_.get_data(), [display.x, mean])
    low, high = band_of(display)
    assert_allclose(low, mean - 2 * std)
    assert_allclose(high, mean + 2 * std)
    assert (display.x[0], display.x[-1]) == (-1.5, 1.5)
    assert_array_equal(display.points_.get_data(), [LINE, np.sin(LINE)])
    assert display.ax_.get_title() == "one"


def test_inputs_of_the_band_are_sorted():
    machine = NTKRegressor("fc1").fit(LINE[:, None], LINE)
    _, ax = plt.subplots()
    display = EnsembleBandDisplay.from_estimator(machine, x=[2.0, 0.0, 1.0], ax=ax)
    assert display.ax_ is ax and display.points_ is None
    assert_array_equal(display.x, [0.0, 1.0, 2.0])
    given = EnsembleBandDisplay.from_predictions([2, 0, 1], [5, 3, 4], [[0.3], [0.1], [0.2]])
    assert_array_equal(given.line_.get_ydata(), [3, 4, 5])
    assert_allclose(next(band_of(given)), [2.8, 3.6, 4.4])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [0, 1], [1]), "have 2, 2 and 1 values"),
        (([0], [0], [-1]), "std holds -1"),
        (([0], [np.nan], [1]), "mean holds NaN"),
        ((np.eye(2), [0], [1]), r"x has shape \(2, 2\)"),
    ],
)
def test_wrong_bands_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        EnsembleBandDisplay.from_predictions(*arguments)


def test_wrong_estimators_and_points_of_a_band_are_refused(network):
    with pytest.raises(ValueError, match="regressor has 3 features and 1 targets"):
        EnsembleBandDisplay.from_estimator(network)
    with pytest.raises(TypeError, match="is not an NTKRegressor"):
        EnsembleBandDisplay.from_estimator(NTKClassifier())
    with pytest.raises(NotFittedError):
        EnsembleBandDisplay.from_estimator(NTKRegressor())
    machine = NTKRegressor("fc1").fit(LINE[:, None], LINE)
    with pytest.raises(ValueError, match="give both or neither"):
        EnsembleBandDisplay.from_estimator(machine, LINE)
    with pytest.raises(ValueError, match="x_train has 4 values and y_train 3"):
        EnsembleBandDisplay.from_estimator(machine, LINE, LINE[:3])


def test_risks_are_errors_of_the_network_at_each_time(network):
    times = [1.0, np.inf, 0.1]
    display = RiskOverTimeDisplay.from_estimator(network, X[20:], Y[20:], ATTACK, times=times)
    clean, attacked = [], []
    for time in (0.1, 1.0, np.inf):
        machine = network.at_time(time)
        options = ATTACK.get_params() | {"estimator": machine}
        points = NTKAttack(**options).generate(X[20:], Y[20:])
        clean.append(np.mean((machine.predict(X[20:]) - Y[20:]) ** 2))
        attacked.append(np.mean((machine.predict(points) - Y[20:]) ** 2))
    for name, risks in {"clean": clean, "adversarial": attacked}.items():
        assert_array_equal(display.lines_[name].get_xdata(), [0.1, 1.0])
        assert_allclose(display.lines_[name].get_ydata(), risks[:2])
        assert display.limits[name] == pytest.approx(risks[2])
        assert display.best_times_[name] == [0.1, 1.0, np.inf][np.argmin(risks)]
    assert ATTACK.estimator is None


def test_times_by_default_span_the_training(network):
    display = RiskOverTimeDisplay.from_estimator(network, X[20:], Y[20:], ATTACK)
    times, clean = display.curves["clean"]
    assert len(times) == 20 and set(display.limits) == {"clean", "adversarial"}
    untrained = np.mean(Y[20:] ** 2)
    assert abs(clean[0] - untrained) < 0.3 * untrained
    assert clean.min() < 0.5 * untrained


def test_given_risks():
    _, ax = plt.subplots()
    curves = {"clean": ([3, 1, np.inf], [0.5, 0.9, 0.1]), "adversarial": ([1, 2, 3], [3, 1, 2])}
    display = RiskOverTimeDisplay.from_predictions(curves, name="given", ax=ax)
    assert display.ax_ is ax and ax.get_title() == "given"
    assert_array_equal(display.lines_["clean"].get_data(), [[1, 3], [0.9, 0.5]])
    assert display.best_times_ == {"clean": np.inf, "adversarial": 2.0}
    assert display.limits == {"clean": 0.1}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"attack": "pgd"}, TypeError, "attack='pgd' is not an attack"),
        ({"attack": NTKAttack(None, targeted=True)}, ValueError, "is targeted"),
        ({"times": []}, ValueError, "no vector with a finite time"),
        ({"times": [0.0, 1.0]}, ValueError, "times holds 0; give positive times"),
        ({"regressor": NTKClassifier()}, TypeError, "is not an NTKRegressor"),
        ({"regressor": NTKRegressor()}, NotFittedError, "not fitted"),
    ],
)
def test_wrong_arguments_of_risks(options, error, message, network):
    options = {"regressor": network, "attack": ATTACK, "times": [1.0]} | options
    with pytest.raises(error, match=message):
        RiskOverTimeDisplay.from_estimator(X=X[20:], y=Y[20:], **options)


def test_risks_need_as_many_times():
    with pytest.raises(ValueError, match="has 2 times and 1 risks"):
        RiskOverTimeDisplay.from_predictions({"clean": ([1, 2], [1])})
