"""Every decision rule's page has a plot and a table, from the first look on, also while there is little to learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.bandit import bandit, policy_improvement
from assets.decision_tables import SITUATION_HITS
from assets.drift import drift
from assets.evaluation import evaluation
from assets.feature_table import build
from assets.learning import learning
from assets.plots import calibration_picture
from assets.pooling import build_pooling
from assets.screening import screening
from assets.situation_table import Advice
from assets.situations import situations
from assets.slippage_model import slippage_model
from assets.stress import stress
from assets.tables import FEATURE_ROWS, UNIVERSE
from assets.training import training
from governance.model_card import content_version
from governance.registry import ModelRegistry
from orchestration.environment import load
from orchestration.resources import LocalCompute, SystemClock
from strategies.features import WARM_UP
from tests.unit.assets.bars import DAY, START, STEP, SYMBOL, bars, stored
from tests.unit.assets.pages import page_of, picture, rows
from tests.unit.assets.registered import registered
from tests.unit.assets.test_bandit import hits, settled
from tests.unit.assets.test_slippage_model import fill, filled, many
from warehouse.store import Warehouse

CONFIGURATION = load({})
_RULES = tuple(rule.model_copy(update={"min_turnover": 0.0}) for rule in CONFIGURATION.decisions.situations.rules)
#: The same rules for a market as thin as a made-up one.
THIN = replace(
    CONFIGURATION.decisions,
    situations=CONFIGURATION.decisions.situations.model_copy(update={"rules": _RULES}),
)
OTHER = "ETHUSDT.BINANCE"


@dataclass(frozen=True)
class At:
    """A clock that stands."""

    minute: int

    def now_ms(self) -> int:
        """Return its one time."""
        return START + self.minute * STEP + 5


@dataclass(frozen=True)
class Top:
    """A book's best prices."""

    symbol: str
    bid: Decimal = Decimal("99.99")
    bid_quantity: Decimal = Decimal(10)
    ask: Decimal = Decimal("100.01")
    ask_quantity: Decimal = Decimal(10)


class Venue:
    """Public data of a venue that has no newer bars."""

    def bars(self, *_: Any) -> list[Any]:
        """Return no bars."""
        return []

    def books(self) -> list[Top]:
        """Return a book of each symbol."""
        return [Top(SYMBOL), Top(OTHER)]


def active(store: Warehouse, *symbols: str, bucket: str = "ACTIVE", reason: str = "") -> Warehouse:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    place = {
        "market": "spot", "bucket": bucket, "reason": reason, "clean_scans": 1, "since_at": at, "first_seen_at": at,
        "scanned_at": at, "turnover_24h": 1e9, "last_price": 1.0,
    }  # fmt: skip
    store.writer(UNIVERSE).upsert(pl.DataFrame([{"symbol": one, **place} for one in symbols], schema=UNIVERSE.schema))
    return store


def shown(asset: dg.AssetsDefinition, store: Warehouse, **changes: Any) -> Mapping[str, dg.MetadataValue[Any]]:
    """Materialise one asset and return its page."""
    resources: dict[str, Any] = {
        "settings": CONFIGURATION.research,
        "decision_settings": THIN,
        "warehouse": store,
        "market_data": Venue(),
        "compute": LocalCompute("serial", 1),
        "clock": SystemClock(),
        **changes,
    }
    wanted = {name: resources[name] for name in asset.required_resource_keys if name in resources}
    return shown_and_checked(asset, wanted)[0]


def shown_and_checked(
    asset: dg.AssetsDefinition, resources: dict[str, Any]
) -> tuple[Mapping[str, dg.MetadataValue[Any]], list[dg.AssetCheckEvaluation]]:
    """Materialise one asset and return its page and what its own checks say."""
    result = dg.materialize([asset], resources=resources)
    assert result.success
    return page_of(result, asset.key.to_user_string()), list(result.get_asset_check_evaluations())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Warehouse, Any, str]:
    return registered(tmp_path_factory.mktemp("model"))


@pytest.fixture
def market(tmp_path: Path) -> Warehouse:
    store = stored(Warehouse(tmp_path), bars(800), bars(800, symbol=OTHER, seed=2))
    return active(store, SYMBOL, OTHER)


def test_screening_shows_alpha_and_the_volatility_rank_of_every_symbol(market: Warehouse) -> None:
    page = shown(screening, market, clock=At(800))
    assert picture(page, "alpha") and picture(page, "volatility rank")
    table = {row["symbol"]: row for row in rows(page, "screening")}
    assert set(table) == {SYMBOL, OTHER}
    assert sorted(row["volatility_rank"] for row in table.values()) == [0.25, 0.75]


def test_situations_show_every_rule_before_the_first_outcome(tmp_path: Path, market: Warehouse) -> None:
    young = stored(active(Warehouse(tmp_path / "young"), SYMBOL), bars(35))
    first = shown(situations, young, clock=At(35))
    assert picture(first, "hits")
    assert "outcomes" not in first
    names = {rule.name for rule in CONFIGURATION.decisions.situations.rules}
    assert {row["rule"] for row in rows(first, "records")} == names
    later = shown(situations, market, clock=At(800))
    assert picture(later, "hits") and picture(later, "outcomes")
    assert len(rows(later, "newest_hits")) > 0


def test_the_bandit_and_the_policy_show_what_was_earned_also_where_nothing_can_be_learned(tmp_path: Path) -> None:
    rule = CONFIGURATION.decisions.situations.rules[0].name
    few = Warehouse(tmp_path / "few")
    few.writer(SITUATION_HITS).upsert(settled(hits(30, rule, "calm"), {}, 5.0, 1))
    page = shown(bandit, few)
    assert picture(page, "means")
    assert any(row["arm"] == f"situation:{rule}" and row["count"] == 30 for row in rows(page, "priorities"))
    refused = shown(policy_improvement, few)
    assert refused["verdict"].value == "REFUSED"
    assert picture(refused, "logged")
    assert len(rows(refused, "policy")) == 1

    store = Warehouse(tmp_path / "many")
    advice = {("calm", rule): Advice(weight=1.0, take=0.5)}
    store.writer(SITUATION_HITS).upsert(settled(hits(1200, rule, "calm"), advice, 6.0, 2))
    learned = shown(policy_improvement, store)
    assert learned["verdict"].value in {"CANDIDATE", "KEEP"}
    assert picture(learned, "logged") and picture(learned, "change")
    assert [row["context"] for row in rows(learned, "policy")] == [f"{rule} when calm"]
    assert len(rows(learned, "values")) == 4


def test_slippage_shows_its_orders_before_there_are_enough_and_what_was_learned_after(tmp_path: Path) -> None:
    few = filled(stored(Warehouse(tmp_path / "few"), bars(200)), fill(1, 100.5, 101.0), fill(2, 120.5, 99.0))
    page = shown(slippage_model, few)
    assert picture(page, "paid")
    assert rows(page, "fit")[0]["verdict"] == "REFUSED"
    assert "expected_and_paid" not in page
    store = active(many(Warehouse(tmp_path / "many"), 400), SYMBOL)
    learned = shown(slippage_model, store, clock=At(450))
    assert picture(learned, "paid") and picture(learned, "expected_and_paid")
    assert rows(learned, "fit")[0]["verdict"] == "FITTED"
    assert len(rows(learned, "coefficients")) == 7


def test_stress_and_pooling_show_a_picture_and_a_row_per_symbol(
    model: tuple[Warehouse, Any, str], tmp_path: Path
) -> None:
    store, registry, version = model
    short = CONFIGURATION.decisions.stress.model_copy(update={"paths": 40, "bars": 60})
    page = shown(stress, store, registry=registry, decision_settings=replace(THIN, stress=short))
    assert picture(page, "shortfall")
    assert {row["symbol"] for row in rows(page, "tails")} >= {SYMBOL}
    registry.promote(version, at_ms=1, by="test", reason="test")
    pooled = shown(build_pooling(tmp_path / "pool"), store, registry=registry)
    assert picture(pooled, "distances")
    assert [row["node"] for row in rows(pooled, "pool")] == ["local"]


def test_learning_on_shows_how_far_it_moved_of_what_it_may(model: tuple[Warehouse, Any, str]) -> None:
    store, registry, version = model
    known = store.reader(FEATURE_ROWS).read(where=pl.col("symbol") == SYMBOL).tail(200)
    shift = pl.duration(milliseconds=200 * STEP)
    late = known.with_columns(pl.col("open_at") + shift)
    days = late.with_columns(pl.col("open_at").dt.strftime("%Y-%m-%d").alias("day"))
    store.writer(FEATURE_ROWS).upsert(days)
    registry.promote(version, at_ms=1, by="test", reason="test")
    page = shown(learning, store, registry=registry)
    assert picture(page, "moved")
    (row,) = rows(page, "drift")
    assert (row["symbol"], row["answer"], row["new_bars"]) == (SYMBOL, "learned", 200)
    assert 0 < row["mean_shift"] <= 0.5


def test_the_evaluation_names_every_symbol_of_the_universe_that_has_no_plot(tmp_path: Path) -> None:
    store, registry, version = registered(tmp_path)
    active(store, SYMBOL, "LATEUSDT.BINANCE", "GONEUSDT.BINANCE")
    active(store, "NEWUSDT.BINANCE", bucket="QUARANTINE", reason="NEW_LISTING")
    bundle, card = registry.bundle(version), registry.card(version)
    again = {**card.fits, "GONEUSDT.BINANCE": card.fits[SYMBOL]}
    symbols = dict.fromkeys(again, bundle["symbols"][SYMBOL])
    other = replace(
        card,
        version=content_version(symbols),
        symbols=tuple(sorted(symbols)),
        fits=again,
        dropped={OTHER: "CONSTANT_FEATURE: a feature does not vary"},
        created_at="2026-03-03T00:00:00+00:00",
    )
    registry.register({**bundle, "version": other.version, "symbols": symbols}, other)
    page = shown(evaluation, store, registry=registry)
    assert page["model_version"].value == other.version
    assert picture(page, f"regimes of {SYMBOL}") and picture(page, f"equity of {SYMBOL}")
    without = rows(page, "symbols without a plot")
    told = {row["symbol"]: (row["left_out_by"], str(row["reason"]).split(":")[0]) for row in without}
    assert told == {
        "ETHUSDT.BINANCE": ("training", "CONSTANT_FEATURE"),
        "GONEUSDT.BINANCE": ("evaluation", "NO_FEATURES"),
        "LATEUSDT.BINANCE": ("training", "NOT_IN_VERSION"),
        "NEWUSDT.BINANCE": ("universe", "QUARANTINE"),
    }


def test_drift_is_shown_and_a_market_that_the_model_never_saw_fails_the_check(
    model: tuple[Warehouse, Any, str], tmp_path: Path
) -> None:
    _, registry, version = model
    registry.promote(version, at_ms=1, by="test", reason="test")
    resources = {"settings": CONFIGURATION.research, "registry": registry}
    for wider, passed in ((1.0, True), (8.0, False)):
        store = stored(Warehouse(tmp_path / str(wider)), bars(1440))
        known, _ = build(store, [DAY], market="spot", interval="1m", step_ms=STEP)
        late = known.tail(300).with_columns(
            pl.col("open_at") + pl.duration(milliseconds=300 * STEP), pl.col("log_return") * wider
        )
        late = late.with_columns(pl.col("open_at").dt.strftime("%Y-%m-%d").alias("day"))
        store.writer(FEATURE_ROWS).upsert(pl.concat([known, late]))
        page, (check,) = shown_and_checked(drift, {**resources, "warehouse": store})
        assert picture(page, "sums")
        (row,) = rows(page, "drift")
        assert (row["symbol"], row["new_bars"], row["drifting_since"] == "") == (SYMBOL, 300, passed)
        assert (check.check_name, check.passed) == ("no_drift", passed)
    empty = shown(drift, Warehouse(tmp_path / "empty"), registry=registry)
    assert str(rows(empty, "drift")[0]["reason"]).startswith("NO_BARS")
    resources |= {"warehouse": store, "registry": ModelRegistry(tmp_path / "none")}
    untrained, (check,) = shown_and_checked(drift, resources)
    assert untrained["drift"] == dg.MetadataValue.text("none")
    assert check.passed


def test_training_shows_what_confidence_is_worth(tmp_path: Path) -> None:
    store = active(stored(Warehouse(tmp_path / "w"), bars(1440, without=frozenset({700}))), SYMBOL)
    features, _ = build(store, [DAY], market="spot", interval="1m", step_ms=STEP)
    store.writer(FEATURE_ROWS).upsert(features)
    short = CONFIGURATION.research.training.model_copy(update={"min_bars": 1000})
    settings = replace(CONFIGURATION.research, training=short)
    registry = ModelRegistry(tmp_path / "r")
    page = shown(training, store, registry=registry, settings=settings)
    card = registry.newest()
    assert card is not None
    assert card.bars_dropped == {SYMBOL: {"gaps": 1, "bars_without_row": WARM_UP}}
    assert rows(page, "bars dropped") == [{"symbol": SYMBOL, "gaps": 1, "bars_without_row": WARM_UP}]
    assert {row["symbol"] for row in rows(page, "regimes")} == {SYMBOL}
    (row, *_) = rows(page, "calibration")
    assert row["symbol"] == SYMBOL
    assert ("what confidence is worth" in page) is (row["answer"] == "calibrated")
    drawn = calibration_picture({SYMBOL: ((0.7, 0.9), (0.5, 0.55, 0.6)), OTHER: ((), (0.52,))})
    assert picture({"drawn": dg.MetadataValue.md(drawn)}, "drawn")
