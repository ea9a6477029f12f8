"""Headers: read at once where they are as they should be, one by one where they are not, and the same either way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_service.api import request_head
from engine_service.api.request_head import check_address, is_json, read_headers
from engine_service.domain.errors import InvalidRequest

NAMES = (b"host", b"authorization", b"idempotency-key", b"accept", b"x-a")
names = st.sampled_from(NAMES)
values = st.sampled_from((b"a", b"", b"a\tb", b"\xff", b"a\x00", b"\x7f", b"x" * 5_000)) | st.binary(max_size=5)


def outcome(raw: list[tuple[bytes, bytes]], *, one_by_one: bool) -> object:
    try:
        return request_head._read_each(raw) if one_by_one else read_headers(raw)
    except InvalidRequest as error:
        return error.code, error.detail


@given(st.lists(st.tuples(names, values), max_size=5))
def test_at_once_and_one_by_one_the_same_is_read(raw: list[tuple[bytes, bytes]]) -> None:
    assert outcome(raw, one_by_one=False) == outcome(raw, one_by_one=True)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ([(b"host", b"a"), (b"host", b"a")], "HEADER_DUPLICATED"),
        ([(b"x-a", b"\x1b")], "HEADER_INVALID"),
        ([(b"x-a", b"x" * 8_190)], "HEADERS_TOO_LARGE"),
        ([(b"x-%d" % number, b"") for number in range(65)], "HEADERS_TOO_LARGE"),
    ],
)
def test_other_headers_are_refused(raw: list[tuple[bytes, bytes]], code: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_headers(raw)
    assert refused.value.code == code


def test_what_stands_just_within_the_bounds_is_read() -> None:
    assert len(read_headers([(b"%02d" % number, b"") for number in range(64)])) == 64
    assert read_headers([(b"x-a", b"x" * 8_189)]) == {b"x-a": b"x" * 8_189}
    assert read_headers([(b"accept", b"a"), (b"accept", b"b\tc")]) == {b"accept": b"b\tc"}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({b"host": b"127.0.0.1"}, ""),
        ({b"host": b"[::1]:8003"}, ""),
        ({b"host": b"[::1]"}, ""),
        ({b"host": b"localhost:8003", b"origin": b"http://localhost:8003"}, ""),
        ({b"host": b"localhost:8003", b"origin": b"http://localhost"}, "ORIGIN_NOT_ALLOWED"),
        ({b"host": b"127.0.0.1", b"sec-fetch-site": b"same-site"}, "ORIGIN_NOT_ALLOWED"),
        ({b"host": b"evil.example:127.0.0.1"}, "HOST_NOT_ALLOWED"),
        ({b"host": b"127.0.0.1:80:80"}, "HOST_NOT_ALLOWED"),
        ({b"host": b"127.0.0.1:"}, ""),
        ({b"host": b"127.0.0.1:http"}, "HOST_NOT_ALLOWED"),
        ({b"host": b"LocalHost:8003", b"origin": b"http://localhost:8003"}, ""),
        ({}, "HOST_NOT_ALLOWED"),
    ],
)
def test_a_request_is_meant_for_this_machine(headers: dict[bytes, bytes], code: str) -> None:
    try:
        check_address(headers, frozenset({"127.0.0.1", "localhost", "[::1]"}))
    except InvalidRequest as refused:
        assert refused.code == code
    else:
        assert not code


@pytest.mark.parametrize(
    ("content_type", "taken"),
    [
        (b"application/json", True),
        (b"Application/JSON; charset=UTF-8", True),
        (b'application/json ;charset="utf-8"', True),
        (b"application/json; charset=utf-16", False),
        (b"application/jsonp", False),
        (b"", False),
    ],
)
def test_bodies_are_json_in_utf_8(content_type: bytes, taken: bool) -> None:
    assert is_json(content_type) is taken
