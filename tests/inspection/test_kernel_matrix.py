"""What `KernelMatrixDisplay` draws."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from skntk import KernelDynamicsTracker
from skntk.inspection import KernelMatrixDisplay

KERNELS = {"start": np.arange(9.0).reshape(3, 3), "end": 10 * np.eye(3)}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def square(params, x):
    return (x @ params) ** 2


def recorded(steps=(0, 2, 9), labels=None):
    tracker = KernelDynamicsTracker(np.diag([1.0, 2, 3, 4]), labels, top=1)
    for step in steps:
        params = np.random.default_rng(step).normal(size=(4, 2))
        tracker.record(square, params + 1, step)
    return tracker


def images(display):
    assert display.ax_ is display.axes_[0, 0]
    return {ax.get_title(): ax.images[0] for ax in display.axes_[0]}


def assert_drawn(display, kernels):
    assert isinstance(display, KernelMatrixDisplay)
    assert display.axes_.shape == (1, len(kernels))
    drawn = images(display)
    assert list(drawn) == list(kernels)
    for name, kernel in kernels.items():
        np.testing.assert_allclose(drawn[name].get_array(), kernel, rtol=1e-12)
    display.figure_.canvas.draw()


def test_kernels_are_drawn():
    display = KernelMatrixDisplay.from_predictions(KERNELS)
    assert_drawn(display, KERNELS)
    assert [image.get_clim() for image in images(display).values()] == [(0, 8), (0, 10)]
    for ax in display.axes_[0]:
        assert ax.figure is display.figure_ and not len(ax.get_xticks())
    assert len(display.figure_.axes) == 4  # and a colour bar each


def test_samples_in_order_of_class():
    labels = ["b", "a", "b"]
    display = KernelMatrixDisplay.from_predictions(KERNELS, labels=labels, share_scale=True)
    order = [1, 0, 2]
    assert_drawn(display, {name: K[order][:, order] for name, K in KERNELS.items()})
    assert {image.get_clim() for image in images(display).values()} == {(0, 10)}
    np.testing.assert_array_equal(KERNELS["start"], np.arange(9.0).reshape(3, 3))


def between_samples(tracker, step, order=slice(None)):
    kernel = tracker.kernel(step)
    means = [
        [np.mean([kernel[2 * i + a, 2 * j + a] for a in (0, 1)]) for j in range(4)]
        for i in range(4)
    ]
    return np.array(means)[order][:, order]


@pytest.mark.parametrize("steps", [None, [2], [9, 0], np.array([0, 2])])
def test_from_estimator(steps):
    tracker = recorded()
    display = KernelMatrixDisplay.from_estimator(tracker, steps=steps)
    drawn = [0, 9] if steps is None else steps
    assert_drawn(display, {f"step {step}": between_samples(tracker, step) for step in drawn})


def test_from_several_estimators():
    trackers = {"standard": recorded(), "pgd": recorded([0, 1])}
    display = KernelMatrixDisplay.from_estimator(trackers, share_scale=True)
    expected = {
        f"{name} step {step}": between_samples(trackers[name], step)
        for name, step in [("standard", 0), ("standard", 9), ("pgd", 0), ("pgd", 1)]
    }
    assert_drawn(display, expected)
    lowest, highest = (f(list(expected.values())) for f in (np.min, np.max))
    for image in images(display).values():
        assert image.get_clim() == pytest.approx((lowest, highest))


@pytest.mark.parametrize("loaded", [False, True])
def test_labels_of_the_tracker_give_the_order(tmp_path, loaded):
    labels = [10, 2, 10, 1]  # in order of number, not of text
    tracker = KernelDynamicsTracker(np.diag([1.0, 2, 3, 4]), labels, top=1, directory=tmp_path)
    tracker.record(square, np.random.default_rng(0).normal(size=(4, 2)), 0)
    if loaded:
        tracker = KernelDynamicsTracker.load(tmp_path)
    display = KernelMatrixDisplay.from_estimator(tracker)
    assert_drawn(display, {"step 0": between_samples(tracker, 0, [3, 1, 0, 2])})


@pytest.mark.parametrize("kind", ["two", "one"])
def test_axes_given_and_plotted_again(kind):
    figure, axes = plt.subplots(1, 2 if kind == "two" else 1)
    display = KernelMatrixDisplay.from_predictions(KERNELS, ax=axes)
    assert display.figure_ is figure
    assert_drawn(display, KERNELS)
    if kind == "two":
        assert list(display.axes_[0]) == list(axes)
    assert display.plot() is display and display.figure_ is not figure


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"kernels": {}}, "kernels is empty"),
        ({"kernels": {"a": np.ones(3)}}, r"kernels\['a'\] has shape \(3,\); give a square"),
        ({"kernels": {"a": 3.0}}, "square"),
        ({"kernels": {"a": np.ones((2, 3))}}, "square"),
        ({"kernels": {"a": np.ones((0, 0))}}, "square"),
        (
            {"kernels": KERNELS, "labels": [0, 1]},
            r"labels has 2 .* kernels\['start'\] has 3",
        ),
        ({"kernels": KERNELS, "ax": lambda: plt.subplots(1, 3)[1]}, "3 axes"),
    ],
)
def test_wrong_arrays(arguments, match):
    arguments = {key: value() if callable(value) else value for key, value in arguments.items()}
    with pytest.raises(ValueError, match=match):
        KernelMatrixDisplay.from_predictions(**arguments)


def test_wrong_trackers():
    with pytest.raises(TypeError, match="must be a KernelDynamicsTracker"):
        KernelMatrixDisplay.from_estimator(np.eye(3))
    with pytest.raises(NotFittedError, match="recorded nothing"):
        KernelMatrixDisplay.from_estimator(recorded([]))
    with pytest.raises(KeyError, match="step=5 was not recorded"):
        KernelMatrixDisplay.from_estimator(recorded(), steps=[0, 5])
    with pytest.raises(ValueError, match="kernels is empty"):
        KernelMatrixDisplay.from_estimator(recorded(), steps=[])
    assert not plt.get_fignums()
