"""The networks of the paper, and the kernel that wide ones converge to."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")


from skntk import FlaxClassifier
from skntk._utils.precision import precision
from skntk.kernels import TwoLayerNTK
from skntk.networks import CIFARConvNet, MNISTConvNet, TwoLayerReLU


def shapes(tree):
    """Shape of each leaf by its path."""
    return {
        jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree.leaves_with_path(tree)
    }


@pytest.fixture(scope="module")
def points():
    X = np.random.default_rng(0).normal(size=(8, 5))
    return X, np.arange(8) % 2


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_two_layer_network_is_equation_41(n_outputs, dtype):
    X = np.random.default_rng(1).normal(size=(6, 4)).astype(dtype)
    network = FlaxClassifier(
        TwoLayerReLU(32, n_outputs=n_outputs), max_epochs=0, random_state=0
    ).fit(X, [0, 1, 0, 1, 0, 1] if n_outputs == 1 else [0, 1, 2, 0, 1, 2])
    W, A = network.params_["W"], network.constants_["frozen"]["A"]
    assert W.shape == (32, 4) and A.shape == (32, n_outputs)
    expected = np.maximum(X.astype(float) @ W.T.astype(float), 0) @ A / np.sqrt(32)
    outputs = network.decision_function(X)
    assert outputs.dtype == dtype
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(
        outputs.reshape(6, n_outputs), expected, rtol=rtol, atol=rtol * np.abs(expected).max()
    )


def test_two_layer_network_trains_its_first_layer_only(points):
    X, y = points
    before, after = (
        FlaxClassifier(TwoLayerReLU(64), learning_rate=1.0, max_epochs=k, random_state=0).fit(X, y)
        for k in (0, 5)
    )
    assert list(before.params_) == ["W"]
    A = before.constants_["frozen"]["A"]
    assert set(np.unique(A)) == {-1.0, 1.0}
    np.testing.assert_array_equal(after.constants_["frozen"]["A"], A)
    assert not np.array_equal(after.params_["W"], before.params_["W"])


@pytest.mark.parametrize("std", [0.01, 0.5])
def test_initial_weights_are_normal_of_the_given_deviation(std):
    variables = TwoLayerReLU(2000, init_std=std).init(jax.random.key(0), jnp.ones((1, 20)))
    W = np.asarray(variables["params"]["W"], np.float64)
    assert W.mean() == pytest.approx(0, abs=5 * std / np.sqrt(W.size))
    assert W.std() == pytest.approx(std, rel=5 / np.sqrt(2 * W.size))
    # Kurtosis distinguishes a normal from a uniform or truncated distribution.
    assert (W**4).mean() / W.var() ** 2 == pytest.approx(3, abs=5 * np.sqrt(24 / W.size))
    A = np.asarray(variables["frozen"]["A"])
    assert abs(A.mean()) < 5 / np.sqrt(A.size)


def test_default_deviation_is_the_papers():
    assert TwoLayerReLU(3).init_std == 0.01
    assert TwoLayerReLU(3).n_outputs == 1


def test_mnist_network_has_the_layers_of_appendix_e():
    variables = jax.eval_shape(MNISTConvNet().init, jax.random.key(0), jnp.ones((1, 784)))
    assert list(variables) == ["params"]
    assert shapes(variables["params"]) == {
        "['Conv_0']['bias']": (32,),
        "['Conv_0']['kernel']": (3, 3, 1, 32),
        "['Conv_1']['bias']": (64,),
        "['Conv_1']['kernel']": (3, 3, 32, 64),
        "['Dense_0']['bias']": (256,),
        "['Dense_0']['kernel']": (3136, 256),
        "['Dense_1']['bias']": (10,),
        "['Dense_1']['kernel']": (256, 10),
    }
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == 824_458


def test_cifar_network_has_the_layers_of_appendix_e():
    variables = jax.eval_shape(CIFARConvNet().init, jax.random.key(0), jnp.ones((1, 3072)))
    channels = (3, 32, 32, 64, 64, 128, 128)
    expected = {"['Dense_0']['bias']": (10,), "['Dense_0']['kernel']": (8 * 8 * 128, 10)}
    for layer, (before, after) in enumerate(itertools.pairwise(channels)):
        expected[f"['Conv_{layer}']['bias']"] = (after,)
        expected[f"['Conv_{layer}']['kernel']"] = (3, 3, before, after)
    assert shapes(variables["params"]) == expected


def convolve(x, layer):
    """Zero-padded 3x3 convolution and ReLU, as a sum over the entries of the kernel."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    H, W = x.shape[1:3]
    taps = sum(
        padded[:, i : i + H, j : j + W] @ layer["kernel"][i, j] for i in range(3) for j in range(3)
    )
    return np.maximum(taps + layer["bias"], 0)


def pool(x, reduce):
    n, H, W, C = x.shape
    return reduce(x.reshape(n, H // 2, 2, W // 2, 2, C), axis=(2, 4))


def biased(module, x):
    """Parameters with random biases, which are initialised to 0."""
    variables = jax.jit(module.init)(jax.random.key(0), x)
    rng = np.random.default_rng(2)
    return jax.tree.map(
        lambda leaf: np.float32(rng.normal(size=leaf.shape)) * 0.1 if leaf.ndim == 1 else leaf,
        variables,
    )


def test_mnist_network_is_the_layers_written_out():
    x = np.random.default_rng(3).uniform(size=(2, 8, 8, 1)).astype(np.float32)
    module = MNISTConvNet(n_outputs=4, image_shape=(8, 8, 1))
    variables = biased(module, x)
    p = jax.tree.map(np.asarray, variables["params"])
    hidden = pool(convolve(x, p["Conv_0"]), np.mean)
    hidden = pool(convolve(hidden, p["Conv_1"]), np.mean).reshape(2, -1)
    hidden = np.maximum(hidden @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"], 0)
    expected = hidden @ p["Dense_1"]["kernel"] + p["Dense_1"]["bias"]
    with precision(np.float32):
        outputs = jax.jit(module.apply)(variables, x)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


def test_cifar_network_is_the_layers_written_out():
    x = np.random.default_rng(4).uniform(size=(2, 8, 8, 3)).astype(np.float32)
    module = CIFARConvNet(n_outputs=4, image_shape=(8, 8, 3))
    variables = biased(module, x)
    p = jax.tree.map(np.asarray, variables["params"])
    hidden = convolve(convolve(x, p["Conv_0"]), p["Conv_1"])
    hidden = pool(hidden, np.max)
    for layer in range(2, 6):
        hidden = convolve(hidden, p[f"Conv_{layer}"])
    hidden = pool(hidden, np.mean).reshape(2, -1)
    expected = hidden @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"]
    with precision(np.float32):
        outputs = jax.jit(module.apply)(variables, x)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "module",
    [
        MNISTConvNet(image_shape=(8, 8, 1)),
        CIFARConvNet(image_shape=(8, 8, 3)),
        TwoLayerReLU(16, n_outputs=3),
    ],
    ids=lambda module: type(module).__name__,
)
def test_flat_and_image_batches_give_the_same_outputs(module):
    shape = getattr(module, "image_shape", (4, 3, 2))
    x = np.random.default_rng(5).uniform(size=(3, *shape)).astype(np.float32)
    variables = jax.jit(module.init)(jax.random.key(0), x)
    flat = x.reshape(3, -1)
    assert shapes(jax.eval_shape(module.init, jax.random.key(0), flat)) == shapes(variables)
    apply = jax.jit(module.apply)
    np.testing.assert_array_equal(apply(variables, flat), apply(variables, x))


def test_image_networks_classify_through_the_estimator():
    shape = (4, 4, 1)
    X = np.random.default_rng(6).uniform(size=(9, 16)).astype(np.float32)
    y = np.arange(9) % 3
    module = MNISTConvNet(n_outputs=None, image_shape=shape)
    flat, shaped = (
        FlaxClassifier(module, input_shape=given, max_epochs=1, random_state=0).fit(X, y)
        for given in (None, shape)
    )
    assert flat.decision_function(X).shape == (9, 3)
    np.testing.assert_array_equal(flat.decision_function(X), shaped.decision_function(X))


def test_kernel_of_wide_networks_converges_to_the_analytic_one(points):
    X, y = points
    analytic = TwoLayerNTK()(X)
    widths, n_draws = np.array([256, 1024, 4096, 16384]), 6
    errors, averages = [], []
    for width in widths:
        kernels = np.array(
            [
                FlaxClassifier(TwoLayerReLU(int(width)), max_epochs=0, random_state=seed)
                .fit(X, y)
                .empirical_ntk(X)
                for seed in range(n_draws)
            ]
        )
        assert kernels.shape == (n_draws, 8, 8)
        distances = np.linalg.norm(kernels - analytic, axis=(1, 2)) / np.linalg.norm(analytic)
        errors.append(np.sqrt(np.mean(distances**2)))
        averages.append(np.linalg.norm(kernels.mean(axis=0) - analytic) / np.linalg.norm(analytic))
    slope = np.polyfit(np.log(widths), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.12)
    assert (np.diff(errors) < 0).all()
    assert averages[-1] <= 2e-2
    # Averaging improves the estimate only if the seeds draw different networks.
    assert averages[0] < 0.8 * errors[0]


def test_numpy_batches_of_doubles_are_taken_whatever_the_precision_flag():
    variables = TwoLayerReLU(4).init(jax.random.key(0), np.ones((1, 3)))
    assert variables["params"]["W"].shape == (4, 3)


def test_kernel_of_several_outputs_is_ordered_by_sample_then_output(points):
    X = points[0]
    network = FlaxClassifier(TwoLayerReLU(64, n_outputs=3), max_epochs=0, random_state=0)
    network.fit(X, np.arange(8) % 3)
    kernel = network.empirical_ntk(X)
    assert kernel.shape == (24, 24)
    W, A = network.params_["W"], network.constants_["frozen"]["A"]
    active = (X @ W.T > 0).astype(float)
    J = np.einsum("nm,mk,nd->nkmd", active, A, X).reshape(24, -1) / 8
    np.testing.assert_allclose(kernel, J @ J.T, rtol=1e-12, atol=1e-12)
