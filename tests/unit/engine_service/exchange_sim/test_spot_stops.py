from __future__ import annotations

from decimal import Decimal

import pytest

from engine_service.exchange_sim.enums import Market, OrderStatus, OrderType, Side, TimeInForce
from engine_service.exchange_sim.model import NewOrder
from tests.unit.engine_service.exchange_sim.market_floor import ALICE, Floor, market_order, refusal


def stop(side: Side, order_type: OrderType, trigger: Decimal, limit: Decimal | None = None) -> NewOrder:
    return NewOrder(
        Market.SPOT,
        "BTCUSDT",
        side,
        order_type,
        Decimal("0.1"),
        price=limit,
        stop_price=trigger,
        time_in_force=TimeInForce.GTC if limit else None,
    )


@pytest.mark.parametrize(
    ("side", "order_type", "move"),
    [
        (Side.SELL, OrderType.STOP_LOSS, -0.01),
        (Side.BUY, OrderType.STOP_LOSS, 0.01),
        (Side.SELL, OrderType.TAKE_PROFIT, 0.01),
        (Side.BUY, OrderType.TAKE_PROFIT, -0.01),
    ],
)
def test_a_stop_waits_off_the_book_and_trades_at_market_once_its_price_is_reached(
    side: Side, order_type: OrderType, move: float
) -> None:
    floor = Floor()
    last = floor.exchange.market_data.last_price(Market.SPOT, "BTCUSDT")
    trigger = (last * (1 + Decimal(str(move)) / 2)).quantize(Decimal("0.01"))
    order, _ = floor.exchange.orders.place(ALICE, stop(side, order_type, trigger))
    assert (order.status, order.is_working) == (OrderStatus.NEW, False)
    assert floor.locked(ALICE, "USDT" if side is Side.BUY else "BTC") > 0
    floor.exchange.market.jump("BTCUSDT", move)
    floor.run(1000)
    after = floor.exchange.orders.get(ALICE, Market.SPOT, "BTCUSDT", order.order_id)
    assert (after.status, after.is_working) == (OrderStatus.FILLED, True)
    assert floor.locked(ALICE, "USDT") == floor.locked(ALICE, "BTC") == 0
    floor.assert_conserved()


def test_a_stop_limit_rests_at_its_limit_after_the_trigger() -> None:
    floor = Floor()
    last = floor.exchange.market_data.last_price(Market.SPOT, "BTCUSDT").quantize(Decimal(1))
    ticket = stop(Side.SELL, OrderType.STOP_LOSS_LIMIT, last - 300, last + 200)
    order, _ = floor.exchange.orders.place(ALICE, ticket)
    floor.exchange.market.jump("BTCUSDT", -0.01)
    floor.run(1000)
    after = floor.exchange.orders.get(ALICE, Market.SPOT, "BTCUSDT", order.order_id)
    assert (after.status, after.is_working) == (OrderStatus.NEW, True)
    assert after.price in {level.price for level in floor.exchange.market_data.depth(Market.SPOT, "BTCUSDT", 100).asks}


def test_a_stop_that_would_trigger_at_once_is_refused() -> None:
    floor = Floor()
    floor.freeze()
    last = floor.exchange.market_data.last_price(Market.SPOT, "BTCUSDT")
    place = lambda: floor.exchange.orders.place(ALICE, stop(Side.SELL, OrderType.STOP_LOSS, last + 10))  # noqa: E731
    assert refusal(place) == (-2010, "Stop price would trigger immediately.")


def test_a_triggered_stop_without_the_money_expires_and_locks_nothing() -> None:
    floor = Floor()
    last = floor.exchange.market_data.last_price(Market.SPOT, "BTCUSDT").quantize(Decimal(1))
    order, _ = floor.exchange.orders.place(ALICE, stop(Side.BUY, OrderType.STOP_LOSS, last + 200))
    spare = floor.free(ALICE, "USDT")
    floor.exchange.orders.place(
        ALICE, NewOrder(Market.SPOT, "ETHUSDT", Side.BUY, OrderType.MARKET, quote_quantity=spare)
    )
    floor.exchange.market.jump("BTCUSDT", 0.05)
    floor.run(1000)
    assert floor.exchange.orders.get(ALICE, Market.SPOT, "BTCUSDT", order.order_id).status is OrderStatus.EXPIRED
    assert floor.locked(ALICE, "USDT") == 0
    floor.assert_conserved()


def test_only_five_stops_of_a_symbol_may_wait() -> None:
    floor = Floor()
    floor.freeze()
    last = floor.exchange.market_data.last_price(Market.SPOT, "BTCUSDT").quantize(Decimal(1))
    place = lambda: floor.exchange.orders.place(ALICE, stop(Side.SELL, OrderType.STOP_LOSS, last - 500))  # noqa: E731
    for _ in range(5):
        place()
    assert refusal(place) == (-1013, "Filter failure: MAX_NUM_ALGO_ORDERS")
    assert floor.exchange.orders.place(ALICE, market_order(Side.SELL, "0.1"))[0].status is OrderStatus.FILLED
