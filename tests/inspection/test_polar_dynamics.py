"""What `PolarDynamicsDisplay` draws."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from sklearn.exceptions import NotFittedError

from skntk import KernelDynamicsTracker
from skntk.inspection import PolarDynamicsDisplay

CURVES = {"standard": ([0, 0.7, 1], [0, 0.3, 0.4]), "pgd": ([0, 1.2, 1], [0, 0.5, 0.9])}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def square(params, x):
    return (x @ params) ** 2


def recorded(steps=(0, 2, 9), size=1.0):
    tracker = KernelDynamicsTracker(np.eye(3), top=(1, 2))
    for step in steps:
        tracker.record(square, np.array([[size], [1.0], [step + 0.5]]), step)
    return tracker


def assert_drawn(display, curves):
    assert list(display.lines_) == list(curves)
    for label, (radius, angle) in curves.items():
        line = display.lines_[label]
        np.testing.assert_array_equal(line.get_xdata(), angle)
        np.testing.assert_array_equal(line.get_ydata(), radius)
        assert line.get_label() == label and line.axes is display.ax_
    labels = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert labels == list(curves)
    display.figure_.canvas.draw()


def test_paths_are_drawn():
    display = PolarDynamicsDisplay.from_predictions(CURVES, name="top 20")
    assert isinstance(display, PolarDynamicsDisplay)
    assert display.ax_.name == "polar" and display.ax_.figure is display.figure_
    assert_drawn(display, CURVES)
    assert display.ax_.get_title() == "top 20"
    assert (display.ax_.get_thetamin(), display.ax_.get_thetamax()) == (0, 90)
    assert display.ax_.get_rmin() == 0 and display.ax_.get_rmax() >= 1.2
    colors = {line.get_color() for line in display.lines_.values()}
    assert len(colors) == 2


def test_the_legend_in_given_axes_is_clear_of_the_label_of_the_angles():
    figure = plt.figure(figsize=(10, 4), layout="constrained")
    ax = figure.add_subplot(1, 2, 2, projection="polar")
    PolarDynamicsDisplay.from_predictions(CURVES, ax=ax)
    figure.canvas.draw()
    (label,) = ax.texts
    assert not ax.get_legend().get_window_extent().overlaps(label.get_window_extent())


def test_the_title_is_clear_of_the_label_of_the_angles():
    display = PolarDynamicsDisplay.from_predictions(CURVES, name="A network under PGD, top 20")
    display.figure_.canvas.draw()
    (label,) = display.ax_.texts
    assert not display.ax_.title.get_window_extent().overlaps(label.get_window_extent())


def test_dots_grow_along_each_path():
    display = PolarDynamicsDisplay.from_predictions(CURVES)
    for dots, line, (radius, angle) in zip(
        display.ax_.collections, display.lines_.values(), CURVES.values(), strict=True
    ):
        np.testing.assert_array_equal(dots.get_offsets(), np.stack([angle, radius], axis=1))
        sizes = dots.get_sizes()
        assert len(sizes) == len(radius) and (np.diff(sizes) > 0).all()
        assert to_hex(dots.get_facecolor()[0]) == to_hex(line.get_color())


def test_both_coordinates_are_labelled():
    display = PolarDynamicsDisplay.from_predictions(CURVES)
    assert "distance" in display.ax_.get_xlabel()
    assert any("angle" in text.get_text() for text in display.ax_.texts)


def test_obtuse_angles_are_in_the_picture():
    display = PolarDynamicsDisplay.from_predictions({"a": ([0, 1], [0, 2.5])})
    assert display.ax_.get_thetamax() == pytest.approx(np.degrees(2.5))


def test_a_single_checkpoint():
    assert_drawn(PolarDynamicsDisplay.from_predictions({"a": ([0], [0])}), {"a": ([0], [0])})


@pytest.mark.parametrize("top", [None, 1, 2])
def test_from_estimator(top):
    trackers = {"a": recorded(), "b": recorded(size=3.0)}

    def path(tracker):
        if top is None:
            return tracker.polar_radius_, tracker.polar_angle_
        return tracker.top_polar_radius_[top], tracker.top_polar_angle_[top]

    display = PolarDynamicsDisplay.from_estimator(trackers, top=top, name="run")
    assert_drawn(display, {name: path(tracker) for name, tracker in trackers.items()})
    assert display.ax_.get_title() == "run"
    single = PolarDynamicsDisplay.from_estimator(trackers["a"], top=top)
    assert_drawn(single, {"training": path(trackers["a"])})


def test_axes_given_and_plotted_again():
    figure, ax = plt.subplots(subplot_kw={"projection": "polar"})
    display = PolarDynamicsDisplay.from_estimator(recorded(), ax=ax)
    assert display.ax_ is ax and display.figure_ is figure
    assert display.plot() is display and display.ax_ is not ax


@pytest.mark.parametrize("ax", [lambda: plt.subplots()[1], lambda: 3])
def test_axes_without_polar_coordinates_are_refused(ax):
    with pytest.raises(ValueError, match=r"polar.*projection"):
        PolarDynamicsDisplay.from_predictions(CURVES, ax=ax())


@pytest.mark.parametrize(
    ("curves", "error", "match"),
    [
        ({}, ValueError, "curves is empty"),
        ([([0], [0])], TypeError, "mapping from names, got list"),
        ({"a": ([0, 1], [0])}, ValueError, r"curves\['a'\] has shapes \[\(2,\), \(1,\)\]"),
        ({"a": ([[0]], [[0]])}, ValueError, "radius and angle"),
        ({"a": ([], [])}, ValueError, "shapes"),
        ({"a": ([0],)}, ValueError, "shapes"),
        ({"a": ([0, 1], [0, np.nan])}, ValueError, r"curves\['a'\] holds NaN"),
    ],
)
def test_wrong_arrays(curves, error, match):
    with pytest.raises(error, match=match):
        PolarDynamicsDisplay.from_predictions(curves)
    assert not plt.get_fignums()


def test_wrong_trackers():
    for tracker in (None, {"a": 3}):
        with pytest.raises(TypeError, match="must be a KernelDynamicsTracker"):
            PolarDynamicsDisplay.from_estimator(tracker)
    with pytest.raises(ValueError, match="empty mapping"):
        PolarDynamicsDisplay.from_estimator({})
    with pytest.raises(NotFittedError, match="recorded nothing"):
        PolarDynamicsDisplay.from_estimator({"a": recorded(), "b": recorded([])})
    with pytest.raises(ValueError, match=r"top=5 was not followed; the tracker has \(1, 2\)"):
        PolarDynamicsDisplay.from_estimator(recorded(), top=5)
    assert not plt.get_fignums()
