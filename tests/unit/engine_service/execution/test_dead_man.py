"""The dead-man switch alone: which countdowns run, and that no order is left without one for a round."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from engine_service.domain.ids import Market
from engine_service.execution.core import EngineCore
from engine_service.execution.dead_man import DeadManSwitch
from engine_service.execution.halt import flatten
from engine_service.execution.submit import submit
from engine_service.storage.port import Recorded
from engine_service.venues.abilities import DeadManVenue
from engine_service.venues.reports import ReadFailed
from tests.fakes.engine import fake, limit_order, make_core, mark_of, market_order
from tests.fakes.venue import FakeVenue

pytestmark = pytest.mark.anyio
BTC = "BTCUSDT.BINANCE"


class Countdowns:
    """A venue's countdowns; ``fails`` are symbols for which it takes none."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.fails: set[str] = set()
        self.called_off = asyncio.Event()

    async def set_dead_man(self, symbol: str, after_ms: int) -> ReadFailed | None:
        self.asked.append((symbol, after_ms))
        if not after_ms:
            self.called_off.set()
        await asyncio.sleep(0)
        return ReadFailed(reason="no") if symbol in self.fails else None


def futures_core() -> EngineCore:
    return make_core(venue=FakeVenue(fake(make_core()).clock, markets=(Market.FUTURES,)))


def watched(core: EngineCore) -> tuple[DeadManSwitch, Countdowns]:
    venue = Countdowns()
    switch = DeadManSwitch(core, cast(DeadManVenue, venue), 6.0)

    def tell(rows: Sequence[Recorded]) -> None:
        for row in rows:
            switch.on_event(row)

    core.journal.on_commit(tell)
    return switch, venue


async def wanted_at_once(switch: DeadManSwitch) -> bool:
    try:
        async with asyncio.timeout(0.05):
            await switch.wait_for_uncovered()
    except TimeoutError:
        return False
    return True


async def test_the_first_order_of_an_instrument_does_not_wait_for_the_next_round() -> None:
    core = futures_core()
    switch, venue = watched(core)
    assert await switch.refresh() == {}
    await submit(core, market_order("0.003", market=Market.FUTURES), mark_of())
    assert not await wanted_at_once(switch), "what never rests needs no countdown"
    await submit(core, limit_order("49000", "0.003", market=Market.FUTURES), mark_of())
    assert await wanted_at_once(switch)
    assert await switch.cover() == {}
    assert venue.asked == [(BTC, 6000)]
    await submit(core, limit_order("48900", "0.003", market=Market.FUTURES), mark_of())
    assert not await wanted_at_once(switch)


async def test_an_order_that_comes_while_a_countdown_is_called_off_is_covered_again() -> None:
    core = futures_core()
    switch, venue = watched(core)
    await submit(core, limit_order("49000", "0.003", market=Market.FUTURES), mark_of())
    await switch.refresh()
    await flatten(core, idem=mark_of(), principal="me")
    calling_off = asyncio.create_task(switch.refresh())
    async with asyncio.timeout(5):
        await venue.called_off.wait()
    await submit(core, limit_order("49000", "0.003", market=Market.FUTURES), mark_of())
    await calling_off
    assert await wanted_at_once(switch)
    await switch.cover()
    assert venue.asked == [(BTC, 6000), (BTC, 0), (BTC, 6000)]


async def test_what_the_venue_did_not_take_is_told_and_asked_again() -> None:
    core = futures_core()
    switch, venue = watched(core)
    venue.fails.add(BTC)
    await submit(core, limit_order("49000", "0.003", market=Market.FUTURES), mark_of())
    assert await switch.cover() == {BTC: "no"}
    assert switch.armed == set()
    venue.fails.clear()
    assert await switch.refresh() == {}
    assert switch.armed == {BTC}
