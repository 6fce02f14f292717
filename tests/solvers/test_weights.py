"""The change of variables by which every solver serves weighted samples."""

import numpy as np
import pytest
from helpers import gaussian
from numpy.testing import assert_allclose, assert_array_equal

from skntk.kernels import FullyConnectedNTK
from skntk.kernels._gram import GramOperator
from skntk.solvers import SOLVERS, Options, System, Weighting, solve

X = gaussian(300, 6)
K = FullyConnectedNTK(1)(X)
WEIGHTS = np.random.default_rng(2).uniform(0.1, 10, 300)


@pytest.mark.parametrize("name", SOLVERS)
def test_the_solution_is_that_of_a_ridge_divided_by_the_weights(name):
    Y = gaussian(300, 2, seed=1)
    S = Weighting.from_weights(WEIGHTS, float)
    system = System(S.matrix(K.copy()), S.vectors(Y), 0.3)
    found = S.vectors(solve(name, system, Options(tol=1e-13, random_state=0)).coefficients)
    assert_allclose(found, np.linalg.solve(K + np.diag(0.3 / WEIGHTS), Y), atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_matrix_stays_symmetric_and_is_scaled_in_place(dtype):
    matrix = K.astype(dtype)
    weighted = Weighting.from_weights(WEIGHTS, dtype).matrix(matrix)
    assert weighted is matrix
    assert weighted.dtype == dtype
    assert_array_equal(weighted, weighted.T)
    assert_allclose(weighted, np.sqrt(np.outer(WEIGHTS, WEIGHTS)) * K, rtol=1e-5)


def test_an_operator_is_what_the_matrix_is():
    S = Weighting.from_weights(WEIGHTS, float)
    operator, matrix = S.matrix(GramOperator(FullyConnectedNTK(1), X)), S.matrix(K.copy())
    V = gaussian(300, 3)
    assert_allclose(operator @ V, matrix @ V, rtol=1e-10)
    assert_allclose(operator.columns(np.array([7, 0])), matrix[:, [7, 0]], rtol=1e-12)
    assert_allclose(operator.diagonal(), matrix.diagonal(), rtol=1e-12)


def test_rows_of_a_sample_share_its_weight():
    S = Weighting.from_weights(np.array([1.0, 4.0]), float, 3)
    assert_array_equal(S.root, [1, 1, 1, 2, 2, 2])


def test_no_weights_change_nothing():
    S = Weighting.from_weights(None, float)
    assert S.matrix(K) is K
    assert S.vectors(X) is X


@pytest.mark.parametrize("weight", [1e30, 1e-30])
def test_weights_beyond_the_range_of_the_precision_are_refused(weight):
    with pytest.raises(ValueError, match=r"sample_weight.*1e[+-]30.*float32; divide"):
        Weighting.from_weights(np.array([1.0, weight]), np.float32)
    Weighting.from_weights(np.array([1.0, weight]), np.float64)
