"""Recorded funding rates from a Parquet file: symbol, ts (when it was settled, UTC ms), funding_rate."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import polars as pl

from engine_service.backtest.event_path import FundingRate
from engine_service.backtest.series import BarSeries
from orchestration.cli.layout import Exit, Refused
from orchestration.cli.parquet_rows import check_times, read_rows

#: In bars that last longer than this, funding was settled at least once.
DAY_MS = 86_400_000
#: No venue settles more of a position's value at once.
LARGEST = 1.0


def read_funding(path: Path, names: Mapping[str, str], series: Mapping[str, BarSeries]) -> dict[str, list[FundingRate]]:
    """Return the rates of each of the engine's symbols, oldest first; ``names`` are those of the file.

    Raises:
        Refused: the file cannot be read (``FUNDING_UNREADABLE``, ``FUNDING_SCHEMA``), holds a rate that is none
            (``FUNDING_INVALID``) or one time twice (``FUNDING_DUPLICATED``), or lacks a symbol or the span of its bars
            (``FUNDING_MISSING``).
    """
    frame = read_rows(path, "FUNDING", ("funding_rate",)).sort("ts")
    frame = frame.filter(pl.col("symbol").is_in(list(names.values())))
    check_times(frame.get_column("ts"), "FUNDING")
    rates = frame.get_column("funding_rate").cast(pl.Float64)
    sound = rates.is_finite().fill_null(value=False) & (rates.abs() <= LARGEST).fill_null(value=False)
    if not sound.all():
        symbol, at_ms, rate = frame.filter(~sound).row(0)
        raise Refused(f"FUNDING_INVALID: {symbol} has the rate {rate} at {at_ms} ms", Exit.CONFIGURATION)
    if (twice := frame.select("symbol", "ts").is_duplicated()).any():
        symbol, at_ms, _ = frame.filter(twice).row(0)
        raise Refused(f"FUNDING_DUPLICATED: {symbol} has two rates at {at_ms} ms", Exit.CONFIGURATION)
    found = {symbol: _rates(frame, name) for symbol, name in names.items()}
    if lacking := [names[symbol] for symbol, rows in found.items() if not _covers(rows, series[symbol])]:
        raise Refused(f"FUNDING_MISSING: no rates of {', '.join(lacking)} while its bars last", Exit.CONFIGURATION)
    return found


def _rates(frame: pl.DataFrame, name: str) -> list[FundingRate]:
    rows = frame.filter(pl.col("symbol") == name).select("ts", "funding_rate").rows()
    return [FundingRate(at, Decimal(repr(float(rate)))) for at, rate in rows]


def _covers(rates: list[FundingRate], bars: BarSeries) -> bool:
    """True where a rate was settled while the bars last, or they are too short to hold one for certain."""
    first, last = int(bars.open_at[0]), int(bars.close_at[-1])
    within = any(first <= rate.at_ms <= last for rate in rates)
    return within or (bool(rates) and last - first <= DAY_MS)
