"""From the universe to a reconciled fill through Dagster's own jobs, on one stack; each test stands alone."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from assets.tables import (
    ALLOCATIONS,
    BARS,
    BREAKS,
    COVERAGE,
    FEATURE_ROWS,
    FILLS,
    LEAGUE,
    PARITY,
    PARITY_DAYS,
    PROMOTIONS,
    RECONCILIATIONS,
)
from strategies.regimes.hierarchy import AnyModel
from strategies.research.lookahead_proof import Pipeline, pipeline_of
from tests.integration.research.conftest import Stack
from tests.integration.simulated_exchange import wait_for
from warehouse.reader import count_rows

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
]

RESEARCH = {"universe", "bars", "features", "training", "evaluation", "promotion"}
EVERY_ASSET_TELLS = {"dagster/row_count", "seconds"}


def materialised(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, object]]:
    return {
        event.asset_key.to_user_string(): {key: value.value for key, value in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    }


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {evaluation.check_name: evaluation.passed for evaluation in result.get_asset_check_evaluations()}


def test_one_run_goes_from_the_universe_to_a_model_that_the_engine_trades(stack: Stack) -> None:
    result = stack.first
    assert result is not None
    assert result.success
    told = materialised(result)
    assert set(told) == RESEARCH
    assert all(set(facts) >= EVERY_ASSET_TELLS for facts in told.values())
    assert checks(result) == {"bars_are_sound": True, "features_are_sound": True, "no_lookahead": True}
    version = told["training"]["model_version"]
    assert told["promotion"]["verdict"] == "PROMOTE"
    assert stack.registry.champion() == version
    assert stack.engine.get_strategy("hmm_regime")["model_version"] == version
    assert told["evaluation"]["same_data_as_trained"] is True
    assert told["evaluation"]["symbols without a plot"] == "none"


def test_the_card_leads_back_to_data_code_and_run(stack: Stack) -> None:
    champion = stack.registry.champion()
    assert champion is not None
    card = stack.registry.card(champion)
    assert card.interval == "1s"
    assert set(card.symbols) == {"BTCUSDT.BINANCE", "ETHUSDT.BINANCE"}
    assert card.training_from_ms < card.training_to_ms
    assert len(card.data_hash) == 64
    assert stack.instance.get_run_by_id(card.run_id) is not None
    assert stack.warehouse.reader(PROMOTIONS).read(where=pl.col("candidate") == champion)["passed"].all()


def test_the_evaluation_page_has_its_plots(stack: Stack) -> None:
    event = stack.instance.get_latest_materialization_event(dg.AssetKey("evaluation"))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    card = stack.registry.newest()
    assert card is not None
    pictures = [f"{kind} of {symbol}" for symbol in card.symbols for kind in ("regimes", "equity")]
    assert len(pictures) == 4
    for name in (*pictures, "equity of all symbols"):
        picture = metadata[name]
        assert isinstance(picture, dg.MarkdownMetadataValue)
        assert "data:image/png;base64," in str(picture.value)
        assert len(str(picture.value)) < 100_000
    kinds = metadata["kinds of model, on the same unseen bars"]
    assert isinstance(kinds, dg.TableMetadataValue)
    rows = {(row.data["symbol"], row.data["strategy"]) for row in kinds.records}
    assert {(symbol, kind) for symbol in card.symbols for kind in ("gaussian_hmm", "jump", "buy_and_hold")} <= rows


def test_a_model_whose_values_change_with_the_future_is_neither_evaluated_nor_promoted(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hindsight(model: AnyModel) -> Pipeline:
        # The classic mistake: the mean of the whole series, its future included.
        return replace(pipeline_of(model), scale=lambda rows: rows - np.nan_to_num(rows).mean(axis=0))

    monkeypatch.setattr("assets.lookahead.pipeline_of", hindsight)
    champion = stack.registry.champion()
    result = stack.run("training_job")
    assert not result.success
    assert "evaluation" not in materialised(result)
    assert checks(result) == {"no_lookahead": False}
    (found,) = result.get_asset_check_evaluations()
    leaks = found.metadata["leaks"]
    assert isinstance(leaks, dg.TableMetadataValue)
    assert all(str(row.data["column"]).startswith("scaled:") for row in leaks.records)
    assert {"symbol", "at", "difference"} < set(leaks.records[0].data)
    assert stack.registry.champion() == champion


def test_a_second_backfill_asks_for_the_new_bars_alone(stack: Stack) -> None:
    before = stack.warehouse.reader(BARS).read()
    result = stack.run("backfill_job")
    assert result.success
    facts = materialised(result)["bars"]
    after = stack.warehouse.reader(BARS).read()
    assert facts["fetched"] == after.height - before.height
    assert after.join(before, on=list(BARS.keys), how="semi").equals(before), "no stored bar changed"
    assert facts["gaps"] == 2, "one stretch per symbol: the history before the venue's first bar is known"


def test_stored_bars_have_no_gap_and_are_the_venues_own(stack: Stack) -> None:
    rows = stack.warehouse.reader(BARS).read(where=pl.col("symbol") == "BTCUSDT.BINANCE")
    opens = rows["open_at"].dt.epoch("ms")
    assert set(opens.diff().drop_nulls()) == {1000}
    tenth = rows.row(10, named=True)
    (venue,) = stack.exchange.public(
        "/api/v3/klines", symbol="BTCUSDT", interval="1s", limit=1, startTime=int(opens[10])
    )
    assert [float(venue[index]) for index in range(1, 6)] == [
        tenth[name] for name in ("open", "high", "low", "close", "volume")
    ]


def test_a_lost_stretch_is_repaired_to_the_same_content(stack: Stack) -> None:
    day = stack.warehouse.reader(BARS).partitions()[-1]
    whole = stack.warehouse.reader(BARS).read()
    lost = whole.filter(pl.col("symbol") == "ETHUSDT.BINANCE")[200:500]
    stack.warehouse.writer(BARS).replace(whole.join(lost, on=list(BARS.keys), how="anti"))
    assert stack.run("backfill_job").success
    again = stack.warehouse.reader(BARS).read().join(whole, on=list(BARS.keys), how="semi")
    assert again.equals(whole)
    states = stack.warehouse.reader(COVERAGE).read([day])
    assert states.filter(pl.col("state") == "PRESENT").height == 2


def test_spoilt_bars_stop_everything_after_them_and_are_fetched_anew(stack: Stack) -> None:
    day = stack.warehouse.reader(BARS).partitions()[-1]
    spoilt = stack.warehouse.reader(BARS).read([day]).head(5).with_columns(high=pl.lit(1.0))
    stack.warehouse.writer(BARS).upsert(spoilt)
    features_before = stack.warehouse.snapshot(FEATURE_ROWS)
    result = stack.run("backfill_job")
    assert not result.success
    assert "features" not in materialised(result)
    assert checks(result) == {"bars_are_sound": False}
    assert day not in stack.warehouse.reader(BARS).partitions()
    assert stack.warehouse.snapshot(FEATURE_ROWS) == features_before

    mended = stack.run("backfill_job")
    assert mended.success
    assert checks(mended)["bars_are_sound"]
    assert day in stack.warehouse.reader(BARS).partitions()


def trade(stack: Stack) -> list[dict[str, Any]]:
    """Buy a little and sell half of it; return the orders."""
    wanted = (("BUY", Decimal("0.002")), ("SELL", Decimal("0.001")))
    return [stack.engine.place_market_order("BTCUSDT.BINANCE", side, quantity=size)["order"] for side, size in wanted]


def test_fills_are_stored_exactly_and_nothing_differs(stack: Stack) -> None:
    orders = trade(stack)
    result = stack.run("reconcile_job")
    assert result.success
    assert checks(result) == {"fills_are_sound": True, "no_breaks": True}
    stored = stack.warehouse.reader(FILLS).read()
    for order in orders:
        own = stored.filter(pl.col("client_order_id") == order["client_order_id"])
        assert sorted(own["quantity"]) == sorted(Decimal(fill["quantity"]) for fill in order["fills"])
        assert sum(own["fee"]) == sum(Decimal(fill["fee"]) for fill in order["fills"])
    summary = stack.warehouse.reader(RECONCILIATIONS).read().row(-1, named=True)
    assert summary["engine_fills"] == summary["warehouse_fills"] == stored.height
    assert count_rows(stack.home / "warehouse", "breaks") == 0


def test_a_changed_fill_is_a_break_that_fails_the_check_and_not_the_run(stack: Stack) -> None:
    trade(stack)
    assert stack.run("reconcile_job").success
    honest = stack.warehouse.reader(FILLS).read()
    changed = honest.head(1).with_columns(fee=(pl.col("fee") + 1).cast(honest["fee"].dtype))
    stack.warehouse.writer(FILLS).upsert(changed)
    result = stack.run("reconcile_job")
    assert result.success
    assert checks(result)["no_breaks"] is False
    found = stack.warehouse.reader(BREAKS).read().row(0, named=True)
    assert (found["parties"], found["kind"]) == ("engine-warehouse", "FILL_DIFFERS")

    stack.warehouse.writer(FILLS).upsert(honest)
    assert checks(stack.run("reconcile_job"))["no_breaks"] is True
    assert count_rows(stack.home / "warehouse", "breaks") == 0


def test_allocation_gives_the_engine_its_budgets_and_then_pauses(stack: Stack) -> None:
    before = {entry["strategy"]: Decimal(entry["budget"]) for entry in stack.engine.get_strategies()}
    assert stack.run("allocation_job").success
    rows = {row["strategy"]: row for row in stack.warehouse.reader(ALLOCATIONS).read().iter_rows(named=True)}
    assert set(rows) == set(before)
    after = {entry["strategy"]: Decimal(entry["budget"]) for entry in stack.engine.get_strategies()}
    assert after == {name: row["budget_after"] for name, row in rows.items()}
    assert rows["hmm_regime"]["sharpe_source"] == "evaluation"
    assert rows["ma_cross"]["step"] == "SHARPE_UNKNOWN"

    assert stack.run("allocation_job").success
    again = {entry["strategy"]: Decimal(entry["budget"]) for entry in stack.engine.get_strategies()}
    assert again == after, "no second step within the pause"


def test_roll_back_is_one_job_and_the_engine_follows(stack: Stack) -> None:
    first = stack.registry.champion()
    result = stack.run("research_job")
    assert result.success
    second = stack.registry.champion()
    assert second != first, "new bars, new version"
    assert stack.run(
        "rollback_job", config={"ops": {"roll_back": {"config": {"by": "a person", "reason": "test"}}}}
    ).success
    assert stack.registry.champion() == first
    assert stack.engine.get_strategy("hmm_regime")["model_version"] == first
    assert stack.registry.history()[-1].by == "a person"


def test_features_stay_in_their_day_and_are_complete(stack: Stack) -> None:
    day = stack.warehouse.reader(FEATURE_ROWS).partitions()[-1]
    rows = stack.warehouse.reader(FEATURE_ROWS).read([day])
    assert set(rows["open_at"].dt.strftime("%Y-%m-%d")) == {day}
    assert rows.null_count().sum_horizontal().item() == 0


def test_the_shadow_league_is_recomputed_from_the_same_bars(stack: Stack) -> None:
    version = stack.registry.champion()
    wait_for(lambda: all(row["bars"] >= 5 for row in stack.engine.get_league()["standings"]), timeout_s=30)
    result = stack.run("league_job")
    assert result.success
    assert checks(result) == {"league_is_reproducible": True}
    rows = stack.warehouse.reader(LEAGUE).read()
    assert set(rows["version"]) == {version}
    assert set(rows["recomputed"]) == {"equal"}, "the standings, and the rank that they give"
    assert rows.filter(pl.col("symbol") == "ALL")["place"].to_list() == [1]
    assert "data:image/png;base64," in str(materialised(result)["league"]["sharpe per bar"])


def test_what_a_live_day_missed_is_told_and_adds_up(stack: Stack) -> None:
    """Its strategies are switched off, so everything the backtest would have done is missed."""
    began_ms = stack.engine.events(limit=1)[0]["at_ms"]
    settled_s = stack.configuration.decisions.parity.settle_s + 10
    wait_for(lambda: time.time() * 1000 > began_ms + settled_s * 1000)
    result = stack.run("parity_job")
    assert result.success
    assert checks(result) == {"parity_adds_up": True}
    told = materialised(result)["parity"]
    assert "data:image/png;base64," in str(told["causes"])
    days = stack.warehouse.reader(PARITY_DAYS).read()
    assert set(days["strategy"]) == {"ma_cross", "hmm_regime", "ensemble"}
    assert days["live_orders"].sum() == days["matched"].sum() == 0
    assert set(stack.warehouse.reader(PARITY).read()["cause"]) <= {"fee", "missed", "data"}


def test_advice_is_computed_and_the_engine_hears_of_none_that_is_not_switched_on(stack: Stack) -> None:
    result = stack.run("advice_job")
    assert result.success
    assert materialised(result)["advice"]["given"] == "nothing"
    assert stack.engine.get_advice()["tactics"] == []
    told = stack.engine.put_advice(
        valid_s=60, tactics=[{"symbol": "BTCUSDT.BINANCE", "side": "BUY", "tactic": "SKIP"}], reason="a test"
    )
    assert told["tactics"][0]["tactic"] == "SKIP"


def test_a_version_learns_on_as_a_new_candidate_beside_it(stack: Stack) -> None:
    champion = stack.registry.champion()
    assert champion is not None
    assert stack.run("backfill_job").success
    result = stack.run("partial_fit_job")
    assert result.success
    told = materialised(result)["learning"]
    assert told["parent"] == champion
    version = str(told["model_version"])
    assert version != champion
    card = stack.registry.card(version)
    assert card.parent == champion
    assert card.bars > stack.registry.card(champion).bars
    assert stack.registry.champion() == champion
    assert stack.engine.get_strategy("hmm_regime")["model_version"] == champion
