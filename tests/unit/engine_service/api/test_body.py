"""The quick reader of honest bodies and the strict reader say the same of every body."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_service.api.body import NumberText, read_object, read_strictly
from engine_service.api.order_bodies import Home, limit_order, market_order
from engine_service.domain.errors import EngineError
from engine_service.domain.ids import Market
from engine_service.domain.order import OrderRequest

GOOD = {"symbol": "BTCUSDT.BINANCE", "side": "BUY", "quantity": "0.001", "price": "50000", "tag": "a"}
SYMBOLS, WORDS = ("BTCUSDT.BINANCE", "btcusdt.binance"), ("BUY", "SELL", "buy", "GTC", "", "x" * 300)
TEXTS = (*SYMBOLS, *WORDS, "0.001", "0", "-1", "1e5", "nan")
STRANGE = ("\\u0041", "\\", "\\ud800", "\u202e", "\u00e9", "\x7f", "\t", "\x00", '\\"', "/", "{", "]")
NAMES = (*GOOD, "quote", "market", "venue", "reduce_only", "strategy", "client_order_id", "time_in_force", "admin", "")

texts = st.sampled_from(TEXTS) | st.text(max_size=6) | st.sampled_from(STRANGE)
values = st.recursive(
    texts | st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=True).map(NumberText),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)
pairs = st.lists(st.tuples(st.sampled_from(NAMES) | texts, values), max_size=7)


def written(value: Any, raw: bool) -> str:
    """Write JSON, or something near it: texts as they stand, without the escapes that they need."""
    if isinstance(value, NumberText):
        return str(value)
    if isinstance(value, str):
        return f'"{value}"' if raw else json.dumps(value)
    if isinstance(value, list):
        return f"[{','.join(written(item, raw) for item in value)}]"
    if isinstance(value, dict):
        return object_of(list(value.items()), raw)
    return json.dumps(value)


def object_of(content: list[tuple[str, Any]], raw: bool) -> str:
    return "{" + ", ".join(f"{written(name, raw)}:{written(value, raw)}" for name, value in content) + "}"


def outcome(read: Callable[[], Any]) -> object:
    """Return what was read, with the kinds of its values, or what is wrong with it and where."""
    try:
        found = read()
    except EngineError as error:
        return error.code, error.detail, error.errors
    return found, [type(value) for value in found.values()] if isinstance(found, dict) else None


def order_by(
    read: Callable[[bytes], dict[str, Any]],
    order: Callable[[dict[str, Any], Home], OrderRequest],
    body: bytes,
) -> OrderRequest:
    return order(read(body), Home(Market.SPOT, "BINANCE"))


def same(body: bytes) -> object:
    """Compare the readers on one body, and what orders become of it; return what the quick one said."""
    assert outcome(lambda: read_object(body)) == outcome(lambda: read_strictly(body))
    for order in (market_order, limit_order):
        quick = outcome(partial(order_by, read_object, order, body))
        assert quick == outcome(partial(order_by, read_strictly, order, body))
    return outcome(lambda: read_object(body))


@given(pairs, st.booleans())
def test_both_readers_say_the_same_of_objects(content: list[tuple[str, Any]], raw: bool) -> None:
    same(object_of(content, raw).encode("utf-8", "surrogatepass"))


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(TEXTS)), max_size=6))
def test_both_readers_say_the_same_of_flat_texts(content: list[tuple[str, Any]]) -> None:
    said = same(object_of(content, raw=False).encode())
    twice = len({name for name, _ in content}) < len(content)
    assert (said[0] == "JSON_DUPLICATE_KEY") is twice  # type: ignore[index]  # a tuple in any case


@given(st.randoms(use_true_random=False))
def test_both_readers_say_the_same_of_damaged_orders(chance: random.Random) -> None:
    body = bytearray(json.dumps(GOOD).encode())
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(body))
        match chance.randrange(4):
            case 0:
                body[place] = chance.randrange(256)
            case 1:
                del body[place : place + chance.randrange(1, 8)]
            case 2:
                body[place:place] = body[place : place + chance.randrange(1, 40)]
            case _:
                body[place:place] = chance.choice((b'"', b"\\", b",", b"{}", b'"side":"BUY",', b" ", b"\n", b"1"))
    same(bytes(body))


@given(st.binary(max_size=40))
def test_both_readers_say_the_same_of_bytes(body: bytes) -> None:
    same(body)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"side":"BUY","side":"SELL"}', "JSON_DUPLICATE_KEY"),
        (b'{"side":"BUY","side":"BUY"}', "JSON_DUPLICATE_KEY"),
        (b'{"side":"BUY","\\u0073ide":"BUY"}', "JSON_DUPLICATE_KEY"),
        (b'{"side":"B\x7fUY"}', "STRING_INVALID"),
        (b'{"side":"B\nUY"}', "JSON_INVALID"),
        (b'{"a":' * 9 + b'"x"' + b"}" * 9, "JSON_TOO_DEEP"),
        (b'{"a":"x"}{', "JSON_INVALID"),
    ],
)
def test_what_is_not_plain_is_refused_as_ever(body: bytes, code: str) -> None:
    said = same(body)
    assert isinstance(said, tuple)
    assert said[0] == code


def test_depth_counts_brackets_outside_texts_only() -> None:
    assert read_object(b'{"a":"' + b"[{" * 50 + b'"}') == {"a": "[{" * 50}
    assert read_object(b'{"a":["' + b"[{" * 50 + b'"]}') == {"a": ["[{" * 50]}
