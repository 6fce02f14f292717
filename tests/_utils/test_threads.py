"""BLAS on one thread where its products are short."""

import pytest
from threadpoolctl import threadpool_info

from skntk._utils.threads import blas_threads_for


def blas_threads():
    return {info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"}


def test_small_products_take_one_thread():
    before = blas_threads()
    with blas_threads_for(8 * 1000**2):
        assert blas_threads() == {1}
    assert blas_threads() == before


def test_large_products_keep_their_threads():
    before = blas_threads()
    with blas_threads_for(8 * 4000**2):
        assert blas_threads() == before


def test_threads_come_back_after_an_error():
    before = blas_threads()
    with pytest.raises(ValueError, match="in between"), blas_threads_for(8):
        raise ValueError("in between")
    assert blas_threads() == before


def test_overlapping_uses_give_all_threads_back():
    """A begins, B begins, A ends, B ends, as two threads would."""
    before = blas_threads()
    first, second = blas_threads_for(8), blas_threads_for(8)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert blas_threads() == {1}
    second.__exit__(None, None, None)
    assert blas_threads() == before
