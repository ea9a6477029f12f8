"""Brackets over HTTP on spot: an order list at the venue, sized on what has filled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.engine.process import EngineProcess
from tests.integration.simulated_exchange import CROWDED, SimulatedExchange, only, wait_for

BTC = "BTCUSDT.BINANCE"
ENTRY = {"symbol": BTC, "side": "BUY", "quantity": "0.002"}
WIDE = {"take_profit_bps": "200", "stop_loss_bps": "200"}


@pytest.fixture(autouse=True)
def calm(engine: EngineProcess, exchange: SimulatedExchange) -> Iterator[None]:
    """Prices move only where a test makes them, and stop-outs of one test do not quarantine the next."""
    exchange.market(volatility=0)
    engine.call("PUT", "/risk/config", json={"quarantine_stop_outs": "1000"})
    yield
    exchange.market(volatility=1)


def mark(engine: EngineProcess) -> Decimal:
    prices = engine.call("GET", "/prices").json()["prices"]
    return Decimal(next(price["mark"] for price in prices if price["symbol"] == BTC))


def jump(engine: EngineProcess, exchange: SimulatedExchange, frac: float) -> None:
    wanted = mark(engine) * Decimal(str(1 + frac))
    exchange.market(symbol="BTCUSDT", jump=frac)
    wait_for(lambda: abs(mark(engine) / wanted - 1) < Decimal("0.002"))


def bracket(engine: EngineProcess, key: str, **fields: Any) -> dict[str, Any]:
    answer = engine.order({**ENTRY, **WIDE, **fields}, key, path="/orders/bracket")
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def detail(engine: EngineProcess, client_order_id: str) -> dict[str, Any]:
    return dict(engine.call("GET", f"/orders/{client_order_id}").json())


def legs(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {leg["leg"]: leg for leg in answer["bracket"]["legs"]}


def closed(engine: EngineProcess, client_order_id: str) -> Any:
    return wait_for(lambda: detail(engine, client_order_id)["bracket"]["status"] == "closed")


def outcome(engine: EngineProcess, bracket_id: str) -> str:
    """The last word of the journal on a bracket."""
    seq = 0
    found = ""
    while page := engine.call("GET", "/events", params={"after": str(seq), "limit": "500"}).json()["events"]:
        seq = page[-1]["seq"]
        for event in page:
            if event["kind"] == "BracketClosed" and event["event"]["bracket_id"] == bracket_id:
                found = event["event"]["outcome"]
    return found


def truth(exchange: SimulatedExchange, client_order_id: str) -> dict[str, Any]:
    [row] = only(exchange.ledger()["orders"], client_order_id=client_order_id)
    return row


def test_a_filled_entry_has_both_legs_at_the_venue_in_its_answer(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    answer = bracket(engine, "bracket-answer-1")
    assert answer["order"]["status"] == "FILLED"
    found = answer["bracket"]
    assert (found["mode"], found["protected"]) == ("native", True)
    average = Decimal(answer["order"]["average_price"])
    assert Decimal(found["take_profit"]) == pytest.approx(average * Decimal("1.02"), abs=Decimal("0.01"))
    assert Decimal(found["stop_loss"]) == pytest.approx(average * Decimal("0.98"), abs=Decimal("0.01"))
    fee = sum(Decimal(fill["fee"]) for fill in answer["fills"] if fill["fee_asset"] == "BTC")
    assert 0 <= Decimal("0.002") - fee - Decimal(found["quantity"]) < Decimal("0.00001")
    rows = {leg: truth(exchange, one["client_order_id"]) for leg, one in legs(answer).items()}
    assert {leg: (row["type"], row["status"]) for leg, row in rows.items()} == {
        "take_profit": ("LIMIT_MAKER", "NEW"),
        "stop_loss": ("STOP_LOSS", "NEW"),
    }
    assert {row["quantity"] for row in rows.values()} == {found["quantity"]}
    gone = engine.call("DELETE", f"/orders/{legs(answer)['stop_loss']['client_order_id']}")
    assert gone.status_code == 200
    closed(engine, answer["order"]["client_order_id"])


@pytest.mark.parametrize(
    ("move", "wins", "loses"), [(0.03, "take_profit", "stop_loss"), (-0.03, "stop_loss", "take_profit")]
)
def test_one_leg_closes_and_the_other_goes(
    engine: EngineProcess, exchange: SimulatedExchange, move: float, wins: str, loses: str
) -> None:
    answer = bracket(engine, f"bracket-wins-{wins}")
    entry = answer["order"]["client_order_id"]
    jump(engine, exchange, move)
    closed(engine, entry)
    pair = legs(answer)
    won, lost = (detail(engine, pair[leg]["client_order_id"])["order"] for leg in (wins, loses))
    assert (won["status"], lost["status"]) == ("FILLED", "EXPIRED")
    assert Decimal(won["filled_quantity"]) == Decimal(answer["bracket"]["quantity"])
    assert Decimal(lost["filled_quantity"]) == 0
    assert outcome(engine, entry) == wins


def test_cancelling_one_leg_cancels_both_and_ends_the_bracket(engine: EngineProcess) -> None:
    answer = bracket(engine, "bracket-cancel-leg")
    entry = answer["order"]["client_order_id"]
    assert engine.call("DELETE", f"/orders/{legs(answer)['take_profit']['client_order_id']}").status_code == 200
    closed(engine, entry)
    states = {detail(engine, leg["client_order_id"])["order"]["status"] for leg in legs(answer).values()}
    assert states == {"CANCELED"}
    assert outcome(engine, entry) == "canceled"


def test_a_limit_entry_is_protected_once_it_fills(engine: EngineProcess, exchange: SimulatedExchange) -> None:
    price = f"{mark(engine) * Decimal('0.995'):.2f}"
    answer = bracket(engine, "bracket-limit-entry", price=price)
    entry = answer["order"]["client_order_id"]
    assert (answer["order"]["status"], answer["bracket"]["status"]) == ("ACCEPTED", "waiting")
    jump(engine, exchange, -0.01)
    began = time.monotonic()
    found = wait_for(lambda: (now := detail(engine, entry))["bracket"]["protected"] and now)
    assert time.monotonic() - began < 2 * CROWDED
    assert found["order"]["status"] == "FILLED"
    engine.call("DELETE", f"/orders?symbol={BTC}")
    closed(engine, entry)


def test_a_cancelled_entry_leaves_nothing_behind(engine: EngineProcess, exchange: SimulatedExchange) -> None:
    answer = bracket(engine, "bracket-never-filled", price=f"{mark(engine) * Decimal('0.98'):.2f}")
    entry = answer["order"]["client_order_id"]
    placed = len(exchange.ledger()["orders"])
    assert engine.call("DELETE", f"/orders/{entry}").status_code == 200
    time.sleep(1.2)
    assert len(exchange.ledger()["orders"]) == placed
    assert detail(engine, entry)["bracket"]["status"] == "waiting"


def test_the_same_key_makes_one_bracket(engine: EngineProcess, exchange: SimulatedExchange) -> None:
    first = bracket(engine, "bracket-same-key")
    placed = len(exchange.ledger()["orders"])
    second = bracket(engine, "bracket-same-key")
    assert second["order"]["client_order_id"] == first["order"]["client_order_id"]
    assert legs(second).keys() == legs(first).keys()
    assert len(exchange.ledger()["orders"]) == placed
    changed = engine.order({**ENTRY, **WIDE, "stop_loss_bps": "150"}, "bracket-same-key", path="/orders/bracket")
    assert (changed.status_code, changed.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    engine.call("DELETE", f"/orders?symbol={BTC}")


def test_refused_protection_closes_at_market_and_says_so(engine: EngineProcess, exchange: SimulatedExchange) -> None:
    words = "The relationship of the prices for the orders is not correct."
    exchange.faults("error", path="orderList.place.oco", http_status=400, code=-2010, message=words)
    try:
        answer = bracket(engine, "bracket-refused-legs")
        entry = answer["order"]["client_order_id"]
        closed(engine, entry)
    finally:
        exchange.clear_faults()
    assert outcome(engine, entry) == "unprotected"
    sold = [row for row in only(exchange.ledger()["orders"], side="SELL", type="MARKET") if row["status"] == "FILLED"]
    assert Decimal(sold[-1]["executed_quantity"]) == Decimal(str(answer["order"]["filled_quantity"])).quantize(
        Decimal("0.00001")
    ) - Decimal("0.00001")
    metrics = engine.call("GET", "/metrics").text
    assert 'nhmm_order_anomalies_total{kind="bracket_unprotected"} 1' in metrics


def test_an_answer_lost_on_the_way_back_still_leaves_one_pair(
    engine: EngineProcess, exchange: SimulatedExchange
) -> None:
    exchange.faults("drop_after", count=1, path="orderList.place.oco")
    answer = bracket(engine, "bracket-lost-answer")
    exchange.clear_faults()
    entry = answer["order"]["client_order_id"]
    found = wait_for(lambda: (now := detail(engine, entry))["bracket"]["protected"] and now, 20)
    assert len(found["bracket"]["legs"]) == 2
    listed = [leg["client_order_id"] for leg in found["bracket"]["legs"]]
    resting = [row["client_order_id"] for row in only(exchange.ledger()["orders"], status="NEW")]
    assert sorted(resting) == sorted(listed)
    engine.call("DELETE", f"/orders?symbol={BTC}")
    closed(engine, entry)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"stop_loss_bps": "0"}, 422, "FIELD_RANGE"),
        ({"stop_loss_bps": "10000"}, 422, "FIELD_RANGE"),
        ({"take_profit_bps": "-5"}, 422, "FIELD_RANGE"),
        ({"take_profit_bps": "1e2"}, 422, "NUMBER_FORMAT"),
        ({"take_profit_price": "60000"}, 422, "BRACKET_INVALID"),
        ({"side": "SELL"}, 422, "BRACKET_INVALID"),
        ({"reduce_only": True}, 422, "BRACKET_INVALID"),
        ({"stop_loss_bps": "2000"}, 403, "PRICE_BAND"),
        ({"price": "1"}, 403, "PRICE_BAND"),
        ({"trailing_bps": "10"}, 422, "FIELD_UNKNOWN"),
        ({"quote": "100"}, 422, "QUANTITY_AND_QUOTE"),
        ({"quantity": "0.00005"}, 422, "NOTIONAL_TOO_SMALL"),
        ({"quote": "5.05", "quantity": None}, 422, "NOTIONAL_TOO_SMALL"),
    ],
)
def test_bad_brackets_are_refused_by_name_and_nothing_is_sent(
    engine: EngineProcess, exchange: SimulatedExchange, change: dict[str, Any], status: int, code: str
) -> None:
    placed = len(exchange.ledger()["orders"])
    body = {**ENTRY, **WIDE, **change}
    asked = engine.call("POST", "/orders/check", json={"type": "bracket", **body})
    answer = engine.order(body, f"bad-bracket-{code}-{'-'.join(change)}", path="/orders/bracket")
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert asked.json()["code"] == code, asked.text
    assert len(exchange.ledger()["orders"]) == placed


@pytest.mark.parametrize(
    ("prices", "code"),
    [
        ({"take_profit_price": "0.5", "stop_loss_price": "0.4"}, "BRACKET_PRICES"),
        ({"take_profit_price": "1.02", "stop_loss_price": "1.01"}, "BRACKET_PRICES"),
    ],
)
def test_levels_on_the_wrong_side_are_refused(engine: EngineProcess, prices: dict[str, str], code: str) -> None:
    now = mark(engine)
    body = {name: f"{now * Decimal(factor):.2f}" for name, factor in prices.items()}
    asked = engine.call("POST", "/orders/check", json={"type": "bracket", **ENTRY, **body})
    answer = engine.order({**ENTRY, **body}, "wrong-side-levels", path="/orders/bracket")
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert (asked.status_code, asked.json()["code"]) == (422, code), asked.text


def test_a_leg_is_judged_in_the_order_of_the_rails_and_its_refusal_is_remembered(engine: EngineProcess) -> None:
    body = {**ENTRY, **WIDE, "stop_loss_bps": "2000"}
    refused = engine.order(body, "leg-refused-once", path="/orders/bracket")
    assert (refused.status_code, refused.json()["code"]) == (403, "PRICE_BAND"), refused.text
    again = engine.order(body, "leg-refused-once", path="/orders/bracket")
    assert (again.status_code, again.json()["code"]) == (403, "PRICE_BAND"), again.text
    assert again.headers["Idempotency-Replayed"] == "true"
    denied = engine.call("GET", "/orders?status=DENIED&limit=1").json()["orders"][0]
    assert (denied["symbol"], denied["code"]) == (BTC, "PRICE_BAND"), denied
    engine.call("POST", "/control/halt")
    try:
        halted = engine.order(body, "leg-refused-halted", path="/orders/bracket")
    finally:
        engine.call("POST", "/control/resume", json={"reason": "test"})
    assert halted.json()["code"] == "TRADING_HALTED", halted.text


def test_an_entry_is_not_moved_outside_its_own_levels(engine: EngineProcess, exchange: SimulatedExchange) -> None:
    now = mark(engine)
    prices = {"price": "0.99", "take_profit_price": "1.02", "stop_loss_price": "0.98"}
    entry = bracket(
        engine,
        "entry-to-be-moved",
        take_profit_bps=None,
        stop_loss_bps=None,
        **{name: f"{now * Decimal(factor):.2f}" for name, factor in prices.items()},
    )["order"]
    path = f"/orders/{entry['client_order_id']}"
    moved = engine.call("PATCH", path, json={"price": f"{now * Decimal('0.97'):.2f}"})
    assert (moved.status_code, moved.json()["code"]) == (422, "BRACKET_PRICES"), moved.text
    assert truth(exchange, entry["client_order_id"])["status"] == "NEW"
    assert engine.call("DELETE", path).status_code == 200


def test_the_book_equals_the_exchange_after_all_of_it(engine: EngineProcess) -> None:
    report = engine.reconciled()
    assert report["ok"], report
    assert engine.call("GET", "/orders?open=true").json()["orders"] == []
