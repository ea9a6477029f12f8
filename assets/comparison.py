"""Compares what the engine booked with what is stored here. Plain code: the asset is in ``reconciliation.py``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from assets.fills import newest_seq
from assets.tables import FILLS

ENGINE_VENUE = "engine-venue"
ENGINE_WAREHOUSE = "engine-warehouse"
_COMPARED = ("side", "price", "quantity", "fee", "fee_asset", "client_order_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """One difference. ``subject`` is an order, a trade or an asset."""

    parties: str
    kind: str
    symbol: str
    subject: str
    detail: str


def fill_breaks(engine: pl.DataFrame, stored: pl.DataFrame) -> list[Break]:
    """Return every trade that only one side has, or that the two tell differently. Both are rows of ``FILLS``.

    A fill may be booked between the ingest and this comparison: only what was booked by the newest stored journal
    sequence is owed.
    """
    engine = engine.filter(pl.col("journal_seq") <= newest_seq(stored))
    keys = list(FILLS.keys)
    ours = {tuple(row[key] for key in keys): row for row in engine.iter_rows(named=True)}
    theirs = {tuple(row[key] for key in keys): row for row in stored.iter_rows(named=True)}
    found = []
    for key in sorted({*ours, *theirs}):
        symbol, _market, trade_id = key
        kind, detail = _difference(ours.get(key), theirs.get(key))
        if kind:
            found.append(
                Break(parties=ENGINE_WAREHOUSE, kind=kind, symbol=symbol, subject=f"trade {trade_id}", detail=detail)
            )
    return found


def _difference(engine: Mapping[str, Any] | None, stored: Mapping[str, Any] | None) -> tuple[str, str]:
    if stored is None:
        return "FILL_NOT_STORED", "the engine booked it, the warehouse does not have it"
    if engine is None:
        return "FILL_NOT_BOOKED", "the warehouse has it, the engine did not book it"
    differing = [name for name in _COMPARED if engine[name] != stored[name]]
    text = "; ".join(f"{name}: engine {engine[name]}, warehouse {stored[name]}" for name in differing)
    return ("FILL_DIFFERS", text) if differing else ("", "")


def venue_breaks(report: Mapping[str, Any]) -> list[Break]:
    """Return what the engine's own comparison with its venues left open; a venue that could not be asked is one."""
    open_now = [
        Break(
            parties=ENGINE_VENUE,
            kind=str(entry["kind"]),
            symbol=f"{entry['venue']} {entry['market']}",
            subject=str(entry["subject"]),
            detail=f"engine {entry['ours']}, venue {entry['theirs']}",
        )
        for entry in report["breaks"]
    ]
    unasked = [
        Break(
            parties=ENGINE_VENUE,
            kind="NOT_COMPARED",
            symbol=str(venue["venue"]),
            subject="venue",
            detail=str(venue["error"]),
        )
        for venue in report["venues"]
        if not venue["ok"]
    ]
    return [*open_now, *unasked]


def merge_found_at(breaks: Sequence[Break], stored: pl.DataFrame, now: Any) -> list[dict[str, Any]]:
    """Return the open breaks as rows; one that was open before keeps the time it was first seen."""
    known = {
        (row["parties"], row["kind"], row["symbol"], row["subject"]): row["found_at"]
        for row in stored.iter_rows(named=True)
    }
    return [
        {
            "parties": one.parties,
            "kind": one.kind,
            "symbol": one.symbol,
            "subject": one.subject,
            "detail": one.detail,
            "found_at": known.get((one.parties, one.kind, one.symbol, one.subject), now),
        }
        for one in breaks
    ]
