"""NTKRegressorCV: scores against refitting without each sample, and the choice they lead to."""

import numpy as np
import pytest
from helpers import gaussian
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score

from skntk import NTKAttack, NTKRegressor, NTKRegressorCV
from skntk.kernels import FullyConnectedNTK
from skntk.metrics import robust_r2_score

X, Z = gaussian(24, 4), gaussian(7, 4, seed=9)
Y = gaussian(24, 2, seed=1)
KERNEL = FullyConnectedNTK(1)
WEIGHTS = np.random.default_rng(7).choice([0.0, 0.4, 1.0, 2.5], 24)


def score_of_refits(y, weights, **params):
    w = np.ones(len(X)) if weights is None else weights
    errors = []
    for i in range(len(X)):
        fit = NTKRegressor(KERNEL, **params).fit(X, y, np.where(np.arange(len(X)) == i, 0, w))
        errors.append(np.mean((fit.predict(X[[i]]) - y[i]) ** 2))
    return -np.average(errors, weights=w)


@pytest.mark.parametrize("y", [Y[:, 0], Y], ids=["vector", "columns"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
def test_scores_are_those_of_refits(y, weights):
    alphas, times = [0.01, 1.0, 30.0], [0.1, np.inf]
    network = NTKRegressorCV(KERNEL, alphas=alphas, times=times).fit(X, y, weights)
    expected = [
        [score_of_refits(y, weights, alpha=alpha, time=time) for time in times] for alpha in alphas
    ]
    assert_allclose(network.scores_, expected, rtol=1e-8)
    i, j = np.unravel_index(np.argmax(expected), (3, 2))
    assert (network.alpha_, network.time_) == (alphas[i], times[j])
    assert network.best_score_ == network.scores_.max()
    chosen = NTKRegressor(KERNEL, alpha=alphas[i], time=times[j]).fit(X, y, weights)
    assert_allclose(network.predict(Z), chosen.predict(Z), rtol=1e-8)
    assert network.predict(Z).shape == (7, *y.shape[1:])
    gram = NTKRegressorCV("precomputed", alphas=alphas, times=times).fit(KERNEL(X), y, weights)
    assert_allclose(gram.scores_, network.scores_, rtol=1e-10)
    assert_allclose(gram.predict(KERNEL(Z, X)), network.predict(Z), rtol=1e-8)


def test_on_the_linear_kernel_it_is_ridge_regression():
    """The judge is scikit-learn's; the kernel of depth 0 without a bias is x.z / d."""
    alphas = np.array([0.1, 1.0, 10.0])
    network = NTKRegressorCV(FullyConnectedNTK(0, bias_std=0.0), alphas=alphas).fit(X, Y[:, 0])
    scale = FullyConnectedNTK(0, bias_std=0.0)(X)[0, 0] / (X[0] @ X[0])
    ridge = RidgeCV(alphas / scale, fit_intercept=False).fit(X, Y[:, 0])
    assert network.alpha_ == pytest.approx(ridge.alpha_ * scale)
    assert network.best_score_ == pytest.approx(ridge.best_score_)
    assert_allclose(network.predict(Z), ridge.predict(Z), rtol=1e-8)


def test_float32_is_decomposed_in_float64():
    half = X.astype(np.float32)
    network = NTKRegressorCV(KERNEL).fit(half, Y)
    assert network.dual_coef_.dtype == network.predict(Z.astype(np.float32)).dtype == np.float32
    assert_allclose(network.scores_, NTKRegressorCV(KERNEL).fit(X, Y).scores_, rtol=1e-4)


def test_it_is_attacked_like_any_regressor():
    network = NTKRegressorCV(KERNEL, alphas=[1.0]).fit(X, Y[:, 0])
    attacked = NTKAttack(network, eps=0.1, clip_values=None).generate(X, Y[:, 0])
    same = NTKAttack(NTKRegressor(KERNEL, alpha=1.0).fit(X, Y[:, 0]), eps=0.1, clip_values=None)
    assert_allclose(attacked, same.generate(X, Y[:, 0]), atol=1e-9)
    robust = robust_r2_score(network, X, Y[:, 0], attack=NTKAttack(None, eps=0.1, clip_values=None))
    assert robust < r2_score(Y[:, 0], network.predict(X))


@pytest.mark.parametrize(
    ("params", "y", "error", "message"),
    [
        ({"alphas": []}, Y, ValueError, "alphas is empty"),
        ({"times": [np.nan]}, Y, ValueError, "times=nan"),
        ({"alphas": [-1.0]}, Y, ValueError, "alphas=-1.0"),
        ({}, np.array(["a", "b"] * 12), TypeError, "y"),
    ],
)
def test_wrong_input_leaves_nothing_fitted(params, y, error, message):
    network = NTKRegressorCV(KERNEL).fit(X, Y)
    with pytest.raises(error, match=message):
        network.set_params(**params).fit(X, y)
    with pytest.raises(NotFittedError):
        network.predict(X)


def test_a_sample_of_weight_0_is_nowhere():
    kept = WEIGHTS > 0
    network = NTKRegressorCV(KERNEL).fit(X, Y, WEIGHTS)
    alone = NTKRegressorCV(KERNEL).fit(X[kept], Y[kept], WEIGHTS[kept])
    assert_array_equal(network.X_fit_, X[kept])
    assert_allclose(network.scores_, alone.scores_, rtol=1e-12)


def test_targets_beyond_the_range_of_the_inputs_are_refused():
    X, y = np.random.default_rng(0).random((12, 3), np.float32), np.arange(12.0)
    with pytest.raises(ValueError, match="beyond the range of float32"):
        NTKRegressorCV("fc1").fit(X, 1e40 * y)
    assert np.isfinite(NTKRegressorCV("fc1").fit(X.astype(float), 1e40 * y).predict(X)).all()
