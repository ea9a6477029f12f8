"""Orders in a context, for tests of one rail at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from engine_service.domain.apply import apply
from engine_service.domain.ids import Market
from engine_service.domain.order import OrderRequest
from engine_service.domain.order_status import OrderSide
from engine_service.execution.core import EngineCore
from engine_service.execution.prepare import risk_context
from engine_service.risk.context import RiskContext, RiskRefused
from tests.fakes.engine import fake, make_core, market_order, opening, policy
from tests.fakes.venue import FakeVenue

D = Decimal
BUY, SELL = OrderSide.BUY, OrderSide.SELL
Rail = Callable[[RiskContext], RiskRefused | None]


def core_with(limits: Mapping[str, object] | None = None, *, futures: bool = False) -> EngineCore:
    markets = (Market.SPOT, Market.FUTURES) if futures else (Market.SPOT,)
    return make_core(venue=FakeVenue(fake(make_core()).clock, markets=markets), limits=policy(**(limits or {})))


def context(core: EngineCore, request: OrderRequest | None = None, **changes: Any) -> RiskContext:
    return replace(risk_context(core, request or market_order()), **changes)


def with_instrument(ctx: RiskContext, **rules: object) -> RiskContext:
    changed: dict[str, Any] = {name: D(value) if isinstance(value, str) else value for name, value in rules.items()}
    return replace(ctx, instrument=replace(ctx.instrument, **changed))


def with_book(ctx: RiskContext, bid: str, ask: str) -> RiskContext:
    assert ctx.mark is not None
    return replace(ctx, mark=replace(ctx.mark, bid=D(bid), ask=D(ask)))


def numbers(rail: Rail, ctx: RiskContext) -> dict[str, str]:
    """Return the numbers of a refusal; nothing where the order passes."""
    found = rail(ctx)
    return {} if found is None else dict(found.numbers)


def says(measured: str, limit: str, acceptable: str = "", **more: str) -> dict[str, str]:
    return {"measured": measured, "limit": limit} | ({"acceptable": acceptable} if acceptable else {}) | more


def hold(core: EngineCore, asset: str, amount: str, rate: str, market: Market = Market.SPOT) -> None:
    apply(core.state, opening(core, market, asset, D(amount), D(rate)))
