"""The OpenAPI page, completed. FastAPI cannot see what our own strict readers take from queries and bodies, nor what
the gate asks for; this says it, from the same table of routes that the gate judges by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI

from engine_service.api.problems import MEDIA_TYPE
from engine_service.api.queries import DEFAULT_LIMIT, HIGHEST_SEQ, MAX_LIMIT, MAX_MS
from engine_service.api.routes import ROUTES
from engine_service.api.schema_parts import (
    CLIENT_ID,
    FLAG,
    MONEY,
    NAME,
    REASON,
    SYMBOL,
    Schema,
    json_body,
    strict_object,
)
from engine_service.contract.codes import CODES
from engine_service.domain.order_status import OrderStatus

_PROBLEM: Final[Schema] = {
    "type": "object",
    "description": "A problem document (RFC 9457): a stable code, the cause, the way out, and the numbers behind it.",
    "required": ["type", "title", "status", "code", "detail", "errors", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "pattern": "^[A-Z][A-Z0-9_]*$", "examples": sorted(CODES)[:3]},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": strict_object({"field": {"type": "string"}, "code": {"type": "string"}}, ("field", "code")),
        },
        "request_id": {"type": "string"},
        "instance": {"type": "string"},
        "numbers": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


def _whole(highest: int, *, lowest: int = 0, **more: Any) -> Schema:
    return {"type": "integer", "minimum": lowest, "maximum": highest, **more}


_PAGE: Final[Schema] = {"cursor": {"type": "string", "maxLength": 64}, "limit": _whole(MAX_LIMIT, lowest=1)}
_LIMIT: Final[Schema] = {"limit": _whole(MAX_LIMIT, lowest=1, default=DEFAULT_LIMIT)}
_SPAN: Final[Schema] = {"since_ms": _whole(MAX_MS), "until_ms": _whole(MAX_MS)}
_AFTER: Final[Schema] = {"after": _whole(HIGHEST_SEQ, description="Sequence number of the last one known.")}

#: Query parameters by route; every other route takes none.
QUERIES: Final[Mapping[tuple[str, str], Schema]] = {
    ("GET", "/orders"): {
        "symbol": SYMBOL,
        "strategy": NAME,
        "status": {"type": "string", "enum": [status.value for status in OrderStatus]},
        "open": FLAG,
        **_SPAN,
        **_PAGE,
    },
    ("DELETE", "/orders"): {"symbol": SYMBOL, "strategy": NAME},
    ("GET", "/fills"): {
        "symbol": SYMBOL,
        "strategy": NAME,
        "client_order_id": CLIENT_ID,
        **_SPAN,
        **_AFTER,
        **_PAGE,
    },
    ("GET", "/equity"): {**_SPAN, **_PAGE},
    ("GET", "/account_snapshot"): {"force": FLAG},
    ("GET", "/strategies/{strategy}/regimes"): {"symbol": SYMBOL},
    ("GET", "/symbol_info"): {"symbol": SYMBOL},
    ("GET", "/events"): {**_AFTER, **_LIMIT},
    ("GET", "/stream"): _AFTER,
}
_REQUIRED_QUERIES: Final = frozenset({("GET", "/symbol_info", "symbol")})

_MODEL: Final[Schema] = {"type": "object", "description": "A model bundle, as the registry writes it."}
_REASON: Final[Schema] = {"reason": REASON}
_SWITCHES: Final[Schema] = {
    "enabled": FLAG,
    "dry_run": FLAG,
    "budget": {**MONEY, "description": "In the reporting currency, at most 1,000,000."},
    "weight": {"type": "string", "pattern": r"^(0(\.[0-9]{1,18})?|1(\.0{1,18})?)$", "description": "0 to 1."},
    "model": _MODEL,
    "reason": REASON,
}
_SHARE: Final = r"(0(\.[0-9]{1,18})?|1(\.0{1,18})?)$"
_TACTIC: Final = strict_object(
    {
        "symbol": SYMBOL,
        "side": {"type": "string", "enum": ["BUY", "SELL"]},
        "tactic": {"type": "string", "enum": ["IOC_LIMIT", "MARKET", "SKIP"]},
        "limit_bps": {"type": "string", "description": "How far from the mark an IOC limit may pay, 0 to 100."},
        **_REASON,
    },
    ("symbol", "side", "tactic"),
)
_SIZE: Final = strict_object(
    {
        "strategy": NAME,
        "symbol": SYMBOL,
        "scale": {"type": "string", "pattern": f"^{_SHARE}", "description": "Share of full size."},
    },
    ("strategy", "symbol", "scale"),
)

#: Bodies by route, beside those of orders.
BODIES: Final[Mapping[tuple[str, str], Schema]] = {
    ("POST", "/control/halt"): json_body(
        {"description": "An object with a reason. Whatever else it is, the halt is done: stopping must be easy."},
        {"reason": {"reason": "prices look wrong"}},
        required=False,
    ),
    ("POST", "/control/resume"): json_body(
        strict_object({"reason": {**REASON, "pattern": "^[ -~]*[!-~][ -~]*$"}}, ("reason",)),
        {"reason": {"reason": "prices are right again"}},
    ),
    ("POST", "/control/flatten"): json_body(strict_object({"symbol": SYMBOL, **_REASON}), required=False),
    ("POST", "/reconcile"): json_body(strict_object({}), required=False),
    ("PUT", "/strategies/{strategy}"): json_body(
        strict_object(_SWITCHES), {"smaller": {"budget": "500", "reason": "half of it elsewhere"}}
    ),
    ("POST", "/strategy/promote"): json_body(strict_object({"strategy": NAME, **_SWITCHES}, ("model",))),
    ("POST", "/strategy/signal"): json_body(
        strict_object(
            {
                "strategy": NAME,
                "symbol": SYMBOL,
                "target": {"type": "string", "pattern": f"^-?{_SHARE}", "description": "-1 to 1 of its size."},
                "confidence": {"type": "string", "pattern": f"^{_SHARE}", "description": "0 to 1."},
            },
            ("strategy", "symbol", "target", "confidence"),
        )
    ),
    ("POST", "/league"): json_body(strict_object({"model": _MODEL, **_REASON}, ("model",))),
    ("DELETE", "/league/{version}"): json_body(strict_object(_REASON), required=False),
    ("PUT", "/advice"): json_body(
        strict_object(
            {
                "tactics": {"type": "array", "maxItems": 1000, "items": _TACTIC},
                "sizes": {"type": "array", "maxItems": 1000, "items": _SIZE},
                "valid_s": {"type": "string", "pattern": r"^[0-9]{1,5}$", "description": "Seconds, 1 to 86400."},
                **_REASON,
            },
            ("valid_s",),
        ),
        {
            "passive": {
                "tactics": [{"symbol": "BTCUSDT.BINANCE", "side": "BUY", "tactic": "IOC_LIMIT", "limit_bps": "12"}],
                "valid_s": "3600",
            }
        },
    ),
    ("PUT", "/risk/config"): json_body(
        {
            "type": "object",
            "minProperties": 1,
            "description": "Some of the keys of GET /limits, and a reason.",
            "properties": _REASON,
        },
        {"slower": {"order_rate_per_min": 30, "reason": "a quiet day"}},
    ),
}
#: What is not JSON.
MEDIA: Final[Mapping[tuple[str, str], Schema]] = {
    ("GET", "/metrics"): {"text/plain": {"schema": {"type": "string"}}},
    ("GET", "/stream"): {"text/event-stream": {}},
}


def describe(app: FastAPI) -> None:
    """Make ``app.openapi`` tell the whole of every route: parameters, bodies, tokens, and how it refuses."""
    plain = app.openapi

    def whole() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(plain())
        return app.openapi_schema

    app.openapi = whole  # type: ignore[method-assign]  # FastAPI's documented way to extend the page


def _completed(page: dict[str, Any]) -> dict[str, Any]:
    page["components"] = {
        "schemas": {"Problem": _PROBLEM},
        "responses": {
            "Problem": {
                "description": "Refused: see the code.",
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }
        },
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "A token of tokens.json."}},
    }
    for path, operations in page["paths"].items():
        for method, operation in operations.items():
            _complete(operation, (method.upper(), path))
    return page


def _complete(operation: dict[str, Any], route: tuple[str, str]) -> None:
    access = ROUTES[route]
    responses = operation["responses"]
    # FastAPI's own words about a validation that it does not do here.
    responses.pop("422", None)
    responses["default"] = {"$ref": "#/components/responses/Problem"}
    if access.scope is not None:
        operation["security"] = [{"token": []}]
        operation["description"] = f"{operation.get('description', '')}\n\nScope: {access.named}.".strip()
    if route in MEDIA:
        responses["200"]["content"] = MEDIA[route]
    operation.update(BODIES.get(route, {}))
    parameters = [*operation.get("parameters", []), *_query(route)]
    if parameters:
        operation["parameters"] = parameters


def _query(route: tuple[str, str]) -> list[Schema]:
    return [
        {"name": name, "in": "query", "required": (*route, name) in _REQUIRED_QUERIES, "schema": schema}
        for name, schema in QUERIES.get(route, {}).items()
    ]
