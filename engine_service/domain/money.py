"""Exact money: every price, quantity, amount and fee is a ``Decimal``; this module is the one gate from float.

Quantities round down, so that an order never exceeds what was asked; a buy limit rounds down to the tick and a
sell limit rounds up, so that rounding never worsens the price the caller accepted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
    Rounded,
    getcontext,
    localcontext,
)
from functools import wraps
from inspect import unwrap
from typing import ParamSpec, TypeVar

ZERO = Decimal(0)
ONE = Decimal(1)
BPS = Decimal(10_000)

#: Wide enough that sums and products of venue figures (18 digits either side) never round.
DIGITS = 76
EXACT = Context(prec=DIGITS)
#: The same, and raises where a digit would be dropped, be it a zero.
_KEEPS_DIGITS = Context(prec=DIGITS, traps=[InvalidOperation, DivisionByZero, Overflow, Rounded])

#: The smallest amount a booked value may have; what is divided or converted is rounded to it once, when booked.
QUANTUM = Decimal("1e-18")

_P = ParamSpec("_P")
_R = TypeVar("_R")


def exactly(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run a function under ``EXACT``: Python's own context would round every sum to 28 digits."""

    @wraps(function)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        # One exact function calls another all the time; entering the context again would cost more than the sum.
        if getcontext().prec == DIGITS:
            if kwargs:
                return function(*args, **kwargs)
            return function(*args)  # type: ignore[call-arg]  # there are none
        with localcontext(EXACT):
            return function(*args, **kwargs)

    return wrapper


def within_exact(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return an ``exactly`` function as it was written, for a caller that runs under ``EXACT`` itself."""
    bare: Callable[_P, _R] = unwrap(function)
    return bare


def quantise(value: Decimal) -> Decimal:
    """Round to 18 decimals, half to even; a value that has fewer stays as it is."""
    try:
        rounded = value.quantize(QUANTUM, ROUND_HALF_EVEN, _KEEPS_DIGITS)
    except Rounded:
        return value.quantize(QUANTUM, ROUND_HALF_EVEN, EXACT)
    if value:
        return value
    # Zero has no digit to drop, however many decimals it is written with: the total order ranks those.
    return value if value.compare_total_mag(rounded) >= 0 else rounded


def multiple_down(value: Decimal, step: Decimal) -> Decimal:
    """Return the largest multiple of ``step`` that is not above ``value``.

    Raises:
        ValueError: ``step`` is not positive.
    """
    return _multiple(value, step, ROUND_FLOOR)


def multiple_up(value: Decimal, step: Decimal) -> Decimal:
    """Return the smallest multiple of ``step`` that is not below ``value``.

    Raises:
        ValueError: ``step`` is not positive.
    """
    return _multiple(value, step, ROUND_CEILING)


def _multiple(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    if step <= 0:
        raise ValueError("step must be positive")
    return EXACT.multiply(EXACT.divide(value, step).to_integral_value(rounding), step)


def from_float(value: float, step: Decimal) -> Decimal:
    """Turn a research number into money: the nearest representable value, rounded down to ``step``.

    Raises:
        ValueError: ``value`` is not finite.
    """
    if not math.isfinite(value):
        raise ValueError("only a finite number can become money")
    return multiple_down(Decimal(repr(value)), step)


def plain(value: Decimal) -> str:
    """Write a decimal the way the wire wants it: no exponent, no trailing zeros, never ``-0``."""
    if value == 0:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
