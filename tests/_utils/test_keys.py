"""Keys of caches: equal for equal values, and for nothing else."""

import copy
import functools
import pickle

import jax
import joblib
import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")

from flax import linen as nn
from flax import nnx
from sklearn.base import clone
from sklearn.decomposition import PCA

from skntk import NTKClassifier
from skntk._utils.keys import NoKeyError, value_key
from skntk.kernels import EmpiricalNTK, FullyConnectedNTK
from skntk.networks import TwoLayerReLU


def linear(params, x):
    return x @ params


def sequence(width=3):
    return nn.Sequential([nn.Dense(width), nn.relu, jax.numpy.tanh, nn.Dense(2)])


EQUAL = {
    "none": lambda: None,
    "nan": lambda: float("nan"),
    "array": lambda: np.arange(6.0).reshape(2, 3),
    "strided": lambda: np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "jax array": lambda: jax.numpy.arange(3),
    "objects": lambda: np.array([1, "a", None], dtype=object),
    "nested": lambda: {"a": [1, (2.0, {3, 4})], "b": slice},
    "partial": lambda: functools.partial(linear, x=np.ones(2)),
    "seed": lambda: np.random.RandomState(3),
    "estimator": lambda: PCA(3, random_state=0),
    "kernel": lambda: FullyConnectedNTK(3, bias_std=0.2),
    "machine": lambda: NTKClassifier(FullyConnectedNTK(3)),
    "linen": lambda: TwoLayerReLU(8),
    "linen with functions": sequence,
    "empirical": lambda: EmpiricalNTK(sequence(), random_state=0),
    "function": lambda: EmpiricalNTK(linear, {"w": np.ones((2, 1))}),
}


@pytest.mark.parametrize("make", EQUAL.values(), ids=EQUAL)
def test_equal_values_have_equal_keys(make):
    key = value_key(make())
    assert {key: 1}[value_key(make())] == 1
    value = make()
    copied = clone(value) if hasattr(value, "get_params") else value
    assert value_key(copied) == value_key(value)


DIFFERENT = [
    *(0, 0.0, -0.0, False, None, "", b"", (), [], {}, np.zeros(0), np.zeros(0, np.float32)),
    *(np.zeros((0, 1)), [1, 2], (1, 2), [2, 1], [[1], 2], PCA(), PCA(2), PCA, linear, sequence),
    *(TwoLayerReLU(8), TwoLayerReLU(9), sequence(3), sequence(4), FullyConnectedNTK(1)),
    *(FullyConnectedNTK(2), "fc1", functools.partial(linear), functools.partial(linear, x=1)),
    *(nn.relu, jax.numpy.tanh, nn.gelu, np.random.RandomState(1), np.random.RandomState(2)),
]


def test_different_values_have_different_keys():
    keys = [value_key(value) for value in DIFFERENT]
    assert len(set(keys)) == len(keys)


def test_a_function_that_was_redefined_is_another():
    def define(factor):
        namespace = {}
        exec(f"def f(x):\n    return {factor} * x", namespace)
        return namespace["f"]

    assert value_key(define(1)) != value_key(define(2))
    # Even with the same code: what it refers to may have changed.
    assert value_key(define(1)) != value_key(define(1))


@pytest.mark.parametrize("value", [object(), nnx.Linear(1, 1, rngs=nnx.Rngs(0)), iter([1])])
def test_what_cannot_be_told_apart_has_no_key(value):
    with pytest.raises(NoKeyError):
        value_key([value])


@pytest.mark.parametrize("value", [linear, lambda x: x, functools.partial(linear), nn.Sequential])
def test_persistent_keys_are_of_libraries_only(value):
    if value is nn.Sequential:
        assert value_key(value, persistent=True) == "flax.linen.combinators.Sequential"
        return
    with pytest.raises(NoKeyError, match="in another process"):
        value_key({"value": value}, persistent=True)


@pytest.mark.parametrize("module", [TwoLayerReLU(8), TwoLayerReLU(8, n_outputs=None)])
def test_modules_of_the_paper_are_their_parameters(module):
    """Scikit-learn compares parameters by joblib's hash."""
    for same in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), module.clone()):
        assert same == module
        assert joblib.hash(same) == joblib.hash(module)
    assert joblib.hash(TwoLayerReLU(9)) != joblib.hash(module)
