"""What anybody may see: bars, trades, book, statistics, marks. Prices are quote per base, times epoch ms UTC."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple


class Bar(NamedTuple):
    """A kline. `close_ms` is the last millisecond in it, as the venue counts."""

    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    close_ms: int
    quote_volume: Decimal
    trades: int
    taker_volume: Decimal
    taker_quote_volume: Decimal
    first_trade_id: int = -1
    last_trade_id: int = -1


class PublicTrade(NamedTuple):
    """A trade on the tape."""

    trade_id: int
    price: Decimal
    quantity: Decimal
    at_ms: int
    is_buyer_maker: bool


class AggTrade(NamedTuple):
    """Fills of one taking order at one price."""

    agg_id: int
    price: Decimal
    quantity: Decimal
    first_trade_id: int
    last_trade_id: int
    at_ms: int
    is_buyer_maker: bool


class Level(NamedTuple):
    """A price level of the book; quantity zero in a diff means it is gone."""

    price: Decimal
    quantity: Decimal


class BookTop(NamedTuple):
    """Best bid and ask."""

    update_id: int
    bid_price: Decimal
    bid_quantity: Decimal
    ask_price: Decimal
    ask_quantity: Decimal
    at_ms: int


class Depth(NamedTuple):
    """A snapshot of the book, best levels first."""

    last_update_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    at_ms: int


class Ticker24h(NamedTuple):
    """Rolling window statistics over the last 24 hours (or what the history holds of them)."""

    open_ms: int
    close_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    last: Decimal
    last_quantity: Decimal
    previous_close: Decimal
    weighted_average: Decimal
    volume: Decimal
    quote_volume: Decimal
    first_trade_id: int
    last_trade_id: int
    trades: int


@dataclass(frozen=True, slots=True)
class MarkPrice:
    """The premium index of a USD-M symbol."""

    symbol: str
    mark: Decimal
    index: Decimal
    settle: Decimal
    funding_rate: Decimal
    next_funding_ms: int
    interest_rate: Decimal
    at_ms: int


class FundingRate(NamedTuple):
    """A funding that has taken place."""

    symbol: str
    at_ms: int
    rate: Decimal
    mark: Decimal


class RegimePoint(NamedTuple):
    """The true regime of the bar that opens at `ts`."""

    ts: int
    regime: int
