"""Klines in another time zone: the day, week or month of the zone, put together from finer bars."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby

from engine_service.exchange_sim.binance_wire import errors
from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.intervals import (
    FIXED_INTERVALS_MS,
    MINUTE_MS,
    bar_open_ms,
    check_interval,
    next_open_ms,
)
from engine_service.exchange_sim.market_data import MarketData
from engine_service.exchange_sim.public_data import Bar

ZONE_RANGE = "^[+-]?[0-9]{1,2}(:[0-9]{2})?$"
_ZONE = re.compile(r"([+-]?)([0-9]{1,2})(?::([0-9]{2}))?", re.ASCII)
_EARLIEST_MINUTES, _LATEST_MINUTES = -12 * 60, 14 * 60
_FINER = ("1h", "15m", "5m", "1m")


def offset_minutes(zone: str | None) -> int:
    """Minutes ahead of UTC of `8`, `-1:00` or `05:45`. Raises -1100 or, outside -12:00 to +14:00, -1130."""
    if zone is None:
        return 0
    match = _ZONE.fullmatch(zone)
    if match is None:
        raise errors.illegal_characters("timeZone", ZONE_RANGE)
    sign, hours, minutes = match[1], int(match[2]), int(match[3] or 0)
    offset = (hours * 60 + minutes) * (-1 if sign == "-" else 1)
    if minutes >= 60 or not _EARLIEST_MINUTES <= offset <= _LATEST_MINUTES:
        raise errors.invalid_data("timeZone")
    return offset


def shifted_klines(
    data: MarketData,
    symbol: str,
    interval: str,
    start_ms: int | None,
    end_ms: int | None,
    limit: int,
    offset: int,
) -> list[Bar]:
    """Spot klines whose bars begin at the zone's midnight.

    Args:
        start_ms, end_ms: bounds of the open time, always UTC.
        offset: minutes ahead of UTC.
    """
    check_interval(interval)
    length_ms = FIXED_INTERVALS_MS.get(interval)
    offset_ms = offset * MINUTE_MS
    if not offset or (length_ms is not None and offset_ms % length_ms == 0):
        return data.klines(Market.SPOT, symbol, interval, start_ms, end_ms, limit)
    finer = next(name for name in _FINER if offset_ms % FIXED_INTERVALS_MS[name] == 0)
    bars = _joined(_finer_bars(data, symbol, finer, start_ms, end_ms, interval, offset_ms), interval, offset_ms)
    inside = [
        bar
        for bar in bars
        if (start_ms is None or bar.open_ms >= start_ms) and (end_ms is None or bar.open_ms <= end_ms)
    ]
    return inside[:limit] if start_ms is not None else inside[-limit:]


def _finer_bars(
    data: MarketData,
    symbol: str,
    finer: str,
    start_ms: int | None,
    end_ms: int | None,
    interval: str,
    offset_ms: int,
) -> list[Bar]:
    """Every finer bar of the span; its last whole bar reaches beyond `end_ms`."""
    if end_ms is not None:
        last_open = bar_open_ms(interval, end_ms + offset_ms)
        end_ms = next_open_ms(interval, last_open) - offset_ms - 1
    everything = 10**9
    return data.klines(Market.SPOT, symbol, finer, start_ms or 0, end_ms, everything)


def _joined(bars: Iterable[Bar], interval: str, offset_ms: int) -> list[Bar]:
    def opens(bar: Bar) -> int:
        return bar_open_ms(interval, bar.open_ms + offset_ms) - offset_ms

    return [_join(list(group), open_ms, interval, offset_ms) for open_ms, group in groupby(bars, opens)]


def _join(bars: list[Bar], open_ms: int, interval: str, offset_ms: int) -> Bar:
    first, last = bars[0], bars[-1]
    return Bar(
        open_ms=open_ms,
        open=first.open,
        high=max(bar.high for bar in bars),
        low=min(bar.low for bar in bars),
        close=last.close,
        volume=sum((bar.volume for bar in bars), first.volume * 0),
        close_ms=next_open_ms(interval, open_ms + offset_ms) - offset_ms - 1,
        quote_volume=sum((bar.quote_volume for bar in bars), first.volume * 0),
        trades=sum(bar.trades for bar in bars),
        taker_volume=sum((bar.taker_volume for bar in bars), first.volume * 0),
        taker_quote_volume=sum((bar.taker_quote_volume for bar in bars), first.volume * 0),
        first_trade_id=first.first_trade_id,
        last_trade_id=last.last_trade_id,
    )
