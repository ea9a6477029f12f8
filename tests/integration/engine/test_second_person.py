"""Where two people are asked for, who stopped trading does not start it again."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from engine_service.api.callers import issue
from tests.integration.engine.process import WIDE_LIMITS, EngineProcess
from tests.integration.simulated_exchange import ROOT, SimulatedExchange


def test_who_halted_cannot_lift_the_halt_and_somebody_else_can(exchange: SimulatedExchange, tmp_path: Path) -> None:
    config = tmp_path / "config"
    shutil.copytree(ROOT / "config", config)
    settings = config / "engine.yaml"
    alone = settings.read_text(encoding="utf-8")
    assert "\ntwo_person_resume: false\n" in alone
    settings.write_text(alone.replace("two_person_resume: false", "two_person_resume: true"), encoding="utf-8")
    arguments = ("--strategies", "off", "--interval", "1s", "--config", str(config))
    engine = EngineProcess(tmp_path / "home", exchange.url, arguments).start()
    token = issue(tmp_path / "home" / "engine" / "callers.json", "second", "admin", 1, time.time_ns() // 1_000_000)
    assert engine.call("PUT", "/risk/config", json=WIDE_LIMITS).status_code == 200
    time.sleep(1.1)
    reason = {"reason": "looked at it"}
    assert engine.call("POST", "/control/halt").status_code == 200
    alone_again = engine.call("POST", "/control/resume", json=reason)
    assert (alone_again.status_code, alone_again.json()["code"]) == (403, "SECOND_PERSON_REQUIRED")
    assert engine.call("GET", "/readyz").json()["halted"]
    other = {"Authorization": f"Bearer {token}"}
    assert engine.call("POST", "/control/resume", json=reason, headers=other).status_code == 200
    # The same key of another caller is another key: it tells nothing of the first one's order.
    body = {"symbol": "BTCUSDT.BINANCE", "side": "BUY", "quantity": "0.001"}
    placed = engine.order(body, "a-key-of-both")
    assert placed.status_code == 201, placed.text
    first = placed.json()["order"]["client_order_id"]
    time.sleep(0.6)
    key = {"Idempotency-Key": "a-key-of-both", **other}
    second = engine.call("POST", "/orders/market", json={**body, "quantity": "0.002"}, headers=key)
    assert second.status_code == 201, second.text
    assert second.json()["order"]["client_order_id"] != first
    assert engine.stop() == 0
