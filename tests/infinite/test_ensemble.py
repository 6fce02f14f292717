"""The infinite ensemble of networks: neural_tangents, Gaussian processes, sampled networks."""

import jax
import numpy as np
import pytest
from helpers import gaussian
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from skntk import NTKRegressor, load_neural_tangents
from skntk.kernels import ConvolutionalNTK, FullyConnectedNTK, StaxNTK

nt = load_neural_tangents()
stax = nt.stax
X, Z = gaussian(15, 4), gaussian(6, 4, seed=9)
Y = gaussian(15, 2, seed=1)
FC2 = stax.serial(*[stax.Dense(1, 2**0.5, 0.1), stax.Relu()] * 2, stax.Dense(1, 2**0.5, 0.1))
CONV = stax.serial(
    stax.Conv(1, (3, 3), padding="SAME", W_std=2**0.5, b_std=0.1),
    stax.Relu(),
    stax.Flatten(),
    stax.Dense(1, 2**0.5, 0.1),
)
NETWORKS = {
    "fully connected": (FullyConnectedNTK(2), FC2, (4,)),
    "stax": (StaxNTK(FC2), FC2, (4,)),
    "convolutional": (ConvolutionalNTK(1, image_shape=(2, 2, 1)), CONV, (2, 2, 1)),
}


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("time", [0.05, 5.0, np.inf])
@pytest.mark.parametrize(("kernel", "network", "shape"), NETWORKS.values(), ids=NETWORKS)
def test_it_is_that_of_neural_tangents(kernel, network, shape, time, alpha):
    with jax.enable_x64(True):
        ensemble = nt.predict.gradient_descent_mse_ensemble(
            network[2], X.reshape(-1, *shape), Y, diag_reg=alpha, diag_reg_absolute_scale=True
        )
        # Its loss is a mean over all values of Y.
        t = None if np.isinf(time) else time * Y.size
        expected = ensemble(t=t, x_test=Z.reshape(-1, *shape), get="ntk", compute_cov=True)
        mean, covariance = np.asarray(expected.mean), np.asarray(expected.covariance)
    fitted = NTKRegressor(kernel, time=time, alpha=alpha).fit(X, Y)
    moved = NTKRegressor(kernel, alpha=0.7).fit(X, Y).at_time(time, alpha=alpha)
    for machine in (fitted, moved):
        found, cov = machine.predict(Z, return_cov=True)
        assert_allclose(found, mean, rtol=0, atol=1e-6)
        for target in range(2):
            assert_allclose(cov[..., target], covariance, rtol=0, atol=1e-6)
        assert_array_equal(cov, cov.transpose(1, 0, 2))
        same, std = machine.predict(Z, return_std=True)
        assert_array_equal(same, found)
        assert_allclose(std**2, np.diagonal(cov).T, rtol=0, atol=1e-10)


@pytest.mark.parametrize("weights", [None, np.arange(15) % 3 * 0.5 + 0.2])
@pytest.mark.parametrize("solver", ["auto", "eigh", "cholesky", "cg"])
def test_every_solver(solver, weights):
    expected = NTKRegressor("fc1", alpha=0.1, solver="eigh").fit(X, Y[:, 0], weights)
    options = {"alpha": 0.1, "solver": solver, "tol": 1e-12, "random_state": 0}
    found = NTKRegressor("fc1", **options).fit(X, Y[:, 0], weights)
    for a, b in zip(found.predict(Z, True), expected.predict(Z, True), strict=True):
        assert a.shape == (6,)
        assert_allclose(a, b, atol=1e-8)
    assert found.predict(Z, return_cov=True)[1].shape == (6, 6)


@pytest.mark.parametrize("time", [0.3, np.inf])
def test_whole_numbers_are_equal_samples(time):
    w = np.arange(15) % 3
    network = NTKRegressor("fc1", alpha=0.2, time=time)
    weighted = network.fit(X, Y, w).predict(Z, return_cov=True)[1]
    repeated = network.fit(X.repeat(w, axis=0), Y.repeat(w, axis=0)).predict(Z, return_cov=True)[1]
    assert_allclose(weighted, repeated, atol=1e-9)


@pytest.mark.parametrize("weights", [None, np.arange(15) % 3 * 0.5 + 0.2])
@pytest.mark.parametrize(("time", "alpha"), [(0.4, 0.0), (np.inf, 0.5)])
def test_it_is_the_spread_of_trained_draws(time, alpha, weights):
    """Initial outputs f are drawn, and each draw trained: f(x) + B (Y - f(X)) is linear in it."""
    kernel, y = FullyConnectedNTK(1), Y[:, 0]
    machine = NTKRegressor(kernel, time=time, alpha=alpha).fit(X, y, weights)
    both = np.concatenate([X, Z])
    draws = np.linalg.cholesky(kernel.nngp(both)) @ gaussian(21, 4000, seed=3)
    at_X, at_Z = draws[:15], draws[15:]
    trained = NTKRegressor(kernel, time=time, alpha=alpha)
    trained.fit(X, y[:, None] - at_X, weights)
    outputs = at_Z + trained.predict(Z)
    mean, cov = machine.predict(Z, return_cov=True)
    sampled = np.cov(outputs)
    scale = np.sqrt(np.outer(cov.diagonal(), cov.diagonal()))
    assert np.abs(outputs.mean(axis=1) - mean).max() < 5 * np.sqrt(cov.diagonal().max() / 4000)
    assert (np.abs(sampled - cov) < 5 * scale * np.sqrt(2 / 4000)).all()


class _OfReadOut(FullyConnectedNTK):
    """A network of which the last layer alone is trained: its tangent kernel is the NNGP kernel."""

    def _gram(self, X, Z):
        return FullyConnectedNTK(self.depth).nngp(X, Z)


def test_the_posterior_of_a_gaussian_process():
    """With Theta = Sigma, at infinite time and no ridge."""
    sigma = FullyConnectedNTK(1).nngp
    solved = np.linalg.solve(sigma(X), np.column_stack([Y[:, 0], sigma(X, Z)]))
    expected = sigma(Z, X) @ solved[:, 0], sigma(Z) - sigma(Z, X) @ solved[:, 1:]
    found = NTKRegressor(_OfReadOut(1)).fit(X, Y[:, 0]).predict(Z, return_cov=True)
    for a, b in zip(found, expected, strict=True):
        assert_allclose(a, b, atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_never_gives_nan(dtype):
    """At training samples nothing is left to differ, and equal samples make K singular."""
    rows = np.concatenate([X, X[:3] * (1 + 1e-9)]).astype(dtype)
    network = NTKRegressor("fc2", alpha=1e-3).fit(rows, np.concatenate([Y, Y[:3]]))
    std, cov = (network.predict(rows, **{f"return_{s}": True})[1] for s in ("std", "cov"))
    assert std.dtype == cov.dtype == dtype
    assert np.isfinite(cov).all() and (std >= 0).all()
    assert (np.diagonal(cov) >= 0).all()
    assert std.max() < 0.05


def test_it_grows_away_from_the_data_and_shrinks_with_time():
    network = NTKRegressor("fc2", solver="eigh").fit(X, Y[:, 0])
    near, far = (network.predict(s * X, return_std=True)[1].mean() for s in (1.1, 4))
    assert far > 5 * near
    stds = [network.at_time(t).predict(X, return_std=True)[1].mean() for t in (0, 0.1, 1, np.inf)]
    assert (np.diff(stds) < 0).all()
    assert_allclose(network.at_time(0).predict(X, True)[1] ** 2, np.diag(network.kernel_.nngp(X)))


def test_what_has_no_spread_is_refused():
    product = NTKRegressor(FullyConnectedNTK(1) * FullyConnectedNTK(2)).fit(X, Y)
    with pytest.raises(TypeError, match="has no NNGP kernel"):
        product.predict(Z, return_std=True)
    K = FullyConnectedNTK(1)(X)
    with pytest.raises(ValueError, match="kernel='precomputed' does not have"):
        NTKRegressor("precomputed").fit(K, Y).predict(K, return_cov=True)
    network = NTKRegressor("fc1")
    with pytest.raises(NotFittedError):
        network.predict(Z, return_std=True)
    network.fit(X, Y)
    with pytest.raises(ValueError, match="ask for one of them"):
        network.predict(Z, return_std=True, return_cov=True)
    with pytest.raises(TypeError, match="return_std must be True or False"):
        network.predict(Z, return_std="yes")


def test_parameters_set_after_the_fit_change_nothing():
    network = NTKRegressor("fc1", time=0.5).fit(X, Y[:, 0])
    before = network.predict(Z, return_std=True)
    network.set_params(time=np.inf, alpha=3.0)
    assert_array_equal(network.predict(Z, return_std=True), before)
