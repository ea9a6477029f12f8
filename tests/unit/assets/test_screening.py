"""The screening's page: bars from the warehouse and after it, rows with reasons and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from assets.decision_tables import SCREENINGS
from assets.ports import BarRow
from assets.recent_bars import FIGURES, recent_panel
from assets.screening import alpha_picture, screening_rows
from assets.settings import ResearchSettings
from orchestration.environment import load
from strategies.screening import ScreeningOptions, screen
from tests.unit.assets.bars import START, STEP, SYMBOL, bars, stored
from warehouse.store import Warehouse

OTHER = "ETHUSDT.BINANCE"
OPTIONS = ScreeningOptions(cost_bps=0.0)


class Venue:
    """A venue that has what it is given and remembers what it was asked."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame
        self.asked: list[tuple[str, int, int]] = []

    def bars(self, symbol: str, interval: str, start_ms: int, end_ms: int) -> list[BarRow]:
        """Return the bars of the span."""
        self.asked.append((symbol, start_ms, end_ms))
        at = pl.col("open_at").dt.epoch("ms")
        found = self._frame.filter((pl.col("symbol") == symbol) & at.is_between(start_ms, end_ms, closed="left"))
        rows: list[Any] = found.select(at.alias("at"), *FIGURES, "quote_volume", "trades").rows()
        return rows


def settings() -> ResearchSettings:
    return load({}).research


def panel_of(store: Warehouse, venue: Venue | None, symbols: Sequence[str], count: int, minute: int) -> Any:
    return recent_panel(store, venue, settings(), symbols, bars=count, now_ms=START + minute * STEP + 5)


def test_the_newest_closed_bars_come_from_the_warehouse_and_what_is_newer_from_the_venue(tmp_path: Path) -> None:
    whole = pl.concat([bars(1500), bars(1500, symbol=OTHER, seed=2)])
    venue = Venue(whole)
    store = stored(Warehouse(tmp_path), bars(1490), bars(1500, symbol=OTHER, seed=2))
    panel = panel_of(store, venue, [OTHER, SYMBOL], 100, 1500)
    expected = [
        whole.filter(pl.col("symbol") == symbol).sort("open_at")[1400:1500].select(FIGURES).to_numpy()
        for symbol in (OTHER, SYMBOL)
    ]
    np.testing.assert_array_equal(panel.bars, np.stack(expected))
    assert venue.asked == [(SYMBOL, START + 1490 * STEP, START + 1500 * STEP)]
    assert panel.fetched == 10
    assert panel.open_ms[-1] == START + 1499 * STEP


def test_a_missing_bar_stays_missing_and_another_markets_or_intervals_bars_are_not_used(tmp_path: Path) -> None:
    made = bars(200, without=frozenset({150}))
    other = made.with_columns(pl.lit("futures").alias("market"))
    panel = panel_of(stored(Warehouse(tmp_path), made, other), None, [SYMBOL, "NEWUSDT.BINANCE"], 100, 200)
    assert np.flatnonzero(np.isnan(panel.bars[0, :, 0])).tolist() == [50]
    assert np.isnan(panel.bars[1]).all()


def test_every_symbol_has_a_row_with_its_reason_and_the_table_takes_it(tmp_path: Path) -> None:
    store = stored(Warehouse(tmp_path), bars(400), bars(400, symbol=OTHER, seed=2))
    panel = panel_of(store, None, [SYMBOL, OTHER, "NEWUSDT.BINANCE"], OPTIONS.bars, 400)
    found = screen(panel.symbols, panel.bars, OPTIONS)
    rows = screening_rows(found, datetime(2026, 3, 1, 7, tzinfo=UTC), market="spot", run_id="run")
    Warehouse(tmp_path / "out").writer(SCREENINGS).upsert(rows)
    stored_rows = Warehouse(tmp_path / "out").reader(SCREENINGS).read()
    assert stored_rows.height == 3
    new = stored_rows.filter(pl.col("symbol") == "NEWUSDT.BINANCE").row(0, named=True)
    assert new["reason"].startswith("BARS_MISSING")
    assert new["alpha_long_bps"] is None
    assert stored_rows.filter(pl.col("side") != "").height == len(found.picks) == 2
    assert alpha_picture(found).startswith("![alpha of the better side")
