"""Decimals that never round unasked: sums, steps, the gate from float, and how a number is written."""

from __future__ import annotations

from decimal import Decimal, getcontext, localcontext

import pytest

from engine_service.domain.money import (
    BPS,
    EXACT,
    ONE,
    QUANTUM,
    ZERO,
    exactly,
    from_float,
    multiple_down,
    multiple_up,
    plain,
    quantise,
    within_exact,
)

D = Decimal
WIDE = D("123456789012345678.123456789012345678")


@exactly
def product(left: Decimal, right: Decimal) -> Decimal:
    return left * right


def test_an_exact_function_does_not_round_and_leaves_the_callers_precision_alone() -> None:
    before = getcontext().prec
    assert before < 76
    assert product(WIDE, D("1.000000000000000001")) == D("123456789012345678.246913578024691356123456789012345678")
    assert getcontext().prec == before


def test_an_exact_function_that_fails_leaves_the_callers_precision_alone() -> None:
    before = getcontext().prec

    @exactly
    def failing() -> None:
        raise KeyError(getcontext().prec)

    with pytest.raises(KeyError, match="76"):
        failing()
    assert getcontext().prec == before


def test_one_exact_function_calls_another_in_the_same_context() -> None:
    @exactly
    def outer() -> bool:
        context = getcontext()
        context.prec = 76
        return inner() is context

    @exactly
    def inner() -> object:
        return getcontext()

    assert outer()


def test_a_caller_that_is_exact_itself_gets_the_function_as_it_was_written() -> None:
    bare = within_exact(product)
    assert bare(WIDE, D("1.000000000000000001")) != product(WIDE, D("1.000000000000000001"))
    with localcontext(EXACT):
        assert bare(WIDE, D("1.000000000000000001")) == product(WIDE, D("1.000000000000000001"))


@pytest.mark.parametrize(
    ("value", "booked"),
    [
        ("1.0000000000000000005", "1.000000000000000000"),
        ("1.0000000000000000015", "1.000000000000000002"),
        ("1.00000000000000000051", "1.000000000000000001"),
        ("-1.0000000000000000015", "-1.000000000000000002"),
        ("1.5", "1.5"),
        ("100", "100"),
        ("1.000000000000000001", "1.000000000000000001"),
        ("1.0000000000000000000", "1.000000000000000000"),
        ("1E+5", "1E+5"),
        ("0", "0"),
        ("0E-18", "0E-18"),
        ("0E-30", "0E-18"),
        ("1.00", "1.00"),
    ],
)
def test_a_booked_value_has_at_most_eighteen_decimals_and_no_more_than_it_came_with(value: str, booked: str) -> None:
    assert str(quantise(D(value))) == booked


def test_multiples_of_a_step_never_go_beyond_the_value() -> None:
    assert (multiple_down(D("0.129"), D("0.01")), multiple_up(D("0.121"), D("0.01"))) == (D("0.12"), D("0.13"))
    assert (multiple_down(D("0.12"), D("0.01")), multiple_up(D("0.12"), D("0.01"))) == (D("0.12"), D("0.12"))
    assert (multiple_down(D("-0.121"), D("0.01")), multiple_up(D("-0.129"), D("0.01"))) == (D("-0.13"), D("-0.12"))
    assert multiple_down(D("7"), D("0.5")) == D("7")
    assert multiple_down(WIDE, D("1e-18")) == WIDE


@pytest.mark.parametrize("step", ["0", "-0.01"])
def test_a_step_has_to_be_positive(step: str) -> None:
    for multiple in (multiple_down, multiple_up):
        with pytest.raises(ValueError, match="positive"):
            multiple(D("1"), D(step))


def test_a_step_smaller_than_one_is_a_step() -> None:
    assert multiple_up(D("0.3"), D("1")) == D("1")
    assert multiple_up(D("0.3"), D("0.0001")) == D("0.3")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_never_becomes_money(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        from_float(value, D("0.01"))


def test_a_float_becomes_the_number_it_shows() -> None:
    assert from_float(0.1 + 0.2, D("1e-18")) == D("0.30000000000000004")
    assert from_float(1e-7, D("1e-8")) == D("1e-7")
    assert from_float(2.679, D("0.01")) == D("2.67")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("0.000", "0"),
        ("1E+3", "1000"),
        ("1.500", "1.5"),
        ("-2.0", "-2"),
        ("1e-8", "0.00000001"),
        ("10", "10"),
    ],
)
def test_a_number_is_written_without_exponent_or_idle_zeros(value: str, text: str) -> None:
    assert plain(D(value)) == text


def test_the_constants_are_what_they_are_called() -> None:
    assert (ZERO, ONE, BPS, QUANTUM, EXACT.prec) == (D("0"), D("1"), D("10000"), D("0.000000000000000001"), 76)
