"""What of the news that arrived together is worth telling: a trade tells that its order was taken in."""

from __future__ import annotations

from typing import Any

import pytest

from engine_service.venues.binance.user_stream import without_overtaken


def report(execution: str, status: str, **changes: Any) -> dict[str, Any]:
    """Return an executionReport as it comes over the WebSocket API."""
    event = {
        "e": "executionReport", "x": execution, "X": status, "s": "BTCUSDT", "i": 7, "c": "ab12", "C": "", "S": "BUY",
        "o": "MARKET", "f": "GTC", "q": "1.00000000", "Q": "0.00000000", "p": "0.00000000", "P": "0.00000000",
    }  # fmt: skip
    return {"subscriptionId": 0, "event": event | changes}


BALANCES = {"subscriptionId": 0, "event": {"e": "outboundAccountPosition", "B": []}}
TAKEN_IN = report("NEW", "NEW")
PART = report("TRADE", "PARTIALLY_FILLED", t=1)
FILLED = report("TRADE", "FILLED", t=2)


def test_the_news_that_an_order_was_taken_in_is_left_out_where_its_trade_follows() -> None:
    assert without_overtaken([TAKEN_IN, PART, FILLED, BALANCES]) == [PART, FILLED, BALANCES]


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([TAKEN_IN], id="alone"),
        pytest.param([TAKEN_IN, BALANCES], id="no trade with it"),
        pytest.param([FILLED, TAKEN_IN], id="the trade came first: a late copy"),
        pytest.param([TAKEN_IN, report("CANCELED", "CANCELED")], id="an end that is no trade"),
        pytest.param([report("NEW", "PENDING_NEW"), FILLED], id="another status"),
        pytest.param([report("REPLACED", "NEW"), FILLED], id="an amendment"),
        pytest.param([PART, PART, FILLED], id="trades, doubled or not"),
        pytest.param([report("NEW", "NEW", i=8), FILLED], id="another order"),
        pytest.param(
            [report("NEW", "NEW", o="STOP_LOSS"), report("TRADE", "FILLED", o="STOP_LOSS")], id="a stop was triggered"
        ),
        pytest.param([report("NEW", "NEW", i=[7]), report("TRADE", "FILLED", i=[7])], id="no order number"),
        pytest.param([None, "text", {"event": None}, [], TAKEN_IN], id="nonsense"),
    ],
)
def test_everything_else_is_told_in_order(messages: list[Any]) -> None:
    assert without_overtaken(list(messages)) == messages


@pytest.mark.parametrize("name", ["s", "c", "C", "S", "o", "f", "q", "Q", "p", "P"])
def test_two_tellings_that_contradict_each_other_are_both_told(name: str) -> None:
    messages = [report("NEW", "NEW", **{name: "another"}), FILLED]
    assert without_overtaken(messages) == messages
