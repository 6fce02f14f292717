"""Products of rows with themselves, also where BLAS would crash."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skntk.kernels import FullyConnectedNTK, _products

SIZES = pytest.mark.parametrize("n", [1, 15, 16, 17, 100])


def rows(n, dtype=np.float64):
    return np.random.default_rng(0).standard_normal((n, 7)).astype(dtype)


@pytest.fixture(params=[False, True], ids=["whole", "panels"])
def in_panels(request, monkeypatch):
    """Whether every matrix is treated as one so large that BLAS would crash."""
    if request.param:
        monkeypatch.setattr(_products, "OVERFLOW", 0)
        monkeypatch.setattr(_products, "_PANEL", 16)


@SIZES
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.usefixtures("in_panels")
def test_products_are_right_and_symmetric(n, dtype):
    X = rows(n, dtype)
    expected = np.einsum("id,jd->ij", X.astype(float), X)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    products, upper = _products.own_products(X), _products.upper_products(X)
    assert_array_equal(products, products.T)
    assert_allclose(products, expected, rtol=tolerance, atol=tolerance)
    assert_allclose(np.triu(upper), np.triu(expected), rtol=tolerance, atol=tolerance)
    assert products.dtype == upper.dtype == dtype
    assert upper.flags.c_contiguous


@SIZES
def test_kernels_are_the_same(n, monkeypatch):
    X = rows(n)
    expected = FullyConnectedNTK(2)(X)
    monkeypatch.setattr(_products, "OVERFLOW", 0)
    monkeypatch.setattr(_products, "_PANEL", 16)
    K = FullyConnectedNTK(2)(X)
    assert_allclose(K, expected, rtol=1e-12)
    assert_array_equal(K, K.T)
