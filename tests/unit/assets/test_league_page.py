"""The league's page: versions ranked on their common bars, and the rank played again from what the table says."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.bar_history import BarHistory
from assets.league import DIFFERENT, EQUAL, league, league_is_reproducible, recompute, standing_of
from assets.tables import BARS, LEAGUE
from governance.model_card import content_version
from governance.registry import ModelRegistry
from orchestration.environment import load
from orchestration.resources import SystemClock
from strategies.league import Challenger, begin_together, common, rank
from strategies.regime_policy import PolicyOptions
from strategies.regimes.model import RegimeModel
from tests.unit.assets.bars import SYMBOL
from tests.unit.assets.pages import page_of, picture, rows
from tests.unit.assets.registered import registered
from tests.unit.assets.test_pages import Venue
from warehouse.store import Warehouse

OPTIONS, COST_BPS = PolicyOptions(round_trip_cost_bps=1.0, min_t_statistic=0.0), 1.0
SETTINGS = load({}).research


@dataclass(frozen=True)
class Engine:
    """An engine whose league stands still."""

    told: dict[str, Any]

    def get_league(self) -> dict[str, Any]:
        """Return it as the API would."""
        return dict(json.loads(json.dumps(self.told)))


@pytest.fixture
def market(tmp_path: Path) -> tuple[Warehouse, ModelRegistry, Engine]:
    """Two versions of one model, the second let in 300 bars after the first."""
    store, registry, version = registered(tmp_path)
    bundle, card = registry.bundle(version), registry.card(version)
    model = RegimeModel.from_dict(bundle["symbols"][SYMBOL])
    symbols = {SYMBOL: replace(model, seed=8).to_dict()}
    second = content_version(symbols)
    registry.register({**bundle, "version": second, "symbols": symbols}, replace(card, version=second))
    first_ms = store.reader(BARS).read().get_column("open_at").dt.epoch("ms").min()
    assert isinstance(first_ms, int)
    bars = BarHistory(store, Venue(), SETTINGS).between(SYMBOL, first_ms, first_ms + 1439 * 60_000)
    present: list[Challenger] = []
    for at, bar in enumerate(bars):
        if at in (200, 500):
            present.append(Challenger(SYMBOL, model, version if at == 200 else second, OPTIONS, COST_BPS))
            present[-1].warm(bars[:at])
        begin_together(present, bar)
        for challenger in present:
            challenger.on_bar(bar)
    found = common(present)
    told = {
        "champion": version,
        "cost_bps": COST_BPS,
        "policy": asdict(OPTIONS),
        "rank": [asdict(row) for row in rank(found)],
        "common": [asdict(row) for row in found],
        "standings": [asdict(one.standing) for one in present],
    }
    return store, registry, Engine(told)


def materialised(store: Warehouse, registry: ModelRegistry, engine: Engine) -> dg.ExecuteInProcessResult:
    resources = {
        "settings": SETTINGS,
        "warehouse": store,
        "registry": registry,
        "market_data": Venue(),
        "engine": engine,
        "clock": SystemClock(),
    }
    return dg.materialize([league, league_is_reproducible], resources=resources)


def test_versions_are_compared_on_the_same_bars_and_the_table_alone_gives_the_rank_again(
    market: tuple[Warehouse, ModelRegistry, Engine],
) -> None:
    store, registry, engine = market
    result = materialised(store, registry, engine)
    (check,) = result.get_asset_check_evaluations()
    assert result.success and check.passed
    page = page_of(result, "league")
    assert picture(page, "sharpe per bar")
    assert {row["bars"] for row in rows(page, "standings")} == {1440 - 500}
    assert sorted(row["bars"] for row in rows(page, "over all of their own bars")) == [1440 - 500, 1440 - 200]
    stored = store.reader(LEAGUE).read()
    assert set(stored["recomputed"]) == {EQUAL}
    assert sorted(stored.filter(pl.col("symbol") == "ALL")["place"]) == [1, 2]
    history = BarHistory(store, Venue(), SETTINGS)
    played = [recompute(row, registry, history) for row in stored.iter_rows(named=True) if row["symbol"] != "ALL"]
    again = rank(standing for _, standing in played if standing is not None)
    best_first = stored.filter(pl.col("symbol") == "ALL").sort("place").iter_rows(named=True)
    assert again == [standing_of(row) for row in best_first]


def test_a_bar_that_is_stored_otherwise_is_seen_in_standings_and_rank(
    market: tuple[Warehouse, ModelRegistry, Engine],
) -> None:
    store, registry, engine = market
    (bar,) = store.reader(BARS).read().sort("open_at").slice(900, 1).iter_rows(named=True)
    other = pl.DataFrame([bar | {"close": bar["close"] * 1.01, "high": bar["high"] * 1.01}], schema=BARS.schema)
    store.writer(BARS).upsert(other)
    result = materialised(store, registry, engine)
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert set(store.reader(LEAGUE).read()["recomputed"]) == {DIFFERENT}
