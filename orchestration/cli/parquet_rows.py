"""Rows by symbol and time from a Parquet file that somebody else wrote: what cannot be meant is refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from orchestration.cli.layout import Exit, Refused

#: The year 3000: milliseconds beyond it are microseconds.
LATEST_MS = 32_503_680_000_000
#: The years 2001 to 2103 in seconds; as milliseconds they all are of early 1970.
SECONDS = (1_000_000_000, 4_200_000_000)
MINUTE_MS = 60_000


def read_rows(path: Path, kind: str, numbers: Sequence[str]) -> pl.DataFrame:
    """Return symbol (text), ts (64-bit milliseconds) and columns of numbers; ``kind`` begins the name of a refusal.

    Raises:
        Refused: ``<kind>_UNREADABLE`` or ``<kind>_SCHEMA``.
    """
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).partition("\n")[0]
        raise Refused(f"{kind}_UNREADABLE: {path} is no Parquet file that can be read: {reason}", Exit.USAGE) from error
    columns = ("symbol", "ts", *numbers)
    if missing := sorted(set(columns) - set(frame.columns)):
        raise Refused(f"{kind}_SCHEMA: {path} lacks the columns {', '.join(missing)}", Exit.USAGE)
    types = {name: frame.schema[name] for name in columns}
    wrong = [name for name in numbers if not types[name].is_numeric()]
    wrong += [] if types["ts"].is_integer() else ["ts"]
    wrong += [] if isinstance(types["symbol"], pl.String | pl.Categorical | pl.Enum) else ["symbol"]
    if wrong:
        found = ", ".join(f"{name} is {types[name]}" for name in wrong)
        raise Refused(
            f"{kind}_SCHEMA: {found}; ts holds whole milliseconds since 1970 (UTC, 64-bit integers), symbol text, "
            f"the others numbers{_cast(types['ts'])}",
            Exit.USAGE,
        )
    frame = frame.select(columns)
    if frame.null_count().select("symbol", "ts").row(0) != (0, 0):
        raise Refused(f"{kind}_SCHEMA: symbol and ts may not be empty", Exit.USAGE)
    # What no signed 64 bits hold is no time either, and is refused as one.
    whole = frame.get_column("ts").cast(pl.Int64, strict=False).fill_null(-1)
    return frame.with_columns(whole, pl.col("symbol").cast(pl.String))


def _cast(ts: pl.DataType) -> str:
    """Return how a column of dates and times becomes milliseconds; nothing for other types."""
    if not ts.is_temporal():
        return ""
    return '; cast it: Polars pl.col("ts").dt.epoch("ms"), pandas frame["ts"].dt.as_unit("ms").astype("int64")'


def check_times(times: pl.Series, kind: str) -> None:
    """Check that times are milliseconds.

    Raises:
        Refused: ``<kind>_SCHEMA``.
    """
    if not times.is_between(0, LATEST_MS).all():
        raise Refused(f"{kind}_SCHEMA: ts holds milliseconds since 1970; these are none", Exit.USAGE)
    if times.is_between(*SECONDS).all() and (times.unique().sort().diff().drop_nulls() % MINUTE_MS != 0).any():
        raise Refused(
            f"{kind}_SCHEMA: ts holds milliseconds since 1970; these look like seconds: multiply them by 1000",
            Exit.USAGE,
        )
