"""Which samples are held out, and the best number of features on them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skntk.features._held_out import ValidationCurve, split_classes


@given(
    y=st.lists(st.sampled_from("abc"), min_size=4, max_size=40),
    fraction=st.floats(1e-3, 0.999),
    random_state=st.none() | st.integers(0, 2**32 - 1),
)
def test_every_class_is_decomposed_and_most_are_held_out(y, fraction, random_state):
    y = np.array(y)
    kept, held_out = split_classes(y, fraction, random_state)
    assert_array_equal(np.sort(np.concatenate([kept, held_out])), np.arange(len(y)))
    for label, count in zip(*np.unique(y, return_counts=True), strict=True):
        n_held_out = (y[held_out] == label).sum()
        assert n_held_out < count
        assert n_held_out >= (count > 1)
        assert abs(n_held_out - fraction * count) <= 1


def test_the_last_of_each_class_are_held_out():
    kept, held_out = split_classes(np.array([0, 1] * 5), 0.4, None)
    assert held_out.tolist() == [6, 7, 8, 9]
    assert kept.tolist() == [0, 1, 2, 3, 4, 5]


def test_nothing_to_hold_out():
    with pytest.raises(ValueError, match="n_samples=3 in 3 classes leave none to rank"):
        split_classes(np.arange(3), 0.5, None)


@pytest.mark.parametrize(
    ("accuracy", "robust_accuracy", "best"),
    [
        ([0.5, 0.6, 0.7], [0.3, 0.5, 0.4], 4),
        ([0.5, 0.6, 0.7], [0.3, 0.5, 0.5], 9),
        ([0.5, 0.5, 0.5], [0.3, 0.3, 0.3], 1),
    ],
)
def test_best_number(accuracy, robust_accuracy, best):
    curve = ValidationCurve(np.array([1, 4, 9]), np.array(accuracy), np.array(robust_accuracy))
    assert curve.best() == best
