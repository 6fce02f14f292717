"""Networks as users write them, compared with plain Flax: closures, fields, dtypes, shapes."""

import functools
import io
import pickle
import re
from typing import Any

import jax
import jax.numpy as jnp
import joblib
import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")

import optax
from flax import linen as nn
from flax import nnx
from helpers import Compilations
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_score

from skntk import FlaxClassifier, KernelDynamicsTracker, NTKAttack, NTKClassifier
from skntk.kernels import EmpiricalNTK

X = np.random.default_rng(0).random((12, 4))
y = np.arange(12) % 3
# Each network has arrays of its own, since JAX caches the dtype in which it first saw an array.
MEAN, MEAN_NNX, MEAN_FUNCTION, MEAN_KERNEL = (X.mean(axis=0) for _ in range(4))
ORDER = np.array([2, 0, 1])


class Normalised(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x - MEAN)


class NormalisedForKernel(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(jnp.where(x > MEAN_KERNEL, x, x * MEAN_KERNEL))


class Reordered(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x[:, ORDER])


class NormalisedNNX(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x):
        return self.linear(x / MEAN_NNX)


def normalised_function(params, x):
    return (x - MEAN_FUNCTION) @ params


class WithField(nn.Module):
    mean: Any

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x - jnp.asarray(self.mean))


class WithAttributes(nnx.Module):
    def __init__(self, rngs):
        self.sizes = [4, 3]
        self.options = {"scale": 2.0}
        self.names = {"a", "b"}
        self.linear = nnx.Linear(*self.sizes, rngs=rngs)

    def __call__(self, x):
        return self.linear(x) * self.options["scale"]


class WithArray(nnx.Module):
    def __init__(self, rngs):
        self.mean = jnp.full(4, 0.5)
        self.scale = nnx.Variable(jnp.full(4, 2.0))  # state that is not a parameter
        self.linear = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x):
        return self.linear((x - self.mean) * self.scale[...])


class InPrecision(nn.Module):
    dtype: Any
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3, dtype=self.dtype, param_dtype=self.param_dtype)(x)


class KeywordRngs(nnx.Module):
    def __init__(self, width, *, rngs):
        self.first = nnx.Linear(4, width, rngs=rngs)
        self.last = nnx.Linear(width, 3, rngs=rngs)

    def __call__(self, x):
        return self.last(nnx.relu(self.first(x)))


def trained(module, inputs=X, labels=y, **parameters):
    return FlaxClassifier(module, max_epochs=3, random_state=0, **parameters).fit(inputs, labels)


def plain_outputs(clf, module, inputs):
    with jax.enable_x64(True):
        return np.asarray(module.apply({"params": clf.params_}, jnp.asarray(inputs)))


# --- arrays of 64 bits that a network closes over -------------------------------------------


@pytest.mark.parametrize("dtypes", [(np.float32, np.float64), (np.float64, np.float32)])
def test_a_network_may_close_over_numpy_arrays(dtypes):
    """XLA's verifier must not fail, at once or at the second precision used."""
    for dtype in dtypes:
        inputs = X.astype(dtype)
        clf = trained(Normalised(), inputs)
        outputs = clf.decision_function(inputs)
        assert outputs.dtype == dtype
        tolerance = 1e-12 if dtype == np.float64 else 1e-5
        expected = plain_outputs(clf, Normalised(), inputs)
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=tolerance)
        assert trained(NormalisedNNX, inputs).decision_function(inputs).dtype == dtype
        kernel = EmpiricalNTK(normalised_function, np.ones((4, 3)))(inputs)
        centred = X - MEAN_FUNCTION
        np.testing.assert_allclose(kernel, centred @ centred.T, atol=1e-5)
        assert EmpiricalNTK(NormalisedForKernel(), random_state=0)(inputs).dtype == dtype
        tracker = KernelDynamicsTracker(inputs, top=1)
        tracker.record(normalised_function, np.ones((4, 3)), 0)
        assert np.isfinite(tracker.frobenius_norm_).all()


def test_captured_integers():
    clf = trained(Reordered())
    expected = plain_outputs(clf, Reordered(), X)
    np.testing.assert_allclose(clf.decision_function(X), expected, rtol=1e-12)


def test_an_array_that_jax_has_met_in_32_bits_is_an_error_that_says_so():
    mean = X.mean(axis=0)

    def apply(params, x):
        return (x - mean) @ params

    kept = jax.jit(apply)
    with jax.enable_x64(False):
        kept(jnp.ones((4, 3)), jnp.ones((2, 4)))
    try:
        kernel = EmpiricalNTK(apply, np.ones((4, 3)))(X)
    except ValueError as error:
        assert "'apply' does not compile" in str(error) and "jnp.asarray(array)" in str(error)
    else:  # a version of JAX that does not cache
        np.testing.assert_allclose(kernel, (X - mean) @ (X - mean).T, atol=1e-12)


# --- outputs and parameters of another precision --------------------------------------------

DTYPES = [jnp.float32, jnp.float16, jnp.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES)
def test_outputs_of_another_precision_are_the_inputs_outside(dtype):
    """Outputs, `input_vjp` and attacks have the dtype of the inputs, also in bfloat16."""
    clf = trained(InPrecision(dtype))
    assert clf.decision_function(X).dtype == np.float64
    probabilities = clf.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    assert 0 <= roc_auc_score(y, probabilities, multi_class="ovr") <= 1
    cotangents = np.random.default_rng(1).standard_normal((12, 3))
    with jax.enable_x64(True):

        def weighted(points):
            outputs = InPrecision(dtype).apply({"params": clf.params_}, points)
            return jnp.sum(cotangents.astype(dtype) * outputs)

        expected = np.asarray(jax.grad(weighted)(jnp.asarray(X)))
    np.testing.assert_allclose(clf.input_vjp(X, cotangents), expected, rtol=0, atol=1e-12)
    assert NTKAttack(clf, eps=0.1).generate(X, y).dtype == np.float64


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_of_another_precision_are_kept_in_that_of_the_inputs(dtype):
    """Weights are converted from bfloat16 as they are from float16."""
    for inputs in (X, X.astype(np.float32)):
        clf = trained(InPrecision(None, dtype), inputs)
        assert {leaf.dtype for leaf in jax.tree.leaves(clf.params_)} == {inputs.dtype}
        assert clf.empirical_ntk(inputs).dtype == inputs.dtype
        kernel = EmpiricalNTK(InPrecision(None, dtype), random_state=0)(inputs)
        assert kernel.dtype == inputs.dtype


def test_layers_of_double_precision_take_either():
    for inputs in (X, X.astype(np.float32)):
        assert trained(InPrecision(None, jnp.float64), inputs).predict(inputs).shape == (12,)


class Recurrent(nn.Module):
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        cell = nn.GRUCell(4, param_dtype=self.param_dtype)
        return nn.Dense(3)(nn.RNN(cell)(x[:, :, None])[:, -1])


def test_a_carry_of_another_precision_is_an_error_that_names_both_remedies():
    """The type error of `scan` is explained."""
    for make in (trained, lambda module: EmpiricalNTK(module, random_state=0)(X)):
        with pytest.raises(ValueError, match=r"'Recurrent' fails .* in float64.*jnp\.float64"):
            make(Recurrent())
    clf = trained(Recurrent(jnp.float64))
    np.testing.assert_allclose(
        clf.decision_function(X), plain_outputs(clf, Recurrent(jnp.float64), X), rtol=1e-12
    )
    assert trained(Recurrent(), X.astype(np.float32)).predict(X[:2].astype(np.float32)).size == 2


# --- equal modules, whatever they hold ------------------------------------------------------

HOLDING = {
    "array": (lambda: WithField(X.mean(axis=0)), lambda: WithField(X.std(axis=0))),
    "list of arrays": (lambda: WithField([0.1, np.float64(0.2), 0, 1]), lambda: WithField([1] * 4)),
    "jax array": (lambda: WithField(jnp.ones(4)), lambda: WithField(jnp.zeros(4))),
}


@pytest.mark.parametrize("make, other", HOLDING.values(), ids=HOLDING)
def test_modules_whose_fields_are_arrays(make, other):
    """Array fields are compared by value, in the second fit too."""
    clf = trained(make())
    first = clf.decision_function(X)
    with Compilations() as compilations:
        np.testing.assert_array_equal(clf.fit(X, y).decision_function(X), first)
        np.testing.assert_array_equal(clone(clf).fit(X, y).decision_function(X), first)
        np.testing.assert_array_equal(trained(make()).decision_function(X), first)
    assert compilations.count == 0  # equal modules are one network
    assert not np.array_equal(trained(other()).decision_function(X), first)
    assert len(cross_val_score(FlaxClassifier(make(), max_epochs=1), X, y, cv=2)) == 2
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).decision_function(X), first)
    warm = clf.set_params(warm_start=True)
    warm.fit(X, y).set_params(module=make()).fit(X, y)
    with pytest.raises(ValueError, match="module was changed"):
        warm.set_params(module=other()).fit(X, y)


@pytest.mark.parametrize("module", [WithAttributes, WithArray])
def test_nnx_modules_with_attributes_that_have_no_hash(module):
    """Fields that cannot be hashed are accepted."""
    clf = trained(module)
    assert clf.score(X, y) == trained(module).score(X, y)
    ours = EmpiricalNTK(module(nnx.Rngs(0))).full(X)
    with jax.enable_x64(True):
        graph, params, rest = nnx.split(module(nnx.Rngs(0)), nnx.Param, ...)
        params = jax.tree.map(lambda leaf: leaf.astype(np.float64), params)
        jacobian = jax.jacrev(lambda p: nnx.merge(graph, p, rest)(jnp.asarray(X)).ravel())(params)
        rows = np.hstack([np.reshape(leaf, (36, -1)) for leaf in jax.tree.leaves(jacobian)])
    np.testing.assert_allclose(ours, rows @ rows.T, atol=1e-9)
    wrapped = FlaxClassifier.from_params(module(nnx.Rngs(0)), classes=[0, 1, 2], n_features=4)
    restored = pickle.loads(pickle.dumps(wrapped))
    np.testing.assert_array_equal(restored.decision_function(X), wrapped.decision_function(X))


@pytest.mark.parametrize("module", [functools.partial(KeywordRngs, 16), WithAttributes])
def test_factories_of_any_kind_compile_once(module):
    first = trained(module)
    with Compilations() as compilations:
        trained(clone(first).module)
    assert compilations.count == 0


def test_a_module_that_cannot_be_copied_is_refused_by_name():
    """The error names a module that cannot be copied, and the remedy."""
    with pytest.raises(TypeError, match=r"A ToLinen cannot be copied.*give the module within"):
        trained(nnx.bridge.ToLinen(nnx.Linear, args=(4, 3)))


# --- parameters and outputs that are none ---------------------------------------------------


def absolute(params, x):
    return abs(x[:, :1] * params[0]) ** 2


def shifted(params, x):
    return x @ params["weights"] + params["shift"]


UNTRAINABLE = {
    "complex": (absolute, np.array([1j]), r"array of complex128 .*real and imaginary parts"),
    "integer": (
        shifted,
        {"weights": np.ones((4, 3)), "shift": np.arange(3)},
        r"array of int64 \(\['shift'\]\).*leave out",
    ),
    "boolean": (shifted, {"weights": np.ones((4, 3)), "shift": np.array(True)}, "array of bool"),
}


@pytest.mark.parametrize("function, params, match", UNTRAINABLE.values(), ids=UNTRAINABLE)
def test_parameters_without_a_real_derivative_are_refused_by_name(function, params, match):
    """Complex and integer parameters are refused."""
    with pytest.raises(TypeError, match=match):
        EmpiricalNTK(function, params)(X)
    with pytest.raises(TypeError, match=match):
        KernelDynamicsTracker(X, top=1).record(function, params, 0)


class ComplexLayer(nn.Module):
    @nn.compact
    def __call__(self, x):
        return abs(nn.Dense(3, param_dtype=jnp.complex64)(x))


def test_complex_layers_are_refused_before_training():
    """JAX does not conjugate the gradient of complex parameters, so the loss would rise."""
    with pytest.raises(TypeError, match="array of complex64"):
        trained(ComplexLayer())


def test_a_network_without_parameters_has_no_kernel():
    for call in (
        lambda kernel: kernel(X),
        lambda kernel: kernel.input_vjp(X, X, np.ones((12, 12))),
    ):
        with pytest.raises(ValueError, match="has no params"):
            call(EmpiricalNTK(lambda params, x: x, {}))


class Returning(nn.Module):
    what: str

    @nn.compact
    def __call__(self, x):
        outputs = nn.Dense(3)(x)
        return {
            "tuple": lambda: (outputs, outputs),
            "dict": lambda: {"logits": outputs},
            "squeezed": lambda: outputs.squeeze(),
            "vector": lambda: outputs[:, 0],
            "scalar": lambda: outputs.sum(),
            "integer": lambda: outputs.argmax(axis=1, keepdims=True),
            "complex": lambda: outputs * 1j,
            "noise": lambda: outputs + jax.random.normal(self.make_rng("noise"), outputs.shape),
        }[self.what]()


RETURNED = {
    "tuple": "gives a tuple of outputs",
    "dict": "gives a dict of outputs",
    "squeezed": r"outputs of shape \(2, 3\) for a batch of 2 samples and \(3,\) for 1",
    "vector": r"outputs of shape \(2,\)",
    "scalar": "outputs of shape",
    "integer": "gives outputs of int",
    "complex": "gives outputs of complex",
    "noise": r"random numbers, of which there are none in inference mode.*noise",
}


@pytest.mark.parametrize("what, match", RETURNED.items())
def test_outputs_that_are_no_array_of_numbers_are_refused_by_name(what, match):
    with pytest.raises(ValueError, match=f"'Returning'.*{match}"):
        trained(Returning(what))
    with pytest.raises(ValueError, match=f"'Returning'.*{match}"):
        EmpiricalNTK(Returning(what), random_state=0)(X)


# --- pickling -------------------------------------------------------------------------------

PICKLED = {
    "layer": lambda: trained(nn.Dense(3)),
    "sequential": lambda: trained(nn.Sequential([nn.Dense(4), nn.relu, nn.Dense(3)])),
    "initialiser": lambda: trained(nn.Dense(3, kernel_init=nn.initializers.normal(0.1))),
    "lambda": lambda: trained(lambda rngs: nnx.Linear(4, 3, rngs=rngs)),
    "nnx sequential": lambda: FlaxClassifier.from_params(
        nnx.Sequential(
            nnx.Linear(4, 4, rngs=nnx.Rngs(0)), nnx.relu, nnx.Linear(4, 3, rngs=nnx.Rngs(1))
        ),
        classes=[0, 1, 2],
        n_features=4,
    ),
    "chain": lambda: trained(nn.Dense(3), optimizer=optax.chain(optax.clip(1.0), optax.sgd(0.1))),
    "schedule": lambda: trained(nn.Dense(3), learning_rate=optax.cosine_decay_schedule(0.1, 9)),
    "kernel": lambda: NTKClassifier(EmpiricalNTK(nn.Dense(3), random_state=0), alpha=1).fit(X, y),
    "function": lambda: NTKClassifier(
        EmpiricalNTK(lambda params, x: jnp.tanh(x @ params), np.ones((4, 2))), alpha=1
    ).fit(X, y),
}


@pytest.mark.parametrize("make", PICKLED.values(), ids=PICKLED)
def test_whatever_is_fitted_is_pickled(make):
    """Estimators with local functions and classes can be pickled."""
    fitted = make()
    buffer = io.BytesIO()
    joblib.dump(fitted, buffer)
    buffer.seek(0)
    for restored in (pickle.loads(pickle.dumps(fitted)), joblib.load(buffer)):
        np.testing.assert_array_equal(restored.decision_function(X), fitted.decision_function(X))
        if getattr(restored, "n_epochs_", 1):  # a network that came with its weights is not fitted
            clone(restored).fit(X, y)
    if isinstance(fitted, FlaxClassifier) and fitted.n_epochs_:
        both = [clf.set_params(warm_start=True).fit(X, y) for clf in (fitted, restored)]
        np.testing.assert_array_equal(*(clf.decision_function(X) for clf in both))


class Unpicklable:
    def __reduce__(self):
        raise RuntimeError("never")


def test_what_cannot_be_pickled_is_named():
    clf = trained(WithField(np.ones(4)))
    clf.optimizer = Unpicklable()
    with pytest.raises(pickle.PicklingError, match=r"FlaxClassifier holds .*optimizer.*never"):
        pickle.dumps(clf)


# --- random modules against plain Flax ------------------------------------------------------


class Random(nn.Module):
    """A random composition of layers, drawn from a seed, with an array among its fields."""

    seed: int
    mean: Any
    layer_dtype: Any
    param_dtype: Any

    @nn.compact
    def __call__(self, x):
        rng = np.random.default_rng(self.seed)
        x = x - jnp.asarray(self.mean)
        options = {"dtype": self.layer_dtype, "param_dtype": self.param_dtype}
        for _ in range(rng.integers(1, 4)):
            kind, width = rng.integers(4), int(rng.integers(2, 6))
            if kind == 0:
                x = nn.tanh(nn.Dense(width, **options)(x))
            elif kind == 1:
                x = x + nn.Dense(x.shape[1], use_bias=False, **options)(nn.softplus(x))
            elif kind == 2:
                x = nn.LayerNorm(epsilon=0.1, **options)(x)  # well-conditioned, also in float32
            else:
                x = nn.Sequential([nn.Dense(width, **options), nn.gelu])(x)
        return nn.Dense(3, **options)(x)


class RandomNNX(nnx.Module):
    def __init__(self, seed, dtype, param_dtype, *, rngs):
        rng = np.random.default_rng(seed)
        self.sizes = [4, *rng.integers(2, 6, rng.integers(1, 4)).tolist(), 3]
        self.options = {"scale": float(rng.uniform(0.5, 2))}
        self.shift = jnp.asarray(rng.random(4), jnp.float32)
        options = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        pairs = zip(self.sizes[:-1], self.sizes[1:], strict=True)
        self.layers = nnx.List([nnx.Linear(a, b, **options) for a, b in pairs])
        self.norm = nnx.LayerNorm(self.sizes[1], epsilon=0.1, **options)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        x = self.norm(self.layers[0]((x - self.shift) * self.options["scale"]))
        for layer in self.layers[1:]:
            x = layer(nnx.tanh(self.dropout(x)))
        return x


def random_case(seed):
    """(module, plain function of params and x made from a fitted classifier, inputs, exact)."""
    rng = np.random.default_rng(seed)
    dtype = [np.float64, np.float32][rng.integers(2)]
    layer = [None, jnp.float32][rng.integers(2)]
    param = [jnp.float32, jnp.float64][rng.integers(2)]
    inputs = rng.standard_normal((6, 4)).astype(dtype)
    exact = dtype == np.float64 and layer is None
    if seed % 2:
        module = functools.partial(RandomNNX, seed, layer, param)

        def plain(params, x):
            built = module(rngs=nnx.Rngs(0))
            built.eval()
            graph, _, rest = nnx.split(built, nnx.Param, ...)
            state = nnx.split(built, nnx.Param, ...)[1]
            nnx.replace_by_pure_dict(state, params)
            return nnx.merge(graph, state, rest)(x)
    else:
        module = Random(seed, rng.random(4), layer, param)

        def plain(params, x):
            return module.apply({"params": params}, x)

    return module, plain, inputs, exact


def check_random_module(seed):
    module, plain, inputs, exact = random_case(seed)
    labels = np.arange(6) % 3
    clf = FlaxClassifier(module, max_epochs=1, learning_rate=0.1, random_state=0)
    clf.fit(inputs, labels)
    cotangents = np.random.default_rng(seed).standard_normal((6, 3)).astype(inputs.dtype)
    with jax.enable_x64(True):
        params = jax.tree.map(jnp.asarray, clf.params_)
        x = jnp.asarray(inputs)
        outputs = plain(params, x)
        gradient = jax.grad(lambda x: jnp.sum(cotangents * plain(params, x)))(x)
        jacobian = jax.jacrev(lambda p: plain(p, x).ravel())(params)
        rows = np.hstack([np.reshape(leaf, (18, -1)) for leaf in jax.tree.leaves(jacobian)])
    tolerance = 1e-9 if exact else 2e-4
    for ours, theirs in (
        (clf.decision_function(inputs), outputs),
        (clf.input_vjp(inputs, cotangents), gradient),
        (clf.empirical_ntk(inputs), rows.astype(float) @ rows.T.astype(float)),
    ):
        assert ours.dtype == inputs.dtype
        scale = max(1.0, np.abs(theirs).max())
        np.testing.assert_allclose(ours / scale, np.asarray(theirs) / scale, atol=tolerance)
    before = clf.decision_function(inputs)
    restored = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(restored.decision_function(inputs), before)
    np.testing.assert_array_equal(clf.fit(inputs, labels).decision_function(inputs), before)


@pytest.mark.parametrize("seed", range(6))
def test_random_modules_compute_what_plain_flax_computes(seed):
    check_random_module(seed)


@pytest.mark.slow
@pytest.mark.usefixtures("room_after_each")
@pytest.mark.parametrize("seed", range(6, 200))
def test_many_random_modules_compute_what_plain_flax_computes(seed):
    check_random_module(seed)


@pytest.mark.parametrize(
    ("function", "params", "error", "message"),
    [
        (nn.Dense(3), {"params": {}}, TypeError, "is a Linen module; give apply_fn=module.apply"),
        (NormalisedNNX(nnx.Rngs(0)), {}, TypeError, "nnx.split"),
        ({"w": np.ones(3)}, nn.Dense(3).apply, TypeError, "must be a function of (params, x)"),
        (
            nn.Dense(3).apply,
            nn.Dense(3).init(jax.random.key(0), jnp.ones((1, 4)))["params"],
            ValueError,
            "give {'params': params}",
        ),
    ],
    ids=["Linen", "NNX", "swapped", "inner"],
)
def test_what_is_no_function_of_parameters_is_named(function, params, error, message):
    with pytest.raises(error, match=re.escape(message)) as raised:
        KernelDynamicsTracker(X, top=(1,)).record(function, params, 0)
    assert len(str(raised.value)) < 300


def test_kernels_of_apply_want_all_variables():
    variables = nn.Dense(3).init(jax.random.key(0), jnp.ones((1, 4)))
    assert EmpiricalNTK(nn.Dense(3).apply, variables)(X).shape == (12, 12)
    with pytest.raises(ValueError, match=re.escape("give {'params': params}")):
        EmpiricalNTK(nn.Dense(3).apply, variables["params"])(X)


def test_modules_under_attack_are_told_how_to_be_wrapped():
    for module in (nn.Dense(3), NormalisedNNX(nnx.Rngs(0))):
        with pytest.raises(TypeError, match=r"FlaxClassifier\.from_params"):
            NTKAttack(module).generate(X, y)
