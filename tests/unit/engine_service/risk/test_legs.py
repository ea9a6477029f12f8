"""The legs of a bracket are judged with its entry, at the price that it would fill at."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine_service.domain.bracket import BracketPlan
from engine_service.domain.order_status import OrderType
from engine_service.risk.context import RiskContext, RiskRefused
from engine_service.risk.legs import leg_refused
from tests.fakes.engine import limit_order
from tests.unit.engine_service.risk.contexts import BUY, SELL, context, core_with, with_book

pytestmark = pytest.mark.anyio
D = Decimal
NUMBERS = {"measured": "1", "limit": "5"}
PLAN = BracketPlan(take_profit_bps=D(100), stop_loss_bps=D(200))


class Asked:
    """A rail that writes down what it is asked, and refuses the legs at one price."""

    def __init__(self, refused_at: str = "") -> None:
        self.legs: list[RiskContext] = []
        self._refused_at = refused_at

    def __call__(self, ctx: RiskContext) -> RiskRefused | None:
        self.legs.append(ctx)
        if str(ctx.price) == self._refused_at:
            return RiskRefused(code="MIN_NOTIONAL", reason="too small", numbers=NUMBERS)
        return None


async def test_both_legs_are_asked_about_as_they_would_stand_were_the_entry_to_fill_now() -> None:
    rail, ctx = Asked(), with_book(context(core_with()), "49999", "50000")
    assert leg_refused(ctx, PLAN, rail) is None
    assert [(leg.side, leg.price, leg.stop_price) for leg in rail.legs] == [
        (SELL, D("50500.00"), D("50500.00")),
        (SELL, D("49000.00"), D("49000.00")),
    ]
    assert {(leg.request.type, leg.request.reduce_only, leg.request.bracket) for leg in rail.legs} == {
        (OrderType.STOP_MARKET, True, None)
    }


async def test_the_legs_of_a_limit_order_stand_around_its_limit() -> None:
    rail, core = Asked(), core_with()
    leg_refused(context(core, limit_order("40000")), PLAN, rail)
    assert [leg.price for leg in rail.legs] == [D("40400.00"), D("39200.00")]
    assert {leg.limit_price for leg in rail.legs} == {None}


async def test_a_refusal_says_that_it_is_about_a_leg() -> None:
    rail, ctx = Asked("49000.00"), with_book(context(core_with()), "49999", "50000")
    refused = leg_refused(ctx, PLAN, rail)
    assert refused == RiskRefused(code="MIN_NOTIONAL", reason="a leg of the bracket: too small", numbers=NUMBERS)


async def test_without_a_price_that_counts_no_leg_is_judged() -> None:
    rail, ctx = Asked(), context(core_with())
    assert ctx.side is BUY
    assert leg_refused(replace(ctx, mark=None), PLAN, rail) is None
    assert leg_refused(with_book(ctx, "50001", "50000"), PLAN, rail) is None
    assert rail.legs == []
