"""What `LossGradientDisplay` draws."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from skntk import NTKClassifier
from skntk.inspection import LossGradientDisplay
from skntk.metrics import loss_gradient

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:100] / 16, y[:100], X[100:103] / 16, y[100:103]


@pytest.fixture(scope="module")
def models(digits):
    return {name: NTKClassifier(name).fit(*digits[:2]) for name in ("fc1", "fc3")}


def assert_images(axes, gradients):
    for row, images in zip(axes, gradients, strict=True):
        for ax, values in zip(row, images, strict=True):
            np.testing.assert_allclose(ax.images[0].get_array(), values.reshape(8, 8), rtol=1e-9)
            largest = np.abs(values).max()
            assert ax.images[0].get_clim() == pytest.approx((-largest, largest))
            assert not len(ax.get_xticks())


def titles(axes):
    return [ax.get_title() for ax in axes]


def test_a_row_for_each_estimator_and_a_column_for_each_image(digits, models):
    X, y = digits[2:]
    display = LossGradientDisplay.from_estimator(models, X, y)
    assert display.axes_.shape == (3, 3) and display.ax_ is display.axes_[0, 0]
    for ax, image in zip(display.axes_[0], X, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), image.reshape(8, 8))
    assert_images(display.axes_[1:], [loss_gradient(model, X, y) for model in models.values()])
    assert titles(display.axes_[0]) == [f"label {label}" for label in y]
    assert [ax.get_ylabel() for ax in display.axes_[:, 0]] == ["image", "fc1", "fc3"]
    (bar,) = set(display.figure_.axes) - set(display.axes_.flat)
    assert "gradient" in bar.get_ylabel() and bar.get_ylim() == (-1, 1)
    display.figure_.canvas.draw()


@pytest.mark.parametrize("given", ["vector", "frame"])
def test_epochs_in_columns(digits, models, given):
    X, y = digits[2][:1], digits[3][:1]
    rows = {
        name: {f"t = {time}": model.at_time(time) for time in (0.1, 10.0)}
        for name, model in models.items()
    }
    x = X[0] if given == "vector" else pd.DataFrame(X)
    label = y[0] if given == "vector" else y
    display = LossGradientDisplay.from_estimator(rows, x, label, loss="squared_error")
    expected = [
        [loss_gradient(model, X, y, loss="squared_error")[0] for model in row.values()]
        for row in rows.values()
    ]
    assert display.axes_.shape == (3, 2)
    assert_images(display.axes_[1:], expected)
    assert len(display.axes_[0, 0].images) == 1 and not display.axes_[0, 1].images
    assert titles(display.axes_[1]) == ["t = 0.1", "t = 10.0"] and titles(display.axes_[0]) == [
        "",
        "",
    ]


def test_a_single_estimator(digits, models):
    X, y = digits[2:]
    display = LossGradientDisplay.from_estimator(models["fc1"], X, y)
    assert_images(display.axes_[1:], [loss_gradient(models["fc1"], X, y)])
    assert display.axes_[1, 0].get_ylabel() == ""


def test_arrays_in_colour_and_without_images():
    gradients = RNG.normal(size=(2, 3, 12))
    display = LossGradientDisplay.from_predictions(gradients, image_shape=(2, 2, 3))
    assert display.axes_.shape == (2, 3)
    drawn = display.axes_[1, 2].images[0].get_array()
    expected = 0.5 + gradients[1, 2].reshape(2, 2, 3) / (2 * np.abs(gradients[1, 2]).max())
    np.testing.assert_allclose(drawn, expected)
    assert len(display.figure_.axes) == 6  # no bar of colours


def test_axes_given_and_plotted_again():
    figure, axes = plt.subplots(2, 2)
    display = LossGradientDisplay.from_predictions(RNG.normal(size=(2, 2, 64)), ax=axes)
    assert display.figure_ is figure and (display.axes_ == axes).all()
    assert display.plot() is display and display.figure_ is not figure


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"gradients": np.ones(4)}, r"gradients has shape \(4,\)"),
        ({"gradients": np.ones((0, 4))}, "gradients has shape"),
        ({"titles": ["a"]}, "titles has 1 entries, but 2"),
        ({"row_labels": ["a", "b"]}, "row_labels has 2 entries, but 1"),
        ({"images": np.ones((3, 64))}, r"images has shape \(3, 64\); give \(2, 64\)"),
        ({"image_shape": (3, 3)}, "image_shape"),
    ],
)
def test_wrong_arrays(arguments, match):
    with pytest.raises(ValueError, match=match):
        LossGradientDisplay.from_predictions(**{"gradients": np.ones((2, 64))} | arguments)
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("estimator", "match"),
    [
        (lambda models: {}, "estimator is an empty mapping"),
        (lambda models: {"a": models, "b": {"fc1": models["fc1"]}}, "every row the same"),
        (lambda models: {"a": models, "b": models["fc1"]}, "every row the same"),
        (lambda models: {"a": {}}, "every row the same"),
        (lambda models: {"a": models}, "X holds 3 images .*one image"),
    ],
)
def test_wrong_estimators(digits, models, estimator, match):
    with pytest.raises(ValueError, match=match):
        LossGradientDisplay.from_estimator(estimator(models), *digits[2:])
