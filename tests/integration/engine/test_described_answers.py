"""Every route of a running engine, asked once: its answer is the one that the OpenAPI page describes."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import orjson
import pytest

from engine_service.api.answers import ANSWERS
from tests.integration.described import Described
from tests.integration.engine.models import bundle, trained
from tests.integration.engine.process import WIDE_LIMITS, EngineProcess, described
from tests.integration.simulated_exchange import SimulatedExchange, wait_for

BTC = "BTCUSDT.BINANCE"
BUY = {"symbol": BTC, "side": "BUY", "quantity": "0.001"}
#: Stands for a price 2 % below the mark.
BELOW = "below"
FAR = {**BUY, "price": BELOW}
#: Asked in this order; a model and a resting order are there before.
ASKED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("GET", "/healthz", {}),
    ("GET", "/readyz", {}),
    ("GET", "/version", {}),
    ("GET", "/metrics", {}),
    ("POST", "/orders/bracket", {**BUY, "quantity": "0.002", "take_profit_bps": "300", "stop_loss_bps": "300"}),
    ("POST", "/orders/stop", {**BUY, "side": "SELL", "stop_price": BELOW}),
    ("POST", "/orders/check", {"type": "market", **BUY}),
    ("GET", "/orders?open=true", {}),
    ("GET", "/fills", {}),
    ("GET", "/positions", {}),
    ("GET", "/portfolio", {}),
    ("GET", "/account_snapshot", {}),
    ("POST", "/account_snapshot/refresh", {}),
    ("GET", "/equity", {}),
    ("GET", "/events?limit=500", {}),
    ("GET", "/strategies", {}),
    ("GET", "/strategies/hmm_regime", {}),
    ("GET", "/strategies/hmm_regime/regimes", {}),
    ("PUT", "/strategies/ma_cross", {"dry_run": True}),
    ("POST", "/strategy/signal", {"strategy": "ma_cross", "symbol": BTC, "target": "1", "confidence": "1"}),
    ("GET", "/league", {}),
    ("PUT", "/advice", {"tactics": [{"symbol": BTC, "side": "BUY", "tactic": "MARKET"}], "valid_s": "60"}),
    ("GET", "/advice", {}),
    ("GET", f"/symbol_info?symbol={BTC}", {}),
    ("GET", "/prices", {}),
    ("GET", "/universe", {}),
    ("GET", "/limits", {}),
    ("GET", "/risk/config", {}),
    ("POST", "/risk/reload", {}),
    ("PUT", "/risk/config", WIDE_LIMITS),
    ("POST", "/reconcile", {}),
    ("POST", "/reconcile/adopt", {"reason": "seen"}),
    ("DELETE", "/orders", {}),
    ("POST", "/control/flatten", {}),
    ("POST", "/control/halt", {"reason": "asked for"}),
    ("POST", "/control/resume", {"reason": "seen"}),
)


@pytest.fixture(scope="module")
def engine(exchange: SimulatedExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    arguments = ("--strategies", "on", "--interval", "1s", "--symbols", "BTCUSDT")
    running = EngineProcess(tmp_path_factory.mktemp("engine"), exchange.url, arguments).start()
    assert running.call("PUT", "/risk/config", json=WIDE_LIMITS).status_code == 200
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def page() -> Described:
    return described()


def priced(engine: EngineProcess, body: dict[str, Any]) -> dict[str, Any]:
    """Return a body with the price in the place of the word for it."""
    if BELOW not in body.values():
        return body
    (mark,) = (Decimal(row["mark"]) for row in engine.call("GET", "/prices").json()["prices"] if row["symbol"] == BTC)
    return {name: f"{mark * Decimal('0.98'):.2f}" if value == BELOW else value for name, value in body.items()}


def asked(engine: EngineProcess, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send one request that succeeds; ``call`` holds its answer against the page."""
    headers = {"Idempotency-Key": f"described-{method}{path.partition('?')[0].replace('/', '-')}"}
    answer = engine.call(method, path, json=priced(engine, body) or None, headers=headers)
    assert answer.is_success, (method, path, answer.text)
    return dict(answer.json()) if "json" in answer.headers["content-type"] else {}


@pytest.mark.slow
def test_every_route_answers_as_the_page_says(
    engine: EngineProcess, exchange: SimulatedExchange, page: Described
) -> None:
    page.seen.clear()
    model = trained(exchange)
    asked(engine, "POST", "/strategy/promote", {"strategy": "hmm_regime", "model": bundle(model, 1)})
    asked(engine, "POST", "/league", {"model": bundle(model, 2)})
    wait_for(lambda: engine.call("GET", "/strategies/hmm_regime/regimes").json()["regimes"].get(BTC))
    placed = asked(engine, "POST", "/orders/limit", FAR)["order"]["client_order_id"]
    filled = asked(engine, "POST", "/orders/market", BUY)["order"]["client_order_id"]
    assert asked(engine, "GET", f"/orders/{filled}", {})["order"]["fills"]
    moved = asked(engine, "PATCH", f"/orders/{placed}", {"quantity": "0.002"})["order"]["client_order_id"]
    asked(engine, "DELETE", f"/orders/{moved}", {})
    for method, path, body in ASKED:
        asked(engine, method, path, body)
    asked(engine, "DELETE", f"/league/{bundle(model, 2)['version']}", {})
    unasked = set(ANSWERS) - {operation for (operation, status) in page.seen if status < 300}
    assert unasked == {("GET", "/stream")}


def test_an_order_in_doubt_is_answered_as_the_page_says(
    engine: EngineProcess, exchange: SimulatedExchange, page: Described, no_faults_left: None
) -> None:
    page.seen.clear()
    exchange.faults("withhold", event="executionReport")
    for path in ("/api/v3/order", "/api/v3/openOrders"):
        exchange.faults("error", path=path, method="GET", http_status=500, code=-1000, message="down")
    exchange.faults("error", path="order.status", http_status=500, code=-1000, message="down")
    for path, body in (("/orders/market", BUY), ("/orders/bracket", {**FAR, "quantity": "0.002"})):
        for way in ({"path": "order.place"}, {"path": "/api/v3/order", "method": "POST"}):
            exchange.faults("drop_after", count=1, **way)
        placed = engine.order(priced(engine, body), f"in-doubt{path}".replace("/", "-"), path=path)
        assert placed.status_code == 202, placed.text
        assert page.seen[("POST", path), 202] == 1
    assert engine.call("DELETE", placed.headers["Location"]).status_code == 202


def test_every_frame_of_the_stream_is_an_event_of_the_page(engine: EngineProcess, page: Described) -> None:
    headers = {"Authorization": f"Bearer {engine.token('read')}", "Last-Event-ID": "0"}
    last = engine.call("GET", "/portfolio").json()["seq"]
    told = 0
    with httpx.stream("GET", f"{engine.url}/stream", headers=headers, timeout=10, trust_env=False) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                told += 1
                page.check_body(orjson.loads(line[6:]), {"$ref": "#/components/schemas/RecordedEvent"}, "a frame")
            if told >= last:
                break


def test_a_field_that_the_page_does_not_name_is_found(page: Described) -> None:
    health = {"$ref": "#/components/schemas/Health"}
    page.check_body({"status": "ok"}, health, "health")
    for body in ({"status": "ok", "more": 1}, {"status": "well"}, {}):
        with pytest.raises(AssertionError):
            page.check_body(body, health, "health")
