"""Adversarial examples of kernels, networks and pipelines shown to each other."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skntk import NTKAttack, NTKClassifier
from skntk.metrics import robust_accuracy_score
from skntk.transfer import transfer_matrix

ATTACK = NTKAttack(None, eps=0.15)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:200] / 16, y[:200], X[200:240] / 16, y[200:240]


@pytest.fixture(scope="module")
def models(digits):
    X, y, _, _ = digits
    return {
        "fc1": NTKClassifier("fc1").fit(X, y),
        "scaled": make_pipeline(StandardScaler(), NTKClassifier("fc2")).fit(X, y),
        "neighbours": KNeighborsClassifier().fit(X, y),
    }


def differentiable(models):
    return {name: models[name] for name in ("fc1", "scaled")}


def test_every_entry_is_a_robust_accuracy(digits, models):
    X, y = digits[2:]
    sources = differentiable(models)
    matrix = transfer_matrix(sources, models, X, y, attack=ATTACK)
    assert matrix.names == [["fc1", "scaled"], ["fc1", "scaled", "neighbours"]]
    assert matrix.accuracy.shape == (2, 3)
    for row, source in zip(matrix.accuracy, sources.values(), strict=True):
        attack = NTKAttack(source, eps=0.15)
        expected = [robust_accuracy_score(victim, X, y, attack) for victim in models.values()]
        np.testing.assert_array_equal(row, expected)
    clean = [victim.score(X, y) for victim in models.values()]
    np.testing.assert_array_equal(matrix.clean_accuracy, clean)
    assert ATTACK.estimator is None


def test_networks_are_sources_and_victims(digits, models):
    pytest.importorskip("flax")
    pytest.importorskip("optax")
    from skntk import FlaxClassifier
    from skntk.networks import TwoLayerReLU

    X_train, y_train, X, y = digits
    network = FlaxClassifier(TwoLayerReLU(32, 10), optimizer="adam", max_epochs=40, random_state=0)
    both = {"network": network.fit(X_train, y_train), "kernel": models["fc1"]}
    matrix = transfer_matrix(both, both, X, y, attack=ATTACK)
    X_adv = NTKAttack(models["fc1"], eps=0.15).generate(X, y)
    assert matrix.accuracy[1, 0] == network.score(X_adv, y) < matrix.clean_accuracy[0]
    assert (matrix.accuracy < matrix.clean_accuracy).all()


def test_names_of_estimators_without_a_name(digits, models):
    X, y = digits[2], digits[3]
    first, scaled, neighbours = models.values()
    second = first.at_time(1.0)
    pairs = [("early", second), ("late", first)]
    matrix = transfer_matrix(pairs, [neighbours, scaled], X[:5], y[:5], attack=ATTACK)
    assert matrix.names == [["early", "late"], ["KNeighborsClassifier", "Pipeline"]]
    matrix = transfer_matrix([first, second], (second, first), X[:5], y[:5], attack=ATTACK)
    assert matrix.names == [
        ["NTKClassifier 1", "NTKClassifier 2"],
        ["NTKClassifier 2", "NTKClassifier 1"],
    ]


def test_frames(digits):
    names = [f"pixel {j}" for j in range(64)]
    X, y, X_test, y_test = digits
    frame = pd.DataFrame(X, columns=names)
    models = [NTKClassifier("fc1").fit(frame, y), KNeighborsClassifier().fit(frame, y)]
    test = pd.DataFrame(X_test, columns=names)
    matrix = transfer_matrix(models[:1], models, test, y_test, attack=ATTACK)
    plain = [NTKClassifier("fc1").fit(X, y), KNeighborsClassifier().fit(X, y)]
    expected = transfer_matrix(plain[:1], plain, X_test, y_test, attack=ATTACK)
    np.testing.assert_array_equal(matrix.accuracy, expected.accuracy)


def test_square_needs_no_gradient(digits, models):
    X, y = digits[2][:5], digits[3][:5]
    attack = NTKAttack(None, eps=0.3, method="square", n_queries=20, random_state=0)
    source = {"neighbours": models["neighbours"]}
    matrix = transfer_matrix(source, models, X, y, attack=attack)
    X_adv = NTKAttack(models["neighbours"], **_parameters(attack)).generate(X, y)
    assert matrix.accuracy[0, 0] == models["fc1"].score(X_adv, y)


def _parameters(attack):
    return {name: value for name, value in attack.get_params().items() if name != "estimator"}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"attack": "fgsm"}, TypeError, "attack='fgsm'"),
        ({"attack": NTKAttack(NTKClassifier())}, ValueError, "estimator of its own"),
        ({"attack": NTKAttack(None, targeted=True)}, ValueError, "targeted"),
        ({"sources": []}, ValueError, "sources is empty"),
        ({"victims": {}}, ValueError, "victims is empty"),
        ({"victims": NTKClassifier()}, TypeError, r"victims=NTKClassifier\(\) .*\[victim\]"),
        ({"sources": [("a", "b", 3)]}, TypeError, "sources holds"),
        ({"sources": [KNeighborsClassifier()]}, NotFittedError, "not fitted"),
        ({"victims": [NTKClassifier()]}, NotFittedError, "not fitted"),
    ],
)
def test_wrong_input(digits, models, change, error, message):
    given = {"sources": differentiable(models), "victims": models, "attack": ATTACK} | change
    with pytest.raises(error, match=message):
        transfer_matrix(X=digits[2], y=digits[3], **given)


def test_a_source_without_a_gradient_is_refused_before_any_attack(digits, models, monkeypatch):
    sources = list(models.values())
    monkeypatch.setattr(NTKAttack, "generate", lambda *_: pytest.fail("attacked"))
    with pytest.raises(TypeError, match=r"KNeighborsClassifier.*square"):
        transfer_matrix(sources, sources, digits[2], digits[3], attack=ATTACK)


def test_two_of_one_name_are_refused(digits, models):
    twice = [("fc", models["fc1"]), ("fc", models["scaled"])]
    with pytest.raises(ValueError, match=r"sources has the names \['fc', 'fc'\]"):
        transfer_matrix(twice, models, digits[2], digits[3], attack=ATTACK)
