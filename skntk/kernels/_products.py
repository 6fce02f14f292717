"""Inner products of a set of rows with itself, each pair computed once."""

from __future__ import annotations

import numpy as np
import scipy.linalg.blas
from numpy.typing import NDArray

from .._utils.threads import OVERFLOW

__all__ = ["own_products", "upper_products"]

#: Rows multiplied at a time where a rank-k update of all rows would crash.
_PANEL = 2048


def own_products(X: NDArray) -> NDArray:
    """X X^T (n, n), exactly symmetric."""
    n = len(X)
    if n * n < OVERFLOW:
        return X @ X.T  # NumPy computes this as a symmetric rank-k update
    products = np.empty((n, n), X.dtype)
    for top in range(0, n, _PANEL):
        rows, rest = slice(top, top + _PANEL), slice(top + _PANEL, None)
        products[rows, rows] = X[rows] @ X[rows].T
        products[rows, rest] = X[rows] @ X[rest].T
        products[rest, rows] = products[rows, rest].T
    return products


def upper_products(X: NDArray) -> NDArray:
    """Upper triangle of X X^T (n, n); the entries below it are undefined."""
    if len(X) ** 2 >= OVERFLOW:
        return own_products(X)
    (syrk,) = scipy.linalg.blas.get_blas_funcs(("syrk",), (X,))
    # The lower triangle of a matrix in Fortran order is the upper one of its transpose.
    return syrk(1.0, X.T, trans=True, lower=True).T
