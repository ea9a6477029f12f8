"""Conditional orders over HTTP on spot: they rest, trigger, fill, and are refused by name."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.integration.engine.process import EngineProcess
from tests.integration.simulated_exchange import SimulatedExchange, only, wait_for

BTC = "BTCUSDT.BINANCE"


def _mark(engine: EngineProcess) -> Decimal:
    prices = engine.call("GET", "/prices").json()["prices"]
    return Decimal(next(price["mark"] for price in prices if price["symbol"] == BTC))


def _at(engine: EngineProcess, factor: str) -> str:
    return f"{_mark(engine) * Decimal(factor):.2f}"


def _stop(engine: EngineProcess, key: str, **fields: Any) -> dict[str, Any]:
    body = {"symbol": BTC, "side": "SELL", "quantity": "0.001", **fields}
    answer = engine.order(body, key, path="/orders/stop")
    assert answer.status_code == 201, answer.text
    return dict(answer.json()["order"])


def _order(engine: EngineProcess, client_order_id: str) -> dict[str, Any]:
    return dict(engine.call("GET", f"/orders/{client_order_id}").json())


@pytest.fixture(autouse=True)
def calm(exchange: SimulatedExchange) -> Any:
    """Prices move only where a test makes them."""
    exchange.market(volatility=0)
    yield
    exchange.market(volatility=1)


def _jump(engine: EngineProcess, exchange: SimulatedExchange, frac: float) -> None:
    """Move the price and wait until the engine has seen it."""
    wanted = _mark(engine) * Decimal(str(1 + frac))
    exchange.market(symbol="BTCUSDT", jump=frac)
    wait_for(lambda: abs(_mark(engine) / wanted - 1) < Decimal("0.002"))


@pytest.mark.parametrize(
    ("kind", "factor", "limit", "ours", "theirs"),
    [
        ("stop", "0.98", None, "STOP_MARKET", "STOP_LOSS"),
        ("stop", "0.98", "0.97", "STOP_LIMIT", "STOP_LOSS_LIMIT"),
        ("take_profit", "1.02", None, "TAKE_PROFIT_MARKET", "TAKE_PROFIT"),
        ("take_profit", "1.02", "1.02", "TAKE_PROFIT_LIMIT", "TAKE_PROFIT_LIMIT"),
    ],
)
def test_each_kind_rests_at_the_venue_and_can_be_cancelled(
    engine: EngineProcess,
    exchange: SimulatedExchange,
    kind: str,
    factor: str,
    limit: str | None,
    ours: str,
    theirs: str,
) -> None:
    fields = {"kind": kind, "stop_price": _at(engine, factor)} | ({"price": _at(engine, limit)} if limit else {})
    order = _stop(engine, f"kind-{ours}", **fields)
    assert (order["type"], order["status"]) == (ours, "ACCEPTED")
    truth = only(exchange.ledger()["orders"], client_order_id=order["client_order_id"])
    assert [(row["type"], row["status"]) for row in truth] == [(theirs, "NEW")]
    done = engine.call("DELETE", f"/orders/{order['client_order_id']}").json()
    assert done["order"]["status"] == "CANCELED"


def test_a_stop_triggers_fills_and_tells_both(engine: EngineProcess, exchange: SimulatedExchange) -> None:
    order = _stop(engine, "triggered-stop", stop_price=_at(engine, "0.99"))
    _jump(engine, exchange, -0.02)
    detail = wait_for(
        lambda: (found := _order(engine, order["client_order_id"]))["order"]["status"] == "FILLED" and found
    )
    kinds = [event["kind"] for event in detail["history"]]
    assert "OrderTriggered" in kinds, detail
    assert kinds.index("OrderTriggered") < kinds.index("OrderFilled")
    assert Decimal(detail["order"]["average_price"]) < Decimal(order["stop_price"]) * Decimal("1.001")


def test_a_stop_limit_triggers_and_rests_as_triggered(engine: EngineProcess, exchange: SimulatedExchange) -> None:
    stop, limit = _at(engine, "0.995"), _at(engine, "1.03")
    order = _stop(engine, "triggered-limit", stop_price=stop, price=limit)
    _jump(engine, exchange, -0.01)
    wait_for(lambda: _order(engine, order["client_order_id"])["order"]["status"] == "TRIGGERED")
    engine.call("DELETE", f"/orders/{order['client_order_id']}")


def test_the_same_key_places_one_stop(engine: EngineProcess, exchange: SimulatedExchange) -> None:
    price = _at(engine, "0.97")
    first, second = _stop(engine, "one-stop-only", stop_price=price), _stop(engine, "one-stop-only", stop_price=price)
    assert first == second
    assert len(only(exchange.ledger()["orders"], client_order_id=first["client_order_id"])) == 1
    engine.call("DELETE", f"/orders/{first['client_order_id']}")


def test_a_stop_whose_price_is_passed_is_refused_by_name(engine: EngineProcess, exchange: SimulatedExchange) -> None:
    body = {"symbol": BTC, "side": "SELL", "quantity": "0.001", "stop_price": _at(engine, "1.01")}
    answer = engine.order(body, "passed-stop-1", path="/orders/stop")
    assert (answer.status_code, answer.json()["code"]) == (400, "VENUE_WOULD_TRIGGER")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"stop_price": None}, 422, "STOP_PRICE_REQUIRED"),
        ({"stop_price": "0"}, 422, "PRICE_NOT_POSITIVE"),
        ({"stop_price": "-1"}, 422, "PRICE_NOT_POSITIVE"),
        ({"stop_price": "1e5"}, 422, "NUMBER_FORMAT"),
        ({"stop_price": True}, 422, "FIELD_TYPE"),
        ({"quantity": None}, 422, "QUANTITY_OR_QUOTE_REQUIRED"),
        ({"quote": "100"}, 422, "QUANTITY_OR_QUOTE_REQUIRED"),
        ({"kind": "STOP"}, 422, "KIND_INVALID"),
        ({"time_in_force": "IOC"}, 422, "TIF_INVALID"),
        ({"post_only": True}, 422, "TIF_INVALID"),
        ({"side": "sell"}, 422, "SIDE_INVALID"),
        ({"trailing": "1"}, 422, "FIELD_UNKNOWN"),
        ({"reduce_only": "false"}, 422, "FIELD_TYPE"),
        ({"stop_price": "1"}, 403, "PRICE_BAND"),
        ({"side": "SELL", "quantity": "100", "reduce_only": True}, 403, "REDUCE_ONLY"),
    ],
)
def test_bad_stops_are_refused_by_name_and_nothing_is_sent(
    engine: EngineProcess, exchange: SimulatedExchange, change: dict[str, Any], status: int, code: str
) -> None:
    body = {"symbol": BTC, "side": "SELL", "quantity": "0.001", "stop_price": _at(engine, "0.98"), **change}
    placed = len(exchange.ledger()["orders"])
    answer = engine.order(
        {name: value for name, value in body.items() if value is not None}, f"bad-stop-{code}-1", path="/orders/stop"
    )
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert len(exchange.ledger()["orders"]) == placed


def test_ioc_and_fok_limits_end_at_once(engine: EngineProcess) -> None:
    away = {"symbol": BTC, "side": "BUY", "quantity": "0.001", "price": _at(engine, "0.97")}
    for time_in_force in ("IOC", "FOK"):
        answer = engine.order(
            {**away, "time_in_force": time_in_force}, f"at-once-{time_in_force}", path="/orders/limit"
        )
        assert answer.status_code == 201, answer.text
        assert answer.json()["order"]["status"] == "EXPIRED"
    crossing = {**away, "price": _at(engine, "1.01"), "time_in_force": "FOK"}
    assert engine.order(crossing, "at-once-filled", path="/orders/limit").json()["order"]["status"] == "FILLED"


def test_a_post_only_limit_that_would_trade_is_refused(engine: EngineProcess) -> None:
    body = {"symbol": BTC, "side": "BUY", "quantity": "0.001", "price": _at(engine, "1.01"), "post_only": True}
    answer = engine.order(body, "post-only-takes", path="/orders/limit")
    assert (answer.status_code, answer.json()["code"]) == (400, "VENUE_WOULD_TAKE")
