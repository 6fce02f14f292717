"""TRADES and random starts against plain JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")

from flax import linen as nn

from skntk import AdversarialTraining, FlaxClassifier
from skntk.finite._outputs import attack as _training_attack

RNG = np.random.default_rng(0)
X = RNG.uniform(0.2, 0.8, (18, 5))
LABELS = {1: np.arange(18) % 2, 2: np.arange(18) % 2, 3: np.arange(18) % 3}
OPTIONS = {"batch_size": None, "learning_rate": 0.5, "random_state": 0}


def network(n_outputs=3, **parameters):
    module = nn.Sequential([nn.Dense(8), nn.tanh, nn.Dense(n_outputs)])
    return FlaxClassifier(module, **(OPTIONS | parameters))


def log_probabilities(clf, params, x):
    f = clf.module.apply({"params": params}, x)
    if f.shape[1] == 1:
        return jnp.concatenate([jax.nn.log_sigmoid(-f), jax.nn.log_sigmoid(f)], axis=1)
    return jax.nn.log_softmax(f)


def divergence(clf, params, x, other):
    p, q = (log_probabilities(clf, params, points) for points in (x, other))
    return (jnp.exp(p) * (p - q)).sum(axis=1)


@pytest.mark.parametrize("norm", [np.inf, 2])
@pytest.mark.parametrize("n_outputs", [1, 2, 3])
def test_the_attack_raises_the_divergence_from_the_network_itself(n_outputs, norm):
    clf = network(n_outputs, max_epochs=30).fit(X, LABELS[n_outputs])
    adversary = AdversarialTraining(0.1, loss="trades", norm=norm, max_iter=10)
    attacked = clf.attack(X, LABELS[n_outputs], adversary)
    assert np.linalg.norm(attacked - X, norm, axis=1).max() <= 0.1 + 1e-12
    with jax.enable_x64(True):
        found = np.asarray(divergence(clf, clf.params_, X, attacked))
        away = RNG.standard_normal((20, *X.shape))
        away /= np.linalg.norm(away, norm, axis=2, keepdims=True)
        others = [np.asarray(divergence(clf, clf.params_, X, X + 0.1 * step)) for step in away]
    assert found.mean() > np.max(others, axis=0).mean()
    assert (found > np.mean(others, axis=0)).all()
    # Labels do not matter: where a sample lies says nothing about its class.
    shuffled = clf.attack(X, LABELS[n_outputs][::-1], adversary)
    np.testing.assert_array_equal(shuffled, attacked)


@pytest.mark.parametrize("n_outputs", [1, 2, 3])
def test_a_step_lowers_the_loss_of_its_authors(n_outputs, monkeypatch):
    y, met = LABELS[n_outputs], []

    def attack(*arguments):
        met.append(np.asarray(_training_attack(*arguments)))
        return met[-1]

    monkeypatch.setattr("skntk.finite._training.attack", attack)
    adversary = AdversarialTraining(0.1, loss="trades", beta=3.0, max_iter=2)
    start = network(n_outputs, max_epochs=0).fit(X, y)
    stepped = network(n_outputs, max_epochs=1, adversary=adversary).fit(X, y)
    (attacked,) = met

    def loss(params):
        own = log_probabilities(start, params, X)[np.arange(18), y]
        return (-own + 3.0 * divergence(start, params, X, attacked)).mean()

    with jax.enable_x64(True):
        value, gradient = jax.value_and_grad(loss)(jax.tree.map(jnp.asarray, start.params_))
        gradient = jax.tree.map(np.asarray, gradient)
    assert stepped.history_["loss"][0] == pytest.approx(float(value), rel=1e-12)
    expected = jax.tree.map(lambda w, g: w - 0.5 * g, start.params_, gradient)
    for found, wanted in zip(*map(jax.tree.leaves, (stepped.params_, expected)), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


def test_without_weight_it_is_standard_training():
    adversary = AdversarialTraining(0.1, loss="trades", beta=0.0)
    plain, trades = (
        network(max_epochs=4, adversary=a).fit(X, LABELS[3]) for a in (None, adversary)
    )
    for a, b in zip(*map(jax.tree.leaves, (plain.params_, trades.params_)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_it_makes_outputs_steadier():
    adversary = AdversarialTraining(0.15, loss="trades", max_iter=3)
    standard, trades = (
        network(max_epochs=200, adversary=a).fit(X, LABELS[3]) for a in (None, adversary)
    )
    moved = []
    for clf in (standard, trades):
        with jax.enable_x64(True):
            attacked = clf.attack(X, LABELS[3], adversary)
            moved.append(float(divergence(clf, clf.params_, X, attacked).mean()))
    assert moved[1] < 0.5 * moved[0]


def test_it_needs_probabilities():
    adversary = AdversarialTraining(0.1, loss="trades")
    with pytest.raises(ValueError, match=r"loss='squared_error' cannot be combined.*trades"):
        network(loss="squared_error", adversary=adversary).fit(X, LABELS[3])


@pytest.mark.parametrize("norm", [np.inf, 2])
@pytest.mark.parametrize("eps", [0.3, (0.3, 0.0, 0.1, 0.2, 0.3)])
def test_random_starts_fill_the_ball(norm, eps):
    """A step of no length leaves the start where it is."""
    many = np.repeat(X[:1], 2000, axis=0)
    clf = network(max_epochs=0).fit(X, LABELS[3])
    options = {"norm": norm, "eps_step": 0.0, "max_iter": 1, "random_start": True}
    adversary = AdversarialTraining(eps, clip_values=None, **options)
    points = clf.attack(many, np.zeros(2000, int), adversary)
    scale = np.broadcast_to(eps, 5)
    assert (points[:, scale == 0] == many[:, scale == 0]).all()
    units = ((points - many) / np.where(scale > 0, scale, 1))[:, scale > 0]
    length = np.linalg.norm(units, norm, axis=1)
    assert length.max() <= 1 + 1e-12
    if (scale > 0).all():  # the share of the ball within a radius r is r^d
        assert np.mean(length < 0.8) == pytest.approx(0.8**5, abs=0.04)
    np.testing.assert_array_equal(points, clf.attack(many, np.zeros(2000, int), adversary))
    boxed = clf.attack(many, np.zeros(2000, int), AdversarialTraining(eps, **options))
    np.testing.assert_array_equal(boxed, np.clip(points, 0, 1))


def test_every_batch_starts_elsewhere_and_a_seed_repeats_it():
    options = {"eps_step": 0.0, "max_iter": 1, "random_start": True}
    adversary = AdversarialTraining(0.3, **options)
    clean = network(max_epochs=2).fit(X, LABELS[3])
    first, again = (network(max_epochs=2, adversary=adversary).fit(X, LABELS[3]) for _ in range(2))
    other = network(max_epochs=2, adversary=adversary, random_state=1)
    assert first.history_["loss"].tolist() == again.history_["loss"].tolist()
    assert first.history_["loss"][0] != clean.history_["loss"][0]
    with_same_weights = network(max_epochs=2, adversary=adversary, learning_rate=1e-30)
    losses = with_same_weights.fit(X, LABELS[3]).history_["loss"]
    assert losses[0] != losses[1]
    assert other.fit(X, LABELS[3]).history_["loss"][0] != first.history_["loss"][0]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"loss": "kl"}, ValueError),
        ({"beta": -1.0}, ValueError),
        ({"beta": "a"}, TypeError),
        ({"random_start": 1}, TypeError),
    ],
)
def test_wrong_options_are_named(options, error):
    with pytest.raises(error, match=next(iter(options))):
        AdversarialTraining(0.1, **options)
