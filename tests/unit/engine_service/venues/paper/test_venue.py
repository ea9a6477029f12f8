"""The paper venue behind the port: latency, stale markets, restarts, and what the streams tell."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import anyio
import pytest

from engine_service.domain.clock import ManualClock
from engine_service.domain.ids import Market
from engine_service.domain.order_status import OrderSide, OrderStatus
from engine_service.venues.paper.fill_model import Costs, Level
from engine_service.venues.paper.sources import BarsSource, FixedSource, Print
from engine_service.venues.paper.venue import PaperState, PaperVenue
from engine_service.venues.port import AmendRequest
from engine_service.venues.reports import (
    Accepted,
    BarReport,
    NotFoundReport,
    OrderReport,
    OutcomeUnknown,
    Quote,
    Rejected,
)
from tests.unit.engine_service.venues.builders import bitcoin, limit_order, market_order

D = Decimal
SYMBOL = "BTCUSDT.BINANCE"
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def running(venue: PaperVenue) -> AsyncIterator[list[Any]]:
    """Open a venue and drive its market; yields what it told on both streams."""
    told: list[Any] = []

    async def listen(events: Callable[[], Any]) -> None:
        note = told.append
        async for event in events():
            note(event)

    await venue.open()
    async with anyio.create_task_group() as group:
        group.start_soon(listen, venue.user_events)
        group.start_soon(listen, lambda: venue.market_events(Market.SPOT, [SYMBOL], "1m"))
        await anyio.sleep(0.01)
        yield told
        group.cancel_scope.cancel()


def fixed(price: str = "30000", **options: Any) -> tuple[FixedSource, PaperVenue]:
    source = FixedSource([bitcoin()], {SYMBOL: D(price)}, clock=options.pop("clock", None))
    state = options.pop("state", PaperState(balances={"USDT": D(100_000)}))
    return source, PaperVenue(source, state, latency_ms=0, **options)


async def test_a_market_order_fills_at_the_ask_and_is_found_afterwards() -> None:
    _, venue = fixed()
    async with running(venue) as told:
        outcome = await venue.submit(market_order())
        assert isinstance(outcome, Accepted)
        assert outcome.fills[0].price == D("30000.01")
        found = await venue.query_order(market_order())
        assert isinstance(found, OrderReport)
        assert found.status is OrderStatus.FILLED
        assert any(isinstance(event, Quote) and event.ask == D("30000.01") for event in told)
        assert await venue.query_fills(market_order()) == outcome.fills


async def test_an_order_reaches_the_book_only_after_the_latency() -> None:
    source = FixedSource([bitcoin()], {SYMBOL: D(30_000)})
    venue = PaperVenue(source, PaperState(balances={"USDT": D(100_000)}), latency_ms=60)
    async with running(venue):
        async with anyio.create_task_group() as group:
            outcomes: list[Any] = []

            async def send() -> None:
                outcomes.append(await venue.submit(market_order()))

            group.start_soon(send)
            await anyio.sleep(0.01)
            source.set_price(SYMBOL, D(31_000))
        assert outcomes[0].fills[0].price == D("31000.01")


async def test_a_stale_book_fills_nothing() -> None:
    clock = ManualClock(1_760_000_000_000)
    _, venue = fixed(clock=clock)
    async with running(venue):
        clock.advance(10_001)
        outcome = await venue.submit(market_order())
    assert isinstance(outcome, Rejected)
    assert outcome.code == "VENUE_NO_LIQUIDITY"


async def test_a_resting_order_that_trades_is_told_on_the_user_stream() -> None:
    source, venue = fixed()
    async with running(venue) as told:
        order = limit_order(limit_price=D(29_000))
        await venue.submit(order)
        source.push(Print(SYMBOL, Level(D(28_999), D(5)), 1))
        await anyio.sleep(0.02)
        (report,) = [event for event in told if isinstance(event, OrderReport)]
        assert (report.client_order_id, report.status) == (order.client_order_id, OrderStatus.FILLED)


async def test_a_restarted_account_has_its_money_and_its_working_orders_and_no_id_twice() -> None:
    _, first = fixed()
    async with running(first):
        filled = await first.submit(market_order(client_order_id="one"))
        resting = limit_order(limit_price=D(29_000), client_order_id="two")
        accepted = await first.submit(resting)
        before = await first.account(Market.SPOT)
    assert isinstance(filled, Accepted)
    assert isinstance(accepted, Accepted)
    kept = limit_order(
        limit_price=D(29_000),
        client_order_id="two",
        status=OrderStatus.ACCEPTED,
        venue_order_id=accepted.venue_order_id,
    )
    state = PaperState(balances={row.asset: row.total for row in before.balances}, working=(kept,))
    _, second = fixed(state=state)
    async with running(second):
        after = await second.account(Market.SPOT)
        assert after.balances == before.balances
        assert [report.venue_order_id for report in after.open_orders] == [accepted.venue_order_id]
        again = await second.submit(market_order(client_order_id="three"))
        assert isinstance(again, Accepted)
        assert int(again.fills[0].trade_id) > int(filled.fills[0].trade_id)
        assert isinstance(await second.query_order(market_order(client_order_id="never")), NotFoundReport)


async def test_unknown_and_duplicate_ids_are_doubt_as_on_any_venue() -> None:
    _, venue = fixed()
    async with running(venue):
        order = limit_order(limit_price=D(29_000))
        assert isinstance(await venue.cancel(order), OutcomeUnknown)
        await venue.submit(order)
        duplicate = await venue.submit(order)
        assert isinstance(duplicate, OutcomeUnknown)
        assert duplicate.duplicate


async def test_an_amendment_that_crosses_trades_at_once() -> None:
    _, venue = fixed()
    async with running(venue):
        order = limit_order(limit_price=D(29_000))
        await venue.submit(order)
        outcome = await venue.amend(AmendRequest(order=order, limit_price=D(30_500)))
        assert isinstance(outcome, Accepted)
        assert (outcome.status, len(outcome.fills)) == (OrderStatus.FILLED, 1)


async def test_a_replacement_is_a_new_order_for_what_the_old_one_has_not_bought() -> None:
    source, venue = fixed()
    async with running(venue):
        order = limit_order(limit_price=D(29_000), quantity=D(2))
        await venue.submit(order)
        source.push(Print(SYMBOL, Level(D(28_999), D("0.5")), 1))
        await anyio.sleep(0.02)
        outcome = await venue.amend(AmendRequest(order=order, limit_price=D(28_000), replacement_client_order_id="new"))
        assert isinstance(outcome, Accepted)
        (working,) = (await venue.account(Market.SPOT)).open_orders
        assert (working.client_order_id, working.quantity, working.limit_price) == ("new", D("1.5"), D(28_000))
        assert working.venue_order_id == outcome.venue_order_id


async def test_a_replacement_that_is_refused_says_that_the_old_order_is_gone() -> None:
    _, venue = fixed()
    async with running(venue):
        order = limit_order(limit_price=D(29_000))
        await venue.submit(order)
        asked = AmendRequest(order=order, quantity=D(5_000), replacement_client_order_id="new")
        outcome = await venue.amend(asked)
        assert isinstance(outcome, Accepted)
        assert outcome.status is OrderStatus.CANCELED


async def test_recorded_bars_move_the_market_before_they_are_told_as_closed() -> None:
    bars = [
        BarReport(
            symbol=SYMBOL,
            market=Market.SPOT,
            interval="1m",
            open_at_ms=minute * 60_000,
            close_at_ms=(minute + 1) * 60_000,
            open=price,
            high=price + 5,
            low=price - 5,
            close=price + 1,
            volume=10.0,
        )
        for minute, price in enumerate((100.0, 101.0))
    ]
    source = BarsSource([bitcoin()], bars)
    venue = PaperVenue(source, PaperState(balances={"USDT": D(1000)}), costs=Costs(half_spread_bps=D(0)), latency_ms=0)
    await venue.open()
    prices: list[Any] = []
    async for event in venue.market_events(Market.SPOT, [SYMBOL], "1m"):
        if isinstance(event, BarReport):
            order = market_order(client_order_id=str(event.open_at_ms), side=OrderSide.BUY)
            outcome = await venue.submit(order)
            assert isinstance(outcome, Accepted)
            prices.append((outcome.fills[0].price, outcome.fills[0].at_ms))
    assert prices == [(D("101.0"), 60_000), (D("102.0"), 120_000)]
