"""Feature rows of stored bars: warm across midnight, never across a gap, the same however they are built."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from assets.bar_history import BarHistory
from assets.feature_table import build, newest_series
from assets.intervals import day_of, day_span, to_ms
from assets.tables import BARS, FEATURE_ROWS
from orchestration.environment import load
from strategies.features import FEATURES, WARM_UP, FeatureStream, compute
from strategies.regimes.bar_table import PRICES
from tests.unit.assets.bars import DAY, START, STEP, SYMBOL, bars, stored
from warehouse.store import Warehouse

NEXT = day_of(day_span(DAY).end_ms)


class NoSource:
    """A venue that has nothing newer."""

    def bars(self, *_: Any) -> list[Any]:
        """Return no bars."""
        return []


def built(store: Warehouse, *days: str) -> pl.DataFrame:
    rows, _ = build(store, days, market="spot", interval="1m", step_ms=STEP)
    return rows


def test_rows_are_those_of_the_one_definition(tmp_path: Path) -> None:
    made = bars(200)
    rows = built(stored(Warehouse(tmp_path), made), DAY)
    expected = compute(*(made[name].to_numpy() for name in ("open", "high", "low", "close", "volume")))
    complete = np.isfinite(expected).all(axis=1)
    assert rows.height == complete.sum() == 200 - WARM_UP + 1
    np.testing.assert_array_equal(rows.select(FEATURES).to_numpy(), expected[complete])


def test_the_first_bars_of_a_day_are_warmed_by_the_day_before(tmp_path: Path) -> None:
    store = stored(Warehouse(tmp_path), bars(1440 + 60))
    together = built(store, DAY, NEXT)
    apart = pl.concat([built(store, DAY), built(store, NEXT)])
    assert built(store, NEXT).height == 60
    assert together.sort("open_at").equals(apart.sort("open_at"))


def test_no_window_reaches_across_a_missing_bar(tmp_path: Path) -> None:
    store = stored(Warehouse(tmp_path), bars(200, without=frozenset({100})))
    opens = {to_ms(at) for at in built(store, DAY)["open_at"]}
    blind = {START + minute * STEP for minute in range(100, 100 + WARM_UP)}
    assert not opens & blind
    assert len(opens) == (100 - WARM_UP + 1) + (99 - WARM_UP + 1)


def test_no_window_reaches_across_a_split_as_in_the_live_stream(tmp_path: Path) -> None:
    made = bars(200)
    tenth = [
        (pl.when(pl.int_range(pl.len()) >= 100).then(pl.col(name) / 10).otherwise(pl.col(name))) for name in PRICES
    ]
    split = made.with_columns(tenth)
    store = stored(Warehouse(tmp_path), split)
    rows, report = build(store, [DAY], market="spot", interval="1m", step_ms=STEP)
    assert (report.splits, report.gaps) == (1, 0)
    stream = FeatureStream()
    live = {}
    for bar in BarHistory(store, NoSource(), load({}).research).between(SYMBOL, START, START + 199 * STEP):
        if (row := stream.push(bar)) is not None:
            live[bar.open_at_ms] = row
    assert [to_ms(at) for at in rows["open_at"]] == list(live)
    np.testing.assert_array_equal(rows.select(FEATURES).to_numpy(), np.array(list(live.values())))
    assert np.abs(rows["log_return"].to_numpy()).max() < 0.1


def test_a_series_says_what_its_span_lacks(tmp_path: Path) -> None:
    store = stored(Warehouse(tmp_path), bars(200, without=frozenset({100})))
    store.writer(FEATURE_ROWS).upsert(built(store, DAY))
    (found,), _ = newest_series(store, [SYMBOL], market="spot", interval="1m", step_ms=STEP, bars=500)
    assert found.left_out(STEP) == {"gaps": 1, "bars_without_row": WARM_UP}
    whole = replace(found, open_ms=found.open_ms[:50], rows=found.rows[:50])
    assert whole.left_out(STEP) == {}
    assert replace(whole, open_ms=found.open_ms[:0]).left_out(STEP) == {}


def test_a_symbol_with_too_few_bars_has_no_rows_and_spoils_no_other(tmp_path: Path) -> None:
    store = stored(Warehouse(tmp_path), bars(100), bars(10, symbol="NEWUSDT.BINANCE"))
    assert set(built(store, DAY)["symbol"]) == {SYMBOL}


def test_a_quarantined_day_is_not_used(tmp_path: Path) -> None:
    store = stored(Warehouse(tmp_path), bars(100))
    store.writer(BARS).quarantine([DAY], "test")
    assert built(store, DAY).is_empty()


@pytest.fixture
def featured(tmp_path: Path) -> Warehouse:
    store = stored(Warehouse(tmp_path), bars(1440 + 60), bars(300, symbol="ETHUSDT.BINANCE", seed=2))
    store.writer(FEATURE_ROWS).upsert(built(store, DAY, NEXT))
    return store


def newest(store: Warehouse, count: int, until_ms: int | None = None) -> tuple[dict[str, int], str]:
    series, content = newest_series(
        store,
        [SYMBOL, "ETHUSDT.BINANCE"],
        market="spot",
        interval="1m",
        step_ms=STEP,
        bars=count,
        until_ms=until_ms,
    )
    return {one.symbol: len(one.rows) for one in series}, content


def test_the_newest_rows_of_each_symbol_are_taken(featured: Warehouse) -> None:
    counts, _ = newest(featured, 100)
    assert counts == {SYMBOL: 100, "ETHUSDT.BINANCE": 100}


def test_the_same_window_is_found_again_after_more_bars_came(featured: Warehouse) -> None:
    series, content = newest_series(featured, [SYMBOL], market="spot", interval="1m", step_ms=STEP, bars=500)
    until = int(series[0].open_ms[-1])
    stored(featured, bars(120, first=1500))
    featured.writer(FEATURE_ROWS).upsert(built(featured, NEXT))
    again, same = newest_series(
        featured, [SYMBOL], market="spot", interval="1m", step_ms=STEP, bars=500, until_ms=until
    )
    assert same == content
    np.testing.assert_array_equal(again[0].rows, series[0].rows)
    _, newer = newest_series(featured, [SYMBOL], market="spot", interval="1m", step_ms=STEP, bars=500)
    assert newer != content
