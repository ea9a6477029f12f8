"""Stress of registered versions: every symbol by every source, and nothing passes on what was left out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.decision_tables import STRESS_TESTS
from assets.feature_table import Series
from assets.promotion import judge
from assets.scoring import ALL
from assets.stress import NothingToStress, shortfall_picture, stress, versions_to_stress
from assets.stress_table import StressOutcome, StressTask, stress_rows, stress_symbol, worst_shortfall
from assets.tables import EVALUATIONS
from governance.promotion import Verdict
from governance.registry import ModelRegistry
from orchestration.environment import load
from orchestration.resources import LocalCompute, SystemClock
from strategies.regime_policy import PolicyOptions
from strategies.regimes.model import RegimeModel
from strategies.stress import BOOTSTRAP, MODEL, StressOptions
from tests.unit.assets.registered import registered
from tests.unit.strategies.regimes.models import draw, gaussian_model
from tests.unit.strategies.test_stress import of_a_market
from warehouse.store import Warehouse

AT = datetime(2026, 3, 1, tzinfo=UTC)
COMMON = {"stressed_at": AT, "run_id": "run"}
OPTIONS = StressOptions(paths=40, bars=100)


def task(symbol: str, *, model: RegimeModel | None = None, recorded: bool = True) -> StressTask:
    used = of_a_market(model or gaussian_model())
    rows, _ = draw(of_a_market(gaussian_model()), 1500, 3)
    series = Series(symbol=symbol, rows=rows, open_ms=pl.int_range(len(rows), eager=True).to_numpy() * 60_000)
    return StressTask(
        version="v",
        symbol=symbol,
        model=used.to_dict(),
        recorded=series if recorded else None,
        policy=PolicyOptions(round_trip_cost_bps=0.1),
        options=OPTIONS,
    )


def rows_of(*tasks: StressTask) -> pl.DataFrame:
    return stress_rows([one for each in tasks for one in stress_symbol(each)], COMMON)


def test_the_worst_symbol_speaks_for_the_version(tmp_path: Path) -> None:
    rows = rows_of(task("A"), task("B", model=gaussian_model(2)))
    assert rows.height == 2 * 2 + 2
    store = Warehouse(tmp_path)
    store.writer(STRESS_TESTS).upsert(rows)
    symbols = rows.filter(pl.col("symbol") != ALL)
    for source in (MODEL, BOOTSTRAP):
        here = symbols.filter(pl.col("source") == source)["shortfall"]
        whole = rows.filter((pl.col("symbol") == ALL) & (pl.col("source") == source)).row(0, named=True)
        assert whole["shortfall"] == max(here.to_list())
    assert worst_shortfall(store, "v") == max(symbols["shortfall"].to_list())
    assert worst_shortfall(store, "other") is None
    assert shortfall_picture(rows, OPTIONS).startswith("![expected shortfall")


def test_a_symbol_without_bars_or_regimes_is_named_and_leaves_the_version_without_a_figure(tmp_path: Path) -> None:
    far = gaussian_model(3, separation=500.0)
    rows = rows_of(task("A"), task("B", model=far), task("C", recorded=False))
    refused = {(row["symbol"], row["source"]): row["refused"].split(":")[0] for row in rows.iter_rows(named=True)}
    assert refused["B", BOOTSTRAP] == "NOT_DRAWN"
    assert refused["C", MODEL] == "NO_FEATURES"
    assert refused["A", MODEL] == ""
    assert refused[ALL, BOOTSTRAP] == "no tail of B, C"
    store = Warehouse(tmp_path)
    store.writer(STRESS_TESTS).upsert(rows)
    assert worst_shortfall(store, "v") is None


def test_the_newest_test_counts(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    store.writer(STRESS_TESTS).upsert(rows_of(task("A"), task("C", recorded=False)))
    assert worst_shortfall(store, "v") is None
    later = stress_rows(stress_symbol(task("A")), {**COMMON, "stressed_at": AT + timedelta(hours=1)})
    store.writer(STRESS_TESTS).upsert(later)
    assert worst_shortfall(store, "v") is not None


def test_a_version_with_one_source_only_has_no_figure(tmp_path: Path) -> None:
    half: list[StressOutcome] = [one for one in stress_symbol(task("A")) if one.source == MODEL]
    store = Warehouse(tmp_path)
    store.writer(STRESS_TESTS).upsert(stress_rows(half, COMMON))
    assert worst_shortfall(store, "v") is None


def test_without_a_version_there_is_nothing_to_stress(tmp_path: Path) -> None:
    with pytest.raises(NothingToStress):
        versions_to_stress(ModelRegistry(tmp_path))


def test_the_page_of_a_registered_version_shows_its_tails(tmp_path: Path) -> None:
    store, registry, version = registered(tmp_path)
    configuration = load({})
    short = configuration.decisions.stress.model_copy(update={"paths": 40, "bars": 60})
    result = dg.materialize(
        [stress],
        resources={
            "settings": configuration.research,
            "decision_settings": replace(configuration.decisions, stress=short),
            "warehouse": store,
            "registry": registry,
            "compute": LocalCompute("serial", 1),
            "clock": SystemClock(),
        },
    )
    assert result.success
    assert worst_shortfall(store, version) is not None
    (materialised,) = result.asset_materializations_for_node("stress")
    assert {"tails", "shortfall", "versions"} <= materialised.metadata.keys()


def test_promotion_waits_for_the_stress_test_that_its_gates_ask_for(tmp_path: Path) -> None:
    store, registry, research = Warehouse(tmp_path / "w"), ModelRegistry(tmp_path / "r"), load({}).research
    figures = dict.fromkeys(("sharpe", "sharpe_se", "total_return", "hold_return", "likelihood_gain"), 1.0)
    shares = dict.fromkeys(("converged_frac", "min_occupancy_frac", "exposure_frac"), 1.0)
    row = {
        "version": "v", "symbol": ALL, "evaluated_at": AT, "symbols": 2, "folds": 5, "bars": 10_000,
        "max_drawdown_frac": 0.1, "turnover_per_day": 1.0, "min_dwell_bars": 50.0, "trades": 40, **figures, **shares,
    }  # fmt: skip
    store.writer(EVALUATIONS).upsert(pl.DataFrame([row], schema=EVALUATIONS.schema))
    strict = replace(research, gates=research.gates.model_copy(update={"max_stress_shortfall_frac": 0.99}))
    assert judge(store, registry, research, approved=False).verdict is Verdict.PROMOTE
    waiting = judge(store, registry, strict, approved=False)
    assert [gate.name for gate in waiting.refusals] == ["stress_shortfall_frac"]
    store.writer(STRESS_TESTS).upsert(rows_of(task("A")))
    assert judge(store, registry, strict, approved=False).verdict is Verdict.PROMOTE
