"""Conditional orders and brackets on USD-M: algo orders at the venue, the pair linked by the engine."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.engine.process import WIDE_LIMITS, EngineProcess
from tests.integration.simulated_exchange import CROWDED, SimulatedExchange, wait_for

BTC = "BTCUSDT.BINANCE"
LEVELS = {"take_profit_bps": "200", "stop_loss_bps": "200"}
FUTURES = ("--venue", "binance-futures", "--strategies", "off", "--interval", "1m")


@pytest.fixture(scope="module")
def engine(exchange: SimulatedExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    running = EngineProcess(tmp_path_factory.mktemp("engine"), exchange.url, FUTURES).start()
    limits = {**WIDE_LIMITS, "quarantine_stop_outs": "1000", "max_notional": "10000", "leverage_limit": "20"}
    assert running.call("PUT", "/risk/config", json=limits).status_code == 200
    yield running
    assert running.stop() == 0


@pytest.fixture(autouse=True)
def calm(exchange: SimulatedExchange) -> Iterator[None]:
    """Prices move only where a test makes them."""
    exchange.market(volatility=0)
    yield
    exchange.market(volatility=1)


def mark(engine: EngineProcess) -> Decimal:
    prices = engine.call("GET", "/prices").json()["prices"]
    return Decimal(next(price["mark"] for price in prices if price["symbol"] == BTC))


def jump(engine: EngineProcess, exchange: SimulatedExchange, frac: float) -> None:
    wanted = mark(engine) * Decimal(str(1 + frac))
    exchange.market(symbol="BTCUSDT", jump=frac)
    wait_for(lambda: abs(mark(engine) / wanted - 1) < Decimal("0.002"))


def detail(engine: EngineProcess, client_order_id: str) -> dict[str, Any]:
    return dict(engine.call("GET", f"/orders/{client_order_id}").json())


def bracket(engine: EngineProcess, key: str, side: str, **fields: Any) -> dict[str, Any]:
    body = {"symbol": BTC, "side": side, "quantity": "0.02", **LEVELS, **fields}
    answer = engine.order(body, key, path="/orders/bracket")
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def legs(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {leg["leg"]: leg for leg in answer["bracket"]["legs"]}


def closed(engine: EngineProcess, client_order_id: str) -> None:
    wait_for(lambda: detail(engine, client_order_id)["bracket"]["status"] == "closed")


def position(engine: EngineProcess) -> Decimal:
    rows = engine.call("GET", "/positions").json()["positions"]
    return sum((Decimal(row["signed_quantity"]) for row in rows if row["symbol"] == BTC), Decimal(0))


@pytest.mark.parametrize("side", ["BUY", "SELL"])
@pytest.mark.parametrize("wins", ["take_profit", "stop_loss"])
def test_a_pair_of_algo_orders_closes_either_side_and_leaves_nothing(
    engine: EngineProcess, exchange: SimulatedExchange, side: str, wins: str
) -> None:
    answer = bracket(engine, f"pair-{side}-{wins}", side)
    entry = answer["order"]["client_order_id"]
    assert (answer["bracket"]["mode"], answer["bracket"]["protected"]) == ("linked", True)
    pair = legs(answer)
    average = Decimal(detail(engine, entry)["order"]["average_price"])
    profit_above = side == "BUY"
    assert (Decimal(answer["bracket"]["take_profit"]) > average) is profit_above
    assert (Decimal(answer["bracket"]["stop_loss"]) < average) is profit_above
    assert all(leg["reduce_only"] and leg["venue_order_id"].startswith("algo-") for leg in pair.values())
    jump(engine, exchange, 0.03 if (wins == "take_profit") is profit_above else -0.03)
    closed(engine, entry)
    lost = "stop_loss" if wins == "take_profit" else "take_profit"
    won = detail(engine, pair[wins]["client_order_id"])
    assert won["order"]["status"] == "FILLED"
    assert "OrderTriggered" in [event["kind"] for event in won["history"]]
    assert detail(engine, pair[lost]["client_order_id"])["order"]["status"] in {"CANCELED", "EXPIRED"}
    assert position(engine) == 0


def test_a_position_closed_by_hand_takes_its_pair_with_it(engine: EngineProcess) -> None:
    first = bracket(engine, "closed-by-hand", "BUY")
    entry = first["order"]["client_order_id"]
    body = {"symbol": BTC, "side": "SELL", "quantity": "0.02", "reduce_only": True}
    assert engine.order(body, "by-hand-closing").status_code == 201
    closed(engine, entry)
    states = {detail(engine, leg["client_order_id"])["order"]["status"] for leg in legs(first).values()}
    assert states <= {"CANCELED", "EXPIRED"}
    assert position(engine) == 0


def test_a_pair_cut_off_half_way_is_completed_after_a_restart(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    exchange.faults("delay", path="/fapi/v1/algoOrder", method="POST", delay_ms=1500)
    price = f"{mark(engine) * Decimal('0.999'):.1f}"
    answer = bracket(engine, "cut-off-half-way", "BUY", price=price)
    entry = answer["order"]["client_order_id"]
    exchange.market(symbol="BTCUSDT", jump=-0.003)
    wait_for(lambda: detail(engine, entry)["bracket"]["legs"])
    assert engine.stop(signal.SIGKILL) == -signal.SIGKILL
    exchange.clear_faults()
    engine.start()
    began = time.monotonic()
    exchange.market(symbol="BTCUSDT", jump=-0.04)
    wait_for(lambda: position(engine) == 0)
    assert time.monotonic() - began < 2 * CROWDED
    wait_for(lambda: detail(engine, entry)["bracket"]["status"] == "closed", 40)
    assert engine.call("GET", "/orders?open=true").json()["orders"] == []


@pytest.mark.parametrize(
    ("kind", "factor", "limit", "ours"),
    [
        ("stop", "0.98", None, "STOP_MARKET"),
        ("stop", "0.98", "0.97", "STOP_LIMIT"),
        ("take_profit", "1.02", None, "TAKE_PROFIT_MARKET"),
        ("take_profit", "1.02", "1.02", "TAKE_PROFIT_LIMIT"),
    ],
)
def test_each_kind_rests_as_an_algo_order_and_can_be_cancelled(
    engine: EngineProcess, kind: str, factor: str, limit: str | None, ours: str
) -> None:
    now = mark(engine)
    body = {
        "symbol": BTC,
        "side": "SELL",
        "quantity": "0.01",
        "kind": kind,
        "stop_price": f"{now * Decimal(factor):.1f}",
    }
    if limit:
        body["price"] = f"{now * Decimal(limit):.1f}"
    answer = engine.order(body, f"algo-kind-{ours}", path="/orders/stop")
    assert answer.status_code == 201, answer.text
    order = answer.json()["order"]
    assert (order["type"], order["status"]) == (ours, "ACCEPTED")
    done = engine.call("DELETE", f"/orders/{order['client_order_id']}").json()
    assert done["order"]["status"] == "CANCELED"


def triggers_soon(engine: EngineProcess, rests: str) -> dict[str, str]:
    """A buy stop 0.2 % up whose limit is just above it: once the price has jumped by it rests as an ordinary order."""
    now = mark(engine)
    stop, limit = (f"{now * Decimal(factor):.1f}" for factor in ("1.002", rests))
    return {"symbol": BTC, "side": "BUY", "quantity": "0.01", "stop_price": stop, "price": limit}


@pytest.mark.parametrize("is_down", [True, False])
def test_a_triggered_stop_limit_that_rests_is_the_same_order_after_a_restart(
    engine: EngineProcess, exchange: SimulatedExchange, is_down: bool
) -> None:
    body = triggers_soon(engine, "1.0021")
    cid = engine.order(body, f"rests-{is_down}", path="/orders/stop").json()["order"]["client_order_id"]
    if not is_down:
        jump(engine, exchange, 0.01)
        wait_for(lambda: detail(engine, cid)["order"]["status"] == "TRIGGERED")
    assert engine.stop(signal.SIGKILL) == -signal.SIGKILL
    if is_down:
        exchange.market(symbol="BTCUSDT", jump=0.01)
        wait_for(lambda: any(row["client_order_id"] == cid for row in exchange.ledger()["orders"]))
    engine.start()
    wait_for(lambda: detail(engine, cid)["order"]["status"] == "TRIGGERED")
    assert detail(engine, cid)["order"]["venue_order_id"].startswith("algo-")
    done = engine.call("DELETE", f"/orders/{cid}").json()
    assert done["order"]["status"] == "CANCELED"
    assert [row["status"] for row in exchange.ledger()["orders"] if row["client_order_id"] == cid] == ["CANCELED"]


def test_a_stop_whose_answer_and_trigger_were_lost_is_the_same_order(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    exchange.faults("drop_after", path="/fapi/v1/algoOrder", method="POST", count=1)
    exchange.faults("error", path="/fapi/v1/algoOrder", method="GET", count=4, http_status=503)
    exchange.faults("withhold", event="ALGO_UPDATE")
    answer = engine.order(triggers_soon(engine, "1.03"), "lost-answer-and-trigger", path="/orders/stop")
    assert answer.status_code == 202, answer.text
    cid = answer.json()["order"]["client_order_id"]
    jump(engine, exchange, 0.01)
    wait_for(lambda: detail(engine, cid)["order"]["status"] == "FILLED", 40)
    exchange.clear_faults()
    kinds = [event["kind"] for event in detail(engine, cid)["history"]]
    assert "OrderQuarantined" not in kinds
    assert detail(engine, cid)["order"]["venue_order_id"].startswith("algo-")
    body = {"symbol": BTC, "side": "SELL", "quantity": "0.01", "reduce_only": True}
    assert engine.order(body, "lost-answer-closing").status_code == 201


def test_a_stop_that_is_passed_is_refused_by_name(engine: EngineProcess) -> None:
    body = {"symbol": BTC, "side": "SELL", "quantity": "0.01", "stop_price": f"{mark(engine) * Decimal('1.01'):.1f}"}
    answer = engine.order(body, "algo-passed-stop", path="/orders/stop")
    assert (answer.status_code, answer.json()["code"]) == (400, "VENUE_WOULD_TRIGGER")


def test_the_book_equals_the_exchange_after_all_of_it(engine: EngineProcess) -> None:
    report = engine.reconciled()
    assert report["ok"], report
