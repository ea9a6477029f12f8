"""Changing and cancelling over HTTP while fills, lost requests and lost answers get in the way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.integration.engine.process import EngineProcess
from tests.integration.simulated_exchange import SimulatedExchange, only, wait_for

ETH = "ETHUSDT.BINANCE"
REPLACE = "/api/v3/order/cancelReplace"
SETTLED = {"FILLED", "CANCELED", "NOT_PLACED", "REJECTED", "EXPIRED"}


@pytest.fixture(autouse=True)
def calm(exchange: SimulatedExchange, no_faults_left: None) -> Iterator[None]:
    """Prices move only where a test makes them."""
    exchange.market(volatility=0)
    yield
    exchange.market(volatility=1)


def mark(engine: EngineProcess) -> Decimal:
    prices = engine.call("GET", "/prices").json()["prices"]
    return Decimal(next(price["mark"] for price in prices if price["symbol"] == ETH))


def at(engine: EngineProcess, factor: str) -> str:
    return f"{mark(engine) * Decimal(factor):.2f}"


def resting(engine: EngineProcess, key: str, factor: str = "0.99", **fields: Any) -> str:
    body = {"symbol": ETH, "side": "BUY", "quantity": "0.02", "price": at(engine, factor), **fields}
    answer = engine.order(body, key, path="/orders/limit")
    assert answer.status_code == 201, answer.text
    assert answer.json()["order"]["status"] == "ACCEPTED"
    return str(answer.json()["order"]["client_order_id"])


def status(engine: EngineProcess, client_order_id: str) -> str:
    return str(engine.call("GET", f"/orders/{client_order_id}").json()["order"]["status"])


def settled(engine: EngineProcess, client_order_id: str, within_s: float = 10) -> str:
    wait_for(lambda: status(engine, client_order_id) in SETTLED, within_s)
    return status(engine, client_order_id)


def patch(engine: EngineProcess, client_order_id: str, **body: Any) -> httpx.Response:
    return engine.call("PATCH", f"/orders/{client_order_id}", json=body)


def at_the_venue(exchange: SimulatedExchange) -> list[dict[str, Any]]:
    return only(exchange.ledger()["orders"], symbol="ETHUSDT", status="NEW")


def agrees(engine: EngineProcess, exchange: SimulatedExchange) -> None:
    """Engine and exchange have the same orders open, the same fills and the same money."""
    ours = {row["client_order_id"] for row in engine.call("GET", "/orders?open=true").json()["orders"]}
    assert ours == {row["client_order_id"] for row in only(exchange.ledger()["orders"], status="NEW")}
    report = engine.reconciled()
    assert (report["ok"], report["adopted"]) == (True, []), report


def test_a_new_price_replaces_the_order_by_one_of_its_own(engine: EngineProcess, exchange: SimulatedExchange) -> None:
    old = resting(engine, "new-price-1")
    price = at(engine, "0.985")
    answer = patch(engine, old, price=price)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    new = body["order"]["client_order_id"]
    assert (body["status"], body["replaced"]["client_order_id"]) == ("updated", old)
    assert new != old
    assert Decimal(body["order"]["limit_price"]) == Decimal(price)
    assert settled(engine, old) == "CANCELED"
    assert [row["client_order_id"] for row in at_the_venue(exchange)] == [new]
    engine.call("DELETE", f"/orders/{new}")
    agrees(engine, exchange)


def test_a_change_that_is_asked_for_twice_under_one_key_is_made_once(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    old = resting(engine, "changed-twice")
    key, price = {"Idempotency-Key": "the-same-change"}, at(engine, "0.982")
    answers = [
        engine.call("PATCH", f"/orders/{old}", json={"price": wanted}, headers=key)
        for wanted in (price, price, at(engine, "0.97"))
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 422], [answer.text for answer in answers]
    assert answers[2].json()["code"] == "IDEMPOTENCY_KEY_REUSED"
    new, again = (answer.json()["order"]["client_order_id"] for answer in answers[:2])
    assert new == again
    assert [row["client_order_id"] for row in at_the_venue(exchange)] == [new]
    malformed = engine.call("PATCH", f"/orders/{new}", json={"price": price}, headers={"Idempotency-Key": "short"})
    assert (malformed.status_code, malformed.json()["code"]) == (400, "IDEMPOTENCY_KEY_INVALID")
    engine.call("DELETE", f"/orders/{new}")
    agrees(engine, exchange)


def test_a_replacement_whose_answer_is_lost_is_found_by_reading(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    old = resting(engine, "lost-replacement")
    exchange.faults("drop_after", path=REPLACE, count=1)
    answer = patch(engine, old, price=at(engine, "0.984"))
    assert answer.status_code in (200, 202), answer.text
    assert settled(engine, old) == "CANCELED"
    new = str(answer.json()["order"]["client_order_id"])
    wait_for(lambda: status(engine, new) == "ACCEPTED")
    assert [row["client_order_id"] for row in at_the_venue(exchange)] == [new]
    engine.call("DELETE", f"/orders/{new}")
    agrees(engine, exchange)


def test_a_replacement_that_never_arrived_leaves_the_old_order_after_the_fence(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    old = resting(engine, "never-arrived-replacement")
    exchange.faults("drop_before", path=REPLACE, count=1)
    answer = patch(engine, old, price=at(engine, "0.983"))
    assert answer.status_code == 202, answer.text
    new = str(answer.json()["order"]["client_order_id"])
    assert settled(engine, new, 40) == "NOT_PLACED"
    wait_for(lambda: status(engine, old) == "ACCEPTED", 40)
    assert [row["client_order_id"] for row in at_the_venue(exchange)] == [old]
    engine.call("DELETE", f"/orders/{old}")
    agrees(engine, exchange)


@pytest.mark.parametrize("change", [{"factor": "0.98"}, {"quantity": "0.01"}])
def test_a_fill_that_is_faster_than_the_change_wins(
    engine: EngineProcess, exchange: SimulatedExchange, change: dict[str, str]
) -> None:
    old = resting(engine, f"faster-fill-{'-'.join(change)}", "0.997")
    body = {"price": at(engine, change["factor"])} if "factor" in change else change
    exchange.faults("delay", path="/api/v3/order/*", delay_ms=800)
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(patch(engine, old, **body)))
    asking.start()
    exchange.market(symbol="ETHUSDT", jump=-0.02)
    wait_for(lambda: only(exchange.ledger()["orders"], client_order_id=old, status="FILLED"))
    asking.join()
    exchange.clear_faults()
    assert answers[0].status_code < 500, answers[0].text
    assert settled(engine, old) == "FILLED"
    found = engine.call("GET", f"/orders/{old}").json()["order"]
    assert Decimal(found["filled_quantity"]) == Decimal("0.02")
    wait_for(lambda: engine.call("GET", "/orders?open=true").json()["orders"] == [], 40)
    assert at_the_venue(exchange) == []
    agrees(engine, exchange)


def test_a_refused_replacement_of_which_the_cancel_worked_leaves_nothing(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    old, price = resting(engine, "refused-replacement", "0.97", post_only=True), at(engine, "0.995")
    # The book goes through the new price while the request is on its way: nobody here could know.
    exchange.faults("delay", path=REPLACE, delay_ms=1_000)
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(patch(engine, old, price=price)))
    asking.start()
    wait_for(lambda: status(engine, old) == "PENDING_UPDATE", 5)
    exchange.market(symbol="ETHUSDT", jump=-0.01)
    asking.join()
    exchange.clear_faults()
    answer = answers[0]
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled"), answer.text
    assert "-2010" in answer.json()["order"]["reason"]
    assert settled(engine, old) == "CANCELED"
    assert at_the_venue(exchange) == []
    agrees(engine, exchange)


def test_cancelling_all_while_some_fill_ends_every_order_once(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    near = [resting(engine, f"race-near-{number}", "0.998") for number in range(4)]
    far = [resting(engine, f"race-far-{number}", "0.97") for number in range(4)]
    exchange.faults("delay", path="order.cancel", delay_ms=300)
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(engine.call("DELETE", f"/orders?symbol={ETH}")))
    asking.start()
    exchange.market(symbol="ETHUSDT", jump=-0.01)
    asking.join()
    exchange.clear_faults()
    assert answers[0].status_code == 200, answers[0].text
    ends = {cid: settled(engine, cid, 40) for cid in (*near, *far)}
    assert {ends[cid] for cid in far} == {"CANCELED"}
    assert set(ends.values()) <= {"FILLED", "CANCELED"}
    for cid, end in ends.items():
        [row] = only(exchange.ledger()["orders"], client_order_id=cid)
        assert row["status"] == end
    agrees(engine, exchange)


def test_cancels_whose_answers_are_lost_are_settled_by_reading(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    orders = [resting(engine, f"lost-cancel-{number}", "0.97") for number in range(3)]
    exchange.faults("drop_after", path="order.cancel", count=1)
    engine.call("DELETE", f"/orders?symbol={ETH}")
    exchange.clear_faults()
    assert {settled(engine, cid, 40) for cid in orders} == {"CANCELED"}
    agrees(engine, exchange)


def test_only_the_orders_of_the_named_strategy_are_cancelled(engine: EngineProcess) -> None:
    mine = resting(engine, "of-strategy-mine", "0.97", strategy="mine")
    other = resting(engine, "of-strategy-other", "0.97", strategy="other")
    done = engine.call("DELETE", f"/orders?symbol={ETH}&strategy=mine").json()["orders"]
    assert [order["client_order_id"] for order in done] == [mine]
    assert (status(engine, mine), status(engine, other)) == ("CANCELED", "ACCEPTED")
    engine.call("DELETE", f"/orders/{other}")


@pytest.mark.parametrize(
    ("change", "http_status", "code"),
    [
        ({}, 422, "FIELD_MISSING"),
        ({"price": "0"}, 422, "PRICE_NOT_POSITIVE"),
        ({"quantity": "-1"}, 422, "QUANTITY_NOT_POSITIVE"),
        ({"quantity": "0.02"}, 422, "NOTHING_TO_CHANGE"),
        ({"stop_price": "1"}, 422, "FIELD_UNKNOWN"),
        ({"price": "1"}, 403, "PRICE_BAND"),
        ({"quantity": "100"}, 403, "NOTIONAL_TOO_LARGE"),
    ],
)
def test_bad_changes_are_refused_by_name_and_the_order_works_on(
    engine: EngineProcess, change: dict[str, str], http_status: int, code: str
) -> None:
    order = resting(engine, f"bad-change-{code}-{len(change)}", "0.97")
    answer = patch(engine, order, **change)
    assert (answer.status_code, answer.json()["code"]) == (http_status, code), answer.text
    assert status(engine, order) == "ACCEPTED"
    engine.call("DELETE", f"/orders/{order}")
    again = patch(engine, order, quantity="0.01")
    assert (again.status_code, again.json()["code"]) == (409, "ORDER_TERMINAL")


def test_a_bracket_keeps_its_own_legs(engine: EngineProcess) -> None:
    body = {"symbol": ETH, "side": "BUY", "quantity": "0.02", "take_profit_bps": "200", "stop_loss_bps": "200"}
    answer = engine.order(body, "legs-not-amended", path="/orders/bracket").json()
    for leg in answer["bracket"]["legs"]:
        refused = patch(engine, leg["client_order_id"], quantity="0.01")
        assert (refused.status_code, refused.json()["code"]) == (422, "AMEND_NOT_SUPPORTED")
    engine.call("DELETE", f"/orders?symbol={ETH}")


def test_a_smaller_size_asked_for_again_is_answered_again(engine: EngineProcess) -> None:
    cid = resting(engine, "shrinks-twice-1")
    changes = [
        engine.call("PATCH", f"/orders/{cid}", json={"quantity": size}, headers={"Idempotency-Key": key})
        for size, key in (("0.015", "shrink-1"), ("0.01", "shrink-2"), ("0.015", "shrink-1"), ("0.011", "shrink-2"))
    ]
    assert [answer.status_code for answer in changes] == [200, 200, 200, 422]
    assert [answer.json()["status"] for answer in changes[:3]] == ["updated"] * 3
    assert [answer.json()["order"]["quantity"] for answer in changes[:3]] == ["0.015", "0.01", "0.015"]
    assert changes[3].json()["code"] == "IDEMPOTENCY_KEY_REUSED"
    engine.call("DELETE", f"/orders/{cid}")
    after = engine.call("PATCH", f"/orders/{cid}", json={"quantity": "0.01"}, headers={"Idempotency-Key": "shrink-2"})
    assert (after.status_code, after.json()) == (200, changes[1].json())


def test_a_cancel_that_is_asked_for_twice_under_one_key_is_answered_twice(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    cid = resting(engine, "canceled-twice")
    key = {"Idempotency-Key": "the-same-cancel"}
    answers = [engine.call("DELETE", f"/orders/{cid}", headers=key) for _ in range(2)]
    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(200, "canceled")] * 2
    for other in ({}, {"Idempotency-Key": "another-cancel"}):
        answer = engine.call("DELETE", f"/orders/{cid}", headers=other)
        assert (answer.status_code, answer.json()["code"]) == (409, "ORDER_TERMINAL")
    agrees(engine, exchange)


def test_a_post_only_order_is_not_moved_across_the_book(engine: EngineProcess, exchange: SimulatedExchange) -> None:
    cid = resting(engine, "post-only-1", post_only=True)
    answer = patch(engine, cid, price=at(engine, "1.01"))
    assert (answer.status_code, answer.json()["code"]) == (400, "VENUE_WOULD_TAKE"), answer.text
    assert [row["client_order_id"] for row in at_the_venue(exchange)] == [cid]
    moved = patch(engine, cid, price=at(engine, "0.995"))
    assert (moved.status_code, moved.json()["status"]) == (200, "updated"), moved.text
    engine.call("DELETE", f"/orders/{moved.json()['order']['client_order_id']}")
    agrees(engine, exchange)
