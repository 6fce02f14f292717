"""R^2 under attack, and the scorer that serves classifiers and regressors."""

import pickle

import numpy as np
import pandas as pd
import pytest
from helpers import gaussian
from sklearn.compose import TransformedTargetRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skntk import NTKAttack, NTKClassifier, NTKRegressor
from skntk.kernels import FullyConnectedNTK
from skntk.metrics import make_robust_scorer, robust_accuracy_score, robust_r2_score

X = gaussian(60, 3)
Y = np.stack([X @ [1.0, -1.0, 0.5], X[:, 0] ** 2], axis=1) + 0.1 * gaussian(60, 2, seed=1)
ATTACK = NTKAttack(None, eps=0.1, method="pgd", clip_values=None)


@pytest.mark.parametrize("y", [Y[:, 0], Y], ids=["one target", "two targets"])
def test_it_is_the_score_on_generated_examples(y):
    network = NTKRegressor("fc1", alpha=0.1).fit(X[:40], y[:40])
    points = NTKAttack(network, eps=0.1, method="pgd", clip_values=None).generate(X[40:], y[40:])
    score = robust_r2_score(network, X[40:], y[40:], ATTACK)
    assert isinstance(score, float)
    assert score == network.score(points, y[40:]) < network.score(X[40:], y[40:])
    free = NTKAttack(None, eps=0.0, clip_values=None)
    assert robust_r2_score(network, X[40:], y[40:], free) == network.score(X[40:], y[40:])


def test_a_linear_machine_by_hand():
    """Every prediction moves away from its target by eps |g|_1."""
    linear = NTKRegressor(FullyConnectedNTK(0), alpha=1.0).fit(X[:40], Y[:40, 0])
    f, y = linear.predict(X[40:]), Y[40:, 0]
    slope = np.abs(linear.input_vjp(X[40:], np.ones(20))).sum(axis=1)
    expected = r2_score(y, f + np.sign(f - y) * 0.1 * slope)
    assert robust_r2_score(linear, X[40:], y, ATTACK) == pytest.approx(expected, rel=1e-9)


def test_examples_are_transferred():
    shallow, deep = (NTKRegressor(k, alpha=0.1).fit(X[:40], Y[:40]) for k in ("fc1", "fc3"))
    attack = NTKAttack(shallow, eps=0.1, clip_values=None)
    expected = deep.score(attack.generate(X[40:], Y[40:]), Y[40:])
    assert robust_r2_score(deep, X[40:], Y[40:], attack) == expected


def test_the_scorer_in_searches():
    frame, scorer = pd.DataFrame(X, columns=["a", "b", "c"]), make_robust_scorer(ATTACK)
    network = TransformedTargetRegressor(NTKRegressor("fc1"), transformer=StandardScaler())
    model = make_pipeline(StandardScaler(), network)
    scores = cross_validate(model, frame, Y[:, 0], scoring={"clean": "r2", "robust": scorer}, cv=3)
    assert (scores["test_robust"] < scores["test_clean"]).all()
    grid = {"transformedtargetregressor__regressor__alpha": [0.1, 10.0]}
    search = GridSearchCV(model, grid, scoring=pickle.loads(pickle.dumps(scorer)), cv=2)
    search.fit(frame, Y[:, 0])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert scorer(search, frame, Y[:, 0]) == robust_r2_score(search, frame, Y[:, 0], ATTACK)


def test_each_score_has_its_own_kind_of_estimator():
    network = NTKRegressor("fc1").fit(X, Y)
    labels = (X[:, 0] > 0).astype(int)
    clf = NTKClassifier("fc1").fit(X, labels)
    with pytest.raises(TypeError, match=r"NTKRegressor is a regressor.*robust_r2_score"):
        robust_accuracy_score(network, X, Y, ATTACK)
    with pytest.raises(TypeError, match=r"NTKClassifier is not a regressor.*robust_accuracy_score"):
        robust_r2_score(clf, X, labels, ATTACK)
    with pytest.raises(ValueError, match="targeted=True"):
        robust_r2_score(network, X, Y, NTKAttack(None, targeted=True))
    with pytest.raises(TypeError, match="attack='pgd' is not an attack"):
        robust_r2_score(network, X, Y, "pgd")
    assert make_robust_scorer(ATTACK)(clf, X, labels) == robust_accuracy_score(
        clf, X, labels, ATTACK
    )
