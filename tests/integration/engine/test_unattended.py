"""Never unattended: a filled entry is protected within two seconds, also when the engine was killed in between."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.engine.process import WIDE_LIMITS, EngineProcess
from tests.integration.simulated_exchange import CROWDED, SimulatedExchange, only, wait_for

BTC = "BTCUSDT.BINANCE"
ENTRY = {"symbol": BTC, "side": "BUY", "quantity": "0.002", "take_profit_bps": "200", "stop_loss_bps": "100"}
PROTECTED_WITHIN_S = 2.0


@pytest.fixture
def engine(tmp_path: Path, exchange: SimulatedExchange) -> Iterator[EngineProcess]:
    """An engine of this test's own; it is killed and started again on the same home."""
    exchange.market(volatility=0)
    running = EngineProcess(tmp_path, exchange.url).start()
    limits = {**WIDE_LIMITS, "quarantine_stop_outs": "1000"}
    assert running.call("PUT", "/risk/config", json=limits).status_code == 200
    yield running
    exchange.clear_faults()
    running.call("DELETE", "/orders")
    assert running.stop() == 0
    exchange.market(volatility=1)


def mark(engine: EngineProcess) -> Decimal:
    prices = engine.call("GET", "/prices").json()["prices"]
    return Decimal(next(price["mark"] for price in prices if price["symbol"] == BTC))


def detail(engine: EngineProcess, client_order_id: str) -> dict[str, Any]:
    return dict(engine.call("GET", f"/orders/{client_order_id}").json())


def resting(exchange: SimulatedExchange) -> list[dict[str, Any]]:
    return only(exchange.ledger()["orders"], status="NEW")


def kill(engine: EngineProcess) -> None:
    assert engine.stop(signal.SIGKILL) == -signal.SIGKILL


def sold_at_market(exchange: SimulatedExchange) -> list[dict[str, Any]]:
    return only(exchange.ledger()["orders"], side="SELL", type="MARKET", status="FILLED")


def anomalies(engine: EngineProcess) -> str:
    return next(
        (
            line
            for line in engine.call("GET", "/metrics").text.splitlines()
            if line.startswith('nhmm_order_anomalies_total{kind="bracket_unprotected"}')
        ),
        "",
    )


def test_an_entry_that_filled_while_the_engine_was_dead_is_protected_at_once(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    price = f"{mark(engine) * Decimal('0.998'):.2f}"
    entry = engine.order({**ENTRY, "price": price}, "filled-while-dead", path="/orders/bracket").json()["order"]
    assert entry["status"] == "ACCEPTED"
    kill(engine)
    exchange.market(symbol="BTCUSDT", jump=-0.004)
    wait_for(lambda: only(exchange.ledger()["orders"], client_order_id=entry["client_order_id"], status="FILLED"))
    engine.start()
    began = time.monotonic()
    found = wait_for(lambda: (now := detail(engine, entry["client_order_id"]))["bracket"]["protected"] and now)
    assert time.monotonic() - began < PROTECTED_WITHIN_S * CROWDED
    assert sorted(row["client_order_id"] for row in resting(exchange)) == sorted(
        leg["client_order_id"] for leg in found["bracket"]["legs"]
    )


def test_an_entry_killed_between_its_fill_and_its_protection_is_protected_at_once(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    before = len(sold_at_market(exchange))
    exchange.faults("drop_before", path="orderList.place.oco")
    exchange.faults("drop_before", path="/api/v3/orderList/oco")
    place_until_killed(engine, exchange, "killed-in-between")
    exchange.clear_faults()
    engine.start()
    began = time.monotonic()
    entry = engine.call("GET", "/orders", params={"limit": "10"}).json()["orders"]
    bought = next(order["client_order_id"] for order in entry if order["leg"] == "entry")
    # The pair on the wire may yet arrive until its fence has passed, so none is sent again: the engine watches.
    assert detail(engine, bought)["bracket"]["status"] == "armed"
    exchange.market(symbol="BTCUSDT", jump=-0.02)
    wait_for(lambda: len(sold_at_market(exchange)) == before + 1)
    assert time.monotonic() - began < PROTECTED_WITHIN_S * CROWDED
    wait_for(lambda: detail(engine, bought)["bracket"]["status"] == "closed", 40)
    assert resting(exchange) == []
    assert engine.reconciled()["ok"]


def test_a_stop_that_was_crossed_while_the_engine_was_dead_is_closed_at_market_with_an_alert(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    before = len(sold_at_market(exchange))
    price = f"{mark(engine) * Decimal('0.998'):.2f}"
    entry = engine.order({**ENTRY, "price": price}, "crossed-while-dead", path="/orders/bracket").json()["order"]
    kill(engine)
    exchange.market(symbol="BTCUSDT", jump=-0.03)
    wait_for(lambda: only(exchange.ledger()["orders"], client_order_id=entry["client_order_id"], status="FILLED"))
    engine.start()
    began = time.monotonic()
    wait_for(lambda: detail(engine, entry["client_order_id"])["bracket"]["status"] == "closed")
    assert time.monotonic() - began < PROTECTED_WITHIN_S * CROWDED
    assert len(sold_at_market(exchange)) == before + 1
    assert resting(exchange) == []
    assert anomalies(engine).endswith(" 1.0")


def test_a_pair_that_rests_survives_the_engine_and_is_known_again(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    answer = engine.order(ENTRY, "pair-survives", path="/orders/bracket").json()
    entry = answer["order"]["client_order_id"]
    placed = len(exchange.ledger()["orders"])
    kill(engine)
    exchange.market(symbol="BTCUSDT", jump=0.03)
    wait_for(lambda: not resting(exchange))
    engine.start()
    wait_for(lambda: detail(engine, entry)["bracket"]["status"] == "closed")
    assert len(exchange.ledger()["orders"]) == placed
    assert engine.reconciled()["ok"]


def place_until_killed(engine: EngineProcess, exchange: SimulatedExchange, key: str) -> None:
    """Place a bracket and kill the engine once the entry has filled; its pair cannot get through."""

    def place() -> None:
        try:
            engine.order(ENTRY, key, path="/orders/bracket")
        except httpx.HTTPError:
            return

    filled = len(only(exchange.ledger()["orders"], side="BUY", status="FILLED"))
    caller = threading.Thread(target=place)
    caller.start()
    wait_for(lambda: len(only(exchange.ledger()["orders"], side="BUY", status="FILLED")) > filled)
    time.sleep(0.05)
    kill(engine)
    caller.join()
