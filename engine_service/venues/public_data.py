"""Values of public market data for research, and how Binance writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from engine_service.venues.binance.parse import ParseError, at_ms, decimal, symbol_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticker24h:
    """Rolling 24 h figures of one symbol; ``quote_volume`` is turnover in quote units."""

    symbol: str
    last_price: Decimal
    quote_volume: Decimal
    volume: Decimal
    high: Decimal
    low: Decimal
    trades: int
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The price positions are valued at, with the funding rate where the market has one."""

    symbol: str
    price: Decimal
    at_ms: int
    funding_rate: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BookTop:
    """The best bid and ask of one symbol: prices in quote, quantities in base units or contracts."""

    symbol: str
    bid: Decimal
    bid_quantity: Decimal
    ask: Decimal
    ask_quantity: Decimal


def ticker_24h(row: Mapping[str, Any]) -> Ticker24h | None:
    """Read a 24 h ticker; ``None`` for a symbol that cannot be named or read: one bad row spoils no list."""
    try:
        return _read_ticker(row)
    except ParseError:
        return None


def _read_ticker(row: Mapping[str, Any]) -> Ticker24h:
    count = row.get("count")
    return Ticker24h(
        symbol=symbol_key(row),
        last_price=decimal(row, "lastPrice"),
        quote_volume=decimal(row, "quoteVolume"),
        volume=decimal(row, "volume"),
        high=decimal(row, "highPrice"),
        low=decimal(row, "lowPrice"),
        trades=count if isinstance(count, int) else 0,
        at_ms=at_ms(row, "closeTime"),
    )


def futures_mark(body: Mapping[str, Any]) -> Mark:
    """Read a premium index.

    Raises:
        ParseError: a value is missing or not what it should be.
    """
    return Mark(
        symbol=symbol_key(body),
        price=decimal(body, "markPrice"),
        at_ms=at_ms(body, "time"),
        funding_rate=decimal(body, "lastFundingRate"),
    )


def book_top(row: Mapping[str, Any]) -> BookTop | None:
    """Read a book ticker; ``None`` where a side is empty, the sides cross or the row cannot be read."""
    try:
        book = BookTop(
            symbol=symbol_key(row),
            bid=decimal(row, "bidPrice"),
            bid_quantity=decimal(row, "bidQty"),
            ask=decimal(row, "askPrice"),
            ask_quantity=decimal(row, "askQty"),
        )
    except ParseError:
        return None
    return book if 0 < book.bid < book.ask else None
