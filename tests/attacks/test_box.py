"""The box of allowed values."""

import inspect

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skntk import (
    AdversarialTraining,
    NTKAttack,
    RobustFeatureSelector,
    SpectralFeatureDecomposer,
    inspection,
)
from skntk.attacks._box import check_clip_values
from skntk.transfer import follow_transfer

X = np.array([[0.0, 0.5], [1.0, 0.25]])


def test_none_is_no_box():
    assert check_clip_values(None, X * 1e9) is None


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("clip_values", "low", "high"),
    [
        ((0, 1), 0, 1),
        ([-1.5, 2], -1.5, 2),
        (np.array([0.0, 1.0]), 0, 1),
        ((0.0, np.array([1.0, 0.5])), 0, [1, 0.5]),
        ((np.array([[0.0], [-1.0]]), 1), [0, -1], 1),
        (np.array([[0.0, 0.25], [1.0, 0.5]]), [0, 0.25], [1, 0.5]),
    ],
)
def test_bounds(clip_values, low, high, dtype):
    bounds = check_clip_values(clip_values, X.astype(dtype))
    for bound, expected in zip(bounds, (low, high), strict=True):
        assert bound.dtype == dtype
        assert_array_equal(bound, expected)


def test_bounds_are_inclusive_in_the_precision_of_the_data():
    ones = np.full((2, 2), 0.1, np.float32)
    low, high = check_clip_values((0.1, 0.1), ones)
    assert low == high == ones[0, 0]


@pytest.mark.parametrize(
    ("clip_values", "error", "message"),
    [
        (1, ValueError, r"clip_values=1 is not a pair; give \(low, high\) or None"),
        ((0, 1, 2), ValueError, r"clip_values=\(0, 1, 2\) is not a pair"),
        ((0,), ValueError, "is not a pair"),
        ("box", ValueError, "clip_values='box' is not a pair"),
        (("0", "1"), TypeError, r"clip_values\[0\] must be a real number, got '0'"),
        ((None, 1), TypeError, r"clip_values\[0\] must be a real number, got None"),
        ((0, np.nan), ValueError, r"clip_values\[1\]=nan is out of range"),
        ((0, [1, np.nan]), ValueError, r"clip_values\[1\] must be finite"),
        ((0, [1, 1, 1]), ValueError, r"clip_values\[1\] has 3 values for 2 features"),
        ((0, ["a", "b"]), TypeError, r"clip_values\[1\] must be numeric"),
        ((1, 0), ValueError, "has a low above its high"),
        (([0, 1], [1, 0.5]), ValueError, "has a low above its high"),
        ((0.1, 1), ValueError, r"X lies in \[0, 1\], outside clip_values=\(0.1, 1\)"),
        ((0, 0.9), ValueError, "clip_values=None for no box"),
        ((0, [1, 0.4]), ValueError, "X lies in"),
    ],
)
def test_wrong_boxes(clip_values, error, message):
    with pytest.raises(error, match=message):
        check_clip_values(clip_values, X)


def test_bytes_are_to_be_divided_by_255():
    with pytest.raises(ValueError, match="divide X by 255"):
        check_clip_values((0, 1), np.array([[0.0, 255.0]]))


@pytest.mark.parametrize("largest", [1.2, 3.7, 256.0, 1e4])
def test_other_ranges_are_not_to_be_divided_by_255(largest):
    with pytest.raises(ValueError, match="pass the range of your data") as raised:
        check_clip_values((0, 1), np.array([[0.0, largest]]))
    assert "255" not in str(raised.value)


def test_dividing_by_255_must_help():
    # Bytes would not lie in this box after division either.
    with pytest.raises(ValueError) as raised:
        check_clip_values((10, 20), np.array([[0.0, 200.0]]))
    assert "255" not in str(raised.value)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_error_state_of_numpy_does_not_matter(dtype):
    X = np.array([[0.25, 0.5]], dtype)
    with np.errstate(all="raise"):
        low, high = check_clip_values((0.0, 1.0), X)
    assert (low, high) == (0, 1)


def test_the_default_box_is_the_same_everywhere():
    """But for the selector's, whose default is no box."""
    attacked = [
        NTKAttack,
        AdversarialTraining,
        SpectralFeatureDecomposer.score_features,
        follow_transfer,
        inspection.PerturbationDecompositionDisplay.from_estimator,
        inspection.RobustSelectionDisplay.from_estimator,
        inspection.RobustnessUsefulnessDisplay.from_estimator,
    ]
    for function in attacked:
        assert inspect.signature(function).parameters["clip_values"].default == (0.0, 1.0)
    assert RobustFeatureSelector().clip_values is None
