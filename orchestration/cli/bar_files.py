"""Recorded bars from a Parquet file: symbol, ts (open, UTC ms), open, high, low, close, volume."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from orchestration.cli.layout import Exit, Refused
from orchestration.cli.parquet_rows import check_times, read_rows
from strategies.regimes.bar_table import PRICES, BarTable, check_bars, interval_of

LONGEST_MS = 18


def read_bars(path: Path, symbols: tuple[str, ...], first_ms: int | None, last_ms: int | None) -> pl.DataFrame:
    """Return the asked-for bars of a Parquet file; all symbols where none is named.

    Raises:
        Refused: the file cannot be read, has other columns, or lacks a symbol or any bar of the span.
    """
    if first_ms is not None and last_ms is not None and first_ms >= last_ms:
        raise Refused(f"SPAN_EMPTY: --from ({first_ms} ms) must lie before --to ({last_ms} ms)", Exit.USAGE)
    frame = read_rows(path, "BARS", (*PRICES, "volume"))
    known = frame.get_column("symbol").unique(maintain_order=True).to_list()
    folded = _folded(known)
    if symbols and known:
        if unknown := [name for name in symbols if name.casefold() not in folded]:
            raise Refused(f"SYMBOL_UNKNOWN: {', '.join(unknown)}; the file holds {', '.join(known)}", Exit.USAGE)
        frame = frame.filter(pl.col("symbol").is_in([folded[name.casefold()] for name in symbols]))
    if first_ms is not None:
        frame = frame.filter(pl.col("ts") >= first_ms)
    if last_ms is not None:
        frame = frame.filter(pl.col("ts") < last_ms)
    if frame.is_empty():
        raise Refused("NO_BARS: the file holds no bar of the symbol within the span", Exit.USAGE)
    check_times(frame.get_column("ts"), "BARS")
    return frame


def _folded(known: Sequence[str]) -> dict[str, str]:
    """Return the file's symbols by their names without case."""
    folded: dict[str, str] = {}
    for name in known:
        if not name:
            raise Refused("SYMBOL_FORMAT: the file has bars of a symbol without a name", Exit.USAGE)
        if (other := folded.setdefault(name.casefold(), name)) != name:
            raise Refused(f"SYMBOL_AMBIGUOUS: {other} and {name} differ in nothing but case", Exit.USAGE)
    return folded


def table_of(frame: pl.DataFrame, *, drop_dead_tail: bool) -> tuple[BarTable, dict[str, int]]:
    """Return one symbol's usable bars and what was left out.

    Raises:
        FitRefused: as ``check_bars``.
    """
    columns = {name: frame.get_column(name).cast(pl.Float64).fill_null(math.nan).to_numpy() for name in PRICES}
    volume = frame.get_column("volume").cast(pl.Float64).fill_null(math.nan).to_numpy()
    times = frame.get_column("ts").cast(pl.Int64).to_numpy()
    return check_bars(times, columns, volume, drop_dead_tail=drop_dead_tail)


def table_before(frame: pl.DataFrame, before_ms: int) -> BarTable:
    """Return one symbol's usable bars as they were known before a bar opened: none of the later ones is looked at.

    Raises:
        FitRefused: as ``check_bars``.
    """
    return table_of(frame.filter(pl.col("ts") < before_ms), drop_dead_tail=False)[0]


def check_interval(bar_ms: int, interval: str) -> None:
    """Check that bars are as long as those that a model learned from.

    Raises:
        Refused: they are not; the model would read a market that it never saw.
    """
    if interval_of(bar_ms) != interval:
        raise Refused(f"BARS_INTERVAL: the model reads {interval} bars, these are {interval_of(bar_ms)}", Exit.USAGE)


def parse_time(text: str | None, option: str) -> int | None:
    """Return epoch milliseconds of an ISO date or time (UTC where it names no zone) or of milliseconds as digits.

    Raises:
        Refused: it is none of them.
    """
    if text is None:
        return None
    if text.isdecimal() and 8 < len(text) <= LONGEST_MS:
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(f"{option} {text} is neither an ISO time nor epoch milliseconds", Exit.USAGE) from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
