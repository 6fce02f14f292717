"""What `ConcentrationDisplay` draws."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from skntk import KernelDynamicsTracker
from skntk.inspection import ConcentrationDisplay

CURVES = {"standard": ([0, 1, 3], [0.9, 0.8, 0.85]), "pgd": ([0, 2], [0.9, 0.95])}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def square(params, x):
    return (x @ params) ** 2


def recorded(steps=(0, 2, 9), top=(1, 2)):
    tracker = KernelDynamicsTracker(np.eye(3), top=top)
    for step in steps:
        tracker.record(square, np.array([[1.0], [1.0], [step + 0.5]]), step)
    return tracker


def assert_drawn(display, curves):
    assert list(display.lines_) == list(curves)
    assert len(display.ax_.lines) == len(curves)
    for label, (steps, share) in curves.items():
        line = display.lines_[label]
        np.testing.assert_array_equal(line.get_xdata(), steps)
        np.testing.assert_array_equal(line.get_ydata(), share)
        assert line.get_label() == label
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == list(curves)
    display.figure_.canvas.draw()


def test_curves_are_drawn():
    display = ConcentrationDisplay.from_predictions(CURVES, p=20, name="digits")
    assert isinstance(display, ConcentrationDisplay)
    assert display.ax_.figure is display.figure_
    assert_drawn(display, CURVES)
    assert display.ax_.get_title() == "digits" and display.ax_.get_xlabel() == "checkpoint"
    assert "top 20 eigenvalues" in display.ax_.get_ylabel()
    assert "top p eigen" in ConcentrationDisplay.from_predictions(CURVES).ax_.get_ylabel()


@pytest.mark.parametrize("curve", [([0, 1, 2], [0.9, 0.8, 0.7]), ([4], [0.5])])
def test_checkpoints_are_whole_numbers(curve):
    display = ConcentrationDisplay.from_predictions({"a": curve})
    display.figure_.canvas.draw()
    ticks = display.ax_.get_xticks()
    np.testing.assert_array_equal(ticks, ticks.round())


@pytest.mark.parametrize(("p", "drawn"), [(None, 2), (1, 1), (2, 2)])
def test_from_estimator(p, drawn):
    trackers = {"a": recorded(), "b": recorded([0, 5])}
    display = ConcentrationDisplay.from_estimator(trackers, p=p, name="run")
    assert_drawn(
        display,
        {name: (each.steps_, each.concentration_[drawn]) for name, each in trackers.items()},
    )
    assert f"top {drawn} " in display.ax_.get_ylabel() and display.ax_.get_title() == "run"
    single = ConcentrationDisplay.from_estimator(trackers["a"], p=p)
    assert list(single.lines_) == ["training"]


def test_axes_given_and_plotted_again():
    figure, ax = plt.subplots()
    ax.set_xscale("log")
    ax.set_xticks([1, 3])
    display = ConcentrationDisplay.from_predictions({"a": ([1, 3], [0.5, 0.6])}, ax=ax)
    assert display.ax_ is ax and display.figure_ is figure
    np.testing.assert_array_equal(ax.get_xticks(), [1, 3])  # the caller's are left as they are
    assert display.plot() is display and display.ax_ is not ax


@pytest.mark.parametrize(
    ("curves", "error", "match"),
    [
        ({}, ValueError, "curves is empty"),
        (([0], [0]), TypeError, "mapping from names, got tuple"),
        ({"a": ([0, 1], [0])}, ValueError, r"curves\['a'\].*steps and concentration"),
        ({"a": ([0, 1], [0, np.inf])}, ValueError, "infinity"),
    ],
)
def test_wrong_arrays(curves, error, match):
    with pytest.raises(error, match=match):
        ConcentrationDisplay.from_predictions(curves)
    assert not plt.get_fignums()


def test_wrong_trackers():
    with pytest.raises(TypeError, match="must be a KernelDynamicsTracker"):
        ConcentrationDisplay.from_estimator([recorded()])
    with pytest.raises(ValueError, match="empty mapping"):
        ConcentrationDisplay.from_estimator({})
    with pytest.raises(NotFittedError, match="recorded nothing"):
        ConcentrationDisplay.from_estimator(recorded([]))
    with pytest.raises(ValueError, match=r"p=5 was not followed; the tracker has \(1, 2\)"):
        ConcentrationDisplay.from_estimator(recorded(), p=5)
    # One p for all, or the axis would lie about some.
    with pytest.raises(ValueError, match=r"p=2 was not followed; the tracker has \(3,\)"):
        ConcentrationDisplay.from_estimator({"a": recorded(), "b": recorded(top=3)})
    assert not plt.get_fignums()
