"""Networks that were trained elsewhere: weights read from files, and weights that are refused."""

import jax
import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")

from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from skntk import FlaxClassifier

X = np.random.default_rng(0).random((9, 4))
y = np.arange(9) % 3


class Normalised(nn.Module):
    """A network with running statistics."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.relu(nn.Dense(6)(x))
        return nn.Dense(3)(nn.BatchNorm(use_running_average=not train)(x))


@pytest.fixture(scope="module")
def trained():
    return FlaxClassifier(Normalised(), max_epochs=2, random_state=0).fit(X, y)


def variables_of(clf):
    return jax.tree.map(np.array, {"params": clf.params_, **clf.constants_})


def wrapped(variables):
    return FlaxClassifier.from_params(Normalised(), variables, classes=[0, 1, 2], n_features=4)


def assert_equal_to_the_bit(clf, other):
    jax.tree.map(np.testing.assert_array_equal, variables_of(clf), variables_of(other))
    np.testing.assert_array_equal(clf.decision_function(X), other.decision_function(X))


def test_an_orbax_checkpoint(trained, tmp_path):
    checkpoint = pytest.importorskip("orbax.checkpoint")
    with checkpoint.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "weights", variables_of(trained))
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(tmp_path / "weights")
    assert_equal_to_the_bit(wrapped(restored), trained)


def test_a_file_of_flat_names(trained, tmp_path):
    """The way from safetensors, with NumPy's own files."""
    np.savez(tmp_path / "weights.npz", **flatten_dict(variables_of(trained), sep="."))
    with np.load(tmp_path / "weights.npz") as flat:
        assert_equal_to_the_bit(wrapped(unflatten_dict(dict(flat), sep=".")), trained)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_the_leaf_that_is_not_finite_is_named(trained, bad):
    variables = variables_of(trained)
    variables["params"]["Dense_1"]["kernel"][1, :2] = bad
    leaf = r"\['params'\]\['Dense_1'\]\['kernel'\]"
    with pytest.raises(ValueError, match=f"params holds 2 entries .* in leaf {leaf}, as"):
        wrapped(variables)
    variables["batch_stats"]["BatchNorm_0"]["mean"][:] = bad
    with pytest.raises(
        ValueError, match=r"8 entries that are NaN or infinite, in leaf .* and 1 more,"
    ):
        wrapped(variables)
