"""Where the day of the daily loss begins."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from engine_service.domain.ids import Market
from engine_service.execution.core import EngineCore
from engine_service.execution.equity import DAY_MS, record_equity
from engine_service.execution.submit import submit
from engine_service.venues.reports import Quote
from tests.fakes.engine import fake, make_core, mark_of, market_order

pytestmark = pytest.mark.anyio
D = Decimal


async def test_a_wall_clock_that_jumps_over_midnight_forgives_no_loss() -> None:
    core = make_core()
    venue = fake(core)
    await submit(core, market_order("0.1"), mark_of())
    began = await record_equity(core)
    lose(core)
    for step_ms in (DAY_MS, -DAY_MS):
        venue.clock.set_ms(core.clock.now_ms() + step_ms)
        venue.clock_ahead_ms -= step_ms
        assert (await record_equity(core)).day_start == began.day_start


async def test_a_day_begins_at_midnight_of_the_venue() -> None:
    core = make_core()
    await submit(core, market_order("0.1"), mark_of())
    began = await record_equity(core)
    lose(core)
    fake(core).clock_ahead_ms += DAY_MS
    now = await record_equity(core)
    assert now.day_start == now.equity < began.day_start


@pytest.mark.parametrize(("days_ago", "kept"), [(0, True), (1, False)])
async def test_a_sample_without_a_day_is_of_the_day_of_its_time(days_ago: int, kept: bool) -> None:
    core = make_core()
    sample = await record_equity(core)
    await core.commit(replace(sample, day=UNSET, at_ms=sample.at_ms - days_ago * DAY_MS, day_start=D(12_345)))
    assert (await record_equity(core)).day_start == (D(12_345) if kept else sample.equity)


def lose(core: EngineCore) -> None:
    """Let the market fall by a tenth."""
    core.update_quote(
        Quote(
            symbol="BTCUSDT.BINANCE",
            market=Market.SPOT,
            bid=D(45_000),
            ask=D(45_000),
            bid_quantity=D(1),
            ask_quantity=D(1),
            received_at_s=core.clock.monotonic_s(),
        )
    )
