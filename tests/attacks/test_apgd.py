"""APGD against its paper: when it looks at its steps, and what it does to them."""

import numpy as np
import pytest

from skntk.attacks._apgd import _Walk, apgd, checkpoints
from skntk.attacks._balls import make_ball
from skntk.attacks._differentiable import as_differentiable
from skntk.attacks._losses import LOSSES
from skntk.attacks._search import BestIterate, Objective


class Valley:
    """Output -|x - top| of one feature, whose sign of the gradient is all that a step sees."""

    classes_ = np.array([0, 1])

    def __init__(self, top):
        self.top, self.n_calls, self.seen = top, 0, []

    def decision_function(self, X):
        self.n_calls += 1
        self.seen.append(X[:, 0].copy())
        return -np.abs(X[:, 0] - self.top) - 1

    def input_vjp(self, X, cotangents):
        return (cotangents * -np.sign(X[:, 0] - self.top))[:, None]


def climb(model, X, *, eps, n_steps, labels=0, until_success=False):
    X = np.asarray(X, dtype=float)
    view, labels = as_differentiable(model), np.full(len(X), labels)
    objective = Objective(LOSSES["margin"], labels, targeted=False)
    best = BestIterate(X, view.outputs(X), objective, labels)
    model.n_calls, model.seen = 0, []
    ball = make_ball(np.inf, X, eps, None)
    steps = {"step_size": 2 * eps, "n_steps": n_steps, "until_success": until_success}
    apgd(view, ball, X, best, objective, **steps)
    return best


def test_checkpoints_are_those_of_the_paper():
    """For 100 steps, as the authors' code computes them."""
    assert list(checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99, 105]
    assert checkpoints(100)[41] == 19


@pytest.mark.parametrize("n_steps", [1, 2, 5, 10, 37])
def test_few_steps_have_checkpoints_too(n_steps):
    ends = checkpoints(n_steps)
    assert list(ends) == sorted(ends)
    assert min(ends) >= 1
    assert max(ends) >= n_steps


def test_each_gradient_is_one_evaluation():
    """A step costs one; the outputs at the start and at the end are needed besides."""
    model = Valley(0.3)
    climb(model, [[0.0]], eps=1.0, n_steps=10)
    assert model.n_calls == 11


def test_steps_shrink_until_the_top_is_found():
    """Steps of one length would only ever jump over it."""
    model = Valley(0.3)
    best = climb(model, [[0.0]], eps=1.0, n_steps=100)
    assert abs(best.points[0, 0] - 0.3) < 1e-2
    lengths = np.abs(np.diff(np.concatenate(model.seen)))
    assert lengths[-5:].max() < lengths[:5].max() / 8


def test_the_first_step_is_twice_the_radius():
    model = Valley(10.0)
    climb(model, [[0.0]], eps=0.5, n_steps=2)
    np.testing.assert_allclose(np.concatenate(model.seen), [0.0, 0.5, 0.5])


def test_samples_do_not_move_each_other():
    starts = np.array([[0.0], [0.2], [-0.7], [0.31]])
    together = climb(Valley(0.3), starts, eps=1.0, n_steps=30).points
    alone = [climb(Valley(0.3), start[None], eps=1.0, n_steps=30).points for start in starts]
    np.testing.assert_array_equal(together, np.concatenate(alone))


def test_nothing_more_is_asked_of_samples_on_which_it_has_succeeded():
    class Step(Valley):
        def decision_function(self, X):
            return super().decision_function(X) + 0.5 + self.top

    model = Step(1.0)
    starts = np.array([[0.0], [0.6], [-8.0]])
    best = climb(model, starts, eps=0.6, n_steps=20, until_success=True)
    assert best.success.tolist() == [True, True, False]
    assert [len(points) for points in model.seen] == [3, 2]
    np.testing.assert_array_equal(best.points[1], starts[1])


def test_samples_that_cannot_rise_to_success_are_given_up():
    """At the end of the ball, and not on the two sides of a top that is inside it."""
    for top, n_calls in ((8.0, 2), (0.3, 21)):
        model = Valley(top)
        climb(model, [[0.0]], eps=0.6, n_steps=20, until_success=True)
        assert model.n_calls == n_calls
    model = Valley(8.0)
    climb(model, [[0.0]], eps=0.6, n_steps=20)
    assert model.n_calls == 21


def test_steps_that_do_not_help_are_halved_and_taken_from_the_best_point():
    """Of three samples, one whose steps helped, one whose did not, and one that is stuck."""
    X = np.zeros((3, 1))
    view, labels = as_differentiable(Valley(0.3)), np.zeros(3, int)
    objective = Objective(LOSSES["margin"], labels, targeted=False)
    best = BestIterate(X, view.outputs(X), objective, labels)
    walk = _Walk(view, make_ball(np.inf, X, 1.0, None), X, best, objective, 2.0)
    walk.points, walk.best_points = X + 0.9, np.array([[0.1], [0.2], [0.3]])
    walk.best_values = np.array([1.0, 2.0, 3.0])
    walk.reviewed_values = np.array([0.0, 0.0, 3.0])  # the last one is where it was
    walk.n_raised = np.array([8, 7, 10])  # of ten steps, of which three quarters must help
    walk.shorten_steps(10)
    np.testing.assert_array_equal(walk.scale, [1.0, 0.5, 0.5])
    np.testing.assert_array_equal(walk.points, [[0.9], [0.2], [0.3]])
    np.testing.assert_array_equal(walk.n_raised, 0)
