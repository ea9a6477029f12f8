"""What would happen to an order, without sending it."""

from __future__ import annotations

from decimal import Decimal
from typing import TypedDict

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from engine_service.api.dependencies import home_of, json_body, ready_engine
from engine_service.api.order_bodies import checked_order
from engine_service.api.order_schemas import CHECK_SCHEMA
from engine_service.api.problems import json_response
from engine_service.api.queries import Query
from engine_service.api.shapes import Amount, Liquidity, Ms, RegimeView, Signed
from engine_service.api.timeliness import refuse_untimely, take_timestamp
from engine_service.api.views import regime_view
from engine_service.domain.ids import Market
from engine_service.domain.money import plain, quantise
from engine_service.domain.order_status import OrderSide, OrderType
from engine_service.execution.what_if import FeeSource, Rail, Slippage, WhatIf, what_if
from engine_service.runtime.engine import Engine

router = APIRouter(tags=["orders"])
_FINE = Decimal("1e-8")


class CheckedOrder(TypedDict):
    """The order as it would be sent. `price` is the one it is valued at, `notional` in the reporting currency."""

    symbol: str
    market: Market
    side: OrderSide
    type: OrderType
    quantity: Amount
    limit_price: Amount | None
    stop_price: Amount | None
    price: Amount | None
    notional: Signed
    reduce_only: bool
    strategy: str


class RailView(TypedDict):
    """One rail's answer, under the code it refuses with; `asked` is false where reducing orders pass."""

    code: str
    passed: bool
    asked: bool
    reason: str
    value: str | None
    limit: str | None
    acceptable: str | None


class SlippageView(TypedDict):
    """Mean price against the mid, positive is worse, and the share that the book would fill."""

    bps: Signed
    price: Amount
    filled_frac: Amount


class ExpectedCost(TypedDict):
    """What the order would probably cost; `slippage` is `null` where it takes nothing from the book."""

    fee: Signed
    fee_asset: str
    fee_bps: Signed
    fee_source: FeeSource
    liquidity: Liquidity
    slippage: SlippageView | None


class CheckAnswer(TypedDict):
    """Whether every rail lets the order pass; `code` is the first that does not."""

    accepted: bool
    code: str
    order: CheckedOrder
    rails: list[RailView]
    expected: ExpectedCost
    regime: RegimeView | None
    policy_version: int
    as_of: Ms


@router.post("/orders/check", openapi_extra=CHECK_SCHEMA)
async def check_order(request: Request) -> Response:
    """Ask every rail about an order, with its numbers, expected fee and slippage; nothing is sent or journaled."""
    Query(request)
    engine = ready_engine(request)
    body = json_body(request)
    made_ms = take_timestamp(body)
    order = checked_order(body, home_of(engine))
    refuse_untimely(engine.core, None, made_ms)
    found = await what_if(engine.core, order, as_written=True)
    return json_response(_view(engine, found))


def _view(engine: Engine, found: WhatIf) -> CheckAnswer:
    ctx = found.context
    refused = next((rail.code for rail in found.rails if not rail.passed), "")
    regime = engine.tape.newest().get(ctx.instrument.symbol)
    return {
        "accepted": found.accepted,
        "code": refused,
        "order": {
            "symbol": ctx.instrument.symbol,
            "market": ctx.market,
            "side": ctx.side,
            "type": ctx.request.type,
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


def _rail_view(rail: Rail) -> RailView:
    return {
        "code": rail.code,
        "passed": rail.passed,
        "asked": rail.asked,
        "reason": rail.reason,
        "value": rail.numbers.get("value"),
        "limit": rail.numbers.get("limit"),
        "acceptable": rail.numbers.get("acceptable"),
    }


def _slippage_view(found: Slippage | None) -> SlippageView | None:
    if found is None:
        return None
    return {
        "bps": plain(found.bps.quantize(Decimal("0.0001"))),
        "price": plain(found.price.quantize(_FINE)),
        "filled_frac": plain(found.filled_frac.quantize(Decimal("0.0001"))),
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
