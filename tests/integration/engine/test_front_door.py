"""Bad input, strangers and odd framing: each is answered as written down, never by a 500, never with an echo."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import Any

import httpx
import pytest

from engine_service.api.routes import ROUTES
from engine_service.contract.codes import CODES
from tests.integration.engine.process import EngineProcess

ORDER = {"symbol": "BTCUSDT.BINANCE", "side": "BUY", "quantity": "0.001"}
CANARY = "ZxCanaryZx"

BODIES: list[tuple[str, bytes | dict[str, Any], int, str]] = [
    ("nan", b'{"symbol":"BTCUSDT.BINANCE","side":"BUY","quantity":NaN}', 422, "NUMBER_NOT_FINITE"),
    ("infinity", b'{"symbol":"BTCUSDT.BINANCE","side":"BUY","quantity":-Infinity}', 422, "NUMBER_NOT_FINITE"),
    ("huge", b'{"symbol":"BTCUSDT.BINANCE","side":"BUY","quantity":1e400}', 422, "NUMBER_OUT_OF_RANGE"),
    ("tiny", b'{"symbol":"BTCUSDT.BINANCE","side":"BUY","quantity":1e-400}', 422, "NUMBER_OUT_OF_RANGE"),
    ("5000 digits", b'{"symbol":"BTCUSDT.BINANCE","quantity":' + b"9" * 5000 + b"}", 422, "NUMBER_TOO_LONG"),
    ("nan text", {**ORDER, "quantity": "nan"}, 422, "NUMBER_NOT_FINITE"),
    ("underscore", {**ORDER, "quantity": "1_000"}, 422, "NUMBER_FORMAT"),
    ("spaces", {**ORDER, "quantity": " 1 "}, 422, "NUMBER_FORMAT"),
    ("exponent", {**ORDER, "quantity": "1E+1000000"}, 422, "NUMBER_FORMAT"),
    ("full width", {**ORDER, "quantity": "１２３"}, 422, "NUMBER_FORMAT"),
    ("boolean", {**ORDER, "quantity": True}, 422, "FIELD_TYPE"),
    ("duplicate key", b'{"quantity":"1","quantity":"1000000"}', 400, "JSON_DUPLICATE_KEY"),
    ("unknown field", {**ORDER, "admin": True}, 422, "FIELD_UNKNOWN"),
    ("deep", b"[" * 500 + b"]" * 500, 400, "JSON_TOO_DEEP"),
    ("bom", b"\xef\xbb\xbf{}", 400, "JSON_BOM"),
    ("not utf-8", b'{"symbol":"\xff"}', 400, "BODY_NOT_UTF8"),
    ("surrogate", b'{"symbol":"\\ud800"}', 422, "STRING_INVALID"),
    ("nul", b'{"symbol":"BTC\\u0000USDT"}', 422, "STRING_INVALID"),
    ("bidi", {**ORDER, "symbol": "BTC\u202eUSDT.BINANCE"}, 422, "STRING_INVALID"),
    ("array", b"[]", 422, "BODY_NOT_OBJECT"),
    ("null", b"null", 422, "BODY_NOT_OBJECT"),
    ("empty", b"", 400, "JSON_INVALID"),
    ("trailing comma", b'{"a":1,}', 400, "JSON_INVALID"),
    ("nothing in it", {}, 422, "FIELD_MISSING"),
    ("no size", {"symbol": "BTCUSDT.BINANCE", "side": "BUY"}, 422, "QUANTITY_OR_QUOTE_REQUIRED"),
    ("long list", {**ORDER, "tags": ["x"] * 100}, 422, "LIST_TOO_LONG"),
    ("zero", {**ORDER, "quantity": "0"}, 422, "QUANTITY_NOT_POSITIVE"),
    ("negative", {**ORDER, "quantity": "-1"}, 422, "QUANTITY_NOT_POSITIVE"),
    ("both sizes", {**ORDER, "quote": "10"}, 422, "QUANTITY_AND_QUOTE"),
    ("a price", {**ORDER, "price": "1"}, 422, "PRICE_NOT_ALLOWED"),
    ("lower case side", {**ORDER, "side": "buy"}, 422, "SIDE_INVALID"),
    ("spaced side", {**ORDER, "side": "SELL "}, 422, "SIDE_INVALID"),
    ("unknown symbol", {**ORDER, "symbol": "NOPEUSDT.BINANCE"}, 404, "SYMBOL_UNKNOWN"),
    ("homoglyph", {**ORDER, "symbol": "ВТСUSDT.BINANCE"}, 422, "SYMBOL_FORMAT"),
    ("query in symbol", {**ORDER, "symbol": "BTC&side=SELL.BINANCE"}, 422, "SYMBOL_FORMAT"),
    ("path in symbol", {**ORDER, "symbol": "../BTC.BINANCE"}, 422, "SYMBOL_FORMAT"),
    ("other venue", {**ORDER, "venue": "KRAKEN"}, 422, "VENUE_MISMATCH"),
    ("unknown venue", {**ORDER, "symbol": "BTCUSDT.NOWHERE"}, 422, "VENUE_UNKNOWN"),
    ("wrong market", {**ORDER, "market": "futures"}, 422, "MARKET_INVALID"),
    ("market in capitals", {**ORDER, "market": "FUTURES"}, 422, "MARKET_INVALID"),
    ("flag as text", {**ORDER, "reduce_only": "false"}, 422, "FIELD_TYPE"),
    ("rounds to zero", {**ORDER, "quantity": "0.00000000001"}, 422, "QUANTITY_ROUNDS_TO_ZERO"),
]


@pytest.mark.parametrize(("name", "body", "status", "code"), BODIES, ids=[row[0] for row in BODIES])
def test_a_bad_order_is_answered_by_its_code(
    engine: EngineProcess, name: str, body: bytes | dict[str, Any], status: int, code: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": f"bad-order-{abs(hash(name))}"}
    answer = engine.call("POST", "/orders/market", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 2048
    assert answer.json()["request_id"]


LIMIT = {**ORDER, "price": "50000"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (ORDER, 422, "PRICE_REQUIRED"),
        ({**LIMIT, "price": "0"}, 422, "PRICE_NOT_POSITIVE"),
        ({**LIMIT, "price": "1"}, 403, "PRICE_BAND"),
        ({**LIMIT, "time_in_force": "GTX"}, 422, "TIF_INVALID"),
        ({**LIMIT, "quantity": None}, 422, "QUANTITY_OR_QUOTE_REQUIRED"),
    ],
)
def test_a_bad_limit_order_is_answered_by_its_code(
    engine: EngineProcess, body: dict[str, Any], status: int, code: str
) -> None:
    answer = engine.order(body, f"bad-limit-{code}", path="/orders/limit")
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 400, "IDEMPOTENCY_KEY_MISSING"),
        ({"Idempotency-Key": "short"}, 400, "IDEMPOTENCY_KEY_INVALID"),
        ({"Idempotency-Key": "a b c d e f g h"}, 400, "IDEMPOTENCY_KEY_INVALID"),
        ({"Idempotency-Key": "one-of-two-keys", "X-Idempotency-Key": "another-key-12"}, 400, "HEADER_CONFLICT"),
        ({"Content-Type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"Content-Type": "application/json; charset=utf-16"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"Content-Encoding": "gzip"}, 415, "UNSUPPORTED_CONTENT_ENCODING"),
        ({"Host": "evil.example"}, 400, "HOST_NOT_ALLOWED"),
        ({"Origin": "https://evil.example"}, 403, "ORIGIN_NOT_ALLOWED"),
        ({"Origin": "null"}, 403, "ORIGIN_NOT_ALLOWED"),
        ({"X-Filler": "x" * 9000}, 431, "HEADERS_TOO_LARGE"),
    ],
)
def test_odd_headers_are_refused(engine: EngineProcess, headers: dict[str, str], status: int, code: str) -> None:
    sent = {"Content-Type": "application/json", **headers}
    answer = engine.call("POST", "/orders/market", content=json.dumps(ORDER), headers=sent)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_a_body_that_is_too_large_is_refused(engine: EngineProcess) -> None:
    answer = engine.order({**ORDER, "tag": "x" * 20_000}, "too-large-body-1")
    assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/orders?limit=-1", 422, "LIMIT_RANGE"),
        ("/orders?limit=0", 422, "LIMIT_RANGE"),
        ("/orders?limit=100000000000000000000000000", 422, "LIMIT_RANGE"),
        ("/orders?limit=1&limit=2", 400, "QUERY_DUPLICATED"),
        ("/orders?nonsense=1", 422, "QUERY_UNKNOWN"),
        ("/orders?since_ms=nan", 422, "QUERY_INVALID"),
        ("/orders?since_ms=1&until_ms=9000000000000", 422, "RANGE_TOO_WIDE"),
        ("/equity?since_ms=1", 422, "RANGE_TOO_WIDE"),
        ("/equity?cursor=1-abc", 400, "CURSOR_INVALID"),
        ("/orders?symbol=%27%20OR%201=1", 422, "SYMBOL_FORMAT"),
        ("/orders?status=NOPE", 422, "QUERY_INVALID"),
        ("/fills?cursor=1-abc", 400, "CURSOR_INVALID"),
        ("/symbol_info?symbol=NOPE.BINANCE", 404, "SYMBOL_UNKNOWN"),
        ("/strategies/nope", 404, "STRATEGY_UNKNOWN"),
        ("/nowhere", 404, "NOT_FOUND"),
        ("/orders/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404, None),
    ],
)
def test_odd_questions_are_refused(engine: EngineProcess, path: str, status: int, code: str | None) -> None:
    answer = engine.call("GET", path)
    assert answer.status_code == status, answer.text
    if code is not None:
        assert answer.json()["code"] == code


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"no_such_limit": "1"}, 422, "FIELD_UNKNOWN"),
        ({"max_drawdown_pct": "-1"}, 422, "RAIL_RANGE"),
        ({"max_drawdown_pct": "nan"}, 422, "RAIL_RANGE"),
        ({}, 422, "FIELD_MISSING"),
    ],
)
def test_bad_limits_change_nothing(engine: EngineProcess, body: dict[str, str], status: int, code: str) -> None:
    before = engine.call("GET", "/risk/config").json()
    answer = engine.call("PUT", "/risk/config", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert engine.call("GET", "/risk/config").json() == before


def test_limits_are_not_changed_by_someone_who_read_older_ones(engine: EngineProcess) -> None:
    answer = engine.call("PUT", "/risk/config", json={"daily_loss": "500"}, headers={"If-Match": '"999"'})
    assert (answer.status_code, answer.json()["code"]) == (412, "VERSION_CONFLICT")


@pytest.mark.parametrize("model", [{}, {"version": "../x"}, "text", {"version": "rm-1", "symbols": {}}])
def test_a_bad_model_is_refused_and_the_old_one_stays(engine: EngineProcess, model: object) -> None:
    answer = engine.call("PUT", "/strategies/hmm_regime", json={"model": model})
    assert answer.status_code == 422, answer.text
    assert engine.call("GET", "/strategies/hmm_regime").json()["model_version"] == ""


@pytest.mark.parametrize("route", sorted(ROUTES), ids=" ".join)
def test_every_route_asks_for_its_scope(engine: EngineProcess, route: tuple[str, str]) -> None:
    method, template = route
    path = template.replace("{client_order_id}", "0" * 32).replace("{strategy}", "ma_cross")
    needed = ROUTES[route].scope
    if path == "/stream":
        return
    stranger = engine.call(method, path, token=None)
    wrong = engine.call(method, path, token=None, headers={"Authorization": "Bearer wrong"})
    if needed is None:
        assert stranger.status_code in (200, 503)
        return
    assert (stranger.status_code, stranger.json()["code"]) == (401, "TOKEN_MISSING")
    assert wrong.json()["code"] in ("TOKEN_INVALID", "TOO_MANY_FAILURES")
    ranks = ["read", "trade", "admin"]
    for name in ranks[: ranks.index(needed.value)]:
        refused = engine.call(method, path, token=name)
        assert (refused.status_code, refused.json()["code"]) == (403, "SCOPE_REQUIRED"), name


def test_any_token_may_halt_even_with_a_broken_body(engine: EngineProcess) -> None:
    headers = {"Content-Type": "application/json"}
    answer = engine.call("POST", "/control/halt", token="read", content=b"{broken", headers=headers)
    assert answer.status_code == 200
    assert engine.call("POST", "/control/resume", json={"reason": "the test is over"}).status_code == 200


def test_a_foreign_page_gets_no_permission(engine: EngineProcess) -> None:
    answer = engine.call("OPTIONS", "/orders/market", token=None, headers={"Origin": "https://evil.example"})
    assert answer.status_code in (403, 405)
    assert "access-control-allow-origin" not in answer.headers


def told(engine: EngineProcess, request: bytes) -> bytes:
    """Send bytes; return what comes until the connection ends or is silent."""
    heard = b""
    with socket.create_connection(("127.0.0.1", engine.port), timeout=1) as connection:
        connection.sendall(request)
        with contextlib.suppress(TimeoutError):
            while part := connection.recv(65_536):
                heard += part
    return heard


@pytest.mark.parametrize(
    ("target", "host", "right"),
    [
        (b"http://127.0.0.1/livez", b"127.0.0.1", b"200 OK"),
        (b"HTTP://LocalHost:1/livez?", b"127.0.0.1", b"200 OK"),
        (b"http://[::1]:8003/livez", b"evil.example", b"200 OK"),
        (b"http://127.0.0.1", b"127.0.0.1", b"NOT_FOUND"),
        (b"http://evil.example/livez", b"127.0.0.1", b"HOST_NOT_ALLOWED"),
        (b"http://me@127.0.0.1/livez", b"127.0.0.1", b"HOST_NOT_ALLOWED"),
        (b"https://127.0.0.1/livez", b"127.0.0.1", b"HOST_NOT_ALLOWED"),
        (b"/livez", b"LOCALHOST:8003", b"200 OK"),
        (b"/livez", b"127.0.0.1:evil", b"HOST_NOT_ALLOWED"),
    ],
)
def test_a_request_is_for_the_host_that_it_names(
    engine: EngineProcess, target: bytes, host: bytes, right: bytes
) -> None:
    answer = told(engine, b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, host))
    assert right in answer, answer


@pytest.mark.parametrize("token", ["", "admin"])
def test_a_body_that_is_compressed_on_its_way_is_refused_whoever_sends_it(engine: EngineProcess, token: str) -> None:
    bearer = b"Authorization: Bearer %b\r\n" % engine.token(token).encode() if token else b""
    head = b"POST /orders/market HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: gzip, chunked\r\n%b\r\n" % bearer
    answer = told(engine, head + b"2\r\n{}\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b'"code":"REQUEST_INVALID"' in answer


def test_whoever_may_read_may_ask_for_the_head_alone(engine: EngineProcess) -> None:
    for path in ("/livez", "/portfolio", "/metrics", f"/orders/{'0' * 32}", "/stream"):
        head, whole = engine.call("HEAD", path), None if path == "/stream" else engine.call("GET", path)
        assert head.content == b""
        assert head.status_code == (200 if whole is None else whole.status_code), path
        assert whole is None or head.headers["content-type"] == whole.headers["content-type"], path
    assert engine.call("HEAD", "/portfolio", token=None).status_code == 401
    refused = engine.call("HEAD", "/orders/market")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert engine.call("DELETE", "/portfolio").headers["allow"] == "GET, HEAD"


def test_a_refusal_that_is_told_again_says_so(engine: EngineProcess) -> None:
    first, again = (engine.order({**ORDER, "quantity": "100"}, "refused-once") for _ in range(2))
    assert first.status_code == again.status_code == 403
    assert first.json()["instance"] == first.headers["location"] == again.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"


def test_the_highest_sequence_number_that_is_offered_may_be_asked_for(engine: EngineProcess) -> None:
    page = httpx.get(f"{engine.url}/openapi.json", trust_env=False).json()
    (after,) = (item for item in page["paths"]["/events"]["get"]["parameters"] if item["name"] == "after")
    assert engine.call("GET", f"/events?after={after['schema']['maximum']}").json() == {"events": []}


def test_raw_bytes_never_bring_a_500(engine: EngineProcess) -> None:
    requests = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /orders/market HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /orders/market HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"\x00\x01\x02\x03\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /%00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /portfolio HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
    ]
    for request in requests:
        with socket.create_connection(("127.0.0.1", engine.port), timeout=5) as connection:
            connection.sendall(request)
            connection.settimeout(3)
            try:
                answer = connection.recv(4096)
            except TimeoutError:
                answer = b""
        assert b" 500 " not in answer[:20], request
    assert engine.call("GET", "/healthz", token=None).status_code == 200


def test_every_code_of_the_answers_is_documented(engine: EngineProcess) -> None:
    page = httpx.get(f"{engine.url}/openapi.json", trust_env=False).json()
    assert "/orders/market" in page["paths"]
    assert all(spec.status < 600 for spec in CODES.values())


def test_the_event_stream_resumes_without_a_gap(engine: EngineProcess) -> None:
    headers = {"Authorization": f"Bearer {engine.token('read')}", "Last-Event-ID": "0"}
    seen: list[int] = []
    with httpx.stream("GET", f"{engine.url}/stream", headers=headers, timeout=10, trust_env=False) as stream:
        for line in stream.iter_lines():
            if line.startswith("id: "):
                seen.append(int(line[4:]))
            if len(seen) >= 5:
                break
    assert seen == [1, 2, 3, 4, 5]
