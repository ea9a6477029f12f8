"""Marks and closed bars of the watched instruments, without holes.

Quotes become marks at once. Bars are handed on when they are closed, each once and in order; after a start, a lost
stream or a gap the missing ones are read from the venue first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from engine_service.domain.ids import Market
from engine_service.venues.port import Venue, VenueUnavailable
from engine_service.venues.reports import BarReport, Quote, StreamStatus
from strategies.contracts import Bar

HISTORY_BARS = 600
BACKFILL_LIMIT = 500

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPorts:
    """Whom the feed tells: of quotes, of closed live bars (awaited), of the stream's state."""

    on_quote: Callable[[Quote], None]
    on_bar: Callable[[Bar], Awaitable[None]]
    on_stream: Callable[[StreamStatus], None]


class MarketFeed:
    """The market data of one venue and market, for a fixed list of instruments."""

    def __init__(self, venue: Venue, market: Market, symbols: Sequence[str], interval: str, ports: FeedPorts) -> None:
        """``symbols`` are instrument keys, ``interval`` the venue's name of the bar length, such as ``1m``."""
        self._venue = venue
        self._market = market
        self._symbols = tuple(symbols)
        self._interval = interval
        self._ports = ports
        self._quoted = self._symbols
        self._history: dict[str, deque[Bar]] = {symbol: deque(maxlen=HISTORY_BARS) for symbol in symbols}

    @property
    def symbols(self) -> tuple[str, ...]:
        return self._symbols

    @property
    def interval(self) -> str:
        """The venue's name of the bar length."""
        return self._interval

    def quote_also(self, symbols: Sequence[str]) -> None:
        """Follow the quotes of more instruments than the strategies watch, from the next connection on."""
        self._quoted = tuple(dict.fromkeys((*self._symbols, *symbols)))

    def history(self, symbol: str) -> Sequence[Bar]:
        """Return the newest closed bars of an instrument, oldest first."""
        return tuple(self._history.get(symbol, ()))

    async def load_history(self) -> None:
        """Read past bars, so that strategies start warm. A symbol without an answer starts cold.

        These are not handed on: they were tradable before this engine ran.
        """
        for symbol in self._symbols:
            for bar in await self._read(symbol):
                self._keep(bar)

    async def run(self) -> None:
        """Consume the venue's market stream for ever."""
        async for event in self._venue.market_events(self._market, self._quoted, self._interval):
            if isinstance(event, Quote):
                self._ports.on_quote(event)
            elif isinstance(event, BarReport):
                if event.closed:
                    await self._take(as_bar(event))
            else:
                self._ports.on_stream(event)
                if event.connected:
                    await self._fill_gaps()

    async def _take(self, bar: Bar) -> None:
        known = self._history.get(bar.symbol)
        if known is None:
            return
        if known and bar.open_at_ms > known[-1].close_at_ms:
            await self._fill(bar.symbol, before_ms=bar.open_at_ms)
        if self._keep(bar):
            await self._ports.on_bar(bar)

    async def _fill_gaps(self) -> None:
        for symbol in self._symbols:
            if self._history[symbol]:
                await self._fill(symbol, before_ms=None)

    async def _fill(self, symbol: str, before_ms: int | None) -> None:
        for bar in await self._read(symbol):
            if (before_ms is None or bar.open_at_ms < before_ms) and self._keep(bar):
                await self._ports.on_bar(bar)

    async def _read(self, symbol: str) -> Sequence[Bar]:
        try:
            reports = await self._venue.bars(self._market, symbol, self._interval, BACKFILL_LIMIT)
        except VenueUnavailable as error:
            _log.warning("bars could not be read", symbol=symbol, code=error.code, detail=error.detail)
            return ()
        return [as_bar(report) for report in reports if report.closed]

    def _keep(self, bar: Bar) -> bool:
        """Append a bar; False where it is known already or older than what is known."""
        known = self._history[bar.symbol]
        if known and bar.open_at_ms <= known[-1].open_at_ms:
            return False
        known.append(bar)
        return True


def as_bar(report: BarReport) -> Bar:
    """Return the strategies' bar of a venue's report."""
    return Bar(
        symbol=report.symbol,
        open_at_ms=report.open_at_ms,
        close_at_ms=report.close_at_ms,
        open=report.open,
        high=report.high,
        low=report.low,
        close=report.close,
        volume=report.volume,
    )
