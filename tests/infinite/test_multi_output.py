"""Kernels between all outputs, (n k, n k), in the classifier and under attack (Eq. 37-40)."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")

from flax import linen as nn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skntk import NTKAttack, NTKClassifier
from skntk.kernels import EmpiricalNTK, FullyConnectedNTK


class MLP(nn.Module):
    n_outputs: int = 3

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.n_outputs)(nn.tanh(nn.Dense(16)(x)))


def samples(n_classes=3, n=30, d=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.random((n, d))
    return X, np.argsort(X[:, 0]) % n_classes


def params_of(module, d=4):
    return module.init(jax.random.key(0), jnp.ones((1, d)))["params"]


def empirical(n_outputs=3, **options):
    module = MLP(n_outputs)
    return EmpiricalNTK(module, params_of(module), **options)


def fitted(n_classes=3, **params):
    X, y = samples(n_classes)
    kernel = empirical(1 if n_classes == 2 else n_classes)
    return NTKClassifier(kernel, multi_output=True, alpha=0.1, **params).fit(X, y), X, y


def one_hot(y):
    return np.eye(3)[y] if y.max() > 1 else (2.0 * y - 1)[:, None]


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("solver", ["cholesky", "eigh", "cg"])
def test_outputs_are_those_of_the_whole_kernel(n_classes, solver):
    clf, X, y = fitted(n_classes, solver=solver, random_state=0)
    kernel, targets, points = clf.kernel_, one_hot(y), samples(seed=1, n=7)[0]
    gram = kernel.full(X)
    A = np.linalg.solve(gram + 0.1 * np.eye(len(gram)), targets.ravel())
    expected = (kernel.full(points, X) @ A).reshape(7, -1)
    assert_allclose(clf.decision_function(points).reshape(7, -1), expected, atol=1e-6)
    assert clf.dual_coef_.shape == targets.shape


def test_the_trace_is_another_machine():
    clf, X, y = fitted()
    trace = clone(clf).set_params(multi_output=False).fit(X, y)
    assert np.abs(trace.decision_function(X) - clf.decision_function(X)).max() > 1e-3


@pytest.mark.parametrize("time", [0.0, 0.5, np.inf])
def test_times_follow_the_flow(time):
    clf, X, y = fitted(solver="eigh")
    moved = clf.at_time(time)
    gram = clf.kernel_.full(X) + 0.1 * np.eye(90)
    values, V = np.linalg.eigh(gram)
    A = V @ ((1 - np.exp(-values * time)) / values * (V.T @ one_hot(y).ravel()))
    assert_allclose(moved.dual_coef_.ravel(), A, atol=1e-8)
    direct = clone(clf).set_params(time=time).fit(X, y)
    assert_allclose(moved.dual_coef_, direct.dual_coef_, atol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_gradients_are_central_differences(n_classes):
    clf, X, _ = fitted(n_classes)
    points = X[:5]
    cotangents = np.random.default_rng(2).standard_normal(clf.decision_function(points).shape)
    gradient = clf.input_vjp(points, cotangents)
    h = 1e-5
    for k, step in enumerate(h * np.eye(4)):
        change = clf.decision_function(points + step) - clf.decision_function(points - step)
        expected = (cotangents * change).reshape(5, -1).sum(axis=1) / (2 * h)
        assert_allclose(gradient[:, k], expected, atol=1e-6)
    outputs, pullback = clf.linearize(points)
    assert_allclose(outputs.reshape(cotangents.shape), clf.decision_function(points), atol=1e-12)
    assert_allclose(pullback(cotangents.reshape(5, -1)), gradient, atol=1e-12)


def test_more_samples_than_a_block():
    kernel = empirical()
    X, Z = samples(n=300)[0], samples(n=290, seed=1)[0]
    A, C = (np.random.default_rng(k).standard_normal((n, 3)) for k, n in ((0, 290), (1, 300)))
    outputs, pullback = kernel.full_linearize(X, Z, A)
    assert_allclose(outputs, (kernel.full(X, Z) @ A.ravel()).reshape(300, 3), rtol=1e-9)
    first, last = pullback(C)[[0, -1]]
    for row, i in ((first, 0), (last, -1)):
        alone = kernel.full_linearize(X[[i]], Z, A)[1](C[[i]])[0]
        assert_allclose(row, alone, rtol=1e-9)


def test_averages_over_initialisations():
    kernel = EmpiricalNTK(MLP(3), n_draws=2, random_state=0)
    X, y = samples()
    clf = NTKClassifier(kernel, multi_output=True, alpha=0.1).fit(X, y)
    expected = clf.kernel_.full(X) @ clf.dual_coef_.ravel()
    assert_allclose(clf.decision_function(X).ravel(), expected, atol=1e-9)


def test_attacks_take_it_as_any_other():
    clf, X, y = fitted()
    assert clf.score(X, y) > 0.4
    for method in ("fgsm", "pgd"):
        X_adv = NTKAttack(clf, eps=0.3, method=method).generate(X, y)
        assert clf.score(X_adv, y) < clf.score(X, y)
        assert np.abs(X_adv - X).max() <= 0.3 + 1e-12


def test_float32_and_pickles():
    X, y = samples()
    clf = NTKClassifier(empirical(), multi_output=True, alpha=0.1).fit(X.astype(np.float32), y)
    outputs = clf.decision_function(X.astype(np.float32))
    assert outputs.dtype == clf.dual_coef_.dtype == np.float32
    assert_allclose(outputs, fitted()[0].decision_function(X), atol=1e-2)
    again = pickle.loads(pickle.dumps(clf))
    assert_array_equal(again.decision_function(X.astype(np.float32)), outputs)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ("fc1", "multi_output=True needs a kernel between outputs.*'fc1'.*EmpiricalNTK"),
        (FullyConnectedNTK(2), "multi_output=True needs a kernel between outputs"),
        ("precomputed", "multi_output=True needs a kernel between outputs"),
        (empirical(2), "network has 2 outputs for 3 targets; give it 3"),
    ],
    ids=["string", "analytic", "precomputed", "outputs"],
)
def test_wrong_kernels(kernel, message):
    X, y = samples()
    X = X @ X.T if isinstance(kernel, str) and kernel == "precomputed" else X
    with pytest.raises(ValueError, match=message):
        NTKClassifier(kernel, multi_output=True).fit(X, y)
    with pytest.raises(TypeError, match="multi_output must be True or False"):
        NTKClassifier(kernel, multi_output="yes").fit(X, y)
