"""The backfill asks for what is missing and for nothing else, and survives being cut short."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from assets.backfill import BackfillReport, BackfillRequest, backfill
from assets.intervals import day_span
from assets.ports import BarRow
from assets.settings import BackfillSettings
from assets.tables import BARS, COVERAGE
from warehouse.store import Warehouse

STEP = 60_000
DAY = "2026-03-01"
START = day_span(DAY).start_ms
NIGHT = day_span(DAY).end_ms + 1000
SETTINGS = BackfillSettings(first_day="2026-01-01", parallel=3, recheck_after_s=3600, recheck_days=3, flush_rows=1000)
SYMBOLS = ("BTCUSDT.BINANCE", "ETHUSDT.BINANCE")


class Venue:
    """A venue that has every bar but those listed, counts its requests, and goes away when told to."""

    def __init__(self, lacking: set[int] | None = None, fails_after: int | None = None) -> None:
        self.lacking = lacking or set()
        self.fails_after = fails_after
        self.asked: list[tuple[str, int, int]] = []

    def bars(self, symbol: str, interval: str, start_ms: int, end_ms: int) -> list[BarRow]:
        assert interval == "1m"
        self.asked.append((symbol, start_ms, end_ms))
        if self.fails_after is not None and len(self.asked) > self.fails_after:
            raise ConnectionError("the venue is away")
        minutes = [at for at in range(start_ms, end_ms, STEP) if (at - START) // STEP not in self.lacking]
        return [(at, 1.0, 2.0, 0.5, 1.5, 10.0, 15.0, 3) for at in minutes]


def request(now_ms: int = NIGHT, days: tuple[str, ...] = (DAY,)) -> BackfillRequest:
    return BackfillRequest(
        symbols=SYMBOLS,
        days=days,
        market="spot",
        interval="1m",
        step_ms=STEP,
        now_ms=now_ms,
        source="test",
    )


def run(venue: Venue, store: Warehouse, asked: BackfillRequest | None = None) -> BackfillReport:
    return backfill(venue, store, asked or request(), SETTINGS, lambda _line: None)


def states(store: Warehouse) -> list[tuple[str, str, int]]:
    rows = store.reader(COVERAGE).read()
    return list(zip(rows["symbol"], rows["state"], rows["bars"], strict=True))


def test_an_empty_day_is_filled_and_a_full_one_costs_no_request(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    report = run(Venue(), store)
    assert (report.expected, report.fetched, report.stored) == (2880, 2880, 2880)
    idle = Venue()
    again = run(idle, store)
    assert idle.asked == []
    assert (again.stored_before, again.fetched, again.stored) == (2880, 0, 2880)


def test_a_lost_stretch_is_found_and_repaired_to_the_same_content(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    run(Venue(), store)
    before = store.snapshot(BARS)
    kept = store.reader(BARS).read(where=~pl.col("open_at").dt.hour().is_between(7, 8))
    store.writer(BARS).replace(kept)
    assert store.snapshot(BARS) != before
    venue = Venue()
    report = run(venue, store)
    assert report.fetched == 240
    assert [(end - start) // STEP for _, start, end in venue.asked] == [120, 120]
    assert store.snapshot(BARS) == before


def test_bars_the_venue_lacks_are_remembered_and_asked_for_again_only_later(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    venue = Venue(lacking={5, 6})
    noon = day_span(DAY).start_ms + 12 * 3_600_000
    report = run(venue, store, request(noon))
    assert report.absent == 4
    assert ("BTCUSDT.BINANCE", "ABSENT", 2) in states(store)

    soon = Venue()
    run(soon, store, request(noon + 60_000))
    assert all(start >= noon for _, start, _ in soon.asked), "only the new minute is fetched"

    later = Venue()
    repaired = run(later, store, request(noon + 2 * 3_600_000))
    assert min(start for _, start, _ in later.asked) == START + 5 * STEP
    assert repaired.absent == 0
    assert all(state == "PRESENT" for _, state, _ in states(store))


def test_the_newest_bars_are_never_taken_for_absent(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    noon = START + 720 * STEP
    run(Venue(lacking={718, 719}), store, request(noon))
    assert all(state == "PRESENT" for _, state, _ in states(store))
    report = run(Venue(), store, request(noon))
    assert report.fetched == 4


def test_a_day_long_past_is_final_once_it_was_asked_for_after_its_end(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    run(Venue(lacking={5}), store)
    idle = Venue()
    run(idle, store, request(NIGHT + 30 * 86_400_000))
    assert idle.asked == []


def test_what_came_before_a_failure_is_kept_and_the_next_run_goes_on(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    with pytest.raises(ConnectionError):
        run(Venue(fails_after=1), store)
    kept = store.reader(BARS).read().height
    assert kept == 1440
    report = run(Venue(), store)
    assert (report.fetched, report.stored) == (1440, 2880)


def test_the_running_bar_is_not_asked_for(tmp_path: Path) -> None:
    venue = Venue()
    run(venue, Warehouse(tmp_path), request(START + 10 * STEP + 59_999))
    assert {end for _, _, end in venue.asked} == {START + 10 * STEP}


def test_other_intervals_and_markets_share_the_table_without_mixing(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    run(Venue(), store)
    futures = Venue()
    report = run(futures, store, replace(request(), market="futures"))
    assert (report.stored_before, report.fetched, report.stored) == (0, 2880, 2880)
    assert store.reader(BARS).read().height == 5760
    assert {entry[1] for entry in states(store)} == {"PRESENT"}
    assert store.reader(COVERAGE).read().height == 4
