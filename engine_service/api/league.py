"""The shadow league: challengers on live bars beside the champion, unfunded."""

from __future__ import annotations

from typing import TypedDict

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from engine_service.api.dependencies import engine_of, json_body, optional_body, principal_of, ready_engine
from engine_service.api.fields import Fields, wrong
from engine_service.api.model_bodies import MODEL_DEPTH, MODEL_LIST, read_model
from engine_service.api.problems import json_response
from engine_service.api.queries import Query
from engine_service.runtime.engine import Engine
from strategies.league import Standing, rank
from strategies.regime_policy import PolicyOptions

router = APIRouter(tags=["league"])


class League(TypedDict):
    """Every version's rank (`symbol` is `ALL`), the standings behind it, and the standing over all of its own bars.

    `common` are the standings on the bars and in the symbols that all versions were judged on: what is ranked.
    """

    champion: str
    cost_bps: float
    policy: PolicyOptions
    rank: list[Standing]
    common: list[Standing]
    standings: list[Standing]


@router.get("/league")
async def league(request: Request) -> Response:
    """The rank of every version by mean Sharpe per bar since this engine's start, and the standing in each symbol.

    Ranked are the bars that all versions were judged on: those since the last of them came. `warm_from_ms`,
    `judged_from_ms`, `first_open_ms` and `last_open_ms` name the bars used, so that stored bars give the same figures
    with the same `policy` and `cost_bps`.
    """
    Query(request)
    return json_response(_view(engine_of(request)))


@router.post("/league")
async def enter(request: Request) -> Response:
    """Let a model version in: `{"model": {...}, "reason": "..."}`. It is judged from the next closed bar on."""
    engine = ready_engine(request)
    Query(request)
    fields = Fields(json_body(request, max_list=MODEL_LIST, max_depth=MODEL_DEPTH, any_exponent=True))
    model = fields.take_any("model")
    if not isinstance(model, dict):
        raise wrong("model", "FIELD_TYPE" if model is not None else "FIELD_MISSING", "This field is a model.")
    reason = fields.take_reason()
    fields.finish()
    bundle = read_model(model, engine.settings.interval)
    await engine.loop.league.enter(bundle, principal=principal_of(request).name, reason=reason)
    return json_response(_view(engine))


@router.delete("/league/{version}")
async def withdraw(request: Request, version: str) -> Response:
    """Take a challenger out; the champion stays."""
    engine = ready_engine(request)
    Query(request)
    fields = Fields(optional_body(request))
    reason = fields.take_reason()
    fields.finish()
    await engine.loop.league.withdraw(version, principal=principal_of(request).name, reason=reason)
    return json_response(_view(engine))


def _view(engine: Engine) -> League:
    shadow = engine.loop.league
    common = shadow.common()
    return {
        "champion": shadow.champion,
        "cost_bps": shadow.cost_bps,
        "policy": shadow.options,
        "rank": rank(common),
        "common": common,
        "standings": shadow.standings(),
    }
