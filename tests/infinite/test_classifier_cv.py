"""Leave-one-out in closed form against refitting without each sample."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import LeaveOneOut

from skntk import NTKAttack, NTKClassifier, NTKClassifierCV
from skntk._utils.targets import encode_targets, one_hot_or_sign
from skntk.infinite._leave_one_out import LeaveOneOut as HeldOut
from skntk.infinite._leave_one_out import LeaveOneOutMachine
from skntk.kernels import FullyConnectedNTK
from skntk.solvers import Weighting, eigendecompose


def samples(n_classes=3, n=24, d=4):
    rng = np.random.default_rng(n_classes)
    X = rng.random((n, d))
    return X, np.argsort(X[:, 0] + 0.2 * rng.random(n)) % n_classes


def refits(X, y, **params):
    """For each sample, the machine trained without it, and the sample."""
    for others, [i] in LeaveOneOut().split(X):
        yield i, NTKClassifier("fc1", **params).fit(X[others], y[others])


@pytest.mark.parametrize("alpha", [0.0, 0.1, 10.0])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_outputs_are_those_of_refits(n_classes, alpha):
    X, y = samples(n_classes)
    targets = one_hot_or_sign(encode_targets(y)[1], n_classes, X.dtype)
    spectrum = eigendecompose(FullyConnectedNTK(1)(X))
    outputs = HeldOut(spectrum, targets).outputs(np.inf, alpha)
    for i, clf in refits(X, y, alpha=alpha):
        assert_allclose(outputs[i], np.ravel(clf.decision_function(X[[i]])), atol=1e-8)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_machines_and_their_gradients_are_those_of_refits(n_classes):
    """Also at points other than the samples, which attacks evaluate."""
    X, y = samples(n_classes)
    classes, indices = encode_targets(y)
    targets = one_hot_or_sign(indices, n_classes, X.dtype)
    kernel, alpha = FullyConnectedNTK(1), 0.1
    coefficients = HeldOut(eigendecompose(kernel(X)), targets).coefficients(np.inf, alpha)
    machine = LeaveOneOutMachine(kernel, X, coefficients, classes)
    moved = X + 0.1
    cotangents = np.random.default_rng(0).standard_normal(machine.decision_function(moved).shape)
    gradient = machine.input_vjp(moved, cotangents)
    outputs, pullback = machine.linearize(moved)
    assert_allclose(outputs, machine.decision_function(moved).reshape(len(X), -1), atol=1e-10)
    assert_allclose(pullback(cotangents.reshape(len(X), -1)), gradient, atol=1e-10)
    for i, clf in refits(X, y, alpha=alpha):
        row = moved[[i]]
        expected = clf.decision_function(row)
        assert_allclose(machine.decision_function(moved)[[i]], expected, atol=1e-9)
        assert_allclose(gradient[[i]], clf.input_vjp(row, cotangents[[i]]), atol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_scores_are_leave_one_out_accuracies(n_classes):
    X, y = samples(n_classes)
    alphas = [1e-2, 1.0, 100.0]
    clf = NTKClassifierCV("fc1", alphas=alphas).fit(X, y)
    for alpha, score in zip(alphas, clf.scores_[:, 0], strict=True):
        right = [fit.predict(X[[i]])[0] == y[i] for i, fit in refits(X, y, alpha=alpha)]
        assert score == pytest.approx(np.mean(right))
    assert clf.best_score_ == clf.scores_.max()
    assert clf.alpha_ == alphas[np.argmax(clf.scores_)]
    assert clf.time_ == np.inf
    chosen = NTKClassifier("fc1", alpha=clf.alpha_, solver="eigh").fit(X, y)
    assert_array_equal(clf.dual_coef_, chosen.dual_coef_)


@pytest.mark.parametrize("method", ["fgsm", "pgd"])
def test_robust_scores_are_those_of_attacks_on_refits(method):
    X, y = samples(3)
    attack = NTKAttack(None, eps=0.1, method=method)
    clf = NTKClassifierCV("fc1", alphas=[0.1, 10.0], attack=attack).fit(X, y)
    for alpha, score in zip([0.1, 10.0], clf.scores_[:, 0], strict=True):
        right = [
            fit.predict(NTKAttack(fit, eps=0.1, method=method).generate(X[[i]], y[[i]]))[0] == y[i]
            for i, fit in refits(X, y, alpha=alpha)
        ]
        assert score == pytest.approx(np.mean(right))
    clean = NTKClassifierCV("fc1", alphas=[0.1, 10.0]).fit(X, y)
    assert (clf.scores_ <= clean.scores_).all()
    assert attack.estimator is None


@pytest.mark.parametrize("method", ["apgd", "square", "auto"])
def test_attacks_that_leave_samples_out_meet_each_at_its_own_machine(method):
    rng = np.random.default_rng(16)
    X = rng.random((16, 4))
    y = np.argsort(X[:, 0] + 0.6 * rng.random(16)) % 3
    options = {"eps": 0.05, "method": method, "random_state": 0, "n_queries": 30, "max_iter": 10}
    clf = NTKClassifierCV("fc1", alphas=[0.1], attack=NTKAttack(None, **options)).fit(X, y)
    right = [
        fit.predict(NTKAttack(fit, **options).generate(X[[i]], y[[i]]))[0] == y[i]
        for i, fit in refits(X, y, alpha=0.1)
    ]
    assert clf.best_score_ == pytest.approx(np.mean(right))


def gram_of(name):
    """Regular and singular Gram matrices, and targets."""
    X = np.random.default_rng(0).standard_normal((24, 3))
    kernel = FullyConnectedNTK(1)
    if name == "every sample twice":
        X = np.repeat(X[:12], 2, axis=0)
    elif name == "some samples twice":
        X[1:6:2] = X[:6:2]
    elif name == "linear":
        kernel, X = FullyConnectedNTK(0, bias_std=0.0), X[:, :2]
    return kernel(X), np.sign(np.random.default_rng(1).standard_normal((24, 2)))


@pytest.mark.parametrize("alpha", [0.0, 0.1, 3.0])
@pytest.mark.parametrize("time", [0.0, 0.01, 0.5, 5.0, 100.0, 1e18, np.inf])
@pytest.mark.parametrize("name", ["regular", "every sample twice", "some samples twice", "linear"])
def test_every_matrix_time_and_ridge_as_refits(name, time, alpha):
    K, Y = gram_of(name)
    held_out = HeldOut(eigendecompose(K.copy()), Y)
    outputs, coefficients = held_out.outputs(time, alpha), held_out.coefficients(time, alpha)
    for others, [i] in LeaveOneOut().split(K):
        spectrum = eigendecompose(K[np.ix_(others, others)].copy())
        refit = spectrum.coefficients(Y[others], time, alpha)
        assert_allclose(outputs[i], K[i, others] @ refit, atol=1e-9)
        assert_allclose(K @ coefficients[i], K[:, others] @ refit, atol=1e-9)


def test_predicts_and_is_attacked_like_any_machine():
    X, y = samples()
    labels = np.array(["a", "b", "c"])[y]
    clf = NTKClassifierCV("fc1").fit(X, labels)
    assert set(clf.predict(X)) <= {"a", "b", "c"}
    assert clf.score(NTKAttack(clf, eps=0.3).generate(X, labels), labels) < clf.score(X, labels)
    gram = FullyConnectedNTK(1)(X)
    precomputed = NTKClassifierCV("precomputed").fit(gram, labels)
    assert_allclose(precomputed.scores_, clf.scores_)
    assert_array_equal(precomputed.predict(gram), clf.predict(X))


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"alphas": []}, ValueError, "alphas is empty"),
        ({"alphas": [-1.0]}, ValueError, "alphas=-1.0"),
        ({"alphas": ["a"]}, TypeError, "alphas.*'a'"),
        ({"times": [np.nan]}, ValueError, "times=nan"),
        ({"attack": 0.1}, TypeError, "attack=0.1 is not an attack"),
        ({"attack": NTKAttack}, TypeError, "is not an attack; give NTKAttack.None"),
        ({"attack": NTKAttack(NTKClassifier())}, ValueError, "give NTKAttack.None"),
        ({"attack": NTKAttack(None, targeted=True)}, ValueError, "targeted=True"),
        ({"attack": NTKAttack(None), "kernel": "precomputed"}, ValueError, "no input to attack"),
    ],
    ids=lambda value: None if not isinstance(value, dict) else "-".join(value),
)
def test_wrong_parameters(params, error, message):
    X, y = samples()
    X = X @ X.T if params.get("kernel") == "precomputed" else X
    with pytest.raises(error, match=message):
        NTKClassifierCV(**params).fit(X, y)


WEIGHTS = np.random.default_rng(7).choice([0.0, 0.4, 1.0, 2.5], 24)


@pytest.mark.parametrize("time", [0.1, 5.0, np.inf])
@pytest.mark.parametrize("alpha", [0.0, 0.1, 10.0])
def test_weighted_outputs_and_machines_are_those_of_weighted_refits(time, alpha):
    X, y = samples(3)
    w = np.where(WEIGHTS > 0, WEIGHTS, 0.7)
    S = Weighting.from_weights(w, float)
    spectrum = eigendecompose(S.matrix(FullyConnectedNTK(1)(X)))
    held_out = HeldOut(spectrum, np.eye(3)[y], S)
    outputs, coefficients = held_out.outputs(time, alpha), held_out.coefficients(time, alpha)
    for others, [i] in LeaveOneOut().split(X):
        clf = NTKClassifier("fc1", time=time, alpha=alpha).fit(X[others], y[others], w[others])
        assert_allclose(outputs[[i]], clf.decision_function(X[[i]]), atol=1e-8)
        assert_allclose(coefficients[i, others], clf.dual_coef_, atol=1e-8)
        assert_allclose(coefficients[i, i], 0, atol=1e-8)


@pytest.mark.parametrize("precomputed", [False, True])
def test_weighted_scores_leave_out_samples_of_weight_0(precomputed):
    X, y = samples(3)
    kept = WEIGHTS > 0
    K = FullyConnectedNTK(1)(X)
    kernel, data = ("precomputed", K) if precomputed else ("fc1", X)
    clf = NTKClassifierCV(kernel, alphas=[0.1, 10.0], class_weight={0: 2.0})
    clf.fit(data, y, WEIGHTS)
    w = WEIGHTS * np.where(y == 0, 2, 1)
    for alpha, score in zip([0.1, 10.0], clf.scores_[:, 0], strict=True):
        right = []
        for i in np.flatnonzero(kept):
            weights = np.where(np.arange(24) == i, 0, w)
            fit = NTKClassifier("fc1", alpha=alpha).fit(X, y, weights)
            right.append(fit.predict(X[[i]])[0] == y[i])
        assert score == pytest.approx(np.average(right, weights=w[kept]))
    chosen = NTKClassifier(kernel, alpha=clf.alpha_, solver="eigh").fit(data, y, w)
    assert_allclose(clf.dual_coef_, chosen.dual_coef_, atol=1e-10)
    assert_allclose(clf.predict(data), chosen.predict(data))


def test_weighted_robust_scores():
    X, y = samples(2)
    attack = NTKAttack(None, eps=0.05, method="pgd")
    clf = NTKClassifierCV("fc1", alphas=[0.1], attack=attack).fit(X, y, WEIGHTS)
    kept = np.flatnonzero(WEIGHTS > 0)
    right = []
    for i in kept:
        weights = np.where(np.arange(24) == i, 0, WEIGHTS)
        fit = NTKClassifier("fc1", alpha=0.1).fit(X, y, weights)
        result = NTKAttack(fit, eps=0.05, method="pgd").run(X[[i]], y[[i]], epsilons=[0.05])
        right.append(not result.success[0, 0])
    assert clf.best_score_ == pytest.approx(np.average(right, weights=WEIGHTS[kept]))
