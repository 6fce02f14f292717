"""What `TrainingCurveDisplay` draws."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")

from sklearn.exceptions import NotFittedError

from skntk import AdversarialTraining, FlaxClassifier
from skntk.inspection import TrainingCurveDisplay
from skntk.networks import TwoLayerReLU

HISTORY = {
    "loss": [0.7, 0.6, 0.5],
    "train_accuracy": [0.5, 0.7, 0.9],
    "test_accuracy": [0.5, 0.6, 0.8],
    "train_robust_accuracy": [0.2, 0.3, 0.4],
    "test_robust_accuracy": [0.1, 0.2, 0.3],
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def vertical_lines(ax):
    return [line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1]


def test_every_accuracy_is_drawn_by_epoch():
    display = TrainingCurveDisplay.from_predictions(HISTORY, name="PGD-7")
    assert set(display.lines_) == set(HISTORY) - {"loss"}
    for key, line in display.lines_.items():
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_array_equal(line.get_ydata(), HISTORY[key])
        assert line.axes is display.ax_
    looks = {(line.get_color(), line.get_linestyle()) for line in display.lines_.values()}
    assert len(looks) == 4
    assert len({text.get_text() for text in display.ax_.get_legend().get_texts()}) == 4
    assert display.ax_.get_title() == "PGD-7"
    assert display.ax_.get_xlabel() == "epoch" and display.ax_.get_ylabel() == "accuracy"
    assert display.ax_.figure is display.figure_
    assert vertical_lines(display.ax_) == []


def test_some_of_the_accuracies_do():
    display = TrainingCurveDisplay.from_predictions({"test_accuracy": [0.2, 0.4]})
    assert list(display.lines_) == ["test_accuracy"]
    assert display.ax_.get_title() == ""


@pytest.mark.parametrize("epoch", [0, 2])
def test_epoch_of_linearisation_is_marked(epoch):
    display = TrainingCurveDisplay.from_predictions(HISTORY, linearized_at=epoch)
    assert vertical_lines(display.ax_) == [epoch]


def test_no_accuracy_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match="X_val"):
        TrainingCurveDisplay.from_predictions({"loss": [1.0]})


def test_axes_given_and_plot_again():
    figure, axes = plt.subplots(1, 2)
    display = TrainingCurveDisplay.from_predictions(HISTORY, ax=axes[1])
    assert display.ax_ is axes[1] and display.figure_ is figure
    assert display.plot() is display and display.figure_ is not figure


def test_constructed_from_a_history_as_it_is():
    clf_history = {key: np.asarray(values) for key, values in HISTORY.items()}
    display = TrainingCurveDisplay(history=clf_history).plot()
    assert set(display.lines_) == set(HISTORY) - {"loss"}


def data():
    X = np.random.default_rng(0).uniform(size=(20, 4))
    return X, (X[:, 0] > X[:, 1]).astype(int)


def test_from_estimator_draws_its_history():
    X, y = data()
    clf = FlaxClassifier(
        TwoLayerReLU(8),
        max_epochs=3,
        linearize_at=1,
        adversary=AdversarialTraining(0.05, method="fgsm"),
        random_state=0,
    ).fit(X, y, X[:10], y[:10])
    display = TrainingCurveDisplay.from_estimator(clf, name="run")
    assert set(display.lines_) == set(HISTORY) - {"loss"}
    for key, line in display.lines_.items():
        np.testing.assert_array_equal(line.get_ydata(), clf.history_[key])
    assert vertical_lines(display.ax_) == [1]
    assert display.ax_.get_title() == "run"


def test_from_estimator_fitted_without_validation_samples():
    clf = FlaxClassifier(TwoLayerReLU(8), max_epochs=1, random_state=0).fit(*data())
    with pytest.raises(ValueError, match="X_val"):
        TrainingCurveDisplay.from_estimator(clf)


def test_from_estimator_not_fitted():
    with pytest.raises(NotFittedError):
        TrainingCurveDisplay.from_estimator(FlaxClassifier(TwoLayerReLU(8)))
