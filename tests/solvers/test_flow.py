"""The flow filter: finite and accurate whatever the eigenvalue."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skntk.solvers import flow_filter

EIGENVALUES = st.one_of(
    st.sampled_from([0.0, 1e-17, -1e-17, -1e-15, 5e-324, -5e-324, 1e-300]),
    st.floats(0, 1e12),
)
TIMES = st.one_of(st.sampled_from([0.0, 1e-300, 1e-17, 1.0, 1e17, 1e300]), st.floats(0, 1e12))


def phi(eigenvalue, time, alpha=0.0, dtype=np.float64):
    return flow_filter(np.array([eigenvalue], dtype), time, alpha)[0]


@given(eigenvalue=EIGENVALUES, time=TIMES, alpha=st.sampled_from([0.0, 1e-20, 1e-3, 1.0]))
def test_equals_the_formula(eigenvalue, time, alpha):
    rate = max(eigenvalue, 0.0) + alpha
    expected = time if rate * time < 1e-17 else -math.expm1(-rate * time) / rate
    result = phi(eigenvalue, time, alpha)
    assert np.isfinite(result)
    assert_allclose(result, expected, rtol=1e-14)


@given(eigenvalue=EIGENVALUES, time=TIMES)
def test_finite_and_bounded(eigenvalue, time):
    result = phi(eigenvalue, time)
    assert 0 <= result <= time * (1 + 1e-15)


@given(
    eigenvalue=st.one_of(st.sampled_from([0.0, 1e-17, -1e-10]), st.floats(0, 2**40, width=32)),
    time=st.one_of(st.sampled_from([0.0, 1e-17, 1e38]), st.floats(0, 2**40, width=32)),
)
def test_finite_in_float32(eigenvalue, time):
    result = phi(eigenvalue, time, dtype=np.float32)
    assert result.dtype == np.float32
    assert 0 <= result <= time * (1 + 1e-6)


@given(eigenvalue=EIGENVALUES, times=st.tuples(TIMES, TIMES))
def test_never_decreases_in_time(eigenvalue, times):
    early, late = sorted(times)
    assert phi(eigenvalue, early) <= phi(eigenvalue, late) * (1 + 1e-15)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_limits(dtype):
    eigenvalues = np.array([4.0, 0.5, 0.0, -1e-17], dtype)
    assert_array_equal(flow_filter(eigenvalues, 0.0), [0, 0, 0, 0])
    assert_array_equal(flow_filter(eigenvalues, np.inf), [0.25, 2, 0, 0])
    assert_array_equal(flow_filter(eigenvalues, np.inf, 0.5), np.array([1 / 4.5, 1, 2, 2], dtype))
    assert_array_equal(flow_filter(eigenvalues, 3.0)[2:], [3, 3])
    for time in (0.0, 1.0, np.inf):
        assert flow_filter(eigenvalues, time, 0.1).dtype == dtype


@given(eigenvalue=st.floats(1e-6, 1e6), alpha=st.floats(0, 1))
def test_tends_to_the_inverse(eigenvalue, alpha):
    assert_allclose(phi(eigenvalue, 1e9, alpha), 1 / (eigenvalue + alpha), rtol=1e-8)
    assert_allclose(phi(eigenvalue, np.inf, alpha), 1 / (eigenvalue + alpha), rtol=1e-15)


def test_leaves_the_eigenvalues_alone():
    eigenvalues = np.array([1.0, -1.0, 0.0])
    eigenvalues.flags.writeable = False
    flow_filter(eigenvalues, 1.0, 0.5)
    assert_array_equal(eigenvalues, [1, -1, 0])
