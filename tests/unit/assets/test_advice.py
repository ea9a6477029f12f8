"""From a learned slippage model and the bandit's word to advice, and what of it the engine hears."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.advice import advice, advised_sizes, advised_tactics
from assets.decision_settings import DecisionSettings
from assets.decision_tables import ADVICE, BANDIT_PRIORITIES, SLIPPAGE_COEFFICIENTS
from assets.intervals import utc
from assets.slippage_model import coefficient_rows
from assets.tables import UNIVERSE
from orchestration.environment import load
from strategies.slippage import TERMS, Line, SlippageModel
from tests.unit.assets.bars import DAY, START, STEP, SYMBOL, bars, stored
from warehouse.store import Warehouse

SETTINGS = load({}).research
DECISIONS = load({}).decisions
NOW = START + 300 * STEP


class HearingEngine:
    """An engine that notes what it is told."""

    def __init__(self) -> None:
        self.heard: dict[str, Any] = {}

    def get_strategies(self) -> list[dict[str, Any]]:
        return [{"strategy": "ma_cross"}, {"strategy": "hmm_regime"}]

    def put_advice(self, *, valid_s: int, reason: str = "", **rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        self.heard = {"valid_s": valid_s, **rows}
        return {}


class Noon:
    def now_ms(self) -> int:
        return NOW


@pytest.fixture
def store(tmp_path: Path) -> Warehouse:
    return stored(Warehouse(tmp_path), bars(300))


def listed(store: Warehouse) -> None:
    row = {
        "symbol": SYMBOL,
        "market": "spot",
        "bucket": "ACTIVE",
        "reason": "",
        "since_at": utc(START),
        "first_seen_at": utc(START),
        "scanned_at": utc(START),
        "clean_scans": 1,
        "turnover_24h": 1e9,
        "last_price": 100.0,
    }
    store.writer(UNIVERSE).upsert(pl.DataFrame([row], schema=UNIVERSE.schema))


def learned(store: Warehouse, expected_bps: float) -> None:
    line = Line(intercept=expected_bps, coefficients=(0.0,) * len(TERMS))
    store.writer(SLIPPAGE_COEFFICIENTS).upsert(coefficient_rows(SlippageModel(expected=line, upper=line), utc(START)))


def decided(store: Warehouse, scales: Mapping[str, float]) -> None:
    rows = [
        {
            "day": DAY,
            "decided_at": utc(START),
            "context": context,
            "arm": "strategy:ma_cross",
            "count": 1,
            **dict.fromkeys(("mean_bps", "error_bps", "ucb_bps", "propensity", "weight", "take"), 0.5),
            "size_scale": scale,
            "run_id": "",
        }
        for context, scale in scales.items()
    ]
    store.writer(BANDIT_PRIORITIES).upsert(pl.DataFrame(rows, schema=BANDIT_PRIORITIES.schema))


@pytest.mark.parametrize(("expected_bps", "tactic"), [(7.0, "IOC_LIMIT"), (20.0, "MARKET"), (41.0, "SKIP")])
def test_a_tactic_follows_the_expected_slippage_on_both_sides(
    store: Warehouse, expected_bps: float, tactic: str
) -> None:
    assert advised_tactics(store, SETTINGS, DECISIONS, NOW) == [], "no model yet"
    learned(store, expected_bps)
    assert advised_tactics(store, SETTINGS, DECISIONS, NOW) == [], "nothing is listed yet"
    listed(store)
    rows = advised_tactics(store, SETTINGS, DECISIONS, NOW)
    assert [(row["symbol"], row["side"], row["tactic"]) for row in rows] == [
        (SYMBOL, "BUY", tactic),
        (SYMBOL, "SELL", tactic),
    ]
    assert all(f"{expected_bps:.1f} bps expected" in row["reason"] for row in rows)


def test_a_size_is_the_bandits_in_the_present_volatility(store: Warehouse) -> None:
    listed(store)
    assert advised_sizes(store, SETTINGS, DECISIONS, ["ma_cross"], NOW) == []
    decided(store, {"calm": 0.9, "usual": 0.6, "wild": 0.3})
    # The made-up market is calm and wild by turns, 120 bars each: calm again from bar 240 on, wild before.
    assert [row["scale"] for row in advised_sizes(store, SETTINGS, DECISIONS, ["ma_cross"], NOW)] == ["0.9000"]
    wild = START + 160 * STEP
    assert [row["scale"] for row in advised_sizes(store, SETTINGS, DECISIONS, ["ma_cross"], wild)] == ["0.3000"]
    assert advised_sizes(store, SETTINGS, DECISIONS, ["hmm_regime"], NOW) == []


@pytest.mark.parametrize(
    ("switched", "heard"), [({}, set()), ({"tactics": True}, {"tactics"}), ({"sizes": True}, {"sizes"})]
)
def test_the_engine_hears_what_is_switched_on(store: Warehouse, switched: dict[str, bool], heard: set[str]) -> None:
    listed(store)
    learned(store, 7.0)
    decided(store, {"calm": 0.9, "usual": 0.6, "wild": 0.3})
    engine = HearingEngine()
    rules: DecisionSettings = replace(DECISIONS, advice=DECISIONS.advice.model_copy(update=switched))
    resources = {
        "settings": SETTINGS,
        "decision_settings": rules,
        "warehouse": store,
        "engine": engine,
        "clock": Noon(),
    }
    assert dg.materialize([advice], resources=resources, selection=["advice"]).success
    assert set(engine.heard) - {"valid_s"} == heard
    rows = store.reader(ADVICE).read()
    assert set(rows["kind"]) == {"tactics", "sizes"}
    assert set(rows.filter(pl.col("given"))["kind"]) == heard
