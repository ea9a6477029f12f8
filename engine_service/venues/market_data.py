"""Public market data without keys, for research: instruments, tickers, bars, marks. Synchronous.

Every process that uses it shares one request budget per venue host with the engine (``home``), in the research
share: orders and the engine's own reads go first. Paging, ``Retry-After`` and weights are handled inside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx

from engine_service.domain.clock import Clock, SystemClock
from engine_service.domain.ids import Market, local_symbol
from engine_service.domain.instrument import Instrument
from engine_service.venues.binance import parse_market
from engine_service.venues.binance.hosts import hosts_for
from engine_service.venues.binance.outcomes import Failure, Meaning
from engine_service.venues.binance.parse import ParseError, at_ms, decimal, mapping, read_answer, rows, symbol_key
from engine_service.venues.binance.parse_market import BarRow, interval_ms
from engine_service.venues.port import VenueUnavailable
from engine_service.venues.public_data import BookTop, Mark, Ticker24h, book_top, futures_mark, ticker_24h
from engine_service.venues.rate_limit import Priority, RateBudget, retry_after_s

T = TypeVar("T")

_PREFIX = {Market.SPOT: "/api/v3", Market.FUTURES: "/fapi/v1"}
_EXCHANGE_INFO_WEIGHT = {Market.SPOT: 20, Market.FUTURES: 1}
_TICKERS_WEIGHT = {Market.SPOT: 80, Market.FUTURES: 40}
_BOOKS_WEIGHT = {Market.SPOT: 4, Market.FUTURES: 5}
_PAGE = {Market.SPOT: 1000, Market.FUTURES: 1000}
_BARS_WEIGHT = {Market.SPOT: 2, Market.FUTURES: 5}
_MAX_BYTES = 64_000_000
_ATTEMPTS = 6
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 130.0


class BinanceMarketData:
    """Public data of one Binance market.

    Args:
        base_url: REST base, e.g. ``http://127.0.0.1:8010``; empty for the venue itself.
        market: ``spot`` or ``futures``.
        home: NHMM_HOME, where the shared budget lives.
        patience_s: how long one request may wait for budget, ``Retry-After`` and a venue that is away.
    """

    def __init__(
        self,
        base_url: str = "",
        market: str = "spot",
        *,
        home: Path | str = "data",
        patience_s: float = 300.0,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.market = Market(market)
        hosts = hosts_for(self.market, url=base_url)
        self._base_url = hosts.rest
        allowance = hosts.weight_per_minute
        self._budget = RateBudget.for_host(Path(home), hosts.budget_key, weight_per_minute=allowance)
        self._patience_s = patience_s
        self._clock: Clock = clock or SystemClock()
        self._sleep = sleep
        self._client = httpx.Client(
            headers={"Accept-Encoding": "identity", "User-Agent": "nautilus-hmm"},
            timeout=httpx.Timeout(15.0, connect=3.0),
            follow_redirects=False,
            trust_env=False,
        )

    def __enter__(self) -> BinanceMarketData:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the budget's counters stay."""
        self._client.close()
        self._budget.close()

    def server_time(self) -> int:
        """Return the venue's time in epoch milliseconds.

        Raises:
            VenueUnavailable: no usable answer within the patience.
        """
        return at_ms(self._object("/time", 1), "serverTime")

    def instruments(self) -> list[Instrument]:
        """Return the trading rules of every instrument.

        Raises:
            VenueUnavailable: no usable answer within the patience.
        """
        body = self._get("/exchangeInfo", _EXCHANGE_INFO_WEIGHT[self.market])
        allowance, _ = _read(lambda: parse_market.weight_limits(body))
        self._budget.weight_per_minute = allowance or self._budget.weight_per_minute
        return _read(lambda: parse_market.instruments(body, self.market))

    def tickers_24h(self) -> list[Ticker24h]:
        """Return the 24 h figures of every symbol.

        Raises:
            VenueUnavailable: no usable answer within the patience.
        """
        body = self._get("/ticker/24hr", _TICKERS_WEIGHT[self.market])
        return [ticker for row in _read(lambda: rows(body)) if (ticker := ticker_24h(row)) is not None]

    def books(self) -> list[BookTop]:
        """Return the best bid and ask of every symbol that has both.

        Raises:
            VenueUnavailable: no usable answer within the patience.
        """
        body = self._get("/ticker/bookTicker", _BOOKS_WEIGHT[self.market])
        return [book for row in _read(lambda: rows(body)) if (book := book_top(row)) is not None]

    def bars(self, symbol: str, interval: str, start_ms: int, end_ms: int) -> list[BarRow]:
        """Return the closed bars with ``start_ms <= open time < end_ms``, oldest first, each once.

        A row is (open_ms, open, high, low, close, volume, quote_volume, trades), prices and volumes as floats.
        The running bar is left out; a bar the venue does not have is simply missing.

        Raises:
            VenueUnavailable: no usable answer within the patience.
            ValueError: the interval is unknown.
        """
        return [row for page in self.bar_pages(symbol, interval, start_ms, end_ms) for row in page]

    def bar_pages(self, symbol: str, interval: str, start_ms: int, end_ms: int) -> Iterator[list[BarRow]]:
        """Yield the same bars page by page, for long spans and progress bars.

        Raises:
            VenueUnavailable: no usable answer within the patience.
            ValueError: the interval is unknown.
        """
        length_ms = interval_ms(interval)
        end_ms = min(end_ms, self.server_time() // length_ms * length_ms)
        while start_ms < end_ms:
            page = self._bars_page(symbol, interval, start_ms, end_ms)
            if page:
                yield page
            if len(page) < _PAGE[self.market]:
                return
            start_ms = page[-1][0] + length_ms

    def mark(self, symbol: str) -> Mark:
        """Return the mark price: the venue's on futures, the last traded on spot.

        Raises:
            VenueUnavailable: no usable answer within the patience.
        """
        if self.market is Market.FUTURES:
            body = self._object("/premiumIndex", 1, symbol=local_symbol(symbol))
            return _read(lambda: futures_mark(body))
        body = self._object("/ticker/price", 2, symbol=local_symbol(symbol))
        now_ms = self._clock.now_ms()
        return _read(lambda: Mark(symbol=symbol_key(body), price=decimal(body, "price"), at_ms=now_ms))

    # --- details ------------------------------------------------------------------------------------------------

    def _bars_page(self, symbol: str, interval: str, start_ms: int, end_ms: int) -> list[BarRow]:
        body = self._get(
            "/klines",
            _BARS_WEIGHT[self.market],
            symbol=local_symbol(symbol),
            interval=interval,
            startTime=start_ms,
            endTime=end_ms - 1,
            limit=_PAGE[self.market],
        )
        if not isinstance(body, list):
            raise VenueUnavailable("VENUE_ANSWER_UNREADABLE", "a list of bars was expected")
        page = _read(lambda: [parse_market.bar_row(row) for row in body])
        # Trust nothing about order or repetition; a cursor that goes back would never end.
        unique = {row[0]: row for row in page if start_ms <= row[0] < end_ms}
        return [unique[opened] for opened in sorted(unique)]

    def _object(self, path: str, weight: int, **params: str | int) -> Mapping[str, Any]:
        body = self._get(path, weight, **params)
        return _read(lambda: mapping(body))

    def _get(self, path: str, weight: int, **params: str | int) -> Any:
        """Ask until a usable answer comes or the patience ends. Reads may be repeated; orders never come here."""
        deadline_s = self._clock.monotonic_s() + self._patience_s
        url = f"{self._base_url}{_PREFIX[self.market]}{path}"
        if params:
            url += f"?{urlencode(params)}"
        for attempt in range(_ATTEMPTS):
            self._await_budget(weight, deadline_s)
            answer = self._once(url)
            if not isinstance(answer, Failure):
                return answer
            if answer.venue_code and answer.meaning is not Meaning.UNKNOWN and not answer.retry_after_s:
                break
            self._wait(max(answer.retry_after_s, _FIRST_WAIT_S * 2**attempt), deadline_s, answer)
        raise VenueUnavailable(answer.code, answer.reason, answer.retry_after_s)

    def _await_budget(self, weight: int, deadline_s: float) -> None:
        while (refused := self._budget.take(weight, Priority.RESEARCH)) is not None:
            if self._clock.monotonic_s() + refused.retry_after_s > deadline_s:
                raise VenueUnavailable("VENUE_RATE_LIMITED", "the request budget stays used up", refused.retry_after_s)
            self._sleep(min(refused.retry_after_s, _LONGEST_WAIT_S))

    def _wait(self, seconds: float, deadline_s: float, failure: Failure) -> None:
        if self._clock.monotonic_s() + seconds > deadline_s:
            raise VenueUnavailable(failure.code, failure.reason, failure.retry_after_s)
        self._sleep(seconds)

    def _once(self, url: str) -> Any | Failure:
        try:
            with self._client.stream("GET", url) as response:
                raw = _bounded(response)
        except httpx.HTTPError as error:
            return Failure(Meaning.UNKNOWN, "VENUE_UNREACHABLE", type(error).__name__)
        self._budget.observe(response.status_code, response.headers)
        waiting_s = retry_after_s(response.headers, 60.0) if response.status_code in {418, 429} else 0.0
        return read_answer(response.status_code, raw, self.market, waiting_s)


def _bounded(response: httpx.Response) -> bytes:
    raw = bytearray()
    for chunk in response.iter_raw():
        raw += chunk
        if len(raw) > _MAX_BYTES:
            raise httpx.DecodingError("the answer is too long")
    return bytes(raw)


def _read(parse: Callable[[], T]) -> T:
    try:
        return parse()
    except ParseError as error:
        raise VenueUnavailable("VENUE_ANSWER_UNREADABLE", str(error)) from error
