"""Recorded bars from a Parquet file: symbol, ts (open, UTC ms), open, high, low, close, volume."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from orchestration.cli.layout import Exit, Refused
from strategies.regimes.bar_table import PRICES, BarTable, check_bars

#: The year 3000: milliseconds beyond it are microseconds.
LATEST_MS = 32_503_680_000_000
COLUMNS = ("symbol", "ts", *PRICES, "volume")


def read_bars(path: Path, symbols: tuple[str, ...], first_ms: int | None, last_ms: int | None) -> pl.DataFrame:
    """Return the asked-for bars of a Parquet file; all symbols where none is named.

    Raises:
        Refused: the file cannot be read, has other columns, or lacks a symbol or any bar of the span.
    """
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise Refused(f"BARS_UNREADABLE: {path} is no Parquet file that can be read: {error}", Exit.USAGE) from error
    if missing := sorted(set(COLUMNS) - set(frame.columns)):
        raise Refused(f"BARS_SCHEMA: {path} lacks the columns {', '.join(missing)}", Exit.USAGE)
    if not frame.schema["ts"].is_integer() or not all(frame.schema[name].is_numeric() for name in (*PRICES, "volume")):
        raise Refused("BARS_SCHEMA: ts holds integer milliseconds; prices and volume hold numbers", Exit.USAGE)
    if frame.schema["symbol"] not in {pl.String, pl.Categorical, pl.Enum}:
        raise Refused("BARS_SCHEMA: symbol holds text", Exit.USAGE)
    frame = frame.select(COLUMNS).cast({"symbol": pl.String})
    if frame.null_count().select("symbol", "ts").row(0) != (0, 0):
        raise Refused("BARS_SCHEMA: symbol and ts may not be empty", Exit.USAGE)
    known = frame.get_column("symbol").unique(maintain_order=True).to_list()
    if symbols:
        folded = {name.casefold(): name for name in known}
        if unknown := [name for name in symbols if name.casefold() not in folded]:
            raise Refused(f"SYMBOL_UNKNOWN: {', '.join(unknown)}; the file holds {', '.join(known)}", Exit.USAGE)
        frame = frame.filter(pl.col("symbol").is_in([folded[name.casefold()] for name in symbols]))
    if first_ms is not None:
        frame = frame.filter(pl.col("ts") >= first_ms)
    if last_ms is not None:
        frame = frame.filter(pl.col("ts") < last_ms)
    if frame.is_empty():
        raise Refused("NO_BARS: the file holds no bar of the symbol within the span", Exit.USAGE)
    if not frame["ts"].is_between(0, LATEST_MS).all():
        raise Refused("BARS_SCHEMA: ts holds milliseconds since 1970; these are none of any bar", Exit.USAGE)
    return frame


def table_of(frame: pl.DataFrame, *, drop_dead_tail: bool) -> tuple[BarTable, dict[str, int]]:
    """Return one symbol's usable bars and what was left out.

    Raises:
        FitRefused: as ``check_bars``.
    """
    columns = {name: frame.get_column(name).cast(pl.Float64).fill_null(math.nan).to_numpy() for name in PRICES}
    volume = frame.get_column("volume").cast(pl.Float64).fill_null(math.nan).to_numpy()
    times = frame.get_column("ts").cast(pl.Int64).to_numpy()
    return check_bars(times, columns, volume, drop_dead_tail=drop_dead_tail)


def parse_time(text: str | None, option: str) -> int | None:
    """Return epoch milliseconds of an ISO date or time (UTC where it names no zone) or of milliseconds as digits.

    Raises:
        Refused: it is none of them.
    """
    if text is None:
        return None
    if text.isdigit() and len(text) > 8:
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(f"{option} {text} is neither an ISO time nor epoch milliseconds", Exit.USAGE) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
