"""What each event writes on an order: these fields, these values, and nothing else."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import fields, replace

from engine_service.domain import events as e
from engine_service.domain.order import Order
from engine_service.domain.order_changes import changed, doubt_of
from engine_service.domain.order_status import Doubt, OrderSide
from engine_service.domain.order_status import OrderStatus as S
from tests.unit.engine_service.domain.order_change_cases import AT, CASES, an_order, filled, reversed_

D = Decimal


def written(before: Order, event: e.OrderEvent) -> dict[str, Any]:
    """Return the fields that the event changed."""
    after = changed(before, event)
    assert after is not None
    names = [field.name for field in fields(Order)]
    return {name: getattr(after, name) for name in names if getattr(after, name) != getattr(before, name)}


@pytest.mark.parametrize(("before", "event", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_an_event_writes_these_fields(before: Order, event: e.OrderEvent, expected: dict[str, Any]) -> None:
    assert written(before, event) == {**expected, "updated_at_ms": 9}


def test_what_no_rule_allows_is_not_done() -> None:
    assert changed(an_order(S.FILLED), e.OrderCancelRequested(**AT)) is None
    assert changed(an_order(S.SUBMITTED), e.OrderPendingCancel(**AT)) is None
    assert changed(an_order(filled_quantity=D(1)), reversed_("1.1")) is None


def test_a_sum_of_trades_is_exact() -> None:
    order = an_order(quantity=D("1e12"), filled_quantity=D("123456789.123456789012345678"))
    after = changed(order, filled("0.000000000000000001", "123456789012.123456789012345678"))
    assert after is not None
    assert after.filled_quantity == D("123456789.123456789012345679")
    assert after.filled_quote == D("0.000000123456789012123456789012345678")


@pytest.mark.parametrize(
    ("order", "doubt"),
    [
        (an_order(S.PENDING_CANCEL), Doubt.CANCEL),
        (an_order(S.PENDING_UPDATE), Doubt.REPLACE),
        (an_order(S.SUBMITTED), Doubt.SUBMIT),
        (an_order(S.TRIGGERED, pending_quantity=D(3)), Doubt.REPLACE),
        (an_order(S.IN_DOUBT, doubt=Doubt.CANCEL), Doubt.CANCEL),
        (an_order(S.IN_DOUBT, doubt=Doubt.REPLACE), Doubt.REPLACE),
    ],
)
def test_a_crash_leaves_in_doubt_what_was_asked_last(order: Order, doubt: Doubt) -> None:
    assert doubt_of(order) is doubt


def test_what_an_order_may_still_do() -> None:
    order = an_order(S.PARTIALLY_FILLED, filled_quantity=D("0.5"), filled_quote=D(45))
    assert (order.is_open, order.venue, order.average_price) == (True, "BINANCE", D(90))
    assert (order.remaining_quantity, order.reserved_value, order.reserved_funds) == (D("1.5"), D(150), D("151.5"))
    ended = replace(order, status=S.CANCELED)
    assert (ended.is_open, ended.reserved_value, ended.reserved_funds) == (False, D(0), D(0))
    too_much = replace(order, filled_quantity=D(3))
    assert (too_much.remaining_quantity, too_much.unfilled_at_most) == (D(0), D(0))
    assert (an_order().average_price, an_order(quantity=None).remaining_quantity) == (None, None)
    assert (an_order(pending_quantity=D(1)).greatest_quantity, an_order().greatest_quantity) == (D(2), D(2))


def test_a_new_order_promises_nothing_it_was_not_told() -> None:
    order = an_order()
    flags = (
        order.post_only,
        order.reduce_only,
        order.external,
        order.late_fill,
        order.overfill,
        order.cancel_requested,
    )
    assert not any(flags)
    assert (order.created_at_ms, order.updated_at_ms, order.sent_at_ms, order.policy_version) == (0, 0, 0, 0)


def test_sides_have_signs_and_opposites() -> None:
    assert (OrderSide.BUY.sign, OrderSide.SELL.sign) == (1, -1)
    assert (OrderSide.BUY.opposite, OrderSide.SELL.opposite) == (OrderSide.SELL, OrderSide.BUY)


@pytest.mark.parametrize(
    ("price", "quantity", "is_pending"),
    [(None, None, False), (D(99), None, True), (None, D(3), True), (D(9), D(3), True)],
)
def test_a_change_is_pending_while_either_figure_is(
    price: Decimal | None, quantity: Decimal | None, is_pending: bool
) -> None:
    order = an_order(S.PENDING_UPDATE, pending_limit_price=price, pending_quantity=quantity)
    assert order.has_pending_change is is_pending
