"""A Display that is given nothing to draw says so, by the name of the argument."""

import numpy as np
import pytest

from skntk import inspection

NONE = np.array([])

#: Arguments of `from_predictions`, and what is said of them.
EMPTY = {
    "AdversarialExamplesDisplay": [((NONE, NONE), "X has shape")],
    "ConcentrationDisplay": [(({},), "curves is empty"), (({"a": ([], [])},), r"curves\['a'\]")],
    "EnsembleBandDisplay": [((NONE, NONE, NONE), "x ")],
    "FeatureGradientDisplay": [((NONE,), "gradients has shape")],
    "KernelDistanceDisplay": [((np.empty((0, 0)),), "distances has shape")],
    "KernelMatrixDisplay": [
        (({},), "kernels is empty"),
        (({"a": np.empty((0, 0))},), r"kernels\['a'\] has shape"),
        ((NONE,), "kernels must be a mapping"),
    ],
    "KernelNormDisplay": [(({},), "curves is empty")],
    "LossGradientDisplay": [((NONE,), "gradients has shape")],
    "PerturbationDecompositionDisplay": [((NONE, NONE), "image has 0 values")],
    "PolarDynamicsDisplay": [(({},), "curves is empty"), ((NONE,), "curves must be a mapping")],
    "RiskOverTimeDisplay": [(({},), "curves is empty")],
    "RobustAccuracyDisplay": [(({},), "curves is empty"), (({"a": ([], [])},), r"curves\['a'\]")],
    "RobustSelectionDisplay": [
        ((NONE, {}), "leave nothing to draw"),
        ((NONE, {"a": NONE}), "leave nothing to draw"),
        (([1], [0.5]), "curves must be a mapping"),
    ],
    "RobustnessUsefulnessDisplay": [
        ((NONE, NONE), "usefulness is empty"),
        (([], []), "usefulness is empty"),
        (({}, {}), "usefulness must be a vector of numbers"),
    ],
    "TrainingCurveDisplay": [(({},), "history=.* has no accuracy")],
    "TransferDisplay": [(({},), "curves is empty")],
    "TransferMatrixDisplay": [((np.empty((0, 0)), ([], [])), "accuracy has shape")],
}


def test_no_display_is_left_out():
    assert set(EMPTY) == set(inspection.__all__)


@pytest.mark.parametrize(
    "name, arguments, message",
    [(name, *case) for name, cases in EMPTY.items() for case in cases],
)
def test_nothing_to_draw(name, arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        # One Display takes more by name.
        more = {"total": NONE, "parts": NONE} if name.startswith("Perturbation") else {}
        getattr(inspection, name).from_predictions(*arguments, **more)
