"""One cancels the other: of two legs at most one trades, and the money of one is all that is ever locked."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine_service.exchange_sim.enums import Market, OrderStatus, OrderType, Side, TimeInForce
from engine_service.exchange_sim.events import ListEvent
from engine_service.exchange_sim.model import NewOrder, OrderList, SimOrder
from engine_service.exchange_sim.order_lists import OcoTicket
from tests.unit.engine_service.exchange_sim.market_floor import ALICE, Floor, refusal

D = Decimal
QUANTITY = D("0.1")


def leg(side: Side, kind: OrderType, *, price: Decimal | None = None, stop: Decimal | None = None) -> NewOrder:
    needs_time = kind in (OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT)
    return NewOrder(
        Market.SPOT,
        "BTCUSDT",
        side,
        kind,
        QUANTITY,
        price=price,
        stop_price=stop,
        time_in_force=TimeInForce.GTC if needs_time else None,
    )


def last(floor: Floor) -> Decimal:
    return floor.exchange.market_data.last_price(Market.SPOT, "BTCUSDT").quantize(D(1))


def oco(floor: Floor, side: Side, list_client_id: str = "") -> OcoTicket:
    """Limit maker on the profit side, market stop on the other, one per cent away."""
    up, down = last(floor) * D("1.01"), last(floor) * D("0.99")
    up, down = up.quantize(D("0.01")), down.quantize(D("0.01"))
    if side is Side.SELL:
        profit, loss = leg(side, OrderType.LIMIT_MAKER, price=up), leg(side, OrderType.STOP_LOSS, stop=down)
        return OcoTicket(above=profit, below=loss, list_client_id=list_client_id)
    profit, loss = leg(side, OrderType.LIMIT_MAKER, price=down), leg(side, OrderType.STOP_LOSS, stop=up)
    return OcoTicket(above=loss, below=profit, list_client_id=list_client_id)


def place(floor: Floor, ticket: OcoTicket) -> tuple[OrderList, dict[OrderType, SimOrder]]:
    found, legs = floor.exchange.lists.place(ALICE, ticket)
    return found, {order.type: order for order in legs}


def now(floor: Floor, order: SimOrder) -> SimOrder:
    return floor.exchange.orders.get(ALICE, Market.SPOT, "BTCUSDT", order.order_id)


@pytest.mark.parametrize("side", list(Side))
def test_a_list_locks_the_money_of_one_leg(side: Side) -> None:
    floor = Floor()
    ticket = oco(floor, side)
    _, legs = place(floor, ticket)
    costs = [QUANTITY * (one.price or one.stop_price or D(0)) for one in ticket.legs]
    assert floor.locked(ALICE, "BTC") == (QUANTITY if side is Side.SELL else 0)
    assert floor.locked(ALICE, "USDT") == (0 if side is Side.SELL else max(costs))
    assert {order.status for order in legs.values()} == {OrderStatus.NEW}
    assert [e.order_list.is_done for e in floor.events if isinstance(e, ListEvent)] == [False]
    floor.assert_conserved()


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("wins", [OrderType.LIMIT_MAKER, OrderType.STOP_LOSS])
def test_one_leg_trades_and_the_other_expires(side: Side, wins: OrderType) -> None:
    floor = Floor()
    found, legs = place(floor, oco(floor, side))
    upward = (wins is OrderType.LIMIT_MAKER) is (side is Side.SELL)
    floor.exchange.market.jump("BTCUSDT", 0.03 if upward else -0.03)
    floor.run(2000)
    loses = OrderType.STOP_LOSS if wins is OrderType.LIMIT_MAKER else OrderType.LIMIT_MAKER
    assert now(floor, legs[wins]).status is OrderStatus.FILLED
    assert now(floor, legs[loses]).status is OrderStatus.EXPIRED
    assert now(floor, legs[loses]).executed_quantity == 0
    assert floor.exchange.lists.get(ALICE, found.list_id, None).is_done
    assert [e.order_list.is_done for e in floor.events if isinstance(e, ListEvent)] == [False, True]
    assert floor.locked(ALICE, "BTC") == floor.locked(ALICE, "USDT") == 0
    floor.assert_conserved()


@pytest.mark.parametrize("kind", [OrderType.LIMIT_MAKER, OrderType.STOP_LOSS])
def test_cancelling_one_leg_cancels_both(kind: OrderType) -> None:
    floor = Floor()
    found, legs = place(floor, oco(floor, Side.SELL))
    floor.exchange.orders.cancel(ALICE, Market.SPOT, "BTCUSDT", legs[kind].order_id)
    assert {now(floor, order).status for order in legs.values()} == {OrderStatus.CANCELED}
    for order in legs.values():
        assert len([r for r in floor.reports(order.order_id) if r.order.status is OrderStatus.CANCELED]) == 1
    assert floor.exchange.lists.get(ALICE, found.list_id, None).is_done
    assert floor.locked(ALICE, "BTC") == 0


def test_cancelling_everything_ends_each_leg_once() -> None:
    floor = Floor()
    _, legs = place(floor, oco(floor, Side.SELL))
    floor.exchange.orders.cancel_all(ALICE, Market.SPOT, "BTCUSDT")
    for order in legs.values():
        assert len([r for r in floor.reports(order.order_id) if r.order.status is OrderStatus.CANCELED]) == 1


def test_a_list_is_cancelled_by_its_client_id_and_then_unknown() -> None:
    floor = Floor()
    place(floor, oco(floor, Side.SELL, "my-list"))
    done, legs = floor.exchange.lists.cancel(ALICE, "BTCUSDT", client_id="my-list")
    assert done.is_done
    assert {order.status for order in legs} == {OrderStatus.CANCELED}
    assert refusal(lambda: floor.exchange.lists.cancel(ALICE, "BTCUSDT", client_id="my-list"))[0] == -2011


def test_two_conditional_legs_share_one_lock_too() -> None:
    floor = Floor()
    up, down = last(floor) + 500, last(floor) - 500
    ticket = OcoTicket(
        above=leg(Side.SELL, OrderType.TAKE_PROFIT, stop=up),
        below=leg(Side.SELL, OrderType.STOP_LOSS_LIMIT, stop=down, price=down - 50),
    )
    _, legs = place(floor, ticket)
    assert floor.locked(ALICE, "BTC") == QUANTITY
    floor.exchange.market.jump("BTCUSDT", -0.03)
    floor.run(2000)
    assert now(floor, legs[OrderType.TAKE_PROFIT]).status is OrderStatus.EXPIRED
    floor.assert_conserved()


def test_prices_on_the_wrong_side_are_refused_and_change_nothing() -> None:
    floor = Floor()
    up, down = last(floor) + 500, last(floor) - 500
    crossed = OcoTicket(
        above=leg(Side.SELL, OrderType.LIMIT_MAKER, price=up), below=leg(Side.SELL, OrderType.STOP_LOSS, stop=up - 100)
    )
    swapped = OcoTicket(
        above=leg(Side.SELL, OrderType.STOP_LOSS, stop=up), below=leg(Side.SELL, OrderType.LIMIT_MAKER, price=down)
    )
    words = (-2010, "The relationship of the prices for the orders is not correct.")
    for ticket in (crossed, swapped):
        assert refusal(lambda ticket=ticket: floor.exchange.lists.place(ALICE, ticket)) == words  # type: ignore[misc]
    assert floor.exchange.orders.open_orders(ALICE, Market.SPOT) == []
    assert floor.locked(ALICE, "BTC") == 0


def test_a_list_that_cannot_be_paid_is_refused_whole() -> None:
    floor = Floor()
    floor.exchange.spot.deposit(ALICE, "BTC", -(floor.free(ALICE, "BTC") - QUANTITY / 2))
    code, message = refusal(lambda: floor.exchange.lists.place(ALICE, oco(floor, Side.SELL)))
    assert (code, message) == (-2010, "Account has insufficient balance for requested action.")
    assert floor.exchange.orders.open_orders(ALICE, Market.SPOT) == []
