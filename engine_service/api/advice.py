"""Advice about the strategies' entries: how to send them and how large, with an end to its validity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypedDict, TypeVar

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from engine_service.api.dependencies import engine_of, json_body, principal_of, ready_engine
from engine_service.api.fields import Fields, wrong
from engine_service.api.problems import json_response
from engine_service.api.queries import Query
from engine_service.api.shapes import Amount, Ms
from engine_service.domain.advice import AdvisedSize, AdvisedTactic, Tactic
from engine_service.domain.money import ONE, ZERO, plain
from engine_service.domain.order_status import OrderSide
from engine_service.runtime.advice import give_advice, sizes_in_force, tactics_in_force
from engine_service.runtime.engine import Engine

router = APIRouter(tags=["strategies"])

MAX_ROWS = 1_000
MAX_LIMIT_BPS = Decimal(100)
MAX_VALID_S = 86_400

T = TypeVar("T")


class TacticView(TypedDict):
    """How entries in one symbol and direction go out."""

    symbol: str
    side: OrderSide
    tactic: Tactic
    limit_bps: Amount
    reason: str


class SizeView(TypedDict):
    """The share of full size for one strategy in one symbol."""

    strategy: str
    symbol: str
    scale: Amount


class AdviceView(TypedDict):
    """The advice that is valid now; `null` where none was ever given."""

    tactics: list[TacticView]
    tactics_until_ms: Ms | None
    sizes: list[SizeView]
    sizes_until_ms: Ms | None


@router.get("/advice")
async def advice(request: Request) -> Response:
    """The tactics and sizes that are valid now."""
    Query(request)
    return json_response(_view(engine_of(request)))


@router.put("/advice")
async def put_advice(request: Request) -> Response:
    """Advise on the strategies' entries: `tactics`, `sizes` or both, valid for `valid_s` seconds.

    Each list replaces the one before; an empty one takes it back. Where nothing valid is advised an entry goes at
    market in its full size. Exits and other people's orders are never touched, and no advice lifts a rail.
    """
    engine = ready_engine(request)
    Query(request)
    fields = Fields(json_body(request, max_list=MAX_ROWS))
    tactics = _rows(fields, "tactics", _tactic)
    sizes = _rows(fields, "sizes", lambda row: _size(row, engine))
    valid_s = fields.take_decimal("valid_s", not_positive="FIELD_RANGE")
    reason = fields.take_reason()
    fields.finish()
    if tactics is None and sizes is None:
        raise wrong("tactics", "FIELD_MISSING", "Give tactics, sizes or both.")
    if valid_s is None:
        raise wrong("valid_s", "FIELD_MISSING", "Say for how many seconds the advice holds.")
    if valid_s > MAX_VALID_S:
        raise wrong("valid_s", "FIELD_RANGE", f"At most {MAX_VALID_S} s.")
    await give_advice(
        engine.core,
        tactics=tactics,
        sizes=sizes,
        valid_ms=int(valid_s * 1000),
        principal=principal_of(request).name,
        reason=reason,
    )
    return json_response(_view(engine))


def _rows(fields: Fields, name: str, read: Callable[[Fields], T]) -> list[T] | None:
    """Read a list of objects, each whole."""
    values = fields.take_any(name)
    if values is None:
        return None
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise wrong(name, "FIELD_TYPE", "This field is a list of objects.")
    rows = []
    for value in values:
        row = Fields(value)
        rows.append(read(row))
        row.finish()
    return rows


def _tactic(row: Fields) -> AdvisedTactic:
    limit_bps = row.take_decimal("limit_bps") or ZERO
    if limit_bps > MAX_LIMIT_BPS:
        raise wrong("limit_bps", "FIELD_RANGE", f"At most {plain(MAX_LIMIT_BPS)}.")
    return AdvisedTactic(
        symbol=row.take_symbol(),
        side=row.take_choice("side", OrderSide, "SIDE_INVALID"),
        tactic=row.take_choice("tactic", Tactic, "FIELD_RANGE"),
        limit_bps=limit_bps,
        reason=row.take_reason(),
    )


def _size(row: Fields, engine: Engine) -> AdvisedSize:
    strategy = row.take_text("strategy")
    if strategy not in engine.strategies:
        raise wrong("strategy", "STRATEGY_UNKNOWN", f"Known: {', '.join(engine.strategies)}.")
    scale = row.take_decimal("scale")
    if scale is None:
        raise wrong("scale", "FIELD_MISSING", "A field is missing.")
    if scale > ONE:
        raise wrong("scale", "FIELD_RANGE", "From 0 to 1: advice makes smaller, never larger.")
    return AdvisedSize(strategy=strategy, symbol=row.take_symbol(), scale=scale)


def _view(engine: Engine) -> AdviceView:
    core = engine.core
    tactics: Sequence[AdvisedTactic] = tactics_in_force(core)
    given = core.state.image
    return {
        "tactics": [
            {
                "symbol": row.symbol,
                "side": row.side,
                "tactic": row.tactic,
                "limit_bps": plain(row.limit_bps),
                "reason": row.reason,
            }
            for row in tactics
        ],
        "tactics_until_ms": given.tactics.valid_until_ms if given.tactics else None,
        "sizes": [
            {"strategy": row.strategy, "symbol": row.symbol, "scale": plain(row.scale)} for row in sizes_in_force(core)
        ],
        "sizes_until_ms": given.sizes.valid_until_ms if given.sizes else None,
    }
