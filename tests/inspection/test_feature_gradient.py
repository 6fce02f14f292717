"""Input gradients of features, drawn as images."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import AxesImage
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from skntk import SpectralFeatureDecomposer
from skntk.inspection import FeatureGradientDisplay

from_predictions = FeatureGradientDisplay.from_predictions


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def decomposers():
    X = np.random.default_rng(0).uniform(size=(24, 12))
    y = np.array(["a", "b", "c"] * 8)
    return {
        name: SpectralFeatureDecomposer(name, n_components=6).fit(X, y) for name in ("fc1", "fc2")
    }


def gaussian(*shape):
    return np.random.default_rng(1).standard_normal(shape)


def image_on(axes):
    (image,) = axes.get_images()
    assert isinstance(image, AxesImage)
    return image


def test_from_estimator(decomposers):
    x = np.linspace(0, 1, 12)
    display = FeatureGradientDisplay.from_estimator(
        decomposers["fc1"], x, components=[4, 1], output="b", image_shape=(4, 3)
    )
    expected = decomposers["fc1"].feature_gradients(x[None], [4, 1], output="b")[0]
    assert_array_equal(display.gradients, expected[None])
    assert display.axes_.shape == (1, 3)
    assert display.ax_ is display.axes_[0, 0]
    assert_allclose(image_on(display.axes_[0, 0]).get_array(), x.reshape(4, 3))
    assert [axes.get_title() for axes in display.axes_[0]] == ["", "feature 4", "feature 1"]
    for axes, gradient in zip(display.axes_[0, 1:], expected, strict=True):
        image = image_on(axes)
        assert_array_equal(image.get_array(), gradient.reshape(4, 3))
        assert image.get_clim() == (-np.abs(gradient).max(), np.abs(gradient).max())
        assert axes.get_xticks().size == 0
    display.figure_.canvas.draw()


def test_one_row_a_model(decomposers):
    x = np.linspace(0, 1, 12)
    display = FeatureGradientDisplay.from_estimator(decomposers, x[None], image_shape=(4, 3, 1))
    assert display.axes_.shape == (2, 6)
    assert [axes.get_ylabel() for axes in display.axes_[:, 0]] == ["fc1", "fc2"]
    for row, decomposer in enumerate(decomposers.values()):
        gradients = decomposer.feature_gradients(x[None])[0]
        for column in range(5):
            image = image_on(display.axes_[row, column + 1])
            assert_array_equal(image.get_array(), gradients[column].reshape(4, 3))


def test_default_features_of_a_short_spectrum():
    X = np.random.default_rng(0).uniform(size=(12, 9))
    decomposer = SpectralFeatureDecomposer("fc1", n_components=3).fit(X, np.arange(12) % 2)
    display = FeatureGradientDisplay.from_estimator(decomposer, X[0])
    assert display.axes_.shape == (1, 4)


def test_one_component_as_a_number(decomposers):
    x = np.linspace(0, 1, 12)
    display = FeatureGradientDisplay.from_estimator(decomposers["fc1"], x, components=2)
    assert display.axes_.shape == (1, 2)


def test_estimator_fitted_on_a_frame():
    X = pd.DataFrame(np.random.default_rng(0).uniform(size=(12, 4)), columns=list("abcd"))
    decomposer = SpectralFeatureDecomposer("fc1").fit(X, np.arange(12) % 2)
    display = FeatureGradientDisplay.from_estimator(decomposer, X.iloc[:1])
    expected = decomposer.feature_gradients(X.iloc[:1])[0, 0]
    assert_array_equal(image_on(display.axes_[0, 1]).get_array(), expected.reshape(2, 2))


@pytest.mark.parametrize(
    "image_shape", [(4, 3), (4, 3, 1), (1, 12, 1), (12, 1, 1), (2, 2, 3), (1, 4, 3), (4, 1, 3)]
)
def test_images_have_the_shape_of_the_sample(image_shape):
    gradients, pixels = gaussian(2, 12), np.random.default_rng(0).uniform(size=12)
    display = from_predictions(gradients, image=pixels, image_shape=image_shape)
    colours = len(image_shape) == 3 and image_shape[2] == 3
    shape = image_shape if colours else image_shape[:2]
    assert_allclose(image_on(display.axes_[0, 0]).get_array(), pixels.reshape(shape))
    for axes, gradient in zip(display.axes_[0, 1:], gradients, strict=True):
        shown = np.asarray(image_on(axes).get_array())
        assert shown.shape == shape
        if colours:
            assert shown.min() >= 0
            assert shown.max() <= 1
            expected = 0.5 + gradient.reshape(shape) / (2 * np.abs(gradient).max())
            assert_allclose(shown, expected)
        else:
            assert_array_equal(shown, gradient.reshape(shape))
    display.figure_.canvas.draw()


def test_shape_is_guessed():
    assert from_predictions(gaussian(2, 9)).image_shape == (3, 3, 1)
    assert from_predictions(gaussian(2, 12)).image_shape == (2, 2, 3)
    with pytest.raises(ValueError, match=r"10 features do not make a square.*image_shape="):
        from_predictions(gaussian(2, 10))


def test_grey_images_are_grey():
    display = from_predictions(gaussian(1, 9), image=np.linspace(-1, 2, 9))
    image = image_on(display.axes_[0, 0])
    assert image.get_cmap().name == "gray"
    assert image.get_clim() == (0, 1)
    assert image.get_array().min() == 0
    assert image.get_array().max() == 1


def test_gradient_of_zeros():
    display = from_predictions(np.zeros((1, 9)))
    low, high = image_on(display.axes_[0, 0]).get_clim()
    assert low == -high < 0
    display.figure_.canvas.draw()


def test_titles_and_labels():
    display = from_predictions(gaussian(2, 3, 9), row_labels=["one", "two"], titles=["x", "y", "z"])
    assert display.axes_.shape == (2, 3)
    assert [axes.get_title() for axes in display.axes_[0]] == ["x", "y", "z"]
    assert [axes.get_ylabel() for axes in display.axes_[:, 0]] == ["one", "two"]


def test_inside_given_axes():
    figure, (left, right) = plt.subplots(1, 2)
    display = from_predictions(gaussian(3, 9), ax=right)
    assert display.figure_ is figure
    assert display.axes_.shape == (1, 3)
    assert display.ax_ is display.axes_[0, 0]
    assert plt.get_fignums() == [figure.number]
    assert not left.get_images()
    figure.canvas.draw()
    outer = right.get_position()
    for axes in display.axes_.flat:
        box = axes.get_position()
        assert outer.x0 - 0.01 <= box.x0 <= box.x1 <= outer.x1 + 0.01


def test_on_given_grid():
    figure, grid = plt.subplots(2, 3)
    display = from_predictions(gaussian(2, 3, 9), ax=grid)
    assert display.figure_ is figure
    assert all(a is b for a, b in zip(display.axes_.flat, grid.flat, strict=True))
    with pytest.raises(ValueError, match="ax has 6 axes and the display needs 1 x 3"):
        from_predictions(gaussian(3, 9), ax=grid)


def test_free_axes_are_refused():
    axes = plt.figure().add_axes((0, 0, 1, 1))
    with pytest.raises(ValueError, match="ax is not part of a subplot grid"):
        from_predictions(gaussian(3, 9), ax=axes)


def test_plot_again():
    display = from_predictions(gaussian(3, 9))
    assert display.plot() is display
    assert len(plt.get_fignums()) == 2


@pytest.mark.parametrize(
    ("gradients", "options", "message"),
    [
        (np.zeros(9), {}, r"gradients has shape \(9,\); give \(p, d\) or \(r, p, d\)"),
        (np.zeros((1, 1, 1, 9)), {}, "gradients has shape"),
        (np.zeros((0, 9)), {}, "gradients has shape"),
        (np.zeros((2, 9)), {"image_shape": (3, 4)}, r"image_shape=\(3, 4, 1\) has 12 values"),
        (np.zeros((2, 9)), {"image_shape": 9}, "image_shape=9 must be"),
        (np.zeros((2, 8)), {"image_shape": (2, 2, 2)}, r"image_shape=\(2, 2, 2\).*channels"),
        (np.zeros((2, 9)), {"image": np.zeros(8)}, "image"),
        (np.zeros((2, 9)), {"titles": ["a"]}, "titles"),
        (np.zeros((2, 9)), {"row_labels": []}, "row_labels"),
    ],
)
def test_wrong_values(gradients, options, message):
    with pytest.raises(ValueError, match=message):
        from_predictions(gradients, **options)
    assert plt.get_fignums() == []


def test_wrong_estimators(decomposers):
    x = np.zeros(12)
    with pytest.raises(NotFittedError):
        FeatureGradientDisplay.from_estimator(SpectralFeatureDecomposer(), x)
    with pytest.raises(ValueError, match="components="):
        FeatureGradientDisplay.from_estimator(decomposers["fc1"], x, components=[6])
    with pytest.raises(ValueError, match=r"x has shape \(2, 12\); give one sample"):
        FeatureGradientDisplay.from_estimator(decomposers["fc1"], np.zeros((2, 12)))
    with pytest.raises(ValueError, match=r"decomposer=\{\} is empty"):
        FeatureGradientDisplay.from_estimator({}, x)
    with pytest.raises(ValueError, match="never saw"):
        FeatureGradientDisplay.from_estimator(decomposers["fc1"], x, output="z")
