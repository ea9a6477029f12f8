"""What would happen to an order, without sending it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from engine_service.api.dependencies import home_of, json_body, ready_engine
from engine_service.api.order_bodies import checked_order
from engine_service.api.order_schemas import CHECK_SCHEMA
from engine_service.api.problems import json_response
from engine_service.api.queries import Query
from engine_service.api.timeliness import take_timestamp
from engine_service.api.views import regime_view
from engine_service.domain.money import plain, quantise
from engine_service.execution.what_if import Rail, Slippage, WhatIf, what_if
from engine_service.runtime.engine import Engine

router = APIRouter(tags=["orders"])
_FINE = Decimal("1e-8")


@router.post("/orders/check", openapi_extra=CHECK_SCHEMA)
async def check_order(request: Request) -> Response:
    """Ask every rail about an order, with its numbers, expected fee and slippage; nothing is sent or journaled."""
    Query(request)
    engine = ready_engine(request)
    body = json_body(request)
    take_timestamp(body)
    found = await what_if(engine.core, checked_order(body, home_of(engine)), as_written=True)
    return json_response(_view(engine, found))


def _view(engine: Engine, found: WhatIf) -> dict[str, Any]:
    ctx = found.context
    refused = next((rail.code for rail in found.rails if not rail.passed), "")
    regime = engine.tape.newest().get(ctx.instrument.symbol)
    return {
        "accepted": found.accepted,
        "code": refused,
        "order": {
            "symbol": ctx.instrument.symbol,
            "market": ctx.market.value,
            "side": ctx.side.value,
            "type": ctx.request.type.value,
            "quantity": plain(ctx.quantity),
            "limit_price": _text(ctx.limit_price),
            "stop_price": _text(ctx.stop_price),
            "price": _text(ctx.price),
            "notional": plain(quantise(ctx.value)),
            "reduce_only": ctx.request.reduce_only,
            "strategy": ctx.request.strategy,
        },
        "rails": [_rail_view(rail) for rail in found.rails],
        "expected": {
            "fee": plain(found.fee.quantize(_FINE)),
            "fee_asset": ctx.instrument.quote,
            "fee_bps": plain(found.fee_bps),
            "fee_source": found.fee_source,
            "liquidity": found.liquidity,
            "slippage": _slippage_view(found.slippage),
        },
        "regime": None if regime is None else regime_view(regime),
        "policy_version": ctx.policy.version,
        "as_of": ctx.now_ms,
    }


def _rail_view(rail: Rail) -> dict[str, Any]:
    return {
        "code": rail.code,
        "passed": rail.passed,
        "asked": rail.asked,
        "reason": rail.reason,
        "value": rail.numbers.get("value"),
        "limit": rail.numbers.get("limit"),
        "acceptable": rail.numbers.get("acceptable"),
    }


def _slippage_view(found: Slippage | None) -> dict[str, str] | None:
    if found is None:
        return None
    return {
        "bps": plain(found.bps.quantize(Decimal("0.0001"))),
        "price": plain(found.price.quantize(_FINE)),
        "filled_frac": plain(found.filled_frac.quantize(Decimal("0.0001"))),
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
