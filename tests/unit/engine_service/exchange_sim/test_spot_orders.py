from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine_service.exchange_sim.enums import (
    Market,
    OrderStatus,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
)
from engine_service.exchange_sim.events import ExecutionType
from engine_service.exchange_sim.model import NewOrder
from tests.unit.engine_service.exchange_sim.market_floor import (
    ALICE,
    BOB,
    Floor,
    account,
    limit_order,
    market_order,
    refusal,
)

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def floor() -> Floor:
    quiet = Floor()
    quiet.freeze()
    return quiet


def test_a_market_buy_takes_the_asks_pays_quote_and_the_fee_out_of_what_it_received(floor: Floor) -> None:
    ask = floor.best(SELL)
    order, fills = floor.exchange.orders.place(ALICE, market_order(BUY, "0.01"))
    assert order.status is OrderStatus.FILLED
    assert [(f.price, f.fee, f.fee_asset) for f in fills] == [(ask, Decimal("0.00001"), "BTC")]
    assert floor.free(ALICE, "BTC") == Decimal("20.00999")
    assert floor.free(ALICE, "USDT") == Decimal(1_000_000) - ask * Decimal("0.01")
    floor.assert_conserved()


def test_a_market_order_by_quote_spends_no_more_than_asked_and_less_than_a_step_under(floor: Floor) -> None:
    ticket = NewOrder(Market.SPOT, "BTCUSDT", BUY, OrderType.MARKET, quote_quantity=Decimal(500))
    order, _ = floor.exchange.orders.place(ALICE, ticket)
    step_worth = floor.best(SELL) * Decimal("0.00001")
    assert order.status is OrderStatus.FILLED
    assert order.quantity == order.executed_quantity
    assert Decimal(500) - step_worth < order.executed_quote <= Decimal(500)


def test_a_large_order_walks_the_levels_and_its_trades_share_the_orders_totals(floor: Floor) -> None:
    order, fills = floor.exchange.orders.place(ALICE, market_order(SELL, "15"))
    assert len({f.price for f in fills}) > 1
    assert [f.price for f in fills] == sorted((f.price for f in fills), reverse=True)
    assert sum(f.quantity for f in fills) == order.executed_quantity
    assert sum(f.quote_quantity for f in fills) == order.executed_quote


def test_depth_taken_is_gone_until_the_market_maker_quotes_again(floor: Floor) -> None:
    before = floor.exchange.market_data.depth(Market.SPOT, "BTCUSDT", 1).asks[0]
    floor.exchange.orders.place(ALICE, market_order(BUY, str(before.quantity)))
    assert floor.exchange.market_data.depth(Market.SPOT, "BTCUSDT", 1).asks[0].price > before.price


def test_a_limit_order_rests_with_its_money_locked_and_cancel_gives_it_back(floor: Floor) -> None:
    price = floor.best(BUY) - 100
    order, fills = floor.exchange.orders.place(ALICE, limit_order(BUY, "0.1", price))
    assert (order.status, fills) == (OrderStatus.NEW, ())
    assert floor.locked(ALICE, "USDT") == price * Decimal("0.1")
    ended = floor.exchange.orders.cancel(ALICE, Market.SPOT, "BTCUSDT", order.order_id, None, "my-cancel")
    assert ended.status is OrderStatus.CANCELED
    assert floor.locked(ALICE, "USDT") == 0
    assert floor.free(ALICE, "USDT") == 1_000_000
    assert [(r.execution_type, r.request_client_id) for r in floor.reports(order.order_id)] == [
        (ExecutionType.NEW, ""),
        (ExecutionType.CANCELED, "my-cancel"),
    ]
    again = lambda: floor.exchange.orders.cancel(ALICE, Market.SPOT, "BTCUSDT", order.order_id)  # noqa: E731
    assert refusal(again) == (-2011, "Unknown order sent.")


def test_a_marketable_limit_order_pays_the_better_price_and_frees_the_difference(floor: Floor) -> None:
    ask = floor.best(SELL)
    order, fills = floor.exchange.orders.place(ALICE, limit_order(BUY, "0.01", ask + 50))
    assert (order.status, fills[0].price) == (OrderStatus.FILLED, ask)
    assert floor.locked(ALICE, "USDT") == 0


def test_accounts_trade_with_each_other_at_the_makers_price_in_order_of_price_and_time(floor: Floor) -> None:
    bid = floor.best(BUY)
    inside = bid + Decimal("0.01")
    first, _ = floor.exchange.orders.place(ALICE, limit_order(BUY, "0.02", inside))
    second, _ = floor.exchange.orders.place(ALICE, limit_order(BUY, "0.02", inside))
    better, _ = floor.exchange.orders.place(ALICE, limit_order(BUY, "0.01", inside + Decimal("0.01")))
    _, fills = floor.exchange.orders.place(BOB, market_order(SELL, "0.04"))
    assert [f.price for f in fills] == [better.price, inside, inside]
    at = lambda o: floor.exchange.orders.get(ALICE, Market.SPOT, "BTCUSDT", o.order_id)  # noqa: E731
    assert at(better).status is OrderStatus.FILLED
    assert at(first).status is OrderStatus.FILLED
    assert (at(second).status, at(second).executed_quantity) == (OrderStatus.PARTIALLY_FILLED, Decimal("0.01"))
    mine = floor.exchange.orders.trades(ALICE, Market.SPOT, "BTCUSDT")
    assert [t.trade_id for t in mine] == [f.trade_id for f in fills]
    assert all(t.is_maker for t in mine)
    book = floor.exchange.listings[Market.SPOT, "BTCUSDT"].resting
    assert [r.order_id for r in book.best_first(BUY)] == [second.order_id]
    floor.assert_conserved()


def test_immediate_or_cancel_expires_what_it_cannot_fill(floor: Floor) -> None:
    level = floor.exchange.market_data.depth(Market.SPOT, "ETHUSDT", 1).bids[0]
    ticket = limit_order(SELL, str(level.quantity + 1), level.price, "ETHUSDT", time_in_force=TimeInForce.IOC)
    order, _ = floor.exchange.orders.place(ALICE, ticket)
    assert (order.status, order.executed_quantity) == (OrderStatus.EXPIRED, level.quantity)
    assert floor.locked(ALICE, "ETH") == 0


def test_fill_or_kill_fills_whole_or_not_at_all(floor: Floor) -> None:
    level = floor.exchange.market_data.depth(Market.SPOT, "ETHUSDT", 1).bids[0]
    killed = limit_order(SELL, str(level.quantity + 1), level.price, "ETHUSDT", time_in_force=TimeInForce.FOK)
    order, fills = floor.exchange.orders.place(ALICE, killed)
    assert (order.status, fills) == (OrderStatus.EXPIRED, ())
    assert order.executed_quantity == 0
    filled = limit_order(SELL, str(level.quantity), level.price, "ETHUSDT", time_in_force=TimeInForce.FOK)
    assert floor.exchange.orders.place(ALICE, filled)[0].status is OrderStatus.FILLED


def test_a_limit_maker_order_that_would_take_is_refused(floor: Floor) -> None:
    maker: dict[str, Any] = {"type": OrderType.LIMIT_MAKER, "time_in_force": None}
    taking = lambda: floor.exchange.orders.place(ALICE, limit_order(BUY, "0.01", floor.best(SELL), **maker))  # noqa: E731
    assert refusal(taking) == (-2010, "Order would immediately match and take.")
    order, _ = floor.exchange.orders.place(ALICE, limit_order(BUY, "0.01", floor.best(BUY), **maker))
    assert order.status is OrderStatus.NEW


@pytest.mark.parametrize(
    ("mode", "maker", "taker"),
    [
        (SelfTradePrevention.NONE, OrderStatus.FILLED, OrderStatus.FILLED),
        (SelfTradePrevention.EXPIRE_MAKER, OrderStatus.EXPIRED_IN_MATCH, OrderStatus.NEW),
        (SelfTradePrevention.EXPIRE_TAKER, OrderStatus.NEW, OrderStatus.EXPIRED_IN_MATCH),
        (SelfTradePrevention.EXPIRE_BOTH, OrderStatus.EXPIRED_IN_MATCH, OrderStatus.EXPIRED_IN_MATCH),
    ],
)
def test_self_trade_prevention_ends_what_its_mode_says(
    floor: Floor, mode: SelfTradePrevention, maker: OrderStatus, taker: OrderStatus
) -> None:
    price = floor.best(BUY) + Decimal("0.01")
    resting, _ = floor.exchange.orders.place(ALICE, limit_order(BUY, "0.01", price))
    order, _ = floor.exchange.orders.place(ALICE, limit_order(SELL, "0.01", price, stp=mode))
    after = floor.exchange.orders.get(ALICE, Market.SPOT, "BTCUSDT", resting.order_id)
    assert (after.status, order.status) == (maker, taker)
    floor.assert_conserved()


def test_a_client_order_id_is_unique_among_open_orders_only(floor: Floor) -> None:
    price = floor.best(BUY) - 100
    first, _ = floor.exchange.orders.place(ALICE, limit_order(BUY, "0.01", price, client_order_id="x"))
    twice = lambda: floor.exchange.orders.place(ALICE, limit_order(BUY, "0.01", price, client_order_id="x"))  # noqa: E731
    assert refusal(twice) == (-2010, "Duplicate order sent.")
    floor.exchange.orders.cancel(ALICE, Market.SPOT, "BTCUSDT", None, "x")
    second, _ = twice()
    assert second.order_id > first.order_id
    assert floor.exchange.orders.get(ALICE, Market.SPOT, "BTCUSDT", None, "x").order_id == second.order_id


@pytest.mark.parametrize(
    ("ticket", "message"),
    [
        (limit_order(BUY, "0.01", "95000.001"), "PRICE_FILTER"),
        (limit_order(BUY, "0.000001", "95000"), "LOT_SIZE"),
        (limit_order(BUY, "0.00005", "95000"), "NOTIONAL"),
        (limit_order(BUY, "0.01", "900000"), "PERCENT_PRICE_BY_SIDE"),
        (market_order(BUY, "121"), "MARKET_LOT_SIZE"),
    ],
)
def test_each_filter_refuses_by_its_name(floor: Floor, ticket: NewOrder, message: str) -> None:
    assert refusal(lambda: floor.exchange.orders.place(ALICE, ticket)) == (-1013, f"Filter failure: {message}")


def test_the_open_order_limit_of_a_symbol_holds(floor: Floor) -> None:
    price = floor.best(BUY) - 1000
    for _ in range(200):
        floor.exchange.orders.place(ALICE, limit_order(BUY, "0.0001", price))
    one_more = lambda: floor.exchange.orders.place(ALICE, limit_order(BUY, "0.0001", price))  # noqa: E731
    assert refusal(one_more) == (-1013, "Filter failure: MAX_NUM_ORDERS")


def test_too_little_money_is_refused_and_changes_nothing(floor: Floor) -> None:
    for ticket in (market_order(BUY, "30"), limit_order(SELL, "30", floor.best(SELL) + 500)):
        place = lambda t=ticket: floor.exchange.orders.place(ALICE, t)  # noqa: E731
        assert refusal(place) == (-2010, "Account has insufficient balance for requested action.")
    assert floor.exchange.orders.all_orders(ALICE, Market.SPOT, "BTCUSDT") == []
    assert floor.free(ALICE, "BTC") == 20


def test_fees_in_bnb_are_a_quarter_cheaper_and_leave_what_was_received_whole() -> None:
    floor = Floor(account(ALICE, fees_in_bnb=True))
    floor.freeze()
    _, fills = floor.exchange.orders.place(ALICE, market_order(BUY, "0.01"))
    bnb = floor.exchange.market_data.last_price(Market.SPOT, "BNBUSDT")
    expected = sum(f.quote_quantity for f in fills) / bnb * Decimal("0.001") * Decimal("0.75")
    assert {f.fee_asset for f in fills} == {"BNB"}
    assert abs(sum(f.fee for f in fills) - expected) < Decimal("1E-7")
    assert floor.free(ALICE, "BTC") == Decimal("20.01")
    floor.assert_conserved()


def test_resting_orders_fill_when_the_market_trades_through_them() -> None:
    floor = Floor()
    order, _ = floor.exchange.orders.place(ALICE, limit_order(SELL, "0.5", floor.best(SELL) + 50))
    floor.exchange.market.jump("BTCUSDT", 0.01)
    floor.run(2000)
    after = floor.exchange.orders.get(ALICE, Market.SPOT, "BTCUSDT", order.order_id)
    fills = floor.exchange.orders.trades(ALICE, Market.SPOT, "BTCUSDT")
    assert after.status is OrderStatus.FILLED
    assert {f.price for f in fills} == {order.price}
    assert floor.locked(ALICE, "BTC") == 0
    floor.assert_conserved()


def test_amending_lowers_the_quantity_and_keeps_the_place_in_the_queue(floor: Floor) -> None:
    price = floor.best(BUY) + Decimal("0.01")
    first, _ = floor.exchange.orders.place(ALICE, limit_order(BUY, "0.02", price))
    floor.exchange.orders.place(BOB, limit_order(BUY, "0.02", price))
    amended = floor.exchange.orders.amend_keep_priority(
        ALICE, "BTCUSDT", Decimal("0.01"), first.order_id, None, "renamed"
    )
    assert (amended.quantity, amended.client_order_id) == (Decimal("0.01"), "renamed")
    assert floor.locked(ALICE, "USDT") == price * Decimal("0.01")
    floor.exchange.orders.place(BOB, market_order(SELL, "0.01", stp=SelfTradePrevention.NONE))
    assert floor.exchange.orders.get(ALICE, Market.SPOT, "BTCUSDT", None, "renamed").status is OrderStatus.FILLED
    grow = lambda: floor.exchange.orders.amend_keep_priority(BOB, "BTCUSDT", Decimal(1), None, "none")  # noqa: E731
    assert refusal(grow)[0] == -2013


def test_cancel_replace_tells_which_half_failed(floor: Floor) -> None:
    price = floor.best(BUY) - 100
    old, _ = floor.exchange.orders.place(ALICE, limit_order(BUY, "0.01", price))
    gone, new, _ = floor.exchange.orders.cancel_replace(
        ALICE, limit_order(BUY, "0.02", price), old.order_id, None, stop_on_failure=True
    )
    assert (gone.status, new.status) == (OrderStatus.CANCELED, OrderStatus.NEW)

    def again(stop_on_failure: bool) -> tuple[int, str]:
        ticket = limit_order(BUY, "0.01", price)
        return refusal(
            lambda: floor.exchange.orders.cancel_replace(
                ALICE, ticket, old.order_id, None, stop_on_failure=stop_on_failure
            )
        )

    assert again(True) == (-2022, "Order cancel-replace failed.")
    assert again(False) == (-2021, "Order cancel-replace partially failed.")
    assert len(floor.exchange.orders.open_orders(ALICE, Market.SPOT)) == 2


def test_cancel_all_on_spot_refuses_where_nothing_is_open(floor: Floor) -> None:
    cancel_all = lambda: floor.exchange.orders.cancel_all(ALICE, Market.SPOT, "BTCUSDT")  # noqa: E731
    assert refusal(cancel_all)[0] == -2011
    floor.exchange.orders.place(ALICE, limit_order(BUY, "0.01", floor.best(BUY) - 10))
    assert [o.status for o in cancel_all()] == [OrderStatus.CANCELED]


def test_one_account_does_not_see_or_cancel_anothers_orders(floor: Floor) -> None:
    order, _ = floor.exchange.orders.place(ALICE, limit_order(BUY, "0.01", floor.best(BUY) - 10))
    assert refusal(lambda: floor.exchange.orders.get(BOB, Market.SPOT, "BTCUSDT", order.order_id))[0] == -2013
    assert refusal(lambda: floor.exchange.orders.cancel(BOB, Market.SPOT, "BTCUSDT", order.order_id))[0] == -2011
