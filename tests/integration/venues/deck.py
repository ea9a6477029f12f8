"""The conformance cases. A venue is enabled when it passes them; their numbers stay when their wording changes.

A module binds the deck to one adapter by subclassing it and giving a ``rig`` fixture, so that each adapter has an
exchange process of its own.
"""

from __future__ import annotations

from decimal import Decimal

import anyio
import pytest
from msgspec.structs import replace

from engine_service.domain.ids import Market
from engine_service.domain.money import ZERO
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType, TimeInForce
from engine_service.venues.port import AmendRequest
from engine_service.venues.reports import (
    Accepted,
    BarReport,
    NotFoundReport,
    OrderReport,
    OutcomeUnknown,
    Quote,
    Rejected,
    StreamStatus,
)
from tests.integration.venues.rig import Rig, eventually, placed

ENDED = {OrderStatus.EXPIRED, OrderStatus.CANCELED}


@pytest.mark.anyio
class VenueDeck:
    """Cases that every venue passes."""

    #: The interval whose bars the venue serves and streams.
    interval = "1s"

    # --- placing ------------------------------------------------------------------------------------------------

    async def test_tc01_a_market_order_fills_at_a_price_near_the_market(self, rig: Rig) -> None:
        order, price = rig.order(), rig.price()
        outcome = await rig.accepted(order)
        assert outcome.status is OrderStatus.FILLED
        assert outcome.executed_quantity == order.quantity
        fills = await rig.venue.query_fills(placed(order, outcome))
        assert isinstance(fills, tuple)
        assert sum(fill.quantity for fill in fills) == order.quantity
        assert all(abs(fill.price / price - 1) < Decimal("0.01") for fill in fills)
        assert all(fill.fee > ZERO and fill.fee_asset for fill in fills)

    async def test_tc02_a_limit_order_below_the_market_rests_and_is_found_by_the_engines_id(self, rig: Rig) -> None:
        order = rig.resting()
        outcome = await rig.accepted(order)
        assert outcome.status is OrderStatus.ACCEPTED
        for found in (await rig.venue.query_order(order), await rig.venue.query_open_order(order)):
            assert isinstance(found, OrderReport)
            assert (found.client_order_id, found.status) == (order.client_order_id, OrderStatus.ACCEPTED)
            assert (found.venue_order_id, found.limit_price) == (outcome.venue_order_id, order.limit_price)
        await rig.venue.cancel(order)

    async def test_tc03_immediate_or_cancel_away_from_the_market_ends_unfilled(self, rig: Rig) -> None:
        outcome = await rig.accepted(rig.resting(time_in_force=TimeInForce.IOC))
        assert (outcome.status, outcome.executed_quantity) == (OrderStatus.EXPIRED, ZERO)

    async def test_tc04_fill_or_kill_away_from_the_market_trades_nothing(self, rig: Rig) -> None:
        order = rig.resting(time_in_force=TimeInForce.FOK)
        outcome = await rig.venue.submit(order)
        assert isinstance(outcome, Rejected) or (
            isinstance(outcome, Accepted) and outcome.status is OrderStatus.EXPIRED
        )

    async def test_tc05_post_only_that_would_take_trades_nothing(self, rig: Rig) -> None:
        order = rig.resting(limit_price=rig.price("0.01"), post_only=True)
        outcome = await rig.venue.submit(order)
        if isinstance(outcome, Accepted):
            assert outcome.status in ENDED
        else:
            assert isinstance(outcome, Rejected)
            assert outcome.code == "VENUE_WOULD_TAKE"

    async def test_tc06_a_limit_order_larger_than_the_top_of_the_book_fills_in_part_and_rests(self, rig: Rig) -> None:
        if rig.market is Market.SPOT:
            await rig.accepted(rig.order())
            rig.deposit("500000")
        with rig.frozen():
            await anyio.sleep(0.3)
            top = rig.top_ask()
            order = rig.order(type=OrderType.LIMIT, limit_price=top.price, quantity=top.quantity * 2)
            outcome = await rig.accepted(order)
        assert outcome.status is OrderStatus.PARTIALLY_FILLED
        assert order.quantity is not None
        assert ZERO < outcome.executed_quantity < order.quantity
        await rig.venue.cancel(order)

    async def test_tc07_a_cancelled_order_is_cancelled_at_the_venue_too(self, rig: Rig) -> None:
        order = rig.resting()
        await rig.accepted(order)
        outcome = await rig.venue.cancel(order)
        assert isinstance(outcome, Accepted)
        assert outcome.status is OrderStatus.CANCELED
        found = await rig.venue.query_order(order)
        assert isinstance(found, OrderReport)
        assert found.status is OrderStatus.CANCELED
        assert isinstance(await rig.venue.query_open_order(order), NotFoundReport)

    async def test_tc08_a_cancel_of_an_unknown_order_is_doubt_and_no_proof(self, rig: Rig) -> None:
        outcome = await rig.venue.cancel(rig.resting())
        assert isinstance(outcome, OutcomeUnknown)
        # The venue is well: what it does not know is no failure of its.
        assert outcome.answered

    async def test_tc09_a_duplicate_id_asks_to_look_the_order_up(self, rig: Rig) -> None:
        order = rig.resting()
        await rig.accepted(order)
        outcome = await rig.venue.submit(order)
        assert isinstance(outcome, OutcomeUnknown)
        assert outcome.duplicate
        await rig.venue.cancel(order)

    async def test_tc10_an_order_that_cannot_be_paid_is_refused_by_name(self, rig: Rig) -> None:
        outcome = await rig.venue.submit(rig.order(quantity=rig.quantity * 20_000))
        assert isinstance(outcome, Rejected)
        assert outcome.code == "VENUE_INSUFFICIENT_FUNDS"

    async def test_tc11_a_quantity_off_the_step_is_refused_by_name(self, rig: Rig) -> None:
        outcome = await rig.venue.submit(rig.order(quantity=rig.quantity + rig.instrument.step / 3))
        assert isinstance(outcome, Rejected)
        assert outcome.code in {"VENUE_FILTER_FAILURE", "VENUE_BAD_REQUEST"}

    # --- reading ------------------------------------------------------------------------------------------------

    async def test_tc12_an_order_that_was_never_sent_is_not_found_at_any_endpoint(self, rig: Rig) -> None:
        order = rig.resting()
        assert isinstance(await rig.venue.query_order(order), NotFoundReport)
        assert isinstance(await rig.venue.query_open_order(order), NotFoundReport)
        assert await rig.venue.query_fills(order) == ()

    async def test_tc13_the_fills_of_an_order_are_found_without_the_venues_id(self, rig: Rig) -> None:
        order = rig.order()
        outcome = await rig.accepted(order)
        fills = await rig.venue.query_fills(order)
        assert isinstance(fills, tuple)
        assert {fill.client_order_id for fill in fills} == {order.client_order_id}
        assert {fill.venue_order_id for fill in fills} == {outcome.venue_order_id}
        if outcome.fills:
            assert {fill.key for fill in fills} == {fill.key for fill in outcome.fills}

    async def test_tc13_also_where_our_wall_clock_was_an_hour_ahead_when_it_was_sent(self, rig: Rig) -> None:
        sent_ms = rig.venue.venue_time_ms()
        hour_ahead, fence_at_ms = sent_ms + 3_600_000, sent_ms + rig.venue.info.window.fence_ms
        order = rig.order(created_at_ms=hour_ahead, sent_at_ms=hour_ahead, fence_at_ms=fence_at_ms)
        outcome = await rig.accepted(order)
        fills = await rig.venue.query_fills(order)
        assert isinstance(fills, tuple)
        assert {fill.venue_order_id for fill in fills} == {outcome.venue_order_id}

    async def test_tc14_the_account_shows_balances_and_working_orders(self, rig: Rig) -> None:
        order = rig.resting()
        await rig.accepted(order)
        account = await rig.venue.account(rig.market)
        assert any(balance.asset == "USDT" and balance.total > ZERO for balance in account.balances)
        assert order.client_order_id in {report.client_order_id for report in account.open_orders}
        assert account.can_withdraw is not True
        await rig.venue.cancel(order)

    async def test_tc15_fills_are_paged_by_trade_id_and_by_time_each_once_and_in_order(self, rig: Rig) -> None:
        since_ms = rig.venue.venue_time_ms() - 1
        first = await rig.accepted(rig.order())
        orders = [rig.order() for _ in range(3)]
        for order in orders:
            await rig.accepted(order)
        by_time = await rig.venue.fills_since(rig.market, rig.symbol, None, since_ms)
        numbers = [int(fill.trade_id) for fill in by_time]
        assert numbers == sorted(set(numbers))
        mine = [fill for fill in by_time if fill.venue_order_id == first.venue_order_id]
        after = await rig.venue.fills_since(rig.market, rig.symbol, mine[-1].trade_id, since_ms)
        assert {fill.client_order_id for fill in after} == {order.client_order_id for order in orders}

    async def test_tc16_bars_are_closed_and_in_order(self, rig: Rig) -> None:
        bars = await rig.venue.bars(rig.market, rig.symbol, self.interval, 20)
        assert len(bars) == 20
        assert all(bar.closed for bar in bars)
        opened = [bar.open_at_ms for bar in bars]
        assert opened == sorted(set(opened))
        assert bars[-1].close_at_ms <= rig.venue.venue_time_ms() + 1

    # --- streams ------------------------------------------------------------------------------------------------

    async def test_tc17_quotes_and_bars_arrive_on_the_market_stream(self, rig: Rig) -> None:
        recorder = rig.market_events(self.interval)
        quote = await recorder.until(Quote)
        assert ZERO < quote.bid <= quote.ask
        bar = await recorder.until(BarReport, lambda bar: bar.closed or self.interval != "1s")
        assert bar.symbol == rig.symbol
        assert bar.low <= bar.close <= bar.high

    async def test_tc18_a_resting_order_that_trades_later_is_told_on_the_user_stream(self, rig: Rig) -> None:
        recorder = rig.user_events()
        await recorder.until(StreamStatus, lambda status: status.connected)
        order = rig.resting(limit_price=rig.price("-0.003"))
        outcome = await rig.accepted(order)
        rig.jump("-0.02")
        report = await recorder.until(
            OrderReport, lambda report: report.client_order_id == order.client_order_id and report.fill
        )
        assert report.venue_order_id == outcome.venue_order_id
        assert report.fill is not None
        assert order.limit_price is not None
        assert report.fill.price <= order.limit_price

    # --- changing -----------------------------------------------------------------------------------------------

    async def test_tc19_a_smaller_quantity_keeps_the_order_and_its_id(self, rig: Rig) -> None:
        order = rig.resting(quantity=rig.quantity * 3)
        before = await rig.accepted(order)
        smaller = rig.quantity * 2
        outcome = await rig.venue.amend(AmendRequest(order=order, quantity=smaller))
        assert isinstance(outcome, Accepted), outcome
        assert outcome.venue_order_id == before.venue_order_id
        found = await rig.venue.query_order(order)
        assert isinstance(found, OrderReport)
        assert found.quantity == smaller
        await rig.venue.cancel(order)

    async def test_tc20_a_new_price_is_a_working_order_with_that_price(self, rig: Rig) -> None:
        order = rig.resting()
        await rig.accepted(order)
        price = rig.price("-0.03")
        replacement = rig.order().client_order_id
        request = AmendRequest(order=order, limit_price=price, replacement_client_order_id=replacement)
        outcome = await rig.venue.amend(request)
        assert isinstance(outcome, Accepted), outcome
        account = await rig.venue.account(rig.market)
        working = [row for row in account.open_orders if row.venue_order_id == outcome.venue_order_id]
        assert [row.limit_price for row in working] == [price]
        await rig.venue.cancel(replace(order, client_order_id=working[0].client_order_id))

    # --- conditional orders -------------------------------------------------------------------------------------

    async def test_tc21_a_stop_order_waits_is_found_and_can_be_cancelled(self, rig: Rig) -> None:
        await rig.accepted(rig.order())
        order = rig.stop()
        outcome = await rig.accepted(order)
        found = await rig.venue.query_order(order)
        assert isinstance(found, OrderReport)
        assert (found.status, found.type) == (OrderStatus.ACCEPTED, OrderType.STOP_MARKET)
        assert found.venue_order_id == outcome.venue_order_id
        assert isinstance(await rig.venue.query_open_order(order), OrderReport)
        cancelled = await rig.venue.cancel(order)
        assert isinstance(cancelled, Accepted)
        assert cancelled.status is OrderStatus.CANCELED

    async def test_tc22_a_triggered_stop_sells_and_is_told_under_one_id(self, rig: Rig) -> None:
        recorder = rig.user_events()
        await recorder.until(StreamStatus, lambda status: status.connected)
        await rig.accepted(rig.order())
        order = rig.stop(stop_price=rig.price("-0.005"))
        outcome = await rig.accepted(order)
        rig.jump("-0.02")
        report = await recorder.until(
            OrderReport, lambda report: report.client_order_id == order.client_order_id and report.fill
        )
        assert report.venue_order_id == outcome.venue_order_id
        found = await eventually(lambda: rig.venue.query_order(order), lambda found: found.status is OrderStatus.FILLED)
        assert found.executed_quantity == order.quantity
        fills = await rig.venue.query_fills(placed(order, outcome))
        assert isinstance(fills, tuple)
        assert sum(fill.quantity for fill in fills) == order.quantity
        assert all(fill.side is OrderSide.SELL for fill in fills)
