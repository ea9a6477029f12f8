"""The kinds of trouble an exchange can make, as its simulation is asked for them.

A trouble is a list of fault fields (see ``engine_service.exchange_sim.faults``) without the place they strike at;
``aimed`` adds that. Only honest exchanges: one that says "refused" after it placed an order is not among them.
"""

from __future__ import annotations

from typing import Any, Final

from engine_service.domain.ids import Market

Fault = dict[str, Any]

PLACE: Final[tuple[Fault, ...]] = (
    {"path": "order.place", "method": "WS"},
    {"path": "/api/v3/order", "method": "POST"},
)
CANCEL: Final[tuple[Fault, ...]] = (
    {"path": "order.cancel", "method": "WS"},
    {"path": "/api/v3/order", "method": "DELETE"},
)
QUERY: Final[tuple[Fault, ...]] = (
    {"path": "/api/v3/order", "method": "GET"},
    {"path": "/api/v3/openOrders", "method": "GET"},
    {"path": "/api/v3/myTrades", "method": "GET"},
)
#: The subscription of the private stream, and the reads after it.
STREAM: Final[tuple[Fault, ...]] = (
    {"path": "userDataStream.subscribe*", "method": "WS"},
    {"path": "/api/v3/account", "method": "GET"},
    {"path": "/api/v3/openOrders", "method": "GET"},
)
REPORTS: Final[tuple[Fault, ...]] = ({"event": "executionReport"},)
PLACES: Final = {"place": PLACE, "cancel": CANCEL, "query": QUERY, "stream": STREAM, "reports": REPORTS}
#: USD-M orders go by REST alone.
FUTURES_PLACES: Final[dict[str, tuple[Fault, ...]]] = {
    "place": ({"path": "/fapi/v1/order", "method": "POST"},),
    "cancel": ({"path": "/fapi/v1/order", "method": "DELETE"},),
    "query": (
        {"path": "/fapi/v1/order", "method": "GET"},
        {"path": "/fapi/v1/openOrders", "method": "GET"},
        {"path": "/fapi/v1/userTrades", "method": "GET"},
    ),
    "stream": (
        {"path": "/fapi/v1/listenKey", "method": "POST"},
        {"path": "/fapi/v3/account", "method": "GET"},
        {"path": "/fapi/v1/openOrders", "method": "GET"},
    ),
    "reports": ({"event": "ORDER_TRADE_UPDATE"},),
}
BY_MARKET: Final = {Market.SPOT: PLACES, Market.FUTURES: FUTURES_PLACES}
TARGETS: Final = ("place", "cancel", "query", "stream")


def _error(http_status: int, code: int, message: str = "") -> Fault:
    return {"kind": "error", "http_status": http_status, "code": code} | ({"message": message} if message else {})


def _lost(http_status: int, code: int, message: str = "") -> Fault:
    """Handled, then answered as if nobody knew."""
    return _error(http_status, code, message) | {"kind": "error_after"}


REQUEST_TROUBLES: Final[dict[str, Fault]] = {
    "slow by 0.3 s": {"kind": "delay", "delay_ms": 300},
    "slow by 2 s": {"kind": "delay", "delay_ms": 2000},
    "slow by 3.5 s, too late for its window": {"kind": "delay", "delay_ms": 3500},
    "answered 0.3 s late": {"kind": "delay_answer", "delay_ms": 300},
    "answered 3 s late": {"kind": "delay_answer", "delay_ms": 3000},
    "connection cut before it": {"kind": "drop_before"},
    "connection cut after it": {"kind": "drop_after"},
    "500 before it": _error(500, -1000),
    "500 after it": _lost(500, -1000),
    "502 in HTML after it": _lost(502, -1000, "<html>Bad Gateway</html>"),
    "503 unknown after it": _lost(503, -1000, "Unknown error, please check your request or try again later."),
    "503 disconnected before it": _error(503, -1001),
    "503 disconnected after it": _lost(503, -1001),
    "504 timed out before it": _error(504, -1007),
    "504 timed out after it": _lost(504, -1007),
    "an unexpected answer before it": _error(400, -1006),
    "an unexpected answer after it": _lost(400, -1006),
    "server busy before it": _error(503, -1008),
    "a code that nobody knows after it": _lost(400, -9876, "Something new."),
    "refused: filter failure": _error(400, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    "refused: too many orders": _error(429, -1015) | {"retry_after_s": 1},
    "refused: timestamp outside the window": _error(400, -1021),
    "refused: insufficient balance": _error(400, -2010, "Account has insufficient balance for requested action."),
    "duplicate order, after it": _lost(400, -2010, "Duplicate order sent."),
    "too many requests": {"kind": "rate_limit", "retry_after_s": 1},
    "maintenance": {"kind": "maintenance"},
}
REPORT_TROUBLES: Final[dict[str, Fault]] = {
    "reports twice": {"kind": "duplicate", "delay_ms": 40},
    "reports out of order": {"kind": "reorder", "delay_ms": 400},
    "reports lost": {"kind": "withhold"},
    "reports 1.5 s late": {"kind": "withhold", "delay_ms": 1500},
    "private stream cut": {"kind": "disconnect", "stream": "user"},
    "clock 4 s ahead": {"kind": "clock_skew", "skew_ms": 4000},
}
TROUBLES: Final = {**REQUEST_TROUBLES, **REPORT_TROUBLES}
#: How often a trouble strikes each of its targets.
STRIKES: Final = 2


def aimed(trouble: str, at: str, market: Market = Market.SPOT) -> list[Fault]:
    """Return the faults to post for a trouble at ``place``, ``cancel``, ``query`` or ``stream``."""
    fault = TROUBLES[trouble]
    if trouble in REQUEST_TROUBLES:
        strikes = 1 if at in {"place", "cancel"} else STRIKES
        return [{**fault, **target, "count": strikes} for target in BY_MARKET[market][at]]
    if fault["kind"] in {"disconnect", "clock_skew"}:
        return [fault]
    return [{**fault, **target} for target in BY_MARKET[market]["reports"]]
