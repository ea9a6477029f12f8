"""An order in an instrument whose quotes are not followed: its price is read once, or the key stays free."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine_service.domain.bracket import BracketPlan
from engine_service.domain.clock import ManualClock
from engine_service.domain.errors import InvalidRequest, Unavailable
from engine_service.domain.ids import Market
from engine_service.domain.marks import MarkBook
from engine_service.execution import first_price
from engine_service.execution.amend import amend
from engine_service.execution.amend_result import AmendStatus
from engine_service.execution.answers import SubmitStatus
from engine_service.execution.core import EngineCore
from engine_service.execution.first_price import read_again
from engine_service.execution.submit import submit
from engine_service.execution.what_if import what_if
from engine_service.venues.reports import BookReport, Quote, ReadFailed
from tests.fakes.engine import START_MS, fake, limit_order, make_core, mark_of, market_order, policy
from tests.fakes.venue import FakeVenue

pytestmark = pytest.mark.anyio
D = Decimal
BTC, ETHBTC = "BTCUSDT.BINANCE", "ETHBTC.BINANCE"


class BookVenue(FakeVenue):
    """Shows a book around its prices; ``silent`` never answers, ``broken`` answers that it cannot."""

    silent = broken = False
    asked: list[str]

    def __init__(self) -> None:
        super().__init__(ManualClock(START_MS))
        self.asked = []

    async def order_book(self, market: Market, symbol: str, levels: int) -> BookReport | ReadFailed:
        self.asked.append(symbol)
        if self.silent:
            await asyncio.sleep(3600)
        if self.broken:
            return ReadFailed(reason="VENUE_DOWN")
        price = self.prices[symbol]
        return BookReport(symbol=symbol, market=market, bids=((price, D(1)),), asks=((price, D(2)),))


def unfollowed() -> tuple[EngineCore, BookVenue]:
    """Return a core that has heard of no price yet."""
    venue = BookVenue()
    core = make_core(venue=venue)
    core.marks = MarkBook()
    core.state.exposure.watch(core.marks)
    return core, venue


async def test_an_order_without_a_price_is_judged_by_the_book() -> None:
    core, venue = unfollowed()
    result = await submit(core, market_order(), mark_of())
    assert result.status is SubmitStatus.CREATED
    assert venue.asked == [BTC]


async def test_a_price_in_another_quote_asset_is_read_with_the_value_of_that_asset() -> None:
    core, venue = unfollowed()
    assert (await what_if(core, replace(market_order("0.01"), symbol=ETHBTC))).context.value > 0
    assert set(venue.asked) == {BTC, ETHBTC}


@pytest.mark.parametrize("trouble", ["silent", "broken"])
async def test_a_price_that_cannot_be_had_leaves_the_key_free(trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_price, "READ_WITHIN_S", 0.02)
    core, venue = unfollowed()
    setattr(venue, trouble, True)
    before = core.journal.last_seq
    with pytest.raises(Unavailable) as refused:
        await submit(core, market_order(), mark_of("the-key-1"))
    assert (refused.value.code, refused.value.retry_after_s) == ("PRICE_STALE", 1)
    assert core.journal.last_seq == before
    setattr(venue, trouble, False)
    assert (await submit(core, market_order(), mark_of("the-key-1"))).status is SubmitStatus.CREATED


async def test_many_orders_at_once_read_the_price_once() -> None:
    core, venue = unfollowed()
    orders = [submit(core, market_order(f"0.00{n}"), mark_of(f"many-{n}-key")) for n in range(1, 5)]
    assert {found.status for found in await asyncio.gather(*orders)} == {SubmitStatus.CREATED}
    assert venue.asked == [BTC]


async def test_quotes_that_stopped_coming_are_stale_and_nothing_is_read() -> None:
    core, venue = unfollowed()
    core.update_quote(quote(core))
    venue.clock.advance(9_000_000)
    result = await submit(core, market_order(), mark_of())
    assert (result.status, result.code) == (SubmitStatus.DENIED, "PRICE_STALE")
    assert venue.asked == []


async def test_a_price_that_was_read_is_read_again_when_it_is_old_and_never_after_quotes_came() -> None:
    core, venue = unfollowed()
    await submit(core, market_order(), mark_of("first-key"))
    venue.clock.advance(9_000_000)
    result = await submit(core, market_order("0.002"), mark_of("second-key"))
    assert (result.status, venue.asked) == (SubmitStatus.CREATED, [BTC, BTC])
    core.update_quote(quote(core))
    assert core.read_once == set()


async def test_what_is_held_is_valued_anew_though_nobody_follows_it() -> None:
    core, venue = unfollowed()
    await read_again(core)
    await submit(core, market_order("0.1"), mark_of())
    before = core.state.exposure.equity
    venue.prices[BTC] = D(60_000)
    venue.clock.advance(5_000)
    await read_again(core)
    assert core.state.exposure.equity - before == D("0.1") * D(10_000)


async def test_a_change_of_an_order_is_judged_by_the_book_too() -> None:
    core, venue = unfollowed()
    placed = await submit(core, limit_order("49900"), mark_of())
    core.marks, core.read_once = MarkBook(), set()
    core.state.exposure.watch(core.marks)
    found = await amend(
        core, placed.order.client_order_id, limit_price=D(49_950), principal="tester", mark=mark_of("the-change-1")
    )
    assert (found.status, found.order.limit_price) == (AmendStatus.UPDATED, D(49_950))
    assert venue.asked == [BTC, BTC]


async def test_a_change_that_only_shrinks_or_is_none_does_not_wait_for_a_price() -> None:
    core, venue = unfollowed()
    cid = (await submit(core, limit_order("49900", "0.004"), mark_of())).order.client_order_id
    core.marks, core.read_once = MarkBook(), set()
    core.state.exposure.watch(core.marks)
    venue.asked.clear()
    with pytest.raises(InvalidRequest):
        await amend(core, cid, limit_price=D(49_900), principal="tester", mark=mark_of("the-change-1"))
    shrunk = await amend(core, cid, quantity=D("0.002"), principal="tester", mark=mark_of("the-change-2"))
    assert (shrunk.status, venue.asked) == (AmendStatus.UPDATED, [])


async def test_what_closes_does_not_wait_for_a_price() -> None:
    core, venue = unfollowed()
    await first_price.read_price(core, replace(market_order(), reduce_only=True))
    assert venue.asked == []


async def test_a_bracket_needs_quotes_that_keep_coming() -> None:
    core, venue = unfollowed()
    order = replace(market_order(), bracket=BracketPlan(stop_loss=D(40_000)))
    result = await submit(core, order, mark_of())
    assert (result.status, result.code, venue.asked) == (SubmitStatus.DENIED, "PRICE_STALE", [])


async def test_prices_follow_the_market_and_grow_old_after_the_wall_clock_was_set_back() -> None:
    core = make_core(limits=policy(price_stale_ms="1000"))
    core.update_quote(quote(core))
    fake(core).clock.set_ms(START_MS - 3_600_000)
    assert (await submit(core, market_order(), mark_of())).status is SubmitStatus.CREATED
    core.update_quote(replace(quote(core), bid=D(40_000), ask=D(40_000)))
    assert core.marks.price(BTC, Market.SPOT) == 40_000
    fake(core).clock.advance(1_001)
    assert (await submit(core, market_order(), mark_of())).code == "PRICE_STALE"


def quote(core: EngineCore) -> Quote:
    return Quote(
        symbol=BTC,
        market=Market.SPOT,
        bid=D(50_000),
        ask=D(50_000),
        bid_quantity=D(1),
        ask_quantity=D(1),
        received_at_s=core.clock.monotonic_s(),
    )
