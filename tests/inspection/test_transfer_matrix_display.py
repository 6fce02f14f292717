"""What `TransferMatrixDisplay` draws."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_digits

from skntk import NTKAttack, NTKClassifier
from skntk.inspection import TransferMatrixDisplay
from skntk.transfer import transfer_matrix

ACCURACY = [[0.1, 0.25, 1.0], [0.5, 0.0, 0.75]]
NAMES = ["kernel", "network"], ["kernel", "network", "forest"]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def texts(labels):
    return [label.get_text() for label in labels]


@pytest.mark.parametrize("clean", [None, [0.9, 0.8, 0.7]])
def test_matrix_names_and_numbers(clean):
    display = TransferMatrixDisplay.from_predictions(
        ACCURACY, NAMES, clean_accuracy=clean, name="FGSM"
    )
    expected = ACCURACY if clean is None else [clean, *ACCURACY]
    np.testing.assert_array_equal(display.image_.get_array(), expected)
    assert display.image_.get_clim() == (0, 1)
    assert texts(display.ax_.get_xticklabels()) == NAMES[1]
    assert texts(display.ax_.get_yticklabels()) == ["(clean)"] * (clean is not None) + NAMES[0]
    assert texts(display.ax_.texts) == [f"{share:.2f}" for row in expected for share in row]
    assert display.ax_.get_xlabel() == "victim" and "source" in display.ax_.get_ylabel()
    assert display.figure_.axes[1].get_ylabel() == "accuracy" and display.ax_.get_title() == "FGSM"
    display.figure_.canvas.draw()
    assert display.ax_.get_tightbbox().x0 >= 0


def test_from_estimator():
    X, y = load_digits(return_X_y=True)
    X = X / 16
    models = {name: NTKClassifier(name).fit(X[:100], y[:100]) for name in ("fc1", "fc3")}
    test = X[100:130], y[100:130]
    for attack in (None, NTKAttack(None, eps=0.2)):
        display = TransferMatrixDisplay.from_estimator(models, models, *test, attack=attack)
        plain = transfer_matrix(models, models, *test, attack=attack or NTKAttack(None))
        np.testing.assert_array_equal(display.accuracy, plain.accuracy)
        np.testing.assert_array_equal(display.clean_accuracy, plain.clean_accuracy)
        assert display.names == plain.names


def test_axes_given_and_plotted_again():
    figure, axes = plt.subplots()
    display = TransferMatrixDisplay.from_predictions(ACCURACY, NAMES, ax=axes)
    assert display.ax_ is axes and display.figure_ is figure
    assert display.plot() is display and display.figure_ is not figure


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"accuracy": [0.1, 0.2]}, r"accuracy has shape \(2,\)"),
        ({"accuracy": [[0.1, 2.0]]}, r"accuracy holds 0.1 to 2.0"),
        ({"accuracy": [[np.nan]]}, "accuracy holds nan"),
        ({"names": NAMES[1]}, "names has 3 entries, but 2"),
        ({"names": NAMES[::-1]}, "names of each source has 3 entries, but 2"),
        ({"clean_accuracy": [1.0]}, "clean_accuracy has 1 entries, but 3"),
    ],
)
def test_wrong_arrays(arguments, match):
    with pytest.raises(ValueError, match=match):
        TransferMatrixDisplay.from_predictions(**{"accuracy": ACCURACY, "names": NAMES} | arguments)
    assert not plt.get_fignums()
