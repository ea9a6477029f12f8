"""Recorded bars from a Parquet file: symbol, ts (open, UTC ms), open, high, low, close, volume."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from orchestration.cli.layout import Exit, Refused
from strategies.regimes.bar_table import PRICES, BarTable, check_bars

#: The year 3000: milliseconds beyond it are microseconds.
LATEST_MS = 32_503_680_000_000
#: The years 2001 to 2103 in seconds; as milliseconds they all are of early 1970.
SECONDS = (1_000_000_000, 4_200_000_000)
MINUTE_MS = 60_000
LONGEST_MS = 18
UNITS = (("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000))
COLUMNS = ("symbol", "ts", *PRICES, "volume")


def read_bars(path: Path, symbols: tuple[str, ...], first_ms: int | None, last_ms: int | None) -> pl.DataFrame:
    """Return the asked-for bars of a Parquet file; all symbols where none is named.

    Raises:
        Refused: the file cannot be read, has other columns, or lacks a symbol or any bar of the span.
    """
    if first_ms is not None and last_ms is not None and first_ms >= last_ms:
        raise Refused(f"SPAN_EMPTY: --from ({first_ms} ms) must lie before --to ({last_ms} ms)", Exit.USAGE)
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).partition("\n")[0]
        raise Refused(f"BARS_UNREADABLE: {path} is no Parquet file that can be read: {reason}", Exit.USAGE) from error
    frame = _typed(path, frame)
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
    _check_times(frame.get_column("ts"))
    return frame


def _typed(path: Path, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the columns of bars, ts as 64-bit milliseconds, symbol as text."""
    if missing := sorted(set(COLUMNS) - set(frame.columns)):
        raise Refused(f"BARS_SCHEMA: {path} lacks the columns {', '.join(missing)}", Exit.USAGE)
    types = {name: frame.schema[name] for name in COLUMNS}
    wrong = [name for name in (*PRICES, "volume") if not types[name].is_numeric()]
    wrong += [] if types["ts"].is_integer() else ["ts"]
    wrong += [] if isinstance(types["symbol"], pl.String | pl.Categorical | pl.Enum) else ["symbol"]
    if wrong:
        found = ", ".join(f"{name} is {types[name]}" for name in wrong)
        raise Refused(
            f"BARS_SCHEMA: {found}; ts holds whole milliseconds since 1970, symbol text, the others numbers", Exit.USAGE
        )
    frame = frame.select(COLUMNS)
    if frame.null_count().select("symbol", "ts").row(0) != (0, 0):
        raise Refused("BARS_SCHEMA: symbol and ts may not be empty", Exit.USAGE)
    # What no signed 64 bits hold is no time either, and is refused as one.
    whole = frame.get_column("ts").cast(pl.Int64, strict=False).fill_null(-1)
    return frame.with_columns(whole, pl.col("symbol").cast(pl.String))


def _folded(known: Sequence[str]) -> dict[str, str]:
    """Return the file's symbols by their names without case."""
    folded: dict[str, str] = {}
    for name in known:
        if not name:
            raise Refused("SYMBOL_FORMAT: the file has bars of a symbol without a name", Exit.USAGE)
        if (other := folded.setdefault(name.casefold(), name)) != name:
            raise Refused(f"SYMBOL_AMBIGUOUS: {other} and {name} differ in nothing but case", Exit.USAGE)
    return folded


def _check_times(times: pl.Series) -> None:
    if not times.is_between(0, LATEST_MS).all():
        raise Refused("BARS_SCHEMA: ts holds milliseconds since 1970; these are none of any bar", Exit.USAGE)
    if times.is_between(*SECONDS).all() and (times.unique().sort().diff().drop_nulls() % MINUTE_MS != 0).any():
        raise Refused(
            "BARS_SCHEMA: ts holds milliseconds since 1970; these look like seconds: multiply them by 1000", Exit.USAGE
        )


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


def interval_of(bar_ms: int) -> str:
    """Return a bar length as models name it, e.g. ``1h``."""
    for unit, length in UNITS:
        if bar_ms % length == 0:
            return f"{bar_ms // length}{unit}"
    return f"{bar_ms}ms"


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
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
