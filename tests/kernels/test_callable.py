"""Kernels as the callables that scikit-learn's estimators take, one pair of points at a time."""

import numpy as np
import pytest
from helpers import gaussian
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.cluster import SpectralClustering
from sklearn.decomposition import KernelPCA
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.svm import SVC

from skntk.kernels import FullyConnectedNTK, TwoLayerNTK

X = np.concatenate([gaussian(6, 4), gaussian(6, 4, seed=1) + 4])
Z = gaussian(3, 4, seed=2)
y = np.arange(12) // 6
each = pytest.mark.parametrize(
    "kernel", [FullyConnectedNTK(2), 2.0 * FullyConnectedNTK(1) + TwoLayerNTK()]
)


@each
def test_a_pair_of_points_is_a_number(kernel):
    value = kernel(X[0], Z[0])
    assert type(value) is float
    assert value == pytest.approx(kernel(X[:1], Z[:1])[0, 0], rel=1e-14)
    assert kernel(X[0].tolist(), Z[0].tolist()) == value
    assert np.float32(kernel(X[0].astype("f4"), Z[0].astype("f4"))) == pytest.approx(value, 1e-5)
    with pytest.raises(ValueError, match="X has 4 features and Z has 3"):
        kernel(X[0], Z[0, :3])
    for sides in ((X[0],), (X[0], Z), (X, Z[0])):
        with pytest.raises(ValueError, match="Expected 2D array"):
            kernel(*sides)


@each
def test_pairwise_kernels(kernel):
    assert_allclose(pairwise_kernels(X, metric=kernel), kernel(X), rtol=1e-12)
    assert_allclose(pairwise_kernels(X, Z, metric=kernel), kernel(X, Z), rtol=1e-12)


@each
def test_kernel_ridge(kernel):
    model = KernelRidge(alpha=0.1, kernel=kernel).fit(X, y)
    expected = KernelRidge(alpha=0.1, kernel="precomputed").fit(kernel(X), y)
    assert_allclose(model.predict(Z), expected.predict(kernel(Z, X)), rtol=1e-9)


@each
def test_kernel_pca(kernel):
    model = KernelPCA(2, kernel=kernel).fit(X)
    expected = KernelPCA(2, kernel="precomputed").fit(kernel(X))
    assert_allclose(model.eigenvalues_, expected.eigenvalues_, rtol=1e-9)
    assert_allclose(np.abs(model.transform(Z)), np.abs(expected.transform(kernel(Z, X))), rtol=1e-6)


@each
def test_nystroem(kernel):
    mapped = Nystroem(kernel, n_components=12, random_state=0).fit(X).transform(X)
    assert_allclose(mapped @ mapped.T, kernel(X), rtol=1e-8)


@each
def test_spectral_clustering(kernel):
    settings = {"random_state": 0, "n_init": 3}
    positive = np.abs(X)  # whose affinities are positive, as spectral clustering requires
    labels = SpectralClustering(2, affinity=kernel, **settings).fit_predict(positive)
    model = SpectralClustering(2, affinity="precomputed", **settings)
    expected = model.fit_predict(kernel(positive))
    assert (labels == expected).all() or (labels == 1 - expected).all()


@each
def test_support_vectors(kernel):
    model = SVC(kernel=kernel).fit(X, y)
    expected = SVC(kernel="precomputed").fit(kernel(X), y)
    assert_allclose(model.decision_function(Z), expected.decision_function(kernel(Z, X)))


def test_parameters_of_the_kernel_are_set_through_the_estimator():
    model = KernelRidge(kernel=FullyConnectedNTK(1))
    deeper = clone(model).set_params(kernel__depth=3)
    assert deeper.kernel == FullyConnectedNTK(3)
    assert model.kernel == FullyConnectedNTK(1)
