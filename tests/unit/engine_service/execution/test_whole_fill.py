"""The short way of the commonest answer leads where the long way does, and no other answer takes it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.apply_unit import step
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.order import Order
from engine_service.domain.order_changes import taken_whole
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType
from engine_service.execution import venue_words
from engine_service.execution.core import EngineCore
from engine_service.execution.venue_words import Facts, facts_of
from engine_service.execution.whole_fill import whole_fill
from engine_service.execution.words import Words
from tests.fakes.engine import make_core
from tests.unit.engine_service.venues.builders import market_order

pytestmark = pytest.mark.anyio
D = Decimal
SYMBOL = "BTCUSDT.BINANCE"

SENT = market_order(
    client_order_id="c1",
    quantity=D("0.00200"),
    strategy="s",
    base="BTC",
    quote="USDT",
    unit_value=D(50_000),
    created_at_ms=1,
)
FILL = Fill(
    venue="BINANCE",
    market=Market.SPOT,
    symbol=SYMBOL,
    trade_id="11",
    client_order_id="c1",
    venue_order_id="7",
    side=OrderSide.BUY,
    price=D("50000.10"),
    quantity=D("0.002"),
    fee=D("0.1"),
    fee_asset="USDT",
    at_ms=2,
)
WORDS = Words(status=OrderStatus.FILLED, venue_order_id="7", executed=D("0.002"), fills=(FILL,))


def long_way(core: EngineCore, order: Order, words: Words, monkeypatch: pytest.MonkeyPatch) -> Facts:
    with monkeypatch.context() as patch:
        patch.setattr(venue_words, "whole_fill", lambda *_: None)
        return facts_of(core, order, words)


@pytest.mark.parametrize(
    "fee", [("0.1", "USDT"), ("0.000002", "BTC"), ("0.01", "BNB"), ("-0.1", "USDT"), ("0", "USDT")]
)
@pytest.mark.parametrize("side", OrderSide)
async def test_the_facts_and_the_order_are_those_of_the_long_way(
    side: OrderSide, fee: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    core = make_core()
    order = replace(SENT, side=side)
    words = replace(WORDS, fills=(replace(FILL, side=side, fee=D(fee[0]), fee_asset=fee[1]),))
    facts = facts_of(core, order, words)
    taken, filled = facts.events
    assert whole_fill(core, order, words, core.clock.now_ms()) == facts.events
    assert facts == long_way(core, order, words, monkeypatch)
    assert isinstance(taken, e.OrderAccepted)
    assert isinstance(filled, e.OrderFilled)
    # As text too: the same number with another count of zeros is another line in the journal.
    assert repr(taken_whole(order, taken, filled)) == repr(step(step(order, taken), filled))


OTHERS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    # what differs of the order, of the words, of the trade
    "not all of it": ({}, {}, {"quantity": D("0.001")}),
    "too much of it": ({}, {"executed": D("0.003")}, {"quantity": D("0.003")}),
    "more is counted": ({}, {"executed": D("0.003")}, {}),
    "two trades": ({}, {"fills": (FILL, replace(FILL, trade_id="12"))}, {}),
    "no trade": ({}, {"fills": ()}, {}),
    "still working": ({}, {"status": OrderStatus.PARTIALLY_FILLED}, {}),
    "another side": ({}, {}, {"side": OrderSide.SELL}),
    "another symbol": ({}, {}, {"symbol": "ETHUSDT.BINANCE"}),
    "a side that is told": ({}, {"side": OrderSide.SELL}, {}),
    "a symbol that is told": ({}, {"symbol": "ETHUSDT.BINANCE"}, {}),
    "a size that is told": ({"why": {"replaces": "c0"}}, {"quantity": D("0.001")}, {}),
    "nothing": ({"quantity": D(0)}, {"executed": D(0)}, {"quantity": D(0)}),
    "a stand-in": ({}, {}, {"provisional": True}),
    "a fee of no asset": ({}, {}, {"fee_asset": ""}),
    "a limit": ({"type": OrderType.LIMIT, "limit_price": D(40_000)}, {}, {}),
    "acknowledged before": ({"status": OrderStatus.PENDING_ACK}, {}, {}),
    "in doubt": ({"status": OrderStatus.IN_DOUBT}, {}, {}),
    "another order": ({"venue_order_id": "6"}, {}, {}),
    "no size": ({"quantity": None}, {}, {}),
}


@pytest.mark.parametrize("name", OTHERS)
async def test_any_other_answer_is_read_the_long_way(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    of_order, of_words, of_fill = OTHERS[name]
    core = make_core()
    order = replace(SENT, **of_order)
    words = replace(WORDS, **{"fills": (replace(FILL, **of_fill),), **of_words})
    assert whole_fill(core, order, words, core.clock.now_ms()) is None
    assert facts_of(core, order, words) == long_way(core, order, words, monkeypatch)


async def test_a_trade_that_is_booked_already_is_not_booked_again() -> None:
    core = make_core()
    core.state.image.fills["c1"] = [FILL]
    try:
        assert whole_fill(core, SENT, WORDS, core.clock.now_ms()) is None
        assert not [event for event in facts_of(core, SENT, WORDS).events if isinstance(event, e.OrderFilled)]
    finally:
        core.state.image.fills.clear()


@pytest.mark.parametrize(
    ("of_order", "of_fill", "over"),
    [
        ({"status": OrderStatus.ACCEPTED}, {}, False),
        ({}, {"quantity": D("0.001")}, False),
        ({}, {"provisional": True}, False),
        ({}, {}, True),
    ],
)
def test_an_order_that_is_not_so_plain_takes_both_steps(
    of_order: dict[str, Any], of_fill: dict[str, Any], over: bool
) -> None:
    known: dict[str, Any] = {"at_ms": 3, "client_order_id": "c1"}
    taken = e.OrderAccepted(**known, venue_order_id="7")
    filled = e.OrderFilled(
        **known, fill=replace(FILL, **of_fill), base="BTC", quote="USDT", quote_rate=D(1), fee_rate=D(1), overfill=over
    )
    assert taken_whole(replace(SENT, **of_order), taken, filled) is None
