"""Originals, perturbations and adversarial images side by side."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skntk import NTKAttack, NTKClassifier
from skntk.inspection import AdversarialExamplesDisplay

from_predictions = AdversarialExamplesDisplay.from_predictions


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def problem(d=9, names=(0, 1)):
    X = np.random.default_rng(0).uniform(size=(24, d))
    y = np.array(names)[np.arange(24) % 2]
    return NTKClassifier("fc1").fit(X[:20], y[:20]), X[20:], y[20:]


def shown(axes):
    (image,) = axes.get_images()
    return np.asarray(image.get_array())


def pair(n=3, d=9):
    rng = np.random.default_rng(1)
    return rng.uniform(size=(n, d)), rng.uniform(size=(n, d))


def test_from_estimator():
    classifier, X, y = problem(names=("cat", "dog"))
    attack = NTKAttack(classifier, eps=0.4)
    display = AdversarialExamplesDisplay.from_estimator(attack, X, y)
    X_adv = attack.generate(X, y)
    assert display.axes_.shape == (3, 4)
    assert display.ax_ is display.axes_[0, 0]
    titles = [[axes.get_title() for axes in row] for row in display.axes_]
    before, after = classifier.predict(X), classifier.predict(X_adv)
    assert titles[0] == [f"{a}\ntaken for {b}" for a, b in zip(y, before, strict=True)]
    assert titles[2] == [f"taken for {label}" for label in after]
    assert (before != after).any()
    for column in range(4):
        top, middle, bottom = display.axes_[:, column]
        change = X_adv[column] - X[column]
        assert_array_equal(shown(top), X[column].reshape(3, 3))
        assert_array_equal(shown(middle), change.reshape(3, 3))
        assert_array_equal(shown(bottom), X_adv[column].reshape(3, 3))
        size = f"max {np.abs(change).max():.2g}, norm {np.linalg.norm(change):.2g}"
        assert middle.get_xlabel() == size
        assert middle.get_images()[0].get_clim() == (-np.abs(change).max(), np.abs(change).max())
    rows = [axes.get_ylabel() for axes in display.axes_[:, 0]]
    assert rows == ["clean", "added", "adversarial"]
    display.figure_.canvas.draw()


def test_without_labels_the_attack_uses_predictions():
    classifier, X, _ = problem()
    attack = NTKAttack(classifier, eps=0.1)
    display = AdversarialExamplesDisplay.from_estimator(attack, X)
    assert_array_equal(display.X_adv, attack.generate(X))


def test_names():
    classifier, X, y = problem()
    display = AdversarialExamplesDisplay.from_estimator(
        NTKAttack(classifier, eps=0.1), X, y, target_names={0: "cat"}
    )
    names = {0: "cat", 1: "1"}
    expected = [
        f"{names[label]}\ntaken for {names[taken]}"
        for label, taken in zip(y, classifier.predict(X), strict=True)
    ]
    assert [axes.get_title() for axes in display.axes_[0]] == expected


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_a_sequence_names_the_labels_from_0(kind):
    classifier, X, y = problem()
    attack, names = NTKAttack(classifier, eps=0.1), kind(["cat", "dog"])
    display = AdversarialExamplesDisplay.from_estimator(attack, X, y, target_names=names)
    by_label = AdversarialExamplesDisplay.from_estimator(
        attack, X, y, target_names={0: "cat", 1: "dog"}
    )
    titles = [[axes.get_title() for axes in each.axes_[0]] for each in (display, by_label)]
    assert titles[0] == titles[1]


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (["cat"], ValueError, "target_names has 1 entries, and label 1 is no place"),
        ("cat", TypeError, "target_names='cat' must be a mapping"),
        (7, TypeError, "target_names=7 must be a mapping"),
    ],
)
def test_wrong_names_are_refused(names, error, message):
    classifier, X, y = problem()
    with pytest.raises(error, match=message):
        AdversarialExamplesDisplay.from_estimator(
            NTKAttack(classifier, eps=0.1), X, y, target_names=names
        )


def test_targets_are_no_labels():
    classifier, X, y = problem()
    attack = NTKAttack(classifier, eps=0.1, targeted=True)
    display = AdversarialExamplesDisplay.from_estimator(attack, X, 1 - y)
    assert all(axes.get_title().startswith("taken for") for axes in display.axes_[0])


@pytest.mark.parametrize("image_shape", [(2, 2, 3), (4, 3), (4, 3, 1), (1, 12), (1, 4, 3)])
def test_images_have_the_shape_of_the_sample(image_shape):
    X, X_adv = pair(2, 12)
    display = from_predictions(X, X_adv, image_shape=image_shape)
    shape = image_shape if image_shape[-1] == 3 and len(image_shape) == 3 else image_shape[:2]
    for column in range(2):
        assert_allclose(shown(display.axes_[0, column]), X[column].reshape(shape))
        assert shown(display.axes_[1, column]).shape == shape
        assert_allclose(shown(display.axes_[2, column]), X_adv[column].reshape(shape))


def test_one_image_and_no_change():
    X, _ = pair(1)
    display = from_predictions(X, X)
    assert display.axes_.shape == (3, 1)
    assert_array_equal(shown(display.axes_[1, 0]), 0)
    assert display.axes_[0, 0].get_title() == ""
    display.figure_.canvas.draw()


def test_estimator_fitted_on_a_frame():
    _, X, y = problem(d=4)
    X = pd.DataFrame(X, columns=list("abcd"))
    classifier = NTKClassifier("fc1").fit(X, y)
    display = AdversarialExamplesDisplay.from_estimator(NTKAttack(classifier, eps=0.1), X, y)
    assert display.axes_.shape == (3, 4)


def test_given_axes():
    X, X_adv = pair()
    figure, (left, right) = plt.subplots(1, 2)
    display = from_predictions(X, X_adv, ax=right)
    assert display.figure_ is figure
    assert plt.get_fignums() == [figure.number]
    assert not left.get_images()
    grid = plt.subplots(3, 3)[1]
    assert display.plot(ax=grid) is display
    assert display.ax_ is grid[0, 0]
    with pytest.raises(ValueError, match="ax has 2 axes and the display needs 3 x 3"):
        display.plot(ax=[left, right])


def test_plot_again():
    display = from_predictions(*pair())
    display.plot()
    assert len(plt.get_fignums()) == 2


@pytest.mark.parametrize(
    ("X", "X_adv", "options", "message"),
    [
        (np.zeros((2, 9)), np.zeros((3, 9)), {}, r"X has shape \(2, 9\) and X_adv \(3, 9\)"),
        (np.zeros(9), np.zeros(9), {}, "X has shape"),
        (np.zeros((0, 9)), np.zeros((0, 9)), {}, "X has shape"),
        (np.zeros((2, 10)), np.zeros((2, 10)), {}, "10 features do not make a square image"),
        (np.zeros((2, 9)), np.zeros((2, 9)), {"image_shape": (2, 4)}, "has 8 values"),
        (np.zeros((2, 9)), np.zeros((2, 9)), {"labels": ["a"]}, "labels"),
        (np.zeros((2, 9)), np.zeros((2, 9)), {"labels_adv": ["a"] * 3}, "labels_adv"),
    ],
)
def test_wrong_values(X, X_adv, options, message):
    with pytest.raises(ValueError, match=message):
        from_predictions(X, X_adv, **options)
    assert plt.get_fignums() == []
