"""From a wanted exposure to an order: never more than asked, held or allowed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine_service.domain.ids import Market
from engine_service.domain.instrument import Instrument
from engine_service.domain.order_status import OrderSide
from engine_service.runtime.sleeve import Sleeve, order_for

BTC = Instrument(
    symbol="BTCUSDT.BINANCE",
    market=Market.SPOT,
    base="BTC",
    quote="USDT",
    tick=Decimal("0.01"),
    step=Decimal("0.00001"),
    min_quantity=Decimal("0.00001"),
    min_notional=Decimal(5),
)
MARK = Decimal(100_000)


def _sleeve(
    held: str = "0", free: str = "0", *, closable: str = "", short: bool = False, market: Market = Market.SPOT
) -> Sleeve:
    return Sleeve(
        strategy="ma_cross",
        symbol="BTCUSDT.BINANCE",
        market=market,
        held=Decimal(held),
        closable=Decimal(closable or held),
        free=Decimal(free),
        full_notional=Decimal(200),
        may_short=short,
    )


def test_full_exposure_buys_the_full_notional() -> None:
    order = order_for(_sleeve(), BTC, MARK, 1.0, {})
    assert order is not None
    assert (order.side, order.quantity, order.reduce_only, order.leg) == (
        OrderSide.BUY,
        Decimal("0.00200"),
        False,
        "entry",
    )


def test_leaving_sells_what_is_held_and_no_more_than_is_free() -> None:
    order = order_for(_sleeve("0.002", "0.0019985"), BTC, MARK, 0.0, {})
    assert order is not None
    assert (order.side, order.quantity, order.reduce_only) == (OrderSide.SELL, Decimal("0.00199"), True)


def test_a_short_wish_on_spot_only_goes_flat() -> None:
    assert order_for(_sleeve(), BTC, MARK, -1.0, {}) is None
    order = order_for(_sleeve("0.002", "0.002"), BTC, MARK, -1.0, {})
    assert order is not None
    assert order.quantity == Decimal("0.00200")


def test_futures_may_go_short() -> None:
    order = order_for(_sleeve(short=True, market=Market.FUTURES), BTC, MARK, -0.5, {})
    assert order is not None
    assert (order.side, order.quantity) == (OrderSide.SELL, Decimal("0.00100"))


@pytest.mark.parametrize("target", [0.0, 0.02])
def test_what_is_too_small_for_the_venue_is_left_out(target: float) -> None:
    assert order_for(_sleeve(), BTC, MARK, target, {}) is None


@pytest.mark.parametrize(
    ("closable", "target", "sold"),
    [("0.002", 0.0, "0.002"), ("0.0012", 0.0, "0.0012"), ("0.0012", -1.0, "0.0012"), ("0.0012", 0.5, "0.0002")],
)
def test_what_a_person_closed_is_not_closed_again(closable: str, target: float, sold: str) -> None:
    sleeve = _sleeve("0.002", closable=closable, short=True, market=Market.FUTURES)
    order = order_for(sleeve, BTC, MARK, target, {})
    assert order is not None
    assert (order.side, order.quantity, order.leg) == (OrderSide.SELL, Decimal(sold), "exit")


@pytest.mark.parametrize("target", [0.0, 0.5, -1.0])
def test_what_a_person_closed_whole_leaves_nothing_to_send(target: float) -> None:
    sleeve = _sleeve("0.002", closable="0", short=True, market=Market.FUTURES)
    assert order_for(sleeve, BTC, MARK, target, {}) is None


def test_a_whole_sleeve_is_turned_around_by_one_order() -> None:
    order = order_for(_sleeve("0.002", short=True, market=Market.FUTURES), BTC, MARK, -1.0, {})
    assert order is not None
    assert (order.side, order.quantity, order.reduce_only) == (OrderSide.SELL, Decimal("0.004"), False)
