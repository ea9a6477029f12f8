"""The state after events: what an order reserves and releases, and that a copy of the image is the same state."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.apply import IllegalEvent, apply
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.marks import Mark, MarkBook
from engine_service.domain.order import Order
from engine_service.domain.order_status import Doubt, OrderSide, OrderStatus, OrderType
from engine_service.domain.state import FINISHED_KEPT, FINISHED_LOT, EngineState, StateImage
from engine_service.storage.codec import decode, encode
from engine_service.storage.snapshots import state_hash

D = Decimal


def an_order(cid: str = "c1", quantity: str = "2", side: OrderSide = OrderSide.BUY) -> Order:
    return Order(
        client_order_id=cid,
        symbol="BTCUSDT.BINANCE",
        market=Market.SPOT,
        side=side,
        type=OrderType.LIMIT,
        status=OrderStatus.INITIALIZED,
        quantity=D(quantity),
        limit_price=D("100"),
        base="BTC",
        quote="USDT",
        unit_value=D("100"),
        reserve_asset="USDT",
        reserve_per_unit=D("101"),
        why={"model": "rm-1"},
    )


def working(state: EngineState, cid: str = "c1", quantity: str = "2") -> None:
    apply(state, e.OrderInitialized(at_ms=1, client_order_id=cid, order=an_order(cid, quantity)))
    apply(state, e.OrderSubmitted(at_ms=1, client_order_id=cid, sent_at_ms=1, fence_at_ms=2))
    apply(state, e.OrderAccepted(at_ms=2, client_order_id=cid, venue_order_id=f"v-{cid}"))


def filled(cid: str, quantity: str, trade_id: str = "1") -> e.OrderFilled:
    fill = Fill(
        venue="BINANCE",
        market=Market.SPOT,
        symbol="BTCUSDT.BINANCE",
        trade_id=trade_id,
        client_order_id=cid,
        venue_order_id=f"v-{cid}",
        side=OrderSide.BUY,
        price=D("100"),
        quantity=D(quantity),
    )
    return e.OrderFilled(
        at_ms=3, client_order_id=cid, fill=fill, base="BTC", quote="USDT", quote_rate=D(1), fee_rate=D(1)
    )


def funded() -> EngineState:
    state = EngineState()
    apply(
        state,
        e.BalanceAdjusted(
            at_ms=0,
            venue="BINANCE",
            market=Market.SPOT,
            asset="USDT",
            amount=D("1000"),
            rate=D(1),
            kind=e.AdjustmentKind.OPENING,
        ),
    )
    return state


def test_an_order_reserves_exposure_and_funds_until_they_are_filled_or_freed() -> None:
    state = funded()
    working(state)
    assert state.exposure.totals.worst == D("200")
    assert state.exposure.reserved["BINANCE|spot|USDT"] == D("202")
    apply(state, filled("c1", "0.5"))
    assert state.exposure.totals.worst == D("200")
    assert state.exposure.reserved["BINANCE|spot|USDT"] == D("151.5")
    apply(state, e.OrderCanceled(at_ms=4, client_order_id="c1"))
    assert state.exposure.totals.worst == D("50")
    assert state.exposure.reserved["BINANCE|spot|USDT"] == 0


def test_a_late_fill_after_cancel_still_moves_the_position() -> None:
    state = funded()
    working(state)
    apply(state, e.OrderCanceled(at_ms=4, client_order_id="c1"))
    apply(state, filled("c1", "0.5"))
    order = state.order("c1")
    assert order is not None
    assert (order.status, order.late_fill, order.filled_quantity) == (OrderStatus.CANCELED, True, D("0.5"))
    assert state.portfolio.holding("BINANCE", Market.SPOT, "BTC") == D("0.5")


def test_a_refused_cancel_puts_the_order_back_where_it_rested() -> None:
    state = funded()
    working(state)
    apply(state, e.OrderPendingCancel(at_ms=4, client_order_id="c1"))
    apply(state, filled("c1", "0.5"))
    apply(state, e.OrderCancelRejected(at_ms=5, client_order_id="c1", code="X"))
    order = state.order("c1")
    assert order is not None
    assert order.status is OrderStatus.PARTIALLY_FILLED


def test_a_fill_in_the_middle_of_a_doubtful_cancel_leaves_the_doubt() -> None:
    state = funded()
    working(state)
    apply(state, e.OrderPendingCancel(at_ms=4, client_order_id="c1"))
    apply(state, e.OrderInDoubt(at_ms=5, client_order_id="c1", doubt=Doubt.CANCEL))
    apply(state, filled("c1", "0.5"))
    assert "c1" in state.in_doubt
    apply(state, filled("c1", "1.5", "2"))
    assert state.in_doubt == {}


def test_an_event_that_no_rule_allows_is_refused_by_apply() -> None:
    state = funded()
    working(state)
    with pytest.raises(IllegalEvent):
        apply(state, e.OrderDenied(at_ms=3, client_order_id="c1", code="X", reason=""))
    with pytest.raises(IllegalEvent):
        apply(state, e.OrderAccepted(at_ms=3, client_order_id="nobody", venue_order_id="v"))


def test_an_image_survives_its_encoding_with_everything_derived_from_it() -> None:
    state = funded()
    working(state)
    apply(state, filled("c1", "0.5"))
    working(state, "c2")
    again = EngineState(decode(StateImage, encode(state.image)))
    assert state_hash(again) == state_hash(state)
    assert again.exposure.totals.worst == state.exposure.totals.worst
    assert again.exposure.reserved["BINANCE|spot|USDT"] == state.exposure.reserved["BINANCE|spot|USDT"]
    assert again.order_by_venue_id("BTCUSDT.BINANCE", "v-c2") == state.order("c2")


def test_finished_orders_leave_memory_and_open_ones_stay() -> None:
    state = funded()
    working(state, "open")
    for number in range(FINISHED_KEPT + FINISHED_LOT):
        cid = f"c{number}"
        apply(state, e.OrderInitialized(at_ms=1, client_order_id=cid, order=an_order(cid)))
        apply(state, e.OrderDenied(at_ms=1, client_order_id=cid, code="X", reason=""))
    assert len(state.image.orders) == FINISHED_KEPT + 1
    assert state.order("open") is not None
    assert state.order("c0") is None


def test_marks_move_exposure_and_equity_and_a_holding_without_a_price_counts_at_cost() -> None:
    state = funded()
    working(state)
    apply(state, filled("c1", "2"))
    assert state.exposure.equity == D("1000")
    marks = MarkBook()
    state.exposure.watch(marks)
    marks.update(Mark(symbol="BTCUSDT.BINANCE", market=Market.SPOT, bid=D("149"), ask=D("151"), at_s=1))
    assert state.exposure.equity == D("1100")
    assert state.exposure.totals.worst == D("300")


def test_a_deposit_is_no_new_peak_and_a_withdrawal_no_drawdown() -> None:
    state = funded()
    apply(
        state,
        e.EquityRecorded(
            at_ms=0,
            equity=D("1000"),
            peak=D("1200"),
            day_start=D("1100"),
            realised_pnl=D(0),
            unrealised_pnl=D(0),
            fees=D(0),
            funding=D(0),
            transfers=D(0),
        ),
    )
    apply(
        state,
        e.BalanceAdjusted(
            at_ms=1,
            venue="BINANCE",
            market=Market.SPOT,
            asset="USDT",
            amount=D("-400"),
            rate=D(1),
            kind=e.AdjustmentKind.TRANSFER,
        ),
    )
    assert state.image.equity is not None
    assert (state.image.equity.peak, state.image.equity.day_start) == (D("800"), D("700"))


def test_an_ether_bitcoin_order_is_exposure_in_ether() -> None:
    state = funded()
    order = Order(
        client_order_id="x",
        symbol="ETHBTC.BINANCE",
        market=Market.SPOT,
        side=OrderSide.BUY,
        type=OrderType.LIMIT,
        status=OrderStatus.INITIALIZED,
        quantity=D("1"),
        base="ETH",
        quote="BTC",
        unit_value=D("2500"),
    )
    apply(state, e.OrderInitialized(at_ms=1, client_order_id="x", order=order))
    assert state.exposure.worst("ETHUSDT.BINANCE|spot") == D("2500")


def changing(quantity: str, filled_first: str = "") -> EngineState:
    """An order of 2, perhaps traded in part, of which a change to another size is on its way."""
    state = funded()
    working(state)
    if filled_first:
        apply(state, filled("c1", filled_first, "first"))
    apply(state, e.OrderPendingUpdate(at_ms=4, client_order_id="c1", quantity=D(quantity)))
    return state


def the_order(state: EngineState) -> Order:
    order = state.order("c1")
    assert order is not None
    return order


@pytest.mark.parametrize(("changed_to", "exposure", "funds"), [("3", "300", "303"), ("1", "200", "202")])
def test_while_a_change_is_on_its_way_the_larger_size_is_reserved(changed_to: str, exposure: str, funds: str) -> None:
    state = changing(changed_to)
    assert state.exposure.totals.worst == D(exposure)
    assert state.exposure.reserved["BINANCE|spot|USDT"] == D(funds)
    apply(state, e.OrderUpdateRejected(at_ms=5, client_order_id="c1", code="X"))
    assert state.exposure.totals.worst == D("200")
    assert state.exposure.reserved["BINANCE|spot|USDT"] == D("202")


def test_a_trade_beyond_the_old_size_proves_that_the_change_was_done() -> None:
    state = changing("3")
    apply(state, filled("c1", "2.5"))
    assert (the_order(state).quantity, the_order(state).status) == (D(3), OrderStatus.PENDING_UPDATE)
    assert state.exposure.reserved["BINANCE|spot|USDT"] == D("50.5")
    apply(state, filled("c1", "0.5", "2"))
    assert the_order(state).status is OrderStatus.FILLED
    assert state.exposure.reserved["BINANCE|spot|USDT"] == 0


def test_a_trade_up_to_the_old_size_leaves_the_change_open_and_its_refusal_completes_the_order() -> None:
    state = changing("3")
    apply(state, filled("c1", "2"))
    assert (the_order(state).quantity, the_order(state).status) == (D(2), OrderStatus.PENDING_UPDATE)
    assert state.exposure.reserved["BINANCE|spot|USDT"] == D("101")
    apply(state, e.OrderUpdateRejected(at_ms=5, client_order_id="c1", code="X"))
    assert the_order(state).status is OrderStatus.FILLED
    assert state.exposure.reserved["BINANCE|spot|USDT"] == 0


def test_a_trade_up_to_the_old_size_and_a_change_that_was_done_leave_the_rest_working() -> None:
    state = changing("3", filled_first="0.5")
    apply(state, filled("c1", "1.5"))
    apply(state, e.OrderUpdated(at_ms=5, client_order_id="c1", quantity=D(3)))
    assert (the_order(state).quantity, the_order(state).status) == (D(3), OrderStatus.PARTIALLY_FILLED)
    assert the_order(state).remaining_quantity == D(1)


def test_a_refused_change_of_an_order_that_has_not_traded_puts_it_back() -> None:
    state = changing("3")
    apply(state, e.OrderUpdateRejected(at_ms=5, client_order_id="c1", code="X", reason="no"))
    order = the_order(state)
    assert (order.status, order.pending_quantity, order.code, order.reason) == (OrderStatus.ACCEPTED, None, "X", "no")
    assert order.greatest_quantity == D(2)


def test_an_order_of_unknown_size_can_trade_nothing_that_is_known() -> None:
    order = replace(an_order(), quantity=None, pending_quantity=D(3))
    assert (order.greatest_quantity, order.unfilled_at_most, order.reserved_funds) == (None, D(0), D(0))
