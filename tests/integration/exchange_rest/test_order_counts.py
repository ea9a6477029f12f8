"""Spot counts unfilled orders only: what trades gives its count back."""

from __future__ import annotations

from decimal import Decimal

import httpx
import pytest

from tests.integration.exchange_rest.signed_client import SignedClient, refused

ORDER = "/api/v3/order"


def resting(client: SignedClient) -> dict[str, object]:
    price = (client.last_price("BTCUSDT") * Decimal("0.8")).quantize(Decimal("0.01"))
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001"}
    return {**order, "price": str(price), "newOrderRespType": "ACK"}


def place_and_cancel(client: SignedClient, order: dict[str, object]) -> httpx.Response:
    """A resting order that is cancelled at once: it stays counted."""
    answer = client.signed("POST", ORDER, **order)
    if answer.status_code == 200:
        client.signed("DELETE", ORDER, symbol="BTCUSDT", orderId=answer.json()["orderId"])
    return answer


@pytest.mark.parametrize(("symbol", "side", "quantity"), [("ETHUSDT", "BUY", "0.01"), ("BNBUSDT", "SELL", "0.1")])
def test_orders_that_trade_do_not_use_up_the_count(client: SignedClient, symbol: str, side: str, quantity: str) -> None:
    order = {"symbol": symbol, "side": side, "type": "MARKET", "quantity": quantity, "newOrderRespType": "ACK"}
    answers = [client.signed("POST", ORDER, **order) for _ in range(30)]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["x-mbx-order-count-10s"] for answer in answers} == {"0"}


def test_too_many_unfilled_orders_are_refused_until_the_window_ends(client: SignedClient) -> None:
    order = resting(client)
    for _ in range(220):  # two windows' worth, in case one ends in between
        answer = place_and_cancel(client, order)
        if answer.status_code != 200:
            break
    refused(answer, 429, -1015, "Too many new orders; current limit is 100 orders per 10 SECOND.")
    assert 1 <= int(answer.headers["retry-after"]) <= 10
