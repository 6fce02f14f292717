"""JAX functions as steps: their gradient against differences of the same function in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import central_differences
from scipy.special import expit
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skntk import NTKAttack, NTKClassifier, SpectralFeatureDecomposer
from skntk.attacks._composites import step_pullback
from skntk.attacks._differentiable import as_differentiable


def data(n=30):
    rng = np.random.default_rng(0)
    X = rng.uniform(0.2, 2, (n, 3))
    return X, (X[:, 0] * X[:, 1] > X[:, 2]).astype(int)


def scaled(X, factor):
    return X**2 * factor


def mixed(X):
    return jnp.stack([X[:, 0] * X[:, 1], jnp.sin(X[:, 2])], axis=1)


#: Transformers, and the same functions of float64.
STEPS = {
    "elementwise": (FunctionTransformer(jnp.tanh), np.tanh),
    "compiled": (FunctionTransformer(jax.jit(jnp.log1p)), np.log1p),
    "of features together": (
        FunctionTransformer(mixed),
        lambda X: np.stack([X[:, 0] * X[:, 1], np.sin(X[:, 2])], axis=1),
    ),
    "with arguments": (
        FunctionTransformer(scaled, kw_args={"factor": 3.0}),
        lambda X: 3 * X**2,
    ),
    "in a union": (
        FeatureUnion(
            [("f", FunctionTransformer(jax.nn.sigmoid)), ("raw", "passthrough")],
            transformer_weights={"f": 2.0},
        ),
        lambda X: np.concatenate([2 * expit(X), X], axis=1),
    ),
    "in columns": (
        ColumnTransformer(
            [("f", FunctionTransformer(jnp.exp), [2, 0]), ("raw", "passthrough", [1])]
        ),
        lambda X: np.stack([np.exp(X[:, 2]), np.exp(X[:, 0]), X[:, 1]], axis=1),
    ),
    "in a nested union of pipelines": (
        FeatureUnion(
            [
                ("p", make_pipeline(FunctionTransformer(jnp.exp), FunctionTransformer(jnp.sin))),
                ("raw", "passthrough"),
            ]
        ),
        lambda X: np.concatenate([np.sin(np.exp(X)), X], axis=1),
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_gradient_of_a_function(name):
    step, same = STEPS[name]
    X, y = data()
    step = clone(step).fit(X, y)
    cotangents = np.random.default_rng(1).standard_normal(same(X).shape)
    pullback = step_pullback(step, name)
    assert not pullback.is_affine
    slopes = central_differences(same, X)
    expected = np.einsum("mdk,mk->md", slopes, cotangents)
    # JAX traces in float64; in a pipeline, what comes before is in float32.
    tolerance = 2e-6 if "pipelines" in name else 1e-9
    np.testing.assert_allclose(pullback(X, cotangents), expected, tolerance, tolerance)


def test_an_attack_through_a_function():
    X, y = data()
    clf = NTKClassifier("fc1", alpha=0.1)
    through = make_pipeline(StandardScaler(), FunctionTransformer(jnp.tanh), clf).fit(X, y)

    def outputs(points):
        inner = np.tanh(through[0].transform(points))
        return through[-1].decision_function(inner)

    points = X[:6] + 0.03
    found, pullback = as_differentiable(through).linearize(points)
    np.testing.assert_allclose(found[:, 0], outputs(points), rtol=1e-4, atol=1e-4)
    expected = central_differences(outputs, points, 1e-4)
    error = np.abs(pullback(np.ones((6, 1))) - expected).max() / np.abs(expected).max()
    assert error < 1e-4  # the classifier was fitted on float32, and is evaluated there
    attack = NTKAttack(through, eps=0.2, method="pgd", max_iter=3, clip_values=None)
    assert through.score(attack.generate(X, y), y) < through.score(X, y)


def test_features_beside_the_inputs():
    """A step that depends on its input, in a union."""
    X, y = data()
    features = SpectralFeatureDecomposer("fc1", n_components=3)
    union = FeatureUnion([("ntk", features), ("raw", StandardScaler())])
    model = make_pipeline(union, NTKClassifier("fc1", alpha=0.1)).fit(X, y)
    points = X[:6] + 0.03
    expected = central_differences(model.decision_function, points, 1e-4)
    _, pullback = as_differentiable(model).linearize(points)
    np.testing.assert_allclose(pullback(np.ones((6, 1))), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "function",
    [
        np.tanh,
        lambda X: np.where(np.asarray(X) > 1, X, 0),
        lambda X: X if (X > 0).all() else -X,
        lambda X: jnp.sum(X, axis=1),
        lambda X: jnp.round(X).astype(int),
    ],
    ids=["NumPy", "NumPy within", "branches", "no rows", "integers"],
)
def test_other_functions_are_refused(function):
    X, y = data()
    step = FunctionTransformer(function).fit(X, y)
    with pytest.raises(TypeError, match=r"\(FunctionTransformer\).*JAX function.*'square'"):
        step_pullback(step, "f")


def test_functions_of_all_rows_together_are_refused():
    X, y = data()
    step = FunctionTransformer(lambda X: X - X.mean(axis=0))
    model = make_pipeline(step, NTKClassifier("fc1", alpha=0.1)).fit(X, y)
    with pytest.raises(TypeError, match=r"a row is given alone.*method='square'"):
        NTKAttack(model, clip_values=None).generate(X, y)


def test_functions_that_JAX_sees_differently_are_refused():
    X, y = data()

    def two_faced(X):
        return 2 * X if isinstance(X, jax.core.Tracer) else X

    model = make_pipeline(FunctionTransformer(two_faced), NTKClassifier("fc1", alpha=0.1))
    with pytest.raises(TypeError, match="other values when JAX traces it"):
        NTKAttack(model.fit(X, y), clip_values=None).generate(X, y)
