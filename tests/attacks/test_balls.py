"""Balls: what stays in the ball and the box, at its source, and the optimal steps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import kstest

from skntk.attacks._balls import L2Ball, LinfBall, make_ball

NORMS = [np.inf, 2]


@st.composite
def balls(draw, norm, dtype=None, box=None):
    """A ball of any radius, per feature or not, around samples inside its box."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = dtype or draw(st.sampled_from([np.float32, np.float64]))
    d = draw(st.integers(1, 6))
    center = (rng.standard_normal((5, d)) * 10 ** rng.uniform(-3, 3)).astype(dtype)
    eps = draw(st.sampled_from([0.0, 1e-9, 0.03, 1.0, 1e4]))
    if draw(st.booleans()):
        eps = eps * rng.random(d) * (rng.random(d) > 0.2)
    if draw(st.booleans()) if box is None else box:
        return make_ball(norm, center, eps, (center.min(axis=0), center.max(axis=0) + dtype(1)))
    return make_ball(norm, center, eps, None)


def excess(ball, points):
    """By how much each point leaves its ball, in ulp of the largest of |x| and |x'|."""
    delta = np.abs(points.astype(np.float64) - ball.center)
    if isinstance(ball, LinfBall):
        over = (delta - ball.eps).max(axis=1)
    else:
        used = ball.eps > 0
        assert (delta[:, ~used] == 0).all()
        # Of an ellipsoid, in units of its shortest axis.
        shortest = ball.eps[used].min() if used.any() else 0.0
        over = (np.linalg.norm(delta[:, used] / ball.eps[used], axis=1) - 1) * shortest
    return over / np.spacing(np.maximum(np.abs(ball.center), np.abs(points)).max(axis=1))


def gradients_for(ball, seed=0):
    return np.random.default_rng(seed).standard_normal(ball.center.shape)


@pytest.mark.parametrize("norm", NORMS)
@given(data=st.data())
def test_everything_stays_within_eps(norm, data):
    """Steps of any size, projections of any point and random starts."""
    ball = data.draw(balls(norm))
    gradient = gradients_for(ball)
    noise = np.random.default_rng(1).standard_normal((5, ball.center.shape[1] + 1))
    for points in (
        ball.step(ball.center, gradient, ball.eps),
        ball.step(ball.center, gradient, 3.0),
        ball.project(ball.center + 1e5 * gradient),
        ball.project(ball.center + 1e-9 * gradient),
        ball.random(noise),
    ):
        assert points.dtype == ball.center.dtype
        assert (excess(ball, points) <= 4).all()
        if ball.box is not None:
            assert (points >= ball.box[0]).all()
            assert (points <= ball.box[1]).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [10, 784])
def test_rounding_many_features_stays_within_eps(norm, dtype, d):
    """Inside, even on a constant image, where the rounding of all features has the same sign."""
    unit = np.spacing(dtype(1))
    for eps in np.concatenate([np.geomspace(unit, 1, 100), np.arange(1, 60) * unit * d**0.5 / 4]):
        ball = make_ball(norm, np.ones((1, d), dtype), eps, None)
        assert excess(ball, ball.project(ball.center - 5.0)) <= 4, eps
        assert excess(ball, ball.step(ball.center, ball.center, -eps)) <= 4, eps


@pytest.mark.parametrize("norm", NORMS)
def test_no_budget_moves_no_bit(norm):
    """No budget, no change, for a whole sample and for single features; -0.0 has a sign to keep."""
    center = np.array([[-0.0, 5e-324, 1 / 3], [1e300, -1.0, 0.1]])
    whole = make_ball(norm, center, 0.0, None)
    assert whole.step(center, np.ones_like(center), 1.0).tobytes() == center.tobytes()
    part = make_ball(norm, center, np.array([0.0, 0.0, 1.0]), None)
    moved = part.step(center, np.ones_like(center), np.array([0.0, 0.0, 1.0]))
    assert moved[:, :2].tobytes() == center[:, :2].tobytes()
    assert (moved[:, 2] != center[:, 2]).all()


@pytest.mark.parametrize("norm", NORMS)
@given(data=st.data())
def test_dual_norm_is_the_gain_of_the_full_step(norm, data):
    ball = data.draw(balls(norm, np.float64, box=False))
    gradient = gradients_for(ball)
    step = ball.step(ball.center, gradient, ball.eps) - ball.center
    np.testing.assert_allclose(
        (gradient * step).sum(axis=1),
        ball.dual_norm(gradient),
        rtol=1e-6,
        atol=1e-12 * np.abs(ball.center).max(),
    )


@pytest.mark.parametrize("norm", NORMS)
@given(data=st.data())
def test_no_point_of_the_ball_gains_more_than_the_dual_norm(norm, data):
    ball = data.draw(balls(norm, np.float64))
    gradient = gradients_for(ball, 2)
    for seed in range(5):
        noise = np.random.default_rng(seed).standard_normal((5, ball.center.shape[1] + 1))
        gain = (gradient * (ball.random(noise) - ball.center)).sum(axis=1)
        assert (gain <= ball.dual_norm(gradient) + 1e-12 * np.abs(ball.center).max()).all()


@given(balls(2, np.float64, box=False))
def test_l2_projection_is_radial(ball):
    inside = ball.center + 0.1 * ball.eps * gradients_for(ball) / ball.center.shape[1] ** 0.5 / 4
    np.testing.assert_allclose(ball.project(inside), inside, rtol=1e-15)
    outside = ball.center + 50 * ball.eps
    radius = np.sqrt(np.count_nonzero(ball.eps)) or 1
    np.testing.assert_allclose(
        ball.project(outside),
        ball.center + ball.eps / radius,
        atol=1e-12 * np.abs(ball.center).max(),
    )


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_the_size_of_a_gradient_does_not_matter(norm, scale):
    center = np.zeros((1, 3))
    ball = make_ball(norm, center, 0.5, None)
    gradient = np.array([[3.0, -4.0, 0.0]])
    expected = {np.inf: [[0.5, -0.5, 0.0]], 2: [[0.3, -0.4, 0.0]]}[norm]
    np.testing.assert_allclose(ball.step(center, scale * gradient, 0.5), expected, rtol=1e-14)


@pytest.mark.parametrize("norm", NORMS)
def test_a_zero_gradient_goes_nowhere(norm):
    center = np.array([[0.25, 0.5], [0.75, 1.0]])
    ball = make_ball(norm, center, 0.5, (0.0, 1.0))
    np.testing.assert_array_equal(ball.step(center, np.zeros_like(center), 0.5), center)


@pytest.mark.parametrize("d", [1, 3])
def test_random_points_are_uniform(d):
    noise = np.random.default_rng(0).standard_normal((4000, d + 1))
    center = np.full((4000, d), 7.0)
    budget = np.linspace(1, 3, d)
    scaled = (LinfBall(center, budget, None).random(noise) - center) / budget
    assert all(kstest(scaled[:, j], "uniform", args=(-1, 2)).pvalue > 0.01 for j in range(d))
    scaled = (L2Ball(center, budget, None).random(noise) - center) / budget
    # The volume within radius r grows as r^d.
    assert kstest(np.linalg.norm(scaled, axis=1) ** d, "uniform").pvalue > 0.01
    assert (np.abs(scaled.mean(axis=0)) < 0.05).all()


@pytest.mark.parametrize("norm", [np.inf, 2])
def test_the_error_state_of_numpy_does_not_matter(norm):
    center = np.full((2, 3), 0.1)  # a bound of the ball is 0
    expected = make_ball(norm, center, 0.1, None).project(-np.ones((2, 3)))
    with np.errstate(all="raise"):
        projected = make_ball(norm, center, 0.1, None).project(-np.ones((2, 3)))
    np.testing.assert_array_equal(projected, expected)


@pytest.mark.parametrize("norm", NORMS)
@given(data=st.data())
def test_no_allowed_point_promises_more_than_the_gap(norm, data):
    ball = data.draw(balls(norm, dtype=np.float64))
    rng = np.random.default_rng(2)
    gradient = gradients_for(ball) * (rng.random(ball.center.shape) > 0.2)
    points = ball.project(ball.center + ball.eps * rng.standard_normal(ball.center.shape))
    gap = ball.gap(points, gradient)
    scale = np.abs(gradient * ball.eps).sum(axis=1) + 1e-9 * np.abs(gradient * points).sum(axis=1)
    assert (gap >= -1e-9 * scale).all()
    for _ in range(20):
        direction = gradient + rng.standard_normal(gradient.shape) * rng.choice([0.1, 1.0])
        other = ball.project(ball.center + 10 * ball.eps**2 * direction)
        assert (gap >= ((other - points) * gradient).sum(axis=1) - 1e-9 * scale).all()


@pytest.mark.parametrize("eps", [0.3, 1.5, np.array([0.0, 0.5, 0.2, 1.0, 2.0])])
def test_the_gap_of_a_euclidean_ball_in_a_box(eps):
    """Against a solver of constrained problems."""
    rng = np.random.default_rng(0)
    center, gradient = rng.uniform(0.2, 0.8, (6, 5)), rng.standard_normal((6, 5))
    ball = make_ball(2, center, eps, (0.0, 1.0))
    used = np.broadcast_to(eps, 5) > 0
    for i, gap in enumerate(ball.gap(center, gradient)):
        x, g, radii = center[i, used], gradient[i, used], np.broadcast_to(eps, 5)[used]
        solution = minimize(
            lambda z, x=x, g=g: -(z - x) @ g,
            x,
            jac=lambda z, g=g: -g,
            bounds=[(0, 1)] * len(x),
            constraints={
                "type": "ineq",
                "fun": lambda z, x=x, r=radii: 1 - (((z - x) / r) ** 2).sum(),
            },
            options={"ftol": 1e-12, "maxiter": 500},
        )
        assert gap == pytest.approx(-solution.fun, rel=1e-6)
