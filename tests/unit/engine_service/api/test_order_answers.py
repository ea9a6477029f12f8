"""An order that never left is answered with what kept it back."""

from __future__ import annotations

import json

import pytest
from starlette.requests import Request

from engine_service.api.order_answers import answered
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.answers import SubmitResult, SubmitStatus
from tests.fakes.engine import mark_of
from tests.unit.engine_service.venues.builders import market_order


@pytest.mark.parametrize(
    ("code", "told", "status"),
    [
        ("TRADING_HALTED", "TRADING_HALTED", 423),
        ("SEND_TOO_LATE", "SEND_TOO_LATE", 503),
        ("VENUE_RATE_LIMITED", "VENUE_UNREACHABLE", 503),
    ],
)
def test_what_kept_an_order_back_is_told_by_its_own_code(code: str, told: str, status: int) -> None:
    order = market_order(status=OrderStatus.NOT_PLACED, code=code, reason="as it is")
    answer = answered(
        Request({"type": "http", "state": {"request_id": "r1"}, "headers": []}),
        SubmitResult(status=SubmitStatus.NOT_PLACED, order=order),
        mark_of(),
    )
    body = json.loads(bytes(answer.body))
    assert (answer.status_code, body["code"], body["detail"]) == (status, told, "as it is")
