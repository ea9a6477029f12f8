"""From stored bars to stored feature rows. Plain code: the Dagster asset around it is in ``features.py``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from assets.intervals import DAY_MS, day_of
from assets.tables import BARS, FEATURE_ROWS
from strategies.features import FEATURE_SCHEMA, FEATURES, WARM_UP, breaks, compute, stretches
from warehouse.snapshots import frame_hash
from warehouse.store import Warehouse

_PRICES = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureReport:
    """How many bars went in, how many complete rows came out, and how often series broke."""

    bars: int
    rows: int
    gaps: int
    splits: int


def build(
    warehouse: Warehouse, days: Sequence[str], *, market: str, interval: str, step_ms: int
) -> tuple[pl.DataFrame, FeatureReport]:
    """Return the feature rows of the given days, in order.

    Bars before the first day warm the windows up. Windows never reach across a missing bar or a split: after one they
    start anew, so some rows right after it are left out.
    """
    ours = (pl.col("market") == market) & (pl.col("interval") == interval)
    bars = pl.concat([_before(warehouse, days[0], ours), warehouse.reader(BARS).read(days, where=ours)])
    frames: list[pl.DataFrame] = []
    gaps = splits = 0
    for series in bars.partition_by("symbol", maintain_order=True):
        ordered = series.sort("open_at")
        opens = ordered.get_column("open_at").dt.epoch("ms").to_numpy()
        missing, jumped = breaks(opens, _floats(ordered, "open"), _floats(ordered, "close"), step_ms)
        gaps += int(missing.sum())
        splits += int((jumped & ~missing).sum())
        frames += list(_stretch_rows(ordered, stretches(missing | jumped)))
    rows = pl.concat(frames) if frames else FEATURE_ROWS.empty()
    wanted = rows.filter(pl.col("day").is_in(list(days)))
    return wanted, FeatureReport(
        bars=bars.filter(pl.col("day").is_in(list(days))).height, rows=wanted.height, gaps=gaps, splits=splits
    )


def _before(warehouse: Warehouse, day: str, ours: pl.Expr) -> pl.DataFrame:
    """Return each symbol's last bars of the stored day before: enough for every window."""
    earlier = [key for key in warehouse.reader(BARS).partitions() if key < day][-1:]
    bars = warehouse.reader(BARS).read(earlier, where=ours)
    return bars.sort("symbol", "open_at").group_by("symbol", maintain_order=True).tail(WARM_UP).select(bars.columns)


def _stretch_rows(series: pl.DataFrame, parts: Sequence[slice]) -> Iterator[pl.DataFrame]:
    for stretch in parts:
        part = series[stretch]
        if part.height < WARM_UP:
            continue
        values = compute(*(_floats(part, column) for column in _PRICES))
        named = part.select("day", "symbol", "market", "interval", "open_at").with_columns(
            pl.lit(FEATURE_SCHEMA).alias("feature_schema"),
            *(pl.Series(name, values[:, index]) for index, name in enumerate(FEATURES)),
        )
        yield named.filter(pl.all_horizontal(pl.col(name).is_finite() for name in FEATURES))


def _floats(frame: pl.DataFrame, column: str) -> NDArray[np.float64]:
    return frame.get_column(column).to_numpy().astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One symbol's feature rows, shape (T, 7), and the open times of their bars, shape (T,), UTC ms."""

    symbol: str
    rows: NDArray[np.float64]
    open_ms: NDArray[np.int64]

    def left_out(self, step_ms: int) -> dict[str, int]:
        """Return what its span of time lacks: ``gaps`` in the rows, and ``bars_without_row`` within them.

        A bar has no row where it is not stored, where its day is in quarantine, and while windows warm up after either.
        """
        if not len(self.open_ms):
            return {}
        expected = int(self.open_ms[-1] - self.open_ms[0]) // step_ms + 1
        found = {
            "gaps": int((np.diff(self.open_ms) != step_ms).sum()),
            "bars_without_row": expected - len(self.open_ms),
        }
        return {name: count for name, count in found.items() if count}


def newest_series(
    warehouse: Warehouse,
    symbols: Sequence[str],
    *,
    market: str,
    interval: str,
    step_ms: int,
    bars: int,
    until_ms: int | None = None,
) -> tuple[list[Series], str]:
    """Return each symbol's newest rows, at most ``bars`` and none that opened after ``until_ms``.

    The second value is the content hash of the rows, over all symbols.
    """
    reader = warehouse.reader(FEATURE_ROWS)
    days = _days_for(reader.partitions(), bars * step_ms, until_ms)
    where = (
        (pl.col("market") == market)
        & (pl.col("interval") == interval)
        & (pl.col("feature_schema") == FEATURE_SCHEMA)
        & pl.col("symbol").is_in(list(symbols))
    )
    if until_ms is not None:
        where &= pl.col("open_at").dt.epoch("ms") <= until_ms
    found = reader.read(days, where=where)
    kept = found.sort("symbol", "open_at").group_by("symbol", maintain_order=True).tail(bars)
    kept = kept.select(found.columns)
    series = [
        Series(
            symbol=str(symbol),
            rows=part.select(FEATURES).to_numpy(),
            open_ms=part.get_column("open_at").dt.epoch("ms").to_numpy(),
        )
        for (symbol,), part in kept.partition_by("symbol", as_dict=True, maintain_order=True).items()
    ]
    return series, frame_hash(kept, FEATURE_ROWS.keys)


def _days_for(stored: Sequence[str], span_ms: int, until_ms: int | None) -> list[str]:
    """Return the stored days that can hold the newest rows: the span in days and two for its edges."""
    usable = [day for day in stored if until_ms is None or day <= day_of(until_ms)]
    return usable[-(span_ms // DAY_MS + 2) :]
