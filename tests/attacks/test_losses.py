"""Losses against the equations of the paper and against finite differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import approx_fprime

from skntk import NTKAttack, NTKClassifier
from skntk.attacks._losses import (
    LOSSES,
    TOWARD_CLASS,
    Loss,
    as_logits,
    as_output_cotangents,
)


def cross_entropy(f, y):
    """-log softmax(f)_y in extended precision (Eq. 17, 20)."""
    f = np.asarray(f, np.longdouble)
    return -np.log(np.exp(f - f.max())[y] / np.exp(f - f.max()).sum())


def margin(f, y):
    return max(value for r, value in enumerate(f) if r != y) - f[y]


def sum_of_differences(f, y):
    return sum(value - f[y] for r, value in enumerate(f) if r != y)


def dlr(f, y):
    """Croce and Hein 2020, Eq. 6; with two classes the margin."""
    ranked = sorted(f)[::-1]
    return margin(f, y) / (ranked[0] - ranked[2]) if len(f) > 2 else margin(f, y)


VALUES = {
    "cross_entropy": cross_entropy,
    "linear": margin,
    "max_l1": margin,
    "max_l1_offset": margin,
    "sum_delta": sum_of_differences,
    "margin": margin,
    "dlr": dlr,
}
#: Without "dlr", which is the same for all logits that differ by a positive factor.
SCALED = [name for name in VALUES if name != "dlr"]


@st.composite
def logits_and_labels(draw, scale=5.0):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    k = draw(st.integers(2, 5))
    return rng.uniform(-scale, scale, (4, k)), rng.integers(k, size=4)


def test_every_loss_is_here():
    assert set(LOSSES) == set(VALUES)
    assert [name for name, loss in LOSSES.items() if loss.label_free] == ["linear"]


@pytest.mark.parametrize(
    "name", ["linear", "max_l1", "max_l1_offset", "sum_delta", "margin", "dlr"]
)
@given(logits_and_labels())
def test_value_is_the_equation(name, problem):
    logits, labels = problem
    expected = [VALUES[name](f, y) for f, y in zip(logits, labels, strict=True)]
    np.testing.assert_allclose(LOSSES[name].values(logits, labels), expected, rtol=1e-12, atol=1e-9)


@given(logits_and_labels())
def test_value_orders_points_as_the_cross_entropy_does(problem):
    """An increasing function of it will do: only comparisons are made."""
    logits, labels = problem
    expected = np.array([cross_entropy(f, y) for f, y in zip(logits, labels, strict=True)])
    values = LOSSES["cross_entropy"].values(logits, labels)
    np.testing.assert_array_equal(np.argsort(values), np.argsort(expected))


@pytest.mark.parametrize("name", ["cross_entropy", "linear", "sum_delta", "margin", "dlr"])
@given(logits_and_labels())
def test_cotangent_points_along_the_gradient_of_the_value(name, problem):
    logits, labels = problem
    [cotangents] = LOSSES[name].cotangents(logits, labels)
    for f, y, cotangent in zip(logits, labels, cotangents, strict=True):
        if name == "dlr" and len(f) > 2 and y == np.argsort(f)[-3]:
            assert not cotangent.any()  # the quotient is 1, whatever the outputs
            continue
        gradient = approx_fprime(f, VALUES[name], 1e-7, y)
        # A positive factor is free; none may vanish.
        cosine = gradient @ cotangent / np.linalg.norm(gradient) / np.linalg.norm(cotangent)
        assert cosine > 1 - 1e-4


@given(logits_and_labels())
def test_cross_entropy_cotangent_is_softmax_minus_onehot_over_the_odds(problem):
    logits, labels = problem
    [cotangents] = LOSSES["cross_entropy"].cotangents(logits, labels)
    onehot = np.eye(logits.shape[1])[labels]
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wrong = (softmax * (1 - onehot)).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(cotangents * wrong, softmax - onehot, rtol=1e-10, atol=1e-12)


@given(logits_and_labels())
def test_max_l1_offers_the_difference_to_each_other_class_once(problem):
    logits, labels = problem
    k = logits.shape[1]
    candidates = LOSSES["max_l1"].cotangents(logits, labels)
    assert candidates.shape == (k - 1, *logits.shape)
    for i, y in enumerate(labels):
        expected = {tuple(np.eye(k)[r] - np.eye(k)[y]) for r in range(k) if r != y}
        assert {tuple(candidate) for candidate in candidates[:, i]} == expected


@given(logits_and_labels())
def test_sum_delta_cotangent_is_the_sum_of_those_of_max_l1(problem):
    logits, labels = problem
    [cotangents] = LOSSES["sum_delta"].cotangents(logits, labels)
    np.testing.assert_array_equal(cotangents, LOSSES["max_l1"].cotangents(logits, labels).sum(0))


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("sign", [-1, 1])
def test_binary_direction_is_minus_the_label(name, sign):
    """Eq. 17-19 and 23-31: every loss pushes a single output against its label."""
    outputs = np.array([[0.3], [-2.0], [1e3], [-1e3], [0.0]])
    labels = np.full(5, (sign + 1) // 2)
    cotangents = LOSSES[name].cotangents(as_logits(outputs), labels)
    pulled = as_output_cotangents(cotangents, 1)
    assert pulled.shape == (1, 5, 1)
    assert (np.sign(pulled) == -sign).all()


@pytest.mark.parametrize("name", SCALED)
@pytest.mark.parametrize("size", [1e3, 1e6])
def test_saturated_outputs_keep_a_cotangent_of_ordinary_size(name, size):
    logits = size * np.array([[1.0, 0.0, -1.0], [-1.0, 1.0, 0.0], [0.5, 0.5, -1.0]])
    for y in range(3):
        cotangents = LOSSES[name].cotangents(logits, np.full(3, y))
        assert np.isfinite(cotangents).all()
        assert (np.abs(cotangents).max(axis=-1) >= 0.1).all()


@pytest.mark.parametrize("name", SCALED)
@pytest.mark.parametrize("size", [1.0, 1e2, 1e3, 1e4])
def test_value_tells_saturated_outputs_apart(name, size):
    """The attack keeps the larger value, so a step toward the boundary must raise it."""
    values = LOSSES[name].values(size * np.array([[1.0, 0, 0], [0.9, 0, 0]]), np.array([0, 0]))
    assert np.isfinite(values).all()
    assert values[1] > values[0]


def test_cotangent_of_a_confident_sample_favours_the_runner_up():
    """Naively softmax - onehot is exactly 0 here."""
    [cotangent] = LOSSES["cross_entropy"].cotangents(np.array([[1e3, 10.0, 0.0]]), np.array([0]))
    np.testing.assert_allclose(cotangent, [[-1, 1 / (1 + np.exp(-10)), 1 / (1 + np.exp(10))]])


@given(logits_and_labels())
def test_two_logits_are_one_output(problem):
    """The pair (-f/2, f/2) has sigmoid(f) as softmax; pulling back is its transpose."""
    outputs = problem[0][:, :1]
    logits = as_logits(outputs)
    sigmoid = 1 / (1 + np.exp(-outputs[:, 0]))
    softmax = np.exp(logits[:, 1]) / np.exp(logits).sum(axis=1)
    np.testing.assert_allclose(softmax, sigmoid, rtol=1e-13)
    cotangents = np.stack([problem[0][:, 0], problem[0][:, 1]], axis=1)
    np.testing.assert_allclose(
        (cotangents * logits).sum(), (as_output_cotangents(cotangents, 1) * outputs).sum()
    )


def test_outputs_of_several_classes_are_their_own_logits():
    outputs = np.arange(6, dtype=np.float32).reshape(2, 3)
    logits = as_logits(outputs)
    assert logits.dtype == np.float64
    np.testing.assert_array_equal(logits, outputs)
    np.testing.assert_array_equal(as_output_cotangents(logits, 3), logits)


def test_a_new_loss_is_two_functions_and_a_line_in_the_table(monkeypatch):
    """Its name is then an option of the attack, with all that holds for the others."""

    def values(logits, labels):
        return -np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]

    def cotangents(logits, labels):
        return -np.eye(logits.shape[1])[labels][None]

    monkeypatch.setitem(LOSSES, "label_only", Loss(values, cotangents))
    rng = np.random.default_rng(0)
    X, y = rng.uniform(0.2, 0.8, (40, 5)), np.arange(40) % 3
    clf = NTKClassifier("fc1").fit(X, y)
    fgsm, pgd = (
        NTKAttack(clf, eps=0.1, loss="label_only", method=method).generate(X, y)
        for method in ("fgsm", "pgd")
    )
    clean, one, many = (
        np.take_along_axis(clf.decision_function(points), y[:, None], axis=1)
        for points in (X, fgsm, pgd)
    )
    right = clf.predict(pgd) == y
    assert (one[right] < clean[right]).all() and (many[right] <= one[right]).all()
    assert np.abs(pgd - X).max() <= 0.1 + 1e-12


@given(logits_and_labels())
def test_the_margin_to_a_class_is_its_output_less_that_of_the_label(problem):
    logits, labels = problem
    others = (labels + 1) % logits.shape[1]
    pairs = np.stack([labels, others], axis=1)
    rows = np.arange(len(labels))
    np.testing.assert_array_equal(
        TOWARD_CLASS.values(logits, pairs), logits[rows, others] - logits[rows, labels]
    )
    [cotangents] = TOWARD_CLASS.cotangents(logits, pairs)
    np.testing.assert_array_equal(
        (cotangents * logits).sum(axis=1), TOWARD_CLASS.values(logits, pairs)
    )


def test_dlr_of_equal_outputs_is_finite():
    logits, labels = np.zeros((1, 4)), np.array([2])
    assert LOSSES["dlr"].values(logits, labels) == 0
    [cotangent] = LOSSES["dlr"].cotangents(logits, labels)
    np.testing.assert_array_equal(cotangent, [[1, 0, -1, 0]])
