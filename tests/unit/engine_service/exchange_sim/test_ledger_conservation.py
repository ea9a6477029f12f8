from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine_service.exchange_sim.enums import (
    Market,
    OrderType,
    PositionSide,
    SelfTradePrevention,
    Side,
    TimeInForce,
)
from engine_service.exchange_sim.errors import ExchangeError
from engine_service.exchange_sim.ledger_report import ledger_report
from engine_service.exchange_sim.model import NewOrder
from tests.unit.engine_service.exchange_sim.market_floor import ALICE, BOB, Floor, account

SYMBOLS = {Market.SPOT: ("BTCUSDT", "BNBUSDT", "ETHBTC"), Market.FUTURES: ("BTCUSDT", "DOGEUSDT")}
TYPES = (OrderType.MARKET, OrderType.LIMIT, OrderType.LIMIT, OrderType.STOP_LOSS, OrderType.LIMIT_MAKER)


@st.composite
def actions(draw: st.DrawFn) -> tuple[Any, ...]:
    kind = draw(st.sampled_from(("order", "order", "order", "order", "cancel", "run", "jump", "deposit", "amend")))
    market = draw(st.sampled_from(Market))
    return (
        kind,
        draw(st.sampled_from((ALICE, BOB))),
        market,
        draw(st.sampled_from(SYMBOLS[market])),
        draw(st.sampled_from(Side)),
        draw(st.sampled_from(TYPES)),
        draw(st.integers(1, 4000)),  # worth in thousandths of the account's money
        draw(st.integers(-80, 80)),  # price away from the market in basis points
        draw(st.sampled_from((TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK))),
        draw(st.sampled_from(SelfTradePrevention)),
        draw(st.booleans()),
    )


def carry_out(floor: Floor, action: tuple[Any, ...]) -> None:
    kind, name, market, symbol, side, order_type, worth, away, tif, stp, flag = action
    desk = floor.exchange.orders
    if kind == "run":
        floor.run(400 + worth)
    elif kind == "jump":
        floor.exchange.market.jump(symbol if symbol != "ETHBTC" else "ETHUSDT", away / 1000)
    elif kind == "deposit":
        floor.exchange.deposit(name, market, "USDT", Decimal(away * 100))
    elif kind in ("cancel", "amend"):
        for order in desk.open_orders(name, market)[:2]:
            if kind == "cancel":
                desk.cancel(name, market, order.symbol, order.order_id)
            elif market is Market.SPOT:
                desk.amend_keep_priority(name, order.symbol, _half(floor, order.symbol, order.quantity), order.order_id)
            else:
                price = floor.exchange.market_data.last_price(market, order.symbol)
                desk.modify(name, order.symbol, order.side, order.quantity, price, order.order_id)
    else:
        desk.place(name, _ticket(floor, market, symbol, side, order_type, worth, away, tif, stp, flag))


def _half(floor: Floor, symbol: str, quantity: Decimal) -> Decimal:
    step = floor.exchange.market_data.spec(Market.SPOT, symbol).step_size
    return quantity / 2 // step * step


def _ticket(
    floor: Floor,
    market: Market,
    symbol: str,
    side: Side,
    order_type: OrderType,
    worth: int,
    away: int,
    tif: TimeInForce,
    stp: SelfTradePrevention,
    flag: bool,
) -> NewOrder:
    spec = floor.exchange.market_data.spec(market, symbol)
    last = floor.exchange.market_data.last_price(market, symbol)
    money = Decimal(worth) * (Decimal("0.005") if spec.quote_asset == "BTC" else Decimal(300))
    price = (last * (1 + Decimal(away) / 10_000)) // spec.tick_size * spec.tick_size
    quantity = money / last // spec.step_size * spec.step_size
    if market is Market.FUTURES and order_type is not OrderType.MARKET:
        order_type = OrderType.LIMIT
    by_quote = market is Market.SPOT and order_type is OrderType.MARKET and flag
    return NewOrder(
        market,
        symbol,
        side,
        order_type,
        None if by_quote else quantity,
        money.quantize(Decimal("0.0001")) if by_quote else None,
        price=price if order_type in (OrderType.LIMIT, OrderType.LIMIT_MAKER) else None,
        stop_price=price if order_type is OrderType.STOP_LOSS else None,
        time_in_force=tif if order_type is OrderType.LIMIT else None,
        stp=stp,
        position_side=PositionSide.BOTH,
        reduce_only=market is Market.FUTURES and flag,
    )


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(program=st.lists(actions(), min_size=5, max_size=40), seed=st.integers(0, 1000))
def test_money_is_conserved_to_the_last_digit_over_random_order_programs(
    program: list[tuple[Any, ...]], seed: int
) -> None:
    floor = Floor(account(ALICE, fees_in_bnb=True), account(BOB), seed=seed, history_s=60, funding_interval_ms=20_000)
    for action in program:
        with contextlib.suppress(ExchangeError):
            carry_out(floor, action)
        floor.assert_conserved()
        assert_orders_agree_with_money(floor)
        assert_books_hold_the_open_orders(floor)
    floor.run(25_000)
    floor.assert_conserved()
    assert_report_adds_up(floor)


def assert_orders_agree_with_money(floor: Floor) -> None:
    """Nothing is below zero, and what is locked is exactly what the open orders lock."""
    for name in (ALICE, BOB):
        locked = {b.asset: b.locked for b in floor.exchange.spot.balances(name)}
        assert all(b.free >= 0 for b in floor.exchange.spot.balances(name))
        expected = dict.fromkeys(locked, Decimal(0))
        for order in floor.exchange.orders.open_orders(name, Market.SPOT):
            spec = floor.exchange.market_data.spec(Market.SPOT, order.symbol)
            if order.side is Side.SELL:
                expected[spec.base_asset] += order.remaining
            else:
                expected[spec.quote_asset] += order.remaining * (order.price or order.stop_price)
        assert locked == expected


def assert_books_hold_the_open_orders(floor: Floor) -> None:
    """Every open order rests in its symbol's book, a waiting stop does not, and nothing else is there."""
    for listing in floor.exchange.listings.values():
        place = (listing.spec.market, listing.spec.symbol)
        resting = {r.order_id for side in Side for r in listing.resting.best_first(side)}
        orders = [o for name in (ALICE, BOB) for o in floor.exchange.orders.open_orders(name, *place)]
        assert resting == {o.order_id for o in orders if o.is_working}


def assert_report_adds_up(floor: Floor) -> None:
    """The published ledger obeys the identity it states, per market and asset, and its trades make up its orders."""
    report = ledger_report(floor.exchange)
    rest: dict[tuple[object, object], Decimal] = {}
    for table, sign, fields in (
        ("deposits", 1, ("amount",)),
        ("balances", -1, ("free", "locked")),
        ("fees", -1, ("amount",)),
    ):
        for row in report[table]:
            place = (row["market"], row["asset"])
            rest[place] = rest.get(place, Decimal(0)) + sign * sum(Decimal(str(row[f])) for f in fields)
    assert {place: amount for place, amount in rest.items() if amount} == {}
    for order in report["orders"]:
        own = [t for t in report["trades"] if (t["market"], t["order_id"]) == (order["market"], order["order_id"])]
        assert sum(Decimal(str(t["quantity"])) for t in own) == Decimal(str(order["executed_quantity"]))
