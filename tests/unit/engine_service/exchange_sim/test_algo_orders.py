from __future__ import annotations

from decimal import Decimal

import pytest

from engine_service.exchange_sim.enums import (
    AlgoStatus,
    Market,
    OrderStatus,
    OrderType,
    Side,
    WorkingType,
)
from engine_service.exchange_sim.events import AlgoEvent
from engine_service.exchange_sim.model import AlgoOrder
from tests.unit.engine_service.exchange_sim.market_floor import ALICE, BOB, Floor, market_order, refusal

CENT = Decimal("0.1")


def mark(floor: Floor) -> Decimal:
    return floor.exchange.market_data.mark_price("BTCUSDT").mark


def away(floor: Floor, fraction: str) -> Decimal:
    return (mark(floor) * (1 + Decimal(fraction))).quantize(CENT)


def statuses(floor: Floor, algo: AlgoOrder) -> list[AlgoStatus]:
    return [e.order.status for e in floor.events if isinstance(e, AlgoEvent) and e.order.algo_id == algo.algo_id]


@pytest.fixture
def floor() -> Floor:
    holding = Floor()
    holding.exchange.orders.place(ALICE, market_order(Side.BUY, "0.5", market=Market.FUTURES))
    return holding


@pytest.mark.parametrize(
    ("order_type", "trigger", "move"),
    [(OrderType.STOP_MARKET, "-0.005", -0.01), (OrderType.TAKE_PROFIT_MARKET, "0.005", 0.01)],
)
@pytest.mark.parametrize("working_type", list(WorkingType))
def test_a_closing_order_waits_then_closes_the_position(
    floor: Floor, order_type: OrderType, trigger: str, move: float, working_type: WorkingType
) -> None:
    algo = floor.exchange.algo.place(
        ALICE,
        "BTCUSDT",
        Side.SELL,
        order_type,
        trigger_price=away(floor, trigger),
        close_position=True,
        working_type=working_type,
    )
    assert floor.exchange.algo.open_orders(ALICE) == [algo]
    floor.exchange.market.jump("BTCUSDT", move)
    floor.run(1000)
    after = floor.exchange.algo.get(ALICE, algo.algo_id)
    made = floor.exchange.orders.get(ALICE, Market.FUTURES, "BTCUSDT", after.order_id)
    assert statuses(floor, algo) == [
        AlgoStatus.NEW,
        AlgoStatus.TRIGGERING,
        AlgoStatus.TRIGGERED,
        AlgoStatus.FINISHED,
    ]
    assert (made.status, made.original_type, made.type) == (OrderStatus.FILLED, order_type, OrderType.MARKET)
    assert floor.exchange.futures.positions(ALICE, "BTCUSDT")[0].quantity == 0
    floor.assert_conserved()


def test_a_stop_limit_becomes_a_limit_order_and_finishes_with_it(floor: Floor) -> None:
    algo = floor.exchange.algo.place(
        ALICE, "BTCUSDT", Side.SELL, OrderType.STOP, Decimal("0.5"), away(floor, "0.02"), away(floor, "-0.005")
    )
    floor.exchange.market.jump("BTCUSDT", -0.01)
    floor.run(1000)
    after = floor.exchange.algo.get(ALICE, algo.algo_id)
    assert after.status is AlgoStatus.TRIGGERED
    floor.exchange.orders.cancel(ALICE, Market.FUTURES, "BTCUSDT", after.order_id)
    assert floor.exchange.algo.get(ALICE, algo.algo_id).status is AlgoStatus.FINISHED


def test_a_trailing_stop_follows_the_best_price_and_closes_on_the_way_back(floor: Floor) -> None:
    algo = floor.exchange.algo.place(
        ALICE,
        "BTCUSDT",
        Side.SELL,
        OrderType.TRAILING_STOP_MARKET,
        Decimal("0.5"),
        callback_rate_pct=Decimal(1),
        reduce_only=True,
    )
    floor.exchange.market.jump("BTCUSDT", 0.03)
    floor.run(1000)
    assert floor.exchange.algo.get(ALICE, algo.algo_id).status is AlgoStatus.NEW
    floor.exchange.market.jump("BTCUSDT", -0.015)
    floor.run(1000)
    assert floor.exchange.algo.get(ALICE, algo.algo_id).status is AlgoStatus.FINISHED


def test_a_triggered_order_that_the_market_refuses_says_why(floor: Floor) -> None:
    algo = floor.exchange.algo.place(
        BOB, "BTCUSDT", Side.SELL, OrderType.STOP_MARKET, Decimal("0.5"), None, away(floor, "-0.005"), reduce_only=True
    )
    floor.exchange.market.jump("BTCUSDT", -0.01)
    floor.run(1000)
    after = floor.exchange.algo.get(BOB, algo.algo_id)
    assert (after.status, after.failure) == (AlgoStatus.REJECTED, "ReduceOnly Order is rejected.")


def test_refusals_of_conditional_orders(floor: Floor) -> None:
    place = floor.exchange.algo.place
    args = (ALICE, "BTCUSDT", Side.SELL, OrderType.STOP_MARKET)
    at_once = lambda: place(*args, Decimal("0.1"), None, away(floor, "0.01"))  # noqa: E731
    assert refusal(at_once) == (-2021, "Order would immediately trigger.")
    assert refusal(lambda: place(*args, Decimal("0.1")))[0] == -1102
    assert refusal(lambda: place(*args, None, None, away(floor, "-0.01")))[0] == -1102
    both = lambda: place(*args, Decimal(1), None, away(floor, "-0.01"), close_position=True)  # noqa: E731
    assert refusal(both)[0] == -4137
    place(*args, Decimal("0.1"), None, away(floor, "-0.01"), client_algo_id="mine")
    twice = lambda: place(*args, Decimal("0.1"), None, away(floor, "-0.01"), client_algo_id="mine")  # noqa: E731
    assert refusal(twice)[0] == -4116
    assert floor.exchange.algo.cancel(ALICE, None, "mine").status is AlgoStatus.CANCELED
    assert refusal(lambda: floor.exchange.algo.cancel(ALICE, None, "mine"))[0] == -2011
    assert refusal(lambda: floor.exchange.algo.get(BOB, None, "mine"))[0] == -2013
