"""Kernels of networks as covariances of scikit-learn's Gaussian processes."""

import pickle

import numpy as np
import pytest
from helpers import gaussian
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV

from skntk import NTKRegressor
from skntk.interop import to_gaussian_process
from skntk.kernels import FullyConnectedNTK, TwoLayerNTK

ALPHA = 0.3
X, Z = gaussian(20, 4), gaussian(6, 4, seed=1)
y = np.sin(X[:, 0]) + X[:, 1]
NETWORK = FullyConnectedNTK(2)


def process(nngp=False, **options):
    return GaussianProcessRegressor(
        to_gaussian_process(NETWORK, nngp=nngp), alpha=ALPHA, **options
    ).fit(X, y)


@pytest.mark.parametrize("nngp", [False, True])
def test_posterior(nngp):
    covariance = NETWORK.nngp if nngp else NETWORK
    mean, std = process(nngp).predict(Z, return_std=True)
    ridge = KernelRidge(alpha=ALPHA, kernel="precomputed").fit(covariance(X), y)
    assert_allclose(mean, ridge.predict(covariance(Z, X)), rtol=1e-9)
    inverse = np.linalg.inv(covariance(X) + ALPHA * np.eye(20))
    expected = covariance(Z) - covariance(Z, X) @ inverse @ covariance(X, Z)
    assert_allclose(std, np.sqrt(np.diag(expected)), rtol=1e-8)
    assert_allclose(process(nngp).predict(Z, return_cov=True)[1], expected, atol=1e-9)
    if not nngp:
        assert_allclose(mean, NTKRegressor(NETWORK, alpha=ALPHA).fit(X, y).predict(Z), rtol=1e-9)


def test_marginal_likelihood():
    expected = multivariate_normal(cov=NETWORK(X) + ALPHA * np.eye(20)).logpdf(y)
    found = process()
    assert_allclose(found.log_marginal_likelihood_value_, expected, rtol=1e-10)
    value, gradient = found.log_marginal_likelihood(found.kernel_.theta, eval_gradient=True)
    assert_allclose(value, expected, rtol=1e-10)
    assert gradient.shape == (0,)


def test_hyperparameters_of_kernels_around_it_are_optimised():
    covariance = ConstantKernel(1.0) * to_gaussian_process(NETWORK) + WhiteKernel(1.0)
    noisy = y + gaussian(20, seed=2)
    found = GaussianProcessRegressor(covariance, random_state=0).fit(X, noisy)
    assert found.kernel_.theta.shape == (2,)
    factor, noise = np.exp(found.kernel_.theta)
    at_optimum = multivariate_normal(cov=factor * NETWORK(X) + noise * np.eye(20)).logpdf(noisy)
    assert_allclose(found.log_marginal_likelihood_value_, at_optimum, rtol=1e-6)
    assert at_optimum > multivariate_normal(cov=NETWORK(X) + np.eye(20)).logpdf(noisy)


def test_a_grid_reaches_the_parameters_of_the_network():
    grid = {"kernel__kernel__depth": [1, 3]}
    search = GridSearchCV(process(), grid, cv=2).fit(X, y)
    assert search.best_estimator_.kernel_.kernel.depth == search.best_params_[next(iter(grid))]
    assert NETWORK.depth == 2


def test_classifier_and_copies():
    labels = y > 0
    classifier = GaussianProcessClassifier(to_gaussian_process(NETWORK)).fit(X, labels)
    assert classifier.score(X, labels) > 0.9
    covariance = to_gaussian_process(NETWORK, nngp=True)
    for copy in (clone(covariance), pickle.loads(pickle.dumps(covariance))):
        assert copy == covariance
        assert_allclose(copy(X), NETWORK.nngp(X))
    assert covariance != to_gaussian_process(NETWORK)
    assert repr(covariance) == f"NetworkKernel({NETWORK!r}, nngp=True)"
    assert not covariance.is_stationary()


def test_what_is_refused():
    with pytest.raises(TypeError, match=r"kernel='fc1' must be a kernel.*resolve_kernel"):
        to_gaussian_process("fc1")
    with pytest.raises(TypeError, match="ProductKernel has no NNGP kernel"):
        to_gaussian_process(TwoLayerNTK() * TwoLayerNTK(), nngp=True)
    with pytest.raises(ValueError, match="eval_gradient=True needs Y=None"):
        to_gaussian_process(NETWORK)(X, Z, eval_gradient=True)
