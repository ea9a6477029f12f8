"""Funding: each payment is booked once, whether the stream tells of it or only the venue's history does."""

from __future__ import annotations

from collections.abc import Sequence

from engine_service.domain import events as e
from engine_service.domain.state import FUNDING_IDS_KEPT
from engine_service.execution.core import EngineCore
from engine_service.venues.abilities import FundingSource
from engine_service.venues.port import FundingReport, Venue


def not_booked(core: EngineCore, venue: str, paid: Sequence[FundingReport]) -> list[e.FundingPaid]:
    """Return the facts of those payments that are not booked yet."""
    known = set(core.state.image.funding_ids)
    return [
        e.FundingPaid(
            at_ms=core.clock.now_ms(),
            venue=venue,
            symbol=report.symbol,
            asset=report.asset,
            amount=report.amount,
            rate=core.booking_rate(venue, report.asset),
            income_id=report.income_id,
        )
        for report in paid
        if report.income_id not in known
    ]


async def import_funding(core: EngineCore, venue: Venue, imported: list[str]) -> None:
    """Book what was paid since the account is known and no stream told of: the engine was down, or the stream was.

    Without this the comparison would take a payment for a transfer, and a cost would be none.

    Raises:
        VenueUnavailable: the history could not be read.
    """
    if not isinstance(venue, FundingSource):
        return
    opened_ms = core.state.image.opened_accounts.get(venue.info.name, 0)
    paid = [report for report in await venue.funding_since(opened_ms) if report.at_ms >= opened_ms]
    missing = not_booked(core, venue.info.name, _remembered(core, paid))
    if missing:
        await core.commit(*missing)
        imported += [event.income_id for event in missing]


def _remembered(core: EngineCore, paid: Sequence[FundingReport]) -> Sequence[FundingReport]:
    """Return payments from the first one that is still known; a full memory has let older ones go."""
    known = core.state.image.funding_ids
    if len(known) < FUNDING_IDS_KEPT:
        return paid
    ids = set(known)
    first = next((number for number, report in enumerate(paid) if report.income_id in ids), 0)
    return paid[first:]
