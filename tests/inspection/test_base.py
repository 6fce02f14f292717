"""What holds for every Display: it stays inside its figure, and a new one is a few lines."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from skntk.inspection import (
    ConcentrationDisplay,
    EnsembleBandDisplay,
    KernelDistanceDisplay,
    PolarDynamicsDisplay,
    RiskOverTimeDisplay,
    RobustnessUsefulnessDisplay,
    RobustSelectionDisplay,
    TrainingCurveDisplay,
)
from skntk.inspection._base import Display, series_style, single_axes

T = np.linspace(0, 1, 12)
SHORT, LONG = "pgd", "adversarial training with projected gradient descent"
MAKERS = {
    "polar": lambda name: PolarDynamicsDisplay.from_predictions(
        {name: (T, T), "other": (T**0.5, 1.5 * T)}, name=name
    ),
    "polar turned back": lambda name: PolarDynamicsDisplay.from_predictions(
        {name: (T, 3 * T)}, name=name
    ),
    "distance": lambda name: KernelDistanceDisplay.from_predictions(
        np.abs(np.subtract.outer(T, T)), name=name
    ),
    "tiny distances of late steps": lambda name: KernelDistanceDisplay.from_predictions(
        1e-5 * np.abs(np.subtract.outer(T, T)), steps=10**6 * np.arange(12), vmax=1e-5, name=name
    ),
    "concentration": lambda name: ConcentrationDisplay.from_predictions(
        {name: (1e6 * T, T)}, p=20, name=name
    ),
    "training": lambda name: TrainingCurveDisplay.from_predictions(
        {"train_accuracy": T, "test_robust_accuracy": T / 2}, linearized_at=4, name=name
    ),
    "band": lambda name: EnsembleBandDisplay.from_predictions(
        1e6 * T, T, T / 2, x_train=T, y_train=T, name=name
    ),
    "risk": lambda name: RiskOverTimeDisplay.from_predictions(
        {"clean": ([*T[1:], np.inf], T), name: (T[1:], 1e6 * T[1:])}, name=name
    ),
    "usefulness": lambda name: RobustnessUsefulnessDisplay.from_predictions(
        T, T / 2, eigenvalues=np.exp(-9 * T), chance=0.5, name=name
    ),
}


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def overflow(figure):
    """Pixels by which anything drawn leaves the figure."""
    figure.canvas.draw()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    boxes += [legend.get_window_extent() for legend in figure.legends]
    left, low = min(box.x0 for box in boxes), min(box.y0 for box in boxes)
    right, high = max(box.x1 for box in boxes), max(box.y1 for box in boxes)
    return max(-left, -low, right - figure.bbox.x1, high - figure.bbox.y1)


@pytest.mark.parametrize("name", [SHORT, LONG])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_display_stays_inside_its_figure(make, name):
    assert overflow(make(name).figure_) <= 1


def test_overflow_is_noticed():
    figure, axes = plt.subplots()
    axes.set_title("x" * 500)
    assert overflow(figure) > 100


def test_robust_selection_stays_inside_its_figure():
    curves = {LONG: T, SHORT: T / 2}
    display = RobustSelectionDisplay.from_predictions(np.arange(1, 13), curves)
    assert overflow(display.figure_) <= 1


class Bars(Display):
    """A new Display: a constructor that stores, a classmethod that checks, and `_draw`."""

    def __init__(self, *, heights, name=None):
        self.heights, self.name = heights, name

    @classmethod
    def from_predictions(cls, heights, *, name=None, ax=None):
        return cls(heights=np.asarray(heights), name=name).plot(ax=ax)

    def _draw(self, ax):
        self.figure_, self.ax_ = single_axes(ax)
        self.bars_ = self.ax_.bar(np.arange(len(self.heights)), self.heights)


def test_a_new_display_is_a_few_lines():
    display = Bars.from_predictions([1, 2], name="two bars")
    assert display.ax_.get_title() == "two bars"
    assert len(display.bars_) == 2
    _, axes = plt.subplots()
    assert display.plot(ax=axes) is display
    assert display.ax_ is axes


def test_curves_are_told_apart_without_colours():
    styles = [series_style(index) for index in range(8)]
    assert len({style["marker"] for style in styles}) == 8
    assert len({style["color"] for style in styles}) == 8
