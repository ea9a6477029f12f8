"""Requests that no honest caller sends, and what each is answered. They are sent in this order, to one engine."""

from __future__ import annotations

import json
from typing import Final

from tests.faults.bad_input_bytes import FRAMING, JSON
from tests.faults.bad_input_case import (
    LIMIT_PATH,
    MARKET_PATH,
    ORDER,
    Case,
    admin,
    bodied,
    get,
    order,
)

_PLACING: Final = (MARKET_PATH, LIMIT_PATH, "/orders/stop", "/orders/bracket")
_OWN_ID: Final = {"client_order_id": "bad-input-own-id-1"}
_ONE_KEY: Final = {"Idempotency-Key": "bad-input-one-key"}

ORDERS: Final = (
    *(bodied(f"nothing in it, {path}", {}, 422, "FIELD_MISSING", path) for path in _PLACING),
    bodied("neither quantity nor quote", {k: ORDER[k] for k in ("symbol", "side")}, 422, "QUANTITY_OR_QUOTE_REQUIRED"),
    *(
        order(f"made at {made}", {"timestamp": made}, 422, code)
        for made, code in ((1_600_000_000_000, "REQUEST_STALE"), (9_000_000_000_000, "REQUEST_FROM_FUTURE"))
    ),
    *(order(f"made at {made!r}", {"timestamp": made}, 422, "FIELD_TYPE") for made in ("1600000000000", -1, 1.5, True)),
    *(order(f"quantity {n}", {"quantity": n}, 422, "QUANTITY_NOT_POSITIVE") for n in ("0", "0.000", "-1", "-0")),
    order("quantity and quote", {"quote": "10"}, 422, "QUANTITY_AND_QUOTE"),
    order("a quantity of 10^15", {"quantity": "1" + "0" * 15}, 422, "ORDER_SHAPE_INVALID"),
    order("a hundred bitcoins", {"quantity": "100"}, 403, "NOTIONAL_TOO_LARGE"),
    order("below the smallest order", {"quantity": "0.00001"}, 422, "NOTIONAL_TOO_SMALL"),
    order("rounds to nothing", {"quantity": "0.00000000001"}, 422, "QUANTITY_ROUNDS_TO_ZERO"),
    *(
        order(f"quantity {n}, off the step", {"quantity": n}, 422, "QUANTITY_STEP")
        for n in ("0.0010000001", "0.001005")
    ),
    *(
        order(f"{name} off the tick, {path}", changes, 422, "PRICE_TICK", path)
        for name, path, changes in (
            ("a price", LIMIT_PATH, {"price": "60000.001"}),
            ("a stop price", "/orders/stop", {"stop_price": "70000.005"}),
            ("a limit behind a stop", "/orders/stop", {"stop_price": "70000", "price": "70000.005"}),
        )
    ),
    order("price 0", {"price": "0"}, 422, "PRICE_NOT_POSITIVE", LIMIT_PATH),
    order("price -1", {"price": "-1"}, 422, "PRICE_NOT_POSITIVE", LIMIT_PATH),
    order("a price far below", {"price": "1"}, 403, "PRICE_BAND", LIMIT_PATH),
    order("a price far above", {"price": "10000000"}, 403, "PRICE_BAND", LIMIT_PATH),
    order("a price on a market order", {"price": "1"}, 422, "PRICE_NOT_ALLOWED"),
    bodied("no price on a limit order", ORDER, 422, "PRICE_REQUIRED", LIMIT_PATH),
    *(order(f"side {s!r}", {"side": s}, 422, "SIDE_INVALID") for s in ("buy", "SELL ", "", "LONG")),
    order("an unknown symbol", {"symbol": "NOPEUSDT.BINANCE"}, 404, "SYMBOL_UNKNOWN"),
    *(
        order(f"symbol {s!r}", {"symbol": s}, 422, "SYMBOL_FORMAT")
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
    order("no venue but this engine's", {"symbol": "BTCUSDT"}, 201, ""),
    order("a venue of its own field", {"symbol": "btcusdt", "venue": "BINANCE"}, 201, ""),
    order("an unknown venue of its own field", {"symbol": "BTCUSDT", "venue": "NOWHERE"}, 422, "VENUE_UNKNOWN"),
    order("two venues", {"venue": "KRAKEN"}, 422, "VENUE_MISMATCH"),
    order("an unknown venue", {"symbol": "BTCUSDT.NOWHERE"}, 422, "VENUE_UNKNOWN"),
    *(
        order(f"time in force {t!r}", {"time_in_force": t}, 422, "TIF_INVALID", LIMIT_PATH)
        for t in ("GTX", "gtc", "GTD", "")
    ),
    order("good till a day that is gone", {"time_in_force": "GTC", "expire_at": 1}, 422, "FIELD_UNKNOWN", LIMIT_PATH),
    order("only reducing what is not there", {"reduce_only": True}, 403, "REDUCE_ONLY"),
    order("a flag as text", {"reduce_only": "false"}, 422, "FIELD_TYPE"),
    order("a flag as number", {"reduce_only": 0}, 422, "FIELD_TYPE"),
    order("another market", {"market": "futures"}, 422, "MARKET_INVALID"),
    order("the market in capitals", {"market": "FUTURES"}, 422, "MARKET_INVALID"),
    order("leverage", {"leverage": "10"}, 422, "FIELD_UNKNOWN"),
    order("an id of its own", _OWN_ID, 201, ""),
    order("the same id again", _OWN_ID, 409, "CLIENT_ORDER_ID_EXISTS"),
    Case(
        name="cancel of what has ended",
        statuses=(409,),
        code="ORDER_TERMINAL",
        method="DELETE",
        path=f"/orders/{_OWN_ID['client_order_id']}",
    ),
    *(
        Case(name=f"a key {again}", statuses=(status,), code=code, headers=_ONE_KEY, body=json.dumps(body).encode())
        for again, body, status, code in (
            ("for the first time", ORDER, 201, ""),
            ("again", ORDER, 201, ""),
            ("with another quantity", {**ORDER, "quantity": "0.002"}, 422, "IDEMPOTENCY_KEY_REUSED"),
            ("with the other side", {**ORDER, "side": "SELL"}, 422, "IDEMPOTENCY_KEY_REUSED"),
        )
    ),
    Case(
        name="the key of another caller",
        statuses=(422,),
        code="QUANTITY_STEP",
        headers=_ONE_KEY,
        token="trade",
        body=json.dumps({**ORDER, "quantity": "0.0010000001"}).encode(),
    ),
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
    *(get(f"/orders?limit={n}", 422, "LIMIT_RANGE") for n in ("-1", "0", "1000000000", "1" + "0" * 26)),
    *(get(f"/orders?since_ms={n}", 422, "QUERY_INVALID") for n in ("nan", "inf", "1e5", "")),
    get("/orders?limit=1&limit=2", 400, "QUERY_DUPLICATED"),
    get("/orders?nonsense=1", 422, "QUERY_UNKNOWN"),
    *(get(f"{path}?cursor=1-abc", 400, "CURSOR_INVALID") for path in ("/orders", "/fills", "/equity")),
    get("/orders?symbol=%27%20OR%201=1", 422, "SYMBOL_FORMAT"),
    get("/orders?status=NOPE", 422, "QUERY_INVALID"),
    get("/orders?since_ms=1&until_ms=9000000000000", 422, "RANGE_TOO_WIDE"),
    get("/fills?since_ms=0&until_ms=9000000000000", 422, "RANGE_TOO_WIDE"),
    *(get(f"{path}?since_ms=1", 422, "RANGE_TOO_WIDE") for path in ("/orders", "/fills", "/equity")),
    get("/orders?since_ms=9000000000000", 200),
    *(get(f"/{name}?x=1", 422, "QUERY_UNKNOWN") for name in ("prices", "portfolio", "healthz", "version")),
    *(get(f"/events?after={n}", 422, "QUERY_INVALID") for n in ("-1", "nan", "1" + "0" * 20)),
    *(get(f"/{name}?limit=0", 422, "LIMIT_RANGE") for name in ("events", "equity", "fills")),
    get("/orders/" + "f" * 32, 404, "ORDER_UNKNOWN"),
    Case(
        name="figures for a stranger",
        statuses=(401,),
        code="TOKEN_MISSING",
        method="GET",
        path="/metrics",
        without=frozenset({"Authorization"}),
    ),
    get("/orders?strategy=%27%20OR%201=1", 422, "QUERY_INVALID"),
    get("/fills?client_order_id=%27%20OR%201=1", 422, "QUERY_INVALID"),
    get("/symbol_info?symbol=NOPE.BINANCE", 404, "SYMBOL_UNKNOWN"),
    get("/strategies/nope", 404, "STRATEGY_UNKNOWN"),
    *(
        get(path, 404)
        for path in (
            "/../etc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "//",
            "/%00",
            "/%c0%ae%c0%ae/etc/passwd",
            "/orders;x",
            "/nowhere",
        )
    ),
)

ADMIN: Final = (
    admin("an unknown limit", "PUT", "/risk/config", {"no_such": "1", "reason": "x"}, 422, "FIELD_UNKNOWN"),
    admin("no limit at all", "PUT", "/risk/config", {}, 422, "FIELD_MISSING"),
    *(
        admin(f"a limit of {n}", "PUT", "/risk/config", {"max_drawdown_pct": n, "reason": "x"}, 422, "RAIL_RANGE")
        for n in ("-1", "nan", "1000")
    ),
    admin("resume without a reason", "POST", "/control/resume", {}, 422, "REASON_REQUIRED"),
    *(
        admin(f"the model {str(m)[:30]}", "PUT", "/strategies/hmm_regime", {"model": m}, 422, "")
        for m in ({}, "text", {"version": "../x"}, {"version": "x\u0000"})
    ),
    admin("a limit beyond its ceiling", "PUT", "/risk/config", {"leverage_limit": "100"}, 403, "RAIL_ABOVE_CEILING"),
    admin(
        *("limits that changed since", "PUT", "/risk/config", {"max_notional": "400", "reason": "x"}),
        *(412, "VERSION_CONFLICT"),
        If_Match='"999999"',
    ),
    *(
        admin(f"{token} at {path}", method, path, {}, 403, "SCOPE_REQUIRED", token)
        for token, method, path in (
            ("trade", "PUT", "/risk/config"),
            ("trade", "POST", "/control/resume"),
            ("trade", "PUT", "/strategies/hmm_regime"),
            ("read", "POST", "/orders/market"),
            ("read", "DELETE", "/orders"),
            ("read", "POST", "/control/flatten"),
        )
    ),
    admin("resume without a halt", "POST", "/control/resume", {"reason": "x"}, 409, "NOT_HALTED"),
    admin("a change of nobody's order", "PATCH", "/orders/" + "0" * 32, {"price": "1"}, 404, "ORDER_UNKNOWN"),
    admin("a change of nothing", "PATCH", "/orders/" + "0" * 32, {}, 422, "FIELD_MISSING"),
    admin("a strategy that is none", "PUT", "/strategies/nope", {"enabled": True}, 404, "STRATEGY_UNKNOWN"),
    admin("a strategy by path", "PUT", "/strategies/..%2f..%2fetc", {"enabled": True}, 404, "NOT_FOUND"),
    *(
        admin(f"the challenger {name[:20]}", "DELETE", f"/league/{name}", b"", 404, "")
        for name in ("..%2f..%2fetc%2fpasswd", "a" * 300, "%00")
    ),
    admin("a comparison of ten years", "POST", "/reconcile", {"since_ms": 1}, 422, "FIELD_UNKNOWN"),
    admin("a new log level", "PUT", "/log/level", {"level": "TRACE"}, 404, "NOT_FOUND"),
    admin("halt with a broken body", "POST", "/control/halt", b"{broken", 200, ""),
    *(
        Case(name=f"halt with {kind}", statuses=(200,), path="/control/halt", body=body, headers={"Content-Type": kind})
        for kind, body in (("text/plain", b"stop"), ("application/json", b"x" * 20_000), ("image/png", b"\xff"))
    ),
    admin("halt by whoever may only look", "POST", "/control/halt", b"", 200, "", "read"),
    admin("an order while halted", "POST", "/orders/market", ORDER, 423, "TRADING_HALTED"),
    admin("resume with a reason that is none", "POST", "/control/resume", {"reason": "  "}, 422, "REASON_REQUIRED"),
    admin("resume", "POST", "/control/resume", {"reason": "the case is over"}, 200, ""),
)

CASES: Final = (*FRAMING, *JSON, *ORDERS, *READS, *ADMIN)
