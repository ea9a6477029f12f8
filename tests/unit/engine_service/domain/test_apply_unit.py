"""An order's events as one unit leave the state that one by one they leave."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.apply import IllegalEvent, apply
from engine_service.domain.apply_unit import apply_unit, step
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.marks import Mark, MarkBook
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType
from engine_service.domain.state import EngineState

D = Decimal
SYMBOL = "BTCUSDT.BINANCE"


def order(number: int, side: OrderSide) -> Order:
    return Order(
        client_order_id=f"c{number}",
        symbol=SYMBOL,
        market=Market.FUTURES,
        side=side,
        type=OrderType.MARKET,
        status=OrderStatus.INITIALIZED,
        quantity=D(3),
        strategy="s",
        base="BTC",
        quote="USDT",
        unit_value=D(100),
        created_at_ms=number,
    )


def life(one: Order, number: int, parts: tuple[str, ...]) -> list[e.OrderEvent]:
    """Return submission, acceptance and one fill a part of an order."""
    known: dict[str, Any] = {"at_ms": number, "client_order_id": one.client_order_id}
    events: list[e.OrderEvent] = [
        e.OrderSubmitted(**known, sent_at_ms=number, fence_at_ms=number),
        e.OrderAccepted(**known, venue_order_id=f"v{number}"),
    ]
    for index, part in enumerate(parts):
        fill = Fill(
            venue="BINANCE",
            market=Market.FUTURES,
            symbol=SYMBOL,
            trade_id=f"{number}-{index}",
            client_order_id=one.client_order_id,
            venue_order_id=f"v{number}",
            side=one.side,
            price=D(100) + number,
            quantity=D(part),
            fee=D("0.05"),
            fee_asset="USDT",
            at_ms=number,
        )
        events.append(
            e.OrderFilled(**known, fill=fill, base="BTC", quote="USDT", quote_rate=D(1), fee_rate=D(1), strategy="s")
        )
    return events


def state() -> EngineState:
    fresh, marks = EngineState(), MarkBook()
    fresh.exposure.watch(marks)
    marks.update(Mark(symbol=SYMBOL, market=Market.FUTURES, bid=D(101), ask=D(103), at_s=1))
    return fresh


def assert_same(unit: EngineState, single: EngineState) -> None:
    assert unit.image.orders == single.image.orders
    assert unit.image.fills == single.image.fills
    assert unit.image.portfolio == single.image.portfolio
    assert unit.image.funding_ids == single.image.funding_ids
    assert unit.exposure.lines == single.exposure.lines
    assert unit.exposure.totals == single.exposure.totals
    assert unit.open_orders == single.open_orders


LIVES = [(OrderSide.BUY, ("3",)), (OrderSide.SELL, ("1", "2")), (OrderSide.SELL, ("3",)), (OrderSide.BUY, ("1",))]


@pytest.mark.parametrize("sent_before", [False, True])
def test_books_exposure_and_orders_are_the_same_either_way(sent_before: bool) -> None:
    single, unit = state(), state()
    for number, (side, parts) in enumerate(LIVES, start=1):
        one = order(number, side)
        events = life(one, number, parts)
        apply(single, e.OrderInitialized(at_ms=number, client_order_id=one.client_order_id, order=one))
        for event in events:
            apply(single, event)
        begun, rest = (step(one, events[0]), events[1:]) if sent_before else (one, events)
        assert apply_unit(unit, begun, rest) == single.order(one.client_order_id)
        assert_same(unit, single)
    assert [one.status for one in unit.open_orders.values()] == [OrderStatus.PARTIALLY_FILLED]


def test_two_events_that_are_not_a_whole_fill_take_both_steps() -> None:
    single, unit, one = state(), state(), order(1, OrderSide.BUY)
    submitted, accepted, *fills = life(one, 1, ("1", "2"))
    apply(single, e.OrderInitialized(at_ms=1, client_order_id=one.client_order_id, order=one))
    for event in (submitted, accepted, *fills):
        apply(single, event)
    begun = apply_unit(unit, one, [submitted, accepted])
    assert begun.status is OrderStatus.ACCEPTED
    apply_unit(unit, begun, fills)
    assert_same(unit, single)


def test_what_is_no_event_of_the_order_is_applied_beside_it() -> None:
    single, unit, one = state(), state(), order(1, OrderSide.BUY)
    paid = e.FundingPaid(
        at_ms=1, venue="BINANCE", symbol=SYMBOL, asset="USDT", amount=D("-0.5"), rate=D(1), income_id="i1"
    )
    submitted, *rest = life(one, 1, ("3",))
    apply(single, e.OrderInitialized(at_ms=1, client_order_id=one.client_order_id, order=one))
    for event in (submitted, *rest, paid):
        apply(single, event)
    apply_unit(unit, one, [submitted, paid, *rest])
    assert_same(unit, single)
    assert unit.image.funding_ids == ["i1"]


def test_an_event_that_no_rule_allows_is_a_defect() -> None:
    one = order(1, OrderSide.BUY)
    with pytest.raises(IllegalEvent):
        apply_unit(state(), one, life(one, 1, ())[1:])


def test_an_event_that_no_rule_allows_leaves_the_books_alone() -> None:
    one, fresh = order(1, OrderSide.BUY), state()
    submitted, *rest = life(one, 1, ("3",))
    with pytest.raises(IllegalEvent):
        apply_unit(fresh, one, [submitted, *rest, submitted])
    assert fresh.image.portfolio == state().image.portfolio
    assert (fresh.image.orders, fresh.image.fills) == ({}, {})


def test_a_changed_order_is_a_new_one_and_knows_its_fields() -> None:
    one = order(1, OrderSide.BUY)
    other = replace(one, status=OrderStatus.FILLED, filled_quantity=D(3))
    assert (one.status, one.filled_quantity) == (OrderStatus.INITIALIZED, D(0))
    assert (other.status, other.filled_quantity, other.quantity) == (OrderStatus.FILLED, D(3), D(3))
    with pytest.raises(TypeError, match="stattus"):
        replace(one, stattus=OrderStatus.FILLED)
