"""Batches of samples shared among joblib's workers."""

import joblib
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skntk import NTKAttack, NTKClassifier, NTKRegressor
from skntk.metrics import make_robust_scorer, robust_accuracy_score

X, y = load_digits(return_X_y=True)
X = X / 16
TRAIN = X[:120], y[:120]
TEST = X[200:250], y[200:250]
BATCHES = {"batch_size": 8, "random_state": 0}


def machine():
    return NTKClassifier("fc1").fit(*TRAIN)


def pipeline():
    return make_pipeline(StandardScaler(), NTKClassifier("fc1")).fit(*TRAIN)


def votes():
    members = [("ntk", NTKClassifier("fc1")), ("linear", LogisticRegression())]
    return VotingClassifier(members, voting="soft").fit(*TRAIN)


def network():
    nn = pytest.importorskip("flax.linen")
    pytest.importorskip("optax")
    from skntk import FlaxClassifier

    return FlaxClassifier(nn.Dense(10), max_epochs=2, random_state=0).fit(*TRAIN)


def regressor():
    return NTKRegressor("fc1").fit(*TRAIN)


def outcomes(estimator, n_jobs, **options):
    attack = NTKAttack(estimator, n_jobs=n_jobs, **(BATCHES | options))
    return attack.run(*TEST, epsilons=[0.0, 0.05, 0.1])


def assert_same(shared, alone):
    assert_allclose(shared.X_adv, alone.X_adv, atol=1e-12)
    for name in ("success", "squared_error"):
        if getattr(alone, name) is not None:
            assert_allclose(getattr(shared, name), getattr(alone, name), rtol=1e-9)
    assert shared.report.keys() == alone.report.keys()
    for name, value in alone.report.items():
        if name in ("n_broken", "n_raised"):
            for stage, counts in value.items():
                assert_array_equal(shared.report[name][stage], counts)
        elif name == "doubts" or value is None:
            assert shared.report[name] == value
        else:
            assert_allclose(shared.report[name], value, rtol=1e-9)


@pytest.mark.parametrize("make", [machine, pipeline, votes, network, regressor])
def test_two_workers_find_what_one_does(make):
    estimator = make()
    assert_same(outcomes(estimator, 2, method="pgd"), outcomes(estimator, None, method="pgd"))


@pytest.mark.parametrize(
    "options", [{"method": "auto", "n_queries": 20, "max_iter": 5}, {"method": "square"}]
)
def test_random_starts_and_squares_do_not_depend_on_workers(options):
    estimator = machine()
    options = {"n_queries": 20} | options
    assert_same(outcomes(estimator, 2, **options), outcomes(estimator, None, **options))


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_the_backend_and_the_number_may_be_set_around_it(backend):
    estimator = machine()
    alone = outcomes(estimator, None, method="fgsm")
    with joblib.parallel_config(backend, n_jobs=2):
        assert_same(outcomes(estimator, None, method="fgsm"), alone)


def test_scores_use_the_workers_of_the_attack():
    estimator = machine()
    attacks = [NTKAttack(None, eps=0.1, n_jobs=n_jobs, batch_size=8) for n_jobs in (None, 2)]
    scores = [robust_accuracy_score(estimator, *TEST, attack) for attack in attacks]
    assert scores[0] == scores[1]
    scorer = make_robust_scorer(attacks[1])
    nested = cross_val_score(NTKClassifier("fc1"), *TRAIN, cv=2, scoring=scorer, n_jobs=2)
    plain = make_robust_scorer(attacks[0])
    assert_allclose(nested, cross_val_score(NTKClassifier("fc1"), *TRAIN, cv=2, scoring=plain))


def test_a_number_of_workers_that_is_none():
    with pytest.raises(ValueError, match="n_jobs"):
        outcomes(machine(), 0)
