"""One perturbation as a sum over features, drawn."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skntk import NTKAttack, SpectralFeatureDecomposer
from skntk.inspection import PerturbationDecompositionDisplay

from_estimator = PerturbationDecompositionDisplay.from_estimator


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def problem(k=2, d=9, **options):
    X = np.random.default_rng(0).uniform(size=(24, d))
    y = np.arange(24) % k
    return SpectralFeatureDecomposer("fc1", **options).fit(X, y), X + 0.01 * (0.5 - X), y


def shown(axes):
    (image,) = axes.get_images()
    return np.asarray(image.get_array())


@pytest.mark.parametrize("k", [2, 3])
def test_from_estimator(k):
    decomposer, X, y = problem(k)
    display = from_estimator(decomposer, X[0], y[0], eps=0.3, components=[3, 0])
    adversarial = NTKAttack(decomposer, eps=0.3).generate(X[:1], y[:1])[0]
    decomposition = decomposer.decompose_gradient(X[:1], y[:1])
    parts, total = decomposition.parts[0, [3, 0]], decomposition.total[0]
    assert_array_equal(display.adversarial, adversarial)
    assert (adversarial != X[0]).any()
    assert display.axes_.shape == (2, 4)
    assert display.ax_ is display.axes_[0, 0]
    above, below = display.axes_
    for axes, values in zip(above, (X[0], adversarial - X[0], adversarial), strict=False):
        assert_allclose(shown(axes), values.reshape(3, 3))
    assert not above[3].get_images()
    rest = total - parts.sum(axis=0)
    for axes, values in zip(below, (*parts, rest, total), strict=True):
        assert_allclose(shown(axes), values.reshape(3, 3), atol=1e-12)
    titles = ["feature 3", "+ feature 0", "+ all others", "= gradient"]
    assert [axes.get_title() for axes in below] == titles
    assert below[-1].get_xlabel() == "norm 1.00"
    display.figure_.canvas.draw()


def test_titles_are_predictions():
    decomposer, X, y = problem()
    adversarial = NTKAttack(decomposer, eps=0.5).generate(X, y)
    before, after = decomposer.predict(X), decomposer.predict(adversarial)
    flipped = int(np.flatnonzero(before != after)[0])
    display = from_estimator(
        decomposer, X[flipped], y[flipped], eps=0.5, target_names={0: "cat", 1: "dog"}
    )
    names = np.array(["cat", "dog"])
    titles = [axes.get_title() for axes in display.axes_[0, :3]]
    assert titles == [
        f"{names[y[flipped]]}\ntaken for {names[before[flipped]]}",
        "+ perturbation",
        f"= taken for {names[after[flipped]]}",
    ]


@pytest.mark.parametrize("image_shape", [(2, 2, 3), (4, 3), (1, 4, 3), (12, 1)])
def test_images_have_the_shape_of_the_sample(image_shape):
    decomposer, X, y = problem(d=12)
    display = from_estimator(
        decomposer, X[:1], y[0], eps=0.1, components=[0], image_shape=image_shape
    )
    colours = len(image_shape) == 3
    for axes in (*display.axes_[0], *display.axes_[1]):
        assert shown(axes).shape == image_shape
    assert_allclose(shown(display.axes_[0, 0]), X[0].reshape(image_shape))
    if colours:
        change = (display.adversarial - X[0]).reshape(image_shape)
        assert_allclose(shown(display.axes_[0, 1]), 0.5 + change / (2 * np.abs(change).max()))


def test_labels_of_any_type():
    X = np.random.default_rng(0).uniform(0.1, 0.9, size=(24, 9))
    y = np.array(["cat", "dog"] * 12)
    decomposer = SpectralFeatureDecomposer("fc1").fit(X, y)
    display = from_estimator(decomposer, X[0], "cat", eps=0.01)
    assert display.axes_[0, 0].get_title() == "cat\ntaken for cat"


def test_plain_arrays():
    parts, total = np.random.default_rng(0).standard_normal((2, 9)), np.ones(9)
    display = PerturbationDecompositionDisplay(
        image=np.zeros(9),
        adversarial=np.full(9, 0.1),
        parts=parts,
        total=total,
        titles=["a", "b"],
        image_shape=(3, 3, 1),
    ).plot()
    assert [axes.get_title() for axes in display.axes_[0, :3]] == [
        "image",
        "+ perturbation",
        "= adversarial",
    ]
    assert_allclose(shown(display.axes_[1, 2]), (total - parts.sum(axis=0)).reshape(3, 3))


def test_from_predictions():
    parts, total = np.random.default_rng(0).standard_normal((2, 9)), np.ones(9)
    display = PerturbationDecompositionDisplay.from_predictions(
        np.zeros(9), np.full(9, 0.1), parts=parts, total=total
    )
    assert display.axes_.shape == (2, 4)


def test_default_features_of_a_short_spectrum():
    decomposer, X, y = problem(n_components=3)
    display = from_estimator(decomposer, X[0], y[0], eps=0.1)
    assert display.axes_.shape == (2, 5)


def test_one_component_as_a_number():
    decomposer, X, y = problem()
    display = from_estimator(decomposer, X[0], y[0], eps=0.1, components=2)
    assert_array_equal(display.parts, decomposer.decompose_gradient(X[:1], y[:1]).parts[0, [2]])


def test_estimator_fitted_on_a_frame():
    _, X, y = problem(d=4)
    X = pd.DataFrame(X, columns=list("abcd"))
    decomposer = SpectralFeatureDecomposer("fc1").fit(X, y)
    assert from_estimator(decomposer, X.iloc[:1], y[0], eps=0.1).axes_.shape == (2, 7)


def test_given_axes():
    decomposer, X, y = problem()
    figure, (left, right) = plt.subplots(1, 2)
    display = from_estimator(decomposer, X[0], y[0], eps=0.1, components=[0], ax=left)
    assert display.figure_ is figure
    assert display.axes_.shape == (2, 3)
    assert plt.get_fignums() == [figure.number]
    assert not right.get_images()
    grid = plt.subplots(2, 3)[1]
    assert display.plot(ax=grid).ax_ is grid[0, 0]


@pytest.mark.parametrize("components", [[24], [-1], [0.5], "all"])
def test_wrong_components(components):
    decomposer, X, y = problem()
    with pytest.raises(ValueError, match="components="):
        from_estimator(decomposer, X[0], y[0], eps=0.1, components=components)
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"y": 7}, "never saw"),
        ({"eps": -1}, "eps=-1"),
        ({"clip_values": (0.4, 0.5)}, "outside clip_values"),
        ({"image_shape": (2, 2)}, r"image_shape=\(2, 2, 1\) has 4 values"),
    ],
)
def test_wrong_values(options, message):
    decomposer, X, y = problem()
    with pytest.raises(ValueError, match=message):
        from_estimator(decomposer, X[0], **{"y": y[0], "eps": 0.1} | options)
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"adversarial": np.zeros(8)}, "adversarial 8"),
        ({"total": np.zeros(10)}, "total 10"),
        ({"parts": np.zeros((2, 8))}, r"parts has shape \(2, 8\)"),
        ({"parts": np.zeros(9)}, r"parts has shape \(9,\)"),
        ({"titles": ["a"]}, "titles has 1 entries, but 2 are needed"),
        ({"labels": ["a"]}, "labels has 1 entries"),
    ],
)
def test_arrays_that_do_not_match(change, message):
    arrays = {"image": np.zeros(9), "adversarial": np.zeros(9), "total": np.zeros(9)}
    arrays |= {"parts": np.zeros((2, 9))} | change
    with pytest.raises(ValueError, match=message):
        PerturbationDecompositionDisplay.from_predictions(**arrays)
    assert plt.get_fignums() == []
