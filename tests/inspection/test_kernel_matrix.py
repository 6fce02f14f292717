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


@pytest.mark.parametrize("labels", [None, [1, 0, 1, 0]])
def test_orders_of_rows(labels):
    """Entry by entry, against the Jacobian of the network."""
    tracker = recorded([5], labels)
    params = np.random.default_rng(5).normal(size=(4, 2)) + 1
    X = np.diag([1.0, 2, 3, 4])

    def gradient(i, a):  # of output a at sample i, with respect to all parameters
        g = np.zeros((4, 2))
        g[:, a] = 2 * (X[i] @ params[:, a]) * X[i]
        return g.ravel()

    samples = range(4) if labels is None else [1, 3, 0, 2]
    rows = {
        "sample": [(i, a) for i in samples for a in range(2)],
        "output": [(i, a) for a in range(2) for i in samples],
    }
    for order, pairs in rows.items():
        J = np.array([gradient(i, a) for i, a in pairs])
        display = KernelMatrixDisplay.from_estimator(tracker, order=order, steps=[5])
        assert_drawn(display, {"step 5": J @ J.T})
    # The outputs share no parameters: all that is not 0 lies in the squares on the diagonal.
    assert not display.kernels["step 5"][:4, 4:].any()
    ax = display.ax_
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0", "1"]
    np.testing.assert_array_equal(ax.get_xticks(), [1.5, 5.5])
    assert ax.get_xlabel() == ax.get_ylabel() == "output"
    traced = KernelMatrixDisplay.from_estimator(tracker, order="trace", steps=[5])
    assert_drawn(traced, {"step 5": between_samples(tracker, 5, list(samples))})
    assert not len(traced.ax_.get_xticks())


def test_output_squares_of_a_network():
    """The claim of Fig. 15: an output's own square stands out, which the trace cannot show."""
    pytest.importorskip("flax")
    from sklearn.datasets import load_digits

    from skntk import FlaxClassifier
    from skntk.networks import TwoLayerReLU

    X, y = load_digits(n_class=3, return_X_y=True)
    X = X[:60] / 16
    tracker = KernelDynamicsTracker(X[:12], y[:12], top=1)
    network = FlaxClassifier(TwoLayerReLU(256, 3), max_epochs=1, random_state=0)
    network.set_callbacks(tracker).fit(X, y[:60])
    display = KernelMatrixDisplay.from_estimator(tracker, order="output", steps=[0])
    means = np.abs(display.kernels["step 0"]).reshape(3, 12, 3, 12).mean(axis=(1, 3))
    assert np.diag(means).min() > 3 * means[~np.eye(3, dtype=bool)].max()
    order = np.argsort(y[:12], kind="stable")
    blocks = tracker.kernel(0).reshape(12, 3, 12, 3)
    expected = np.block([[blocks[:, a, :, b][order][:, order] for b in range(3)] for a in range(3)])
    np.testing.assert_array_equal(display.kernels["step 0"], expected)


def test_many_outputs_are_not_all_numbered():
    display = KernelMatrixDisplay.from_predictions({"a": np.eye(26)}, n_outputs=26)
    numbers = [tick.get_text() for tick in display.ax_.get_xticklabels()]
    assert numbers == [str(output) for output in range(0, 26, 3)]


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
        ({"kernels": KERNELS, "n_outputs": 2}, r"n_outputs=2 .* 3 rows of kernels\['start'\]"),
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
    with pytest.raises(ValueError, match="order='outputs'"):
        KernelMatrixDisplay.from_estimator(recorded(), order="outputs")
    with pytest.raises(KeyError, match="step=5 was not recorded"):
        KernelMatrixDisplay.from_estimator(recorded(), steps=[0, 5])
    with pytest.raises(ValueError, match="kernels is empty"):
        KernelMatrixDisplay.from_estimator(recorded(), steps=[])
    assert not plt.get_fignums()
