"""Outcomes from the warehouse to the learners and back: what was logged is what is learned from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from assets.bandit import KEEP, REFUSED, change_picture, means_picture, proposal_rows, refused_rows, value_rows
from assets.decision_tables import BANDIT_PRIORITIES, POLICY_PROPOSALS, SITUATION_HITS
from assets.fills import fill_frame
from assets.outcomes import newest_advice, situation_log, situation_outcomes, strategy_outcomes
from assets.situation_table import Advice, hit_rows
from assets.tables import FILLS
from orchestration.environment import load
from strategies.bandit import BanditOptions, Outcome, priorities
from strategies.features import FEATURES
from strategies.reinforcement import ImprovementOptions, LogUnfit, improve
from strategies.situations import CONTEXTS, Hit
from tests.unit.assets.bars import START, STEP, SYMBOL, bars, stored
from tests.unit.assets.test_slippage_model import fill
from warehouse.store import Warehouse

RESEARCH = load({}).research
PLACE = {"market": "spot", "interval": "1m", "run_id": "run"}
AT = datetime(2026, 3, 1, tzinfo=UTC)


def hits(count: int, rule: str, context: str) -> list[Hit]:
    return [
        Hit(
            rule=rule,
            symbol=SYMBOL,
            at_ms=START + (number + 1) * STEP,
            direction=1,
            priority=2.0,
            horizon_bars=1,
            novelty=1.0,
            turnover=1.0,
            price=100.0,
            context=context,
            features=(0.0,) * len(FEATURES),
        )
        for number in range(count)
    ]


def settled(found: Sequence[Hit], advice: dict[tuple[str, str], Advice], worth: float, seed: int) -> pl.DataFrame:
    rows = hit_rows(found, PLACE, STEP, advice)
    reward = np.random.default_rng(seed).normal(worth, 10.0, rows.height)
    return rows.with_columns(pl.lit("DONE").alias("state"), pl.Series("outcome_bps", reward))


def test_a_hit_is_drawn_by_its_advice_and_its_propensity_is_logged() -> None:
    rows = hit_rows(hits(2000, "r", "calm"), PLACE, STEP, {("calm", "r"): Advice(weight=1.5, take=0.3)})
    taken = rows["action"] == "TAKE"
    assert taken.to_numpy().mean() == pytest.approx(0.3, abs=0.04)
    assert set(rows.filter(taken)["propensity"]) == {0.3}
    assert set(rows.filter(~taken)["propensity"]) == {0.7}
    assert set(rows["priority"]) == {3.0}
    elsewhere = hit_rows(hits(5, "r", "wild"), PLACE, STEP, {("calm", "r"): Advice(weight=1.5, take=0.3)})
    assert set(elsewhere["action"]) == {"TAKE"}


def test_a_strategys_outcome_is_what_its_own_decision_earned_after_the_horizon(tmp_path: Path) -> None:
    made = bars(200)
    close = made["close"].to_list()
    store = stored(Warehouse(tmp_path), made)
    orders = [
        fill(1, 100.5, 101.0),
        fill(2, 120.5, 99.0, side="SELL", strategy="hmm_regime"),
        fill(3, 190.5, 100.0),
        fill(4, 110.5, 100.0, strategy=""),
        fill(5, 105.5, 102.0, side="SELL", leg="take_profit"),
        fill(6, 107.5, 103.0, strategy="manual", bar_open_ms=None),
    ]
    store.writer(FILLS).upsert(fill_frame(orders))
    found = strategy_outcomes(store, RESEARCH, window=20, horizon=15, cost_bps=10.0, max_orders=100)
    assert [one.arm for one in found] == ["strategy:ma_cross", "strategy:hmm_regime"]
    assert found[0].reward_bps == pytest.approx((close[114] / 101.0 - 1) * 1e4 - 10)
    assert found[1].reward_bps == pytest.approx(-(close[134] / 99.0 - 1) * 1e4 - 10)
    assert {one.context for one in found} <= set(CONTEXTS)


def test_the_newest_decision_is_the_advice(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    assert newest_advice(store) == {}
    for day, reward in ((0, 30.0), (1, -30.0)):
        outcomes = [Outcome(context="calm", arm="situation:r", reward_bps=reward)] * 200
        found = priorities(CONTEXTS, ["situation:r", "strategy:s"], outcomes, BanditOptions())
        write_priorities(store, found, AT + timedelta(days=day))
    advice = newest_advice(store)
    assert set(advice) == {(context, "r") for context in CONTEXTS}
    assert advice["calm", "r"].take == 0.05
    assert advice["calm", "r"].weight < 0.5
    assert means_picture(found).startswith("![believed mean")


def write_priorities(store: Warehouse, found: Any, at: datetime) -> None:
    rows = [
        {name: getattr(one, name, None) for name in BANDIT_PRIORITIES.schema}
        | {"day": at.strftime("%Y-%m-%d"), "decided_at": at, "run_id": "run"}
        for one in found
    ]
    store.writer(BANDIT_PRIORITIES).upsert(pl.DataFrame(rows, schema=BANDIT_PRIORITIES.schema))


def test_from_logged_hits_a_policy_learns_to_take_what_earns_and_leave_what_loses(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    advice = {(context, rule): Advice(weight=1.0, take=0.5) for context in CONTEXTS for rule in ("good", "bad")}
    for seed, (rule, worth) in enumerate((("good", 6.0), ("bad", -6.0))):
        for context in ("calm", "wild"):
            found = settled(hits(600, rule, context), advice, worth, seed)
            offset = pl.duration(milliseconds=1 if context == "wild" else 0)
            store.writer(SITUATION_HITS).upsert(found.with_columns(pl.col("hit_at") + offset))
    log, champion, names = situation_log(store, RESEARCH, advice, 0.05)
    assert len(log) == 2400
    assert names == ["bad when calm", "good when calm", "bad when wild", "good when wild"]
    assert set(log.reward[log.action == 0]) == {0.0}
    found_policy = improve(log, champion, ImprovementOptions())
    assert found_policy.accepted, found_policy.reason
    rows = proposal_rows(found_policy, champion, names, {"proposed_at": AT, "logged": len(log), "run_id": "run"})
    store.writer(POLICY_PROPOSALS).upsert(rows)
    change = dict(zip(rows["context"], rows["candidate_take"] - rows["champion_take"], strict=True))
    assert change["good when calm"] > 0.1 > -0.1 > change["bad when wild"]
    assert len(value_rows(found_policy)) == 4
    assert change_picture(rows).startswith("![how much more often")


def test_a_log_in_which_everything_was_taken_is_refused_by_name(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    store.writer(SITUATION_HITS).upsert(settled(hits(300, "r", "calm"), {}, 5.0, 1))
    log, champion, _names = situation_log(store, RESEARCH, {}, 0.05)
    with pytest.raises(LogUnfit, match="NO_EXPLORATION") as refused:
        improve(log, champion, ImprovementOptions())
    rows = refused_rows(str(refused.value), {"proposed_at": AT, "logged": 300, "run_id": "run"})
    store.writer(POLICY_PROPOSALS).upsert(rows)
    assert rows.row(0, named=True)["verdict"] == REFUSED != KEEP


def test_outcomes_count_whether_a_hit_was_taken_or_left() -> None:
    advice = {("calm", "r"): Advice(weight=1.0, take=0.5)}
    rows = settled(hits(100, "r", "calm"), advice, 5.0, 1)
    assert len(situation_outcomes(rows)) == 100
    assert situation_outcomes(rows.with_columns(pl.lit("OPEN").alias("state"))) == []
