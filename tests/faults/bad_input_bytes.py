"""What is wrong below the meaning: framing, headers, JSON, numbers as they are written."""

from __future__ import annotations

import json
from typing import Final

from tests.faults.bad_input_case import ORDER, Case, bodied, get, headed, order, wire

_NUMBER: Final = b'{"symbol":"BTCUSDT.BINANCE","side":"BUY","quantity":%b}'
_HOST: Final = b"Host: 127.0.0.1\r\n"
_H2C: Final = b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n\r\n"

FRAMING: Final = (
    bodied("a body of 17 KiB", {**ORDER, "tag": "x" * 17_000}, 413, "BODY_TOO_LARGE"),
    headed("a declared body of a gigabyte", {"Content-Length": "1000000000"}, 413, "BODY_TOO_LARGE"),
    headed("headers of 9 KB", {"X-Filler": "x" * 9_000}, 431, "HEADERS_TOO_LARGE"),
    Case(
        name="a hundred headers",
        statuses=(431,),
        code="HEADERS_TOO_LARGE",
        headers={f"X-{number}": "1" for number in range(100)},
        body=b"{}",
    ),
    wire("a request line of 64 KB", b"GET /" + b"a" * 65_536 + b" HTTP/1.1\r\n" + _HOST + b"\r\n", 414),
    get("/" + "a" * 9_000, 414, "URI_TOO_LONG"),
    wire(
        "two content lengths",
        b"POST /orders/market HTTP/1.1\r\n" + _HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        400,
    ),
    wire(
        "length and chunks",
        b"POST /orders/market HTTP/1.1\r\n"
        + _HOST
        + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    wire("a negative length", b"POST /orders/market HTTP/1.1\r\n" + _HOST + b"Content-Length: -1\r\n\r\n", 400),
    wire("no host", b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    wire("bytes that are no HTTP", b"\x00\x01\x02\x03\r\n\r\n", 400),
    wire("a method that is none", b"FOO / HTTP/1.1\r\n" + _HOST + b"\r\n", 400, 404, 405),
    wire("TRACE", b"TRACE /orders HTTP/1.1\r\n" + _HOST + b"\r\n", 405),
    wire("a line that ends without a return", b"GET /healthz HTTP/1.1\n" + _HOST + b"\r\n", 400),
    wire("a folded header", b"GET /healthz HTTP/1.1\r\n" + _HOST + b"X: 1\r\n 2\r\n\r\n", 400),
    wire("an upgrade to HTTP/2", b"GET /healthz HTTP/1.1\r\n" + _HOST + _H2C, 200),
    headed("an expectation nobody has", {"Expect": "a miracle"}, 417, "EXPECTATION_FAILED"),
    headed("too much, asked first", {"Expect": "100-continue", "Content-Length": "100000"}, 413, "BODY_TOO_LARGE"),
    wire("NUL in a header", b"GET /portfolio HTTP/1.1\r\n" + _HOST + b"X-A: a\x00b\r\n\r\n", 400),
    wire(
        "bytes above ASCII in a token",
        b"GET /portfolio HTTP/1.1\r\n" + _HOST + b"Authorization: Bearer \xff\r\n\r\n",
        400,
    ),
    headed("another host", {"Host": "evil.example"}, 400, "HOST_NOT_ALLOWED"),
    headed("a user in the host", {"Host": "user@evil.example"}, 400, "HOST_NOT_ALLOWED"),
    headed("plain text", {"Content-Type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
    headed("a form", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
    headed("no type", {}, 415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type"),
    headed("UTF-16", {"Content-Type": "application/json; charset=utf-16"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
    headed("a compressed body", {"Content-Encoding": "gzip"}, 415, "UNSUPPORTED_CONTENT_ENCODING"),
    Case(name="PUT on an order route", statuses=(405,), code="METHOD_NOT_ALLOWED", method="PUT", body=b"{}"),
    headed("another method by header", {"X-HTTP-Method-Override": "DELETE"}, 201, ""),
    headed("two tokens", {"authorization": "Bearer other"}, 400, "HEADER_DUPLICATED"),
    headed("two types", {"content-type": "text/plain"}, 400, "HEADER_DUPLICATED"),
    headed("a foreign page", {"Origin": "https://evil.example"}, 403, "ORIGIN_NOT_ALLOWED"),
    headed("a page without origin", {"Origin": "null"}, 403, "ORIGIN_NOT_ALLOWED"),
    headed("a fetch across sites", {"Sec-Fetch-Site": "cross-site"}, 403, "ORIGIN_NOT_ALLOWED"),
    headed("no token", {}, 401, "TOKEN_MISSING", "Authorization"),
    headed("an unknown token", {"Authorization": "Bearer wrong"}, 401, "TOKEN_INVALID"),
    headed("no key", {}, 400, "IDEMPOTENCY_KEY_MISSING", "Idempotency-Key"),
    headed("a short key", {"Idempotency-Key": "short"}, 400, "IDEMPOTENCY_KEY_INVALID"),
    headed("a key of 5 KB", {"Idempotency-Key": "k" * 5_000}, 400, "IDEMPOTENCY_KEY_INVALID"),
    headed("spaces in a key", {"Idempotency-Key": "a b c d e f"}, 400, "IDEMPOTENCY_KEY_INVALID"),
    headed("two keys that differ", {"X-Idempotency-Key": "another-key-12"}, 400, "HEADER_CONFLICT"),
    headed("the same header twice", {"idempotency-key": "another-key-12"}, 400, "HEADER_DUPLICATED"),
    headed("somebody else's address", {"X-Forwarded-For": "192.0.2.1", "X-Real-IP": "192.0.2.1"}, 201, ""),
    wire("bytes above ASCII in a header", b"GET /healthz HTTP/1.1\r\n" + _HOST + b"X-A: caf\xc3\xa9\r\n\r\n", 400),
    wire("a return without a line feed", b"GET /healthz HTTP/1.1\r\n" + _HOST + b"X-A: a\rb\r\n\r\n", 400),
    wire("a length with a sign", b"POST /orders/market HTTP/1.1\r\n" + _HOST + b"Content-Length: +5\r\n\r\nhello", 400),
    wire("a space before the colon", b"GET /healthz HTTP/1.1\r\n" + _HOST + b"X-A : 1\r\n\r\n", 400),
    wire("two hosts", b"GET /healthz HTTP/1.1\r\n" + _HOST + _HOST + b"\r\n", 400),
    wire("HTTP/1.0", b"GET /healthz HTTP/1.0\r\n" + _HOST + b"\r\n", 200),
    wire("HTTP/2 from the start", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    wire("a whole address", b"GET http://127.0.0.1/healthz HTTP/1.1\r\n" + _HOST + b"Connection: close\r\n\r\n", 200),
    wire("another host's whole address", b"GET http://evil.example/healthz HTTP/1.1\r\n" + _HOST + b"\r\n", 400),
    wire(
        "a body compressed on its way",
        b"POST /orders/market HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    Case(
        name="a body of 17 KiB in chunks",
        statuses=(413,),
        code="BODY_TOO_LARGE",
        headers={"Transfer-Encoding": "chunked"},
        without=frozenset({"Content-Length"}),
        body=b"4400\r\n" + b"x" * 0x4400 + b"\r\n0\r\n\r\n",
    ),
    *(
        Case(name=f"asked for {kind}", statuses=(200, 406), method="GET", path="/portfolio", headers={"Accept": kind})
        for kind in ("text/html", "application/xml")
    ),
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
        bodied(f"the number {n.decode()}", _NUMBER % n, 422, "NUMBER_NOT_FINITE")
        for n in (b"NaN", b"Infinity", b"-Infinity")
    ),
    *(bodied(f"the number {n.decode()}", _NUMBER % n, 422, "NUMBER_OUT_OF_RANGE") for n in (b"1e400", b"1e-400")),
    bodied("the number 1e999999", _NUMBER % b"1e999999", 422, "NUMBER_OUT_OF_RANGE"),
    bodied("5,000 digits", _NUMBER % (b"9" * 5_000), 422, "NUMBER_TOO_LONG"),
    order("5,000 digits as text", {"quantity": "9" * 5_000}, 422, "NUMBER_TOO_LONG"),
    *(order(f"the text {n}", {"quantity": n}, 422, "NUMBER_NOT_FINITE") for n in ("nan", "inf", "-Infinity")),
    *(
        order(f"the text {n!r}", {"quantity": n}, 422, "NUMBER_FORMAT")
        for n in ("1_000", " 1 ", "+1", "0x10", "1,000", "1E+1000000", "1.", ".5", "")
    ),
    order("full-width digits", {"quantity": "\uff11\uff12"}, 422, "NUMBER_FORMAT"),
    order("a digit too many for money", {"quantity": "1" + "0" * 18}, 422, "NUMBER_OUT_OF_RANGE"),
    *(
        bodied(f"the number {n.decode()[:12]}", _NUMBER % n, 422, code)
        for n, code in (
            (b"-0", "QUANTITY_NOT_POSITIVE"),
            (b"-0.0", "QUANTITY_NOT_POSITIVE"),
            (b"1e18", "NUMBER_FORMAT"),
            (b"1" + b"0" * 41, "NUMBER_TOO_LONG"),
            (b"0.1" + b"0" * 41, "NUMBER_TOO_LONG"),
        )
    ),
    bodied("a number that starts with its point", _NUMBER % b".5", 400, "JSON_INVALID"),
    order("true for a number", {"quantity": True}, 422, "FIELD_TYPE"),
    order("a list for a number", {"quantity": []}, 422, "FIELD_TYPE"),
    bodied("a key twice", b'{"quantity":"1","quantity":"1000000"}', 400, "JSON_DUPLICATE_KEY"),
    order("an unknown field", {"admin": True}, 422, "FIELD_UNKNOWN"),
    bodied("an unknown field and nothing else", {"admin": True}, 422, "FIELD_UNKNOWN"),
    order("a field of JavaScript's", {"__proto__": {}}, 422, "FIELD_UNKNOWN"),
    order("a field of Python's", {"__class__": "x"}, 422, "FIELD_UNKNOWN"),
    order("a field name of 10 KB", {"x" * 10_000: 1}, 422, "FIELD_UNKNOWN"),
    bodied("depth 500", b"[" * 500 + b"]" * 500, 400, "JSON_TOO_DEEP"),
    bodied("depth 7,000", b"[" * 7_000 + b"]" * 7_000, 400, "JSON_TOO_DEEP"),
    bodied("depth 100,000", b"[" * 100_000, 413, "BODY_TOO_LARGE"),
    bodied("a byte order mark", b"\xef\xbb\xbf{}", 400, "JSON_BOM"),
    bodied("UTF-16 bytes", json.dumps(ORDER).encode("utf-16"), 400, "JSON_BOM"),
    *(
        bodied(f"{encoding} without a mark", json.dumps(ORDER).encode(encoding), 400, "BODY_NOT_UTF8")
        for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
    ),
    bodied("invalid UTF-8", b'{"symbol":"\xff"}', 400, "BODY_NOT_UTF8"),
    bodied("a lone surrogate", b'{"symbol":"\\ud800"}', 422, "STRING_INVALID"),
    *(
        order(f"U+{ord(character):04X} in a text", {"tag": f"a{character}b"}, 422, "STRING_INVALID")
        for character in ("\u0000", "\u0007", "\u202e", "\u200b", "\u2066")
    ),
    order("a flood of combining marks", {"tag": "a" + "\u0301" * 50}, 422, "STRING_INVALID"),
    *(
        bodied(f"the body {body.decode()}", body, 422, "BODY_NOT_OBJECT")
        for body in (b"[]", b'"text"', b"1", b"null", b"true")
    ),
    *(
        bodied(f"the body {body.decode()!r}", body, 400, "JSON_INVALID")
        for body in (b"", b'{"a":1,}', b"{}{}", b'{"a":1}//x', b"{'a':1}", b"{", b"\x00")
    ),
    order("a list of a hundred thousand", {"tags": [1] * 4_000}, 422, "LIST_TOO_LONG"),
    order("a list of 21", {"tags": [1] * 21}, 422, "LIST_TOO_LONG"),
)
