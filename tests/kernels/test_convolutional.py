"""The convolutional kernel: closed form, neural_tangents, gradients, tiles; a pooled network."""

import jax
import numpy as np
import pytest
from helpers import Compilations, central_differences, gaussian
from numpy.testing import assert_allclose, assert_array_equal

from skntk import (
    NTKAttack,
    NTKClassifier,
    RobustFeatureSelector,
    SpectralFeatureDecomposer,
    load_neural_tangents,
)
from skntk.kernels import ConvolutionalNTK, StaxNTK, resolve_kernel

IMAGE = (4, 3, 1)
TILE = 16

#: Each of these takes seconds to compile, so they are few and shared by all tests.
NETWORKS = pytest.mark.parametrize(
    ("depth", "image_shape"),
    [(1, IMAGE), (2, IMAGE), (3, IMAGE), (1, (2, 2, 3)), (1, (5, 1, 1))],
)


def images(n, image_shape, seed=0):
    return gaussian(n, int(np.prod(image_shape)), seed=seed)


def stax_network(depth, weight_std, bias_std):
    stax = load_neural_tangents().stax
    options = {"W_std": weight_std, "b_std": bias_std}
    hidden = [stax.Conv(1, (3, 3), padding="SAME", **options), stax.Relu()] * depth
    return stax.serial(*hidden, stax.Flatten(), stax.Dense(1, **options))


def patch_mean(pixels):
    """3x3 sums with zeros outside, over 9, one pixel after the other."""
    height, width = pixels.shape[-2:]
    result = np.empty_like(pixels)
    for i in range(height):
        for j in range(width):
            window = pixels[..., max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
            result[..., i, j] = window.sum(axis=(-2, -1)) / 9
    return result


def textbook(X, Z, depth, image_shape, weight_std, bias_std):
    """The recursion as it is defined, in its plainest form."""
    w, b = weight_std**2, bias_std**2
    x = X.reshape(-1, *image_shape)
    z = Z.reshape(-1, *image_shape)
    S = np.einsum("nijc,mijc->nmij", x, z) / image_shape[2]
    q_x, q_z = ((a**2).sum(axis=-1) / image_shape[2] for a in (x, z))
    T = np.zeros_like(S)
    for _ in range(depth):
        S, T = w * patch_mean(S) + b, w * patch_mean(T)
        T = S + T
        q_x, q_z = w * patch_mean(q_x) + b, w * patch_mean(q_z) + b
        scale = np.sqrt(q_x[:, None] * q_z[None])
        cosine = np.divide(S, scale, out=np.zeros_like(S), where=scale > 0)
        theta = np.arccos(np.clip(cosine, -1, 1))
        S = scale * (np.sin(theta) + (np.pi - theta) * cosine) / (2 * np.pi)
        T = (np.pi - theta) / (2 * np.pi) * T
        q_x, q_z = q_x / 2, q_z / 2
    return (w * S + b + w * T).mean(axis=(-2, -1))


def closed_form_diagonal(X, depth, image_shape, weight_std, bias_std):
    """The same at x = z, where every angle is 0 and k0 is a half."""
    w, b = weight_std**2, bias_std**2
    q = (X.reshape(-1, *image_shape) ** 2).mean(axis=-1)
    T = np.zeros_like(q)
    for _ in range(depth):
        q = w * patch_mean(q) + b
        T = (q + w * patch_mean(T)) / 2
        q = q / 2
    return (w * q + b + w * T).mean(axis=(-2, -1))


def assert_close(actual, desired, rtol):
    """Agreement relative to the largest entry, which does not shrink where terms cancel."""
    assert_allclose(actual, desired, rtol=rtol, atol=rtol * np.abs(desired).max())


@pytest.fixture
def compilations():
    with Compilations() as compiled:
        yield compiled


# Values


@NETWORKS
@pytest.mark.parametrize(("weight_std", "bias_std"), [(2**0.5, 0.1), (1.3, 0.0)])
def test_equals_textbook(depth, image_shape, weight_std, bias_std):
    X, Z = images(4, image_shape), images(3, image_shape, seed=1)
    options = {"image_shape": image_shape, "weight_std": weight_std, "bias_std": bias_std}
    kernel = ConvolutionalNTK(depth, **options)
    assert_close(kernel(X, Z), textbook(X, Z, depth, **options), rtol=1e-12)
    expected = closed_form_diagonal(X, depth, **options)
    assert_allclose(kernel.diag(X), expected, rtol=1e-12)
    assert_allclose(kernel(X).diagonal(), expected, rtol=1e-12)
    assert_allclose(kernel(X, X.copy()).diagonal(), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("depth", "image_shape", "bias_std"),
    [(1, IMAGE, 0.0), (2, IMAGE, 0.1), (1, (2, 2, 3), 0.1), (3, IMAGE, 0.1), (3, IMAGE, 0.0)],
)
def test_equals_neural_tangents(depth, image_shape, bias_std):
    X, Z = images(3, image_shape), images(2, image_shape, seed=1)
    kernel = ConvolutionalNTK(depth, image_shape=image_shape, bias_std=bias_std)
    kernel_fn = jax.jit(stax_network(depth, 2**0.5, bias_std)[2], static_argnums=2)
    with jax.enable_x64(True):
        both = (A.reshape(-1, *image_shape) for A in (X, np.concatenate([Z, X])))
        expected = np.asarray(kernel_fn(*both, "ntk"))
    assert_allclose(kernel(X, Z), expected[:, :2], rtol=1e-7)
    assert_allclose(kernel(X), expected[:, 2:], rtol=1e-7)
    if depth < 3:
        single = kernel(X.astype(np.float32), Z.astype(np.float32))
        assert single.dtype == np.float32
        assert_close(single, expected[:, :2], rtol=1e-5)
        assert_close(kernel(X.astype(np.float32)), expected[:, 2:], rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [1, TILE - 1, TILE, TILE + 1, 2 * TILE + 5])
def test_any_number_of_images(n, dtype):
    X = images(n, IMAGE).astype(dtype)
    Z = images(2 * TILE + 3, IMAGE, seed=1).astype(dtype)
    kernel = ConvolutionalNTK(1, image_shape=IMAGE)
    K, rectangular, diagonal = kernel(X), kernel(X, Z), kernel.diag(X)
    W = gaussian(*rectangular.shape).astype(dtype)
    gradient = kernel.input_vjp(X, Z, W)
    assert K.shape == (n, n)
    assert_array_equal(K, K.T)
    rtol = 50 * np.finfo(dtype).eps
    # Samples of weight 0 fill the last tile.
    filled = np.concatenate([Z, 2 * Z[: -len(Z) % TILE]])
    weights = np.pad(W, [(0, 0), (0, len(filled) - len(Z))])
    assert_close(kernel.input_vjp(X, filled, weights), gradient, rtol)
    for i in range(n):
        row = slice(i, i + 1)
        assert_close(kernel(X[row], X)[0], K[i], rtol)
        assert_close(kernel(X[row], Z)[0], rectangular[i], rtol)
        assert_close(kernel.diag(X[row])[0], diagonal[i], rtol)
        assert_close(kernel.input_vjp(X[row], Z, W[row])[0], gradient[i], rtol)
    assert {a.dtype for a in (K, rectangular, diagonal, gradient)} == {np.dtype(dtype)}


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("factor", [1e-3, 3.0, 1e3, 1e6])
def test_homogeneous_without_bias(depth, factor):
    X = images(3, IMAGE)
    kernel = ConvolutionalNTK(depth, image_shape=IMAGE, bias_std=0.0)
    assert_allclose(kernel(X, factor * X), factor * kernel(X, X), rtol=1e-12)


@pytest.mark.parametrize("bias_std", [0.1, 0.0])
def test_opposite_images(bias_std):
    X = images(4, IMAGE)
    options = {"image_shape": IMAGE, "weight_std": 1.4, "bias_std": bias_std}
    kernel = ConvolutionalNTK(1, **options)
    expected = textbook(X, -X, 1, **options)
    assert_allclose(kernel(X, -X), expected, rtol=0, atol=1e-7 * np.abs(kernel(X)).max())


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("bias_std", [0.1, 0.0, 1e-3])
@pytest.mark.parametrize("nearness", [0.0, 1e-6, 1e-4, 1e-2])
def test_float32_keeps_the_digits_of_opposite_images(depth, bias_std, nearness):
    X = images(8, (6, 6, 2))
    kernel = ConvolutionalNTK(depth, image_shape=(6, 6, 2), bias_std=bias_std)
    Z = -X + nearness * images(8, (6, 6, 2), seed=1)
    expected = kernel(X, Z)
    actual = kernel(X.astype(np.float32), Z.astype(np.float32))
    assert_allclose(actual, expected, rtol=0, atol=1e-6 * np.abs(kernel(X)).max())


# Gradients


@pytest.mark.parametrize(
    ("depth", "image_shape"), [(1, IMAGE), (2, IMAGE), (1, (2, 2, 3)), (1, (5, 1, 1))]
)
@pytest.mark.parametrize("bias_std", [0.1, 0.0])
def test_input_vjp_is_central_differences(depth, image_shape, bias_std):
    X, Z = images(3, image_shape), images(2, image_shape, seed=1)
    W = gaussian(3, 2, seed=2)
    kernel = ConvolutionalNTK(depth, image_shape=image_shape, bias_std=bias_std)
    expected = central_differences(lambda X: (W * kernel(X, Z)).sum(axis=1), X)
    assert_allclose(kernel.input_vjp(X, Z, W), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("bias_std", [0.1, 0.0])
def test_gradient_at_a_tie_keeps_the_radial_part(bias_std):
    X = images(3, IMAGE)
    kernel = ConvolutionalNTK(1, image_shape=IMAGE, bias_std=bias_std)
    gradient = kernel.input_vjp(X, X, np.eye(3))
    if bias_std == 0:  # K(ax, x) = a K(x, x)
        assert_allclose((gradient * X).sum(axis=1), kernel.diag(X), rtol=1e-10)
    # The kernel is symmetric, so each argument contributes half the slope of K(x, x).
    expected = central_differences(kernel.diag, X) / 2
    assert_allclose(gradient, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("bias_std", [0.1, 0.0])
@pytest.mark.parametrize(("depth", "dtype"), [(1, np.float64), (2, np.float64), (1, np.float32)])
def test_finite_at_coincident_opposite_and_zero_images(depth, bias_std, dtype):
    X = images(3, IMAGE)
    striped = X.reshape(3, 4, 3).copy()
    striped[:, 1:] = 0  # black borders give patches without a norm
    X = np.concatenate([X, X, -X, 2 * X, 0 * X, striped.reshape(3, -1), X + 1e-9]).astype(dtype)
    kernel = ConvolutionalNTK(depth, image_shape=IMAGE, bias_std=bias_std)
    K = kernel(X)
    assert np.isfinite(K).all()
    assert np.isfinite(kernel.diag(X)).all()
    gradient = kernel.input_vjp(X, X, np.ones_like(K))
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() < 1e4
    if dtype == np.float64:
        eigenvalues = np.linalg.eigvalsh(K)
        assert eigenvalues[0] >= -len(X) * np.finfo(float).eps * eigenvalues[-1]


# Compilation


def test_nothing_recompiles(compilations):
    def use(n, m, kernel):
        X, Z = images(n, IMAGE), images(m, IMAGE, seed=1)
        y = np.arange(n) % 3
        kernel(X, Z)
        kernel.diag(X)
        decomposer = SpectralFeatureDecomposer(kernel).fit(X, y)
        decomposer.score_features(X[:5], y[:5], eps=0.1, clip_values=None)
        decomposer.feature_gradients(Z, components=[0, 1])
        decomposer.decompose_gradient(X[:4], y[:4])
        decomposer.input_vjp(Z, np.ones((m, 3)))

    use(7, 4, ConvolutionalNTK(2, image_shape=IMAGE))
    compilations.count = 0
    use(19, 35, ConvolutionalNTK(2, image_shape=IMAGE, weight_std=1.2, bias_std=0.3))
    assert compilations.count == 0


# Names and parameters


@pytest.mark.parametrize("name", ["conv1", "conv2"])
@pytest.mark.parametrize(
    ("n_features", "image_shape"), [(16, (4, 4, 1)), (12, (2, 2, 3)), (1, (1, 1, 1))]
)
def test_names_guess_the_shape(name, n_features, image_shape):
    kernel = resolve_kernel(name, n_features)
    assert isinstance(kernel, ConvolutionalNTK)
    expected = {"depth": int(name[-1]), "image_shape": image_shape}
    assert kernel.get_params() == expected | {"weight_std": 2**0.5, "bias_std": 0.1}


@pytest.mark.parametrize("name", ["conv1", "conv2"])
@pytest.mark.parametrize("n_features", [15, 2, 24])
@pytest.mark.parametrize(
    "estimator", [NTKClassifier, SpectralFeatureDecomposer, RobustFeatureSelector]
)
def test_names_that_fit_no_square_image(estimator, name, n_features):
    X, y = gaussian(10, n_features), np.arange(10) % 2
    model = estimator(name)
    if estimator is RobustFeatureSelector:
        model = estimator(SpectralFeatureDecomposer(name))
    message = (
        rf"kernel='{name}' needs square images .* {n_features} features cannot.*"
        rf"ConvolutionalNTK\({name[-1]}, image_shape="
    )
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"image_shape": (3, 3, 1)}, ValueError, r"image_shape=\(3, 3, 1\) has 9 values and a sam"),
        ({"image_shape": (3, 4)}, ValueError, r"image_shape=\(3, 4\) must be \(height, width, ch"),
        ({"image_shape": None}, ValueError, r"image_shape=None must be \(height, width, channels"),
        ({"image_shape": 12}, ValueError, r"image_shape=12 must be \(height, width, channels\)"),
        ({"image_shape": "431"}, ValueError, "image_shape='431' must be"),
        ({"image_shape": (4, 3, 1.0)}, TypeError, "image_shape must be an integer, got 1.0"),
        ({"image_shape": (-4, -3, 1)}, ValueError, "image_shape=-4 is out of range"),
        ({"image_shape": (4, 3, 0)}, ValueError, "image_shape=0 is out of range"),
        ({"depth": 0}, ValueError, "depth=0 is out of range; give an integer of at least 1"),
        ({"depth": 1.5}, TypeError, "depth must be an integer, got 1.5"),
        ({"weight_std": 0}, ValueError, "weight_std=0 is out of range"),
        ({"weight_std": np.nan}, ValueError, "weight_std=nan is out of range"),
        ({"bias_std": -0.1}, ValueError, "bias_std=-0.1 is out of range"),
        ({"bias_std": "0"}, TypeError, "bias_std must be a real number, got '0'"),
    ],
)
def test_wrong_parameters(parameters, error, message):
    kernel = ConvolutionalNTK(**({"image_shape": IMAGE} | parameters))
    X, y = images(4, IMAGE), np.arange(4) % 2
    for call in (kernel, kernel.diag, lambda X: NTKClassifier(kernel).fit(X, y)):
        with pytest.raises(error, match=message):
            call(X)


def test_image_shape_is_required():
    with pytest.raises(TypeError, match="image_shape"):
        ConvolutionalNTK(1)


# A pooled network, through StaxNTK

POOLED_IMAGE = (4, 4, 1)


def myrtle():
    """A Myrtle-5 cut down to tiny images."""
    stax = load_neural_tangents().stax
    options = {"W_std": 2**0.5, "b_std": 0.1}
    block = [stax.Conv(1, (3, 3), padding="SAME", **options), stax.Relu()]
    pool = stax.AvgPool((2, 2), strides=(2, 2))
    return stax.serial(
        *block, *block, pool, *block, pool, stax.GlobalAvgPool(), stax.Dense(1, **options)
    )


@pytest.fixture(scope="module")
def pooled_data():
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(26, 16))
    # The classes differ in the contrast between halves, which pooling preserves.
    X[::2, :8] *= 0.3
    return X[:20], np.arange(20) % 2, X[20:], np.arange(6) % 2


def weighted(function, cotangents):
    return lambda X: (cotangents * function(X)).reshape(len(X), -1).sum(axis=1)


def test_pooled_network_classifies(pooled_data):
    X, y, X_test, y_test = pooled_data
    kernel = StaxNTK(myrtle, image_shape=POOLED_IMAGE, tile_size=8)
    classifier = NTKClassifier(kernel).fit(X, y)
    assert_allclose(classifier.decision_function(X), 2 * y - 1, atol=1e-6)
    cotangents = gaussian(6)
    expected = central_differences(weighted(classifier.decision_function, cotangents), X_test, 1e-4)
    assert_close(classifier.input_vjp(X_test, cotangents), expected, rtol=1e-6)
    attack = NTKAttack(classifier, eps=0.2)
    assert classifier.score(attack.generate(X_test, y_test), y_test) <= classifier.score(
        X_test, y_test
    )


def test_pooled_network_decomposes(pooled_data):
    X, y, X_test, y_test = pooled_data
    kernel = StaxNTK(myrtle, image_shape=POOLED_IMAGE, tile_size=8)
    decomposer = SpectralFeatureDecomposer(kernel).fit(X, y)
    outputs = decomposer.transform(X_test)
    assert_close(outputs.sum(axis=1), decomposer.decision_function(X_test), rtol=1e-10)
    gradients = decomposer.feature_gradients(X_test, components=[0, 2])
    for column, component in enumerate([0, 2]):
        expected = central_differences(
            lambda X, c=component: decomposer.transform(X)[:, c], X_test, 1e-4
        )
        assert_close(gradients[:, column], expected, rtol=1e-6)
    scores = decomposer.score_features(X_test, y_test, eps=0.1)
    assert (scores.robustness <= scores.usefulness).all()
    assert_allclose(scores.usefulness, (y_test == (outputs > 0).T).mean(axis=1))


def test_pooled_network_ranks_its_features(pooled_data):
    X, y, X_test, _ = pooled_data
    # The second network consists of closures, as stax.serial returns them, and cannot be pickled.
    for network in (myrtle, myrtle()):
        kernel = StaxNTK(network, image_shape=POOLED_IMAGE, tile_size=8)
        selector = RobustFeatureSelector(
            SpectralFeatureDecomposer(kernel), n_features_to_select=3, eps=0.1
        ).fit(X, y)
        assert selector.transform(X_test).shape == (6, 3)
