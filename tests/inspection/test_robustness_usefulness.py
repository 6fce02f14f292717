"""Features as dots in the plane of robustness and usefulness."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError

from skntk import SpectralFeatureDecomposer
from skntk.inspection import RobustnessUsefulnessDisplay
from skntk.kernels import FullyConnectedNTK

from_predictions = RobustnessUsefulnessDisplay.from_predictions


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    X, y = rng.uniform(size=(24, 16)), np.array([0, 0, 1] * 8)
    return SpectralFeatureDecomposer("fc1", n_components=6).fit(X, y), X, y


def test_from_estimator(problem):
    decomposer, X, y = problem
    options = {"eps": 0.2, "norm": 2, "clip_values": None, "components": [4, 0, 2]}
    display = RobustnessUsefulnessDisplay.from_estimator(decomposer, X, y, **options)
    scores = decomposer.score_features(X, y, **options)
    assert_array_equal(display.usefulness, scores.usefulness)
    assert_array_equal(display.robustness, scores.robustness)
    assert_array_equal(display.eigenvalues, decomposer.eigenvalues_[[4, 0, 2]])
    assert display.chance == pytest.approx(2 / 3)
    assert display.ax_.get_title() == "fc1"
    # Across: robustness; up: usefulness; largest eigenvalue first.
    offsets = np.stack([scores.robustness, scores.usefulness], axis=1)
    assert_array_equal(display.scatter_.get_offsets(), offsets[[1, 2, 0]])


def test_options_of_from_estimator(problem):
    decomposer, X, y = problem
    display = RobustnessUsefulnessDisplay.from_estimator(decomposer, X, y, eps=0.1, name="mine")
    assert display.ax_.get_title() == "mine"
    assert len(display.usefulness) == 6
    with pytest.raises(ValueError, match="outside clip_values"):
        RobustnessUsefulnessDisplay.from_estimator(
            decomposer, X, y, eps=0.1, clip_values=(0.4, 0.5)
        )
    with pytest.raises(ValueError, match="components="):
        RobustnessUsefulnessDisplay.from_estimator(decomposer, X, y, eps=0.1, components=[6])
    with pytest.raises(NotFittedError):
        RobustnessUsefulnessDisplay.from_estimator(SpectralFeatureDecomposer(), X, y, eps=0.1)


def test_a_kernel_object_makes_no_title(problem):
    _, X, y = problem
    decomposer = SpectralFeatureDecomposer(FullyConnectedNTK(1), n_components=2).fit(X, y)
    display = RobustnessUsefulnessDisplay.from_estimator(decomposer, X, y, eps=0.1)
    assert display.ax_.get_title() == ""


def test_one_component_as_a_number(problem):
    decomposer, X, y = problem
    display = RobustnessUsefulnessDisplay.from_estimator(decomposer, X, y, eps=0.1, components=2)
    assert len(display.scatter_.get_offsets()) == 1


def test_eigenvalues_are_size_and_colour():
    eigenvalues = [1.0, 100.0, 10.0, 1000.0]
    display = from_predictions([0.5, 0.6, 0.7, 0.8], [0.1, 0.2, 0.3, 0.4], eigenvalues=eigenvalues)
    scatter = display.scatter_
    # Largest first, so that small dots lie on top of large ones.
    assert_allclose(scatter.get_offsets()[:, 0], [0.4, 0.2, 0.3, 0.1])
    sizes, colours = scatter.get_sizes(), scatter.get_array()
    assert (np.diff(sizes) < 0).all()
    assert (np.diff(colours) < 0).all()
    # In logarithms equal factors are equal steps.
    assert_allclose(colours, [1, 2 / 3, 1 / 3, 0], atol=1e-12)
    scatter.update_scalarmappable()
    brightness = scatter.get_facecolors()[:, :3].mean(axis=1)
    assert (np.diff(brightness) > 0).all()


@pytest.mark.parametrize("eigenvalues", [None, [0.0, 0.0], [3.0, 3.0]])
def test_equal_eigenvalues_make_equal_dots(eigenvalues):
    scatter = from_predictions([0.5, 0.6], [0.1, 0.2], eigenvalues=eigenvalues).scatter_
    assert len(np.unique(scatter.get_sizes())) == 1
    assert len(np.unique(scatter.get_array())) == 1
    assert (scatter.get_sizes() > 0).all()


def test_eigenvalues_lost_to_rounding_are_the_smallest():
    scatter = from_predictions([0.5] * 3, [0.1] * 3, eigenvalues=[10.0, 0.0, 1.0]).scatter_
    assert np.isfinite(scatter.get_sizes()).all()
    assert_allclose(scatter.get_array(), [1, 0, 0])


def test_every_dot_is_on_the_picture():
    display = from_predictions([0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0])
    (left, right), (bottom, top) = display.ax_.get_xlim(), display.ax_.get_ylim()
    assert left <= 0 <= 1 <= right
    assert bottom <= 0 <= 1 <= top
    assert display.ax_.get_xlabel() == "robustness"
    assert display.ax_.get_ylabel() == "usefulness"


def test_line_of_chance():
    axes = from_predictions([0.5], [0.1], chance=0.7).ax_
    assert_allclose(axes.lines[0].get_ydata(), 0.7)
    assert not from_predictions([0.5], [0.1]).ax_.lines


def test_given_axes(problem):
    decomposer, X, y = problem
    figure, (left, right) = plt.subplots(1, 2)
    display = RobustnessUsefulnessDisplay.from_estimator(decomposer, X, y, eps=0.1, ax=right)
    assert display.ax_ is right
    assert display.figure_ is figure
    assert not left.collections
    assert plt.get_fignums() == [figure.number]
    again = display.plot(ax=left)
    assert again is display
    assert display.ax_ is left
    assert plt.get_fignums() == [figure.number]


def test_plot_again_makes_a_new_figure():
    display = from_predictions([0.5], [0.1])
    first = display.figure_
    display.plot(marker="s", alpha=0.5)
    assert display.figure_ is not first
    assert display.scatter_.get_alpha() == 0.5
    display.figure_.canvas.draw()


@pytest.mark.parametrize(
    ("usefulness", "robustness", "eigenvalues"),
    [
        ([0.1, 0.2], [0.3], None),
        ([0.1], [0.3, 0.2], None),
        ([0.1, 0.2], [0.3, 0.2], [1.0]),
        ([0.1, 0.2], [0.3, 0.2], [1.0, 2.0, 3.0]),
    ],
)
def test_lengths_must_match(usefulness, robustness, eigenvalues):
    with pytest.raises(ValueError, match="usefulness"):
        from_predictions(usefulness, robustness, eigenvalues=eigenvalues)
    assert plt.get_fignums() == []


def test_colours_sizes_and_shading_are_explained():
    values = np.array([100.0, 1.0, 0.01])
    display = RobustnessUsefulnessDisplay.from_predictions(
        [0.9, 0.6, 0.4], [0.5, 0.3, 0.1], eigenvalues=values, chance=0.5
    )
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["most frequent class", "useful"]
    (bar,) = (axes for axes in display.figure_.axes if axes is not display.ax_)
    assert "eigenvalue" in bar.get_ylabel()
    ticks = [float(label.get_text()) for label in bar.get_yticklabels()]
    assert (ticks[0], ticks[-1]) == (0.01, 100)


def test_given_axes_are_not_shared_with_a_colour_bar():
    figure, ax = plt.subplots()
    RobustnessUsefulnessDisplay.from_predictions([0.9], [0.5], eigenvalues=[1.0], ax=ax)
    RobustnessUsefulnessDisplay.from_predictions([0.9, 0.1], [0.5, 0], eigenvalues=[1, 2], ax=ax)
    assert figure.axes == [ax]


@pytest.mark.parametrize("frame", [False, True])
def test_scores_on_one_class(frame):
    X, y = load_digits(n_class=3, return_X_y=True)
    X = pd.DataFrame(X / 16).add_prefix("pixel") if frame else X / 16
    decomposer = SpectralFeatureDecomposer("fc1", n_components=5).fit(X[:60], y[:60])
    X, y = X[60:120], y[60:120]
    display = RobustnessUsefulnessDisplay.from_estimator(decomposer, X, y, eps=0.1, label=2)
    outputs = decomposer.feature_outputs(X)[y == 2]
    assert_allclose(display.usefulness, (outputs.argmax(axis=2) == 2).mean(axis=0))
    scores = decomposer.score_features(X[y == 2], y[y == 2], eps=0.1)
    assert_array_equal(display.robustness, scores.robustness)
    assert display.chance == pytest.approx(1 / 3)
    assert display.ax_.get_ylabel() == "usefulness for class 2"
    assert display.ax_.get_legend().get_texts()[0].get_text() == "guess at random"
    with pytest.raises(ValueError, match="label=7 is not in y"):
        RobustnessUsefulnessDisplay.from_estimator(decomposer, X, y, eps=0.1, label=7)


PLANE = {
    "usefulness": [0.9, 0.5, 0.7, 0.8, 0.3, 0.95],
    "robustness": [0.6, 0.4, 0.1, 0.5, 0.3, 0.7],
    "chance": 0.5,
}


def test_features_are_found_by_where_they_lie():
    display = from_predictions(**PLANE)
    # The second is no better than chance; the fourth is useful, but not above chance any more.
    assert_array_equal(display.find(), [2, 3])
    assert_array_equal(display.find("robust"), [5, 0])
    assert_array_equal(display.find(n_features=1), [2])
    named = from_predictions(**PLANE, components=[10, 20, 30, 40, 50, 60])
    assert_array_equal(named.find(), [30, 40])
    nothing = from_predictions([0.4], [0.1], chance=0.5)
    assert nothing.find().shape == (0,)


def test_marks_and_boxes():
    display = from_predictions(**PLANE, components=[1, 2, 3, 4, 5, 6], marked=[3, 6], boxes=True)
    ax = display.ax_
    assert [text.get_text() for text in ax.texts] == ["3", "6"]
    _, rings = ax.collections
    assert_array_equal(rings.get_offsets(), [(0.1, 0.7), (0.7, 0.95)])
    _, robust, rest = ax.lines
    for box, name, inside, outside in (
        (robust, "useful, robust", (0.7, 0.95), (0.1, 0.7)),
        (rest, "useful, not robust", (0.1, 0.7), (0.7, 0.95)),
    ):
        assert box.get_label() == name
        (x0, x1), (y0, y1) = ((v.min(), v.max()) for v in np.transpose(box.get_xydata()))
        assert x0 < inside[0] < x1 and y0 < inside[1] < y1
        assert not x0 < outside[0] < x1
    assert robust.get_linestyle() != rest.get_linestyle()
    display.figure_.canvas.draw()


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"marked": [6]}, ValueError, r"marked=\[6\] must be among"),
        ({"components": [1, 2]}, ValueError, "components has 2 entries, but 6"),
        ({"chance": None, "boxes": True}, ValueError, "boxes=True needs chance"),
    ],
)
def test_wrong_marks(arguments, error, match):
    with pytest.raises(error, match=match):
        from_predictions(**PLANE | arguments)
    assert not plt.get_fignums()


def test_what_cannot_be_found():
    display = from_predictions(**PLANE)
    with pytest.raises(ValueError, match=r"kind='useless'.*not_robust"):
        display.find("useless")
    with pytest.raises(ValueError, match="n_features=0"):
        display.find(n_features=0)
    with pytest.raises(ValueError, match="chance=None"):
        from_predictions([0.5], [0.1]).find()
