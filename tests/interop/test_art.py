"""Classifiers for the Adversarial Robustness Toolbox, against finite differences and in use."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skntk import NTKAttack, NTKClassifier
from skntk.interop import to_art

pytestmark = pytest.mark.filterwarnings("ignore")
art = pytest.importorskip("art")

X = np.random.default_rng(0).random((20, 12))


def wrapped(n_classes, **params):
    clf = NTKClassifier("fc1", alpha=0.1).fit(X, np.arange(20) % n_classes)
    return clf, to_art(clf, clip_values=(0.0, 1.0), **params)


def differences(function, x, step=1e-6):
    """Central differences (d, ...) of a function of one row."""
    moves = step * np.eye(x.shape[1])
    return np.stack([(function(x + move) - function(x - move)) / (2 * step) for move in moves])


@pytest.mark.parametrize("n_classes", [2, 3])
def test_gradients_are_those_of_the_logits_and_of_their_loss(n_classes):
    _, victim = wrapped(n_classes)
    x, y = X[:1] + 0.01, np.eye(n_classes)[[1]]
    assert victim.predict(x).shape == (1, n_classes)
    expected = differences(lambda x: victim.predict(x)[0], x).T
    assert_allclose(victim.class_gradient(x)[0], expected, atol=1e-6)
    assert_allclose(victim.class_gradient(x, label=1)[0, 0], expected[1], atol=1e-6)
    assert_allclose(victim.class_gradient(x, label=[1])[0, 0], expected[1], atol=1e-6)
    of_loss = differences(lambda x: victim.compute_loss(x, y)[0], x)
    assert_allclose(victim.loss_gradient(x, y)[0], of_loss, atol=1e-6)
    assert_allclose(victim.loss_gradient(x, np.array([1]))[0], of_loss, atol=1e-6)


def test_images():
    _, flat = wrapped(3)
    _, images = wrapped(3, input_shape=(2, 2, 3))
    assert_allclose(images.predict(X.reshape(-1, 2, 2, 3)), flat.predict(X))
    gradient = images.class_gradient(X.reshape(-1, 2, 2, 3))
    assert gradient.shape == (20, 3, 2, 2, 3)
    assert_allclose(gradient.reshape(20, 3, 12), flat.class_gradient(X))


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    "name",
    ["FastGradientMethod", "ProjectedGradientDescent", "AutoProjectedGradientDescent", "DeepFool"],
)
def test_its_attacks_run_and_fool(name, n_classes):
    from art.attacks import evasion

    clf, victim = wrapped(n_classes)
    x = X.astype(np.float32)
    params = {"verbose": False} if name != "FastGradientMethod" else {}
    if name != "DeepFool":
        params["eps"] = 0.3
    x_adv = getattr(evasion, name)(victim, **params).generate(x)
    fooled = (clf.predict(x_adv) != clf.predict(x)).mean()
    assert fooled > 0.3
    if name != "DeepFool":
        best = NTKAttack(clf, eps=0.3, method="auto", n_queries=50, random_state=0)
        assert best.run(x, clf.predict(x), epsilons=[0.3]).success.mean() >= fooled - 1e-9


def test_square_runs_on_images():
    from art.attacks.evasion import SquareAttack

    rows = np.random.default_rng(0).random((20, 48), np.float32)
    clf = NTKClassifier("fc1", alpha=0.1).fit(rows, np.arange(20) % 3)
    victim = to_art(clf, clip_values=(0.0, 1.0), input_shape=(4, 4, 3))
    attack = SquareAttack(victim, eps=0.3, max_iter=50, verbose=False)
    x_adv = attack.generate(rows.reshape(-1, 4, 4, 3))
    assert (clf.predict(x_adv.reshape(20, -1)) != clf.predict(rows)).any()


def test_what_it_cannot_do():
    _, victim = wrapped(3)
    with pytest.raises(NotImplementedError, match="Fit the estimator"):
        victim.fit(X, np.arange(20) % 3)
