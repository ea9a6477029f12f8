"""Trades since a trade or a time, paged to the end. Bounded: a cursor that does not advance ends the walk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from engine_service.venues.binance.params import Params
from engine_service.venues.binance.parse import Payload, identity
from engine_service.venues.port import VenueUnavailable

DAY_MS = 86_400_000
PAGE = 1000
Fetch = Callable[[Params], Awaitable[Sequence[Payload]]]


async def trades_since(
    fetch: Fetch, from_trade_id: str | None, since_ms: int, now_ms: int, window_ms: int
) -> list[Payload]:
    """Return trade rows after ``from_trade_id``, or from ``since_ms`` where there is none; oldest first.

    Args:
        fetch: asks the venue for one page of at most `PAGE` rows.
        window_ms: the longest time span the venue answers at once.

    Raises:
        ParseError: a row has no id.
        VenueUnavailable: the venue's pages do not advance.
    """
    if from_trade_id is not None:
        return await _after(fetch, int(from_trade_id) + 1)
    start_ms = since_ms
    while start_ms <= now_ms:
        window: Params = {"startTime": start_ms, "endTime": start_ms + window_ms - 1, "limit": PAGE}
        found = sorted_rows(await fetch(window))
        if found:
            return found + await _after(fetch, _id(found[-1]) + 1)
        start_ms += window_ms
    return []


async def _after(fetch: Fetch, from_id: int) -> list[Payload]:
    found: list[Payload] = []
    while True:
        page = sorted_rows(await fetch({"fromId": from_id, "limit": PAGE}))
        if page and _id(page[0]) < from_id:
            raise VenueUnavailable("VENUE_ANSWER_UNREADABLE", "the trade pages do not advance")
        found += page
        if len(page) < PAGE:
            return found
        from_id = _id(page[-1]) + 1


def sorted_rows(page: Sequence[Payload]) -> list[Payload]:
    """Return rows by trade id, each id once."""
    return [row for _, row in sorted({_id(row): row for row in page}.items())]


def _id(row: Payload) -> int:
    return int(identity(row, "id"))
