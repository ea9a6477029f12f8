"""The bars of a span as strategies see them: the stored ones, and the venue's own after the last stored."""

from collections.abc import Iterator

import polars as pl

from assets.intervals import day_of, to_ms, utc
from assets.ports import BarSource
from assets.settings import ResearchSettings
from assets.tables import BARS
from strategies.contracts import Bar
from warehouse.store import Warehouse


class BarHistory:
    """Bars of a span: the stored ones, and the venue's own after the last stored."""

    def __init__(self, warehouse: Warehouse, source: BarSource, settings: ResearchSettings) -> None:
        self._reader = warehouse.reader(BARS)
        self._source = source
        self._settings = settings

    def between(self, symbol: str, first_ms: int, last_ms: int) -> list[Bar]:
        """Return the bars that open in [``first_ms``, ``last_ms``], in time order."""
        bars = list(self._stored(symbol, first_ms, last_ms))
        step = self._settings.bar_ms
        missing_from = bars[-1].open_at_ms + step if bars else first_ms
        if missing_from <= last_ms:
            tail = self._source.bars(symbol, self._settings.interval, missing_from, last_ms + step)
            bars += [_bar(symbol, row[0], row[1:6], step) for row in tail]
        return bars

    def _stored(self, symbol: str, first_ms: int, last_ms: int) -> Iterator[Bar]:
        settings = self._settings
        ours = (
            (pl.col("symbol") == symbol)
            & (pl.col("market") == settings.market)
            & (pl.col("interval") == settings.interval)
            & pl.col("open_at").is_between(utc(first_ms), utc(last_ms))
        )
        days = [day for day in self._reader.partitions() if day_of(first_ms) <= day <= day_of(last_ms)]
        for row in self._reader.read(days, where=ours).sort("open_at").iter_rows(named=True):
            figures = tuple(row[name] for name in ("open", "high", "low", "close", "volume"))
            yield _bar(symbol, to_ms(row["open_at"]), figures, settings.bar_ms)


def _bar(symbol: str, open_ms: int, figures: tuple[float, float, float, float, float], step_ms: int) -> Bar:
    open_, high, low, close, volume = figures
    return Bar(
        symbol=symbol,
        open_at_ms=open_ms,
        close_at_ms=open_ms + step_ms,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
    )
