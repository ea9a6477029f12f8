"""A person may take over the venue's figures: with a reason, which is kept."""

from __future__ import annotations

import httpx

from tests.integration.engine.process import EngineProcess
from tests.integration.simulated_exchange import SimulatedExchange, wait_for

USDT = "BINANCE|spot|balance|USDT"


def test_what_no_trade_explains_is_taken_over_by_a_person_with_a_reason(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    exchange.faults("withhold", event="balanceUpdate", count=1)
    money = {"account": "demo", "market": "spot", "asset": "USDT", "amount": "250"}
    assert httpx.post(f"{exchange.url}/_sim/deposit", json=money, trust_env=False).status_code == 200
    silent = engine.call("POST", "/reconcile/adopt", json={})
    assert (silent.status_code, silent.json()["code"]) == (422, "REASON_REQUIRED")
    assert engine.call("POST", "/reconcile/adopt", token="trade", json={"reason": "seen"}).status_code == 403
    # While a comparison runs by itself the answer is to ask again.
    taken = wait_for(
        lambda: engine.call("POST", "/reconcile/adopt", json={"reason": "my own deposit"}).json().get("adopted")
    )
    assert taken == [USDT]
    events = engine.call("GET", "/events?limit=500").json()["events"]
    kept = [row["event"] for row in events if row["event"].get("kind") == "adopted_by_person"]
    assert [row["subject"] for row in kept] == [USDT]
    assert kept[0]["detail"].endswith(": my own deposit")
