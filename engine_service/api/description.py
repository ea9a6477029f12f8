"""The OpenAPI page, completed. FastAPI cannot see what our own strict readers take from queries and bodies, nor what
the gate asks for; this says it, from the same table of routes that the gate judges by."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI

from engine_service.api.answers import ANSWERS, Answer, Route, refusals_of
from engine_service.api.order_schemas import OPTIONAL_KEY, ORDER_BODIES
from engine_service.api.problems import Problem
from engine_service.api.queries import DEFAULT_LIMIT, HIGHEST_SEQ, MAX_LIMIT, MAX_MS
from engine_service.api.refusal_schemas import header, name_of, refusal
from engine_service.api.routes import ROUTES
from engine_service.api.schema_parts import (
    FILTER,
    FLAG,
    MONEY,
    NAME,
    REASON,
    SYMBOL,
    Schema,
    json_body,
    strict_object,
)
from engine_service.api.schemas import components, reference
from engine_service.domain.order_status import OrderStatus
from engine_service.risk.policy import describe as limits
from engine_service.runtime.model_bundle import MAX_SYMBOLS, NEEDED, VERSION_PATTERN
from strategies.features import FEATURE_SCHEMA


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
        "strategy": FILTER,
        "status": {"type": "string", "enum": [status.value for status in OrderStatus]},
        "open": FLAG,
        **_SPAN,
        **_PAGE,
    },
    ("DELETE", "/orders"): {"symbol": SYMBOL, "strategy": FILTER},
    ("GET", "/fills"): {
        "symbol": SYMBOL,
        "strategy": FILTER,
        "client_order_id": FILTER,
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

_MODEL: Final[Schema] = {
    "description": "A model bundle, as the registry writes it.",
    **strict_object(
        {
            "version": {"type": "string", "pattern": VERSION_PATTERN},
            "kind": {"type": "string"},
            "interval": {"type": "string", "description": "Bar length, the engine's own: 1m."},
            "feature_schema": {"type": "string", "const": FEATURE_SCHEMA},
            "created_at": {"type": "string"},
            "symbols": {
                "type": "object",
                "minProperties": 1,
                "maxProperties": MAX_SYMBOLS,
                "additionalProperties": {"type": "object"},
                "description": "A model by instrument.",
            },
        },
        tuple(sorted(NEEDED)),
    ),
}
_REASON: Final[Schema] = {"reason": REASON}
#: A reason that is one: something stands in it.
_SAID: Final = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
_SWITCHES: Final[Schema] = {
    "enabled": FLAG,
    "dry_run": FLAG,
    "budget": {**MONEY, "description": "In the reporting currency, at most 1,000,000."},
    "weight": {"type": "string", "pattern": r"^(0(\.[0-9]{1,18})?|1(\.0{1,18})?)$", "description": "0 to 1."},
    "model": _MODEL,
    "reason": REASON,
}
_LIMITS: Final[Schema] = {
    key: {"type": ["string", "number"], "description": f"{meaning} Takes {allowed}."}
    for key, (allowed, meaning) in limits().items()
} | {
    "trading_enabled": {"type": ["boolean", "string"], "description": limits()["trading_enabled"][1]},
    "allowed_symbols": {
        "type": ["array", "string"],
        "items": {"type": "string"},
        "description": limits()["allowed_symbols"][1],
    },
}
_SHARE: Final = r"(0(\.[0-9]{1,18})?|1(\.0{1,18})?)$"
_TACTIC: Final = strict_object(
    {
        "symbol": SYMBOL,
        "side": {"type": "string", "enum": ["BUY", "SELL"]},
        "tactic": {"type": "string", "enum": ["IOC_LIMIT", "MARKET", "SKIP"]},
        "limit_bps": {**MONEY, "description": "How far from the mark an IOC limit may pay, 0 to 100."},
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
        {
            "type": "object",
            "properties": {"reason": {"type": "string"}},
            "description": "Whatever else it is, the halt is done: stopping must be easy.",
        },
        {"reason": {"reason": "prices look wrong"}},
        required=False,
    ),
    ("POST", "/control/resume"): json_body(
        strict_object({"reason": {**REASON, "pattern": _SAID}}, ("reason",)),
        {"reason": {"reason": "prices are right again"}},
    ),
    ("POST", "/control/flatten"): json_body(strict_object({"symbol": SYMBOL, **_REASON}), required=False),
    ("POST", "/reconcile"): json_body(strict_object({}), required=False),
    ("POST", "/reconcile/adopt"): json_body(
        strict_object({"reason": {**REASON, "pattern": _SAID}}, ("reason",)),
        {"reason": {"reason": "the venue took a trade back"}},
    ),
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
        {"description": "Some of the limits, and a reason.", **strict_object({**_LIMITS, **_REASON}, minProperties=1)},
        {"slower": {"order_rate_per_min": 30, "reason": "a quiet day"}},
    ),
}

_SCOPES: Final = (
    "A token of tokens.json, or one that was issued. The scopes of each route stand beside it, any of them is enough; "
    "the trade token also reads, the admin token also trades."
)


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the whole of every route: parameters, bodies, answers, tokens, and how it refuses.

    Raises:
        ValueError: a route has no declared answers, or answers are declared without a route.
    """
    page = app.openapi()
    shown = {(method.upper(), path) for path, operations in page["paths"].items() for method in operations}
    if difference := shown ^ set(ANSWERS):
        raise ValueError(f"routes without declared answers, or declared without a route: {sorted(difference)}")
    refused: set[int] = set()
    for path, operations in page["paths"].items():
        for method, operation in operations.items():
            route = (method.upper(), path)
            _complete(operation, route)
            refused.update(refusals_of(route))
    bodies = {answer.body for answers in ANSWERS.values() for answer in answers.values() if answer.body}
    page["components"] = {
        "schemas": {**ORDER_BODIES, **components(sorted({*bodies, Problem}, key=lambda shape: str(shape.__name__)))},
        "responses": {name_of(status): refusal(status) for status in sorted(refused)},
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": _SCOPES}},
    }
    return page


def _complete(operation: dict[str, Any], route: Route) -> None:
    access = ROUTES[route]
    if access.scope is not None:
        scopes = (access.scope.value, *sorted(access.also))
        operation["security"] = [{"token": [scope]} for scope in scopes]
        operation["description"] = f"{operation.get('description', '')}\n\nScope: {access.named}.".strip()
    operation.update(BODIES.get(route, {}))
    parameters = [*operation.get("parameters", []), *([OPTIONAL_KEY] if access.once else []), *_query(route)]
    if parameters:
        operation["parameters"] = parameters
    # In the place of FastAPI's own words about an answer that it does not know.
    operation["responses"] = _responses(route)


def _responses(route: Route) -> dict[str, Schema]:
    refusals = {str(status): {"$ref": f"#/components/responses/{name_of(status)}"} for status in refusals_of(route)}
    answers = {str(status): _answer(status, answer, route) for status, answer in ANSWERS[route].items()}
    return {**answers, **{status: _either(status, answers, refused) for status, refused in refusals.items()}}


def _either(status: str, answers: dict[str, Schema], refused: Schema) -> Schema:
    """An answer and a refusal may share a status: 503 of an engine that says why it is not ready."""
    if status not in answers:
        return refused
    both = refusal(int(status))
    both["content"] = {**answers[status]["content"], **both["content"]}
    both["headers"] = {name: header(name, always=False) for name in both["headers"]}
    both["description"] = f"{answers[status]['description']} {both['description']}"
    return both


def _answer(status: int, answer: Answer, route: Route) -> Schema:
    schema = reference(answer.body) if answer.body else {"type": "string"}
    described: Schema = {
        "description": f"{HTTPStatus(status).phrase}.",
        "content": {answer.media_type: {"schema": schema}},
    }
    headers = {name: header(name, always=True) for name in answer.headers}
    if ROUTES[route].once or "Location" in headers:
        headers["Idempotency-Replayed"] = header("Idempotency-Replayed", always=False)
    return {**described, "headers": headers} if headers else described


def _query(route: Route) -> list[Schema]:
    return [
        {"name": name, "in": "query", "required": (*route, name) in _REQUIRED_QUERIES, "schema": schema}
        for name, schema in QUERIES.get(route, {}).items()
    ]
