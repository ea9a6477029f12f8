"""Engine against warehouse, engine against venue: every difference is named, and none is invented."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from assets.comparison import Break, fill_breaks, merge_found_at, venue_breaks
from assets.fills import fill_frame
from assets.tables import BREAKS


def fill(seq: int, **changes: Any) -> dict[str, Any]:
    return {
        "seq": seq,
        "at_ms": 1_800_000_000_000 + seq,
        "symbol": "BTCUSDT.BINANCE",
        "market": "spot",
        "trade_id": str(seq),
        "client_order_id": f"order{seq}",
        "strategy": "ma_cross",
        "side": "BUY",
        "price": "100.10",
        "quantity": "0.5",
        "fee": "0.05005",
        "fee_asset": "USDT",
        "provisional": False,
        "leg": "entry",
        "type": "MARKET",
        "time_in_force": "GTC",
        "bar_open_ms": None,
        **changes,
    }


def kinds(engine: pl.DataFrame, stored: pl.DataFrame) -> list[tuple[str, str]]:
    return [(one.kind, one.subject) for one in fill_breaks(engine, stored)]


def test_equal_fills_are_no_break_also_where_trailing_zeros_differ() -> None:
    assert kinds(fill_frame([fill(1, price="100.1")]), fill_frame([fill(1)])) == []


def test_amounts_stay_exact() -> None:
    frame = fill_frame([fill(1, quantity="0.000000000000000001")])
    assert frame["quantity"][0] == Decimal("0.000000000000000001")


def test_a_lost_an_invented_and_a_changed_fill_are_three_breaks() -> None:
    engine = fill_frame([fill(1), fill(2), fill(4)])
    stored = fill_frame([fill(2, fee="0.05"), fill(3), fill(4)])
    assert kinds(engine, stored) == [
        ("FILL_NOT_STORED", "trade 1"),
        ("FILL_DIFFERS", "trade 2"),
        ("FILL_NOT_BOOKED", "trade 3"),
    ]


def test_a_fill_booked_after_the_ingest_is_not_owed_yet() -> None:
    assert kinds(fill_frame([fill(1), fill(2)]), fill_frame([fill(1)])) == []


def test_a_provisional_fill_is_not_stored() -> None:
    assert fill_frame([fill(1, provisional=True)]).is_empty()


def report(**changes: Any) -> dict[str, Any]:
    venue = {"venue": "BINANCE", "ok": True, "error": ""}
    return {"breaks": [], "venues": [venue], **changes}


def test_what_the_engine_left_open_is_a_break_with_both_figures() -> None:
    entry = {
        "break_id": "b1",
        "venue": "BINANCE",
        "market": "spot",
        "kind": "BALANCE",
        "subject": "USDT",
        "ours": "10",
        "theirs": "11",
    }
    (found,) = venue_breaks(report(breaks=[entry]))
    assert (found.kind, found.subject, found.detail) == ("BALANCE", "USDT", "engine 10, venue 11")


def test_a_venue_that_could_not_be_asked_is_never_called_equal() -> None:
    away = {"venue": "BINANCE", "ok": False, "error": "VENUE_UNREACHABLE"}
    (found,) = venue_breaks(report(venues=[away]))
    assert found.kind == "NOT_COMPARED"
    assert venue_breaks(report()) == []


def test_a_break_keeps_the_time_it_was_first_seen() -> None:
    one = Break(parties="engine-venue", kind="BALANCE", symbol="X", subject="USDT", detail="1, 2")
    first, later = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    stored = pl.DataFrame(merge_found_at([one], BREAKS.empty(), first), schema=BREAKS.schema)
    (row,) = merge_found_at([one], stored, later)
    assert row["found_at"] == first
