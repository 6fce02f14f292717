"""Curves of robust accuracy against the budget."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from helpers import gaussian

from skntk import NTKAttack, NTKClassifier, NTKRegressor
from skntk.inspection import RobustAccuracyDisplay

X = gaussian(40, 3)
Y = (X[:, 0] > 0).astype(int)
ATTACK = NTKAttack(None, method="pgd", max_iter=3, clip_values=None)


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def machine():
    return NTKClassifier("fc1").fit(X, Y)


def test_curves_are_those_of_the_attack(machine):
    other = NTKClassifier("fc2", alpha=1.0).fit(X, Y)
    epsilons = [0.4, 0.0, 0.2]
    machines = {"fc1": machine, "ridged": other}
    display = RobustAccuracyDisplay.from_estimator(
        machines, X, Y, epsilons=epsilons, attack=ATTACK, name="curves"
    )
    for name, estimator in machines.items():
        attack = NTKAttack(estimator, method="pgd", max_iter=3, clip_values=None)
        accuracy = attack.run(X, Y, epsilons=epsilons).robust_accuracy
        budgets, drawn = display.lines_[name].get_data()
        np.testing.assert_array_equal(budgets, [0.0, 0.2, 0.4])
        np.testing.assert_array_equal(drawn, accuracy[[1, 2, 0]])
    assert display.ax_.get_title() == "curves"
    assert ATTACK.estimator is None


def test_one_estimator_on_given_axes(machine):
    _, ax = plt.subplots()
    display = RobustAccuracyDisplay.from_estimator(
        machine, X, Y, epsilons=np.linspace(0, 1, 3), attack=ATTACK, ax=ax
    )
    assert display.ax_ is ax and list(display.lines_) == ["NTKClassifier"]


def test_several_attacks(machine):
    attacks = {"FGSM": NTKAttack(None, clip_values=None), "PGD": ATTACK}
    display = RobustAccuracyDisplay.from_estimator(
        machine, X, Y, epsilons=[0.0, 0.2], attack=attacks
    )
    assert list(display.lines_) == ["FGSM", "PGD"]
    machines = {"a": machine, "b": machine}
    display = RobustAccuracyDisplay.from_estimator(
        machines, X, Y, epsilons=[0.0, 0.2], attack=attacks
    )
    assert list(display.lines_) == ["a, FGSM", "a, PGD", "b, FGSM", "b, PGD"]
    for name in attacks:
        np.testing.assert_array_equal(
            display.lines_[f"a, {name}"].get_ydata(), display.lines_[f"b, {name}"].get_ydata()
        )


def test_given_curves():
    display = RobustAccuracyDisplay.from_predictions({"a": ([0, 1], [1, 0]), "b": ([0], [1])})
    assert list(display.lines_) == ["a", "b"]


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"attack": "pgd"}, TypeError, "attack='pgd' is not an attack"),
        ({"attack": NTKAttack(NTKClassifier())}, ValueError, "attack has an estimator"),
        ({"attack": NTKAttack(None, targeted=True)}, ValueError, "is targeted"),
        ({"epsilons": 0.1}, ValueError, r"epsilons has shape \(\); give one number for each"),
        ({"epsilons": []}, ValueError, "epsilons is empty"),
    ],
)
def test_wrong_arguments(options, error, message, machine):
    options = {"epsilons": [0.1], "attack": ATTACK} | options
    with pytest.raises(error, match=message):
        RobustAccuracyDisplay.from_estimator(machine, X, Y, **options)


def test_regressors_have_no_accuracy():
    with pytest.raises(TypeError, match=r"NTKRegressor is a regressor.*RiskOverTimeDisplay"):
        RobustAccuracyDisplay.from_estimator(NTKRegressor().fit(X, Y), X, Y, epsilons=[0.1])
