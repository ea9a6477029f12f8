"""Trades since an id or a time: every one, once, in order, and no endless walk."""

from collections.abc import Sequence
from typing import Any

import pytest

from engine_service.venues.binance.history import MOST_PAGES, PAGE, QuietPast, trades_since
from engine_service.venues.port import VenueUnavailable

pytestmark = pytest.mark.anyio
DAY_MS = 86_400_000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Trades:
    """A venue with trades ``1..count``, one every ``every_ms`` from ``first_ms``, that answers like the real one."""

    def __init__(self, count: int, first_ms: int, every_ms: int) -> None:
        self.rows = [{"id": n, "time": first_ms + (n - 1) * every_ms} for n in range(1, count + 1)]
        self.asked: list[dict[str, Any]] = []

    async def fetch(self, params: dict[str, str | int]) -> Sequence[dict[str, Any]]:
        self.asked.append(params)
        if "fromId" in params:
            found = [row for row in self.rows if row["id"] >= int(params["fromId"])]
        else:
            low, high = int(params["startTime"]), int(params["endTime"])
            assert high - low < DAY_MS
            found = [row for row in self.rows if low <= row["time"] <= high]
        return list(reversed(found[: int(params["limit"])]))


async def test_trades_after_an_id_are_paged_to_the_end() -> None:
    venue = Trades(2 * PAGE + 5, 0, 1)
    found = await trades_since(venue.fetch, "3", 0, 10_000, DAY_MS)
    assert [row["id"] for row in found] == list(range(4, 2 * PAGE + 6))
    assert len(venue.asked) == 3


async def test_trades_since_a_time_walk_empty_days_and_then_follow_the_ids() -> None:
    venue = Trades(PAGE + 7, 3 * DAY_MS + 5, 1)
    found = await trades_since(venue.fetch, None, 0, 4 * DAY_MS, DAY_MS)
    assert [row["id"] for row in found] == list(range(1, PAGE + 8))


async def test_no_trades_are_no_trades() -> None:
    assert await trades_since(Trades(0, 0, 1).fetch, None, 0, 2 * DAY_MS, DAY_MS) == []


async def test_a_cursor_that_goes_back_ends_the_walk_with_an_error() -> None:
    async def stuck(params: dict[str, str | int]) -> list[dict[str, int]]:
        return [{"id": n} for n in range(1, PAGE + 1)]

    with pytest.raises(VenueUnavailable):
        await trades_since(stuck, "0", 0, 1, DAY_MS)


async def test_a_cursor_that_goes_on_for_ever_ends_the_walk_with_an_error() -> None:
    pages = 0

    async def endless(params: dict[str, str | int]) -> list[dict[str, int]]:
        nonlocal pages
        pages += 1
        first = int(params["fromId"])
        return [{"id": n} for n in range(first, first + PAGE)]

    with pytest.raises(VenueUnavailable, match="do not end"):
        await trades_since(endless, "0", 0, 1, DAY_MS)
    assert pages == MOST_PAGES


async def test_an_instrument_that_never_traded_is_not_looked_for_in_its_whole_past_each_time() -> None:
    venue, past = Trades(0, 0, 1), QuietPast()
    await trades_since(venue.fetch, None, 0, 30 * DAY_MS, DAY_MS, past)
    assert len(venue.asked) == 31
    venue.asked.clear()
    assert await trades_since(venue.fetch, None, 0, 30 * DAY_MS + 30_000, DAY_MS, past) == []
    assert len(venue.asked) == 1


async def test_its_first_trade_is_found_and_so_is_one_that_is_told_of_late() -> None:
    past = QuietPast()
    await trades_since(Trades(0, 0, 1).fetch, None, 0, 30 * DAY_MS, DAY_MS, past)
    venue = Trades(1, 30 * DAY_MS - 60_000, 1)
    assert len(await trades_since(venue.fetch, None, 0, 30 * DAY_MS + 30_000, DAY_MS, past)) == 1


async def test_an_account_that_opened_earlier_is_read_from_there() -> None:
    past = QuietPast()
    await trades_since(Trades(0, 0, 1).fetch, None, 20 * DAY_MS, 30 * DAY_MS, DAY_MS, past)
    assert len(await trades_since(Trades(1, DAY_MS, 1).fetch, None, 0, 31 * DAY_MS, DAY_MS, past)) == 1
