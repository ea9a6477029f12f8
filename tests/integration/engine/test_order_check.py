"""POST /orders/check over HTTP: every rail with its numbers, and nothing sent or journaled."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine_service.risk.permissions import RAILS
from tests.integration.engine.process import EngineProcess
from tests.integration.simulated_exchange import SimulatedExchange

BUY = {"symbol": "BTCUSDT.BINANCE", "side": "BUY", "type": "market", "quantity": "0.00123"}


def _check(engine: EngineProcess, body: dict[str, Any], **options: Any) -> dict[str, Any]:
    answer = engine.call("POST", "/orders/check", json=body, **options)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def _mark(engine: EngineProcess, symbol: str = "BTCUSDT.BINANCE") -> Decimal:
    prices = engine.call("GET", "/prices").json()["prices"]
    return Decimal(next(price["mark"] for price in prices if price["symbol"] == symbol))


def test_every_rail_answers_in_order_with_its_numbers(engine: EngineProcess) -> None:
    found = _check(engine, BUY)
    assert found["accepted"], found
    assert found["code"] == ""
    assert [rail["code"] for rail in found["rails"]] == [rail.code for rail in RAILS]
    for rail in found["rails"]:
        assert rail["passed"], rail
        assert rail["value"] is not None, rail
        assert rail["limit"] is not None, rail


def test_size_value_fee_and_slippage_are_those_of_the_order(engine: EngineProcess, exchange: SimulatedExchange) -> None:
    exchange.market(freeze=True)
    try:
        found = _check(engine, BUY)
        placed = engine.order({k: v for k, v in BUY.items() if k != "type"}, "checked-then-sent").json()["order"]
    finally:
        exchange.market(freeze=False)
    assert found["order"]["quantity"] == placed["quantity"] == "0.00123"
    notional = Decimal(found["order"]["quantity"]) * Decimal(found["order"]["price"])
    assert Decimal(found["order"]["notional"]) == pytest.approx(notional)
    slippage = found["expected"]["slippage"]
    assert Decimal(slippage["filled_frac"]) == 1
    assert Decimal(slippage["bps"]) > 0
    assert Decimal(slippage["price"]) == pytest.approx(Decimal(placed["average_price"]), rel=Decimal("0.0002"))
    fee = sum(Decimal(fill["fee"]) * Decimal(fill["price"]) for fill in placed["fills"])
    assert Decimal(found["expected"]["fee"]) == pytest.approx(fee, rel=Decimal("0.01"))
    again = _check(engine, BUY)
    assert again["expected"]["fee_source"] == "own_fills"


def test_nothing_is_sent_or_journaled_and_pace_is_not_counted(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    engine.call("POST", "/reconcile")
    orders = len(exchange.ledger()["orders"])
    engine.call("PUT", "/risk/config", json={"duplicate_window_ms": "3600000"})
    try:
        for _ in range(5):
            assert _check(engine, {**BUY, "quantity": "0.00222"})["accepted"]
    finally:
        engine.call("PUT", "/risk/config", json={"duplicate_window_ms": "0"})
    assert len(exchange.ledger()["orders"]) == orders
    listed = engine.call("GET", "/orders?open=true").json()["orders"]
    assert listed == []


def test_a_refusal_names_its_rail_and_all_others_still_answer(engine: EngineProcess) -> None:
    engine.call("PUT", "/risk/config", json={"max_notional": "20"})
    try:
        found = _check(engine, BUY)
    finally:
        engine.call("PUT", "/risk/config", json={"max_notional": "400"})
    assert (found["accepted"], found["code"]) == (False, "NOTIONAL_TOO_LARGE")
    assert [rail["code"] for rail in found["rails"] if not rail["passed"]] == ["NOTIONAL_TOO_LARGE"]
    rail = next(rail for rail in found["rails"] if not rail["passed"])
    assert Decimal(rail["value"]) > Decimal(rail["limit"]) == Decimal(rail["acceptable"]) == 20


def test_limit_and_stop_orders_can_be_asked_about_with_the_read_token(engine: EngineProcess) -> None:
    mark = _mark(engine)
    far = {"symbol": "BTCUSDT.BINANCE", "side": "BUY", "quantity": "0.001"}
    resting = _check(engine, {**far, "type": "limit", "price": f"{mark * Decimal('0.99'):.2f}"}, token="read")
    assert resting["expected"]["liquidity"] == "maker"
    assert resting["expected"]["slippage"] is None
    stop = _check(engine, {**far, "type": "stop", "stop_price": f"{mark * Decimal('1.01'):.2f}"}, token="read")
    assert (stop["order"]["type"], stop["expected"]["slippage"]) == ("STOP_MARKET", None)
    band = _check(engine, {**far, "type": "stop", "stop_price": f"{mark * 2:.2f}"})
    assert band["code"] == "PRICE_BAND"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({**BUY, "type": "iceberg"}, "TYPE_INVALID"),
        ({key: value for key, value in BUY.items() if key != "type"}, "FIELD_MISSING"),
        ({**BUY, "price": "1"}, "PRICE_NOT_ALLOWED"),
        ({**BUY, "leverage": "5"}, "FIELD_UNKNOWN"),
        ({**BUY, "quantity": "0"}, "QUANTITY_NOT_POSITIVE"),
        ({**BUY, "symbol": "NOSUCH.BINANCE"}, "SYMBOL_UNKNOWN"),
        ({**BUY, "market": "futures"}, "MARKET_INVALID"),
        ({**BUY, "timestamp": 1_600_000_000_000}, "REQUEST_STALE"),
        ({**BUY, "timestamp": 9_000_000_000_000}, "REQUEST_FROM_FUTURE"),
    ],
)
def test_a_body_that_is_no_order_is_refused_by_name(engine: EngineProcess, body: dict[str, Any], code: str) -> None:
    answer = engine.call("POST", "/orders/check", json=body)
    assert answer.json()["code"] == code
    assert answer.status_code in (404, 422)
