"""DELETE of an order whose answer was lost: taken at once, sent to the exchange, and settled without a second order."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

from tests.integration.engine.process import EngineProcess
from tests.integration.simulated_exchange import SimulatedExchange, only

BTC = "BTCUSDT.BINANCE"


def _far_below(engine: EngineProcess) -> dict[str, Any]:
    prices = engine.call("GET", "/prices").json()["prices"]
    mark = Decimal(next(price["mark"] for price in prices if price["symbol"] == BTC))
    return {"symbol": BTC, "side": "BUY", "quantity": "0.001", "price": f"{mark * Decimal('0.98'):.2f}"}


def test_a_cancel_reaches_an_order_that_the_engine_cannot_see(
    engine: EngineProcess, exchange: SimulatedExchange, no_faults_left: None
) -> None:
    exchange.faults("withhold", event="executionReport")
    # A comparison that falls into the test must not find the order either.
    for path in ("/api/v3/order", "/api/v3/openOrders", "/api/v3/allOrders"):
        exchange.faults("error", path=path, method="GET", http_status=500, code=-1000, message="down")
    exchange.faults("error", path="order.status", http_status=500, code=-1000, message="down")
    exchange.faults("drop_after", count=1, path="order.place")
    placed = engine.order(_far_below(engine), "cancel-in-doubt-1", path="/orders/limit")
    assert (placed.status_code, placed.json()["status"]) == (202, "IN_DOUBT")
    cid = placed.json()["order"]["client_order_id"]

    answer = engine.call("DELETE", f"/orders/{cid}")
    assert (answer.status_code, answer.json()["code"]) == (202, "CANCEL_PENDING")
    assert answer.json()["order"]["status"] == "IN_DOUBT"
    for _ in range(100):
        order = engine.call("GET", f"/orders/{cid}").json()["order"]
        if order["status"] == "CANCELED":
            break
        threading.Event().wait(0.1)
    assert order["status"] == "CANCELED"
    (truth,) = only(exchange.ledger()["orders"], client_order_id=cid)
    assert (truth["status"], truth["executed_quantity"]) == ("CANCELED", "0")
