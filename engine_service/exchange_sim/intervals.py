"""Kline intervals: where the bar that holds a moment begins and ends, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from engine_service.exchange_sim.errors import ExchangeError

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS
MONTH = "1M"
# 1970-01-01 was a Thursday; the venue's weeks begin on Monday.
_FIRST_MONDAY_MS = 4 * DAY_MS

FIXED_INTERVALS_MS = {
    "1s": SECOND_MS,
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": HOUR_MS,
    "2h": 2 * HOUR_MS,
    "4h": 4 * HOUR_MS,
    "6h": 6 * HOUR_MS,
    "8h": 8 * HOUR_MS,
    "12h": 12 * HOUR_MS,
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": WEEK_MS,
}
INTERVALS = (*FIXED_INTERVALS_MS, MONTH)


def check_interval(interval: str) -> None:
    """Raises ExchangeError(-1120) for an interval the venue does not know."""
    if interval not in INTERVALS:
        raise ExchangeError(-1120, "Invalid interval.")


def bar_open_ms(interval: str, at_ms: int) -> int:
    """Open time of the bar that holds `at_ms`."""
    if interval == MONTH:
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        return _epoch_ms(datetime(at.year, at.month, 1, tzinfo=UTC))
    length = FIXED_INTERVALS_MS[interval]
    shift = _FIRST_MONDAY_MS if interval == "1w" else 0
    return (at_ms - shift) // length * length + shift


def next_open_ms(interval: str, open_ms: int) -> int:
    """Open time of the bar after the one that opens at `open_ms`."""
    if interval == MONTH:
        at = datetime.fromtimestamp(open_ms / 1000, UTC)
        year, month = (at.year + 1, 1) if at.month == 12 else (at.year, at.month + 1)
        return _epoch_ms(datetime(year, month, 1, tzinfo=UTC))
    return open_ms + FIXED_INTERVALS_MS[interval]


def _epoch_ms(at: datetime) -> int:
    return int(at.timestamp()) * 1000
