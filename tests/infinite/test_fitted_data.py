"""Fitted data are copies of the caller's, and precomputed matrices must be symmetric."""

import copy

import numpy as np
import pandas as pd
import pytest
from helpers import gaussian
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.ensemble import BaggingClassifier
from sklearn.metrics.pairwise import rbf_kernel

from skntk import (
    NTKClassifier,
    NTKClassifierCV,
    RobustFeatureSelector,
    SpectralFeatureDecomposer,
)

X = gaussian(40, 4)
Y = (X[:, 0] > 0).astype(int)
QUERIES = gaussian(15, 4, seed=1)
ESTIMATORS = {
    "cholesky": NTKClassifier(alpha=0.1),
    "eigh": NTKClassifier(alpha=0.1, solver="eigh"),
    "cg": NTKClassifier(alpha=0.1, solver="cg", random_state=0),
    "cv": NTKClassifierCV(),
    "decomposer": SpectralFeatureDecomposer(),
    "selector": RobustFeatureSelector(n_features_to_select=5),
}


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray, pd.DataFrame])
def test_the_caller_may_overwrite_its_arrays(name, layout):
    buffer, labels = X.copy(order="C"), Y.copy()
    if layout is np.asfortranarray:
        buffer = np.asfortranarray(buffer)
    given = layout(buffer) if layout is not pd.DataFrame else pd.DataFrame(buffer, copy=False)
    clf = copy.deepcopy(ESTIMATORS[name]).fit(given, labels)
    queries = pd.DataFrame(QUERIES) if layout is pd.DataFrame else QUERIES
    before = clf.decision_function(queries)
    later = clf.at_time(2.0).decision_function(queries) if name == "eigh" else None
    buffer[:], labels[:] = buffer[::-1].copy(), 0
    assert_array_equal(clf.decision_function(queries), before)
    assert_array_equal(clf.X_fit_[0], copy.deepcopy(ESTIMATORS[name]).fit(X, Y).X_fit_[0])
    if later is not None:
        assert_array_equal(clf.at_time(2.0).decision_function(queries), later)


def test_a_later_decomposition_is_of_the_samples_that_were_fitted():
    buffer = X.copy()
    clf = NTKClassifier(alpha=0.1).fit(buffer, Y)
    buffer[:] = buffer[::-1].copy()
    expected = NTKClassifier(alpha=0.1, time=2.0).fit(X, Y).decision_function(QUERIES)
    assert_allclose(clf.at_time(2.0).decision_function(QUERIES), expected, rtol=1e-10)


def test_a_precomputed_matrix_is_the_callers_again_after_fit():
    K = rbf_kernel(X)
    clf = NTKClassifier("precomputed", solver="eigh").fit(K, Y)
    early, late = (clf.at_time(time).dual_coef_ for time in (1.0, np.inf))
    K[:] = 0
    assert_array_equal(clf.at_time(1.0).dual_coef_, early)
    assert_array_equal(clf.at_time(np.inf).dual_coef_, late)


@pytest.mark.parametrize(
    "estimator", [NTKClassifier("precomputed"), NTKClassifierCV("precomputed")]
)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda K: K[::-1],  # rows shuffled, columns not
        lambda K: np.triu(K, 1),
        lambda K: K + 1e-6 * np.triu(K, 1),
        lambda K: K[np.arange(len(K)) // 2],  # a bootstrap of rows only
    ],
)
def test_a_matrix_that_is_not_symmetric_is_refused(estimator, spoil):
    K = spoil(rbf_kernel(X))
    largest = f"{np.abs(K - K.T).max():.3g}"
    with pytest.raises(ValueError, match=r"not symmetric.*by rows alone") as error:
        estimator.fit(K, Y)
    assert f"by up to {largest}, " in str(error.value)


def test_rounding_is_no_asymmetry():
    K = rbf_kernel(X)
    noisy = K * (1 + 1e-15 * gaussian(40, 40))
    expected = NTKClassifier("precomputed", alpha=0.1).fit(K, Y).dual_coef_
    found = NTKClassifier("precomputed", alpha=0.1).fit(noisy, Y).dual_coef_
    assert_allclose(found, expected, atol=1e-10)
    single = noisy.astype(np.float32)
    assert np.isfinite(NTKClassifier("precomputed", alpha=0.1).fit(single, Y).dual_coef_).all()


def test_bagging_resamples_a_precomputed_matrix_by_weights():
    """Once `fit` takes weights, bagging need not select rows of the matrix."""
    K = rbf_kernel(X)
    bagged = BaggingClassifier(
        NTKClassifier("precomputed", alpha=0.1), n_estimators=3, random_state=0
    ).fit(K, Y)
    for machine, drawn in zip(bagged.estimators_, bagged.estimators_samples_, strict=True):
        alone = NTKClassifier("precomputed", alpha=0.1).fit(K[np.ix_(drawn, drawn)], Y[drawn])
        expected = alone.decision_function(K[:, drawn])
        assert_allclose(machine.decision_function(K), expected, atol=1e-8)


def test_resampling_by_rows_alone_is_told_why_it_cannot_be():
    K = rbf_kernel(X)
    with pytest.raises(ValueError, match="resample by rows alone"):
        NTKClassifier("precomputed", alpha=0.1).fit(K[::-1], Y)
