"""Properties that every kernel has."""

import ast
import pickle
from math import factorial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from helpers import Compilations, central_differences, gaussian
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

import skntk.kernels
from skntk import (
    NTKClassifier,
    NTKClassifierCV,
    SpectralFeatureDecomposer,
    load_neural_tangents,
)
from skntk.kernels import (
    ConvolutionalNTK,
    EmpiricalNTK,
    FullyConnectedNTK,
    PairNTK,
    StaxNTK,
    TwoLayerNTK,
    _rotation_invariant,
    resolve_kernel,
)
from skntk.kernels._arc_cosine import Angle, relu_angle
from skntk.kernels._gram import GramOperator, gram_matrix

D = 4  # features of a sample: a 2 x 2 image to the convolutional kernel
IMAGE = (2, 2, 1)


def two_hidden_layers():
    stax = load_neural_tangents().stax
    layer = {"W_std": 1.5, "b_std": 0.1}
    hidden = [stax.Dense(1, **layer), stax.Relu()] * 2
    return stax.serial(*hidden, stax.Dense(1, **layer))


def rational_quadratic(x, z, scale):
    return 1 / (1 + jnp.sum((x - z) ** 2) / scale)


class RationalQuadratic(PairNTK):
    """A kernel added as a user would, put through every test here that needs no network."""

    def __init__(self, scale=10.0):
        self.scale = scale

    def pair_function(self, n_features):
        return rational_quadratic, (self.scale,)


ROTATION_INVARIANT = {
    "linear": FullyConnectedNTK(0),
    "fc1": FullyConnectedNTK(1),
    "fc3": FullyConnectedNTK(3),
    "fc2_no_bias": FullyConnectedNTK(2, weight_std=1.0, bias_std=0.0),
    "two_layer": TwoLayerNTK(),
}
NATIVE = ROTATION_INVARIANT | {
    "conv2": ConvolutionalNTK(2, image_shape=IMAGE),
    "new": RationalQuadratic(),
}
COMPOSED = {
    "sum": FullyConnectedNTK(1) + 0.5 * TwoLayerNTK(),
    "product": FullyConnectedNTK(2) * RationalQuadratic(),
    "multiple": 3.0 * ConvolutionalNTK(1, image_shape=IMAGE),
}
NATIVE |= COMPOSED
KERNELS = NATIVE | {"stax": StaxNTK(two_hidden_layers)}
HOMOGENEOUS = {
    "linear": FullyConnectedNTK(0, bias_std=0.0),
    "fc1": FullyConnectedNTK(1, bias_std=0.0),
    "fc3": FullyConnectedNTK(3, bias_std=0.0),
    "two_layer": TwoLayerNTK(),
    "conv1": ConvolutionalNTK(1, image_shape=IMAGE, bias_std=0.0),
}


def each(kernels):
    return pytest.mark.parametrize("kernel", kernels.values(), ids=kernels)


def points(n=3, limit=10):
    return arrays(np.float64, (n, D), elements=st.floats(-limit, limit))


def with_coincidences(X):
    """The points with duplicates, opposites, multiples, nearest neighbours and zero."""
    neighbours = np.nextafter(X, X + X.dtype.type(1))
    return np.concatenate([X, X, -X, 2 * X, neighbours, 0 * X[:1]])


def assert_close(actual, desired, scale, rtol=1e-12):
    """Agreement relative to `scale`, which does not shrink where terms cancel."""
    assert_allclose(actual, desired, rtol=rtol, atol=rtol * np.max(scale))


def away_from_ties(X, Z):
    """Pairs without a kink nearby, for any kernel: pixels are features of an image."""
    norms = np.linalg.norm(X, axis=1)[:, None] * np.linalg.norm(Z, axis=1)
    sine_squared = norms**2 - (X @ Z.T) ** 2
    smooth = (norms > 0.1) & (sine_squared > 0.05 * norms**2)
    return smooth & (np.abs(X).min(axis=1) > 0.1)[:, None] & (np.abs(Z).min(axis=1) > 0.1)


@pytest.fixture
def compilations():
    with Compilations() as compiled:
        yield compiled


@pytest.fixture(params=[False, True], ids=["x64_off", "x64_on"])
def x64_flag(request):
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", request.param)
    yield request.param
    jax.config.update("jax_enable_x64", before)


# Symmetry


@each(KERNELS)
@given(X=points())
def test_symmetric_to_the_bit(kernel, X):
    K = kernel(X)
    assert_array_equal(K, K.T)


@each(KERNELS)
@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 200, 363, 400])
def test_symmetric_on_both_sides_of_a_tile(kernel, n):
    if kernel in (KERNELS["stax"], KERNELS["conv2"]):
        n = min(n, 200)
    X = gaussian(n, D)
    K = kernel(X)
    assert K.shape == (n, n)
    assert_array_equal(K, K.T)
    assert_close(kernel(X, X.copy()), K, K.max())
    assert_close(kernel.diag(X), K.diagonal(), K.max())
    assert_close(kernel(X[-2:], X[:3]), K[-2:, :3], K.max())


def test_nearly_parallel_pairs_of_more_than_a_chunk():
    X, Z = gaussian(2, 1), gaussian(140_000, 1, seed=1)
    assert_allclose(TwoLayerNTK()(X, Z), np.maximum(X * Z.T, 0) / 2, rtol=1e-12)


@each(NATIVE)
def test_all_samples_equal(kernel):
    K = kernel(np.tile(gaussian(1, D), (200, 1)))
    assert_allclose(K, K[0, 0], rtol=1e-12)


# Positive semidefiniteness


@each(NATIVE)
@given(X=points(limit=1))
def test_positive_semidefinite(kernel, X):
    X = with_coincidences(X)
    eigenvalues = np.linalg.eigvalsh(kernel(X))
    # XLA may take results below `tiny` for zero, so that rounding is absolute there.
    rounding = np.finfo(float).eps * eigenvalues[-1] + np.finfo(float).tiny
    assert eigenvalues[0] >= -len(X) * rounding


@each(NATIVE)
@pytest.mark.parametrize("spread", [1e-9, 1e-6, 1e-3, 1.0])
def test_positive_semidefinite_on_a_line(kernel, spread):
    X = gaussian(1, D) + spread * gaussian(60, 1) * gaussian(1, D, seed=1)
    eigenvalues = np.linalg.eigvalsh(kernel(X))
    # XLA may take results below `tiny` for zero, so that rounding is absolute there.
    rounding = np.finfo(float).eps * eigenvalues[-1] + np.finfo(float).tiny
    assert eigenvalues[0] >= -len(X) * rounding


# Duplicates (each kernel's own tests compare with its closed form)


@each(NATIVE)
@given(X=points())
def test_duplicates_give_equal_rows(kernel, X):
    K = kernel(np.concatenate([X, X]))
    assert_close(K[len(X) :], K[: len(X)], K.max())
    assert_allclose(K[: len(X), len(X) :].diagonal(), kernel.diag(X), rtol=1e-12)


# Finite values and gradients where the kernel has a kink


@each(KERNELS)
@given(X=points(2), dtype=st.sampled_from([np.float64, np.float32]))
def test_finite_at_ties(kernel, X, dtype):
    X = with_coincidences(X.astype(dtype))
    K, pullback = kernel.linearize(X, X)
    assert np.isfinite(K).all()
    assert np.isfinite(pullback(np.ones_like(K))).all()


@each(KERNELS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_gradient_bounded_near_ties(kernel, dtype):
    x = gaussian(50, D)
    limit = np.linalg.norm(kernel.input_vjp(x, 7 * x + 1, np.eye(50)), axis=1)
    for distance in [0.0, *np.logspace(-16, -3, 14)]:
        X = x.astype(dtype)
        for Z in (X + distance * gaussian(50, D, seed=1), -X + distance, 7 * X - distance):
            gradient = kernel.input_vjp(X, Z.astype(dtype), np.eye(50))
            assert np.linalg.norm(gradient, axis=1).max() < 10 * limit.max()


@each(KERNELS)
def test_zero_rows(kernel):
    X = np.zeros((3, D))
    X[1] = gaussian(D)
    assert np.isfinite(kernel(X)).all()
    assert np.isfinite(kernel.diag(X)).all()
    assert np.isfinite(kernel.input_vjp(X, X, np.ones((3, 3)))).all()


@each(HOMOGENEOUS)
def test_zero_rows_give_zero_without_bias(kernel):
    X = np.stack([np.zeros(D), gaussian(D)])
    diagonal = kernel.diag(X)
    assert diagonal[0] == 0
    assert_allclose(kernel(X)[0], 0, atol=1e-15 * diagonal[1])


# Gradients


@each(KERNELS)
@given(X=points(3, limit=2), Z=points(2, limit=2))
def test_input_vjp_is_central_differences(kernel, X, Z):
    W = gaussian(3, 2) * away_from_ties(X, Z)
    expected = np.einsum("ij,ikj->ik", W, central_differences(lambda X: kernel(X, Z), X))
    assert_close(kernel.input_vjp(X, Z, W), expected, 1, rtol=1e-6)


@each(KERNELS)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("time", [0.3, np.inf])
def test_classifier_input_vjp_is_central_differences(kernel, n_classes, time):
    X, Z = gaussian(30, D), gaussian(20, D, seed=2)
    y = np.arange(30) % n_classes
    classifier = NTKClassifier(kernel, time=time, alpha=1e-2).fit(X, y)
    outputs = classifier.decision_function(Z)
    cotangents = gaussian(*outputs.shape, seed=3)
    gradient = classifier.input_vjp(Z, cotangents)
    slopes = central_differences(
        lambda points: classifier.decision_function(points).reshape(20, -1), Z, step=1e-4
    )
    expected = np.einsum("ir,ikr->ik", cotangents.reshape(20, -1), slopes)
    assert_close(gradient, expected, np.abs(gradient).max(), rtol=1e-6)


@each(KERNELS)
def test_linearize_pulls_back_many_weights_at_once(kernel):
    X, Z, W = gaussian(3, D), gaussian(5, D, seed=1), gaussian(2, 3, 5, seed=2)
    K, pullback = kernel.linearize(X, Z)
    separate = np.stack([kernel.input_vjp(X, Z, w) for w in W])
    assert_close(K, kernel(X, Z), np.abs(K).max())
    assert_close(pullback(W), separate, np.abs(separate).max())
    assert_close(pullback(W[0]), separate[0], np.abs(separate).max())


@each(KERNELS)
def test_input_vjp_in_blocks(kernel, monkeypatch):
    X, Z, W = gaussian(7, D), gaussian(5, D, seed=1), gaussian(7, 5, seed=2)
    whole = kernel.input_vjp(X, Z, W)
    monkeypatch.setattr(skntk.kernels._base, "_BLOCK_BYTES", 2 * 8 * len(Z))
    assert_close(kernel.input_vjp(X, Z, W), whole, np.abs(whole).max())


# Invariances


@each(HOMOGENEOUS)
@given(X=points(3), exponents=st.tuples(*[st.floats(-100, 100)] * 2))
def test_homogeneous_without_bias(kernel, X, exponents):
    X = np.where(np.abs(X) < 1e-3, 0, X)
    a, b = 10.0 ** np.array(exponents)
    K = kernel(X, X[::-1].copy())
    assert_close(kernel(a * X, b * X[::-1]) / a / b, K, np.abs(K).max())


@each(HOMOGENEOUS)
@pytest.mark.parametrize("scale", [1e-14, 1e-7, 1e7, 1e14])
def test_homogeneous_without_bias_in_float32(kernel, scale):
    X = gaussian(5, D).astype(np.float32)
    K = kernel(X)
    scaled = kernel(X * np.float32(scale)).astype(np.float64)
    assert_close(scaled / scale**2, K, K.max(), rtol=1e-5)


@each(ROTATION_INVARIANT)
@given(X=points(), seed=st.integers(0, 1000))
def test_rotation_invariant(kernel, X, seed):
    rotation, _ = np.linalg.qr(gaussian(D, D, seed=seed))
    X = with_coincidences(X)
    K = kernel(X)
    assert_close(kernel(X @ rotation), K, K.max())


@each(KERNELS)
@settings(max_examples=50)
@given(X=points(3), order=st.permutations(range(3)))
def test_sample_permutation_invariant(kernel, X, order):
    K = kernel(X)
    assert_close(kernel(X[order]), K[order][:, order], np.abs(K).max())


@each(KERNELS)
@settings(max_examples=50)
@given(X=points(2), Z=points(3))
def test_arguments_may_be_exchanged(kernel, X, Z):
    K = kernel(X, Z)
    assert_close(kernel(Z, X).T, K, np.abs(K).max())


# Elementary functions

ELEMENTARY = {
    "sqrt": (jnp.sqrt, np.sqrt, 1),
    "abs": (jnp.abs, np.abs, 1),
    "add": (jnp.add, np.add, 2),
    "minimum": (jnp.minimum, np.minimum, 2),
    "maximum": (jnp.maximum, np.maximum, 2),
    "clip": (lambda x: jnp.clip(x, 0, 2), lambda x: np.clip(x, 0, 2), 1),
}


def test_every_elementary_function_used_is_tested():
    folder = Path(skntk.kernels.__file__).parent
    nodes = (node for path in folder.glob("*.py") for node in ast.walk(ast.parse(path.read_text())))
    used = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "jnp"
        and isinstance(getattr(np, node.attr, None), np.ufunc)
    }
    assert "sqrt" in used
    assert used <= ELEMENTARY.keys()


@pytest.mark.parametrize("name", ELEMENTARY)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_elementary_functions_agree_with_numpy(name, dtype):
    exponent = 300 if dtype == np.float64 else 37
    x = np.concatenate([[0], np.logspace(-exponent, exponent, 5001), np.linspace(0, 3, 5001)])
    x = x.astype(dtype)
    in_jax, in_numpy, n_arguments = ELEMENTARY[name]
    arguments = (x, x[::-1].copy())[:n_arguments]
    with jax.enable_x64(dtype == np.float64):
        result = np.asarray(jax.jit(in_jax)(*arguments))
    assert result.dtype == dtype
    np.testing.assert_array_max_ulp(result, in_numpy(*arguments), maxulp=2, dtype=dtype)


def angles(dtype):
    """Versines and coversines of angles, dense near 0 and pi."""
    half = np.concatenate([[0], np.logspace(-30, 0, 4001) * np.pi / 4])
    if dtype == np.float32:
        half = np.concatenate([[0], np.logspace(-15, 0, 4001) * np.pi / 4])
    small, large = (2 * np.sin(half) ** 2).astype(dtype), (2 * np.cos(half) ** 2).astype(dtype)
    return np.concatenate([small, large]), np.concatenate([large, small])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_angle_agrees_with_numpy(dtype):
    versine, coversine = angles(dtype)
    with jax.enable_x64(dtype == np.float64):
        angle = Angle(jnp.asarray(versine), jnp.asarray(coversine))
    # The reference is rounded from float64, and accurate to 2 ulp in float64 itself.
    v, c = versine.astype(np.float64), coversine.astype(np.float64)
    expected = {
        "theta": 2 * np.arctan2(np.sqrt(v), np.sqrt(c)),
        "supplement": 2 * np.arctan2(np.sqrt(c), np.sqrt(v)),
        "sin": np.sqrt(v * c),
        "cos": np.where(v < c, 1 - v, c - 1),
    }
    for name, value in expected.items():
        result = np.asarray(getattr(angle, name))
        assert result.dtype == dtype
        np.testing.assert_array_max_ulp(result, value.astype(dtype), maxulp=4, dtype=dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_relu_angle_keeps_small_angles(dtype):
    versine, coversine = angles(dtype)
    with jax.enable_x64(dtype == np.float64):
        angle = Angle(jnp.asarray(versine), jnp.asarray(coversine))
        result = np.asarray(relu_angle(angle, jnp.asarray(versine)))
    v, c = versine.astype(np.float64), coversine.astype(np.float64)
    theta = 2 * np.arctan2(np.sqrt(v), np.sqrt(c))
    # Small angles, where sin and theta cos cancel, are compared with the series.
    near = -sum((-1) ** k * 2 * k / factorial(2 * k + 1) * theta ** (2 * k + 1) for k in range(9))
    far = np.sqrt(v * c) - theta * np.where(v < c, 1 - v, c - 1)
    expected = v - np.where(theta < 0.5, near, far) / np.pi
    assert (result >= 0).all()
    # The next layer depends on the angle, whose square is about twice the versine.
    assert_allclose(np.sqrt(result), np.sqrt(expected), rtol=20 * np.finfo(dtype).eps)


# Precision and layout


@each(KERNELS)
def test_dtypes(kernel):
    X = gaussian(3, D)
    for dtype, expected in [("f4", "f4"), ("f8", "f8"), ("f2", "f8"), ("i4", "f8"), ("u1", "f8")]:
        A = np.abs(4 * X).astype(dtype)
        assert kernel(A).dtype == expected
        assert kernel.diag(A).dtype == expected
        assert kernel.input_vjp(A, A, np.ones((3, 3))).dtype == expected
        assert_array_equal(kernel(A), kernel(A.astype(expected)))
    assert kernel(X.astype("f4"), X).dtype == np.float64
    assert kernel.input_vjp(X, X.astype("f4"), np.ones((3, 3), "f4")).dtype == np.float64


@each(NATIVE)
def test_float32_agrees_with_float64(kernel):
    X = np.concatenate([gaussian(20, D), gaussian(20, D) * (1 + 1e-6), -gaussian(5, D)])
    X = X.astype(np.float32)
    K = kernel(X.astype(np.float64))
    assert_close(kernel(X), K, K.max(), rtol=1e-5)


@each(KERNELS)
def test_memory_layout_does_not_matter(kernel):
    X, W = gaussian(6, D), gaussian(6, 6, seed=1)
    before = X.copy()
    strided = np.zeros((12, 2 * D))
    strided[::2, ::2] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    for A in (np.asfortranarray(X), strided[::2, ::2], read_only, pd.DataFrame(X), X.tolist()):
        assert_array_equal(kernel(A), kernel(X))
        assert_array_equal(kernel(A, A), kernel(X, X))
        assert_array_equal(kernel.diag(A), kernel.diag(X))
        assert_array_equal(kernel.input_vjp(A, A, np.asfortranarray(W)), kernel.input_vjp(X, X, W))
    assert_array_equal(X, before)
    assert_array_equal(strided[::2, ::2], before)
    assert_array_equal(read_only, before)


@each(KERNELS)
def test_results_are_new_writeable_arrays(kernel):
    X = gaussian(3, D)
    for result in (kernel(X), kernel.diag(X), kernel.input_vjp(X, X, np.ones((3, 3)))):
        assert type(result) is np.ndarray
        assert result.flags.writeable
        assert not np.shares_memory(result, X)


RESULTS_BY_FLAG = {}


@each(KERNELS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_x64_flag_does_not_matter(kernel, dtype, x64_flag):
    X = gaussian(6, D).astype(dtype)
    results = kernel(X), kernel.diag(X), kernel.input_vjp(X, X, np.ones((6, 6)))
    assert jax.config.jax_enable_x64 is x64_flag
    assert jnp.asarray(1.0).dtype == (jnp.float64 if x64_flag else jnp.float32)
    key = repr(kernel), dtype
    for result, other in zip(results, RESULTS_BY_FLAG.setdefault(key, results), strict=True):
        assert result.dtype == dtype
        assert_array_equal(result, other)


# Compilation


@each(KERNELS)
def test_new_data_compile_nothing(kernel, compilations):
    def use(kernel, n, m, seed):
        X, Z = gaussian(n, D, seed=seed), gaussian(m, D, seed=seed + 1)
        kernel(X)
        kernel(X, Z)
        kernel.diag(X)
        kernel.input_vjp(X, Z, gaussian(n, m))
        kernel.linearize(X, Z)[1](gaussian(2, n, m))

    use(kernel, 3, 4, seed=0)
    use(kernel, 150, 150, seed=0)
    other = clone(kernel)
    if "bias_std" in other.get_params():
        other.set_params(bias_std=0.3, weight_std=1.1)
    compilations.count = 0
    use(other, 2, 7, seed=5)
    use(other, 140, 163, seed=6)
    assert compilations.count == 0


def test_compilations_are_counted(compilations):
    jax.jit(lambda x: x + 1)(1.0)
    assert compilations.count > 0


@each(KERNELS)
def test_refit_compiles_nothing(kernel, compilations):
    X, y = gaussian(12, D), np.arange(12) % 3

    def use(n):
        classifier = NTKClassifier(kernel, time=1.0).fit(X[:n], y[:n])
        classifier.input_vjp(X[:n], classifier.decision_function(X[:n]))

    use(12)
    compilations.count = 0
    use(9)
    assert compilations.count == 0


# Parameters


@each(KERNELS)
def test_parameters_round_trip(kernel):
    params = kernel.get_params(deep=False)
    copy = clone(kernel)
    assert copy is not kernel
    assert copy == kernel
    assert copy.get_params() == kernel.get_params()
    assert type(kernel)(**params) == kernel
    assert copy.set_params(**params) is copy
    assert repr(copy) == repr(kernel)
    if kernel in COMPOSED.values():
        assert all(repr(value) in repr(kernel) for value in params.values())
    else:
        assert all(f"{name}={value!r}" in repr(kernel) for name, value in params.items())
    with pytest.raises(ValueError, match=r"no parameter 'depht'.*it has \["):
        copy.set_params(depht=2)


@each(KERNELS)
def test_pickles_after_use(kernel):
    X = gaussian(3, D)
    K = kernel(X)
    copy = pickle.loads(pickle.dumps(kernel))
    assert copy.get_params() == kernel.get_params()
    assert_array_equal(copy(X), K)


# Inputs that overflow, and NumPy's error state


@each({name: kernel for name, kernel in KERNELS.items() if name != "new"})  # a bounded kernel
@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e25), (np.float64, 1e200)])
def test_inputs_that_overflow_get_one_error(kernel, dtype, size):
    X, Z = gaussian(5, D).astype(dtype), gaussian(3, D, seed=1).astype(dtype)
    X[2] *= dtype(size)
    message = rf"not finite for .* largest input is .*e\+.* in {np.dtype(dtype).name}. Scale"
    with pytest.raises(ValueError, match=message):
        kernel(X)
    with pytest.raises(ValueError, match=message):
        kernel(X, X)
    with pytest.raises(ValueError, match=message):
        kernel.linearize(X, X)
    with pytest.raises(ValueError, match=message):
        NTKClassifier(kernel).fit(X, [0, 1, 0, 1, 0])
    assert np.isfinite(kernel(Z)).all()


@each(KERNELS)
def test_the_error_state_of_numpy_does_not_matter(kernel):
    X, Z = gaussian(5, D), gaussian(3, D, seed=1)
    X[0], Z[0] = 0, 1e-200
    gram, gradient = kernel(X, Z), kernel.input_vjp(X, Z, np.ones((5, 3)))
    with np.errstate(all="raise"):
        assert_array_equal(kernel(X, Z), gram)
        assert_array_equal(kernel.input_vjp(X, Z, np.ones((5, 3))), gradient)
        linearized, pullback = kernel.linearize(X, Z)
        assert_allclose(linearized, gram, rtol=1e-12, atol=1e-300)
        assert_allclose(pullback(np.ones((5, 3))), gradient, rtol=1e-9, atol=1e-12)
        kernel.diag(X)


def test_nested_parameters_reach_the_kernel():
    classifier = NTKClassifier(FullyConnectedNTK(1)).set_params(kernel__depth=3)
    assert classifier.kernel.depth == 3
    assert classifier.get_params()["kernel__depth"] == 3
    kernel = classifier.kernel
    classifier.fit(gaussian(6, D), np.arange(6) % 2)
    assert classifier.kernel is kernel
    assert classifier.kernel_ is not kernel


@pytest.mark.parametrize("name", ["fc1", "fc2", "fc3", "fc4", "fc5"])
def test_names_of_the_paper(name):
    kernel = resolve_kernel(name, D)
    assert isinstance(kernel, FullyConnectedNTK)
    assert kernel.get_params() == {
        "depth": int(name[-1]),
        "weight_std": 2**0.5,
        "bias_std": 0.1,
    }
    assert isinstance(resolve_kernel("two_layer", D), TwoLayerNTK)


def test_wrong_names_and_types():
    with pytest.raises(ValueError, match="kernel='rbf' is not known; choose one of fc1, fc2"):
        resolve_kernel("rbf", D)
    with pytest.raises(TypeError, match="kernel=3 must be a name or a kernel"):
        resolve_kernel(3, D)
    with pytest.raises(ValueError, match="depth=-1"):
        resolve_kernel(FullyConnectedNTK(-1), D)


# Bad input


@each(KERNELS)
def test_bad_inputs(kernel):
    X = gaussian(3, D)
    for bad in (np.nan, np.inf):
        broken = X.copy()
        broken[1, 2] = bad
        for call in (kernel, kernel.diag):
            with pytest.raises(ValueError, match="X contains"):
                call(broken)
        with pytest.raises(ValueError, match="Z contains"):
            kernel(X, broken)
        with pytest.raises(ValueError, match="W contains"):
            kernel.input_vjp(X, X, broken[:, :3])
    with pytest.raises(ValueError, match="X has 4 features and Z has 3; give both the same"):
        kernel(X, X[:, :3])
    with pytest.raises(
        ValueError, match=r"W has shape \(2, 3\); give one weight per pair, \(3, 3\)"
    ):
        kernel.input_vjp(X, X, np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"Expected 2D array[\s\S]*Reshape your data"):
        kernel(X[0])
    with pytest.raises(ValueError, match="0 sample"):
        kernel(X[:0])
    with pytest.raises(TypeError, match="Sparse"):
        kernel(scipy.sparse.csr_array(X))
    with pytest.raises(ValueError):
        kernel([["a", "b", "c", "d"]])


@each(KERNELS)
def test_too_large_for_memory(kernel, monkeypatch):
    def computed(*_):
        raise AssertionError("computed before memory was checked")

    X, Z = gaussian(5, D), gaussian(6, D)
    monkeypatch.setattr(skntk._utils.memory, "available_bytes", lambda *_: 8 * 25 - 1)
    message = r"n=5 samples needs 200 bytes and 199 are available; use fewer samples"
    with monkeypatch.context() as patch:
        patch.setattr(type(kernel), "_gram", computed)
        patch.setattr(type(kernel), "_linearize", computed)
        with pytest.raises(MemoryError, match=message):
            kernel(X)
        with pytest.raises(MemoryError, match=r"n=5 samples needs 240 bytes and 199"):
            kernel(X, Z)
        with pytest.raises(MemoryError, match=r"n=5 samples needs [\d,]+ bytes and 199"):
            kernel.linearize(X, X)
    assert kernel(X.astype(np.float32)).shape == (5, 5)


# Tiles


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("shape", [(64, 64), (8, 2**14), (256, 512)])
@pytest.mark.parametrize("n", [1, 63, 64, 65, 300, 1025])
def test_tiles_cover_every_pair_once(n, shape, symmetric):
    m = n if symmetric else 700
    covered = np.zeros((n, m), int)
    for rows, columns in _rotation_invariant._tiles(n, m, shape, symmetric):
        covered[rows, columns] += 1
    assert covered.max() == 1
    assert np.all(np.triu(covered) == np.triu(np.ones((n, m)))) if symmetric else covered.all()


@pytest.mark.parametrize(
    ("n", "m", "symmetric", "shape"),
    [
        (60, 60, True, (64, 64)),
        (8000, 8000, True, (256, 512)),
        (16_384, 16_384, True, (256, 512)),
        (500, 5000, False, (256, 512)),
        (4, 60_000, False, (8, 2**14)),
    ],
)
def test_tiles_suit_the_matrix(n, m, symmetric, shape):
    assert _rotation_invariant._tile_shape(n, m, symmetric) == shape


# Kernels that are not finite


def _squares(params, x):
    return (x @ params) ** 2


NOT_FINITE = {
    "wide": (FullyConnectedNTK(15, weight_std=64.0), "lower weight_std or depth"),
    "wider": (FullyConnectedNTK(5, weight_std=1e4), "lower weight_std or depth"),
    "convolutional": (
        ConvolutionalNTK(2, image_shape=(2, 2, 1), weight_std=1e60),
        "lower weight_std or depth",
    ),
    "diverged": (EmpiricalNTK(_squares, np.full((4, 3), np.nan)), "training that diverged"),
}


@each(NOT_FINITE)
def test_a_kernel_that_is_not_finite_gets_one_error_that_names_the_remedy(kernel):
    kernel, remedy = kernel
    X = np.random.default_rng(0).random((30, 4)).astype(np.float32)
    message = f"not finite for 900 of 900 pairs.*float32.*float64 inputs, or .*{remedy}"
    y = np.arange(30) % 3
    estimators = [
        NTKClassifier(kernel),
        NTKClassifier(kernel, alpha=1.0),
        NTKClassifier(kernel, alpha=1.0, solver="cg"),
        NTKClassifier(kernel, time=1.0),
        NTKClassifierCV(kernel),
        SpectralFeatureDecomposer(kernel),
    ]
    for estimator in estimators:
        with pytest.raises(ValueError, match=message):
            estimator.fit(X, y)
    with pytest.raises(ValueError, match="not finite for 30 of 30"):
        kernel.diag(X)
    with pytest.raises(ValueError, match="not finite for 30 of 30"):
        NTKClassifier(kernel, solver="cg", memory_limit=1.0).fit(X, y)


def test_a_kernel_between_outputs_that_is_not_finite_is_refused():
    kernel = EmpiricalNTK(_squares, np.full((4, 3), np.inf))
    with pytest.raises(ValueError, match="not finite"):
        kernel.full(np.ones((2, 4)))
    network = EmpiricalNTK(lambda p, x: (x @ p) ** 3, np.full((4, 3), 1e200))
    with pytest.raises(ValueError, match="not finite for 36 of 36"):
        network.full(np.ones((2, 4)))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_samples_at_fault_are_named_by_their_place(n_jobs):
    class Small(FullyConnectedNTK):
        block_size = 8

    X = np.random.default_rng(0).random((30, 4))
    X[[11, 26]] *= 1e160
    # With two threads, either block that holds a bad row may be the first to fail.
    bad = "8 of 64 .* row 11 of X;" if n_jobs == 1 else "8 of (64 .* row 11|48 .* row 26) of X;"
    message = bad.replace(".*", ".* in one block of the matrix, most of them in")
    with pytest.raises(ValueError, match=message):
        gram_matrix(Small(), X, n_jobs)
    with pytest.raises(ValueError, match=message):
        GramOperator(Small(), X, n_jobs) @ np.ones((30, 1))
    kernel, good = FullyConnectedNTK(), X[:9]
    with pytest.raises(ValueError, match=r"116 of 900 pairs of samples, .* in rows 11, 26 of X;"):
        kernel(X)
    with pytest.raises(ValueError, match=r"18 of 270 pairs .* in rows 11, 26 of Z;"):
        kernel(good, X)
    with pytest.raises(ValueError, match=r"2 of 30 pairs .* in rows 11, 26 of X;"):
        kernel.diag(X)
    with pytest.raises(ValueError, match="most of them in rows 11, 26 of X;"):
        NTKClassifier(kernel).fit(good, np.arange(9) % 2).predict(X)
    with pytest.raises(ValueError, match=r"most of them in rows 0, 1, 2, 3, 4, \.\.\. of X;"):
        FullyConnectedNTK(15, weight_std=1e20)(X)


def test_an_input_gradient_is_finite_or_an_error():
    X = np.random.default_rng(0).random((6, 4))
    far = X.copy()
    far[3] *= 1e160
    with pytest.raises(ValueError, match=r"not finite for .* in row 3 of X;"):
        FullyConnectedNTK().input_vjp(far, X, np.ones((6, 6)))
    with pytest.raises(ValueError, match="not finite for 36 of 36 pairs"):
        NOT_FINITE["diverged"][0].input_vjp(X, X, np.ones((6, 6)))
    with pytest.raises(ValueError, match="gradient is not finite in float64 for weights W"):
        FullyConnectedNTK(weight_std=1e3).input_vjp(X, X, np.full((6, 6), 1e307))


class OneNaN(PairNTK):
    """NaN off the diagonal only, which the diagonal does not show."""

    def pair_function(self, n_features):
        return _one_nan, ()


def _one_nan(x, z):
    return jnp.where((x[0] == 0) != (z[0] == 0), jnp.nan, jnp.dot(x, z))


def test_an_entry_off_the_diagonal_is_seen():
    X = np.eye(3)
    X[0, 0] = 0
    X[0, 1] = 1
    X[1, 0] = X[2, 0] = 1
    with pytest.raises(ValueError, match="not finite for 4 of 9 pairs"):
        OneNaN()(X)
