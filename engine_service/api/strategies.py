"""Strategies: their switches and budgets, their model, and signals from outside."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, TypedDict

from fastapi import APIRouter
from msgspec import defstruct
from starlette.requests import Request
from starlette.responses import Response

from engine_service.api.dependencies import engine_of, json_body, principal_of, ready_engine
from engine_service.api.fields import Fields, read_decimal, wrong
from engine_service.api.model_bodies import MODEL_DEPTH, MODEL_LIST, read_model
from engine_service.api.problems import json_response
from engine_service.api.queries import Query
from engine_service.api.shapes import Amount, RegimeView, Signed
from engine_service.api.views import regime_view
from engine_service.domain.errors import NotFound
from engine_service.domain.ids import OUTSIDE
from engine_service.domain.money import plain
from engine_service.runtime.engine import Engine
from engine_service.runtime.strategy_config import StrategyConfig
from engine_service.runtime.strategy_switches import StrategyChange, change_strategy, settings_of
from strategies.contracts import Signal
from strategies.regime_policy import STRATEGY_ID as REGIME_STRATEGY

router = APIRouter(tags=["strategies"])

#: What a running engine may change; the rest of a strategy's configuration is its parameters.
_SWITCHES = {"enabled", "dry_run", "budget", "weight"}
MAX_BUDGET = Decimal(1_000_000)
#: A strategy's parameters are what its configuration has beside the switches.
StrategyParameters: Final = defstruct(
    "StrategyParameters",
    [
        (name, Amount if field.annotation is Decimal else field.annotation or Any)
        for name, field in StrategyConfig.model_fields.items()
        if name not in _SWITCHES
    ],
)


class StrategyPosition(TypedDict):
    """What a strategy holds in one symbol, and the fees it paid there."""

    symbol: str
    signed_quantity: Signed
    fees: Signed


class StrategyView(TypedDict):
    """One strategy: switches, budget and exposure in the reporting currency, model and positions."""

    strategy: str
    enabled: bool
    dry_run: bool
    budget: Amount
    weight: Amount
    model_version: str
    parameters: StrategyParameters  # type: ignore[valid-type]  # made from the configuration above
    exposure: Signed
    positions: list[StrategyPosition]


class Strategies(TypedDict):
    """Every strategy."""

    strategies: list[StrategyView]


class Regimes(TypedDict):
    """What the engine believed at every closed live bar, by symbol, oldest first."""

    regimes: dict[str, list[RegimeView]]


class SignalTaken(TypedDict):
    """The wish was taken; the order comes later."""

    accepted: bool
    strategy: str
    symbol: str


@router.get("/strategies")
async def strategies(request: Request) -> Response:
    """Every strategy with its switches, budget, weight and model."""
    Query(request)
    engine = engine_of(request)
    body: Strategies = {"strategies": [_view(engine, name) for name in engine.strategies]}
    return json_response(body)


@router.get("/strategies/{strategy}")
async def strategy(request: Request, strategy: str) -> Response:
    """One strategy."""
    Query(request)
    return json_response(_view(engine_of(request), strategy))


@router.get("/strategies/{strategy}/regimes")
async def regimes(request: Request, strategy: str) -> Response:
    """What the engine itself believed at every closed live bar, by symbol, oldest first."""
    engine = engine_of(request)
    symbol = Query(request, "symbol").symbol()
    _known(engine, strategy)
    tapes = engine.tape.all() if strategy == REGIME_STRATEGY else {}
    wanted = {name: tape for name, tape in tapes.items() if not symbol or name == symbol}
    body: Regimes = {"regimes": {name: [regime_view(row) for row in tape] for name, tape in wanted.items()}}
    return json_response(body)


@router.put("/strategies/{strategy}")
async def put_strategy(request: Request, strategy: str) -> Response:
    """Change a strategy's switches, budget or weight, or put a model in force between two bars."""
    engine = ready_engine(request)
    Query(request)
    _known(engine, strategy)
    values = json_body(request, max_list=MODEL_LIST, max_depth=MODEL_DEPTH, any_exponent=True)
    return await _change(engine, strategy, values, principal_of(request).name)


@router.post("/strategy/signal", status_code=202)
async def signal(request: Request) -> Response:
    """A wish from outside for one of the strategies: it takes the same way as the strategy's own.

    `target` is -1 to 1 of the strategy's size, `confidence` 0 to 1. The answer comes before the order does.
    """
    engine = ready_engine(request)
    Query(request)
    fields = Fields(json_body(request))
    name = fields.take_text("strategy")
    _known(engine, name)
    wish = Signal(
        strategy=name,
        symbol=fields.take_symbol(),
        at_ms=engine.core.clock.now_ms(),
        target=_share(fields, "target", lowest=-1.0),
        confidence=_share(fields, "confidence", lowest=0.0),
        why={"source": OUTSIDE, "principal": principal_of(request).name},
    )
    fields.finish()
    if wish.symbol not in engine.feed.symbols:
        raise NotFound("SYMBOL_UNKNOWN", "The strategies do not watch this symbol.")
    await engine.loop.take_external(wish)
    body: SignalTaken = {"accepted": True, "strategy": name, "symbol": wish.symbol}
    return json_response(body, 202)


@router.post("/strategy/promote")
async def promote(request: Request) -> Response:
    """Put a model in force: `{"strategy": ..., "model": {...}}`."""
    engine = ready_engine(request)
    Query(request)
    values = json_body(request, max_list=MODEL_LIST, max_depth=MODEL_DEPTH, any_exponent=True)
    name = values.pop("strategy", REGIME_STRATEGY)
    if not isinstance(name, str):
        raise wrong("strategy", "FIELD_TYPE", "This field is text.")
    _known(engine, name)
    if "model" not in values:
        raise wrong("model", "FIELD_MISSING", "A field is missing.")
    return await _change(engine, name, values, principal_of(request).name)


async def _change(engine: Engine, name: str, values: dict[str, Any], principal: str) -> Response:
    fields = Fields(values)
    model = fields.take_any("model")
    if model is not None and not isinstance(model, dict):
        raise wrong("model", "FIELD_TYPE", "This field is an object.")
    if model is not None and name != REGIME_STRATEGY:
        raise wrong("model", "MODEL_INVALID", "This strategy has no model.")
    change = StrategyChange(
        enabled=fields.take_flag("enabled") if fields.has("enabled") else None,
        dry_run=fields.take_flag("dry_run") if fields.has("dry_run") else None,
        budget=_within(fields, "budget", MAX_BUDGET),
        weight=_within(fields, "weight", Decimal(1)),
        bundle=read_model(model, engine.settings.interval) if model is not None else None,
        reason=fields.take_reason(),
    )
    fields.finish()
    await change_strategy(engine, name, change, principal)
    return json_response(_view(engine, name))


def _within(fields: Fields, name: str, highest: Decimal) -> Decimal | None:
    value = fields.take_decimal(name)
    if value is not None and value > highest:
        raise wrong(name, "FIELD_RANGE", f"At most {plain(highest)}.")
    return value


def _share(fields: Fields, name: str, *, lowest: float) -> float:
    """Read a share between ``lowest`` and 1; a leading minus is the one thing money never has."""
    text = fields.take_any(name)
    if text is None:
        raise wrong(name, "FIELD_MISSING", "A field is missing.")
    negative = isinstance(text, str) and text.startswith("-") and lowest < 0
    value = float(read_decimal(name, text[1:] if negative else text))
    if value > 1.0:
        raise wrong(name, "FIELD_RANGE", f"From {lowest:g} to 1.")
    return -value if negative else value


def _known(engine: Engine, name: str) -> None:
    if name not in engine.strategies:
        raise NotFound("STRATEGY_UNKNOWN", f"Known: {', '.join(engine.strategies)}.")


def _view(engine: Engine, name: str) -> StrategyView:
    _known(engine, name)
    settings = settings_of(engine, name)
    return {
        "strategy": name,
        "enabled": settings.enabled,
        "dry_run": settings.dry_run,
        "budget": plain(settings.budget),
        "weight": plain(settings.weight),
        "model_version": settings.model_version,
        "parameters": engine.strategies[name].model_dump(mode="json", exclude=_SWITCHES),
        "exposure": plain(engine.core.state.exposure.strategy_exposure(name)),
        "positions": [
            {"symbol": position.symbol, "signed_quantity": plain(position.book.quantity), "fees": plain(position.fees)}
            for position in engine.core.state.portfolio.strategies.values()
            if position.strategy == name and position.book.quantity != 0
        ],
    }
