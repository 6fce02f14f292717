"""Two functions of arrays as a classifier."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skntk import FunctionClassifier, NTKAttack, NTKClassifier
from skntk.attacks import DifferentiableClassifier

W = np.random.default_rng(0).standard_normal((4, 3))
X = np.random.default_rng(1).random((10, 4))


def quadratic(X, columns=3):
    return (X**2 @ W)[:, :columns]


def quadratic_vjp(X, cotangents):
    return 2 * X * (cotangents @ W[:, : cotangents.shape[1]].T)


def single(X):
    return quadratic(X)[:, 0]


def single_vjp(X, cotangents):
    return quadratic_vjp(X, cotangents[:, None])


@pytest.fixture
def three():
    return FunctionClassifier(quadratic, quadratic_vjp, classes=["a", "b", "c"], n_features=4)


def test_it_is_what_attacks_take(three):
    assert isinstance(three, DifferentiableClassifier)
    assert_array_equal(three.predict(X), np.array(["a", "b", "c"])[quadratic(X).argmax(axis=1)])
    assert three.score(X, three.predict(X)) == 1
    assert_allclose(three.predict_proba(X).sum(axis=1), 1)
    cotangents = np.random.default_rng(2).standard_normal((10, 3))
    assert_allclose(three.input_vjp(X, cotangents), quadratic_vjp(X, cotangents))


def test_it_is_fitted_and_cloned(three):
    assert three.fit(X) is three
    assert_array_equal(clone(three).predict(X), three.predict(X))


@pytest.mark.parametrize("form", ["vector", "column", "two"])
def test_forms_of_two_classes(form):
    outputs, vjp = {
        "vector": (single, single_vjp),
        "column": (lambda X: single(X)[:, None], quadratic_vjp),
        "two": (lambda X: quadratic(X, 2), quadratic_vjp),
    }[form]
    clf = FunctionClassifier(outputs, vjp, classes=[0, 1], n_features=4)
    both = quadratic(X, 2)
    expected = both[:, 1] - both[:, 0] if form == "two" else both[:, 0]
    assert_allclose(clf.decision_function(X), expected)
    cotangents = np.random.default_rng(2).standard_normal(10)
    weights = W[:, 1] - W[:, 0] if form == "two" else W[:, 0]
    assert_allclose(clf.input_vjp(X, cotangents), 2 * X * np.outer(cotangents, weights))
    linear, pullback = clf.linearize(X)
    assert linear.shape == (10, 1)
    assert_allclose(pullback(cotangents[:, None]), clf.input_vjp(X, cotangents))


@pytest.mark.parametrize("method", ["fgsm", "pgd", "apgd", "square", "auto"])
def test_every_method_attacks_it(three, method):
    labels = three.predict(X)
    attack = NTKAttack(three, eps=0.5, method=method, n_queries=50, random_state=0)
    result = attack.run(X, labels, epsilons=[0.5])
    assert result.success[0].mean() > 0.5
    assert_array_equal(three.predict(result.X_adv[0]) != labels, result.success[0])


def test_it_agrees_with_the_machine_whose_functions_it_takes():
    y = np.arange(10) % 3
    machine = NTKClassifier("fc1", alpha=0.1).fit(X, y)
    clf = FunctionClassifier(
        machine.decision_function, machine.input_vjp, classes=machine.classes_, n_features=4
    )
    expected = NTKAttack(machine, eps=0.2, method="pgd").generate(X, y)
    assert_allclose(NTKAttack(clf, eps=0.2, method="pgd").generate(X, y), expected, atol=1e-12)


@pytest.mark.parametrize(
    "params, error, message",
    [
        ({"classes": [0]}, ValueError, "classes=.* at least two different labels"),
        ({"classes": [0, 0, 1]}, ValueError, "classes=.* at least two different labels"),
        ({"n_features": 0}, ValueError, "n_features=0"),
        ({"n_features": 5}, ValueError, "4 features, but .* expecting 5"),
        ({"classes": [0, 1]}, ValueError, r"shape \(10, 3\) .* 2 classes; return \(10, 2\) or"),
        ({"classes": range(4)}, ValueError, r"shape \(10, 3\) .* 4 classes; return \(10, 4\)"),
    ],
)
def test_wrong_arguments(params, error, message):
    params = {"classes": ["a", "b", "c"], "n_features": 4, **params}
    with pytest.raises(error, match=message):
        FunctionClassifier(quadratic, quadratic_vjp, **params).decision_function(X)


def test_gradients_of_another_shape(three):
    three.set_params(vjp=lambda X, c: quadratic_vjp(X, c).sum(axis=0))
    with pytest.raises(ValueError, match=r"vjp.* has shape \(4,\) for X of shape \(10, 4\)"):
        three.input_vjp(X, np.ones((10, 3)))
    with pytest.raises(ValueError, match=r"cotangents have shape \(10, 2\)"):
        three.input_vjp(X, np.ones((10, 2)))
