"""Every route that changes something, under an idempotency key: one effect, one answer, also after a SIGKILL.

The table of routes is gone over, so that a new route that changes something without an example here fails.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import httpx
import pytest

from engine_service.api.routes import NOT_BY_THE_GATE, ROUTES
from tests.integration.engine.models import bundle, trained
from tests.integration.engine.process import WIDE_LIMITS, EngineProcess, described
from tests.integration.simulated_exchange import SimulatedExchange

pytestmark = pytest.mark.usefixtures("no_faults_left")
BTC = "BTCUSDT.BINANCE"
REASON = {"reason": "asked for"}
#: What happens by itself while an engine runs.
BY_ITSELF: Final = frozenset({"EquityRecorded", "BarClosed", "RegimeObserved", "SignalDecided", "FeedGap"})
Route = tuple[str, str]
#: What each route is asked; ``{...}`` of its path and the models are filled in.
ASKED: Final[dict[Route, dict[str, Any]]] = {
    ("PATCH", "/orders/{client_order_id}"): {"quantity": "0.0015"},
    ("DELETE", "/orders/{client_order_id}"): {},
    ("DELETE", "/orders"): {},
    ("POST", "/account_snapshot/refresh"): {},
    ("POST", "/reconcile"): {},
    ("POST", "/reconcile/manual"): {},
    ("POST", "/reconcile/adopt"): REASON,
    ("POST", "/strategy/signal"): {"strategy": "ma_cross", "symbol": BTC, "target": "0", "confidence": "1"},
    ("POST", "/strategy/promote"): {"strategy": "hmm_regime"},
    ("PUT", "/strategies/{strategy}"): {"dry_run": True},
    ("POST", "/league"): {},
    ("DELETE", "/league/{version}"): {},
    ("PUT", "/advice"): {"tactics": [{"symbol": BTC, "side": "BUY", "tactic": "MARKET"}], "valid_s": "60"},
    ("PUT", "/risk/config"): {"max_notional": "4321"},
    ("POST", "/risk/reload"): {},
    ("POST", "/control/flatten"): {},
    ("POST", "/control/halt"): REASON,
    ("POST", "/control/resume"): REASON,
}


@dataclass
class Caller:
    """Asks the routes of the table, each under its key."""

    engine: EngineProcess
    models: list[dict[str, Any]]
    orders: dict[str, str] = field(default_factory=dict)
    placed: int = 0

    def ask(self, route: Route, key: str, **more: Any) -> httpx.Response:
        """Send what the table says, with ``more`` in its body, under the key of this name."""
        method, path = route
        cid = self.orders.get(method, "")
        path = path.format(client_order_id=cid, strategy="ma_cross", version=self.models[1]["version"])
        body = {**ASKED[route], **more}
        if route in {("POST", "/strategy/promote"), ("POST", "/league")}:
            body["model"] = self.models[0 if "promote" in path else 1]
        headers = {"Idempotency-Key": key}
        return self.engine.call(method, path, json=body or None, headers=headers)

    def resting(self, name: str) -> str:
        """Place an order below the mark, each of a size of its own, and return its id."""
        self.placed += 1
        # A reload of the limits, which is among what is asked, brings the file's narrow ones back.
        assert self.engine.call("PUT", "/risk/config", json=WIDE_LIMITS).status_code == 200
        prices = self.engine.call("GET", "/prices").json()["prices"]
        (mark,) = (Decimal(row["mark"]) for row in prices if row["symbol"] == BTC)
        body = {
            "symbol": BTC,
            "side": "BUY",
            "quantity": f"0.00{200 + self.placed}",
            "price": f"{mark * 97 / 100:.2f}",
        }
        placed = self.engine.order(body, f"rests-{self.placed}-{name}", path="/orders/limit")
        assert placed.status_code == 201, placed.text
        return str(placed.json()["order"]["client_order_id"])

    def done(self) -> list[str]:
        """Return the kinds of all that was done, without what happens by itself."""
        kinds: list[str] = []
        after = 0
        while events := self.engine.call("GET", f"/events?after={after}&limit=500").json()["events"]:
            after = events[-1]["seq"]
            kinds += [row["kind"] for row in events if not by_itself(row)]
        return kinds


def by_itself(event: Mapping[str, Any]) -> bool:
    """Tell whether nobody asked for what an event tells of."""
    compared = event["kind"] == "ReconciliationCompleted"
    return event["kind"] in BY_ITSELF or (compared and event["event"]["trigger"] != "manual")


@pytest.fixture(scope="module")
def caller(exchange: SimulatedExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    arguments = ("--strategies", "on", "--interval", "1s", "--symbols", "BTCUSDT")
    engine = EngineProcess(tmp_path_factory.mktemp("engine"), exchange.url, arguments).start()
    model = trained(exchange)
    yield Caller(engine, [bundle(model, 1), bundle(model, 2)])
    assert engine.stop() == 0


def key_of(route: Route) -> str:
    return f"key-{route[0]}{route[1].translate(str.maketrans('/{}', '---'))}"


def is_replayed(answer: httpx.Response) -> bool:
    return "Idempotency-Replayed" in answer.headers


def test_every_route_that_changes_something_takes_a_key_and_its_page_says_so() -> None:
    changing = {route for route in ROUTES if route[0] != "GET"} - {("POST", "/orders/check")}
    assert {route for route, access in ROUTES.items() if access.once} == set(ASKED)
    assert set(ASKED) | (NOT_BY_THE_GATE - {("POST", "/orders/check")}) == changing
    for method, path in changing - {("POST", "/reconcile/manual")}:
        operation = described().page["paths"][path][method.lower()]
        (key,) = (row for row in operation["parameters"] if row["name"] == "Idempotency-Key")
        assert key["required"] is ((method, path) in NOT_BY_THE_GATE), path
        assert {"409", "422"} <= set(operation["responses"])
        for status, answer in operation["responses"].items():
            assert not status.startswith("2") or "Idempotency-Replayed" in answer["headers"], (path, status)


@pytest.mark.slow
def test_one_key_has_one_effect_and_one_answer_also_after_a_kill(caller: Caller) -> None:
    caller.orders = {method: caller.resting(method) for method in ("PATCH", "DELETE")}
    first: dict[Route, httpx.Response] = {}
    for route in ASKED:
        answer = first[route] = caller.ask(route, key_of(route))
        assert answer.is_success, (route, answer.text)
        assert not is_replayed(answer), route
        before = caller.done()
        again = caller.ask(route, key_of(route))
        assert caller.done() == before, route
        assert (again.status_code, again.json(), is_replayed(again)) == (answer.status_code, answer.json(), True), route
        assert again.headers.get("ETag") == answer.headers.get("ETag")
        other = caller.ask(route, key_of(route), reason="another one")
        assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED"), route
        assert caller.done() == before, route
    caller.engine.stop(signal.SIGKILL)
    caller.engine.start()
    for route, answer in first.items():
        again = caller.ask(route, key_of(route))
        told = {**answer.json(), **({"halted": False} if "halted" in answer.json() else {})}
        assert (again.status_code, again.json(), is_replayed(again)) == (answer.status_code, told, True), route


@pytest.mark.slow
@pytest.mark.parametrize("route", sorted(ASKED), ids=" ".join)
def test_a_malformed_key_is_refused_but_of_a_halt(caller: Caller, route: Route) -> None:
    answer = caller.ask(route, "short")
    if route == ("POST", "/control/halt"):
        assert (answer.status_code, answer.json()["halted"]) == (200, True)
        assert caller.engine.call("POST", "/control/resume", json=REASON).status_code == 200
    else:
        assert (answer.status_code, answer.json()["code"]) == (400, "IDEMPOTENCY_KEY_INVALID")


@pytest.mark.parametrize("route", sorted(set(ASKED) - {("POST", "/control/halt")}), ids=" ".join)
def test_a_field_that_a_route_does_not_know_is_refused_and_nothing_is_done(caller: Caller, route: Route) -> None:
    working = caller.resting(f"unknown-{route[0]}-{len(route[1])}")
    caller.orders = dict.fromkeys(("PATCH", "DELETE"), working)
    answer = caller.ask(route, f"unknown{key_of(route)}", all_but_this="1")
    assert (answer.status_code, answer.json()["code"]) == (422, "FIELD_UNKNOWN"), answer.text
    story = caller.engine.call("GET", f"/orders/{working}").json()
    assert (story["order"]["status"], "OrderPendingCancel" in {row["kind"] for row in story["history"]}) == (
        "ACCEPTED",
        False,
    )
    caller.engine.call("DELETE", f"/orders/{working}")


def test_a_repeated_halt_stops_nothing_again_and_does_not_say_that_it_did(caller: Caller) -> None:
    def halt() -> tuple[object, bool]:
        answer = caller.engine.call("POST", "/control/halt", headers={"Idempotency-Key": "one-halt-only"})
        return answer.json()["halted"], is_replayed(answer)

    assert halt() == (True, False)
    assert halt() == (True, True)
    assert caller.engine.call("POST", "/control/resume", json=REASON).status_code == 200
    assert halt() == (False, True)


def test_what_was_refused_by_a_rail_or_the_state_of_things_is_refused_again_and_what_was_wrong_is_not(
    caller: Caller,
) -> None:
    cid, key = caller.resting("refused"), {"Idempotency-Key": "refused-by-a-rail"}
    assert caller.engine.call("PUT", "/risk/config", json={"max_notional": "150"}).status_code == 200
    path, body = f"/orders/{cid}", {"quantity": "0.02"}
    refused = caller.engine.call("PATCH", path, json=body, headers=key)
    assert (refused.status_code, refused.json()["code"]) == (403, "NOTIONAL_TOO_LARGE"), refused.text
    assert caller.engine.call("PUT", "/risk/config", json={"max_notional": "100000"}).status_code == 200
    again = caller.engine.call("PATCH", path, json=body, headers=key)
    same = {name: value for name, value in refused.json().items() if name != "request_id"}
    assert is_replayed(again)
    assert {name: value for name, value in again.json().items() if name != "request_id"} == same
    resume = [caller.engine.call("POST", "/control/resume", json=REASON, headers=key) for _ in range(2)]
    assert [(answer.json()["code"], is_replayed(answer)) for answer in resume] == [
        ("NOT_HALTED", False),
        ("NOT_HALTED", True),
    ]
    wrong = caller.engine.call("PATCH", path, json={"quantity": "-1"}, headers={"Idempotency-Key": "wrong-at-first"})
    right = caller.engine.call("PATCH", path, json=body, headers={"Idempotency-Key": "wrong-at-first"})
    assert (wrong.status_code, right.status_code, is_replayed(right)) == (422, 200, False)
    caller.engine.call("DELETE", "/orders")


def test_a_key_is_its_callers_own_and_belongs_to_one_order(caller: Caller) -> None:
    mine, other = caller.resting("mine"), caller.resting("other")
    key = {"Idempotency-Key": "a-cancel-of-mine"}
    assert caller.engine.call("DELETE", f"/orders/{mine}", headers=key).status_code == 200
    reused = caller.engine.call("DELETE", f"/orders/{other}", headers=key)
    assert (reused.status_code, reused.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    of_another = caller.engine.call("DELETE", f"/orders/{other}", headers=key, token="trade")
    assert (of_another.status_code, is_replayed(of_another)) == (200, False)


def test_the_key_of_a_cancel_that_somebody_else_began_is_kept(caller: Caller, exchange: SimulatedExchange) -> None:
    cid = caller.resting("canceled-by-two")
    for way in ({"path": "order.cancel"}, {"path": "/api/v3/order", "method": "DELETE"}):
        exchange.faults("delay", delay_ms=1_000, **way)
    with ThreadPoolExecutor(2) as pool:
        theirs = pool.submit(caller.engine.call, "DELETE", f"/orders/{cid}")
        time.sleep(0.3)
        key = {"Idempotency-Key": "the-second-cancel"}
        mine = pool.submit(caller.engine.call, "DELETE", f"/orders/{cid}", headers=key)
        assert (theirs.result().status_code, mine.result().status_code) == (200, 200), mine.result().text
    again = caller.engine.call("DELETE", f"/orders/{cid}", headers=key)
    assert (again.status_code, again.json(), is_replayed(again)) == (200, mine.result().json(), True)


def test_of_many_at_once_one_is_carried_out_and_all_hear_its_answer(caller: Caller) -> None:
    cid = caller.resting("asked-by-many")
    ask = ("PATCH", f"/orders/{cid}")

    def change(_: int) -> httpx.Response:
        return caller.engine.call(*ask, json={"quantity": "0.001"}, headers={"Idempotency-Key": "asked-by-many"})

    before = caller.done().count("OrderPendingUpdate")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(change, range(16)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, answers[0].text)}
    assert sorted(map(is_replayed, answers)) == [False] + [True] * 15
    assert caller.done().count("OrderPendingUpdate") == before + 1
    caller.engine.call("DELETE", "/orders")
