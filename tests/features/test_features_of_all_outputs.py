"""Features of the kernel between all outputs of a network, (n k, n k) (Eq. 37-40)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax

from skntk import (
    NTKAttack,
    NTKClassifier,
    RobustFeatureSelector,
    SpectralFeatureDecomposer,
)
from skntk.inspection import FeatureGradientDisplay, PerturbationDecompositionDisplay
from skntk.kernels import EmpiricalNTK

D, K = 4, 3


def apply(params, x):
    return jnp.tanh(x @ params["w"] + params["b"]) @ params["v"]


def kernel(n_outputs=K):
    rng = np.random.default_rng(0)
    shapes = {"w": (D, 12), "b": (12,), "v": (12, n_outputs)}
    return EmpiricalNTK(apply, {name: rng.normal(size=s) for name, s in shapes.items()})


def samples(n, n_classes=K, seed=0):
    X = np.random.default_rng(seed).random((n, D))
    return X, np.array(list("abc"))[np.argsort(np.argsort(X[:, 0])) * n_classes // n]


def fitted(n_classes=K, **options):
    X, y = samples(14, n_classes)
    n_outputs = 1 if n_classes == 2 else n_classes
    options = {"multi_output": True, "alpha": 0.01} | options
    return SpectralFeatureDecomposer(kernel(n_outputs), **options).fit(X, y), X, y


def jacobian_kernel(X, Z, n_outputs=K):
    """The same kernel from plain Jacobians, (m k, n k)."""
    params = kernel(n_outputs).params

    def jacobian(x):
        rows = jax.jacobian(apply)(params, x)
        return np.concatenate([np.reshape(j, (len(x) * n_outputs, -1)) for j in rows.values()], 1)

    with jax.enable_x64(True):
        return jacobian(X) @ jacobian(Z).T


def test_features_are_those_of_the_eigenvectors():
    decomposer, X, y = fitted()
    Z, _ = samples(5, seed=1)
    values, vectors = np.linalg.eigh(jacobian_kernel(X, X))
    values, vectors = values[::-1], vectors[:, ::-1]
    p = len(decomposer.eigenvalues_)
    assert 14 < p <= 14 * K
    assert_allclose(decomposer.eigenvalues_, values[:p], rtol=1e-6, atol=1e-10)
    Y = (y[:, None] == decomposer.classes_).astype(float).ravel()
    expected = jacobian_kernel(Z, X) @ (
        vectors[:, :6] * (vectors[:, :6].T @ Y) / (values[:6] + 0.01)
    )
    outputs = decomposer.feature_outputs(Z)
    assert outputs.shape == (5, p, K)
    assert_allclose(outputs[:, :6], expected.reshape(5, K, 6).swapaxes(1, 2), atol=1e-9)
    assert decomposer.feature_coef_.shape == (p, 1)
    assert decomposer.eigenvectors_.shape == (14 * K, p)
    assert decomposer.dual_coef_.shape == (14, K)
    assert decomposer.transform(Z).shape == (5, p * K)
    assert decomposer.get_feature_names_out()[:4].tolist() == [
        "ntk0_a",
        "ntk0_b",
        "ntk0_c",
        "ntk1_a",
    ]


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("time", "alpha"), [(np.inf, 0.01), (0.3, 0.0), (2.0, 0.1)])
def test_features_sum_to_the_classifier(n_classes, weighted, time, alpha):
    X, y = samples(14, n_classes)
    weights = 1.0 + np.arange(14) % 3 if weighted else None
    Z, _ = samples(6, seed=1)
    options = {"multi_output": True, "time": time, "alpha": alpha}
    network = kernel(1 if n_classes == 2 else n_classes)
    decomposer = SpectralFeatureDecomposer(network, **options).fit(X, y, weights)
    classifier = NTKClassifier(network, **options).fit(X, y, weights)
    expected = classifier.decision_function(Z).reshape(6, -1)
    assert_allclose(decomposer.feature_outputs(Z).sum(axis=1), expected, atol=1e-10)
    assert_allclose(decomposer.decision_function(Z).reshape(6, -1), expected, atol=1e-10)
    C = np.random.default_rng(2).normal(size=expected.shape)
    assert_allclose(decomposer.input_vjp(Z, C), classifier.input_vjp(Z, C), atol=1e-9)


def test_one_output_is_the_trace():
    decomposer, X, y = fitted(2)
    trace = SpectralFeatureDecomposer(kernel(1), alpha=0.01).fit(X, y)
    Z, labels = samples(9, 2, seed=1)
    assert_allclose(decomposer.eigenvalues_, trace.eigenvalues_, rtol=1e-8)
    assert_allclose(decomposer.feature_outputs(Z), trace.feature_outputs(Z), atol=1e-8)
    parts, expected = (each.decompose_gradient(Z, labels) for each in (decomposer, trace))
    for name in ("parts", "total", "gradients", "alpha"):
        assert_allclose(parts[name], expected[name], atol=1e-7)


def differences(function, Z, step=1e-5):
    """Central differences of outputs (m, ...) with respect to the inputs, (m, ..., d)."""
    return np.stack(
        [(function(Z + e) - function(Z - e)) / (2 * step) for e in step * np.eye(D)], axis=-1
    )


def test_gradients():
    decomposer, _, _ = fitted(n_components=7)
    Z, _ = samples(5, seed=1)
    of_outputs = differences(decomposer.feature_outputs, Z)  # (m, p, k, d)
    for column, label in enumerate(decomposer.classes_):
        gradients = decomposer.feature_gradients(Z, output=label, components=[5, 0])
        assert_allclose(gradients, of_outputs[:, [5, 0], column], atol=1e-7)
    strongest = decomposer.feature_gradients(Z)
    by_norm = np.linalg.norm(decomposer.eigenvectors_.T.reshape(7, -1, K), axis=1).argmax(axis=1)
    assert_allclose(strongest, of_outputs[:, np.arange(7), by_norm], atol=1e-7)
    C = np.random.default_rng(2).normal(size=(5, 7 * K))
    expected = np.einsum("mpk,mpkd->md", C.reshape(5, 7, K), of_outputs)
    assert_allclose(decomposer.transform_vjp(Z, C), expected, atol=1e-6)


def test_a_loss_gradient_is_the_sum_of_its_parts():
    decomposer, _, _ = fitted(n_components=7)
    Z, labels = samples(5, seed=1)
    of_outputs = differences(decomposer.feature_outputs, Z)
    target = (labels[:, None] == decomposer.classes_).astype(float)

    def residual(outputs):
        return softmax(outputs, axis=-1) - target[:, None]

    features = decomposer.feature_outputs(Z)
    total = residual(features.sum(axis=1, keepdims=True))
    split = decomposer.decompose_gradient(Z, labels)
    assert_allclose(
        split.parts, np.einsum("mpk,mpkd->mpd", total + 0 * features, of_outputs), atol=1e-6
    )
    assert_allclose(
        split.gradients, np.einsum("mpk,mpkd->mpd", residual(features), of_outputs), atol=1e-6
    )
    assert_allclose(split.total, split.parts.sum(axis=1), atol=1e-12)
    assert split.alpha is None


@pytest.mark.parametrize("norm", [np.inf, 2])
def test_scores_are_those_of_each_feature_as_a_classifier(norm):
    decomposer, X, y = fitted(n_components=6)
    Z, labels = samples(40, seed=1)
    scores = decomposer.score_features(Z, labels, eps=[0.05, 0.2], norm=norm)
    attack = NTKAttack(None, norm=norm, method="fgsm", eps=0.05)
    again = decomposer.score_features(Z, labels, attack=attack)
    assert_array_equal(again.robustness, scores.robustness[:, 0])
    machine = NTKClassifier(kernel(), multi_output=True, alpha=0.01).fit(X, y)
    for i in range(6):
        v = decomposer.eigenvectors_[:, i] * decomposer.feature_coef_[i]
        machine.dual_coef_ = v.reshape(14, K)
        assert scores.usefulness[i] == machine.score(Z, labels)
        for e, eps in enumerate([0.05, 0.2]):
            X_adv = NTKAttack(machine, eps=eps, norm=norm, method="fgsm").generate(Z, labels)
            assert scores.robustness[i, e] == pytest.approx(machine.score(X_adv, labels), abs=0.03)
    assert (scores.robustness < scores.usefulness[:, None]).any()


def test_the_selector_keeps_features_of_all_outputs():
    X, y = samples(40)
    Z, labels = samples(20, seed=1)
    decomposer = SpectralFeatureDecomposer(kernel(), multi_output=True, alpha=0.01)
    selector = RobustFeatureSelector(decomposer, eps=0.05).fit(X, y)
    assert selector.score(Z, labels) > 0.6
    kept = selector.decomposer_.feature_outputs(Z)[:, selector.get_support()].sum(axis=1)
    assert_allclose(selector.decision_function(Z), kept, atol=1e-9)
    X_adv = NTKAttack(selector, eps=0.1).generate(Z, labels)
    assert selector.score(X_adv, labels) < selector.score(Z, labels)
    few = selector.with_n_features(4)
    assert few.transform(Z).shape == (20, 4 * K)
    C = np.ones((20, 4 * K))
    expected = differences(lambda Z: few.transform(Z).sum(axis=1), Z)
    assert_allclose(few.transform_vjp(Z, C), expected, atol=1e-6)


def test_pictures():
    decomposer, X, y = fitted(n_components=5)
    FeatureGradientDisplay.from_estimator(decomposer, X[0], image_shape=(2, 2))
    PerturbationDecompositionDisplay.from_estimator(
        decomposer, X[:1], y[0], eps=0.1, image_shape=(2, 2)
    )


def test_float32():
    X, y = samples(14)
    Z, labels = samples(5, seed=1)
    single = SpectralFeatureDecomposer(kernel(), multi_output=True, alpha=0.01, n_components=5)
    single.fit(X.astype(np.float32), y)
    Z32 = Z.astype(np.float32)
    assert single.transform(Z32).dtype == np.float32
    assert single.feature_gradients(Z32).dtype == np.float32
    assert single.decompose_gradient(Z32, labels).parts.dtype == np.float32
    expected, _, _ = fitted(n_components=5)
    assert_allclose(single.transform(Z32), expected.transform(Z), atol=1e-3)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"kernel": "fc1"}, ValueError, "multi_output=True needs a kernel between outputs"),
        ({"kernel": kernel(2)}, ValueError, "network has 2 outputs for 3 targets"),
        ({"n_components": 43}, ValueError, "n_components=43 is more than the 42 features"),
        ({"multi_output": "yes"}, TypeError, "multi_output must be True or False"),
    ],
)
def test_refused(options, error, message):
    X, y = samples(14)
    options = {"kernel": kernel(), "multi_output": True} | options
    with pytest.raises(error, match=message):
        SpectralFeatureDecomposer(**options).fit(X, y)
