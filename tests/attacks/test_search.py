"""The attack loop on a small network whose gradient is written out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skntk.attacks._balls import make_ball
from skntk.attacks._losses import LOSSES, as_logits
from skntk.attacks._search import BestIterate, Objective, ascend

LABELLED = [name for name, loss in LOSSES.items() if not loss.label_free]


class Tanh:
    """f(x) = tanh(x W) V, which remembers every point it is asked about."""

    def __init__(self, rng, d, k):
        self.W, self.V = rng.standard_normal((d, 6)), rng.standard_normal((6, k))
        self.asked = []

    def outputs(self, X):
        self.asked.append(X.copy())
        return np.tanh(X @ self.W) @ self.V

    def linearize(self, X):
        outputs = self.outputs(X)
        slope = 1 - np.tanh(X @ self.W) ** 2
        return outputs, lambda c: (c @ self.V.T * slope) @ self.W.T


@st.composite
def networks(draw):
    """A network, points, and labels of its one (binary) or more outputs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    d, k = draw(st.integers(2, 4)), draw(st.sampled_from([1, 3, 4]))
    return Tanh(rng, d, k), rng.random((5, d)), rng.integers(max(k, 2), size=5)


def l2_norm(gradient):
    return np.linalg.norm(gradient, axis=-1)


def new_best(model, X, labels, loss="cross_entropy", targeted=False):
    return BestIterate(X, model.outputs(X), Objective(LOSSES[loss], labels, targeted), labels)


@given(
    problem=networks(),
    loss=st.sampled_from(["cross_entropy", "sum_delta"]),
    targeted=st.booleans(),
)
def test_gradient_is_that_of_the_objective(problem, loss, targeted):
    """Along every axis, against central differences; losses are free up to a factor."""
    model, X, labels = problem
    objective = Objective(LOSSES[loss], labels, targeted)
    gradient = objective.gradient(*model.linearize(X), l2_norm)
    h = 1e-5
    slope = [
        objective.values(model.outputs(X + step)) - objective.values(model.outputs(X - step))
        for step in h * np.eye(X.shape[1])
    ]
    slope = np.stack(slope, axis=1) / (2 * h)
    cosine = (gradient * slope).sum(axis=1) / l2_norm(gradient) / l2_norm(slope)
    # At logits this small the factor dropped is of order one, so neither norm vanishes.
    assert (cosine > 1 - 1e-6).all()


@given(problem=networks(), norm=st.sampled_from([np.inf, 2]))
def test_max_l1_follows_the_class_of_largest_dual_norm(problem, norm):
    """Eq. 33, by brute force over all other classes."""
    model, X, labels = problem
    outputs, pullback = model.linearize(X)
    dual = make_ball(norm, X, 1.0, None).dual_norm
    gradient = Objective(LOSSES["max_l1"], labels, False).gradient(outputs, pullback, dual)
    order = {np.inf: 1, 2: 2}[norm]
    for i, y in enumerate(labels):
        if outputs.shape[1] == 1:
            differences = [(1 - 2 * y) * pullback(np.ones_like(outputs))[i]]
        else:
            z = [pullback(np.tile(e, (len(X), 1)))[i] for e in np.eye(outputs.shape[1])]
            differences = [z[r] - z[y] for r in range(len(z)) if r != y]
        best = max(differences, key=lambda z: np.linalg.norm(z, order))
        np.testing.assert_allclose(gradient[i], best, rtol=1e-9, atol=1e-12)


@given(
    problem=networks(),
    loss=st.sampled_from(LABELLED),
    targeted=st.booleans(),
    norm=st.sampled_from([np.inf, 2]),
)
def test_the_best_iterate_is_kept(problem, loss, targeted, norm):
    """Of all points the model was asked about, none is better."""
    model, X, labels = problem
    best = new_best(model, X, labels, loss, targeted)
    ball = make_ball(norm, X, 0.4, (0.0, 1.0))
    ascend(model, ball, X, best, step_size=0.15, n_steps=4)
    for points in list(model.asked):
        other = BestIterate(points, model.outputs(points), best.objective, labels)
        # A larger objective may be left where taking it would undo a success.
        assert ((other.values <= best.values) | (best.success & ~other.success)).all()
    np.testing.assert_array_equal(best.objective.values(model.outputs(best.points)), best.values)
    np.testing.assert_array_equal(best.outputs, model.outputs(best.points))


def test_a_known_linearization_saves_one_evaluation():
    rng = np.random.default_rng(0)
    model, X, labels = Tanh(rng, 3, 3), rng.random((5, 3)), np.array([0, 1, 2, 0, 1])
    runs = []
    for linearization in (None, model.linearize(X)):
        best = new_best(model, X, labels)
        model.asked.clear()
        ball = make_ball(np.inf, X, 0.3, None)
        ascend(model, ball, X, best, step_size=0.1, n_steps=3, linearization=linearization)
        runs.append((best.points, len(model.asked)))
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    assert [n for _, n in runs] == [4, 3]


def test_an_objective_is_minus_infinity_where_an_output_is_not_finite():
    objective = Objective(LOSSES["cross_entropy"], np.zeros(4, int), False)
    outputs = np.array([[0.0, 1.0], [np.nan, 0.0], [0.0, np.inf], [-np.inf, 0.0]])
    values = objective.values(outputs)
    assert np.isfinite(values[0])
    assert (values[1:] == -np.inf).all()


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("k", [1, 3])
def test_a_step_is_finite_whatever_the_outputs(k, bad, loss, targeted):
    """And there is no warning: the test suite turns these into errors."""
    ball = make_ball(2, np.zeros((2, 2)), 0.1, None)
    outputs = np.full((2, k), bad)
    objective = Objective(LOSSES[loss], np.array([0, 1]), targeted)
    gradient = objective.gradient(outputs, lambda c: np.full((2, 2), bad), ball.dual_norm)
    assert np.isfinite(ball.step(ball.center, gradient, 0.1)).all()


def test_update_takes_better_points_only():
    labels = np.array([0, 0, 0, 0])
    start = np.array([[0.0, 0.0], [0.0, 0.0], [np.nan, 0.0], [0.0, 0.0]])
    best = BestIterate(np.zeros((4, 1)), start, Objective(LOSSES["max_l1"], labels, False), labels)
    offered = np.array([[0.0, 1.0], [0.0, -1.0], [0.0, 1.0], [0.0, np.nan]])
    copy = best.copy()
    best.update(np.ones((4, 1)), offered)
    np.testing.assert_array_equal(best.points[:, 0], [1, 0, 1, 0])
    np.testing.assert_array_equal(copy.points, 0)


@pytest.mark.parametrize("targeted", [False, True])
def test_success(targeted):
    """A NaN is never a success, in either direction."""
    outputs = np.array([[1.0, 0.0], [0.0, 1.0], [np.nan, 1.0], [np.inf, 0.0]])
    for label, expected in [(0, [False, True]), (1, [True, False])]:
        labels = np.full(4, label)
        best = BestIterate(
            np.zeros((4, 1)), outputs, Objective(LOSSES["max_l1"], labels, targeted), labels
        )
        expected = [not e for e in expected] if targeted else expected
        assert best.success.tolist() == [*expected, False, False]
        assert best.finite.tolist() == [True, True, False, False]


def test_keep_successes_takes_only_what_was_lost():
    """A higher cross-entropy need not be a misclassification: p = (0.4, 0.3, 0.3)."""
    labels = np.zeros(3, int)
    objective = Objective(LOSSES["cross_entropy"], labels, False)
    found = np.log([[0.45, 0.5, 0.05], [0.6, 0.2, 0.2], [0.45, 0.5, 0.05]])
    later = np.log([[0.4, 0.3, 0.3], [0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    smaller = BestIterate(np.zeros((3, 1)), found, objective, labels)
    larger = BestIterate(np.ones((3, 1)), later, objective, labels)
    assert (larger.values >= smaller.values).all()
    larger.keep_successes(smaller)
    np.testing.assert_array_equal(larger.points[:, 0], [0, 1, 1])
    assert larger.success.tolist() == [True, False, True]


@pytest.mark.parametrize("loss", LABELLED)
def test_binary_outputs_equal_their_two_logits(loss):
    """One output, or the same network with two of plus and minus half of it."""
    X, labels = np.random.default_rng(0).random((5, 3)), np.array([0, 1, 0, 1, 1])
    binary, pair = (Tanh(np.random.default_rng(1), 3, 1) for _ in range(2))
    pair.V = as_logits(binary.V)
    ends = []
    for network in (binary, pair):
        best = new_best(network, X, labels, loss)
        ascend(network, make_ball(np.inf, X, 0.2, None), X, best, step_size=0.1, n_steps=3)
        ends.append(best.points)
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-12)


def test_a_success_is_taken_whatever_its_loss():
    """Three classes: a point that is still right can have the larger cross-entropy."""
    labels = np.zeros(1, int)
    objective = Objective(LOSSES["cross_entropy"], labels, targeted=False)
    right, wrong = np.array([[1.0, 0.99, 0.99]]), np.array([[0.0, 0.1, -10.0]])
    assert objective.values(right) > objective.values(wrong)
    best = BestIterate(np.zeros((1, 2)), right, objective, labels)
    best.update(np.ones((1, 2)), wrong)
    assert best.success.all() and (best.points == 1).all()
    best.update(np.zeros((1, 2)), right)
    assert best.success.all() and (best.points == 1).all()
