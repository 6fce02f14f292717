"""What `TransferDisplay` draws."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")


from skntk import FlaxClassifier, NTKClassifier
from skntk.inspection import TransferDisplay
from skntk.networks import TwoLayerReLU
from skntk.transfer import follow_transfer

CURVE = {
    "epochs": [1, 10, 100],
    "cosine": [0.3, 0.8, 0.9],
    "accuracy": [0.6, 0.7, 0.8],
    "own_robust_accuracy": [0.3, 0.2, 0.1],
    "transfer_robust_accuracy": [0.4, 0.25, 0.15],
}
ACCURACIES = ["accuracy", "own_robust_accuracy", "transfer_robust_accuracy"]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_every_curve_is_drawn_where_it_belongs():
    other = {key: np.asarray(values) / 2 for key, values in CURVE.items()}
    curves = {"narrow": other, "wide": CURVE}
    display = TransferDisplay.from_predictions(curves)
    assert isinstance(display, TransferDisplay)
    above, below = display.axes_.ravel()
    assert display.ax_ is above and above.figure is display.figure_
    assert len(above.lines) == 2 and len(below.lines) == 6
    for k, (name, curve) in enumerate(curves.items()):
        np.testing.assert_array_equal(above.lines[k].get_xdata(), curve["epochs"])
        np.testing.assert_array_equal(above.lines[k].get_ydata(), curve["cosine"])
        assert above.lines[k].get_label() == name
        for line, key in zip(below.lines[3 * k : 3 * k + 3], ACCURACIES, strict=True):
            np.testing.assert_array_equal(line.get_ydata(), curve[key])
            assert line.get_color() == above.lines[k].get_color()
            assert name in line.get_label()
    labels = [text.get_text() for text in below.get_legend().get_texts()]
    assert len(set(labels)) == 6
    assert above.get_ylabel() and below.get_ylabel() and below.get_xlabel()
    display.figure_.canvas.draw()


def test_bands_reach_from_the_lowest_to_the_highest_seed():
    runs = [
        {key: np.asarray(values) * factor for key, values in CURVE.items()}
        for factor in (1, 0.5, 0.8)
    ]
    runs = [run | {"epochs": CURVE["epochs"]} for run in runs]
    display = TransferDisplay.from_predictions({"wide": CURVE | {"runs": runs}, "narrow": CURVE})
    above, below = display.axes_.ravel()
    assert [line.get_label() for line in above.lines] == ["wide (3 seeds)", "narrow"]
    for bands, keys in ((above.collections, ["cosine"]), (below.collections, ACCURACIES)):
        assert len(bands) == len(keys)
        for band, key in zip(bands, keys, strict=True):
            corners = {tuple(corner) for corner in band.get_paths()[0].vertices}
            values = np.asarray(CURVE[key])
            for factor in (0.5, 1):
                assert {*zip(CURVE["epochs"], factor * values, strict=True)} <= corners
    display.figure_.canvas.draw()


def test_styles_tell_the_accuracies_apart():
    below = TransferDisplay.from_predictions({"a": CURVE}).axes_[1, 0]
    assert len({line.get_linestyle() for line in below.lines}) == 3


@pytest.mark.parametrize("kind", ["two", "one"])
def test_axes_given(kind):
    figure, axes = plt.subplots(*((2, 1) if kind == "two" else (1, 1)))
    size = figure.get_size_inches().tolist()
    display = TransferDisplay.from_predictions({"a": CURVE}, ax=axes)
    assert display.figure_ is figure and figure.get_size_inches().tolist() == size
    if kind == "two":
        assert list(display.axes_.ravel()) == list(axes)


@pytest.mark.parametrize(
    "curves, error, message",
    [
        ({}, ValueError, "curves is empty"),
        (CURVE, TypeError, "mapping from names to results of follow_transfer"),
        ([CURVE], TypeError, "mapping from names to results of follow_transfer"),
        ({"a": {"epochs": [1]}}, ValueError, r"curves\['a'\] lacks cosine, accuracy, own"),
        ({"a": CURVE | {"cosine": [0.1]}}, ValueError, r"'cosine': \(1,\).*one length"),
        ({"a": CURVE | {"runs": []}}, ValueError, r"\['runs'\] is empty"),
        ({"a": CURVE | {"runs": [{}]}}, ValueError, r"\['runs'\]\[0\] lacks epochs"),
        (
            {"a": CURVE | {"runs": [{key: [1] for key in CURVE}]}},
            ValueError,
            r"\['runs'\]\[0\] has 1 epochs; give 3",
        ),
        ({"a": {key: [] for key in CURVE}}, ValueError, "give vectors of one length"),
    ],
)
def test_curves_that_cannot_be_drawn(curves, error, message):
    with pytest.raises(error, match=message):
        TransferDisplay.from_predictions(curves)


def test_no_network_is_followed():
    with pytest.raises(ValueError, match="network is an empty mapping"):
        TransferDisplay.from_estimator({}, NTKClassifier(), epochs=[1])


def test_three_axes_are_refused():
    axes = plt.subplots(3, 1)[1]
    with pytest.raises(ValueError, match="3 axes"):
        TransferDisplay.from_predictions({"a": CURVE}, ax=axes)


def test_plot_again_draws_a_new_figure():
    display = TransferDisplay.from_predictions({"a": CURVE})
    first = display.figure_
    assert display.plot() is display and display.figure_ is not first


@pytest.mark.parametrize("mapping", [False, True])
def test_from_estimator_follows_and_draws(mapping):
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(20, 4))
    y = (X[:, 0] > X[:, 1]).astype(int)
    network = FlaxClassifier(
        TwoLayerReLU(16),
        loss="squared_error",
        learning_rate=0.1,
        batch_size=None,
        centered=True,
        random_state=0,
    )
    kernel = NTKClassifier("two_layer", solver="eigh")
    display = TransferDisplay.from_estimator(
        {"w16": network} if mapping else network, kernel, X, y, X, y, epochs=[1, 4], eps=0.05
    )
    expected = follow_transfer(network, kernel, X, y, X, y, epochs=[1, 4], eps=0.05)
    (name,) = display.curves
    assert name == ("w16" if mapping else "network")
    np.testing.assert_array_equal(display.ax_.lines[0].get_ydata(), expected.cosine)
    for line, key in zip(display.axes_[1, 0].lines, ACCURACIES, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), expected[key])
