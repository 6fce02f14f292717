"""Gram matrices in blocks: stored, shared among workers, or never formed."""

import os

import numpy as np
import pytest
from helpers import ProcessNumbers, SmallBlocks
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skntk import NTKClassifier
from skntk.kernels import FullyConnectedNTK
from skntk.kernels._gram import GramOperator, gram_matrix, upper_blocks


def samples(n=61, d=4, dtype=np.float64):
    rng = np.random.default_rng(0)
    X = rng.random((n, d)).astype(dtype)
    return X, (X[:, 0] > X[:, 1]).astype(int)


@pytest.mark.parametrize("n", [1, 15, 16, 17, 61])
def test_blocks_cover_the_upper_triangle_once(n):
    covered = np.zeros((n, n), int)
    for rows, columns in upper_blocks(SmallBlocks(), n):
        covered[rows, columns] += 1
    assert_array_equal(np.triu(covered), np.triu(np.ones((n, n))))
    assert covered.max() == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_number_of_workers_gives_the_same_matrix(dtype):
    X, _ = samples(dtype=dtype)
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    told = []
    alone = gram_matrix(SmallBlocks(2), X, on_step=lambda: told.append(1))
    assert len(told) == len(upper_blocks(SmallBlocks(2), len(X))) == 10
    assert_array_equal(alone, alone.T)
    assert_allclose(alone, FullyConnectedNTK(2)(X), rtol=rtol)
    shared = gram_matrix(SmallBlocks(2), X, n_jobs=2)
    assert_allclose(shared, alone, rtol=rtol)
    assert_array_equal(shared, shared.T)
    assert alone.dtype == dtype


def test_blocks_are_computed_by_workers():
    X, _ = samples()
    assert_array_equal(gram_matrix(ProcessNumbers(), X), os.getpid())
    assert os.getpid() not in gram_matrix(ProcessNumbers(), X, n_jobs=2)


def test_more_workers_than_samples():
    X, _ = samples(3)
    kernel = SmallBlocks(1)
    kernel.block_size = 1
    assert len(upper_blocks(kernel, 3)) == 6
    assert_allclose(gram_matrix(kernel, X, n_jobs=8), FullyConnectedNTK(1)(X), rtol=1e-12)


def test_products_without_the_matrix():
    X, _ = samples()
    vectors = np.random.default_rng(1).standard_normal((len(X), 3))
    operator, gram = GramOperator(SmallBlocks(2), X), FullyConnectedNTK(2)(X)
    assert_allclose(operator @ vectors, gram @ vectors, rtol=1e-11)
    shared = GramOperator(SmallBlocks(2), X, n_jobs=2) @ vectors
    assert_allclose(shared, operator @ vectors, rtol=1e-11)
    assert_allclose(operator.diagonal(), gram.diagonal(), rtol=1e-12)
    assert_allclose(operator.columns(np.array([3, 40])), gram[:, [3, 40]], rtol=1e-12)


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_conjugate_gradients_fit_what_cholesky_does(dtype, stored):
    limit = None if stored else 1000
    X, y = samples(200, dtype=dtype)
    exact = NTKClassifier(SmallBlocks(2), alpha=0.1, solver="cholesky").fit(X, y)
    clf = NTKClassifier(
        SmallBlocks(2), alpha=0.1, solver="cg", random_state=0, memory_limit=limit
    ).fit(X, y)
    assert clf.dual_coef_.dtype == dtype
    assert clf.n_iter_ > 1
    tolerance = 1e-6 if dtype == np.float64 else 1e-2
    assert_allclose(clf.decision_function(X), exact.decision_function(X), atol=tolerance)
    assert_array_equal(clone(clf).fit(X, y).dual_coef_, clf.dual_coef_)


def test_the_gram_matrix_is_never_formed_where_it_does_not_fit(monkeypatch):
    monkeypatch.setattr("skntk.infinite._expansion.gram_matrix", None)
    X, y = samples(100)
    clf = NTKClassifier(SmallBlocks(1), alpha=0.1, random_state=0, memory_limit=1000)
    with pytest.warns(ConvergenceWarning, match="'cholesky' for 100 rows.*'cg' is used instead"):
        clf.fit(X, y)
    assert clf.solver_ == "cg"
    assert clf.n_iter_ > 1
    assert clf.score(X, y) > 0.9


def test_preconditioners_need_memory_too(monkeypatch):
    X, y = samples()
    monkeypatch.setattr("skntk._utils.memory.available_bytes", lambda *_: 61 * 61 * 8)
    monkeypatch.setattr("skntk.infinite._expansion.GramOperator", None)
    with pytest.raises(MemoryError, match=r"solver='cg' .*n=61 .*; use fewer samples"):
        NTKClassifier("fc1", solver="cg", alpha=0.1).fit(X, y)


def test_other_times_after_conjugate_gradients():
    X, y = samples()
    clf = NTKClassifier("fc1", solver="cg", alpha=0.1, random_state=0).fit(X, y)
    early = clf.at_time(0.5)
    expected = NTKClassifier("fc1", time=0.5, alpha=0.1).fit(X, y)
    assert_allclose(early.dual_coef_, expected.dual_coef_, atol=1e-9)
    assert early.solver_ == "cg" and early.n_iter_ > 1


def test_other_times_need_memory_too(monkeypatch):
    X, y = samples()
    clf = NTKClassifier("fc1", alpha=0.1).fit(X, y).set_params(memory_limit=1000)
    monkeypatch.setattr("skntk.infinite._expansion.gram_matrix", None)
    with pytest.raises(MemoryError, match=r"at_time .*n=61 .*1,000 are available.*memory_limit"):
        clf.at_time(0.5)


def test_a_fit_that_stops_short_warns_where_it_was_called():
    clf = NTKClassifier("fc1", solver="cg", tol=1e-15, max_iter=1, random_state=0)
    with pytest.warns(ConvergenceWarning, match="stopped after 1 iterations") as caught:
        clf.fit(*samples(300))
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"max_iter": 0}, ValueError, "max_iter=0"),
        ({"tol": 0.0}, ValueError, "tol=0.0"),
        ({"tol": "a"}, TypeError, "tol"),
        ({"memory_limit": -1}, ValueError, "memory_limit=-1"),
    ],
)
def test_wrong_options(params, error, message):
    with pytest.raises(error, match=message):
        NTKClassifier("fc1", solver="cg", **params).fit(*samples())


@pytest.mark.parametrize("solver", ["cholesky", "eigh"])
def test_the_memory_limit_is_checked_before_anything_is_computed(monkeypatch, solver):
    monkeypatch.setattr("skntk.infinite._expansion.gram_matrix", None)
    X, y = samples(100)
    with pytest.raises(MemoryError, match=r"n=100 .*needs .* bytes and 1,000 are.*solver='cg'"):
        NTKClassifier("fc1", solver=solver, memory_limit=1000).fit(X, y)


def test_precomputed_matrices_serve_too():
    X, y = samples()
    gram = FullyConnectedNTK(1)(X)
    clf = NTKClassifier("precomputed", solver="cg", alpha=0.1, random_state=0).fit(gram, y)
    expected = NTKClassifier("fc1", alpha=0.1).fit(X, y)
    assert_allclose(clf.decision_function(gram), expected.decision_function(X), atol=1e-6)
    with pytest.raises(ValueError, match="precomputed kernel, which solver='cg' does not keep"):
        clf.at_time(0.5)


@pytest.mark.parametrize("solver", ["auto", "cholesky", "eigh"])
def test_precomputed_matrices_survive_within_the_limit(solver):
    X, y = samples()
    gram = FullyConnectedNTK(1)(X)
    before = gram.copy()
    NTKClassifier("precomputed", solver=solver, alpha=0.1).fit(gram, y)
    assert_array_equal(gram, before)
    with pytest.raises(MemoryError, match=r"n=61 .*1,000 are available"):
        NTKClassifier("precomputed", solver=solver, alpha=0.1, memory_limit=1000).fit(gram, y)
