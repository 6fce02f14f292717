"""What `KernelNormDisplay` draws."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from skntk import KernelDynamicsTracker
from skntk.inspection import KernelNormDisplay

CURVES = {"standard": ([0, 1, 5], [1.0, 4.0, 9.0]), "pgd": ([0, 2], [1.0, 2.0])}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def recorded(scale):
    tracker = KernelDynamicsTracker(np.eye(3), top=(1,))
    for step in (0, 2, 5):
        tracker.record(lambda params, x: (x @ params) ** 2, scale * np.ones((3, 1)) + step, step)
    return tracker


def test_curves_are_drawn():
    display = KernelNormDisplay.from_predictions(CURVES, name="Fig. 5")
    assert list(display.lines_) == list(CURVES)
    for name, (steps, norms) in CURVES.items():
        np.testing.assert_array_equal(display.lines_[name].get_xdata(), steps)
        np.testing.assert_array_equal(display.lines_[name].get_ydata(), norms)
    assert len({line.get_color() for line in display.lines_.values()}) == 2
    assert display.ax_.get_ylim()[0] == 0 and display.ax_.get_title() == "Fig. 5"
    assert "norm" in display.ax_.get_ylabel() and display.ax_.get_xlabel() == "checkpoint"
    display.figure_.canvas.draw()


@pytest.mark.parametrize("several", [False, True])
def test_norms_of_trackers(several):
    trackers = {"a": recorded(1), "b": recorded(2)} if several else recorded(1)
    display = KernelNormDisplay.from_estimator(trackers)
    named = trackers if several else {"training": trackers}
    assert list(display.lines_) == list(named)
    for name, tracker in named.items():
        expected = [np.linalg.norm(tracker.kernel(step)) for step in (0, 2, 5)]
        np.testing.assert_array_equal(display.lines_[name].get_xdata(), [0, 2, 5])
        np.testing.assert_allclose(display.lines_[name].get_ydata(), expected, rtol=1e-12)


def test_axes_given_and_plotted_again():
    figure, axes = plt.subplots()
    display = KernelNormDisplay.from_predictions(CURVES, ax=axes)
    assert display.ax_ is axes and display.figure_ is figure
    assert display.plot() is display and display.figure_ is not figure


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match=r"curves\['a'\] has shapes .*steps and norms"):
        KernelNormDisplay.from_predictions({"a": ([0, 1], [1.0])})
    with pytest.raises(ValueError, match="curves is empty"):
        KernelNormDisplay.from_predictions({})
    with pytest.raises(NotFittedError, match="recorded nothing"):
        KernelNormDisplay.from_estimator(KernelDynamicsTracker(np.eye(3), top=(1,)))
    with pytest.raises(TypeError, match="must be a KernelDynamicsTracker"):
        KernelNormDisplay.from_estimator(np.eye(3))
    assert not plt.get_fignums()
