"""The venue's trading rules: read at start, every day, and where the venue speaks of what we do not know."""

from __future__ import annotations

from collections.abc import Collection

import structlog

from engine_service.domain.ids import Market, venue_of
from engine_service.execution.apply_report import find_order
from engine_service.execution.core import EngineCore
from engine_service.venues.port import Venue, VenueUnavailable
from engine_service.venues.reports import OrderReport

_log = structlog.get_logger(__name__)


async def refresh_instruments(core: EngineCore, venue: Venue) -> int:
    """Take the venue's trading rules for ours; what it no longer lists has none. Return how many there are.

    Raises:
        VenueUnavailable: no usable answer came; the known rules stay.
    """
    rules = {(rule.symbol, rule.market): rule for rule in await venue.instruments()}
    if not rules:
        return 0
    mine = [key for key in core.instruments if venue_of(key[0]) == venue.info.name and key[1] in venue.info.markets]
    for key in [key for key in mine if key not in rules]:
        del core.instruments[key]
        _log.warning("no longer listed by the venue", symbol=key[0], market=key[1].value)
    core.instruments.update(rules)
    return len(rules)


def is_new_to_us(core: EngineCore, report: OrderReport) -> bool:
    """Tell whether neither order nor instrument is known: listed since the rules were read, perhaps."""
    listed = (report.symbol, report.market) in core.instruments
    return not listed and find_order(core, report.client_order_id, report.symbol, report.venue_order_id) is None


def speaks_of_new(core: EngineCore, market: Market, subjects: Collection[str]) -> bool:
    """Tell whether one of these assets and instruments belongs to none that is known."""
    rules = [rule for (_, at), rule in core.instruments.items() if at is market]
    known = {name for rule in rules for name in (rule.symbol, rule.base, rule.quote)}
    return not known.issuperset(subjects)


async def learn(core: EngineCore, venue: Venue) -> None:
    """Read the rules once more; where the venue does not answer, what is known has to do."""
    try:
        await refresh_instruments(core, venue)
    except VenueUnavailable as error:
        _log.warning("trading rules not refreshed", code=error.code)
