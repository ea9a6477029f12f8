"""From bars to stored hits and their outcomes: nothing twice, nothing guessed; a wrong rule names itself."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assets.decision_tables import SCREENINGS, SITUATION_HITS, SITUATION_LOOKS
from assets.intervals import DAY_MS
from assets.recent_bars import Panel
from assets.screening import screening_rows
from assets.situation_settings import SituationSettings
from assets.situation_table import (
    DONE,
    LOST,
    OPEN,
    bars_needed,
    hit_rows,
    look_rows,
    looked_until_ms,
    newest_picks,
    our_hits,
    remembered,
    settled,
    symbol_rows,
)
from orchestration.environment import ROOT, ConfigurationInvalid, load, read_config
from strategies.features import FEATURES, WARM_UP, compute
from strategies.screening import ScreeningOptions, Side, screen
from strategies.situations import Condition, Memory, Operator, Rule, find_hits
from tests.unit.assets.bars import START, STEP, SYMBOL, bars
from warehouse.store import Warehouse

PLACE = {"market": "spot", "interval": "1m", "run_id": "run"}
RULE = Rule(
    name="high",
    direction=1,
    conditions=(Condition(feature="zscore_30", operator=Operator.ABOVE, value=1.0),),
    priority=2.0,
    cooldown_s=600.0,
    horizon_bars=7,
    min_turnover=0.0,
    min_novelty=0.0,
)
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def panel(count: int, *, missing: int | None = None, first: int = 0) -> Panel:
    figures = bars(count).select("open", "high", "low", "close", "volume").to_numpy().copy()
    if missing is not None:
        figures[missing] = np.nan
    opens = START + np.arange(count, dtype=np.int64) * STEP
    return Panel(symbols=(SYMBOL,), open_ms=opens[first:], bars=figures[None, first:], fetched=0)


def look(seen: Panel, memory: Memory | None = None, after_ms: int = 0) -> pl.DataFrame:
    hits, _ = find_hits([RULE], symbol_rows(seen, STEP), FEATURES, memory or Memory(), after_ms=after_ms)
    return hit_rows(hits, PLACE, STEP, {})


def test_features_are_the_one_definition_and_never_reach_across_a_gap() -> None:
    whole, broken = panel(200), panel(200, missing=100)
    (complete,) = symbol_rows(whole, STEP)
    np.testing.assert_array_equal(complete.features, compute(*whole.bars[0].T))
    (parted,) = symbol_rows(broken, STEP)
    assert np.isnan(parted.features[100 : 100 + WARM_UP]).any(axis=1).all()
    assert np.isfinite(parted.features[100 + WARM_UP :]).all()
    assert np.isnan(parted.turnover[100:120]).all()


def test_outcomes_are_those_of_the_close_a_horizon_later() -> None:
    seen = panel(400)
    hits = settled(look(seen), seen, STEP, cost_bps=10.0)
    done = hits.filter(pl.col("state") == DONE)
    assert done.height > 5
    close = seen.bars[0, :, 3]
    for row in done.iter_rows(named=True):
        bar = (int(row["hit_at"].timestamp() * 1000) - START) // STEP - 1
        assert row["price"] == close[bar]
        assert row["outcome_bps"] == pytest.approx((close[bar + 7] / close[bar] - 1) * 1e4 - 10.0)


def test_a_hit_that_is_not_due_stays_open_and_is_settled_by_the_next_look(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    young = next(count for count in range(100, 400) if look(panel(count)).height and _last_open(panel(count)))
    first = settled(look(panel(young)), panel(young), STEP, 10.0)
    assert first["state"].to_list()[-1] == OPEN
    store.writer(SITUATION_HITS).upsert(first)
    seen = panel(young + 10)
    again = settled(our_hits(store, load({}).research), seen, STEP, 10.0)
    assert again["state"].to_list()[-1] == DONE
    store.writer(SITUATION_HITS).upsert(again)
    assert our_hits(store, load({}).research).height == first.height


def _last_open(seen: Panel) -> bool:
    return bool(settled(look(seen), seen, STEP, 10.0)["state"].to_list()[-1] == OPEN)


def test_a_second_look_finds_only_what_came_since_and_keeps_the_cooldown(tmp_path: Path) -> None:
    store, research = Warehouse(tmp_path), load({}).research
    assert looked_until_ms(store, research) == 0
    early = look(panel(250))
    store.writer(SITUATION_HITS).upsert(early)
    until = datetime.fromtimestamp((START + 250 * STEP) / 1000, UTC)
    common = {"day": "2026-03-01", "looked_at": AT, "until_at": until, **PLACE}
    hits, rejected = find_hits([RULE], symbol_rows(panel(250), STEP), FEATURES, Memory(), after_ms=0)
    counts = look_rows([RULE], hits, rejected, common)
    assert counts.row(0, named=True)["hits"] == early.height
    assert counts.row(0, named=True)["cooling_down"] > 0
    store.writer(SITUATION_LOOKS).upsert(counts)
    assert looked_until_ms(store, research) == START + 250 * STEP
    late = look(panel(500), remembered(our_hits(store, research)), looked_until_ms(store, research))
    together = pl.concat([early, late]).select("hit_at", "rule", "price", "context")
    assert together.equals(look(panel(500)).select("hit_at", "rule", "price", "context"))
    assert late.height > 0


def test_a_missing_exit_bar_is_waited_for_a_day_and_then_lost() -> None:
    hits = look(panel(200)).head(1)
    due = (int(hits["due_at"].dt.epoch("ms")[0]) - START) // STEP - 1
    young = settled(hits, panel(1000, missing=due), STEP, 10.0)
    assert young["state"].to_list() == [OPEN]
    old = settled(hits, panel(due + DAY_MS // STEP + 1, missing=due), STEP, 10.0)
    assert old["state"].to_list() == [LOST]
    assert old["outcome_bps"].to_list() == [None]
    assert settled(hits, panel(1000, first=due + 1), STEP, 10.0)["state"].to_list() == [LOST]


def test_the_newest_screening_says_what_is_screened(tmp_path: Path) -> None:
    store, research = Warehouse(tmp_path), load({}).research
    assert newest_picks(store, research) == {}
    seen = panel(400)
    options = ScreeningOptions(cost_bps=0.0)
    for hour, sign in ((7, 1.0), (8, -1.0)):
        turned = seen.bars.copy()
        turned[0, :, :4] = 100.0 * (turned[0, :, :4] / 100.0) ** sign
        turned[0, :, 1], turned[0, :, 2] = turned[0, :, 1:3].max(axis=1), turned[0, :, 1:3].min(axis=1)
        answer = screen(seen.symbols, turned, options)
        at = datetime(2026, 3, 1, hour, tzinfo=UTC)
        store.writer(SCREENINGS).upsert(screening_rows(answer, at, market="spot", run_id="run"))
        side = 1 if answer.picks[0].side is Side.LONG else -1
        assert newest_picks(store, research) == {(SYMBOL, side): int(at.timestamp() * 1000)}


def test_as_many_bars_are_read_as_open_hits_and_history_need() -> None:
    hits = look(panel(400))
    now = START + 400 * STEP
    assert bars_needed(SITUATION_HITS.empty(), 100, STEP, now) == 100 + WARM_UP
    oldest = int(hits["due_at"].dt.epoch("ms").to_numpy().min())
    assert bars_needed(hits, 100, STEP, now) == (now - oldest) // STEP + 2
    assert bars_needed(hits, 100, STEP, now + 10 * DAY_MS) == 5000


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "feature: zscore_30, op: crosses_up",
            "feature: moon, op: crosses_up",
            ["rules.0.when.0", "moon", "log_return"],
        ),
        ("op: crosses_up, value: 2", "op: near, value: 2", ["rules.0.when.0", "near", "crosses_up"]),
        ("op: crosses_up, value: 2", "op: crosses_up, value: many", ["rules.0.when.0", "value = many", "number"]),
        ("op: crosses_up, value: 2", "op: crosses_up, value: 2e9", ["value = 2e9", "1000000000"]),
        ("low: 0, high: 1.5", "low: 2, high: 1.5", ["rules.2.when.2", "high = 1.5", "must not be below low"]),
        ("cooldown_s: 1800", "cooldown_s: -1", ["rules.0.cooldown_s = -1", "greater than or equal to 0"]),
        ("horizon_bars: 30", "horizon_bars: 0", ["rules.0.horizon_bars = 0", "greater than or equal to 1"]),
        ("side: LONG", "side: BOTH", ["rules.0.side = BOTH", "LONG", "SHORT"]),
        ("name: breakout_down", "name: breakout_up", ["rules", "two rules are called breakout_up"]),
        ("priority: 5", "priority: 5\n    colour: red", ["rules.0.colour = red", "not permitted"]),
        ('only_screened: "false"', "only_screened: maybe", ["rules.0.only_screened = maybe", "boolean"]),
        ("history_bars: 720", "history_bars: 7", ["history_bars = 7", "60"]),
    ],
)
def test_a_wrong_rule_is_named_with_file_key_value_and_range(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    text = (ROOT / "config" / "situations.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "situations.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigurationInvalid) as refused:
        read_config(path, SituationSettings)
    for word in [str(path), *words]:
        assert word in str(refused.value)
