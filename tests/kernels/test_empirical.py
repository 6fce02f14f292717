"""The tangent kernel of finite networks: exact, whatever their layers are."""

import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")

import flax.linen as nn
from flax import nnx
from sklearn.base import clone

import skntk
from skntk import NTKAttack, NTKClassifier
from skntk.kernels import EmpiricalNTK, TwoLayerNTK, _tangent_kernel
from skntk.kernels._gram import upper_blocks
from skntk.networks import MNISTConvNet, TwoLayerReLU

SHAPE = (4, 4, 1)
D = 16


class MLP(nn.Module):
    n_outputs: int = 3
    width: int = 8

    @nn.compact
    def __call__(self, x):
        x = nn.tanh(nn.Dense(self.width)(x))
        x = nn.relu(nn.Dense(5, use_bias=False)(x))
        return nn.Dense(self.n_outputs)(x)


class ConvNet(nn.Module):
    """Convolutions of every kind, a grouped one last, and both kinds of pooling."""

    @nn.compact
    def __call__(self, x):
        x = x.reshape(len(x), *SHAPE)
        x = nn.relu(nn.Conv(4, (3, 3))(x))
        x = nn.avg_pool(x, (2, 2), strides=(1, 1))
        x = nn.tanh(nn.Conv(4, (2, 2), padding="VALID", kernel_dilation=(1, 2))(x))
        x = nn.Conv(6, (3, 1), strides=(2, 1), use_bias=False)(x)
        x = nn.Conv(4, (1, 1), feature_group_count=2)(x)
        return nn.Dense(2)(x.reshape(len(x), -1))


class MaxPoolNet(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.ConvTranspose(3, (2, 2))(x.reshape(len(x), *SHAPE))
        x = nn.LayerNorm(epsilon=0.1)(nn.max_pool(x, (2, 2), strides=(2, 2)))
        return nn.Dense(2)(x.reshape(len(x), -1))


class SharedNet(nn.Module):
    """A layer used twice, a weight used outside a layer, a dense layer of several rows, remat."""

    @nn.compact
    def __call__(self, x):
        shared = nn.Dense(D)
        x = nn.tanh(shared(nn.tanh(shared(x))))
        tokens = nn.remat(nn.Dense)(3)(x.reshape(len(x), 4, 4))
        table = self.param("table", nn.initializers.normal(1.0), (4, 3))
        return nn.Dense(2)(jnp.einsum("ntc,tc,tc->nc", tokens, table, nn.tanh(table)))


class NNXNet(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.Sequential(
            nnx.Linear(D, 6, rngs=rngs), nnx.tanh, nnx.Linear(6, 2, rngs=rngs)
        )

    def __call__(self, x):
        return self.layers(x)


def recurrent(params, x):
    """Plain JAX: a loop over time, weights that multiply from the left, an unused parameter."""

    def step(hidden, column):
        return jnp.tanh(hidden @ params["W"].T + column[:, None] * params["v"]), None

    hidden, _ = jax.lax.scan(step, jnp.zeros((len(x), 3), x.dtype), x.T)
    return jnp.einsum("ok,nk->no", params["out"], hidden) + params["b"]


def recurrent_params():
    rng = np.random.default_rng(4)
    shapes = {"W": (3, 3), "v": (3,), "out": (2, 3), "b": (2,), "unused": (5,)}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def inputs(n, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).uniform(-1, 1, size=(n, D)).astype(dtype)


@functools.cache
def linen(module):
    params = jax.jit(module.init)(jax.random.key(1), jnp.ones((1, D)))["params"]
    rng = np.random.default_rng(3)  # so that biases, initialised to 0, matter
    noise = jax.tree.map(lambda leaf: 0.1 * rng.normal(size=leaf.shape), params)
    params = jax.tree.map(lambda a, b: np.float64(a) + b, params, noise)
    return EmpiricalNTK(module, params), params, lambda p, x: module.apply({"params": p}, x)


def nnx_network():
    module = NNXNet(nnx.Rngs(0))
    graph, params = nnx.split(module)
    params = jax.tree.map(np.float64, params)
    return EmpiricalNTK(module), params, lambda p, x: nnx.merge(graph, p)(x)


def plain_function():
    return EmpiricalNTK(recurrent, recurrent_params()), recurrent_params(), recurrent


NETWORKS = {
    "dense": lambda: linen(MLP()),
    "conv": lambda: linen(ConvNet()),
    "max pool": lambda: linen(MaxPoolNet()),
    "shared": lambda: linen(SharedNet()),
    "nnx": nnx_network,
    "function": plain_function,
}


@pytest.fixture(params=NETWORKS, scope="module")
def case(request):
    """A kernel, its parameters in double precision, and f(params, x)."""
    return NETWORKS[request.param]()


def jacobian(apply, params, X):
    """Jacobian (n k, P), computed a sample at a time without code of this package."""
    with jax.enable_x64(True):
        tree = jax.jit(jax.jacrev(apply))(params, jnp.asarray(X))
        leaves = [np.asarray(leaf).reshape(*leaf.shape[:2], -1) for leaf in jax.tree.leaves(tree)]
    J = np.concatenate(leaves, axis=-1)
    return J.reshape(-1, J.shape[-1])


def trace(full, n, m):
    k = len(full) // n
    return np.trace(full.reshape(n, k, m, k), axis1=1, axis2=3) / k


# --- exactness -----------------------------------------------------------------------------


def test_kernel_is_the_gram_matrix_of_jacobians(case):
    kernel, params, apply = case
    X, Z = inputs(5), inputs(3, seed=1)
    J, J_Z = jacobian(apply, params, X), jacobian(apply, params, Z)
    scale = np.abs(J @ J.T).max()
    for Z_or_none, right, m in ((None, J, 5), (Z, J_Z, 3)):
        expected = J @ right.T
        np.testing.assert_allclose(kernel.full(X, Z_or_none), expected, atol=1e-12 * scale)
        np.testing.assert_allclose(kernel(X, Z_or_none), trace(expected, 5, m), atol=1e-12 * scale)
    np.testing.assert_allclose(kernel.diag(X), np.diag(kernel(X)), rtol=1e-12)


def test_symmetric_calls_are_symmetric_to_the_bit_and_independent_of_blocks(case):
    kernel = case[0]
    X = inputs(21)  # the last block is padded
    X[20] = X[3]
    full, K = kernel.full(X), kernel(X)
    k = len(full) // 21
    np.testing.assert_array_equal(full, full.T)
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_allclose(K[20], K[3], rtol=1e-12, atol=1e-12)
    assert np.linalg.eigvalsh(full)[0] > -1e-12 * np.abs(full).max()
    few = slice(4, 20)
    rows = slice(4 * k, 20 * k)
    for part, whole in (
        (kernel.full(X[few]), full[rows, rows]),
        (kernel.full(X[few], X), full[rows]),
        (kernel(X, X[few]), K[:, few]),
        (kernel.diag(X)[few], kernel.diag(X[few])),
    ):
        np.testing.assert_allclose(part, whole, rtol=1e-11, atol=1e-11 * np.abs(whole).max())


def test_input_vjp_equals_central_differences(case):
    kernel = case[0]
    X, Z = inputs(3), inputs(5, seed=1)
    W = np.random.default_rng(2).normal(size=(2, 3, 5))
    numeric = np.empty((2, 3, D))
    for j, step in enumerate(1e-5 * np.eye(D)):
        change = kernel(X + step, Z) - kernel(X - step, Z)
        numeric[..., j] = (W * change).sum(axis=-1) / 2e-5
    scale = np.abs(numeric).max()
    assert scale > 1e-3
    gram, pullback = kernel.linearize(X, Z)
    np.testing.assert_allclose(gram, kernel(X, Z), rtol=1e-12)
    np.testing.assert_allclose(pullback(W), numeric, atol=1e-6 * scale)


@pytest.mark.parametrize("n", [3, 18])
def test_input_vjp_is_independent_of_blocks(monkeypatch, n):
    kernel, params, _ = linen(MLP())
    X, Z = inputs(n), inputs(5, seed=1)
    W = np.random.default_rng(2).normal(size=(n, 5))
    whole = kernel.input_vjp(X, Z, W)
    # The Jacobians of right-hand samples come in blocks of two; the last block is padded.
    n_values = 3 * sum(leaf.size for leaf in jax.tree.leaves(params))
    monkeypatch.setattr(_tangent_kernel, "_JACOBIAN_BYTES", 2 * 8 * n_values)
    np.testing.assert_allclose(kernel.input_vjp(X, Z, W), whole, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(kernel.input_vjp(X[2:3], Z, W[2:3]), whole[2:3], rtol=1e-10)


def test_kernel_equals_that_of_neural_tangents():
    nt = skntk.load_neural_tangents()
    kernel, params, apply = linen(MLP())
    X, Z = inputs(5), inputs(3, seed=1)
    with jax.enable_x64(True):
        x, z = jnp.asarray(X), jnp.asarray(Z)
        full, traced = (
            np.asarray(nt.empirical_ntk_fn(apply, trace_axes=axes)(x, z, params))
            for axes in ((), (-1,))
        )
    assert full.shape == (5, 3, 3, 3)
    np.testing.assert_allclose(
        kernel.full(X, Z), full.transpose(0, 2, 1, 3).reshape(15, 9), rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(kernel(X, Z), traced, rtol=1e-10, atol=1e-12)


def test_image_shape_and_variables():
    kernel, params, _ = linen(MNISTConvNet(n_outputs=2, image_shape=SHAPE))
    shaped = EmpiricalNTK(kernel.module, {"params": params}, input_shape=SHAPE)
    X = inputs(2)
    np.testing.assert_array_equal(shaped.full(X), kernel.full(X))


@pytest.mark.parametrize("name", ["dense", "conv"])
def test_single_precision_in_single_precision_out(name):
    kernel = NETWORKS[name]()[0]
    X = inputs(3, dtype=np.float32)
    before = jax.config.jax_enable_x64
    for result in (kernel(X), kernel.full(X), kernel.diag(X), kernel.input_vjp(X, X, np.eye(3))):
        assert result.dtype == np.float32
    assert jax.config.jax_enable_x64 is before
    expected = kernel(np.float64(X))
    np.testing.assert_allclose(kernel(X), expected, atol=1e-5 * np.abs(expected).max())


# --- initialisations -----------------------------------------------------------------------


def test_draws_are_averaged():
    X, Z = inputs(5), inputs(3, seed=1)
    one_after_another, together = np.random.RandomState(3), np.random.RandomState(3)
    singles = [EmpiricalNTK(MLP(), random_state=one_after_another) for _ in range(3)]
    kernel = EmpiricalNTK(MLP(), n_draws=3, random_state=together)
    W = np.random.default_rng(0).normal(size=(5, 3))
    for method in (
        lambda k: k(X),
        lambda k: k.full(X, Z),
        lambda k: k.diag(X),
        lambda k: k.input_vjp(X, Z, W),
    ):
        values = [method(single) for single in singles]
        assert np.abs(values[0] - values[1]).max() > 1e-3
        np.testing.assert_allclose(method(kernel), np.mean(values, axis=0), rtol=1e-10, atol=1e-13)
    np.testing.assert_array_equal(kernel.full(X), kernel.full(X).T)


def test_average_approaches_the_analytic_kernel():
    X = inputs(6)
    analytic = TwoLayerNTK()(X)
    errors = [
        np.linalg.norm(EmpiricalNTK(TwoLayerReLU(512), n_draws=n, random_state=0)(X) - analytic)
        for n in (1, 64)
    ]
    assert errors[1] < errors[0] / 4  # 8, but for chance
    assert errors[1] < 2e-2 * np.linalg.norm(analytic)


@pytest.mark.parametrize("random_state", [None, 5, np.random.RandomState(5)], ids=str)
def test_a_kernel_is_one_function_call_after_call(random_state):
    X = inputs(5)
    kernel = EmpiricalNTK(MLP(), n_draws=2, random_state=random_state)
    K = kernel(X)
    np.testing.assert_allclose(kernel(X, X), K, rtol=1e-12)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(kernel))(X), K, rtol=1e-12)
    # The networks are the same in both precisions.
    np.testing.assert_allclose(kernel(np.float32(X)), K, rtol=1e-4)
    other = kernel.set_params(random_state=6)(X)
    assert np.abs(other - K).max() > 1e-3
    np.testing.assert_allclose(EmpiricalNTK(MLP(), n_draws=2, random_state=6)(X), other, rtol=1e-12)


@pytest.mark.parametrize("module", [MLP, MLP(), NNXNet, lambda rngs: NNXNet(rngs)])
def test_modules_to_be_initialised(module):
    kernel = EmpiricalNTK(module, random_state=0)
    full = kernel.full(inputs(3))
    assert full.shape == ((6, 6) if module not in (MLP, MLP()) else (9, 9))
    assert np.linalg.eigvalsh(full)[-1] > 1e-3


# --- compilation ---------------------------------------------------------------------------

COMPILED = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, duration, **_: COMPILED.append(event) if "backend_compile" in event else None
)


@pytest.mark.parametrize("module", [MLP(width=7), NNXNet])
def test_nothing_recompiles_for_copies_and_other_draws(module):
    X, Z = inputs(6), inputs(4, seed=1)

    def use(kernel):
        COMPILED.clear()
        kernel(X, Z), kernel.diag(X), kernel.input_vjp(X, Z, np.ones((6, 4)))
        return len(COMPILED)

    kernel = EmpiricalNTK(module, random_state=0)
    use(kernel)
    assert use(kernel) == 0
    assert use(clone(kernel, safe=False)) == 0
    assert use(EmpiricalNTK(module, n_draws=2, random_state=1)) == 0


# --- errors --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"n_draws": 0}, ValueError, r"n_draws=0.*at least 1"),
        ({"n_draws": 1.5}, TypeError, r"n_draws.*1\.5"),
        ({"input_shape": (4, 5)}, ValueError, r"input_shape=\(4, 5\) has 20 values.*16"),
        ({"input_shape": 16}, TypeError, r"input_shape=16"),
        ({"input_shape": (4.0, 4)}, TypeError, r"input_shape.*4\.0"),
        ({"module": None}, TypeError, r"module=None"),
        ({"module": "mlp"}, TypeError, r"module='mlp'"),
        ({"module": recurrent}, TypeError, r"module=.*recurrent.*params"),
        ({"random_state": "seed"}, ValueError, r"seed"),
    ],
)
def test_wrong_parameters_are_named(arguments, error, match):
    kernel = EmpiricalNTK(**({"module": MLP()} | arguments))
    for call in (kernel, kernel.full, kernel.diag):
        with pytest.raises(error, match=match):
            call(inputs(3))


def test_draws_of_given_parameters_are_refused():
    for module, params in ((MLP(), linen(MLP())[1]), (NNXNet(nnx.Rngs(0)), None)):
        kernel = EmpiricalNTK(module, params, n_draws=2)
        with pytest.raises(ValueError, match=r"n_draws=2.*leave it at 1"):
            kernel(inputs(3))


def test_inputs_that_do_not_fit_the_parameters(case):
    kernel = case[0]
    if kernel.module is recurrent:
        return  # accepts inputs of any width
    with pytest.raises((ValueError, TypeError), match="n_features=15"):
        kernel(inputs(3)[:, :15])


def test_outputs_that_are_no_batch_of_vectors():
    kernel = EmpiricalNTK(lambda params, x: x @ params, np.ones(D))
    with pytest.raises(ValueError, match=r"outputs of shape \(2,\).*\(2, k\)"):
        kernel(inputs(3))


def test_wrong_inputs():
    kernel = linen(MLP())[0]
    with pytest.raises(ValueError, match="NaN"):
        kernel(np.full((3, D), np.nan))
    with pytest.raises(ValueError, match=r"16 features and Z has 15"):
        kernel.full(inputs(3), inputs(3)[:, :15])
    with pytest.raises(ValueError, match=r"W has shape \(2, 3\)"):
        kernel.input_vjp(inputs(3), inputs(3), np.ones((2, 3)))


@pytest.mark.parametrize("available", [1000, 30_000])
def test_what_does_not_fit_in_memory_is_refused(monkeypatch, available):
    """With the smaller limit the features of 40 samples do not fit, with the other their kernel."""
    kernel, X = linen(MLP())[0], inputs(40)
    monkeypatch.setattr("skntk._utils.memory.available_bytes", lambda *_: available)
    for call in (kernel, kernel.full):
        with pytest.raises(MemoryError, match=r"n=40 .*use fewer samples"):
            call(X)


# --- in estimators -------------------------------------------------------------------------


def two_classes(n, seed=0):
    X = np.abs(inputs(n, seed))
    y = np.arange(n) % 2
    X[:, 0] = 0.2 + 0.6 * y
    return X, y


def test_unseeded_kernels_fit_and_predict_with_the_same_networks():
    X, y = two_classes(30)
    clf = NTKClassifier(EmpiricalNTK(MLP()), alpha=1e-6).fit(X, y)
    residual = y * 2 - 1 - clf.decision_function(X)
    np.testing.assert_allclose(residual, 1e-6 * clf.dual_coef_.ravel(), atol=1e-6)


def test_in_a_classifier_and_an_attack():
    X, y = two_classes(30)
    X_test, y_test = two_classes(20, seed=1)
    clf = NTKClassifier(EmpiricalNTK(MLP(), n_draws=4, random_state=0), alpha=1e-3).fit(X, y)
    assert clf.score(X, y) == 1 and clf.score(X_test, y_test) >= 0.9
    X_adv = NTKAttack(clf, eps=0.3).generate(X_test, y_test)
    assert np.abs(X_adv - X_test).max() <= 0.3 + 1e-15
    assert clf.score(X_adv, y_test) < 0.3
    np.testing.assert_allclose(
        pickle.loads(pickle.dumps(clf)).decision_function(X_test),
        clf.decision_function(X_test),
        rtol=1e-10,
    )
    c = np.linspace(-1, 1, 20)
    step = 1e-6 * np.eye(D)[3]
    change = clf.decision_function(X_test + step) - clf.decision_function(X_test - step)
    np.testing.assert_allclose(clf.input_vjp(X_test, c)[:, 3], c * change / 2e-6, atol=1e-5)


class InSmallBlocks(EmpiricalNTK):
    block_size = 4


def test_workers_share_the_draws():
    X, y = two_classes(12)
    assert len(upper_blocks(InSmallBlocks(MLP()), 12)) == 6
    clf = NTKClassifier(InSmallBlocks(MLP()), n_jobs=2, alpha=1e-6).fit(X, y)
    residual = y * 2 - 1 - clf.decision_function(X)
    np.testing.assert_allclose(residual, 1e-6 * clf.dual_coef_.ravel(), atol=1e-6)


def test_parameters_through_the_estimator():
    clf = NTKClassifier(EmpiricalNTK(MLP(), random_state=0))
    clf.set_params(kernel__n_draws=3)
    assert clone(clf).kernel.n_draws == 3
    assert "n_draws=3" in repr(clf.kernel)
