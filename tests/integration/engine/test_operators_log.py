"""An engine that stops itself says so where its operator looks: in the log of the process."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.engine.process import EngineProcess
from tests.integration.simulated_exchange import SimulatedExchange


def test_a_halt_stands_in_the_log_with_its_reason(exchange: SimulatedExchange, tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path, exchange.url)
    process = engine.spawn()
    assert process.stdout is not None
    assert process.stdout.readline() == f"ready {engine.url}\n"
    halted = engine.call("POST", "/control/halt", token="read", json={"reason": "a test of the log"})
    assert halted.status_code == 200
    process.terminate()
    _, said = process.communicate(timeout=20)
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    told = [line for line in lines if line["event"] == "trading halted"]
    assert [line["reason"] for line in told] == ["a test of the log"]
