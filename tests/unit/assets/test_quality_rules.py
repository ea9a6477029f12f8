"""What the blocking checks let through, what they stop, and what happens to the day."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import assets.quality_rules as rules
from assets.feature_table import build
from assets.intervals import day_of, day_span
from assets.quality_rules import Verdict, bar_batch, bar_suite, check_days, feature_batch, feature_suite
from assets.tables import BARS, FEATURE_ROWS
from tests.unit.assets.bars import DAY, STEP, bars, stored
from warehouse.quality import Expectation, Suite, validate
from warehouse.store import Warehouse

NEXT = day_of(day_span(DAY).end_ms)
NOW = day_span(NEXT).end_ms


def check(store: Warehouse, *days: str, suite: Suite | None = None) -> Verdict:
    return check_days(store, BARS, days, suite or bar_suite(), lambda rows: bar_batch(rows, NOW))


def test_sound_bars_pass(tmp_path: Path) -> None:
    verdict = check(stored(Warehouse(tmp_path), bars(1500)), DAY, NEXT)
    assert verdict.passed
    assert (verdict.rows, verdict.quarantined, verdict.findings) == (1500, (), [])


def test_only_the_bad_day_is_put_in_quarantine_and_a_mended_one_comes_back(tmp_path: Path) -> None:
    store = stored(Warehouse(tmp_path), bars(1500))
    bad = bars(60, first=1440).with_columns(high=pl.col("low") * 0.5)
    store.writer(BARS).upsert(bad)
    verdict = check(store, DAY, NEXT)
    assert not verdict.passed
    assert verdict.quarantined == (NEXT,)
    assert store.reader(BARS).partitions() == [DAY]

    store.writer(BARS).upsert(bars(60, first=1440))
    assert check(store, NEXT).passed
    assert store.reader(BARS).partitions() == [DAY, NEXT]


@pytest.mark.parametrize(
    ("change", "about"),
    [
        (pl.col("low").sign().mul(0.0).alias("low"), "low"),
        (pl.lit(float("nan")).alias("close"), "close"),
        (pl.lit(float("inf")).alias("high"), "column=high"),
        (pl.lit(-1.0).alias("volume"), "volume"),
        ((pl.col("open_at") + pl.duration(milliseconds=500)).cast(pl.Datetime("ms", "UTC")), "off_grid_ms"),
        ((pl.col("open_at") + pl.duration(days=1)).cast(pl.Datetime("ms", "UTC")), "days_off"),
        (pl.lit("btc usdt").alias("symbol"), "symbol"),
    ],
    ids=["zero price", "not a number", "infinite", "negative volume", "off the grid", "wrong day", "bad name"],
)
def test_impossible_bars_are_found(change: pl.Expr, about: str) -> None:
    spoilt = bars(40).with_columns(change)
    failures = validate(bar_batch(spoilt, NOW), bar_suite()).failures("critical")
    assert any(about in finding.about for finding in failures)


def test_bars_of_two_lengths_on_one_day_are_each_judged_by_their_own_grid(tmp_path: Path) -> None:
    start = pl.col("open_at").min()
    second = (start + (pl.col("open_at") - start) / 60).cast(pl.Datetime("ms", "UTC"))
    seconds = bars(90).with_columns(interval=pl.lit("1s"), open_at=second)
    store = stored(Warehouse(tmp_path), bars(90))
    store.writer(BARS).upsert(seconds)
    assert check(store, DAY).passed
    store.writer(BARS).upsert(seconds.with_columns(interval=pl.lit("1m")))
    assert any("off_grid_ms" in finding.about for finding in check(store, DAY).findings)


def test_a_bar_of_no_known_length_is_found() -> None:
    odd = validate(bar_batch(bars(40).with_columns(interval=pl.lit("7s")), NOW), bar_suite())
    assert [finding.about for finding in odd.failures("critical")] != []


def test_bars_of_the_future_and_doubled_bars_are_found() -> None:
    early = validate(bar_batch(bars(40), day_span(DAY).start_ms), bar_suite())
    assert any("future_ms" in finding.about for finding in early.failures("critical"))
    doubled = validate(bar_batch(pl.concat([bars(40), bars(1)]), NOW), bar_suite())
    assert any("open_ms" in finding.about for finding in doubled.failures("critical"))


def test_no_bars_at_all_is_a_failure(tmp_path: Path) -> None:
    assert not check(Warehouse(tmp_path), DAY).passed


def test_a_check_that_raised_fails_and_judges_no_day(tmp_path: Path) -> None:
    store = stored(Warehouse(tmp_path), bars(60))
    broken = Suite("broken", (Expectation("ExpectColumnValuesToNotBeNull", {"column": "gone"}),))
    verdict = check(store, DAY, suite=broken)
    assert not verdict.passed
    assert verdict.quarantined == ()
    assert "gone" in verdict.findings[0].error
    assert store.reader(BARS).partitions() == [DAY]


def test_a_large_span_is_judged_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "BATCH_ROWS", 1000)
    verdict = check(stored(Warehouse(tmp_path), bars(1500)), DAY, NEXT)
    assert verdict.passed
    assert [report.rows for report in verdict.reports] == [1440, 60]


def test_sound_features_pass_and_spoilt_ones_do_not(tmp_path: Path) -> None:
    store = stored(Warehouse(tmp_path), bars(300))
    rows, _ = build(store, [DAY], market="spot", interval="1m", step_ms=STEP)
    store.writer(FEATURE_ROWS).upsert(rows)
    assert check_days(store, FEATURE_ROWS, [DAY], feature_suite(), feature_batch).passed
    store.writer(FEATURE_ROWS).upsert(rows.head(1).with_columns(slope_20=pl.lit(np.nan)))
    verdict = check_days(store, FEATURE_ROWS, [DAY], feature_suite(), feature_batch)
    assert verdict.quarantined == (DAY,)
