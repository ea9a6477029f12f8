"""What a flatten names as left: also what came, or stayed, while it closed."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from engine_service.domain.ids import Market
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.core import EngineCore
from engine_service.execution.halt import STILL_HELD, flatten
from engine_service.execution.submit import submit
from engine_service.venues.reports import ReadFailed
from tests.fakes.engine import fake, make_core, mark_of, market_order
from tests.fakes.venue import FakeVenue, Script, unknown

pytestmark = pytest.mark.anyio
D = Decimal
BTC, ETH = "BTCUSDT.BINANCE", "ETHUSDT.BINANCE"


def held(core: EngineCore, asset: str) -> Decimal:
    return core.state.portfolio.holding("BINANCE", Market.SPOT, asset)


async def test_a_doubt_that_is_settled_as_filled_while_others_close_is_no_flat_book() -> None:
    core = make_core()
    core.answer_deadline_s = 0.01
    await submit(core, market_order("0.002"), mark_of())
    fake(core).scripts.append(Script(say=unknown()))
    fake(core).query_answers.extend([ReadFailed(reason="HTTP 503")] * 10_000)
    doubtful = await submit(core, market_order("0.1", symbol=ETH), mark_of())

    async def settled(venue: FakeVenue, order: Order) -> None:
        venue.query_answers.clear()
        while doubtful.order.client_order_id in core.state.in_doubt:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0)

    core.answer_deadline_s = 2.5
    fake(core).scripts.append(Script(during=settled))
    result = await flatten(core, idem=mark_of(), principal="me")
    assert [closing.order.symbol for closing in result.orders] == [BTC]
    assert held(core, "ETH") > 0
    assert result.left == {ETH: STILL_HELD}
    assert (await flatten(core, idem=mark_of(), principal="me")).left == {}
    assert held(core, "ETH") == 0


async def test_a_position_that_was_closed_in_part_is_named() -> None:
    core = make_core()
    await submit(core, market_order("0.002"), mark_of())
    fake(core).scripts.append(Script(fill_part=D("0.001")))
    result = await flatten(core, idem=mark_of(), principal="me")
    assert [closing.order.status for closing in result.orders] == [OrderStatus.PARTIALLY_FILLED]
    assert held(core, "BTC") == D("0.001")
    assert result.left == {BTC: STILL_HELD}
