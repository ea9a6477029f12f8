"""Taking everybody's word at the end of a run, and the judge's finding on it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from tests.faults.engine_process import Engine
from tests.faults.judge import TRY_AGAIN, UNSETTLED, Evidence, Finding, judge
from tests.faults.load import Load
from tests.integration.simulated_exchange import SimulatedExchange

SETTLE_WITHIN_S = 75.0


async def verdict(
    exchange: SimulatedExchange,
    engine: Engine,
    load: Load,
    *,
    quiet_log: bool = True,
    refusals: frozenset[str] = frozenset(),
) -> tuple[Evidence, list[Finding]]:
    """Let every doubt settle, compare all with the exchange's ledger, stop the engine, check its journal.

    ``quiet_log``: an error in the engine's log is a finding, too. ``refusals``: codes that callers were to get beside
    the usual ones.
    """
    await settled(engine)
    await asyncio.to_thread(exchange.market, freeze=True)
    report = await clean_reconciliation(engine)
    evidence = Evidence(
        intents=load.intents,
        cancels=load.cancels,
        orders=await engine.pages("/orders", "orders"),
        fills=await engine.pages("/fills", "fills"),
        portfolio=await engine.call("GET", "/portfolio"),
        reconciliation=report,
        events=await engine.events(),
        ledger=await asyncio.to_thread(exchange.ledger),
        market=load.market,
        refusals=TRY_AGAIN | refusals,
    )
    findings = judge(evidence) + (broken_work(engine.log) if quiet_log else [])
    code = await engine.stop()
    if code != 0:
        findings.append(Finding("exit code", "engine", str(code)))
    journal = await verified(engine.home)
    if not journal.startswith("clean"):
        findings.append(Finding("journal", "verify", journal))
    return evidence, findings


async def settled(engine: Engine) -> None:
    """Wait until no order is in doubt; one that stays so is for the judge."""
    deadline = time.monotonic() + SETTLE_WITHIN_S
    while time.monotonic() < deadline:
        page = await engine.call("GET", "/orders", params={"open": "true", "limit": "500"})
        if not any(order["status"] in UNSETTLED for order in page["orders"]):
            return
        await asyncio.sleep(0.5)


async def clean_reconciliation(engine: Engine) -> dict[str, Any]:
    """Compare with the exchange; waits while the exchange's request weight is used up or a comparison runs."""
    deadline = time.monotonic() + SETTLE_WITHIN_S
    while True:
        report: dict[str, Any] = {"ok": False, "breaks": [], "adopted": []}
        try:
            report = await engine.call("POST", "/reconcile", json={}, headers=_key())
        except httpx.HTTPStatusError as error:
            report["error"] = error.response.text
        if report["ok"] or time.monotonic() > deadline:
            return report
        await asyncio.sleep(1.0)


def _key() -> dict[str, str]:
    return {"Idempotency-Key": f"reconcile-{time.monotonic_ns()}"}


async def verified(home: Path) -> str:
    """Run the journal's own check as a user would; return what it says."""
    command = ("-m", "engine_service.storage.verify", "--home", str(home))
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return output.decode().strip() if process.returncode == 0 else f"exit {process.returncode}: {output.decode()}"


def broken_work(log: Path) -> list[Finding]:
    """Return what the engine's log calls an error: background work that failed is a defect, whatever it cost."""
    records = (json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("{"))
    return [
        Finding("logged error", str(record.get("event")), json.dumps(record)[:1200])
        for record in records
        if record.get("level") in {"error", "critical"}
    ]
