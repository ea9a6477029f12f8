from __future__ import annotations

import hashlib
import hmac
from decimal import Decimal
from typing import Any

import httpx
import pytest

from engine_service.exchange_sim.binance_wire.app import create_app
from engine_service.exchange_sim.enums import (
    MarginType,
    Market,
    OrderStatus,
    OrderType,
    PositionSide,
    Side,
    TimeInForce,
)
from engine_service.exchange_sim.events import FuturesAccountEvent
from engine_service.exchange_sim.ledger_report import ledger_report
from engine_service.exchange_sim.model import NewOrder
from tests.unit.engine_service.exchange_sim.market_floor import (
    ALICE,
    BOB,
    Floor,
    limit_order,
    market_order,
    refusal,
)

BUY, SELL = Side.BUY, Side.SELL
FUTURES: dict[str, Any] = {"market": Market.FUTURES}
FEE = Decimal("0.001")


@pytest.fixture
def floor() -> Floor:
    quiet = Floor()
    quiet.freeze()
    return quiet


def position(floor: Floor, side: PositionSide = PositionSide.BOTH, symbol: str = "BTCUSDT") -> Decimal:
    return next(p for p in floor.exchange.futures.positions(ALICE, symbol) if p.side is side).quantity


def wallet(floor: Floor, name: str = ALICE) -> Decimal:
    return next(b for b in floor.exchange.futures.balances(name) if b.asset == "USDT").wallet


def test_opening_and_closing_moves_profit_and_fees_to_the_wallet(floor: Floor) -> None:
    _, bought = floor.exchange.orders.place(ALICE, market_order(BUY, "0.5", **FUTURES))
    assert position(floor) == Decimal("0.5")
    _, sold = floor.exchange.orders.place(ALICE, market_order(SELL, "0.5", **FUTURES))
    profit = sum(f.quote_quantity for f in sold) - sum(f.quote_quantity for f in bought)
    fees = sum(f.fee for f in (*bought, *sold))
    assert wallet(floor) == Decimal(1_000_000) + profit - fees
    assert sum(f.realised_pnl for f in sold) == profit
    assert position(floor) == 0
    types = [i.income_type for i in floor.exchange.futures.income(ALICE)]
    assert types.count("REALIZED_PNL") == len(sold)
    assert types.count("COMMISSION") == len(sold) + len(bought)
    floor.assert_conserved()


def test_a_wallet_tells_when_it_last_changed_also_without_a_position(floor: Floor) -> None:
    """A wallet of `updateTime` 0 is none to ccxt from 4.5.90 on: an account that held nothing showed no balance."""

    def changed_ms() -> int:
        return next(b for b in floor.exchange.futures.balances(ALICE) if b.asset == "USDT").updated_ms

    opened = floor.clock.now_ms()
    assert changed_ms() == opened, "its opening deposit"
    floor.clock.advance(5_000)
    floor.exchange.orders.place(ALICE, market_order(BUY, "0.5", **FUTURES))
    floor.clock.advance(5_000)
    floor.exchange.orders.place(ALICE, market_order(SELL, "0.5", **FUTURES))
    assert (changed_ms(), position(floor)) == (opened + 10_000, Decimal(0))
    floor.clock.advance(5_000)
    floor.exchange.deposit(ALICE, Market.FUTURES, "USDT", Decimal(1))
    assert changed_ms() == opened + 15_000


def test_the_largest_position_at_a_leverage_is_a_whole_number_as_the_venue_writes_it(floor: Floor) -> None:
    assert floor.exchange.futures.set_leverage(ALICE, "BTCUSDT", 7) == 178_571_428


def test_an_order_through_the_position_flips_it_at_the_new_price(floor: Floor) -> None:
    floor.exchange.orders.place(ALICE, market_order(BUY, "0.1", **FUTURES))
    _, sold = floor.exchange.orders.place(ALICE, market_order(SELL, "0.3", **FUTURES))
    held = floor.exchange.futures.positions(ALICE, "BTCUSDT")[0]
    assert held.quantity == Decimal("-0.2")
    assert held.entry_price == sold[-1].price
    floor.assert_conserved()


def test_margin_is_needed_for_what_opens_and_none_for_what_closes(floor: Floor) -> None:
    floor.exchange.futures.set_leverage(ALICE, "BTCUSDT", 1)
    too_much = lambda: floor.exchange.orders.place(ALICE, market_order(BUY, "12", **FUTURES))  # noqa: E731
    assert refusal(too_much) == (-2019, "Margin is insufficient.")
    floor.exchange.orders.place(ALICE, market_order(BUY, "9", **FUTURES))
    balance = floor.exchange.futures.balances(ALICE)
    usdt = next(b for b in balance if b.asset == "USDT")
    assert usdt.available == usdt.margin_balance - usdt.position_initial_margin
    assert floor.exchange.orders.place(ALICE, market_order(SELL, "9", **FUTURES))[0].status is OrderStatus.FILLED


def test_open_orders_hold_margin_until_they_go(floor: Floor) -> None:
    price = floor.best(BUY, market=Market.FUTURES) - 1000
    order, _ = floor.exchange.orders.place(ALICE, limit_order(BUY, "1", price, **FUTURES))
    held = next(b for b in floor.exchange.futures.balances(ALICE) if b.asset == "USDT")
    assert held.open_order_initial_margin == price / 20
    floor.exchange.orders.cancel(ALICE, Market.FUTURES, "BTCUSDT", order.order_id)
    assert next(b for b in floor.exchange.futures.balances(ALICE)).open_order_initial_margin == 0


def test_a_reduce_only_order_closes_no_more_than_the_position(floor: Floor) -> None:
    nothing = lambda: floor.exchange.orders.place(  # noqa: E731
        ALICE, market_order(SELL, "0.1", reduce_only=True, **FUTURES)
    )
    assert refusal(nothing) == (-2022, "ReduceOnly Order is rejected.")
    floor.exchange.orders.place(ALICE, market_order(BUY, "0.1", **FUTURES))
    order, _ = floor.exchange.orders.place(ALICE, market_order(SELL, "0.3", reduce_only=True, **FUTURES))
    assert (order.status, order.executed_quantity) == (OrderStatus.EXPIRED, Decimal("0.1"))
    assert position(floor) == 0


def test_a_resting_reduce_only_order_expires_when_its_position_is_gone(floor: Floor) -> None:
    floor.exchange.orders.place(ALICE, market_order(BUY, "0.1", **FUTURES))
    price = floor.best(SELL, market=Market.FUTURES) + 500
    target, _ = floor.exchange.orders.place(ALICE, limit_order(SELL, "0.1", price, reduce_only=True, **FUTURES))
    floor.exchange.orders.place(ALICE, market_order(SELL, "0.1", **FUTURES))
    after = floor.exchange.orders.get(ALICE, Market.FUTURES, "BTCUSDT", target.order_id)
    assert after.status is OrderStatus.EXPIRED


def test_hedge_mode_keeps_long_and_short_apart(floor: Floor) -> None:
    floor.exchange.futures.set_hedge_mode(ALICE, True)
    one_way = lambda: floor.exchange.orders.place(ALICE, market_order(BUY, "0.1", **FUTURES))  # noqa: E731
    assert refusal(one_way)[0] == -4061
    for side, held in ((BUY, PositionSide.LONG), (SELL, PositionSide.SHORT)):
        floor.exchange.orders.place(ALICE, market_order(side, "0.1", position_side=held, **FUTURES))
    assert position(floor, PositionSide.LONG) == Decimal("0.1")
    assert position(floor, PositionSide.SHORT) == Decimal("-0.1")
    over = lambda: floor.exchange.orders.place(  # noqa: E731
        ALICE, market_order(SELL, "0.2", position_side=PositionSide.LONG, **FUTURES)
    )
    assert refusal(over)[0] == -2022
    assert refusal(lambda: floor.exchange.futures.set_hedge_mode(ALICE, False))[0] == -4068
    floor.assert_conserved()


@pytest.mark.parametrize(
    ("ticket", "code"),
    [
        (limit_order(BUY, "0.01", "95000.05", **FUTURES), -4014),
        (market_order(BUY, "0.0001", **FUTURES), -1111),
        (market_order(BUY, "0", **FUTURES), -4003),
        (market_order(BUY, "121", **FUTURES), -4005),
        (limit_order(BUY, "0.01", "190000", **FUTURES), -4016),
        (limit_order(SELL, "0.01", "50000", **FUTURES), -4024),
        (limit_order(BUY, "5", "0.37", "DOGEUSDT", **FUTURES), -4164),
        (NewOrder(Market.FUTURES, "BTCUSDT", BUY, OrderType.STOP_MARKET, Decimal(1), stop_price=Decimal(1)), -4120),
    ],
)
def test_futures_filters_answer_with_their_own_codes(floor: Floor, ticket: NewOrder, code: int) -> None:
    assert refusal(lambda: floor.exchange.orders.place(ALICE, ticket))[0] == code


def test_post_only_and_fill_or_kill_refuse_instead_of_expiring(floor: Floor) -> None:
    ask = floor.best(SELL, market=Market.FUTURES)
    post_only = limit_order(BUY, "0.01", ask, time_in_force=TimeInForce.GTX, **FUTURES)
    kill = limit_order(BUY, "100", ask, time_in_force=TimeInForce.FOK, **FUTURES)
    assert refusal(lambda: floor.exchange.orders.place(ALICE, post_only))[0] == -5022
    assert refusal(lambda: floor.exchange.orders.place(ALICE, kill))[0] == -5021
    assert floor.exchange.orders.all_orders(ALICE, Market.FUTURES, "BTCUSDT") == []


def test_modifying_requeues_at_a_new_price_and_leaves_the_order_where_that_is_refused(floor: Floor) -> None:
    price = floor.best(BUY, market=Market.FUTURES) - 100
    order, _ = floor.exchange.orders.place(ALICE, limit_order(BUY, "0.1", price, **FUTURES))
    modify = floor.exchange.orders.modify
    changed = modify(ALICE, "BTCUSDT", BUY, Decimal("0.2"), price + 10, order.order_id)
    assert (changed.order_id, changed.quantity, changed.price) == (order.order_id, Decimal("0.2"), price + 10)
    same = lambda: modify(ALICE, "BTCUSDT", BUY, Decimal("0.2"), price + 10, order.order_id)  # noqa: E731
    assert refusal(same) == (-5027, "No need to modify the order.")
    huge = lambda: modify(ALICE, "BTCUSDT", BUY, Decimal(900), price, order.order_id)  # noqa: E731
    assert refusal(huge)[0] == -2019
    assert floor.exchange.orders.open_orders(ALICE, Market.FUTURES) == [changed]
    filled = modify(ALICE, "BTCUSDT", BUY, Decimal("0.2"), floor.best(SELL, market=Market.FUTURES), order.order_id)
    assert filled.status is OrderStatus.FILLED
    floor.assert_conserved()


def test_a_good_till_date_order_expires_on_its_date() -> None:
    floor = Floor()
    price = floor.best(BUY, market=Market.FUTURES) - 4000
    until = floor.clock.now_ms() + 2000
    ticket = limit_order(BUY, "0.1", price, time_in_force=TimeInForce.GTD, good_till_ms=until, **FUTURES)
    order, _ = floor.exchange.orders.place(ALICE, ticket)
    floor.run(3000)
    after = floor.exchange.orders.get(ALICE, Market.FUTURES, "BTCUSDT", order.order_id)
    assert after.status is OrderStatus.EXPIRED


def test_longs_pay_shorts_at_funding_and_the_sum_is_zero() -> None:
    floor = Floor(funding_interval_ms=10_000)
    floor.exchange.orders.place(ALICE, market_order(BUY, "1", **FUTURES))
    floor.exchange.orders.place(BOB, market_order(SELL, "1", **FUTURES))
    floor.run(11_000)
    paid = floor.exchange.futures.income(ALICE, income_type="FUNDING_FEE")[0]
    got = floor.exchange.futures.income(BOB, income_type="FUNDING_FEE")[0]
    rate = floor.exchange.market_data.funding_history("BTCUSDT")[-1]
    assert paid.amount == -(rate.mark * rate.rate).quantize(Decimal("1E-8"))
    assert got.amount == -paid.amount
    assert any(isinstance(e, FuturesAccountEvent) and e.reason == "FUNDING_FEE" for e in floor.events)
    floor.assert_conserved()


@pytest.mark.parametrize("margin_type", list(MarginType))
def test_a_position_whose_margin_is_used_up_is_liquidated(margin_type: MarginType) -> None:
    floor = Floor()
    if margin_type is MarginType.ISOLATED:
        floor.exchange.futures.set_margin_type(ALICE, "BTCUSDT", margin_type)
    floor.exchange.futures.set_leverage(ALICE, "BTCUSDT", 125)
    floor.exchange.orders.place(ALICE, market_order(BUY, "100", **FUTURES))
    floor.exchange.market.jump("BTCUSDT", -0.2 if margin_type is MarginType.CROSSED else -0.02)
    floor.run(3000)
    assert position(floor) == 0
    last = floor.exchange.orders.all_orders(ALICE, Market.FUTURES, "BTCUSDT")[-1]
    assert last.client_order_id.startswith("autoclose-")
    assert wallet(floor) >= 0
    floor.assert_conserved()


def test_settings_that_change_nothing_or_come_too_late_are_refused(floor: Floor) -> None:
    desk = floor.exchange.futures
    assert refusal(lambda: desk.set_hedge_mode(ALICE, False))[0] == -4059
    assert refusal(lambda: desk.set_margin_type(ALICE, "BTCUSDT", MarginType.CROSSED))[0] == -4046
    assert refusal(lambda: desk.set_leverage(ALICE, "BTCUSDT", 126)) == (-4028, "Leverage 126 is not valid")
    floor.exchange.orders.place(ALICE, limit_order(BUY, "0.1", "94000", **FUTURES))
    assert refusal(lambda: desk.set_hedge_mode(ALICE, True))[0] == -4067
    assert refusal(lambda: desk.set_margin_type(ALICE, "BTCUSDT", MarginType.ISOLATED))[0] == -4047


@pytest.mark.anyio
async def test_an_account_is_shown_with_what_it_holds_of_a_contract_that_is_no_longer_listed(floor: Floor) -> None:
    exchange = floor.exchange
    exchange.orders.place(ALICE, market_order(BUY, "0.5", **FUTURES))
    resting = limit_order(BUY, "0.1", floor.best(BUY, market=Market.FUTURES) - 500, **FUTURES)
    exchange.orders.place(ALICE, resting)
    before = exchange.futures.positions(ALICE), exchange.futures.balances(ALICE), ledger_report(exchange)
    del exchange.listings._by_place[Market.FUTURES, "BTCUSDT"]
    after = exchange.futures.positions(ALICE), exchange.futures.balances(ALICE), ledger_report(exchange)
    assert after == before
    held, key = {"BTCUSDT": "0.5"}, f"{ALICE}-key"
    transport = httpx.ASGITransport(create_app(exchange))
    async with httpx.AsyncClient(transport=transport, base_url="http://exchange") as http:
        for path, name in (("/fapi/v3/account", "positions"), ("/fapi/v3/positionRisk", "")):
            query = f"timestamp={exchange.server_time_ms()}"
            signature = hmac.new(f"{ALICE}-secret".encode(), query.encode(), hashlib.sha256).hexdigest()
            answer = await http.get(f"{path}?{query}&signature={signature}", headers={"X-MBX-APIKEY": key})
            assert answer.status_code == 200, answer.text
            rows = answer.json()[name] if name else answer.json()
            assert {row["symbol"]: row["positionAmt"] for row in rows} == held
