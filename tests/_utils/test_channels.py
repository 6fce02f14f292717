"""Rows of colour images whose channels come first are noticed, and no others."""

import warnings

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from skntk import NTKClassifier, SpectralFeatureDecomposer
from skntk._utils.channels import warn_of_channels_first
from skntk.kernels import ConvolutionalNTK

SHAPE = (8, 10, 3)


def pictures(shape=SHAPE, n=12, channels_first=False):
    """Smooth pictures in the colours of nothing: each channel is its own."""
    noise = np.random.default_rng(0).standard_normal((n, *shape))
    X = gaussian_filter(noise, (0, 2, 2, 0))
    return (X.transpose(0, 3, 1, 2) if channels_first else X).reshape(n, -1)


@pytest.mark.parametrize("scale", [1.0, 255.0, 1e-3])
def test_channels_first_are_told_apart(scale):
    with pytest.warns(UserWarning, match=r"X\.reshape\(-1, 3, 8, 10\)\.transpose\(0, 2, 3, 1\)"):
        warn_of_channels_first(scale * pictures(channels_first=True), SHAPE)
    with pytest.warns(UserWarning, match="channel by channel"):
        warn_of_channels_first(pictures(channels_first=True)[:1], SHAPE)


@pytest.mark.parametrize(
    "X, shape",
    [
        (pictures(), SHAPE),
        (pictures() - pictures().mean(axis=0), SHAPE),
        (np.random.default_rng(0).random((12, 240)), SHAPE),
        (np.ones((12, 240)), SHAPE),
        (pictures((8, 30, 1)), (8, 30, 1)),
        (pictures((1, 80, 3), channels_first=True), (1, 80, 3)),
        (pictures(channels_first=True), None),
        (pictures(channels_first=True), (240,)),
    ],
    ids=["last", "centred", "noise", "constant", "grey", "one row", "flat", "one axis"],
)
def test_nothing_is_said_of_others(X, shape):
    with warnings.catch_warnings(action="error"):
        warn_of_channels_first(X, shape)


@pytest.mark.parametrize(
    "estimator",
    [NTKClassifier("conv1"), SpectralFeatureDecomposer(ConvolutionalNTK(1, image_shape=(6, 6, 3)))],
    ids=lambda estimator: type(estimator).__name__,
)
def test_estimators_say_it_once(estimator):
    X, y = pictures((6, 6, 3), channels_first=True), np.arange(12) % 2
    with pytest.warns(UserWarning, match="channel by channel") as caught:
        estimator.fit(X, y)
    assert sum("channel by channel" in str(w.message) for w in caught) == 1
    assert caught[0].filename == __file__


def test_networks_say_it_once():
    nn = pytest.importorskip("flax.linen")
    pytest.importorskip("optax")
    from skntk import FlaxClassifier

    module = nn.Sequential([nn.Conv(2, (3, 3)), lambda x: x.reshape(len(x), -1), nn.Dense(1)])
    clf = FlaxClassifier(module, input_shape=(6, 6, 3), max_epochs=1)
    with pytest.warns(UserWarning, match="channel by channel") as caught:
        clf.fit(pictures((6, 6, 3), channels_first=True), np.arange(12) % 2)
    assert len(caught) == 1
    with warnings.catch_warnings(action="error"):
        clf.fit(pictures((6, 6, 3)), np.arange(12) % 2)
