"""The dead-man switch drilled: the engine is killed, the venue takes its open orders away and leaves its protection."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.engine.process import WIDE_LIMITS, EngineProcess
from tests.integration.simulated_exchange import CROWDED, ROOT, SimulatedExchange, only, wait_for

BTC = "BTCUSDT.BINANCE"
AFTER_S = 6.0


@pytest.fixture
def engine(exchange: SimulatedExchange, tmp_path: Path) -> Iterator[EngineProcess]:
    config = tmp_path / "config"
    shutil.copytree(ROOT / "config", config)
    settings = config / "engine.yaml"
    off = settings.read_text(encoding="utf-8")
    assert "\ndead_man_s: 0\n" in off
    settings.write_text(off.replace("\ndead_man_s: 0\n", f"\ndead_man_s: {AFTER_S:g}\n"), encoding="utf-8")
    arguments = ("--venue", "binance-futures", "--strategies", "off", "--config", str(config))
    exchange.market(volatility=0)
    running = EngineProcess(tmp_path / "home", exchange.url, arguments).start()
    limits = {**WIDE_LIMITS, "max_notional": "10000", "leverage_limit": "20"}
    assert running.call("PUT", "/risk/config", json=limits).status_code == 200
    yield running
    assert running.stop() == 0


def mark(engine: EngineProcess) -> Decimal:
    prices = engine.call("GET", "/prices").json()["prices"]
    return Decimal(next(price["mark"] for price in prices if price["symbol"] == BTC))


def resting(engine: EngineProcess, key: str) -> str:
    body = {"symbol": BTC, "side": "BUY", "quantity": "0.01", "price": f"{mark(engine) * Decimal('0.98'):.1f}"}
    answer = engine.order(body, key, path="/orders/limit")
    assert answer.status_code == 201, answer.text
    return str(answer.json()["order"]["client_order_id"])


def venue_status(exchange: SimulatedExchange, client_order_id: str) -> str:
    [row] = only(exchange.ledger()["orders"], client_order_id=client_order_id)
    return str(row["status"])


def detail(engine: EngineProcess, client_order_id: str) -> dict[str, Any]:
    return dict(engine.call("GET", f"/orders/{client_order_id}").json())


def test_a_killed_engines_orders_are_taken_away_and_its_stop_stays(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    body = {"symbol": BTC, "side": "BUY", "quantity": "0.02", "take_profit_bps": "300", "stop_loss_bps": "300"}
    entry = engine.order(body, "dead-man-bracket", path="/orders/bracket").json()["order"]["client_order_id"]
    limit = resting(engine, "dead-man-limit")
    time.sleep(AFTER_S + 1)
    assert venue_status(exchange, limit) == "NEW", "a living engine keeps its orders"
    assert engine.stop(signal.SIGKILL) == -signal.SIGKILL
    killed = time.monotonic()
    wait_for(lambda: venue_status(exchange, limit) == "CANCELED", AFTER_S * CROWDED)
    assert time.monotonic() - killed < AFTER_S + 3 * CROWDED
    engine.start()
    assert detail(engine, limit)["order"]["status"] == "CANCELED"
    found = detail(engine, entry)["bracket"]
    assert (found["status"], found["protected"]) == ("armed", True)
    assert engine.call("GET", "/limits").status_code == 200
    flat = engine.call("POST", "/control/flatten", json={"reason": "the drill is over"})
    assert flat.status_code == 200, flat.text
    assert engine.reconciled()["ok"]


def test_an_order_is_taken_away_however_soon_after_it_the_engine_dies(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    for round_ in range(2):
        # The second time the countdown of the first has just been called off.
        limit = resting(engine, f"dead-man-young-{round_}")
        time.sleep(0.5)
        assert engine.stop(signal.SIGKILL) == -signal.SIGKILL
        wait_for(lambda cid=limit: venue_status(exchange, cid) == "CANCELED", AFTER_S * CROWDED)
        engine.start()
