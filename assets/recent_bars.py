"""The newest closed bars of many symbols as one array: the stored ones, and the venue's own after the last stored."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from assets.intervals import Span, day_of, utc
from assets.ports import BarSource
from assets.settings import ResearchSettings
from assets.tables import BARS
from warehouse.store import Warehouse

FIGURES = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Panel:
    """Bars on one grid of times: ``bars`` (S, T, 5), NaN where one is missing; ``open_ms`` (T,), UTC ms."""

    symbols: tuple[str, ...]
    open_ms: NDArray[np.int64]
    bars: NDArray[np.float64]
    fetched: int


def recent_panel(
    warehouse: Warehouse,
    source: BarSource | None,
    settings: ResearchSettings,
    symbols: Sequence[str],
    *,
    bars: int,
    now_ms: int,
) -> Panel:
    """Return the newest ``bars`` closed bars of every symbol; a missing one stays missing.

    Args:
        source: asked for what closed after the last stored bar; ``None`` leaves it at what is stored.

    Raises:
        Whatever ``source`` raises where the venue stays away; a venue that asks to wait is waited for.
    """
    step = settings.bar_ms
    end_ms = now_ms // step * step
    span = Span(end_ms - bars * step, end_ms)
    panel = np.full((len(symbols), bars, len(FIGURES)), np.nan)
    _place_stored(panel, warehouse, settings, symbols, span)
    fetched = 0
    if source is not None:
        for at, symbol in enumerate(symbols):
            fetched += _place_newer(panel[at], source, settings, symbol, span)
    return Panel(
        symbols=tuple(symbols),
        open_ms=np.arange(span.start_ms, span.end_ms, step, dtype=np.int64),
        bars=panel,
        fetched=fetched,
    )


def _place_stored(
    panel: NDArray[np.float64], warehouse: Warehouse, settings: ResearchSettings, symbols: Sequence[str], span: Span
) -> None:
    reader = warehouse.reader(BARS)
    days = [day for day in reader.partitions() if day_of(span.start_ms) <= day <= day_of(span.end_ms)]
    where = (
        (pl.col("market") == settings.market)
        & (pl.col("interval") == settings.interval)
        & pl.col("open_at").is_between(utc(span.start_ms), utc(span.end_ms), closed="left")
    )
    names = pl.DataFrame({"symbol": list(symbols), "row": np.arange(len(symbols), dtype=np.int64)})
    # Only what is placed is read, in any order: the grid puts each bar where it belongs.
    rows = (
        reader.scan(days)
        .filter(where)
        .select("symbol", pl.col("open_at").dt.epoch("ms").alias("at"), *FIGURES)
        .join(names.lazy(), on="symbol", how="inner")
        .collect()
    )
    column = (rows.get_column("at").to_numpy() - span.start_ms) // settings.bar_ms
    panel[rows.get_column("row").to_numpy(), column] = rows.select(FIGURES).to_numpy()


def _place_newer(
    bars: NDArray[np.float64], source: BarSource, settings: ResearchSettings, symbol: str, span: Span
) -> int:
    """Fetch what follows the last bar that is there, into (T, 5); return how many bars came."""
    there = np.flatnonzero(np.isfinite(bars[:, 0]))
    first = int(there[-1]) + 1 if len(there) else 0
    if first >= len(bars):
        return 0
    rows = source.bars(symbol, settings.interval, span.start_ms + first * settings.bar_ms, span.end_ms)
    for row in rows:
        bars[(row[0] - span.start_ms) // settings.bar_ms] = row[1:6]
    return len(rows)
