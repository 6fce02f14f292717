"""Attacks on regressors: closed forms of linear machines, central differences, clear errors."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from helpers import central_differences, gaussian
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from skntk import AffineMap, NTKAttack, NTKRegressor
from skntk.attacks._differentiable import as_differentiable, as_victim
from skntk.attacks._losses import SQUARED_ERROR
from skntk.attacks._search import Objective
from skntk.kernels import FullyConnectedNTK

D = 4
X, Z = gaussian(30, D), gaussian(12, D, seed=9)
Y, TRUTH = gaussian(30, 2, seed=1), gaussian(12, 2, seed=2)
METHODS = ["fgsm", "pgd", "apgd", "square", "auto"]


def attack(victim, **options):
    options = {"eps": 0.3, "clip_values": None, "random_state": 0, "n_queries": 60} | options
    if options.get("method") in ("apgd", "auto"):
        options = {"max_iter": 15} | options
    return NTKAttack(victim, **options)


def network(y=Y[:, 0], kernel="fc2"):
    return NTKRegressor(kernel, alpha=0.1).fit(X, y)


def errors(victim, points, y):
    return np.square(victim.predict(points) - y).reshape(len(points), -1).sum(axis=1)


@pytest.mark.parametrize("own", [False, True], ids=["targets", "own predictions"])
@pytest.mark.parametrize("norm", [np.inf, 2])
@pytest.mark.parametrize("method", ["fgsm", "pgd", "apgd", "auto"])
def test_a_linear_machine_errs_as_much_as_it_can(method, norm, own):
    """f(x + p) = f(x) + <g, p>, so that the largest error is |f - y| + eps |g| in the dual norm."""
    linear = network(kernel=FullyConnectedNTK(0))
    slope = np.linalg.norm(linear.input_vjp(Z, np.ones(12)), 1 if norm == np.inf else 2, axis=1)
    gap = 0 if own else np.abs(linear.predict(Z) - TRUTH[:, 0])
    victim = attack(linear, method=method, norm=norm)
    result = victim.run(Z, None if own else TRUTH[:, 0], epsilons=[0.3])
    assert_allclose(result.squared_error[0], (gap + 0.3 * slope) ** 2, rtol=1e-9)
    if not own:
        toward = attack(linear, method=method, norm=norm, targeted=True)
        found = toward.run(Z, TRUTH[:, 0], epsilons=[0.3]).squared_error[0]
        out_of_reach = gap > 0.3 * slope
        assert out_of_reach.any()
        expected = (gap - 0.3 * slope)[out_of_reach] ** 2
        assert_allclose(found[out_of_reach], expected, rtol=1e-9)


def test_two_targets_of_a_linear_machine():
    """A convex error is largest at a corner of the ball."""
    linear = network(Y, FullyConnectedNTK(0))
    corners = 0.3 * np.array([*product([-1, 1], repeat=D)])
    largest = np.max([errors(linear, Z + corner, TRUTH) for corner in corners], axis=0)
    found = attack(linear, method="auto").run(Z, TRUTH, epsilons=[0.3]).squared_error[0]
    assert_allclose(found, largest, rtol=1e-9)
    own = linear.predict(Z)
    largest = np.max([errors(linear, Z + corner, own) for corner in corners], axis=0)
    found = attack(linear, method="auto").run(Z, epsilons=[0.3]).squared_error[0]
    assert (found <= largest * (1 + 1e-9)).all()
    assert np.mean(found > 0.99 * largest) > 0.9


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("y", [Y[:, 0], Y], ids=["one target", "two targets"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method(method, y, targeted):
    machine, truth = network(y), TRUTH if y.ndim == 2 else TRUTH[:, 0]
    box = (Z.min(), Z.max())
    victim = attack(machine, method=method, targeted=targeted, clip_values=box)
    result = victim.run(Z, truth, epsilons=[0.2, 0.0, 0.1])
    assert_array_equal(result.X_adv[1], Z)
    for k, eps in enumerate([0.2, 0.0, 0.1]):
        assert np.abs(result.X_adv[k] - Z).max() <= eps
        assert box[0] <= result.X_adv[k].min() and result.X_adv[k].max() <= box[1]
        expected = errors(machine, result.X_adv[k], truth)
        assert_allclose(result.squared_error[k], expected, rtol=1e-9, atol=1e-20)
    assert_allclose(result.report.mean_squared_error, result.squared_error.mean(axis=1))
    assert result.report.clean_mean_squared_error == pytest.approx(errors(machine, Z, truth).mean())
    ordered = result.squared_error[[1, 2, 0]] * (-1 if targeted else 1)
    assert (np.diff(ordered, axis=0) >= 0).all()
    assert (ordered[2] > ordered[0]).all()
    assert sum(result.report.n_raised.values()).tolist()[1] == 0
    assert sum(result.report.n_raised.values()).max() > 6
    assert_array_equal(
        victim.set_params(eps=0.2).generate(Z, truth),
        victim.run(Z, truth, epsilons=[0.2]).X_adv[0],
    )


@pytest.mark.parametrize("y", [Y[:, 0], Y], ids=["one target", "two targets"])
def test_the_gradient_is_that_of_the_squared_error(y):
    machine, truth = network(y), TRUTH[:, : y.ndim]
    objective = Objective(SQUARED_ERROR, truth, targeted=False)
    model = as_victim(machine)
    expected = central_differences(lambda points: objective.values(model.outputs(points)), Z)
    assert_allclose(2 * objective.gradient(*model.linearize(Z)), expected, rtol=1e-6, atol=1e-7)


class Curved(RegressorMixin, BaseEstimator):
    """-exp(-x), which falls more than it rises."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        return -np.exp(-X[:, 0])

    def input_vjp(self, X, cotangents):
        return (cotangents * np.exp(-X[:, 0]))[:, None]


@pytest.mark.parametrize("given", [None, [-1.0], [-1.0 - 1e-9]], ids=["own", "equal", "rounding"])
@pytest.mark.parametrize("method", ["fgsm", "pgd", "apgd"])
def test_where_the_error_is_zero_both_directions_are_tried(method, given):
    curved = Curved().fit(None, None)
    assert attack(curved, method=method, eps=1.0).generate([[0.0]], given) == [[-1.0]]


class Lifted(Curved):
    """1 - exp(-x), and something that rounding may add: a target of 0 has no digits to agree in."""

    def __init__(self, rounding=0.0):
        self.rounding = rounding

    def predict(self, X):
        return 1 - np.exp(-X[:, 0]) + self.rounding


@pytest.mark.parametrize("rounding", [0.0, 1e-14, -1e-14])
@pytest.mark.parametrize("method", ["fgsm", "pgd", "apgd"])
def test_rounding_at_a_target_of_zero_decides_no_direction(method, rounding):
    lifted = Lifted(rounding).fit(None, None)
    assert attack(lifted, method=method, eps=1.0).generate([[0.0]], [0.0]) == [[-1.0]]


def test_the_worst_case_crosses_the_target():
    curved, slightly_above = Curved().fit(None, None), [-1.01]
    pgd = attack(curved, method="pgd").run([[0.0]], slightly_above, epsilons=[1.0])
    assert_allclose(pgd.X_adv, 1.0)
    worst = attack(curved, method="auto", n_queries=1)
    assert_allclose(worst.run([[0.0]], slightly_above, epsilons=[1.0]).X_adv, -1.0)


TRANSFORMERS = {
    "standard": StandardScaler(),
    "min-max": MinMaxScaler(),
    "max-abs": MaxAbsScaler(),
    "robust": RobustScaler(),
    "pca": PCA(1),
    "declared": FunctionTransformer(
        AffineMap([2.0, 0.5], 1.0), inverse_func=AffineMap([0.5, 2.0], [-0.5, -2.0])
    ),
    "none": None,
}


@pytest.mark.parametrize("transformer", TRANSFORMERS.values(), ids=TRANSFORMERS)
def test_through_steps_and_transformed_targets(transformer):
    inner = make_pipeline(MinMaxScaler(), NTKRegressor("fc1", alpha=0.1))
    piped = make_pipeline(
        StandardScaler(),
        TransformedTargetRegressor(inner, transformer=transformer, check_inverse=False),
    )
    piped.fit(X, 3 + 5 * Y)
    model, cotangents = as_victim(piped), gaussian(12, 2, seed=3)
    outputs, pullback = model.linearize(Z)
    assert_allclose(outputs, piped.predict(Z))
    assert_allclose(model.outputs(Z), piped.predict(Z))
    expected = central_differences(lambda points: (piped.predict(points) * cotangents).sum(1), Z)
    assert_allclose(pullback(cotangents), expected, rtol=1e-6, atol=1e-7)
    result = attack(piped, method="pgd").run(Z, 3 + 5 * TRUTH, epsilons=[0.3])
    assert (result.squared_error[0] > errors(piped, Z, 3 + 5 * TRUTH)).all()


def test_one_transformed_target_in_a_search():
    model = TransformedTargetRegressor(NTKRegressor("fc1"), transformer=StandardScaler())
    search = GridSearchCV(model, {"regressor__alpha": [0.1, 1.0]}, cv=2).fit(X, 100 * Y[:, 0])
    result = attack(search).run(Z, 100 * TRUTH[:, 0], epsilons=[0.3])
    assert_allclose(result.squared_error[0], errors(search, result.X_adv[0], 100 * TRUTH[:, 0]))


class Halved(StandardScaler):
    """Its inverse is its own."""

    def inverse_transform(self, X, copy=None):
        return np.tanh(super().inverse_transform(X))


@pytest.mark.parametrize(
    "transformer",
    [
        QuantileTransformer(n_quantiles=5),
        MinMaxScaler(clip=True),
        Halved(),
        FunctionTransformer(np.exp, inverse_func=np.log),
        FunctionTransformer(AffineMap([1.0]), inverse_func=lambda y: y),
    ],
)
def test_transformers_of_targets_that_are_not_affine_are_refused(transformer):
    model = TransformedTargetRegressor(
        NTKRegressor("fc1", alpha=0.1), transformer=transformer, check_inverse=False
    ).fit(X, Y[:, 0])
    with pytest.raises(TypeError, match=r"transforms targets by .*, whose inverse is not known"):
        attack(model).generate(Z)
    assert (attack(model, method="square").run(Z, epsilons=[0.1]).squared_error > 0).any()


def test_a_search_without_gradients_takes_any_regressor():
    names = [f"x{j}" for j in range(D)]
    frame = pd.DataFrame(X, columns=names)
    forest = RandomForestRegressor(10, random_state=0).fit(frame, Y[:, 0])
    points = pd.DataFrame(Z, columns=names)
    result = attack(forest, method="square").run(points, TRUTH[:, 0], epsilons=[0.5])
    moved = pd.DataFrame(result.X_adv[0], columns=names)
    assert_allclose(result.squared_error[0], np.square(forest.predict(moved) - TRUTH[:, 0]))
    assert result.report.mean_squared_error[0] > 1.2 * result.report.clean_mean_squared_error
    assert result.report.n_zero_gradient is None


def test_no_example_is_a_success():
    result = attack(network()).run(Z, TRUTH[:, 0], epsilons=[0.1, 0.2])
    assert result.success is None
    assert "robust_accuracy" not in result.report
    with pytest.raises(AttributeError, match="take squared_error"):
        _ = result.robust_accuracy
    assert repr(result).startswith("AttackResult(n_samples=12, epsilons=[0.1, 0.2], mean_squared")


@pytest.mark.parametrize("method", METHODS)
def test_float32_and_batches(method):
    single = NTKRegressor("fc1", alpha=0.1).fit(X.astype(np.float32), Y[:, 0])
    found = attack(single, method=method).generate(Z.astype(np.float32), TRUTH[:, 0])
    assert found.dtype == np.float32
    expected = attack(network(kernel="fc1"), method=method)
    whole = expected.generate(Z, TRUTH[:, 0])
    batches = clone(expected).set_params(estimator=expected.estimator, batch_size=5)
    # A BLAS may add in another order for five rows than for twelve.
    assert_allclose(batches.generate(Z, TRUTH[:, 0]), whole, rtol=0, atol=1e-13)


class Lying(Curved):
    """The first feature, with a gradient that points along the second."""

    def __init__(self, slope=1.0):
        self.slope = slope

    def predict(self, X):
        return X[:, 0] * 1.0

    def input_vjp(self, X, cotangents):
        return np.outer(cotangents, [0.0, self.slope])


@pytest.mark.parametrize(
    ("slope", "doubt"), [(0.0, "zero at 10 of 10"), (1.0, "of 10 samples, over half as much again")]
)
def test_the_worst_case_doubts_gradients(slope, doubt):
    victim = attack(Lying(slope).fit(None, None), method="auto", eps=1.0)
    with pytest.warns(UserWarning) as warned:
        result = victim.run(np.zeros((10, 2)), np.zeros(10), epsilons=[1.0])
    assert_allclose(result.squared_error, 1.0)
    assert any(doubt in str(warning.message) for warning in warned)


def test_outputs_that_are_not_finite_are_counted():
    class Undefined(Curved):
        def predict(self, X):
            return np.where(X[:, 0] > 0, np.nan, X[:, 0])

    result = attack(Undefined().fit(None, None)).run([[-1.0], [1.0]], [0.0, 0.0], epsilons=[0.1])
    assert result.report.n_not_finite == 1
    assert_allclose(result.squared_error[0], [1.1**2, np.nan])


@pytest.mark.parametrize(
    ("options", "y", "message"),
    [
        ({"loss": "margin"}, None, "loss='margin' is a loss of classifiers"),
        ({"targeted": True}, None, "targeted=True needs y, the value"),
        ({}, TRUTH, r"y has shape \(12, 2\) and the regressor has 1 outputs"),
        ({}, TRUTH[:5, 0], "X has 12 samples and y has 5"),
        ({}, np.full(12, np.nan), "y holds"),
    ],
)
def test_wrong_arguments(options, y, message):
    with pytest.raises(ValueError, match=message):
        attack(network(), **options).generate(Z, y)


def test_regressors_without_a_gradient_are_refused():
    linear = make_pipeline(StandardScaler(), LinearRegression()).fit(X, Y)
    with pytest.raises(TypeError, match=r"LinearRegression is a regressor that has no input_vjp"):
        attack(linear).generate(Z)
    with pytest.raises(TypeError, match="a regressor, whose outputs are no classes"):
        as_differentiable(network())
