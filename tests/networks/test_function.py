"""Networks are deterministic functions of one sample; all others are refused."""

import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")

from flax import linen as nn
from flax import nnx

from skntk import FlaxClassifier, KernelDynamicsTracker
from skntk.kernels import EmpiricalNTK

X = np.random.default_rng(0).uniform(size=(6, 4))
y = np.arange(6) % 2


class WithDropout(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(4, 8, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.second = nnx.Linear(8, 1, rngs=rngs)

    def __call__(self, x):
        return self.second(self.dropout(nnx.relu(self.first(x))))


class HandWritten(nnx.Module):
    """Normalises over the batch, without statistics that Flax knows of."""

    def __init__(self, rngs):
        self.linear = nnx.Linear(4, 1, rngs=rngs)

    def __call__(self, x):
        return self.linear((x - x.mean(axis=0)) / (x.std(axis=0) + 1e-3))


class Centred(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(x - x.mean(axis=0))


class Noisy(nnx.Module):
    """Random in training and inference mode alike."""

    def __init__(self, rngs):
        self.linear, self.rngs = nnx.Linear(4, 1, rngs=rngs), rngs

    def __call__(self, x):
        return self.linear(x) + self.rngs.noise.normal((len(x), 1))


def test_dropout_is_in_inference_mode():
    """Equal rows get equal outputs."""
    clf = FlaxClassifier(WithDropout, max_epochs=2, random_state=0).fit(X, y)
    outputs = clf.decision_function(np.repeat(X[:1], 6, axis=0))
    np.testing.assert_array_equal(outputs, outputs[0])
    trained = WithDropout(nnx.Rngs(0))
    wrapped = FlaxClassifier.from_params(trained, classes=[0, 1], n_features=4)
    assert not trained.dropout.deterministic  # the user's own module is left alone
    trained.eval()
    outputs = wrapped.decision_function(X.astype(np.float32))
    np.testing.assert_allclose(outputs, trained(jnp.asarray(X, jnp.float32))[:, 0], rtol=1e-5)


MODULES = {"normalised": HandWritten, "centred": Centred(), "noisy": Noisy}


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_outputs_that_depend_on_other_rows_are_refused_by_name(module):
    name = module.__name__ if isinstance(module, type) else type(module).__name__
    message = f"module '{name}' gives a sample other outputs in a batch than alone"
    clf = FlaxClassifier(module)
    with pytest.raises(ValueError, match=message):
        clf.fit(X, y)
    assert not hasattr(clf, "n_features_in_")
    with pytest.raises(ValueError, match=message):
        EmpiricalNTK(module)(X)
    if module is HandWritten:
        with pytest.raises(ValueError, match=message):
            FlaxClassifier.from_params(module(nnx.Rngs(0)), classes=[0, 1], n_features=4)


def over_the_batch(params, x):
    return (x - x.mean(axis=0)) @ params


def test_functions_that_depend_on_other_rows_are_refused_by_name():
    message = "module 'over_the_batch' gives a sample other outputs"
    with pytest.raises(ValueError, match=message):
        EmpiricalNTK(over_the_batch, np.ones((4, 1)))(X)
    with pytest.raises(ValueError, match=message):
        KernelDynamicsTracker(X, top=1).record(over_the_batch, np.ones((4, 1)), 0)


@pytest.mark.parametrize(
    ("dtype", "excess", "allowed"),
    [
        (jnp.float32, 1e-4, True),
        (jnp.float32, 4e-3, False),
        (jnp.float16, 2e-3, True),
        (jnp.float16, 2e-2, False),
        (jnp.bfloat16, 1e-2, True),
        (jnp.bfloat16, 1e-1, False),
    ],
)
def test_rounding_is_told_from_dependence_on_other_rows(dtype, excess, allowed):
    """Products of a batch and of a row differ by rounding, in the precision they are made in."""

    def function(params, x):
        outputs = x.astype(dtype) @ params.astype(dtype)
        return outputs.astype(jnp.float32) * (1 + excess * (len(x) > 1))

    kernel = EmpiricalNTK(function, np.ones((4, 1)))
    if allowed:
        assert kernel(X).shape == (len(X), len(X))
    else:
        with pytest.raises(ValueError, match="module 'function' gives a sample other outputs"):
            kernel(X)
