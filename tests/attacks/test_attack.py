"""Attacks: what holds for every attack, and one clear error for bad input."""

import itertools
from functools import cache

import jax
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skntk import AttackResult, NTKAttack, NTKClassifier
from skntk._utils.targets import as_columns
from skntk.kernels import FullyConnectedNTK
from skntk.metrics import robust_accuracy_score

LOSSES = ["cross_entropy", "linear", "max_l1", "max_l1_offset", "sum_delta", "margin", "dlr"]
NORMS = [np.inf, 2]
METHODS = ["fgsm", "pgd", "apgd", "square", "auto"]

# "auto" warns of samples without a gradient, which some of the small problems below have.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The gradient is exactly zero", "ignore:The search without gradients"
)


class Linear(BaseEstimator):
    """f(x) = x W + b: the smallest thing an attack accepts, without `linearize`."""

    def __init__(self, W, b=0.0):
        self.W, self.b = W, b

    @property
    def classes_(self):
        return np.arange(2 if np.ndim(self.W) == 1 else np.shape(self.W)[1])

    def __sklearn_is_fitted__(self):
        return True

    def fit(self, X, y):
        return self

    def decision_function(self, X):
        return np.asarray(X) @ np.asarray(self.W) + self.b

    def predict(self, X):
        f = self.decision_function(X)
        return (f > 0).astype(int) if f.ndim == 1 else f.argmax(axis=1)

    def input_vjp(self, X, cotangents):
        return as_columns(cotangents) @ as_columns(np.asarray(self.W)).T


@cache
def fitted(seed, n_classes, dtype, depth):
    rng = np.random.default_rng(seed)
    X = rng.random((12, int(rng.integers(3, 7)))).astype(dtype)
    y = rng.permutation(np.arange(12) % n_classes)
    return NTKClassifier(FullyConnectedNTK(depth), alpha=1e-2).fit(X, y)


class Problem:
    """A classifier fitted to twelve samples of [0, 1]^d, and eight labelled ones to attack."""

    def __init__(self, seed, *, n_classes=3, dtype=np.float64, depth=1):
        self.clf = fitted(seed % 16, n_classes, dtype, depth)
        self.rng = np.random.default_rng(seed)
        self.X = self.rng.random((8, self.clf.n_features_in_)).astype(dtype)
        self.y = self.rng.integers(n_classes, size=8)

    def attack(self, **params):
        small = {"max_iter": 2, "n_queries": 4, "random_state": 0}
        return NTKAttack(self.clf, **{**small, **params})

    def budget(self, eps, per_feature):
        """One eps, or one for each feature of which some are 0."""
        d = self.X.shape[1]
        return eps * self.rng.random(d) * (self.rng.random(d) > 0.2) if per_feature else eps

    def box(self, kind):
        if kind == "none":
            return None
        if kind == "unit":
            return (0.0, 1.0)
        return self.X.min(axis=0), self.X.max(axis=0) + np.float32(0.125)


problems = st.builds(
    Problem,
    st.integers(0, 2**32 - 1),
    n_classes=st.sampled_from([2, 3, 4]),
    dtype=st.sampled_from([np.float32, np.float64]),
)
attacks = st.fixed_dictionaries(
    {
        "norm": st.sampled_from(NORMS),
        "method": st.sampled_from(METHODS),
        "loss": st.sampled_from(LOSSES),
        "num_random_init": st.sampled_from([0, 1]),
    }
)
budgets = st.sampled_from([1e-9, 8 / 255, 0.1, 0.3, 2.0])
boxes = st.sampled_from(["none", "unit", "array"])


def loss_of(clf, X, y, loss):
    """The loss that an attack maximises, written as in the paper."""
    f = clf.decision_function(X).astype(np.float64)
    logits = np.stack([-f / 2, f / 2], axis=1) if f.ndim == 1 else f
    onehot = np.eye(logits.shape[1])[y].astype(bool)
    if loss == "cross_entropy":
        return np.log(np.exp(logits).sum(axis=1)) - logits[onehot]
    if loss == "sum_delta":
        return (logits - logits[onehot][:, None]).sum(axis=1)
    margin = logits.max(axis=1, where=~onehot, initial=-np.inf) - logits[onehot]
    if loss == "dlr" and logits.shape[1] > 2:
        ranked = np.sort(logits, axis=1)
        return margin / (ranked[:, -1] - ranked[:, -3])
    return margin


def within(X_adv, X, eps, norm, n_ulp=4):
    """Inside the ball, in the units of the longest axis if the budget differs between features."""
    eps = np.broadcast_to(np.asarray(eps, np.float64), X.shape[1:])
    delta = np.abs(X_adv.astype(np.float64) - X)
    largest = np.maximum(np.abs(X_adv), np.abs(X)).max(axis=1)
    slack = n_ulp * np.spacing(largest)
    if norm == np.inf:
        return (delta <= eps + slack[:, None]).all()
    free = eps > 0
    scaled = delta[:, free] / eps[free]
    return (delta[:, ~free] == 0).all() and (
        np.linalg.norm(scaled, axis=1) <= 1 + slack / eps.min(where=free, initial=np.inf)
    ).all()


# The ball and the box


@given(
    problem=problems,
    params=attacks,
    eps=budgets,
    per_feature=st.booleans(),
    box=boxes,
    labels=st.sampled_from(["true", "own", "targets"]),
)
def test_the_result_is_in_the_ball_and_in_the_box(problem, params, eps, per_feature, box, labels):
    targeted = labels == "targets" and params["loss"] != "linear"
    eps, clip_values = problem.budget(eps, per_feature), problem.box(box)
    y = None if labels == "own" else problem.y
    attack = problem.attack(eps=eps, clip_values=clip_values, targeted=targeted, **params)

    X_adv = attack.generate(problem.X, y)

    assert X_adv.shape == problem.X.shape
    assert X_adv.dtype == problem.X.dtype
    assert np.isfinite(X_adv).all()
    assert within(X_adv, problem.X, eps, params["norm"])
    if clip_values is not None:
        assert (X_adv >= clip_values[0]).all()
        assert (X_adv <= clip_values[1]).all()


@given(problem=problems, params=attacks, vectors=st.booleans())
def test_every_budget_of_a_run_is_respected(problem, params, vectors):
    """Inside the ball where no budget contains another: what a smaller one found may be outside."""
    d = problem.X.shape[1]
    epsilons = 0.3 * problem.rng.random((2, d) if vectors else 2)
    result = problem.attack(**params).run(problem.X, problem.y, epsilons=epsilons)
    for eps, X_adv in zip(epsilons, result.X_adv, strict=True):
        assert within(X_adv, problem.X, eps, params["norm"])


@pytest.mark.parametrize("side", [0, 1])
def test_a_box_of_float64_bounds_holds_float32_samples(side):
    """Rounding a bound to float32 must not move it outward."""
    bounds = np.linspace(0.1, 0.9, 50)
    X = np.full((1, 50), bounds, np.float32) + np.float32(0.05 if side == 0 else -0.05)
    clip_values = (bounds, 2.0) if side == 0 else (-2.0, bounds)
    direction = np.full(50, 1.0 if side == 0 else -1.0)
    X_adv = NTKAttack(Linear(direction), eps=0.1, clip_values=clip_values).generate(X, [1])
    assert X_adv.dtype == np.float32
    assert (X_adv != X).all()
    inside = X_adv >= bounds if side == 0 else X_adv <= bounds
    assert inside.all()


# No budget


@given(problem=problems, params=attacks, vector=st.booleans())
def test_no_budget_returns_the_samples_bit_for_bit(problem, params, vector):
    X = problem.X.copy()
    X[0], X[1:, 0] = -0.0, np.finfo(X.dtype).smallest_subnormal
    eps = np.zeros(X.shape[1]) if vector else 0.0
    attack = problem.attack(eps=eps, clip_values=None, **params)
    X_adv = attack.generate(X, problem.y)
    assert X_adv.tobytes() == X.tobytes()
    assert X_adv.dtype == X.dtype
    assert not np.shares_memory(X_adv, X)


# Nested successes


@given(problem=problems, params=attacks, targeted=st.booleans(), seed=st.integers(0, 99))
def test_success_at_a_budget_is_success_at_a_larger_one(problem, params, targeted, seed):
    targeted = targeted and params["loss"] != "linear"
    epsilons = np.random.default_rng(seed).permutation([0.0, 0.05, 0.2])
    attack = problem.attack(targeted=targeted, **params)
    result = attack.run(problem.X, problem.y, epsilons=epsilons)
    success = result.success[np.argsort(epsilons)]
    assert (success[1:] >= success[:-1]).all()
    assert (np.diff(result.report.robust_accuracy[np.argsort(epsilons)]) <= 0).all()

    f = problem.clf.decision_function(result.X_adv[np.argmax(epsilons)])
    top = np.abs(f) if f.ndim == 1 else np.ptp(np.sort(f, axis=1)[:, -2:], axis=1)
    clear = top > 1e-5  # elsewhere float32 may round differently
    labels = f > 0 if f.ndim == 1 else f.argmax(axis=1)
    hit = (labels == problem.y) if targeted else (labels != problem.y)
    np.testing.assert_array_equal(success[-1][clear], hit[clear])


@pytest.mark.parametrize("loss", ["cross_entropy", "max_l1", "sum_delta"])
def test_no_success_is_lost_from_nothing_to_fgsm_to_pgd(loss):
    """From eps = 0: a larger cross-entropy need not be a misclassification."""
    for seed in range(100):
        rng = np.random.default_rng(seed)
        clf = Linear(rng.normal(size=(3, 4)), rng.normal(size=4) * 0.3)
        X, y = rng.random((50, 3)), rng.integers(4, size=50)
        clean = clf.predict(X) != y
        fgsm, pgd = (
            NTKAttack(clf, loss=loss, method=method).run(X, y, epsilons=[0.3])
            for method in ("fgsm", "pgd")
        )
        assert fgsm.success[0][clean].all(), seed
        assert pgd.success[0][fgsm.success[0]].all(), seed
        assert fgsm.report.robust_accuracy[0] <= 1 - clean.mean() + 1e-12


# PGD, FGSM, clean


@given(
    problem=problems,
    params=attacks,
    stronger=st.sampled_from(["pgd", "apgd"]),
    eps=budgets,
    box=boxes,
)
def test_further_steps_are_no_weaker_than_fgsm_nor_fgsm_than_nothing(
    problem, params, stronger, eps, box
):
    params = {**params, "eps": eps, "clip_values": problem.box(box)}
    loss = params["loss"]
    y = problem.clf.predict(problem.X) if loss == "linear" else problem.y
    clean, fgsm, pgd = (
        loss_of(problem.clf, X, y, loss)
        for X in (
            problem.X,
            problem.attack(**{**params, "method": "fgsm"}).generate(problem.X, problem.y),
            problem.attack(**{**params, "method": stronger}).generate(problem.X, problem.y),
        )
    )
    rounding = 1e-12 if problem.X.dtype == np.float64 else 2e-5
    assert (fgsm >= clean - rounding).all()
    assert (pgd >= fgsm - rounding).all()


@given(problem=problems, params=attacks, eps=budgets, box=boxes)
def test_a_random_search_is_no_weaker_than_nothing(problem, params, eps, box):
    params = {**params, "method": "square", "eps": eps, "clip_values": problem.box(box)}
    loss = params["loss"]
    X_adv = problem.attack(**params).generate(problem.X, problem.y)
    y = problem.clf.predict(problem.X) if loss == "linear" else problem.y
    before, after = (loss_of(problem.clf, X, y, loss) for X in (problem.X, X_adv))
    right, still = (problem.clf.predict(X) == problem.y for X in (problem.X, X_adv))
    rounding = 1e-12 if problem.X.dtype == np.float64 else 2e-5
    # A misclassified point is preferred to a higher loss.
    assert ((after >= before - rounding) | (right & ~still)).all()
    assert not (~right & still).any() or loss == "linear"


@given(problem=problems, params=attacks, eps=budgets, box=boxes, targeted=st.booleans())
def test_the_worst_case_breaks_what_each_of_its_attacks_breaks(problem, params, eps, box, targeted):
    """Those whose stages it holds: from FGSM on the margin to the search, seeded alike."""
    params = {**params, "clip_values": problem.box(box), "targeted": targeted, "loss": "margin"}

    def success(**method):
        attack = problem.attack(**{**params, **method})
        return attack.run(problem.X, problem.y, epsilons=[eps]).success[0]

    worst = success(method="auto", num_random_init=0)
    for method in ("fgsm", "apgd"):
        assert (worst >= success(method=method, num_random_init=0)).all(), method


def test_with_the_offset_max_l1_is_the_best_of_all_corners():
    """Eq. 33 on affine outputs, where no point of the ball is better than its best corner."""
    rng = np.random.default_rng(0)
    clf = Linear(rng.normal(size=(4, 5)), rng.normal(size=5))
    X, y = rng.normal(size=(300, 4)), rng.integers(5, size=300)
    corners = X[:, None] + 0.3 * np.array(list(itertools.product([-1, 1], repeat=4)))
    outputs = clf.decision_function(corners)
    best = margins(outputs.reshape(-1, 5), np.repeat(y, 16)).reshape(300, 16).max(axis=1)
    short = {}
    for loss in ("max_l1", "max_l1_offset"):
        X_adv = NTKAttack(clf, eps=0.3, loss=loss, clip_values=None).generate(X, y)
        short[loss] = best - margins(clf.decision_function(X_adv), y)
    np.testing.assert_allclose(short["max_l1_offset"], 0, atol=1e-12)
    assert np.mean(short["max_l1"] > 1e-6) > 0.1


def margins(outputs, y):
    rows = np.arange(len(y))
    rivals = outputs.copy()
    rivals[rows, y] = -np.inf
    return rivals.max(axis=1) - outputs[rows, y]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("loss", ["cross_entropy", "max_l1", "sum_delta", "margin"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_targeted_attack_lowers_the_loss_of_its_target(n_classes, loss, norm):
    for seed in range(5):
        problem = Problem(seed, n_classes=n_classes)
        X, targets = problem.X, (problem.clf.predict(problem.X) + 1) % n_classes
        attack = problem.attack(loss=loss, norm=norm, method="pgd", targeted=True, max_iter=10)
        result = attack.run(X, targets, epsilons=[0.05, 1.0])
        for X_adv, success in zip(result.X_adv, result.success, strict=True):
            before = loss_of(problem.clf, X, targets, loss)
            after = loss_of(problem.clf, X_adv, targets, loss)
            assert (after < before).all()
            np.testing.assert_array_equal(success, problem.clf.predict(X_adv) == targets)
        assert result.success[1].any()


# Linear kernels, where the optimum is known


@given(
    seed=st.integers(0, 2**32 - 1),
    norm=st.sampled_from(NORMS),
    method=st.sampled_from(["fgsm", "pgd", "apgd", "auto"]),
    loss=st.sampled_from(LOSSES),
)
def test_on_a_linear_kernel_robust_accuracy_is_the_dual_norm_formula(seed, norm, method, loss):
    problem = Problem(seed, n_classes=2, depth=0)
    clf, X = problem.clf, problem.X
    w = clf.input_vjp(X[:1], np.ones(1))[0]
    sign = 2 * problem.y - 1
    margin = sign * clf.decision_function(X)
    if loss == "linear" and method != "auto":
        # Without labels it is the mistakes that the attack may repair: leave them out.
        X, sign, margin = X[margin > 0], sign[margin > 0], margin[margin > 0]
    dual = np.linalg.norm(w, {np.inf: 1, 2: 2}[norm])
    distance = np.abs(margin) / dual
    # Between the distances, so that no sample lies on the boundary to rounding.
    epsilons = np.concatenate([0.5 * np.sort(distance)[:1], np.sort(distance) + 1e-6])
    attack = problem.attack(norm=norm, method=method, loss=loss, clip_values=None)
    result = attack.run(X, (sign + 1) // 2, epsilons=epsilons)
    for eps, success in zip(epsilons, result.success, strict=True):
        np.testing.assert_array_equal(~success, margin > eps * dual)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("per_feature", [False, True])
def test_fgsm_on_a_linear_model_is_one_step(loss, per_feature):
    """Eq. 2, 8: x - eps y sign(w) for l_inf; along w, scaled to the ellipsoid, for l_2."""
    rng = np.random.default_rng(0)
    w, X = rng.standard_normal(4), rng.random((6, 4))
    clf = Linear(w)
    y = clf.predict(X)
    eps = rng.random(4) if per_feature else 0.3
    sign = (2 * y - 1)[:, None]
    linf = NTKAttack(clf, eps=eps, loss=loss, clip_values=None).generate(X, y)
    np.testing.assert_allclose(linf, X - eps * sign * np.sign(w), atol=1e-15)
    l2 = NTKAttack(clf, eps=eps, norm=2, loss=loss, clip_values=None).generate(X, y)
    best = eps * (eps * w) / np.linalg.norm(eps * w)
    np.testing.assert_allclose(l2, X - sign * best, atol=1e-15)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e3, 1e6])
def test_confident_samples_are_attacked_like_others(loss, n_classes, scale):
    """Outputs of 1e3 saturate the sigmoid; the direction is the same."""
    W = np.array([[1.0, 0.0, -1.0], [0.5, 1.0, -2.0]])
    W = W[:, 0] if n_classes == 2 else W
    X = np.array([[2.0, 1.0], [3.0, 0.5]])
    X_adv = NTKAttack(Linear(scale * W), eps=0.1, loss=loss, clip_values=None).generate(X)
    expected = NTKAttack(Linear(W), eps=0.1, loss=loss, clip_values=None).generate(X)
    assert (X_adv != X).all()
    if n_classes == 2 or loss != "cross_entropy":  # whose runner-up weights depend on scale
        np.testing.assert_allclose(X_adv, expected, rtol=1e-14)


# On data


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16, y


@pytest.fixture(scope="module")
def fc1(digits):
    X, y = digits
    return NTKClassifier("fc1").fit(X[:500], y[:500])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_whole_box_leaves_chance(digits, fc1, norm, loss):
    """Every image of the box is within reach of every other."""
    X, y = digits[0][1000:1100], digits[1][1000:1100]
    eps = 1.0 if norm == np.inf else 8.0
    attack = NTKAttack(None, eps=eps, norm=norm, loss=loss, method="pgd")
    chance = np.bincount(y).max() / len(y)
    assert fc1.score(X, y) > 0.9
    assert robust_accuracy_score(fc1, X, y, attack) <= chance


@pytest.mark.parametrize("norm, eps", [(np.inf, 0.1), (2, 0.8)])
def test_random_search_never_beats_pgd(digits, fc1, norm, eps):
    """Counted over 1,000 samples, where two of them are 0.2 percentage points."""
    X, y = digits[0][500:1500], digits[1][500:1500]
    rng = np.random.default_rng(0)
    found = fc1.predict(X) != y
    for _ in range(30):
        delta = rng.standard_normal(X.shape)
        if norm == np.inf:
            delta = eps * np.sign(delta)
        else:
            delta *= eps / np.linalg.norm(delta, axis=1, keepdims=True)
        found |= fc1.predict(np.clip(X + delta, 0, 1)) != y
    result = NTKAttack(fc1, norm=norm, method="pgd").run(X, y, epsilons=[eps])
    assert found.mean() > 1 - fc1.score(X, y)
    assert result.report.robust_accuracy[0] <= 1 - found.mean() + 0.002


@pytest.fixture(scope="module")
def surrogates(digits, fc1):
    """With the slack that training on the same data calls for: one sample in 500."""
    X, y = digits
    return [
        (NTKClassifier("two_layer", alpha=0.1).fit(X[1000:1500], y[1000:1500]), 0),
        (NTKClassifier("fc1").fit(X[1000:1500], y[1000:1500]), 0),
        (fc1.at_time(1.0), 0),
        (NTKClassifier("fc3").fit(X[:500], y[:500]), 0.0021),
    ]


@pytest.mark.parametrize("norm, eps", [(np.inf, 0.05), (2, 0.5)])
@pytest.mark.parametrize("method", ["fgsm", "pgd"])
def test_white_box_is_at_least_as_strong_as_transfer(digits, fc1, surrogates, norm, eps, method):
    X, y = digits[0][500:1000], digits[1][500:1000]
    params = {"eps": eps, "norm": norm, "method": method, "max_iter": 5}
    white_box = robust_accuracy_score(fc1, X, y, NTKAttack(None, **params))
    assert white_box < fc1.score(X, y)
    for surrogate, slack in surrogates:
        transfer = robust_accuracy_score(fc1, X, y, NTKAttack(surrogate, **params))
        assert white_box <= transfer + slack


# The report


def test_report_counts():
    """Right and flipped, right and robust, wrong; the gradient vanishes for two of five."""

    class Flat(Linear):
        def input_vjp(self, X, cotangents):
            return super().input_vjp(X, cotangents) * (X[:, 1:] < 0.75)

    X = np.array([[0.1, 0.0], [0.3, 0.0], [-0.3, 0.0], [0.1, 0.9], [-0.1, 0.9]])
    attack = NTKAttack(Flat(np.array([1.0, 0.0])), clip_values=None)
    result = attack.run(X, np.ones(5, int), epsilons=[0.2, 0.0, 0.4])
    report = result.report
    assert isinstance(result, AttackResult)
    assert (report.n_samples, report.n_misclassified) == (5, 2)
    assert (report.n_zero_gradient, report.n_not_finite) == (2, 0)
    assert report.n_flipped.tolist() == [1, 0, 2]
    np.testing.assert_allclose(report.robust_accuracy, [0.4, 0.6, 0.2])
    assert result.success.tolist() == [
        [True, False, True, False, True],
        [False, False, True, False, True],
        [True, True, True, False, True],
    ]
    np.testing.assert_array_equal(result.epsilons, [0.2, 0.0, 0.4])


class Broken(Linear):
    """Gives no finite output and no finite gradient beyond x_0 = 0.5."""

    def __init__(self, W, b=0.0, bad=np.nan):
        super().__init__(W, b)
        self.bad = bad

    def _break(self, X, values):
        values[np.asarray(X)[:, 0] > 0.5] = self.bad
        return values

    def decision_function(self, X):
        return self._break(X, super().decision_function(X))

    def input_vjp(self, X, cotangents):
        return self._break(X, super().input_vjp(X, cotangents))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("norm", NORMS)
def test_what_is_not_finite_is_counted_and_never_a_success(norm, n_classes, loss, bad):
    W = np.array([[1.0, 0.0, -1.0], [-1.0, 0.5, 2.0]])
    clf = Broken(W[:, 0] if n_classes == 2 else W, bad=bad)
    X = np.array([[0.9, 0.5], [0.45, 0.3], [0.1, 0.2]])
    for label in range(2):
        attack = NTKAttack(clf, norm=norm, loss=loss, method="pgd", clip_values=None)
        result = attack.run(X, np.full(3, label), epsilons=[0.1])
        assert np.isfinite(result.X_adv).all()
        assert result.report.n_not_finite == 1
        assert not result.success[0, 0]
        assert np.isfinite(clf.decision_function(result.X_adv[0, 1:])).all()


def test_a_sample_without_finite_outputs_is_not_counted_as_right():
    clf = Broken(np.array([1.0, 0.0]))
    X = np.array([[0.9, 0.5], [0.4, 0.3]])
    report = NTKAttack(clf).run(X, [1, 1], epsilons=[0.0]).report
    assert report.robust_accuracy[0] == 0.5


def test_without_time_to_train_there_is_no_gradient():
    problem = Problem(0)
    untrained = NTKClassifier("fc1", time=0.0).fit(problem.X, problem.y)
    result = NTKAttack(untrained, method="pgd").run(problem.X, problem.y, epsilons=[0.5])
    assert result.report.n_zero_gradient == len(problem.X)
    np.testing.assert_array_equal(result.X_adv[0], problem.X)


# The same result again


@given(
    seed=st.integers(0, 2**32 - 1),
    n_classes=st.sampled_from([2, 3, 4]),
    params=attacks,
    eps=budgets,
    batch_size=st.sampled_from([1, 3]),
)
def test_batches_do_not_change_the_result(seed, n_classes, params, eps, batch_size):
    problem = Problem(seed, n_classes=n_classes)
    X, y = problem.X[:4], problem.y[:4]
    whole, batched = (
        problem.attack(batch_size=size, **params).run(X, y, epsilons=[eps])
        for size in (None, batch_size)
    )
    np.testing.assert_allclose(batched.X_adv, whole.X_adv, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(batched.success, whole.success)
    for key in whole.report:
        np.testing.assert_array_equal(batched.report[key], whole.report[key])


def test_random_starts_follow_the_random_state():
    problem = Problem(1)
    params = {"eps": 0.3, "method": "pgd", "num_random_init": 2}
    first, again, other = (
        problem.attack(random_state=state, **params).generate(problem.X, problem.y)
        for state in (0, np.random.RandomState(0), 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_random_starts_escape_where_there_is_no_gradient():
    """Flat around the sample, lower beyond: only a start elsewhere sees the slope."""

    class Plateau(Linear):
        def decision_function(self, X):
            return 1 - np.maximum(np.abs(np.asarray(X)[:, 0]) - 0.5, 0)

        def input_vjp(self, X, cotangents):
            return cotangents[:, None] * np.where(np.abs(X) > 0.5, -np.sign(X), 0)

    X, y = np.zeros((20, 1)), np.ones(20, int)
    params = {"eps": 2.0, "clip_values": None, "random_state": 0}
    for method in ("fgsm", "pgd"):
        attack = NTKAttack(Plateau([1.0]), method=method, **params)
        alone = attack.run(X, y, epsilons=[2.0])
        assert alone.report.n_zero_gradient == 20
        np.testing.assert_array_equal(alone.X_adv[0], X)
        helped = clone(attack).set_params(num_random_init=8).run(X, y, epsilons=[2.0])
        assert helped.success.all()


# Labels


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_without_labels_the_own_predictions_are_attacked(n_classes, loss):
    problem = Problem(2, n_classes=n_classes)
    attack = problem.attack(eps=0.2, loss=loss, method="pgd", num_random_init=1)
    own = problem.clf.predict(problem.X)
    np.testing.assert_array_equal(attack.generate(problem.X), attack.generate(problem.X, own))


def test_the_label_free_loss_takes_no_direction_from_labels():
    problem = Problem(3)
    attack = problem.attack(eps=0.2, loss="linear", method="pgd")
    expected = attack.generate(problem.X)
    assert (expected != problem.X).all(axis=1).any()
    for shift in range(3):
        y = (problem.y + shift) % 3
        wrong = problem.clf.predict(problem.X) != y
        X_adv = attack.generate(problem.X, y)
        np.testing.assert_array_equal(X_adv[~wrong], expected[~wrong])
        # An example that has been misclassified from the start may not be led home.
        assert (problem.clf.predict(X_adv)[wrong] != y[wrong]).all()


@pytest.mark.parametrize("loss", ["linear", "cross_entropy", "sum_delta", "max_l1"])
@pytest.mark.parametrize("method", ["fgsm", "pgd"])
def test_a_budget_gains_from_those_it_contains_and_from_nothing_else(loss, method):
    problem = Problem(3)
    attack = problem.attack(loss=loss, method=method, clip_values=None)
    y = (problem.y + (np.arange(len(problem.y)) % 3 == 0)) % 3  # a third of them wrong
    clean = problem.clf.score(problem.X, y)
    alone = attack.run(problem.X, y, epsilons=[0.3])
    among = attack.run(problem.X, y, epsilons=[0.5, 0.3, 0.1, 0.05])
    assert (among.success[1] >= alone.success[0]).all()
    assert (alone.report.robust_accuracy <= clean).all()
    assert (among.report.robust_accuracy <= clean).all()
    above = attack.run(problem.X, y, epsilons=[0.3, 0.5])
    np.testing.assert_array_equal(above.X_adv[0], alone.X_adv[0])


@pytest.mark.parametrize(
    "labels",
    [["spam", "eggs", "ham"], [-(2**62) - 1, 2**40, 2**62 + 1], [-1.0, 0.5e1, 7.0]],
    ids=["strings", "huge integers", "floats"],
)
def test_labels_of_any_type(labels):
    problem = Problem(4)
    labels = np.array(labels)
    X, y = problem.clf.X_fit_, np.arange(12) % 3
    plain = NTKClassifier("fc1").fit(X, y)
    named = NTKClassifier("fc1").fit(X, np.sort(labels)[y])
    expected = NTKAttack(plain, eps=0.2).generate(problem.X, problem.y)
    for given_as in (np.asarray, list, pd.Series):
        X_adv = NTKAttack(named, eps=0.2).generate(problem.X, given_as(np.sort(labels)[problem.y]))
        np.testing.assert_array_equal(X_adv, expected)


# Containers


@pytest.mark.parametrize(
    "as_given",
    [
        np.asfortranarray,
        lambda X: np.repeat(X, 2, axis=0)[::2],
        lambda X: np.repeat(X, 2, axis=1)[:, ::2],
        lambda X: np.ascontiguousarray(X[::-1])[::-1],
        lambda X: X.tolist(),
        lambda X: np.require(X, requirements="O"),
    ],
    ids=["Fortran", "row stride", "column stride", "negative stride", "lists", "owned"],
)
def test_any_layout_gives_the_same_and_is_left_alone(as_given):
    problem = Problem(5)
    attack = problem.attack(eps=0.2, method="pgd", num_random_init=1)
    expected = attack.generate(problem.X, problem.y)
    X = as_given(problem.X.copy())
    if isinstance(X, np.ndarray):
        X.flags.writeable = False
    np.testing.assert_array_equal(attack.generate(X, problem.y), expected)
    np.testing.assert_array_equal(X, problem.X)


@pytest.mark.parametrize("dtype", [np.float16, np.int64, np.uint8, bool])
def test_other_dtypes_are_attacked_in_float64(dtype):
    problem = Problem(6)
    X = (problem.X > 0.5).astype(dtype)
    X_adv = problem.attack(eps=0.25).generate(X, problem.y)
    assert X_adv.dtype == np.float64
    np.testing.assert_array_equal(
        X_adv, problem.attack(eps=0.25).generate(X.astype(float), problem.y)
    )


def test_data_frames():
    """Names are checked against those of the fit, once, and no warning is given."""
    problem = Problem(7)
    names = [f"pixel {j}" for j in range(problem.X.shape[1])]
    frame = pd.DataFrame(problem.X, columns=names, index=list("abcdefgh"))
    for clf in (NTKClassifier("fc1"), make_pipeline(StandardScaler(), NTKClassifier("fc1"))):
        clf.fit(pd.DataFrame(problem.clf.X_fit_, columns=names), np.arange(12) % 3)
        attack = NTKAttack(clf, eps=0.2, method="pgd", max_iter=2)
        X_adv = attack.generate(frame, pd.Series(problem.y, index=frame.index))
        assert isinstance(X_adv, np.ndarray)
        plain = clone(clf).fit(problem.clf.X_fit_, np.arange(12) % 3)
        expected = NTKAttack(plain, eps=0.2, method="pgd", max_iter=2)
        np.testing.assert_array_equal(X_adv, expected.generate(problem.X, problem.y))
        with pytest.raises(ValueError, match="feature names"):
            attack.generate(frame.rename(columns={"pixel 0": "other"}), problem.y)
        with pytest.raises(ValueError, match="feature names"):
            attack.generate(frame[names[::-1]], problem.y)


def test_float32_arrays_and_frames_stay_float32():
    problem = Problem(8, dtype=np.float32)
    attack = problem.attack(eps=0.2)
    assert attack.generate(problem.X, problem.y).dtype == np.float32
    assert attack.generate(pd.DataFrame(problem.X).to_numpy(), problem.y).dtype == np.float32


# Budgets and steps


@pytest.mark.parametrize("order", [[0.1, 0.3], [0.3, 0.1]])
def test_results_are_in_the_order_of_the_budgets(order):
    problem = Problem(9)
    result = problem.attack().run(problem.X, problem.y, epsilons=order)
    for eps, X_adv in zip(order, result.X_adv, strict=True):
        assert within(X_adv, problem.X, eps, np.inf)
        assert np.abs(X_adv - problem.X).max() > 0.9 * eps
    np.testing.assert_array_equal(result.epsilons, order)


def test_a_run_without_budgets_has_that_of_the_attack():
    problem = Problem(9)
    attack = problem.attack(eps=0.2)
    result = attack.run(problem.X, problem.y)
    np.testing.assert_array_equal(result.epsilons, [0.2])
    np.testing.assert_array_equal(result.X_adv[0], attack.generate(problem.X, problem.y))


def test_scalar_and_vector_budgets_mix():
    problem = Problem(10)
    d = problem.X.shape[1]
    epsilons = [0.1, np.linspace(0.1, 0.2, d), 0.3]
    result = problem.attack().run(problem.X, problem.y, epsilons=epsilons)
    assert len(result.epsilons) == 3
    for eps, X_adv in zip(epsilons, result.X_adv, strict=True):
        np.testing.assert_allclose(
            X_adv, problem.attack(eps=eps).generate(problem.X, problem.y), atol=0.5
        )
        assert within(X_adv, problem.X, eps, np.inf)


def test_an_image_shaped_budget_is_one_value_a_feature():
    X = np.full((1, 4), 0.5)
    eps = np.array([[0.1, 0.0], [0.2, 0.3]])
    X_adv = NTKAttack(Linear(-np.ones(4)), eps=eps).generate(X, [0])
    np.testing.assert_allclose(X_adv, X - eps.ravel())


@pytest.mark.parametrize("norm, length", [(np.inf, 0.01), (2, 0.01)])
def test_eps_step_and_max_iter_are_the_path_of_pgd(norm, length):
    """On a linear model k steps of size s go k s far; FGSM is offered first, so hide it."""

    class Hill(Linear):
        """Rises to x = 0.05 and falls again, so that the full step is no use."""

        def decision_function(self, X):
            x = np.asarray(X)[:, 0]
            return np.where(x < 0.05, x, 0.1 - x) - 1

        def input_vjp(self, X, cotangents):
            return cotangents[:, None] * np.where(X < 0.05, 1.0, -1.0)

    attack = NTKAttack(Hill([1.0]), method="pgd", norm=norm, clip_values=None)
    for n_steps in (1, 3):
        attack.set_params(eps=0.2, eps_step=length, max_iter=n_steps)
        np.testing.assert_allclose(attack.generate([[0.0]], [0]), [[n_steps * length]])
    attack.set_params(eps_step=None, max_iter=10, eps=0.12)
    np.testing.assert_allclose(attack.generate([[0.0]], [0]), [[0.06]], atol=1e-15)


# Parameters and state


def test_an_attack_changes_neither_its_estimator_nor_itself():
    problem = Problem(11)
    before = {k: np.copy(v) for k, v in vars(problem.clf).items() if isinstance(v, np.ndarray)}
    attack = problem.attack(method="pgd", num_random_init=1, eps=np.full(problem.X.shape[1], 0.1))
    params = attack.get_params(deep=False)
    attack.run(problem.X, problem.y, epsilons=[0.2])
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(problem.clf, name), value)
    after = attack.get_params(deep=False)
    assert all(after[name] is params[name] for name in params)


def test_progress_goes_to_stderr(capsys):
    problem = Problem(12)
    problem.attack(verbose=1, batch_size=4).generate(problem.X, problem.y)
    shown = capsys.readouterr()
    assert "Attacking" in shown.err
    assert shown.out == ""


def test_an_interrupt_surfaces():
    class Interrupted(Linear):
        def input_vjp(self, X, cotangents):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        NTKAttack(Interrupted(np.ones(2))).generate([[0.5, 0.5]], [1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_global_precision_flag_is_neither_heard_nor_changed(dtype):
    before, results = jax.config.jax_enable_x64, []
    problem = Problem(13, dtype=dtype)
    try:
        for flag in (True, False):
            jax.config.update("jax_enable_x64", flag)
            clf = clone(problem.clf).fit(problem.X, np.arange(8) % 2)
            results.append(NTKAttack(clf, eps=0.1, method="pgd").generate(problem.X))
            assert jax.config.jax_enable_x64 is flag
    finally:
        jax.config.update("jax_enable_x64", before)
    assert results[0].dtype == dtype
    np.testing.assert_array_equal(*results)


# Bad input: one clear error


BAD_PARAMETERS = {
    "eps negative": ({"eps": -0.1}, ValueError, r"eps=-0\.1 .*at least 0"),
    "eps nan": ({"eps": np.nan}, ValueError, r"eps=nan .*at least 0"),
    "eps infinite": ({"eps": np.inf}, ValueError, r"eps=inf .*finite"),
    "eps string": ({"eps": "8/255"}, TypeError, r"eps must be a real number, got '8/255'"),
    "eps None": ({"eps": None}, TypeError, r"eps must be a real number, got None"),
    "eps bool": ({"eps": True}, TypeError, r"eps must be a real number, got True"),
    "eps complex": ({"eps": 1j}, TypeError, r"eps must be a real number, got 1j"),
    "eps of wrong length": ({"eps": [0.1, 0.2]}, ValueError, r"eps has 2 values for 3 features"),
    "eps of strings": ({"eps": ["a", "b", "c"]}, TypeError, r"eps must be numeric"),
    "eps vector negative": ({"eps": [0.1, -0.2, 0.3]}, ValueError, r"eps.*-0\.2.*at least 0"),
    "eps vector nan": ({"eps": [0.1, np.nan, 0.3]}, ValueError, r"eps.*nan.*finite"),
    "norm 1": ({"norm": 1}, ValueError, r"norm=1 .*np\.inf or 2"),
    "norm string": ({"norm": "l1"}, ValueError, r"norm='l1' .*np\.inf or 2"),
    "norm nan": ({"norm": np.nan}, ValueError, r"norm=nan .*np\.inf or 2"),
    "norm array": ({"norm": np.array([1, 2])}, ValueError, r"norm=array.* .*np\.inf or 2"),
    "method": ({"method": "cw"}, ValueError, r"method='cw' .*'square', 'auto'"),
    "loss": ({"loss": "mse"}, ValueError, r"loss='mse' .*'cross_entropy'.*'sum_delta'"),
    "loss None": ({"loss": None}, ValueError, r"loss=None .*'cross_entropy'"),
    "eps_step negative": ({"eps_step": -1}, ValueError, r"eps_step=-1 .*at least 0"),
    "eps_step nan, pgd": ({"eps_step": np.nan, "method": "pgd"}, ValueError, r"eps_step=nan"),
    "eps_step length": ({"eps_step": [1, 2]}, ValueError, r"eps_step has 2 values for 3"),
    "max_iter 0": ({"max_iter": 0}, ValueError, r"max_iter=0 .*at least 1"),
    "max_iter float": ({"max_iter": 10.0}, TypeError, r"max_iter must be an integer, got 10\.0"),
    "n_queries 0": ({"n_queries": 0}, ValueError, r"n_queries=0 .*at least 1"),
    "n_queries float": ({"n_queries": 5e3}, TypeError, r"n_queries must be an integer"),
    "num_random_init": ({"num_random_init": -1}, ValueError, r"num_random_init=-1 .*at least 0"),
    "batch_size": ({"batch_size": 0}, ValueError, r"batch_size=0 .*at least 1"),
    "batch_size float": ({"batch_size": 2.5}, TypeError, r"batch_size must be an integer"),
    "random_state": ({"random_state": "a"}, ValueError, r"'a'.*seed"),
    "targeted string": ({"targeted": "no"}, TypeError, r"targeted.*'no'"),
    "verbose string": ({"verbose": "no"}, TypeError, r"verbose.*'no'"),
    "clip_values number": ({"clip_values": 1.0}, ValueError, r"clip_values=1\.0 .*\(low, high\)"),
    "clip_values triple": ({"clip_values": (0, 1, 2)}, ValueError, r"clip_values=\(0, 1, 2\)"),
    "clip_values order": ({"clip_values": (1, 0)}, ValueError, r"clip_values=\(1, 0\) .*low"),
    "clip_values nan": ({"clip_values": (np.nan, 1)}, ValueError, r"clip_values\[0\]=nan"),
    "clip_values inf": ({"clip_values": (0, np.inf)}, ValueError, r"clip_values\[1\]=inf .*finite"),
    "clip_values strings": ({"clip_values": ("0", "1")}, TypeError, r"clip_values\[0\].*'0'"),
    "clip_values length": ({"clip_values": (0, [1, 1])}, ValueError, r"clip_values\[1\] has 2"),
    "clip_values vector nan": (
        {"clip_values": (0, [1, np.nan, 1])},
        ValueError,
        r"clip_values\[1\].*nan.*finite",
    ),
    "targeted, label-free": (
        {"targeted": True, "loss": "linear"},
        ValueError,
        r"loss='linear' .*targeted; use loss='cross_entropy'",
    ),
}


def three_features():
    rng = np.random.default_rng(0)
    X, y = rng.random((12, 3)), np.arange(12) % 3
    return NTKClassifier("fc1").fit(X, y), X, y


class NoGradient(NTKClassifier):
    """Fails the test if an attack gets so far as to ask for a gradient."""

    def linearize(self, X):
        raise AssertionError("heavy work before the parameters were checked")


@pytest.mark.parametrize("case", BAD_PARAMETERS)
def test_wrong_parameters(case):
    params, error, message = BAD_PARAMETERS[case]
    _, X, y = three_features()
    clf = NoGradient("fc1").fit(X, y)
    with pytest.raises(error, match=f"(?s){message}"):
        NTKAttack(clf, **params).generate(X, y)


@pytest.mark.parametrize(
    "epsilons, error, message",
    [
        ([], ValueError, "epsilons is empty.*at least one"),
        (0.1, TypeError, "epsilons.*0.1"),
        ([0.1, -1], ValueError, "eps.*-1.*at least 0"),
        ([0.1, [0.1, 0.2]], ValueError, "eps.* has 2 values for 3 features"),
    ],
)
def test_wrong_budgets(epsilons, error, message):
    clf, X, y = three_features()
    with pytest.raises(error, match=message):
        NTKAttack(clf).run(X, y, epsilons=epsilons)


def corrupt(X, value, row=7):
    X = X.copy()
    X[row, 1] = value
    return X


BAD_SAMPLES = {
    "nan": (lambda X: corrupt(X, np.nan), ValueError, "X contains NaN"),
    "nan in the first": (lambda X: corrupt(X, np.nan, 0), ValueError, "X contains NaN"),
    "inf": (lambda X: corrupt(X, np.inf), ValueError, "X contains infinity"),
    "vector": (lambda X: X[0], ValueError, "Expected 2D array, got 1D"),
    "images": (lambda X: X[:, :, None], ValueError, r"one sample a row: X\.reshape"),
    "scalar": (lambda X: 0.5, ValueError, "Expected 2D array, got scalar"),
    "None": (lambda X: None, (ValueError, TypeError), "X|2D"),
    "no samples": (lambda X: X[:0], ValueError, "0 sample"),
    "missing feature": (lambda X: X[:, :2], ValueError, "2 features, but.*expecting 3"),
    "sparse matrix": (scipy.sparse.csr_matrix, TypeError, r"[Ss]parse.*toarray"),
    "sparse array": (scipy.sparse.coo_array, TypeError, r"[Ss]parse.*toarray"),
    "strings": (lambda X: np.full(X.shape, "a"), ValueError, "could not convert string"),
    "complex": (lambda X: X + 1j, ValueError, "[Cc]omplex"),
    "pixels": (lambda X: (255 * X).astype(np.uint8), ValueError, r"clip_values=\(0.0, 1.0\); div"),
    "float pixels": (lambda X: 255 * X, ValueError, r"outside clip_values.*divide X by 255"),
    "below": (lambda X: X - 1, ValueError, r"X lies in \[-.*outside clip_values=\(0.0, 1.0\)"),
    "just above": (lambda X: corrupt(X, 1 + 1e-9), ValueError, "outside clip_values"),
}


@pytest.mark.parametrize("case", BAD_SAMPLES)
def test_wrong_samples(case):
    spoil, error, message = BAD_SAMPLES[case]
    clf, X, y = three_features()
    with pytest.raises(error, match=f"(?s){message}"):
        NTKAttack(clf).generate(spoil(X), y)


BAD_LABELS = {
    "unseen": (lambda y: y + 1, r"never saw: \[3\]; it knows \[0, 1, 2\]"),
    "unseen strings": (lambda y: [f"{label}" for label in y], r"never saw: \['0', '1', '2'\]"),
    "mixed types": (lambda y: np.array([0, "a", 2] * 4, object), r"never saw: \['a'"),
    "nan": (lambda y: np.where(y == 0, np.nan, y), r"never saw: \[nan\]"),
    "too few": (lambda y: y[:5], "12 samples and y has 5"),
    "one-hot": (lambda y: np.eye(3)[y], "1d array"),
    "scalar": (lambda y: 1, "1d array"),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_wrong_labels(case):
    spoil, message = BAD_LABELS[case]
    clf, X, y = three_features()
    with pytest.raises(ValueError, match=message):
        NTKAttack(clf).generate(X, spoil(y))


def test_a_targeted_attack_needs_targets():
    clf, X, _ = three_features()
    with pytest.raises(ValueError, match="targeted=True needs y"):
        NTKAttack(clf, targeted=True).generate(X)


@pytest.mark.parametrize(
    "estimator, error, message",
    [
        (None, ValueError, "estimator=None.*make_robust_scorer"),
        (NTKClassifier(), NotFittedError, "not fitted"),
        (make_pipeline(StandardScaler(), NTKClassifier()), NotFittedError, "not fitted"),
        ("fc1", TypeError, "fc1"),
        (NTKClassifier, TypeError, "class"),
    ],
    ids=["None", "not fitted", "pipeline not fitted", "string", "class"],
)
def test_wrong_estimators(estimator, error, message):
    _, X, y = three_features()
    with pytest.raises(error, match=message):
        NTKAttack(estimator).generate(X, y)


def test_estimators_without_a_gradient():
    _, X, y = three_features()
    with pytest.raises(TypeError, match=r"KNeighborsClassifier\(\).*input_vjp"):
        NTKAttack(KNeighborsClassifier().fit(X, y)).generate(X, y)
    precomputed = NTKClassifier("precomputed").fit(X @ X.T + np.eye(12), y)
    # Before anything that is said of the box, the shape or a missing gradient.
    for inputs, method in ((X @ X.T, "fgsm"), (9 * X, "pgd"), (X[None], "square")):
        with pytest.raises(ValueError, match=r"kernel='precomputed' .*skntk\.kernels"):
            NTKAttack(precomputed, method=method).generate(inputs, y)


def test_names_from_a_numpy_grid():
    """ParameterGrid over an array gives np.str_, which is a str."""
    clf, X, y = three_features()
    attack = NTKAttack(clf, method=np.str_("pgd"), loss=np.str_("max_l1"), norm=np.float32(2))
    assert attack.generate(X, y).shape == X.shape


def test_clone_keeps_every_parameter():
    attack = NTKAttack(None, eps=np.array([0.1, 0.2]), norm=2, clip_values=None)
    copy = clone(attack)
    np.testing.assert_array_equal(copy.eps, attack.eps)
    assert (copy.norm, copy.clip_values) == (2, None)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("norm", [np.inf, 2])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("method", METHODS)
def test_the_error_state_of_numpy_does_not_matter(norm, method, loss, dtype):
    problem = Problem(3)
    X = problem.X.astype(dtype)
    X[0] = 0
    attack = problem.attack(eps=0.2, norm=norm, loss=loss, method=method, num_random_init=1)
    low = min(0.0, float(X.min()))
    attack.set_params(clip_values=(low, float(X.max())), random_state=0)
    expected = attack.generate(X, problem.y)
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(attack.generate(X, problem.y), expected)
        attack.run(X, problem.y, epsilons=[0.0, 1e-300, 0.2])


@pytest.mark.parametrize(("name", "number"), [("l2", 2), ("Linf", np.inf)])
def test_norms_by_their_names(digits, fc1, name, number):
    X, y = digits[0][500:520], digits[1][500:520]
    for method in ("pgd", "auto"):
        found, expected = (
            NTKAttack(
                fc1, eps=0.3, norm=norm, method=method, max_iter=3, n_queries=5, random_state=0
            ).generate(X, y)
            for norm in (name, number)
        )
        np.testing.assert_array_equal(found, expected)


def test_a_result_is_summarised_in_a_line(digits, fc1):
    X, y = digits[0][500:520], digits[1][500:520]
    result = NTKAttack(fc1).run(X, y, epsilons=[0.05, np.full(64, 0.1)])
    assert len(repr(result)) < 300
    assert "n_samples=20" in repr(result)
    assert f"{result.robust_accuracy[0]}" in repr(result)
