"""What `KernelDistanceDisplay` draws."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from skntk import KernelDynamicsTracker
from skntk.inspection import KernelDistanceDisplay

DISTANCES = np.array([[0, 0.1, 0.4], [0.1, 0, 0.2], [0.4, 0.2, 0]])


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def square(params, x):
    return (x @ params) ** 2


def recorded(steps=(0, 2, 9)):
    tracker = KernelDynamicsTracker(np.eye(3), top=(1, 2))
    for step in steps:
        tracker.record(square, np.array([[1.0], [1.0], [step + 0.5]]), step)
    return tracker


def tick_labels(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def test_distances_are_drawn_with_their_steps():
    display = KernelDistanceDisplay.from_predictions(DISTANCES.tolist(), [0, 5, 20], name="pgd")
    assert isinstance(display, KernelDistanceDisplay)
    assert display.ax_.figure is display.figure_
    np.testing.assert_array_equal(display.image_.get_array(), DISTANCES)
    assert display.image_.get_clim() == (0, 0.4)
    assert tick_labels(display.ax_.xaxis) == tick_labels(display.ax_.yaxis) == ["0", "5", "20"]
    np.testing.assert_array_equal(display.ax_.get_xticks(), [0, 1, 2])
    assert display.image_.origin == "lower"
    assert display.ax_.get_title() == "pgd" and display.ax_.get_xlabel()
    (colorbar,) = (ax for ax in display.figure_.axes if ax is not display.ax_)
    assert "distance" in colorbar.get_ylabel()
    display.figure_.canvas.draw()


def test_many_steps_are_labelled_by_a_few():
    steps = np.arange(41) * 10
    display = KernelDistanceDisplay.from_predictions(np.zeros((41, 41)), steps)
    assert tick_labels(display.ax_.xaxis) == ["0", "100", "200", "300", "400"]
    np.testing.assert_array_equal(display.ax_.get_xticks(), [0, 10, 20, 30, 40])
    display = KernelDistanceDisplay.from_predictions(np.zeros((11, 11)), range(0, 110, 10))
    assert tick_labels(display.ax_.xaxis) == ["0", "20", "40", "60", "80", "100"]
    display.figure_.canvas.draw()


def test_without_steps_rows_are_counted_and_pictures_can_share_a_scale():
    display = KernelDistanceDisplay.from_predictions(DISTANCES, vmax=1)
    assert tick_labels(display.ax_.xaxis) == ["0", "1", "2"]
    assert display.image_.get_clim() == (0, 1) and display.ax_.get_title() == ""


def test_a_single_checkpoint():
    KernelDistanceDisplay.from_predictions([[0.0]], [7]).figure_.canvas.draw()


def test_from_estimator():
    tracker = recorded()
    display = KernelDistanceDisplay.from_estimator(tracker, name="run", vmax=0.9)
    np.testing.assert_array_equal(display.image_.get_array(), tracker.distances_)
    assert tick_labels(display.ax_.xaxis) == ["0", "2", "9"]
    assert display.ax_.get_title() == "run" and display.image_.get_clim() == (0, 0.9)


def test_axes_given_and_plotted_again():
    figure, ax = plt.subplots()
    display = KernelDistanceDisplay.from_estimator(recorded(), ax=ax)
    assert display.ax_ is ax and display.figure_ is figure
    assert display.plot() is display and display.ax_ is not ax
    other = plt.subplots()[1]
    assert display.plot(ax=other).ax_ is other and len(other.images) == 1


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((np.zeros(3),), "square"),
        ((np.zeros((2, 3)),), r"\(2, 3\); give a square"),
        ((np.zeros((0, 0)),), "square"),
        ((DISTANCES, [0, 1]), r"steps has shape \(2,\) for 3 kernels"),
    ],
)
def test_wrong_arrays(arguments, match):
    with pytest.raises(ValueError, match=match):
        KernelDistanceDisplay.from_predictions(*arguments)
    assert not plt.get_fignums()


def test_wrong_trackers():
    for tracker in (None, DISTANCES, {"a": recorded()}):
        with pytest.raises(TypeError, match="must be a KernelDynamicsTracker"):
            KernelDistanceDisplay.from_estimator(tracker)
    with pytest.raises(NotFittedError, match="recorded nothing"):
        KernelDistanceDisplay.from_estimator(recorded([]))
    assert not plt.get_fignums()
