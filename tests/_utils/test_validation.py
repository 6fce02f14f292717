"""One clear error for a wrong parameter: its name, its value, and the remedy."""

from fractions import Fraction

import numpy as np
import pytest

from skntk._utils.validation import (
    check_array_or_real,
    check_integer,
    check_norm,
    check_option,
    check_real,
)


@pytest.mark.parametrize("value", ["eigh", np.str_("eigh")])
def test_options_are_accepted(value):
    check_option("solver", value, ("auto", "eigh"))


@pytest.mark.parametrize(
    "value", ["cholesky", "EIGH", None, 1, True, np.array(["eigh", "eigh"]), ["eigh"], b"eigh"]
)
def test_other_options_are_named(value):
    with pytest.raises(ValueError, match=r"(?s)solver=.* is not supported.*'auto', 'eigh'") as info:
        check_option("solver", value, ("auto", "eigh"))
    assert repr(value) in str(info.value)


def test_true_is_not_the_option_one():
    check_option("order", 1, (1, 2))
    with pytest.raises(ValueError, match="order=True"):
        check_option("order", True, (1, 2))


@pytest.mark.parametrize(
    "value", [1, 1.0, np.float32(1), np.float64(1), np.int8(1), np.uint64(1), Fraction(1)]
)
def test_real_numbers(value):
    number = check_real("alpha", value, low=0.0)
    assert type(number) is float
    assert number == 1


@pytest.mark.parametrize("value", ["1", None, True, np.True_, 1j, [1.0], np.array(1.0), object()])
def test_what_is_not_a_real_number(value):
    with pytest.raises(TypeError, match="alpha must be a real number, got") as info:
        check_real("alpha", value)
    assert repr(value) in str(info.value)


@pytest.mark.parametrize(
    "value, kwargs, message",
    [
        (-1.0, {"low": 0.0}, r"alpha=-1\.0 .*at least 0 and finite"),
        (0, {"low": 0.0, "strict": True}, r"alpha=0 .*greater than 0"),
        (np.nan, {}, "alpha=nan"),
        (np.nan, {"allow_inf": True}, "alpha=nan"),
        (np.inf, {}, "alpha=inf .*finite"),
        (-np.inf, {"allow_inf": True, "low": 0.0}, "alpha=-inf .*at least 0"),
        (np.float32(-0.5), {"low": 0.0}, "alpha=.*-0.5"),
    ],
)
def test_reals_out_of_range(value, kwargs, message):
    with pytest.raises(ValueError, match=message):
        check_real("alpha", value, **kwargs)


def test_bounds_are_inclusive_unless_strict():
    assert check_real("alpha", 0, low=0.0) == 0
    assert check_real("time", np.inf, low=0.0, allow_inf=True) == np.inf
    assert check_real("alpha", 1e-320, low=0.0, strict=True) > 0


@pytest.mark.parametrize("value", [2, np.int64(2), np.uint8(2)])
def test_integers(value):
    number = check_integer("max_iter", value, low=1)
    assert type(number) is int
    assert number == 2


@pytest.mark.parametrize("value", [2.0, "2", None, True, np.True_, np.array(2), Fraction(2)])
def test_what_is_not_an_integer(value):
    with pytest.raises(TypeError, match="max_iter must be an integer, got"):
        check_integer("max_iter", value, low=1)


def test_integers_out_of_range():
    with pytest.raises(ValueError, match=r"max_iter=0 .*at least 1"):
        check_integer("max_iter", 0, low=1)
    assert check_integer("max_iter", 1, low=1) == 1


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.array(0.5)])
def test_a_scalar_stays_a_float(value):
    assert check_array_or_real("eps", value, 3) == 0.5
    assert isinstance(check_array_or_real("eps", value, 3), float)


@pytest.mark.parametrize(
    "value", [[1, 2, 3, 4], (1.0, 2.0, 3.0, 4.0), np.float32([[1, 2], [3, 4]]), range(1, 5)]
)
def test_one_value_a_feature(value):
    vector = check_array_or_real("eps", value, 4, low=0.0)
    assert vector.dtype == np.float64
    np.testing.assert_array_equal(vector, [1, 2, 3, 4])


def test_the_vector_is_a_copy():
    value = np.ones(3)
    check_array_or_real("eps", value, 3)[0] = 7
    assert value[0] == 1


@pytest.mark.parametrize(
    "value, error, message",
    [
        (-0.5, ValueError, r"eps=-0\.5 .*at least 0"),
        ("a", TypeError, "eps must be a real number, got 'a'"),
        (None, TypeError, "eps must be a real number, got None"),
        ([1.0], ValueError, "eps has 1 values for 3 features.*one value per feature"),
        ([], ValueError, "eps has 0 values for 3 features"),
        (np.ones((3, 3)), ValueError, "eps has 9 values for 3 features"),
        (["a", "b", "c"], TypeError, "eps must be numeric"),
        ([True, False, True], TypeError, "eps must be numeric"),
        ([1j, 1, 1], TypeError, "eps must be .*real|numeric"),
        ([0.1, -0.2, 0.3], ValueError, r"eps.*-0\.2.*at least 0"),
        ([0.1, np.nan, 0.3], ValueError, "eps.*nan.*finite"),
        ([0.1, np.inf, 0.3], ValueError, "eps.*inf.*finite"),
    ],
)
def test_wrong_values_a_feature(value, error, message):
    with pytest.raises(error, match=message):
        check_array_or_real("eps", value, 3, low=0.0)


@pytest.mark.parametrize(
    ("norms", "number"),
    [
        ([2, 2.0, np.float32(2), np.int8(2), "2", "l2", "L2", "l_2", np.str_("l2")], 2),
        ([np.inf, np.float32(np.inf), "inf", "linf", "Linf", "L_inf"], np.inf),
    ],
)
def test_norms(norms, number):
    assert [check_norm(norm) for norm in norms] == [number] * len(norms)


@pytest.mark.parametrize(
    "norm", [1, 0, -np.inf, np.nan, "1", "l1", "", "-inf", None, True, [2], np.array([2.0, np.inf])]
)
def test_other_norms(norm):
    with pytest.raises(ValueError, match=r"norm=.* is not supported; choose np\.inf or 2") as info:
        check_norm(norm)
    assert repr(norm) in str(info.value)
