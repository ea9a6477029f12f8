"""Trades since a trade or a time, paged to the end. Bounded: a cursor that does not advance ends the walk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from engine_service.venues.binance.params import Params
from engine_service.venues.binance.parse import Payload, identity
from engine_service.venues.port import VenueUnavailable

DAY_MS = 86_400_000
PAGE = 1000
#: A million trades of one instrument between two comparisons: a cursor that goes on beyond leads nowhere.
MOST_PAGES = 1000
#: Trades may be told of late, by their own time.
OVERLAP_MS = 3_600_000
Fetch = Callable[[Params], Awaitable[Sequence[Payload]]]


@dataclass(slots=True)
class QuietPast:
    """From ``since_ms`` to ``until_ms`` an instrument had no trade."""

    since_ms: int = 0
    until_ms: int = 0

    def resumed(self, since_ms: int) -> int:
        """Return from when trades still have to be looked for."""
        return max(since_ms, self.until_ms - OVERLAP_MS) if self.since_ms <= since_ms else since_ms

    def nothing(self, since_ms: int, until_ms: int) -> None:
        """Note that there was no trade in a span that was read to its end."""
        if since_ms < self.since_ms or not self.until_ms:
            self.since_ms = since_ms
        self.until_ms = until_ms


async def trades_since(
    fetch: Fetch,
    from_trade_id: str | None,
    since_ms: int,
    now_ms: int,
    window_ms: int,
    past: QuietPast | None = None,
) -> list[Payload]:
    """Return trade rows after ``from_trade_id``, or from ``since_ms`` where there is none; oldest first.

    ``past`` remembers what was read already of an instrument that never traded, so that the walk through the windows
    does not grow longer by the day.

    Args:
        fetch: asks the venue for one page of at most `PAGE` rows.
        window_ms: the longest time span the venue answers at once.
        past: the reader's memory of one instrument.

    Raises:
        ParseError: a row has no id.
        VenueUnavailable: the venue's pages do not advance.
    """
    if from_trade_id is not None:
        return await _after(fetch, int(from_trade_id) + 1)
    past = past or QuietPast()
    start_ms = past.resumed(since_ms)
    while start_ms <= now_ms:
        window: Params = {"startTime": start_ms, "endTime": start_ms + window_ms - 1, "limit": PAGE}
        found = sorted_rows(await fetch(window))
        if found:
            return found + await _after(fetch, _id(found[-1]) + 1)
        start_ms += window_ms
    past.nothing(since_ms, now_ms)
    return []


async def _after(fetch: Fetch, from_id: int) -> list[Payload]:
    found: list[Payload] = []
    for _ in range(MOST_PAGES):
        page = sorted_rows(await fetch({"fromId": from_id, "limit": PAGE}))
        if page and _id(page[0]) < from_id:
            raise VenueUnavailable("VENUE_ANSWER_UNREADABLE", "the trade pages do not advance")
        found += page
        if len(page) < PAGE:
            return found
        from_id = _id(page[-1]) + 1
    raise VenueUnavailable("VENUE_ANSWER_UNREADABLE", "the trade pages do not end")


def sorted_rows(page: Sequence[Payload]) -> list[Payload]:
    """Return rows by trade id, each id once."""
    return [row for _, row in sorted({_id(row): row for row in page}.items())]


def _id(row: Payload) -> int:
    return int(identity(row, "id"))
