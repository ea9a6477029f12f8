"""Public payloads to the port's words: instruments, bars, book tickers, 24 h tickers. Pure."""

from __future__ import annotations

import math
from decimal import Decimal

from engine_service.domain.ids import Market
from engine_service.domain.instrument import Instrument
from engine_service.domain.money import ONE, ZERO
from engine_service.venues.binance.parse import (
    ParseError,
    Payload,
    at_ms,
    decimal,
    decimal_or,
    mapping,
    price_or_none,
    rows,
    symbol_key,
    text,
)
from engine_service.venues.reports import BarReport, BookReport, PriceLevel, Quote

BarRow = tuple[int, float, float, float, float, float, float, int]

WINDOW_UNITS_S = {"SECOND": 1, "MINUTE": 60, "HOUR": 3_600, "DAY": 86_400}
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def interval_ms(interval: str) -> int:
    """Return the length of a bar in milliseconds.

    Raises:
        ValueError: not an interval such as ``1s``, ``15m``, ``4h``, ``1d``.
    """
    count, unit = interval[:-1], interval[-1:]
    if not (count.isascii() and count.isdigit() and unit in _UNITS_MS and int(count) > 0):
        raise ValueError("an interval is a count and one of s, m, h, d, w: 1s, 15m, 4h")
    return int(count) * _UNITS_MS[unit]


def instruments(payload: object, market: Market) -> list[Instrument]:
    """Read ``exchangeInfo``; a symbol this code cannot name or read is left out, never guessed.

    Raises:
        ParseError: the answer has no list of symbols.
    """
    found = []
    for row in rows(mapping(payload).get("symbols")):
        try:
            if market is Market.SPOT or row.get("contractType") == "PERPETUAL":
                found.append(_instrument(row, market))
        except ParseError:
            continue
    return found


def book(payload: Payload, symbol: str, market: Market) -> BookReport:
    """Read ``depth``: levels of ``[price, quantity]``, best first.

    Raises:
        ParseError: a side is missing or a level cannot be read.
    """
    return BookReport(
        symbol=symbol,
        market=market,
        bids=_levels(payload.get("bids")),
        asks=_levels(payload.get("asks")),
    )


def _levels(value: object) -> tuple[PriceLevel, ...]:
    if not isinstance(value, list) or not all(isinstance(row, list) and len(row) >= 2 for row in value):
        raise ParseError("a side of the book is not a list of levels")
    named = [{"price": row[0], "quantity": row[1]} for row in value]
    return tuple((decimal(row, "price"), decimal(row, "quantity")) for row in named)


def weight_limits(payload: object) -> tuple[int, dict[int, int]]:
    """Return the weight allowance per minute (0 where not stated) and order limits by window in seconds."""
    weight, orders = 0, {}
    for row in rows(mapping(payload).get("rateLimits", [])):
        window_s = limit_window_s(row)
        limit = row.get("limit")
        if not isinstance(limit, int) or window_s <= 0:
            continue
        if row.get("rateLimitType") == "REQUEST_WEIGHT" and window_s == 60:
            weight = limit
        elif row.get("rateLimitType") == "ORDERS":
            orders[window_s] = limit
    return weight, orders


def limit_window_s(row: Payload) -> int:
    """Return the length of a rate limit's window in seconds; 0 where it is not told in a way that can be read."""
    number = row.get("intervalNum")
    return WINDOW_UNITS_S.get(str(row.get("interval")), 0) * number if isinstance(number, int) else 0


def bar_row(row: object) -> BarRow:
    """Read one kline row: open time (ms), open, high, low, close, volume, quote volume, trades.

    Raises:
        ParseError: the row is too short or a number is not finite.
    """
    if not isinstance(row, list) or len(row) < 9 or not isinstance(row[0], int):
        raise ParseError("a kline row was expected")
    try:
        o, h, low, c, v, q = (float(row[i]) for i in (1, 2, 3, 4, 5, 7))
        trades = int(row[8])
    except (TypeError, ValueError, OverflowError) as error:
        raise ParseError("a kline field is not a number") from error
    if not all(map(math.isfinite, (o, h, low, c, v, q))):
        raise ParseError("a kline field is not finite")
    return row[0], o, h, low, c, v, q, trades


def bar_report(row: BarRow, symbol: str, market: Market, interval: str, now_ms: int) -> BarReport:
    """Turn a kline row into a bar; closed where the venue's time has passed its end."""
    close_at = row[0] + interval_ms(interval)
    return BarReport(
        symbol=symbol,
        market=market,
        interval=interval,
        open_at_ms=row[0],
        close_at_ms=close_at,
        open=row[1],
        high=row[2],
        low=row[3],
        close=row[4],
        volume=row[5],
        closed=close_at <= now_ms,
    )


def stream_bar(payload: Payload, market: Market) -> BarReport:
    """Read a ``kline`` event.

    Raises:
        ParseError: a field is missing or not finite.
    """
    bar = mapping(payload.get("k"))
    opened = at_ms(bar, "t")
    row = bar_row([opened, *(bar.get(name) for name in "ohlcv"), 0, bar.get("q"), bar.get("n", 0)])
    interval = text(bar, "i")
    if not opened:
        raise ParseError("a bar without an open time")
    closed = bar.get("x")
    report = bar_report(row, symbol_key(payload, "s"), market, interval, 0)
    return report if closed is not True else _closed(report)


def quote(payload: Payload, market: Market, received_at_s: float) -> Quote:
    """Read a ``bookTicker`` event.

    Raises:
        ParseError: a field is missing or not a decimal.
    """
    return Quote(
        symbol=symbol_key(payload, "s"),
        market=market,
        bid=decimal(payload, "b"),
        ask=decimal(payload, "a"),
        bid_quantity=decimal(payload, "B"),
        ask_quantity=decimal(payload, "A"),
        received_at_s=received_at_s,
    )


def _closed(report: BarReport) -> BarReport:
    return BarReport(
        symbol=report.symbol,
        market=report.market,
        interval=report.interval,
        open_at_ms=report.open_at_ms,
        close_at_ms=report.close_at_ms,
        open=report.open,
        high=report.high,
        low=report.low,
        close=report.close,
        volume=report.volume,
        closed=True,
    )


def _instrument(row: Payload, market: Market) -> Instrument:
    filters = {str(item.get("filterType")): item for item in rows(row.get("filters"))}
    price, lot = mapping(filters.get("PRICE_FILTER")), mapping(filters.get("LOT_SIZE"))
    market_lot = filters.get("MARKET_LOT_SIZE", {})
    tick, step = price_or_none(price, "tickSize"), price_or_none(lot, "stepSize")
    return Instrument(
        symbol=symbol_key(row),
        market=market,
        base=text(row, "baseAsset"),
        quote=text(row, "quoteAsset"),
        tick=tick or _by_precision(row, "pricePrecision", "quotePrecision"),
        step=step or _by_precision(row, "quantityPrecision", "baseAssetPrecision"),
        min_quantity=decimal_or(lot, "minQty"),
        max_quantity=decimal_or(lot, "maxQty"),
        market_step=decimal_or(market_lot, "stepSize"),
        market_min_quantity=decimal_or(market_lot, "minQty"),
        market_max_quantity=decimal_or(market_lot, "maxQty"),
        min_notional=_min_notional(filters),
        max_notional=decimal_or(filters.get("NOTIONAL", {}), "maxNotional"),
        trading=row.get("status") == "TRADING",
    )


def _min_notional(filters: dict[str, Payload]) -> Decimal:
    if "NOTIONAL" in filters:
        return decimal_or(filters["NOTIONAL"], "minNotional")
    old = filters.get("MIN_NOTIONAL", {})
    return decimal_or(old, "notional", decimal_or(old, "minNotional", ZERO))


def _by_precision(row: Payload, *names: str) -> Decimal:
    # A filter of zero means "disabled"; the precision still bounds what the venue can store.
    for name in names:
        digits = row.get(name)
        if isinstance(digits, int) and 0 <= digits <= 18:
            return ONE.scaleb(-digits)
    raise ParseError("neither an increment nor a precision is stated")
