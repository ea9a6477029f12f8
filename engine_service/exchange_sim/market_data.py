"""Everything public: instruments, bars, book, tape, statistics, marks."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from engine_service.exchange_sim.bars import CLOSE, HIGH, LOW, OPEN, QUOTE, TRADES, VOLUME
from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.funding import FundingBoard
from engine_service.exchange_sim.intervals import DAY_MS, MINUTE_MS, SECOND_MS, check_interval
from engine_service.exchange_sim.listing import Listing
from engine_service.exchange_sim.listings import Listings
from engine_service.exchange_sim.model import ZERO, SymbolSpec
from engine_service.exchange_sim.order_queries import page
from engine_service.exchange_sim.public_data import (
    AggTrade,
    Bar,
    BookTop,
    Depth,
    FundingRate,
    MarkPrice,
    PublicTrade,
    Ticker24h,
)

_PRICE_DIGITS = Decimal("1E-8")


class MarketData:
    """Public queries. Every method raises ExchangeError(-1121) for a symbol the market does not list."""

    def __init__(self, listings: Listings, funding: FundingBoard, now_ms: Callable[[], int]) -> None:
        self._listings = listings
        self._funding = funding
        self._now_ms = now_ms

    def specs(self, market: Market) -> tuple[SymbolSpec, ...]:
        return tuple(listing.spec for listing in self._listings.of(market))

    def spec(self, market: Market, symbol: str) -> SymbolSpec:
        return self._listings[market, symbol].spec

    def change_filters(self, symbol: str, tick_size: Decimal | None, step_size: Decimal | None) -> None:
        """Publish other increments for a symbol wherever it is listed.

        Raises:
            ValueError: an increment is no whole multiple of the one a book counts in.
        """
        for market in Market:
            for listing in self._listings.of(market):
                if listing.spec.symbol == symbol:
                    listing.change_filters(tick_size, step_size)

    def klines(
        self,
        market: Market,
        symbol: str,
        interval: str,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 500,
    ) -> list[Bar]:
        """Bars whose open time is in [start, end], oldest first; the last may still run.

        With a start the first `limit` from it, without one the last `limit`.

        Raises:
            ExchangeError: -1120 for an unknown interval.
        """
        check_interval(interval)
        bars = self._listings[market, symbol].bars
        return bars.bars(interval, start_ms, end_ms, limit, bars.running_open_ms)

    def depth(self, market: Market, symbol: str, limit: int = 100) -> Depth:
        return self._listings[market, symbol].depth(limit, self._now_ms())

    def recent_trades(self, market: Market, symbol: str, limit: int = 500) -> list[PublicTrade]:
        return list(self._listings[market, symbol].trades)[-limit:]

    def historical_trades(
        self, market: Market, symbol: str, from_id: int | None = None, limit: int = 500
    ) -> list[PublicTrade]:
        """Trades from an id on, or the last `limit`; the tape keeps the last ten thousand."""
        tape = self._listings[market, symbol].trades
        return page(tape, lambda t: t.trade_id, lambda t: t.at_ms, from_id, None, None, limit)

    def agg_trades(
        self,
        market: Market,
        symbol: str,
        from_id: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 500,
    ) -> list[AggTrade]:
        """Aggregate trades from an id or a start on, or the last `limit`."""
        tape = self._listings[market, symbol].agg_trades
        return page(tape, lambda t: t.agg_id, lambda t: t.at_ms, from_id, start_ms, end_ms, limit)

    def book_top(self, market: Market, symbol: str) -> BookTop:
        return self._listings[market, symbol].top(self._now_ms())

    def last_price(self, market: Market, symbol: str) -> Decimal:
        return self._listings[market, symbol].last_price

    def average_price(self, symbol: str) -> Decimal:
        """Volume-weighted average of the last five minutes on spot; the last price where nothing traded."""
        listing = self._listings[Market.SPOT, symbol]
        now = listing.bars.running_open_ms
        row = listing.bars.merge(max(listing.bars.first_open_ms, now - 5 * MINUTE_MS), now + SECOND_MS)
        return _average(listing, row)

    def ticker_24h(self, market: Market, symbol: str) -> Ticker24h:
        """Statistics of the last 24 hours, or of what the history holds of them."""
        listing = self._listings[market, symbol]
        return ticker_of(listing)

    def window(self, market: Market, symbol: str, start_ms: int, close_ms: int) -> Ticker24h:
        """Statistics from a moment on, or of what the history holds since, told as those up to `close_ms`."""
        listing = self._listings[market, symbol]
        bars = listing.bars
        start = min(max(bars.first_open_ms, start_ms - start_ms % SECOND_MS), bars.running_open_ms)
        row = bars.merge(start, bars.running_open_ms + SECOND_MS)
        return _ticker(listing, row, start_ms, start, close_ms)

    def mark_price(self, symbol: str) -> MarkPrice:
        listing = self._listings[Market.FUTURES, symbol]
        return self._funding.premium(listing, self._now_ms())

    def funding_history(
        self,
        symbol: str | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 100,
    ) -> list[FundingRate]:
        """Fundings that took place, oldest first; without a start the last `limit`."""
        return self._funding.history(symbol, start_ms, end_ms, limit)


def ticker_of(listing: Listing) -> Ticker24h:
    """24 hour statistics of a listing, up to the running second."""
    bars = listing.bars
    end = bars.running_open_ms + SECOND_MS
    start = max(bars.first_open_ms, end - DAY_MS)
    return _ticker(listing, bars.day_row(start), start, start, end - 1)


def _ticker(listing: Listing, row: list[int], open_ms: int, since_ms: int, close_ms: int) -> Ticker24h:
    """Statistics of the bar of a window; `since_ms` is where the history begins to count."""
    return Ticker24h(
        open_ms=open_ms,
        close_ms=close_ms,
        open=listing.to_price(row[OPEN]),
        high=listing.to_price(row[HIGH]),
        low=listing.to_price(row[LOW]),
        last=listing.to_price(row[CLOSE]),
        last_quantity=listing.trades[-1].quantity if listing.trades else ZERO,
        previous_close=listing.to_price(listing.bars.price_before(since_ms)),
        weighted_average=_average(listing, row),
        volume=listing.to_quantity(row[VOLUME]),
        quote_volume=row[QUOTE] * listing.unit_value,
        first_trade_id=row[-1],
        last_trade_id=row[-1] + row[TRADES] - 1,
        trades=row[TRADES],
    )


def _average(listing: Listing, row: list[int]) -> Decimal:
    if not row[VOLUME]:
        return listing.last_price
    return (row[QUOTE] * listing.unit_tick / row[VOLUME]).quantize(_PRICE_DIGITS)
