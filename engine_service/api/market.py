"""Instruments, prices, and the limits in force."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypedDict

from fastapi import APIRouter
from msgspec import Meta, defstruct
from starlette.requests import Request
from starlette.responses import Response

from engine_service.api.dependencies import engine_of, json_body, no_fields, principal_of
from engine_service.api.fields import Fields
from engine_service.api.problems import json_response
from engine_service.api.queries import Query
from engine_service.api.shapes import Amount, PriceView
from engine_service.api.views import instrument_view, price_views
from engine_service.domain.errors import ConfigurationError, Conflict, InvalidRequest
from engine_service.domain.money import plain
from engine_service.risk.policy import KEYS, LIMITS, describe
from engine_service.runtime.engine import Engine
from engine_service.runtime.risk_changes import change_limits, reload_limits

router = APIRouter(tags=["market and limits"])

_VERSION = re.compile(r'"?(\d{1,9})"?')


class Prices(TypedDict):
    """The newest quote of every watched instrument."""

    prices: list[PriceView]


class Universe(TypedDict):
    """The instruments that the strategies watch, and every one the venue lists."""

    watched: list[str]
    listed: list[str]


class LimitView(TypedDict):
    """One limit: its value as text, what it may be, what it is for, and how far a call may loosen it."""

    value: str
    allowed: str
    meaning: str
    ceiling: Amount | None


_WORDS: Final[dict[str, Any]] = {
    "trading_enabled": Literal["true", "false"],
    "allowed_symbols": Annotated[str, Meta(description="`*`, or symbols with commas between.")],
}
#: The limits by name; there is no other list of them than the policy's own.
LimitsByName: Final = defstruct("LimitsByName", [(key, LimitView) for key in KEYS])
RiskConfig: Final = defstruct(
    "RiskConfig", [("version", int), *((key, Amount if key in LIMITS else _WORDS[key]) for key in KEYS)]
)
Limits: Final = defstruct("Limits", [("version", int), ("limits", LimitsByName)])


@router.get("/symbol_info")
async def symbol_info(request: Request) -> Response:
    """An instrument's trading rules on this engine's market."""
    engine = engine_of(request)
    symbol = Query(request, "symbol").symbol()
    if not symbol:
        raise InvalidRequest("FIELD_MISSING", "Name the symbol: /symbol_info?symbol=BTCUSDT.BINANCE")
    return json_response(instrument_view(engine.core.instrument(symbol, engine.market)))


@router.get("/prices")
async def prices(request: Request) -> Response:
    """The newest mark of every watched instrument, with its age."""
    Query(request)
    body: Prices = {"prices": price_views(engine_of(request).core)}
    return json_response(body)


@router.get("/universe")
async def universe(request: Request) -> Response:
    """The instruments that the strategies watch, and every one the venue lists."""
    Query(request)
    engine = engine_of(request)
    listed = sorted(symbol for symbol, market in engine.core.instruments if market is engine.market)
    body: Universe = {"watched": list(engine.feed.symbols), "listed": listed}
    return json_response(body)


@router.get("/limits")
async def limits(request: Request) -> Response:
    """Every limit with its value, its range and its meaning."""
    Query(request)
    engine = engine_of(request)
    policy, ceilings = engine.core.gate.policy, engine.load_ceilings()
    values = policy.as_text()
    described: dict[str, LimitView] = {
        key: {
            "value": values[key],
            "allowed": allowed,
            "meaning": meaning,
            "ceiling": plain(ceilings[key]) if key in ceilings else None,
        }
        for key, (allowed, meaning) in describe().items()
    }
    return json_response({"version": policy.version, "limits": described})


@router.get("/risk/config")
async def risk_config(request: Request) -> Response:
    """The limits in force, flat, with their version."""
    Query(request)
    return _config(engine_of(request))


@router.put("/risk/config")
async def put_risk_config(request: Request) -> Response:
    """Change some limits; the rest stay. Journaled with who and why. `If-Match: VERSION` guards against a race."""
    engine = engine_of(request)
    Query(request)
    values = json_body(request)
    reason = Fields({"reason": values.pop("reason", None)}).take_reason()
    if not values:
        raise InvalidRequest("FIELD_MISSING", "Name at least one limit; GET /limits lists them.")
    _check_version(request, engine)
    await change_limits(engine.core, values, principal_of(request).name, reason, engine.load_ceilings())
    return _config(engine)


@router.post("/risk/reload")
async def reload(request: Request) -> Response:
    """Read config/risk.yaml again; a file with a mistake changes nothing."""
    engine = engine_of(request)
    Query(request)
    no_fields(request)
    try:
        fresh = engine.load_risk_file()
    except ConfigurationError as error:
        # Where the files of this host lie is not a caller's business.
        path, _, what = error.detail.partition(": ")
        raise InvalidRequest(error.code, f"{Path(path).name}: {what}") from error
    await reload_limits(engine.core, fresh, principal_of(request).name)
    return _config(engine)


def _check_version(request: Request, engine: Engine) -> None:
    wanted = request.headers.get("if-match")
    if wanted is None:
        return
    match = _VERSION.fullmatch(wanted)
    if match is None or int(match.group(1)) != engine.core.gate.policy.version:
        raise Conflict("VERSION_CONFLICT", "The limits changed; read them again.")


def _config(engine: Engine) -> Response:
    policy = engine.core.gate.policy
    return json_response({"version": policy.version, **policy.as_text()}, headers={"ETag": f'"{policy.version}"'})
