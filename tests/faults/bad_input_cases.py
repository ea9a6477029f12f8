"""Requests that no honest caller sends, and what each is answered.

A case without a code may be answered by the HTTP parser itself, in plain text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

ORDER: Final = {"symbol": "BTCUSDT.BINANCE", "side": "BUY", "quantity": "0.001"}
LIMIT: Final = {**ORDER, "price": "60000"}
MARKET_PATH, LIMIT_PATH = "/orders/market", "/orders/limit"
_PLACING: Final = (MARKET_PATH, LIMIT_PATH, "/orders/stop", "/orders/bracket")
#: An answer is never longer than this, whatever was sent.
LONGEST_ANSWER = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request. ``statuses`` are the right answers; ``b""`` as status means closed without one."""

    name: str
    statuses: tuple[int, ...]
    code: str = ""
    method: str = "POST"
    path: str = MARKET_PATH
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    raw: bytes = b""


def _body(name: str, body: bytes | Mapping[str, Any], status: int, code: str, path: str = MARKET_PATH) -> Case:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Case(name=name, statuses=(status,), code=code, body=content, path=path)


def _order(name: str, changes: Mapping[str, Any], status: int, code: str, path: str = MARKET_PATH) -> Case:
    base = LIMIT if path == LIMIT_PATH else ORDER
    return _body(name, {**base, **changes}, status, code, path)


def _headers(name: str, headers: Mapping[str, str], status: int, code: str, *without: str) -> Case:
    body = json.dumps(ORDER).encode()
    return Case(name=name, statuses=(status,), code=code, headers=headers, body=body, without=frozenset(without))


def _get(path: str, status: int, code: str = "") -> Case:
    return Case(name=f"GET {path[:60]}", statuses=(status,), code=code, method="GET", path=path)


def _raw(name: str, raw: bytes, *statuses: int) -> Case:
    return Case(name=name, statuses=statuses, raw=raw)


_NUMBER: Final = b'{"symbol":"BTCUSDT.BINANCE","side":"BUY","quantity":%b}'
_HOST: Final = b"Host: 127.0.0.1\r\n"
_H2C: Final = b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n\r\n"

FRAMING: Final = (
    _body("a body of 17 KiB", {**ORDER, "tag": "x" * 17_000}, 413, "BODY_TOO_LARGE"),
    _headers("a declared body of a gigabyte", {"Content-Length": "1000000000"}, 413, "BODY_TOO_LARGE"),
    _headers("headers of 9 KB", {"X-Filler": "x" * 9_000}, 431, "HEADERS_TOO_LARGE"),
    Case(
        name="a hundred headers",
        statuses=(431,),
        code="HEADERS_TOO_LARGE",
        headers={f"X-{number}": "1" for number in range(100)},
        body=b"{}",
    ),
    _raw("a request line of 64 KB", b"GET /" + b"a" * 65_536 + b" HTTP/1.1\r\n" + _HOST + b"\r\n", 414),
    _get("/" + "a" * 9_000, 414, "URI_TOO_LONG"),
    _raw(
        "two content lengths",
        b"POST /orders/market HTTP/1.1\r\n" + _HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        400,
    ),
    _raw(
        "length and chunks",
        b"POST /orders/market HTTP/1.1\r\n"
        + _HOST
        + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    _raw("a negative length", b"POST /orders/market HTTP/1.1\r\n" + _HOST + b"Content-Length: -1\r\n\r\n", 400),
    _raw("no host", b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    _raw("bytes that are no HTTP", b"\x00\x01\x02\x03\r\n\r\n", 400),
    _raw("a method that is none", b"FOO / HTTP/1.1\r\n" + _HOST + b"\r\n", 400, 404, 405),
    _raw("TRACE", b"TRACE /orders HTTP/1.1\r\n" + _HOST + b"\r\n", 405),
    _raw("a line that ends without a return", b"GET /healthz HTTP/1.1\n" + _HOST + b"\r\n", 400),
    _raw("a folded header", b"GET /healthz HTTP/1.1\r\n" + _HOST + b"X: 1\r\n 2\r\n\r\n", 400),
    _raw("an upgrade to HTTP/2", b"GET /healthz HTTP/1.1\r\n" + _HOST + _H2C, 200),
    _headers("an expectation nobody has", {"Expect": "a miracle"}, 417, "EXPECTATION_FAILED"),
    _headers("too much, asked first", {"Expect": "100-continue", "Content-Length": "100000"}, 413, "BODY_TOO_LARGE"),
    _raw("NUL in a header", b"GET /portfolio HTTP/1.1\r\n" + _HOST + b"X-A: a\x00b\r\n\r\n", 400),
    _raw(
        "bytes above ASCII in a token",
        b"GET /portfolio HTTP/1.1\r\n" + _HOST + b"Authorization: Bearer \xff\r\n\r\n",
        400,
    ),
    _headers("another host", {"Host": "evil.example"}, 400, "HOST_NOT_ALLOWED"),
    _headers("a user in the host", {"Host": "user@evil.example"}, 400, "HOST_NOT_ALLOWED"),
    _headers("plain text", {"Content-Type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
    _headers("a form", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
    _headers("no type", {}, 415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type"),
    _headers("UTF-16", {"Content-Type": "application/json; charset=utf-16"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
    _headers("a compressed body", {"Content-Encoding": "gzip"}, 415, "UNSUPPORTED_CONTENT_ENCODING"),
    Case(name="PUT on an order route", statuses=(405,), code="METHOD_NOT_ALLOWED", method="PUT", body=b"{}"),
    _headers("another method by header", {"X-HTTP-Method-Override": "DELETE"}, 201, ""),
    _headers("two tokens", {"authorization": "Bearer other"}, 400, "HEADER_DUPLICATED"),
    _headers("two types", {"content-type": "text/plain"}, 400, "HEADER_DUPLICATED"),
    _headers("a foreign page", {"Origin": "https://evil.example"}, 403, "ORIGIN_NOT_ALLOWED"),
    _headers("a page without origin", {"Origin": "null"}, 403, "ORIGIN_NOT_ALLOWED"),
    _headers("a fetch across sites", {"Sec-Fetch-Site": "cross-site"}, 403, "ORIGIN_NOT_ALLOWED"),
    _headers("no token", {}, 401, "TOKEN_MISSING", "Authorization"),
    _headers("an unknown token", {"Authorization": "Bearer wrong"}, 401, "TOKEN_INVALID"),
    _headers("no key", {}, 400, "IDEMPOTENCY_KEY_MISSING", "Idempotency-Key"),
    _headers("a short key", {"Idempotency-Key": "short"}, 400, "IDEMPOTENCY_KEY_INVALID"),
    _headers("a key of 5 KB", {"Idempotency-Key": "k" * 5_000}, 400, "IDEMPOTENCY_KEY_INVALID"),
    _headers("spaces in a key", {"Idempotency-Key": "a b c d e f"}, 400, "IDEMPOTENCY_KEY_INVALID"),
    _headers("two keys that differ", {"X-Idempotency-Key": "another-key-12"}, 400, "HEADER_CONFLICT"),
    Case(
        name="a preflight of a foreign page",
        statuses=(403,),
        code="ORIGIN_NOT_ALLOWED",
        method="OPTIONS",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    ),
)

JSON: Final = (
    *(
        _body(f"the number {n.decode()}", _NUMBER % n, 422, "NUMBER_NOT_FINITE")
        for n in (b"NaN", b"Infinity", b"-Infinity")
    ),
    *(_body(f"the number {n.decode()}", _NUMBER % n, 422, "NUMBER_OUT_OF_RANGE") for n in (b"1e400", b"1e-400")),
    _body("the number 1e999999", _NUMBER % b"1e999999", 422, "NUMBER_OUT_OF_RANGE"),
    _body("5,000 digits", _NUMBER % (b"9" * 5_000), 422, "NUMBER_TOO_LONG"),
    _order("5,000 digits as text", {"quantity": "9" * 5_000}, 422, "NUMBER_TOO_LONG"),
    *(_order(f"the text {n}", {"quantity": n}, 422, "NUMBER_NOT_FINITE") for n in ("nan", "inf", "-Infinity")),
    *(
        _order(f"the text {n!r}", {"quantity": n}, 422, "NUMBER_FORMAT")
        for n in ("1_000", " 1 ", "+1", "0x10", "1,000", "1E+1000000", "1.", ".5", "")
    ),
    _order("full-width digits", {"quantity": "\uff11\uff12"}, 422, "NUMBER_FORMAT"),
    _order("true for a number", {"quantity": True}, 422, "FIELD_TYPE"),
    _order("a list for a number", {"quantity": []}, 422, "FIELD_TYPE"),
    _body("a key twice", b'{"quantity":"1","quantity":"1000000"}', 400, "JSON_DUPLICATE_KEY"),
    _order("an unknown field", {"admin": True}, 422, "FIELD_UNKNOWN"),
    _body("an unknown field and nothing else", {"admin": True}, 422, "FIELD_UNKNOWN"),
    _order("a field of Python's", {"__class__": "x"}, 422, "FIELD_UNKNOWN"),
    _order("a field name of 10 KB", {"x" * 10_000: 1}, 422, "FIELD_UNKNOWN"),
    _body("depth 500", b"[" * 500 + b"]" * 500, 400, "JSON_TOO_DEEP"),
    _body("depth 7,000", b"[" * 7_000 + b"]" * 7_000, 400, "JSON_TOO_DEEP"),
    _body("a byte order mark", b"\xef\xbb\xbf{}", 400, "JSON_BOM"),
    _body("UTF-16 bytes", json.dumps(ORDER).encode("utf-16"), 400, "JSON_BOM"),
    *(
        _body(f"{encoding} without a mark", json.dumps(ORDER).encode(encoding), 400, "BODY_NOT_UTF8")
        for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
    ),
    _body("invalid UTF-8", b'{"symbol":"\xff"}', 400, "BODY_NOT_UTF8"),
    _body("a lone surrogate", b'{"symbol":"\\ud800"}', 422, "STRING_INVALID"),
    *(
        _order(f"U+{ord(character):04X} in a text", {"tag": f"a{character}b"}, 422, "STRING_INVALID")
        for character in ("\u0000", "\u0007", "\u202e", "\u200b", "\u2066")
    ),
    *(
        _body(f"the body {body.decode()}", body, 422, "BODY_NOT_OBJECT")
        for body in (b"[]", b'"text"', b"1", b"null", b"true")
    ),
    *(
        _body(f"the body {body.decode()!r}", body, 400, "JSON_INVALID")
        for body in (b"", b'{"a":1,}', b"{}{}", b'{"a":1}//x', b"{'a':1}", b"{", b"\x00")
    ),
    _order("a list of a hundred thousand", {"tags": [1] * 4_000}, 422, "LIST_TOO_LONG"),
)

ORDERS: Final = (
    *(_body(f"nothing in it, {path}", {}, 422, "FIELD_MISSING", path) for path in _PLACING),
    _body("neither quantity nor quote", {k: ORDER[k] for k in ("symbol", "side")}, 422, "QUANTITY_OR_QUOTE_REQUIRED"),
    *(
        _order(f"made at {made}", {"timestamp": made}, 422, code)
        for made, code in ((1_600_000_000_000, "REQUEST_STALE"), (9_000_000_000_000, "REQUEST_FROM_FUTURE"))
    ),
    *(_order(f"made at {made!r}", {"timestamp": made}, 422, "FIELD_TYPE") for made in ("1600000000000", -1, 1.5, True)),
    *(_order(f"quantity {n}", {"quantity": n}, 422, "QUANTITY_NOT_POSITIVE") for n in ("0", "0.000", "-1", "-0")),
    _order("quantity and quote", {"quote": "10"}, 422, "QUANTITY_AND_QUOTE"),
    _order("a quantity of 10^15", {"quantity": "1" + "0" * 15}, 422, "ORDER_SHAPE_INVALID"),
    _order("a hundred bitcoins", {"quantity": "100"}, 403, "NOTIONAL_TOO_LARGE"),
    _order("below the smallest order", {"quantity": "0.00001"}, 422, "NOTIONAL_TOO_SMALL"),
    _order("rounds to nothing", {"quantity": "0.00000000001"}, 422, "QUANTITY_ROUNDS_TO_ZERO"),
    *(
        _order(f"quantity {n}, off the step", {"quantity": n}, 422, "QUANTITY_STEP")
        for n in ("0.0010000001", "0.001005")
    ),
    *(
        _order(f"{name} off the tick, {path}", changes, 422, "PRICE_TICK", path)
        for name, path, changes in (
            ("a price", LIMIT_PATH, {"price": "60000.001"}),
            ("a stop price", "/orders/stop", {"stop_price": "70000.005"}),
            ("a limit behind a stop", "/orders/stop", {"stop_price": "70000", "price": "70000.005"}),
        )
    ),
    _order("price 0", {"price": "0"}, 422, "PRICE_NOT_POSITIVE", LIMIT_PATH),
    _order("price -1", {"price": "-1"}, 422, "PRICE_NOT_POSITIVE", LIMIT_PATH),
    _order("a price far below", {"price": "1"}, 403, "PRICE_BAND", LIMIT_PATH),
    _order("a price far above", {"price": "10000000"}, 403, "PRICE_BAND", LIMIT_PATH),
    _order("a price on a market order", {"price": "1"}, 422, "PRICE_NOT_ALLOWED"),
    _body("no price on a limit order", ORDER, 422, "PRICE_REQUIRED", LIMIT_PATH),
    *(_order(f"side {s!r}", {"side": s}, 422, "SIDE_INVALID") for s in ("buy", "SELL ", "", "LONG")),
    _order("an unknown symbol", {"symbol": "NOPEUSDT.BINANCE"}, 404, "SYMBOL_UNKNOWN"),
    *(
        _order(f"symbol {s!r}", {"symbol": s}, 422, "SYMBOL_FORMAT")
        for s in (
            "\u0412\u0422\u0421USDT.BINANCE",
            "\uff22TCUSDT.BINANCE",
            "../BTCUSDT.BINANCE",
            "BTC&side=SELL.BINANCE",
            "BTC%26side.BINANCE",
            "BTCUSDT.BINANCE?x",
            "\u0412\u0422\u0421USDT",
        )
    ),
    _order("no venue but this engine's", {"symbol": "BTCUSDT"}, 201, ""),
    _order("a venue of its own field", {"symbol": "btcusdt", "venue": "BINANCE"}, 201, ""),
    _order("an unknown venue of its own field", {"symbol": "BTCUSDT", "venue": "NOWHERE"}, 422, "VENUE_UNKNOWN"),
    _order("two venues", {"venue": "KRAKEN"}, 422, "VENUE_MISMATCH"),
    _order("an unknown venue", {"symbol": "BTCUSDT.NOWHERE"}, 422, "VENUE_UNKNOWN"),
    *(_order(f"time in force {t!r}", {"time_in_force": t}, 422, "TIF_INVALID", LIMIT_PATH) for t in ("GTX", "gtc", "")),
    _order("a flag as text", {"reduce_only": "false"}, 422, "FIELD_TYPE"),
    _order("a flag as number", {"reduce_only": 0}, 422, "FIELD_TYPE"),
    _order("another market", {"market": "futures"}, 422, "MARKET_INVALID"),
    _order("the market in capitals", {"market": "FUTURES"}, 422, "MARKET_INVALID"),
    _order("leverage", {"leverage": "10"}, 422, "FIELD_UNKNOWN"),
    Case(
        name="cancel of nobody's order",
        statuses=(404,),
        code="ORDER_UNKNOWN",
        method="DELETE",
        path="/orders/" + "0" * 32,
    ),
    *(
        Case(name=f"cancel of {i[:20]}", statuses=(404,), method="DELETE", path=f"/orders/{i}")
        for i in ("x", "..%2f..%2fetc%2fpasswd", "a" * 500, "%00", "'%20OR%201=1")
    ),
)

READS: Final = (
    *(_get(f"/orders?limit={n}", 422, "LIMIT_RANGE") for n in ("-1", "0", "1000000000", "1" + "0" * 26)),
    *(_get(f"/orders?since_ms={n}", 422, "QUERY_INVALID") for n in ("nan", "inf", "1e5", "")),
    _get("/orders?limit=1&limit=2", 400, "QUERY_DUPLICATED"),
    _get("/orders?nonsense=1", 422, "QUERY_UNKNOWN"),
    *(_get(f"{path}?cursor=1-abc", 400, "CURSOR_INVALID") for path in ("/orders", "/fills")),
    _get("/orders?symbol=%27%20OR%201=1", 422, "SYMBOL_FORMAT"),
    _get("/orders?status=NOPE", 422, "QUERY_INVALID"),
    _get("/orders?since_ms=1&until_ms=9000000000000", 422, "RANGE_TOO_WIDE"),
    _get("/fills?since_ms=0&until_ms=9000000000000", 422, "RANGE_TOO_WIDE"),
    _get("/orders?strategy=%27%20OR%201=1", 422, "QUERY_INVALID"),
    _get("/fills?client_order_id=%27%20OR%201=1", 422, "QUERY_INVALID"),
    _get("/symbol_info?symbol=NOPE.BINANCE", 404, "SYMBOL_UNKNOWN"),
    _get("/strategies/nope", 404, "STRATEGY_UNKNOWN"),
    *(
        _get(path, 404)
        for path in ("/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//", "/%00", "/orders;x", "/nowhere")
    ),
)


def _admin(name: str, method: str, path: str, body: object, status: int, code: str) -> Case:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Case(name=name, statuses=(status,), code=code, method=method, path=path, body=content)


ADMIN: Final = (
    _admin("an unknown limit", "PUT", "/risk/config", {"no_such": "1", "reason": "x"}, 422, "FIELD_UNKNOWN"),
    _admin("no limit at all", "PUT", "/risk/config", {}, 422, "FIELD_MISSING"),
    *(
        _admin(f"a limit of {n}", "PUT", "/risk/config", {"max_drawdown_pct": n, "reason": "x"}, 422, "RAIL_RANGE")
        for n in ("-1", "nan", "1000")
    ),
    _admin("resume without a reason", "POST", "/control/resume", {}, 422, "REASON_REQUIRED"),
    *(
        _admin(f"the model {str(m)[:30]}", "PUT", "/strategies/hmm_regime", {"model": m}, 422, "")
        for m in ({}, "text", {"version": "../x"}, {"version": "x\u0000"})
    ),
    _admin("a limit beyond its ceiling", "PUT", "/risk/config", {"leverage_limit": "100"}, 403, "RAIL_ABOVE_CEILING"),
    _admin("a comparison of ten years", "POST", "/reconcile", {"since_ms": 1}, 422, "FIELD_UNKNOWN"),
    _admin("a new log level", "PUT", "/log/level", {"level": "TRACE"}, 404, "NOT_FOUND"),
    _admin("halt with a broken body", "POST", "/control/halt", b"{broken", 200, ""),
    *(
        Case(name=f"halt with {kind}", statuses=(200,), path="/control/halt", body=body, headers={"Content-Type": kind})
        for kind, body in (("text/plain", b"stop"), ("application/json", b"x" * 20_000), ("image/png", b"\xff"))
    ),
    _admin("resume", "POST", "/control/resume", {"reason": "the case is over"}, 200, ""),
)

CASES: Final = (*FRAMING, *JSON, *ORDERS, *READS, *ADMIN)
