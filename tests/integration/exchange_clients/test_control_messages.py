"""Control messages of the stream connections, with the answers that the documents list."""

from __future__ import annotations

import pytest

from engine_service.exchange_sim.binance_wire.ws_control import Control, ControlError, answer, parse_control
from engine_service.exchange_sim.enums import Market


def test_a_subscription_is_read() -> None:
    read = parse_control('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}', Market.SPOT)
    assert read == Control("SUBSCRIBE", ("btcusdt@trade",), 1)


def test_a_carried_out_command_answers_null() -> None:
    assert answer(312, None) == {"result": None, "id": 312}


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ('{"method":"SUBSCRIBE",', 3, "Invalid JSON: expected value at line 1 column 23"),
        ('{"params":["a@trade"],"id":1}', 2, "Invalid request: missing field `method` at line 1 column 29"),
        (
            '{"method":"SUB","params":["a@trade"],"id":1}',
            2,
            "Invalid request: unknown variant `SUB`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, "
            "`LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column 44",
        ),
        ('{"method":"SUBSCRIBE","params":["a@trade"],"id":1.5}', 2, "request ID must be an unsigned integer"),
        ('{"method":"SUBSCRIBE","params":["a@trade"],"id":true}', 2, "request ID must be an unsigned integer"),
        ('{"method":"SUBSCRIBE","params":[1],"id":1}', 2, "Invalid request: invalid stream"),
        ('{"method":"LIST_SUBSCRIPTIONS","params":["x"],"id":1}', 2, "Invalid request: too many parameters"),
        ('{"method":"GET_PROPERTY","params":["x"],"id":1}', 0, "Unknown property"),
        ('{"method":"GET_PROPERTY","params":[],"id":1}', 2, "property name must be a string"),
        ('{"method":"GET_PROPERTY","params":["combined",true],"id":1}', 2, "too many parameters"),
        ('{"method":"SET_PROPERTY","params":["combined","yes"],"id":1}', 1, "expected Boolean"),
    ],
)
def test_bad_messages_get_the_documented_error(text: str, code: int, message: str) -> None:
    with pytest.raises(ControlError) as refused:
        parse_control(text, Market.SPOT)
    assert refused.value.code == code
    assert message in refused.value.message


def test_the_error_names_the_request_it_belongs_to() -> None:
    with pytest.raises(ControlError) as refused:
        parse_control('{"method":"GET_PROPERTY","params":["x"],"id":77}', Market.SPOT)
    assert refused.value.payload() == {
        "code": 0,
        "msg": "Unknown property",
        "error": {"code": 0, "msg": "Unknown property"},
        "id": 77,
    }


def test_a_negative_id_is_good_on_spot_and_refused_on_usdm() -> None:
    text = '{"method":"LIST_SUBSCRIPTIONS","id":-1}'
    assert parse_control(text, Market.SPOT).request_id == -1
    with pytest.raises(ControlError, match="unsigned integer"):
        parse_control(text, Market.FUTURES)
