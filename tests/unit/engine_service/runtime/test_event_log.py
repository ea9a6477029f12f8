"""What an operator has to know stands in the process log, with its cause and its number in the journal."""

from __future__ import annotations

from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from engine_service.domain import events as e
from engine_service.domain.ids import Market
from engine_service.runtime.event_bus import EventBus
from engine_service.runtime.event_log import KINDS, tell
from engine_service.storage.port import Recorded

D = Decimal
BTC = "BTCUSDT.BINANCE"
EVENTS: tuple[e.Event, ...] = (
    e.TradingHalted(at_ms=1, reason="an order was not sent by this engine", principal="engine"),
    e.TradingResumed(at_ms=1, reason="looked into it", principal="ann"),
    e.SymbolRestricted(at_ms=1, symbol=BTC, market=Market.SPOT, code="OVERFILL", reason="filled more than ordered"),
    e.SymbolReleased(at_ms=1, symbol=BTC, market=Market.SPOT, principal="ann", reason="looked into it"),
    e.OrderQuarantined(at_ms=1, client_order_id="c1", reason="its side is another"),
    e.OrderResurrected(at_ms=1, client_order_id="c1"),
    e.Anomaly(at_ms=1, kind="external_order", subject="web_1", detail=BTC),
    e.BreakFound(
        at_ms=1,
        break_id="BINANCE|spot|balance|USDT",
        venue="BINANCE",
        market=Market.SPOT,
        kind="balance",
        subject="USDT",
        ours="1",
        theirs="2",
        resolution="open",
    ),
    e.BalanceAdjusted(
        at_ms=1,
        venue="BINANCE",
        market=Market.SPOT,
        asset="USDT",
        amount=D(1),
        rate=D(1),
        kind=e.AdjustmentKind.TRANSFER,
        reference="reconciliation",
    ),
    e.PositionAdopted(at_ms=1, symbol=BTC, quote="USDT", quantity=D("0.5"), price=D(1), quote_rate=D(1)),
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_each_is_one_line_that_names_its_event(event: e.Event) -> None:
    bus = EventBus(lambda name: None, lambda name: None)
    bus.subscribe("log", tell, kinds=KINDS)
    with capture_logs() as said:
        bus.publish(Recorded(seq=7, event=event))
    assert [line["seq"] for line in said] == [7]


def test_every_kind_that_is_asked_for_is_told() -> None:
    assert {type(event) for event in EVENTS} == set(KINDS)


def test_a_halt_tells_its_reason() -> None:
    with capture_logs() as said:
        tell(Recorded(seq=7, event=EVENTS[0]))
    assert said[0]["event"] == "trading halted"
    assert said[0]["reason"] == "an order was not sent by this engine"
