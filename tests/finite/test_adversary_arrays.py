"""Adversaries with one value per feature, and those of a pipeline's input space."""

import numpy as np
import pytest
from helpers import gaussian

pytest.importorskip("flax")
pytest.importorskip("optax")

from flax import linen as nn
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skntk import AdversarialTraining, FlaxClassifier, NTKAttack

X = np.random.default_rng(0).uniform(size=(24, 5)) * [1, 0.5, 0.2, 1, 0.9]
Y = (X[:, 0] + X[:, 1] > 0.7).astype(int)
OPTIONS = {"learning_rate": 0.3, "max_epochs": 3, "batch_size": 8, "random_state": 0}


class Standardised(nn.Module):
    """A network whose first layer is the scaler."""

    mean: tuple
    scale: tuple

    @nn.compact
    def __call__(self, x):
        x = (x - np.array(self.mean, x.dtype)) / np.array(self.scale, x.dtype)
        return nn.Dense(1, name="out")(nn.relu(nn.Dense(16, name="hidden")(x)))


class Network(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1, name="out")(nn.relu(nn.Dense(16, name="hidden")(x)))


@pytest.mark.parametrize("norm", [np.inf, 2])
@pytest.mark.parametrize("method", ["pgd", "fgsm"])
def test_a_pipelines_adversary_in_pixels(norm, method):
    scaler = StandardScaler().fit(X)
    mean, scale = scaler.mean_, scaler.scale_
    common = {"norm": norm, "method": method, "max_iter": 3}
    box = ((0 - mean) / scale, (1 - mean) / scale)
    behind = AdversarialTraining(0.1 / scale, eps_step=0.05 / scale, clip_values=box, **common)
    pipe = make_pipeline(scaler, FlaxClassifier(Network(), adversary=behind, **OPTIONS)).fit(X, Y)
    before = AdversarialTraining(0.1, eps_step=0.05, **common)
    module = Standardised(tuple(mean.tolist()), tuple(scale.tolist()))
    whole = FlaxClassifier(module, adversary=before, **OPTIONS).fit(X, Y)
    # FGSM in the ellipsoid moves by eps along each axis, as in the ball before scaling.
    np.testing.assert_allclose(pipe.decision_function(X), whole.decision_function(X), rtol=1e-9)
    in_pixels = scaler.inverse_transform(pipe[-1].attack(scaler.transform(X), Y, behind))
    np.testing.assert_allclose(in_pixels, whole.attack(X, Y, before), atol=1e-12)


@pytest.mark.parametrize("norm", [np.inf, 2])
def test_equal_to_ntk_attack(norm):
    clf = FlaxClassifier(Network(), **OPTIONS).fit(X, Y)
    eps = np.array([0.1, 0.0, 0.05, 0.2, 0.01])
    box = (np.zeros(5), np.ones(5))
    adversary = AdversarialTraining(eps, norm=norm, method="fgsm", clip_values=box)
    attacked = clf.attack(X, Y, adversary)
    np.testing.assert_array_equal(attacked[:, 1], X[:, 1])
    expected = NTKAttack(clf, eps=eps, norm=norm, clip_values=box).generate(X, Y)
    np.testing.assert_allclose(attacked, expected, atol=1e-12)


def test_arrays_are_kept_as_values():
    a, b = (AdversarialTraining(np.array([0.1, 0.2]), clip_values=([0, 0], 1)) for _ in range(2))
    assert a == b and hash(a) == hash(b) and a.eps == (0.1, 0.2)
    assert a != AdversarialTraining([0.1, 0.3], clip_values=([0, 0], 1))
    np.testing.assert_allclose(a.step_size, 2.5 * np.array(a.eps) / 7)
    long = AdversarialTraining(np.arange(2000.0))
    assert "1234.0" in repr(long)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"eps": [0.1, -0.2]}, "eps must be finite and at least 0 in every feature, got -0.2"),
        ({"eps": [0.1, 0.2, 0.3]}, "eps has 3 values for 5 features"),
        ({"eps": 0.1, "eps_step": [0.1]}, "eps_step has 1 values for 5 features"),
        ({"eps": 0.1, "clip_values": ([0, 0], [1, 1])}, "has 2 values for 5 features"),
        ({"eps": 0.1, "clip_values": ([0, 0], [1, 1, 1])}, "2 lows and 3 highs"),
        ({"eps": 0.1, "clip_values": ([0, 2], 1)}, "low above its high"),
    ],
)
def test_wrong_arrays(options, message):
    with pytest.raises(ValueError, match=message):
        FlaxClassifier(Network(), adversary=AdversarialTraining(**options), **OPTIONS).fit(X, Y)


def test_float32_stays():
    adversary = AdversarialTraining(np.full(5, 0.1), norm=2, clip_values=None)
    inputs = gaussian(20, 5).astype(np.float32)
    clf = FlaxClassifier(Network(), adversary=adversary, **OPTIONS).fit(inputs, Y[:20])
    assert clf.attack(inputs, Y[:20], adversary).dtype == np.float32
