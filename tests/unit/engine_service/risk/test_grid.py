"""Figures off the grid: a caller's own are refused with the nearest ones that pass, the engine's are rounded."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine_service.domain.bracket import BracketPlan
from engine_service.domain.errors import InvalidRequest
from engine_service.domain.ids import Market
from engine_service.domain.order import OrderRequest
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType
from engine_service.execution.amend import amend
from engine_service.execution.answers import SubmitStatus
from engine_service.execution.prepare import risk_context
from engine_service.execution.submit import submit
from engine_service.execution.what_if import what_if
from tests.fakes.engine import fake, limit_order, make_core, mark_of, market_order, opening
from tests.fakes.venue import INSTRUMENTS

D = Decimal
STOP = replace(market_order(side=OrderSide.SELL), type=OrderType.STOP_MARKET)
BRACKET = BracketPlan(take_profit=D("51000"), stop_loss=D("49000"))

OFF_GRID = [
    (market_order("0.0010000001"), "QUANTITY_STEP", "0.00001", "0.001", "0.00101"),
    (limit_order("49000", "0.001005"), "QUANTITY_STEP", "0.00001", "0.001", "0.00101"),
    (limit_order("49000.001"), "PRICE_TICK", "0.01", "49000", "49000.01"),
    (limit_order("50500.019", side=OrderSide.SELL), "PRICE_TICK", "0.01", "50500.01", "50500.02"),
    (replace(STOP, stop_price=D("49000.005")), "PRICE_TICK", "0.01", "49000", "49000.01"),
    (
        replace(STOP, type=OrderType.STOP_LIMIT, stop_price=D("49000"), limit_price=D("48990.005")),
        *("PRICE_TICK", "0.01", "48990", "48990.01"),
    ),
    (
        replace(market_order(), bracket=replace(BRACKET, take_profit=D("51000.123"))),
        *("PRICE_TICK", "0.01", "51000.12", "51000.13"),
    ),
    (
        replace(market_order(), bracket=replace(BRACKET, stop_loss=D("48999.999"))),
        *("PRICE_TICK", "0.01", "48999.99", "49000"),
    ),
    (limit_order("0.001"), "PRICE_TICK", "0.01", "0.01", "0.01"),
]
ON_GRID = [
    market_order("0.00101"),
    market_order("0.001000000"),
    limit_order("49000.01"),
    limit_order("49000.0100"),
    replace(STOP, stop_price=D("49000.01")),
    replace(market_order(), bracket=BRACKET),
    replace(market_order(), quantity=None, quote_quantity=D("61.234567")),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("request_", "code", "grid", "below", "above"), OFF_GRID)
async def test_a_callers_figure_off_the_grid_is_refused_with_the_nearest_ones(
    request_: OrderRequest, code: str, grid: str, below: str, above: str
) -> None:
    core = make_core()
    core.record(opening(core, Market.SPOT, "BTC", D("0.01"), D("50000")))
    answer = await submit(core, request_, mark_of(), as_written=True)
    assert (answer.status, answer.code) == (SubmitStatus.DENIED, code)
    told = {name: answer.numbers[name] for name in ("limit", "acceptable", "acceptable_above")}
    assert told == {"limit": grid, "acceptable": below, "acceptable_above": above}
    assert fake(core).submits == []
    asked = await what_if(core, request_, as_written=True)
    (rail,) = [rail for rail in asked.rails if rail.code == code]
    assert (rail.passed, rail.numbers["acceptable"]) == (False, below)


@pytest.mark.anyio
@pytest.mark.parametrize("request_", ON_GRID)
async def test_a_callers_figure_on_the_grid_passes_and_is_sent_as_it_is(request_: OrderRequest) -> None:
    core = make_core()
    core.record(opening(core, Market.SPOT, "BTC", D("0.01"), D("50000")))
    fake(core).deposit("BTC", D("0.01"))
    answer = await submit(core, request_, mark_of(), as_written=True)
    assert answer.status is SubmitStatus.CREATED
    (sent,) = fake(core).submits
    assert request_.quantity in (None, sent.quantity)
    assert (sent.limit_price, sent.stop_price) == (request_.limit_price, request_.stop_price)


@pytest.mark.anyio
@pytest.mark.parametrize("request_", [market_order("0.0010000001"), limit_order("49000.001")])
async def test_figures_that_the_engine_worked_out_are_rounded(request_: OrderRequest) -> None:
    core = make_core()
    assert (await submit(core, request_, mark_of())).status is SubmitStatus.CREATED
    (sent,) = fake(core).submits
    assert (sent.quantity, sent.limit_price in (None, D("49000"))) == (D("0.001"), True)


@pytest.mark.anyio
async def test_less_than_a_step_still_says_that_it_rounds_to_nothing() -> None:
    answer = await submit(make_core(), market_order("0.000000001"), mark_of(), as_written=True)
    assert answer.code == "QUANTITY_ROUNDS_TO_ZERO"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("change", "code", "below", "above"),
    [
        ({"limit_price": D("49500.001")}, "PRICE_TICK", "49500", "49500.01"),
        ({"quantity": D("0.0015001")}, "QUANTITY_STEP", "0.0015", "0.00151"),
    ],
)
async def test_a_change_off_the_grid_is_refused_and_the_order_works_on(
    change: dict[str, Decimal], code: str, below: str, above: str
) -> None:
    core = make_core()
    cid = (await submit(core, limit_order("49000", "0.002"), mark_of())).order.client_order_id
    with pytest.raises(InvalidRequest) as refused:
        await amend(core, cid, principal="tester", mark=mark_of("key-1"), **change)
    assert refused.value.code == code
    assert (refused.value.numbers["acceptable"], refused.value.numbers["acceptable_above"]) == (below, above)
    order = core.state.order(cid)
    assert order is not None
    assert (order.status, order.limit_price, order.quantity) == (OrderStatus.ACCEPTED, D("49000"), D("0.002"))


@pytest.mark.anyio
async def test_a_market_order_is_held_to_the_venues_step_for_market_orders() -> None:
    core = make_core()
    coarse = replace(INSTRUMENTS[0], market_step=D("0.001"))
    core.instruments[(coarse.symbol, coarse.market)] = coarse
    market = core.gate.check(risk_context(core, market_order("0.0015"), as_written=True))
    assert (getattr(market, "code", ""), getattr(market, "numbers", {}).get("limit")) == ("QUANTITY_STEP", "0.001")
    limit = core.gate.check(risk_context(core, limit_order("49000", "0.0015"), as_written=True))
    assert getattr(limit, "code", "") == ""
