"""Orders over HTTP: what the engine answers, held against the exchange's own ledger."""

from __future__ import annotations

import threading
from collections import Counter
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.integration.engine.process import EngineProcess
from tests.integration.simulated_exchange import SimulatedExchange

BUY = {"symbol": "BTCUSDT.BINANCE", "side": "BUY", "quantity": "0.001"}


def _ledger_order(exchange: SimulatedExchange, client_order_id: str) -> dict[str, Any]:
    found = [order for order in exchange.ledger()["orders"] if order["client_order_id"] == client_order_id]
    assert len(found) == 1
    return dict(found[0])


def _resting(engine: EngineProcess, key: str) -> dict[str, Any]:
    mark = Decimal(next(p["bid"] for p in _prices(engine) if p["symbol"] == "ETHUSDT.BINANCE"))
    body = {
        "symbol": "ETHUSDT.BINANCE",
        "side": "BUY",
        "quantity": "0.02",
        "price": str((mark * Decimal("0.99")).quantize(Decimal("0.01"))),
    }
    answer = engine.order(body, key, path="/orders/limit")
    assert answer.status_code == 201, answer.text
    return dict(answer.json()["order"])


def _prices(engine: EngineProcess) -> list[dict[str, Any]]:
    return list(engine.call("GET", "/prices").json()["prices"])


def test_a_market_order_is_answered_with_what_the_ledger_says(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    answer = engine.order(BUY, "market-order-1")
    assert answer.status_code == 201, answer.text
    order = answer.json()["order"]
    assert answer.headers["location"] == f"/orders/{order['client_order_id']}"
    assert order["status"] == "FILLED"
    truth = _ledger_order(exchange, order["client_order_id"])
    assert order["venue_order_id"] == str(truth["order_id"])
    assert Decimal(order["filled_quantity"]) == Decimal(truth["executed_quantity"]) == Decimal("0.001")
    trades = [trade for trade in exchange.ledger()["trades"] if trade["order_id"] == truth["order_id"]]
    assert [fill["trade_id"] for fill in order["fills"]] == [str(trade["trade_id"]) for trade in trades]
    assert {"trade_id", "price", "quantity", "fee", "fee_asset", "at"} <= set(order["fills"][0])
    assert all(isinstance(order["fills"][0][name], str) for name in ("price", "quantity", "fee"))


def test_an_order_can_be_sized_in_quote(engine: EngineProcess) -> None:
    answer = engine.order({"symbol": "SOLUSDT.BINANCE", "side": "BUY", "quote": "50"}, "quote-sized-1")
    assert answer.status_code == 201, answer.text
    order = answer.json()["order"]
    spent = sum(Decimal(fill["price"]) * Decimal(fill["quantity"]) for fill in order["fills"])
    assert Decimal(45) < spent <= Decimal(50)


def test_the_same_key_is_answered_the_same_and_places_once(engine: EngineProcess, exchange: SimulatedExchange) -> None:
    first = engine.order(BUY, "replayed-key-1")
    second = engine.call("POST", "/orders/market", json=BUY, headers={"X-Idempotency-Key": "replayed-key-1"})
    assert second.status_code == first.status_code == 201
    assert second.headers["idempotency-replayed"] == "true"
    assert second.json() == first.json()
    _ledger_order(exchange, first.json()["order"]["client_order_id"])


@pytest.mark.parametrize("written", ["0.0010", "0.001000000", "00.001", 0.001])
def test_a_figure_written_otherwise_is_the_same_figure(engine: EngineProcess, written: object) -> None:
    first = engine.order(BUY, "figure-key-1")
    again = engine.order({**BUY, "quantity": written}, "figure-key-1")
    assert (again.status_code, again.headers.get("idempotency-replayed")) == (first.status_code, "true"), again.text
    assert again.json() == first.json()


def test_the_same_key_with_another_body_is_refused(engine: EngineProcess) -> None:
    engine.order(BUY, "reused-key-1")
    again = engine.order({**BUY, "quantity": "0.002"}, "reused-key-1")
    assert (again.status_code, again.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


def test_64_identical_requests_at_once_make_one_order(engine: EngineProcess, exchange: SimulatedExchange) -> None:
    before = len(exchange.ledger()["orders"])
    answers: list[httpx.Response] = []
    gate = threading.Barrier(64)

    def send() -> None:
        gate.wait()
        answers.append(engine.order(BUY, "sixty-four-at-once"))

    threads = [threading.Thread(target=send) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(Counter(answer.status_code for answer in answers)) <= {201, 409}
    ids = {answer.json()["order"]["client_order_id"] for answer in answers if answer.status_code == 201}
    assert len(ids) == 1
    assert len(exchange.ledger()["orders"]) == before + 1


def test_a_limit_order_rests_changes_and_is_cancelled(engine: EngineProcess, exchange: SimulatedExchange) -> None:
    order = _resting(engine, "resting-order-1")
    assert order["status"] == "ACCEPTED"
    smaller = engine.call("PATCH", f"/orders/{order['client_order_id']}", json={"quantity": "0.01"})
    assert smaller.status_code == 200, smaller.text
    assert Decimal(smaller.json()["order"]["quantity"]) == Decimal("0.01")
    cancelled = engine.call("DELETE", f"/orders/{order['client_order_id']}")
    assert cancelled.json()["order"]["status"] == "CANCELED"
    again = engine.call("DELETE", f"/orders/{order['client_order_id']}")
    assert (again.status_code, again.json()["code"]) == (409, "ORDER_TERMINAL")
    assert _ledger_order(exchange, order["client_order_id"])["status"] == "CANCELED"


def test_cancelling_what_does_not_exist_says_so(engine: EngineProcess) -> None:
    for unknown in ("0" * 32, "..%2f..%2fetc", "short"):
        answer = engine.call("DELETE", f"/orders/{unknown}")
        assert answer.status_code == 404


def test_all_orders_of_a_symbol_can_be_cancelled(engine: EngineProcess) -> None:
    _resting(engine, "cancel-all-1")
    _resting(engine, "cancel-all-2")
    done = engine.call("DELETE", "/orders?symbol=ETHUSDT.BINANCE").json()["orders"]
    assert {order["status"] for order in done} == {"CANCELED"}
    assert engine.call("GET", "/orders?open=true").json()["orders"] == []


def test_an_orders_page_tells_its_whole_history(engine: EngineProcess) -> None:
    order = engine.order(BUY, "history-of-an-order").json()["order"]
    detail = engine.call("GET", f"/orders/{order['client_order_id']}").json()
    kinds = [event["kind"] for event in detail["history"]]
    assert kinds[:2] == ["OrderInitialized", "OrderSubmitted"]
    assert "OrderFilled" in kinds


def test_pages_of_orders_follow_a_cursor_that_cannot_be_forged(engine: EngineProcess) -> None:
    first = engine.call("GET", "/orders?limit=2").json()
    second = engine.call("GET", f"/orders?limit=2&cursor={first['cursor']}").json()
    ids = [order["client_order_id"] for page in (first, second) for order in page["orders"]]
    assert len(ids) == len(set(ids))
    forged = engine.call("GET", f"/orders?limit=2&cursor=1{first['cursor']}")
    assert (forged.status_code, forged.json()["code"]) == (400, "CURSOR_INVALID")


def test_one_reading_of_the_portfolio_explains_equity_to_the_last_digit(engine: EngineProcess) -> None:
    engine.order({**BUY, "side": "SELL"}, "sell-some-back")
    book = {
        name: Decimal(value)
        for name, value in engine.call("GET", "/portfolio").json().items()
        if name in {"equity", "starting_equity", "realised_pnl", "unrealised_pnl", "fees", "funding", "transfers"}
    }
    change = book["equity"] - book["starting_equity"]
    assert change == (
        book["realised_pnl"] + book["unrealised_pnl"] - book["fees"] - book["funding"] + book["transfers"]
    )
    assert book["fees"] > 0


def test_the_book_equals_the_exchange(engine: EngineProcess, exchange: SimulatedExchange) -> None:
    report = engine.reconciled()
    assert report["ok"], report
    truth = {
        row["asset"]: Decimal(row["free"]) + Decimal(row["locked"])
        for row in exchange.ledger()["balances"]
        if row["account"] == "demo" and row["market"] == "spot"
    }
    ours = engine.call("GET", "/portfolio").json()
    assert Decimal(ours["cash"]["USDT.BINANCE|spot"]["total"]) == truth["USDT"]
    for position in ours["positions"]:
        asset = position["symbol"].removesuffix("USDT.BINANCE")
        assert Decimal(position["signed_quantity"]) == truth[asset]


@pytest.mark.parametrize(
    ("limit", "body", "status", "code"),
    [
        ({"allowed_symbols": "ETHUSDT.BINANCE"}, BUY, 403, "SYMBOL_NOT_ALLOWED"),
        ({"max_notional": "20"}, BUY, 403, "NOTIONAL_TOO_LARGE"),
        ({"total_exposure_cap": "1"}, BUY, 403, "EXPOSURE_TOTAL_CAP"),
        ({"trading_enabled": "false"}, BUY, 403, "TRADING_DISABLED"),
        ({}, {"symbol": "DOGEUSDT.BINANCE", "side": "BUY", "quantity": "1"}, 422, "NOTIONAL_TOO_SMALL"),
        ({}, {"symbol": "DOGEUSDT.BINANCE", "side": "SELL", "quantity": "900"}, 403, None),
        ({"order_rate_per_min": "0"}, BUY, 429, "ORDER_RATE_EXCEEDED"),
    ],
)
def test_a_rail_refuses_with_its_code_and_numbers_and_nothing_is_sent(
    engine: EngineProcess,
    exchange: SimulatedExchange,
    limit: dict[str, str],
    body: dict[str, str],
    status: int,
    code: str | None,
) -> None:
    before = engine.call("GET", "/risk/config").json()
    if limit:
        assert engine.call("PUT", "/risk/config", json=limit).status_code == 200
    placed = len(exchange.ledger()["orders"])
    answer = engine.order(body, f"refused-by-a-rail-{code}-{status}")
    engine.call(
        "PUT", "/risk/config", json={name: before[name] for name in limit} or {"dust_value": before["dust_value"]}
    )
    assert answer.status_code == status, answer.text
    if code is not None:
        assert answer.json()["code"] == code
    assert len(exchange.ledger()["orders"]) == placed


def test_an_answer_lost_after_acceptance_is_settled_by_asking(
    engine: EngineProcess, exchange: SimulatedExchange, no_faults_left: None
) -> None:
    exchange.faults("drop_after", count=1, path="order.place")
    answer = engine.order(BUY, "lost-answer-1")
    exchange.clear_faults()
    assert answer.status_code in (201, 202), answer.text
    client_order_id = answer.json()["order"]["client_order_id"]
    for _ in range(40):
        order = engine.call("GET", f"/orders/{client_order_id}").json()["order"]
        if order["status"] == "FILLED":
            break
        threading.Event().wait(0.5)
    assert order["status"] == "FILLED"
    assert _ledger_order(exchange, client_order_id)["executed_quantity"] == "0.001"
