"""Tokens for one thing alone: a watchdog's takes orders off the market, a scraper's sees figures, both may halt."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from engine_service.api.callers import LOOK_EVERY_S, issue
from engine_service.api.grants import Scope
from engine_service.api.read_pace import READS_PER_MIN
from engine_service.api.routes import ROUTES
from tests.integration.engine.process import EngineProcess

BTC = "BTCUSDT.BINANCE"
Call = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def callers(engine: EngineProcess) -> Iterator[dict[str, Call]]:
    """One named caller of each narrow kind."""
    path = engine.home / "engine" / "callers.json"
    tokens = {
        kind: issue(path, f"the-{kind}-one", kind, 1, time.time_ns() // 1_000_000) for kind in ("cancel", "metrics")
    }
    time.sleep(LOOK_EVERY_S + 0.1)

    def call_as(token: str) -> Call:
        def call(method: str, path: str, **options: Any) -> httpx.Response:
            return engine.call(method, path, token=None, headers={"Authorization": f"Bearer {token}"}, **options)

        return call

    yield {kind: call_as(token) for kind, token in tokens.items()}


def _resting(engine: EngineProcess, key: str) -> str:
    prices = engine.call("GET", "/prices").json()["prices"]
    mark = Decimal(next(price["mark"] for price in prices if price["symbol"] == BTC))
    body = {"symbol": BTC, "side": "BUY", "quantity": "0.001", "price": f"{mark * Decimal('0.98'):.2f}"}
    return str(engine.order(body, key, path="/orders/limit").json()["order"]["client_order_id"])


def test_a_watchdog_cancels_one_order_and_all(engine: EngineProcess, callers: dict[str, Call]) -> None:
    first, second = _resting(engine, "watched-order-1"), _resting(engine, "watched-order-2")
    assert callers["cancel"]("DELETE", f"/orders/{first}").json()["order"]["status"] == "CANCELED"
    assert [order["client_order_id"] for order in callers["cancel"]("DELETE", "/orders").json()["orders"]] == [second]


def test_a_scraper_sees_the_figures(callers: dict[str, Call]) -> None:
    answer = callers["metrics"]("GET", "/metrics")
    assert answer.status_code == 200
    assert "nhmm_journal_sequence" in answer.text


@pytest.mark.parametrize("kind", ["cancel", "metrics"])
def test_either_may_halt_and_not_resume(engine: EngineProcess, callers: dict[str, Call], kind: str) -> None:
    assert callers[kind]("POST", "/control/halt").status_code == 200
    assert callers[kind]("POST", "/control/resume", json={"reason": "x"}).status_code == 403
    assert engine.call("POST", "/control/resume", json={"reason": "the test is over"}).status_code == 200


@pytest.mark.parametrize("kind", ["cancel", "metrics"])
def test_all_else_is_refused(callers: dict[str, Call], kind: str) -> None:
    for (method, template), access in ROUTES.items():
        path = template.replace("{client_order_id}", "0" * 32).replace("{strategy}", "x").replace("{version}", "x")
        if access.scope is None or Scope(kind) in access.also:
            continue
        answer = callers[kind](method, path)
        assert (answer.status_code, answer.json()["code"]) == (403, "SCOPE_REQUIRED"), (method, path)


def test_a_caller_who_reads_without_end_is_told_to_wait_and_may_still_halt(engine: EngineProcess) -> None:
    path = engine.home / "engine" / "callers.json"
    token = issue(path, "the-hasty-one", "trade", 1, time.time_ns() // 1_000_000)
    time.sleep(LOOK_EVERY_S + 0.1)
    bearer = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=engine.url, headers=bearer, timeout=15, trust_env=False) as client:
        for _ in range(READS_PER_MIN * 2):
            answer = client.get("/prices")
            if answer.status_code != 200:
                break
        assert (answer.status_code, answer.json()["code"]) == (429, "RATE_LIMITED")
        assert int(answer.headers["Retry-After"]) >= 1
        assert engine.call("GET", "/prices").status_code == 200
        assert client.request("DELETE", "/orders").status_code == 200
        assert client.post("/control/halt").status_code == 200
    assert engine.call("POST", "/control/resume", json={"reason": "the test is over"}).status_code == 200
