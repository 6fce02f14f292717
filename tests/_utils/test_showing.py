"""Messages name what is wrong without all of its numbers."""

import numpy as np
import pytest
from helpers import gaussian

from skntk import FunctionClassifier, NTKAttack, NTKClassifier, RobustFeatureSelector
from skntk._utils.showing import shown
from skntk.features._components import check_components
from skntk.metrics import robust_accuracy_score

X = np.random.default_rng(0).random((6, 900))
Y = np.arange(6) % 2


@pytest.mark.parametrize(
    "value, expected",
    [
        (0.5, "0.5"),
        ("pgd", "'pgd'"),
        ((0.0, 1.0), "(0.0, 1.0)"),
        (np.arange(3), "array([0, 1, 2])"),
        (X, "array of shape (6, 900)"),
        ((X[0], 1.0), "(array of shape (900,), 1.0)"),
        ([X[0]] * 5, "(" + ", ".join(["array of shape (900,)"] * 3) + ", and 2 more)"),
        (list(range(200)), "list(...)"),
    ],
)
def test_short_values_are_whole_and_large_ones_are_not(value, expected):
    assert shown(value) == expected


def attack(**options):
    return NTKAttack(NTKClassifier("fc1").fit(X, Y), **options).generate(X, Y)


MESSAGES = {
    "box": (lambda: attack(clip_values=(X[0], X[1])), r"clip_values=\(array of shape \(900,\)"),
    "no pair": (lambda: attack(clip_values=(X[0], X[1], X[2])), r"clip_values=.*is not a pair"),
    "norm": (lambda: attack(norm=X[0]), r"norm=array of shape"),
    "method": (lambda: attack(method=X[0]), r"method=array of shape"),
    "max_iter": (lambda: attack(max_iter=X[0]), r"max_iter must be an integer"),
    "alpha": (lambda: NTKClassifier(alpha=X[0]).fit(X, Y), r"alpha must be a real number"),
    "kernel": (lambda: NTKClassifier(X).fit(X, Y), r"kernel=array of shape \(6, 900\) must be"),
    "decomposer": (lambda: RobustFeatureSelector(X).fit(X, Y), r"decomposer=array of shape"),
    "components": (lambda: check_components(np.arange(900), 3), r"components=array of shape"),
    "attack": (
        lambda: robust_accuracy_score(NTKClassifier(), X, Y, X),
        r"attack=array of shape \(6, 900\) is not an attack",
    ),
    "classes": (
        lambda: FunctionClassifier(len, len, classes=np.zeros(900), n_features=2).classes_,
        r"classes=array of shape",
    ),
    "budgets": (
        lambda: NTKAttack(NTKClassifier("fc1").fit(X, Y)).run(X, Y, epsilons=iter(X[0])),
        r"epsilons=.* is not a sequence",
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_are_short(name):
    call, message = MESSAGES[name]
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        call()
    assert len(str(caught.value)) < 400


def test_the_hint_to_reshape_is_given_by_classifiers_of_functions_too():
    clf = FunctionClassifier(
        lambda X: X[:, 0], lambda X, c: c[:, None] * X, classes=[0, 1], n_features=4
    )
    images = gaussian(5, 2, 2)
    for call in (clf.fit, clf.decision_function, clf.predict, NTKAttack(clf).generate):
        with pytest.raises(ValueError, match=r"X\.reshape\(len\(X\), -1\)"):
            call(images)
