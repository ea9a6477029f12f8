"""Advice in a running engine: entries go out as advised or not at all, exits always, and only while it is valid."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.engine.process import WIDE_LIMITS, EngineProcess
from tests.integration.simulated_exchange import SimulatedExchange, wait_for

SYMBOL = "BTCUSDT.BINANCE"
pytestmark = pytest.mark.slow


@pytest.fixture
def engine(exchange: SimulatedExchange, tmp_path: Any) -> Iterator[EngineProcess]:
    # No bar closes meanwhile: only wishes from here speak.
    arguments = ("--strategies", "on", "--interval", "1h", "--symbols", "BTCUSDT")
    running = EngineProcess(tmp_path, exchange.url, arguments).start()
    limits = {**WIDE_LIMITS, "quarantine_min": "1"}
    assert running.call("PUT", "/risk/config", json={**limits, "reason": "the same again"}).status_code == 200
    yield running
    assert running.stop() == 0


def advise(engine: EngineProcess, **body: Any) -> dict[str, Any]:
    answer = engine.call("PUT", "/advice", json={"valid_s": "60", **body})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def tactic(name: str, side: str = "BUY", **more: str) -> dict[str, str]:
    return {"symbol": SYMBOL, "side": side, "tactic": name, **more}


def wish(engine: EngineProcess, strategy: str, target: str) -> None:
    """Ask for a position as a strategy does."""
    body = {"strategy": strategy, "symbol": SYMBOL, "target": target, "confidence": "1"}
    assert engine.call("POST", "/strategy/signal", json=body).status_code == 202


def events(engine: EngineProcess, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for _ in itertools.count():
        after = found[-1]["seq"] if found else 0
        page = engine.call("GET", f"/events?after={after}&limit=500").json()["events"]
        found += page
        if len(page) < 500:
            return [row["event"] for row in found if row["kind"] == kind]
    raise AssertionError("unreachable")


def orders(engine: EngineProcess, strategy: str) -> list[dict[str, Any]]:
    """Return a strategy's orders that a wish from here asked for, oldest first."""
    rows = engine.call("GET", f"/orders?strategy={strategy}&limit=500").json()["orders"]
    return [row for row in reversed(rows) if row["why"].get("source") == "external"]


def entered(engine: EngineProcess, strategy: str) -> dict[str, Any]:
    wish(engine, strategy, "1")
    wait_for(lambda: any(row["status"] in ("FILLED", "DENIED") for row in orders(engine, strategy)))
    return orders(engine, strategy)[-1]


def test_an_entry_goes_out_as_an_immediate_limit_no_farther_than_advised(engine: EngineProcess) -> None:
    told = advise(engine, tactics=[tactic("IOC_LIMIT", limit_bps="50", reason="7.3 bps expected")])
    assert told["tactics"][0]["limit_bps"] == "50"
    order = entered(engine, "ma_cross")
    assert (order["type"], order["time_in_force"], order["status"]) == ("LIMIT", "IOC", "FILLED"), order["reason"]
    mark, limit = Decimal(order["why"]["mark"]), Decimal(order["limit_price"])
    assert mark < limit <= mark * Decimal("1.005")
    assert order["why"]["tactic"] == "IOC_LIMIT: 7.3 bps expected"


def test_an_entry_that_is_kept_back_is_journaled_with_its_reason_and_an_exit_goes_out(engine: EngineProcess) -> None:
    assert entered(engine, "hmm_regime")["status"] == "FILLED"
    advise(engine, tactics=[tactic("SKIP", reason="SLIPPAGE_TOO_HIGH"), tactic("SKIP", "SELL", reason="no")])
    wish(engine, "ma_cross", "1")
    wait_for(lambda: len(events(engine, "IntentSkipped")) == 1)
    (skipped,) = events(engine, "IntentSkipped")
    assert (skipped["strategy"], skipped["side"], skipped["reason"]) == ("ma_cross", "BUY", "SLIPPAGE_TOO_HIGH")
    assert orders(engine, "ma_cross") == []
    wish(engine, "hmm_regime", "0")
    wait_for(lambda: len(orders(engine, "hmm_regime")) == 2)
    leaving = orders(engine, "hmm_regime")[-1]
    assert (leaving["side"], leaving["type"]) == ("SELL", "MARKET")


def test_size_follows_advice_until_it_ends_and_a_restart_keeps_it(engine: EngineProcess) -> None:
    full = entered(engine, "ensemble")
    assert full["status"] == "FILLED", full["reason"]
    advise(engine, sizes=[{"strategy": "hmm_regime", "symbol": SYMBOL, "scale": "0.5"}])
    engine.stop()
    engine.start()
    assert engine.call("GET", "/advice").json()["sizes"][0]["scale"] == "0.5"
    half = entered(engine, "hmm_regime")
    assert half["status"] == "FILLED", half["reason"]
    value = {name: Decimal(row["quantity"]) * Decimal(row["why"]["mark"]) for name, row in (("f", full), ("h", half))}
    assert value["h"] / value["f"] == pytest.approx(Decimal("0.5"), rel=Decimal("0.25"))  # beside the volatility's own
    advise(engine, tactics=[tactic("SKIP")], valid_s="1")
    wait_for(lambda: engine.call("GET", "/advice").json()["tactics"] == [])
    assert entered(engine, "ma_cross")["type"] == "MARKET"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"valid_s": "60"}, "FIELD_MISSING"),
        ({"tactics": []}, "FIELD_MISSING"),
        ({"tactics": [], "valid_s": "90000"}, "FIELD_RANGE"),
        ({"tactics": [{"symbol": SYMBOL, "side": "BUY", "tactic": "WAIT"}], "valid_s": "1"}, "FIELD_RANGE"),
        ({"tactics": [{**tactic("MARKET"), "size": "1"}], "valid_s": "1"}, "FIELD_UNKNOWN"),
        ({"tactics": [tactic("IOC_LIMIT", limit_bps="101")], "valid_s": "1"}, "FIELD_RANGE"),
        ({"sizes": [{"strategy": "ma_cross", "symbol": SYMBOL, "scale": "1.01"}], "valid_s": "1"}, "FIELD_RANGE"),
        ({"sizes": [{"strategy": "mine", "symbol": SYMBOL, "scale": "1"}], "valid_s": "1"}, "STRATEGY_UNKNOWN"),
        ({"sizes": "all", "valid_s": "1"}, "FIELD_TYPE"),
    ],
)
def test_advice_that_makes_no_sense_is_refused_whole(served: EngineProcess, body: dict[str, Any], code: str) -> None:
    before = served.call("GET", "/advice").json()
    answer = served.call("PUT", "/advice", json=body)
    assert (answer.status_code // 100, answer.json()["code"]) == (4, code)
    assert served.call("GET", "/advice").json() == before


@pytest.fixture(scope="module")
def served(exchange: SimulatedExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    running = EngineProcess(tmp_path_factory.mktemp("engine"), exchange.url, ("--strategies", "off")).start()
    yield running
    assert running.stop() == 0
