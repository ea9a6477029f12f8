"""Orders, events, and what each event writes on an order: a table."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.order import Order
from engine_service.domain.order_status import Doubt, OrderSide, OrderType
from engine_service.domain.order_status import OrderStatus as S

D = Decimal
CID = "c1"


def an_order(status: S = S.ACCEPTED, **more: Any) -> Order:
    order = Order(
        client_order_id=CID,
        symbol="BTCUSDT.BINANCE",
        market=Market.SPOT,
        side=OrderSide.BUY,
        type=OrderType.LIMIT,
        status=status,
        quantity=D(2),
        limit_price=D(100),
        fence_at_ms=50,
        unit_value=D(100),
        reserve_asset="USDT",
        reserve_per_unit=D(101),
    )
    return replace(order, **more)


def a_fill(quantity: str, price: str = "100", **more: Any) -> Fill:
    fill = Fill(
        venue="BINANCE",
        market=Market.SPOT,
        symbol="BTCUSDT.BINANCE",
        trade_id="t1",
        client_order_id=CID,
        venue_order_id="v9",
        side=OrderSide.BUY,
        price=D(price),
        quantity=D(quantity),
    )
    return replace(fill, **more)


def filled(quantity: str, price: str = "100", *, overfill: bool = False, **more: Any) -> e.OrderFilled:
    return e.OrderFilled(
        at_ms=9,
        client_order_id=CID,
        fill=a_fill(quantity, price, **more),
        base="BTC",
        quote="USDT",
        quote_rate=D(1),
        fee_rate=D(1),
        overfill=overfill,
    )


def reversed_(
    quantity: str, price: str = "100", reason: e.Reversal = e.Reversal.BUST, **more: Any
) -> e.OrderFillReversed:
    return e.OrderFillReversed(
        at_ms=9,
        client_order_id=CID,
        fill=a_fill(quantity, price, **more),
        base="BTC",
        quote="USDT",
        quote_rate=D(1),
        fee_rate=D(1),
        reason=reason,
    )


AT: dict[str, Any] = {"at_ms": 9, "client_order_id": CID}
IN_DOUBT = an_order(S.IN_DOUBT, doubt=Doubt.SUBMIT)
ASKED = an_order(S.PENDING_CANCEL, resting_status=S.PARTIALLY_FILLED, filled_quantity=D(1), cancel_requested=True)
CHANGING = an_order(S.PENDING_UPDATE, resting_status=S.TRIGGERED, pending_limit_price=D(99), pending_quantity=D(3))
CASES: list[tuple[str, Order, e.OrderEvent, dict[str, Any]]] = [
    (
        "denied",
        an_order(S.INITIALIZED),
        e.OrderDenied(**AT, code="X", reason="no"),
        {"status": S.DENIED, "code": "X", "reason": "no"},
    ),
    (
        "submitted",
        an_order(S.INITIALIZED),
        e.OrderSubmitted(**AT, sent_at_ms=7, fence_at_ms=70),
        {"status": S.SUBMITTED, "sent_at_ms": 7, "fence_at_ms": 70},
    ),
    (
        "gateway",
        an_order(S.SUBMITTED),
        e.OrderPendingAck(**AT, venue_order_id="v1"),
        {"status": S.PENDING_ACK, "venue_order_id": "v1"},
    ),
    (
        "accepted",
        an_order(S.SUBMITTED),
        e.OrderAccepted(**AT, venue_order_id="v1"),
        {"status": S.ACCEPTED, "venue_order_id": "v1"},
    ),
    ("accepted again", an_order(venue_order_id="v0"), e.OrderAccepted(**AT, venue_order_id="v1"), {}),
    (
        "found",
        IN_DOUBT,
        e.OrderAccepted(**AT, venue_order_id="v1"),
        {"status": S.ACCEPTED, "venue_order_id": "v1", "doubt": None},
    ),
    (
        "a sign of life",
        replace(IN_DOUBT, doubt=Doubt.CANCEL),
        e.OrderAccepted(**AT, venue_order_id="v1"),
        {"venue_order_id": "v1"},
    ),
    ("triggered", an_order(), e.OrderTriggered(**AT), {"status": S.TRIGGERED}),
    (
        "cancel asked",
        an_order(S.PARTIALLY_FILLED),
        e.OrderPendingCancel(**AT, reason="mine", fence_at_ms=80),
        {
            "status": S.PENDING_CANCEL,
            "resting_status": S.PARTIALLY_FILLED,
            "reason": "mine",
            "cancel_requested": True,
            "fence_at_ms": 80,
        },
    ),
    (
        "an earlier fence",
        an_order(),
        e.OrderPendingCancel(**AT, fence_at_ms=40),
        {"status": S.PENDING_CANCEL, "resting_status": S.ACCEPTED, "cancel_requested": True},
    ),
    (
        "cancel of a change",
        CHANGING,
        e.OrderPendingCancel(**AT, fence_at_ms=80),
        {"status": S.PENDING_CANCEL, "cancel_requested": True, "fence_at_ms": 80},
    ),
    ("cancel wished", an_order(), e.OrderCancelRequested(**AT), {"cancel_requested": True}),
    (
        "canceled",
        ASKED,
        e.OrderCanceled(**AT, reason="done"),
        {"status": S.CANCELED, "resting_status": None, "reason": "done"},
    ),
    (
        "canceled without a word",
        replace(ASKED, reason="mine"),
        e.OrderCanceled(**AT),
        {"status": S.CANCELED, "resting_status": None},
    ),
    (
        "cancel refused",
        ASKED,
        e.OrderCancelRejected(**AT, code="X", reason="no"),
        {"status": S.PARTIALLY_FILLED, "resting_status": None, "cancel_requested": False, "code": "X", "reason": "no"},
    ),
    (
        "change asked",
        an_order(S.TRIGGERED),
        e.OrderPendingUpdate(**AT, limit_price=D(99), quantity=D(3), fence_at_ms=80),
        {
            "status": S.PENDING_UPDATE,
            "resting_status": S.TRIGGERED,
            "pending_limit_price": D(99),
            "pending_quantity": D(3),
            "fence_at_ms": 80,
        },
    ),
    (
        "a change's earlier fence",
        an_order(),
        e.OrderPendingUpdate(**AT, limit_price=D(99), fence_at_ms=40),
        {"status": S.PENDING_UPDATE, "resting_status": S.ACCEPTED, "pending_limit_price": D(99)},
    ),
    (
        "changed",
        CHANGING,
        e.OrderUpdated(**AT, limit_price=D(99), quantity=D(3), venue_order_id="v2"),
        {
            "status": S.TRIGGERED,
            "resting_status": None,
            "limit_price": D(99),
            "quantity": D(3),
            "venue_order_id": "v2",
            "pending_limit_price": None,
            "pending_quantity": None,
        },
    ),
    (
        "changed in price",
        replace(CHANGING, venue_order_id="v1"),
        e.OrderUpdated(**AT, limit_price=D(98)),
        {
            "status": S.TRIGGERED,
            "resting_status": None,
            "limit_price": D(98),
            "pending_limit_price": None,
            "pending_quantity": None,
        },
    ),
    ("changed in size", an_order(), e.OrderUpdated(**AT, quantity=D(1)), {"quantity": D(1)}),
    (
        "a smaller size that has traded",
        an_order(S.PARTIALLY_FILLED, filled_quantity=D(1)),
        e.OrderUpdated(**AT, quantity=D(1)),
        {"status": S.FILLED, "quantity": D(1)},
    ),
    (
        "change refused",
        CHANGING,
        e.OrderUpdateRejected(**AT, code="X", reason="no"),
        {
            "status": S.TRIGGERED,
            "resting_status": None,
            "pending_limit_price": None,
            "pending_quantity": None,
            "code": "X",
            "reason": "no",
        },
    ),
    (
        "rejected",
        an_order(S.SUBMITTED),
        e.OrderRejected(**AT, code="X", reason="no"),
        {"status": S.REJECTED, "code": "X", "reason": "no"},
    ),
    ("a late refusal", an_order(S.FILLED, code="Y"), e.OrderRejected(**AT, code="X", reason="no"), {}),
    (
        "not placed",
        IN_DOUBT,
        e.OrderNotPlaced(**AT, code="X", reason="no"),
        {"status": S.NOT_PLACED, "doubt": None, "code": "X", "reason": "no"},
    ),
    ("expired", an_order(), e.OrderExpired(**AT, reason="IOC"), {"status": S.EXPIRED, "reason": "IOC"}),
    (
        "in doubt",
        an_order(S.SUBMITTED),
        e.OrderInDoubt(**AT, doubt=Doubt.SUBMIT, reason="late"),
        {"status": S.IN_DOUBT, "doubt": Doubt.SUBMIT, "reason": "late"},
    ),
    (
        "a cancel in doubt",
        ASKED,
        e.OrderInDoubt(**AT, doubt=Doubt.CANCEL, reason="late"),
        {"status": S.IN_DOUBT, "doubt": Doubt.CANCEL, "reason": "late"},
    ),
    (
        "a change in doubt",
        CHANGING,
        e.OrderInDoubt(**AT, doubt=Doubt.REPLACE, reason="late"),
        {"status": S.IN_DOUBT, "doubt": Doubt.REPLACE, "reason": "late"},
    ),
    (
        "a change in doubt that a cancel left behind",
        an_order(S.PARTIALLY_FILLED, pending_quantity=D(3)),
        e.OrderInDoubt(**AT, doubt=Doubt.REPLACE, reason="late"),
        {"status": S.IN_DOUBT, "doubt": Doubt.REPLACE, "reason": "late", "resting_status": S.PARTIALLY_FILLED},
    ),
    (
        "in doubt again",
        replace(ASKED, status=S.IN_DOUBT, doubt=Doubt.CANCEL),
        e.OrderInDoubt(**AT, doubt=Doubt.REPLACE, reason="late"),
        {"doubt": Doubt.REPLACE, "reason": "late"},
    ),
    (
        "cancel of a doubtful change",
        replace(CHANGING, status=S.IN_DOUBT, doubt=Doubt.REPLACE),
        e.OrderPendingCancel(**AT),
        {"status": S.PENDING_CANCEL, "doubt": None, "cancel_requested": True},
    ),
    (
        "resurrected",
        an_order(S.NOT_PLACED),
        e.OrderResurrected(**AT, venue_order_id="v1"),
        {"status": S.RESURRECTED, "venue_order_id": "v1"},
    ),
    (
        "quarantined",
        ASKED,
        e.OrderQuarantined(**AT, reason="odd"),
        {"status": S.QUARANTINED, "resting_status": None, "reason": "odd"},
    ),
    ("released", an_order(S.QUARANTINED), e.OrderReleased(**AT, reason="seen", principal="me"), {"status": S.CANCELED}),
    (
        "filled in part",
        an_order(),
        filled("0.5", "90"),
        {"status": S.PARTIALLY_FILLED, "filled_quantity": D("0.5"), "filled_quote": D(45), "venue_order_id": "v9"},
    ),
    (
        "filled",
        an_order(venue_order_id="v0"),
        filled("2"),
        {"status": S.FILLED, "filled_quantity": D(2), "filled_quote": D(200)},
    ),
    (
        "filled while in doubt",
        IN_DOUBT,
        filled("0.5"),
        {
            "status": S.PARTIALLY_FILLED,
            "doubt": None,
            "filled_quantity": D("0.5"),
            "filled_quote": D(50),
            "venue_order_id": "v9",
        },
    ),
    (
        "filled while a cancel is in doubt",
        replace(IN_DOUBT, doubt=Doubt.CANCEL, resting_status=S.ACCEPTED),
        filled("0.5"),
        {
            "resting_status": S.PARTIALLY_FILLED,
            "filled_quantity": D("0.5"),
            "filled_quote": D(50),
            "venue_order_id": "v9",
        },
    ),
    (
        "filled late",
        an_order(S.CANCELED),
        filled("0.5"),
        {"late_fill": True, "filled_quantity": D("0.5"), "filled_quote": D(50), "venue_order_id": "v9"},
    ),
    (
        "filled too much",
        an_order(S.FILLED, filled_quantity=D(2), filled_quote=D(200), venue_order_id="v9"),
        filled("1", overfill=True),
        {"late_fill": True, "overfill": True, "filled_quantity": D(3), "filled_quote": D(300)},
    ),
    (
        "counted and not named",
        an_order(provisional_quantity=D("0.1")),
        filled("0.5", provisional=True),
        {
            "status": S.PARTIALLY_FILLED,
            "filled_quantity": D("0.5"),
            "filled_quote": D(50),
            "venue_order_id": "v9",
            "provisional_quantity": D("0.6"),
        },
    ),
    (
        "filled where no rule has a place for it",
        an_order(S.DENIED),
        filled("0.5"),
        {"status": S.QUARANTINED, "filled_quantity": D("0.5"), "filled_quote": D(50), "venue_order_id": "v9"},
    ),
    (
        "an order of unknown size",
        an_order(quantity=None),
        filled("5"),
        {"status": S.PARTIALLY_FILLED, "filled_quantity": D(5), "filled_quote": D(500), "venue_order_id": "v9"},
    ),
    (
        "busted",
        an_order(S.FILLED, filled_quantity=D(2), filled_quote=D(190), busted_quantity=D("0.1")),
        reversed_("0.5", "90"),
        {"filled_quantity": D("1.5"), "filled_quote": D(145), "busted_quantity": D("0.6")},
    ),
    (
        "a stand-in replaced",
        an_order(S.FILLED, filled_quantity=D(2), filled_quote=D(190), provisional_quantity=D(1)),
        reversed_("0.5", "90", e.Reversal.REPLACED, provisional=True),
        {"filled_quantity": D("1.5"), "filled_quote": D(145), "provisional_quantity": D("0.5")},
    ),
    (
        "all of it busted",
        an_order(S.FILLED, filled_quantity=D(2), filled_quote=D(200)),
        reversed_("2"),
        {"filled_quantity": D(0), "filled_quote": D(0), "busted_quantity": D(2)},
    ),
]
