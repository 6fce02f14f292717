"""Rows and images: what convolutions are told, and what is accepted."""

import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")

import optax
import skops.io
from flax import linen as nn
from flax import nnx

from skntk import FlaxClassifier
from skntk.kernels import EmpiricalNTK

SHAPE = (4, 4, 1)
X = np.random.default_rng(0).random((6, 16))
y = np.arange(6) % 2
IMAGES = X.reshape(6, *SHAPE)


class Convolution(nn.Module):
    rank: int = 2

    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(nn.Conv(2, (3,) * self.rank)(x).reshape(len(x), -1))


class Pooling(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(nn.avg_pool(x, (2, 2)).reshape(len(x), -1))


class ConvolutionNNX(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(1, 2, (3, 3), rngs=rngs)
        self.dense = nnx.Linear(32, 1, rngs=rngs)

    def __call__(self, x):
        return self.dense(self.conv(x).reshape(len(x), -1))


NEED_IMAGES = {
    "images": Convolution(),
    "sequences": Convolution(1),
    "pooling": Pooling(),
    "nnx": ConvolutionNNX,
}


@pytest.mark.parametrize("module", NEED_IMAGES.values(), ids=NEED_IMAGES)
def test_convolutions_without_input_shape_are_told_to_give_it(module):
    """A convolution over sequences takes the batch for one, and would run."""
    message = r"input_shape=None gives it rows, .* input_shape=\(height, width, channels\)"
    with pytest.raises(ValueError, match=message):
        FlaxClassifier(module, max_epochs=0).fit(X, y)
    with pytest.raises(ValueError, match=message):
        EmpiricalNTK(module, random_state=0)(X)


def test_images_are_taken_like_rows():
    clf = FlaxClassifier(Convolution(), input_shape=SHAPE, max_epochs=1, random_state=0)
    by_rows = clf.fit(X, y, X_val=X, y_val=y).decision_function(X)
    by_images = clf.fit(IMAGES, y, X_val=IMAGES, y_val=y).decision_function(IMAGES)
    np.testing.assert_array_equal(by_rows, by_images)
    np.testing.assert_array_equal(clf.empirical_ntk(IMAGES), clf.empirical_ntk(X))
    kernel = EmpiricalNTK(Convolution(), input_shape=SHAPE, random_state=0)
    np.testing.assert_array_equal(kernel(IMAGES), kernel(X))
    np.testing.assert_array_equal(kernel(IMAGES, X[:2]), kernel(X, IMAGES[:2]))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_skops_keeps_a_network_with_a_schedule(optimizer):
    rate = optax.cosine_decay_schedule(0.1, 10)
    clf = FlaxClassifier(nn.Dense(1), learning_rate=rate, optimizer=optimizer, max_epochs=1)
    data = skops.io.dumps(clf.fit(X, y))
    loaded = skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    np.testing.assert_array_equal(loaded.decision_function(X), clf.decision_function(X))
    loaded.set_params(warm_start=True).fit(X, y)
    assert loaded.n_epochs_ == 2
