"""How stream payloads write numbers: spot with eight decimals, USD-M without trailing zeros."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.public_data import Level

TimeUnit = Literal[1, 1000]
"""Units of time stamps per millisecond: 1 for milliseconds, 1000 for microseconds."""

MILLISECOND: TimeUnit = 1
MICROSECOND: TimeUnit = 1000
NOTHING = "0.00000000"
"""Zero as spot writes it."""


def fixed(value: Decimal) -> str:
    """Eight decimals, as spot writes every price, quantity and balance."""
    return f"{value:.8f}" if value else NOTHING


def plain(value: Decimal) -> str:
    """Shortest form without exponent, as USD-M writes numbers."""
    return format(value.normalize(), "f") if value else "0"


def number(market: Market, value: Decimal) -> str:
    """The market's own way of writing a number."""
    return fixed(value) if market is Market.SPOT else plain(value)


def levels(market: Market, side: tuple[Level, ...]) -> list[list[str]]:
    """Price levels as pairs of strings."""
    return [[number(market, level.price), number(market, level.quantity)] for level in side]
