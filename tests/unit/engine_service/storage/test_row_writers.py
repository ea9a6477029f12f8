"""What is put together from encoded parts reads as if it had been encoded whole."""

from __future__ import annotations

import pytest

from engine_service.domain.events import IdempotencyMark
from engine_service.storage.codec import decode, encode
from engine_service.storage.port import StoredAnswer
from engine_service.storage.row_writers import Encoded, answer_text
from tests.unit.engine_service.domain.test_state import an_order, filled

MARK = IdempotencyMark(scope="me|/orders", key="k-1", fingerprint="f", principal="me")
ANSWERS = [
    StoredAnswer(mark=MARK, at_ms=1, client_order_id="c1"),
    StoredAnswer(mark=MARK, at_ms=2, outcome="denied", client_order_id="c1", order=an_order("c1"), numbers={"a": "1"}),
    StoredAnswer(
        mark=MARK,
        at_ms=3,
        outcome="created",
        client_order_id="c1",
        order=an_order("c1"),
        fills=(filled("c1", "1").fill, filled("c1", "2").fill),
    ),
    StoredAnswer(mark=MARK, at_ms=4, outcome="ok", status_code=200, body='{"é": "\\u0000"}'),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=["running", "denied", "filled", "other"])
def test_an_answer_is_written_as_its_class_says(answer: StoredAnswer) -> None:
    text = answer_text(answer, Encoded("main"))
    assert text == encode(answer)
    assert decode(StoredAnswer, text) == answer


def test_every_field_of_an_answer_is_written() -> None:
    assert set(decode(dict, answer_text(ANSWERS[0], Encoded("main")))) == set(StoredAnswer.__struct_fields__)


def test_a_value_is_encoded_once_and_never_taken_for_another() -> None:
    encoded = Encoded("main")
    order = an_order("c1")
    assert encoded.of(order) is encoded.of(order)
    texts = [encoded.of(an_order(f"c{number}")) for number in range(200)]
    assert texts == [encode(an_order(f"c{number}")) for number in range(200)]
