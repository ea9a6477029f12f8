"""Funding and other income: each is booked once, whether the stream tells of it or only the venue's history does."""

from __future__ import annotations

from collections.abc import Sequence

from engine_service.domain import events as e
from engine_service.domain.apply import INCOME
from engine_service.domain.ids import Market
from engine_service.domain.state import FUNDING_IDS_KEPT
from engine_service.execution.core import EngineCore
from engine_service.venues.abilities import FundingSource, IncomeSource
from engine_service.venues.port import Venue
from engine_service.venues.reports import FundingReport, IncomeReport

#: So much before the last comparison income is asked for: the venue's history may lag behind its wallets.
OVERLAP_MS = 120_000


def is_contained(core: EngineCore, venue: str, at_ms: int) -> bool:
    """Tell whether what happened then is part of what the account held when it was first read."""
    return at_ms < core.state.image.opened_accounts.get(venue, 0)


def not_booked(core: EngineCore, venue: str, paid: Sequence[FundingReport]) -> list[e.FundingPaid]:
    """Return the facts of those payments that are not booked yet, one by one or with the account."""
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
        if report.income_id not in known and not is_contained(core, venue, report.at_ms)
    ]


def income_not_booked(core: EngineCore, venue: str, got: Sequence[IncomeReport]) -> list[e.BalanceAdjusted]:
    """Return the facts of that income that is not booked yet, each under its own kind; else as ``not_booked``."""
    known = set(core.state.image.funding_ids)
    return [
        e.BalanceAdjusted(
            at_ms=core.clock.now_ms(),
            venue=venue,
            market=Market.FUTURES,
            asset=report.asset,
            amount=report.amount,
            rate=core.booking_rate(venue, report.asset),
            kind=report.kind,
            reference=f"{INCOME}{report.income_id}",
        )
        for report in got
        if f"{INCOME}{report.income_id}" not in known and not is_contained(core, venue, report.at_ms)
    ]


async def import_income(core: EngineCore, venue: Venue, imported: list[str]) -> None:
    """Book what was paid since the account is known and no stream told of: the engine was down, or the stream was.

    Without this the comparison would take it for a transfer, and a cost or a result would be none.

    Raises:
        VenueUnavailable: the history could not be read.
    """
    name, image = venue.info.name, core.state.image
    opened_ms = image.opened_accounts.get(name, 0)
    missing: list[e.Event] = []
    if isinstance(venue, FundingSource):
        funded = not_booked(core, name, _remembered(core, await venue.funding_since(opened_ms)))
        missing += funded
        imported += [event.income_id for event in funded]
    if isinstance(venue, IncomeSource):
        since_ms = max(opened_ms, image.compared_accounts.get(name, 0) - OVERLAP_MS)
        named = income_not_booked(core, name, await venue.income_since(since_ms))
        missing += named
        imported += [event.reference for event in named]
    if missing:
        await core.commit(*missing)


def _remembered(core: EngineCore, paid: Sequence[FundingReport]) -> Sequence[FundingReport]:
    """Return payments from the first one that is still known; a full memory has let older ones go."""
    known = core.state.image.funding_ids
    if len(known) < FUNDING_IDS_KEPT:
        return paid
    ids = set(known)
    first = next((number for number, report in enumerate(paid) if report.income_id in ids), 0)
    return paid[first:]
