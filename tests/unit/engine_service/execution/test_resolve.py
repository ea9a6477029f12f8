"""What settles a doubt and what does not: the fence, two endpoints, failed reads, late appearances."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from engine_service.domain import events as e
from engine_service.domain.ids import Market
from engine_service.domain.order import Order
from engine_service.domain.order_status import Doubt, OrderStatus
from engine_service.execution.apply_report import apply_report
from engine_service.execution.cancel import cancel
from engine_service.execution.core import EngineCore
from engine_service.execution.resolution import Ask, Case, Now, Record, begin, step
from engine_service.execution.submit import submit
from engine_service.venues.reports import NotFoundReport, ReadFailed
from tests.fakes.engine import fake, limit_order, make_core, mark_of, market_order
from tests.fakes.venue import Script, unknown
from tests.unit.engine_service.venues import builders

pytestmark = pytest.mark.anyio
D = Decimal


async def doubtful(core: EngineCore, *, placed: bool) -> Order:
    fake(core).scripts.append(Script(act=placed, rest=True, say=unknown()))
    return (await submit(core, limit_order("49000"), mark_of())).order


async def turn() -> None:
    """Let every other task run once."""
    await asyncio.sleep(0)


def order_of(core: EngineCore, cid: str) -> Order:
    order = core.state.order(cid)
    assert order is not None
    return order


async def test_not_found_before_the_fence_proves_nothing() -> None:
    core = make_core()
    venue = fake(core)
    order = await doubtful(core, placed=False)
    while venue.venue_time_ms() <= order.fence_at_ms - 3_000:
        await turn()
        assert order_of(core, order.client_order_id).status is OrderStatus.IN_DOUBT
    assert venue.reads.count("order") > 4
    assert "open" not in venue.reads
    await core.settle()
    settled = order_of(core, order.client_order_id)
    assert settled.status is OrderStatus.NOT_PLACED
    assert venue.venue_time_ms() > order.fence_at_ms + 2_000
    assert core.state.image.tombstones[order.client_order_id] > core.clock.now_ms() + 71 * 3_600_000


async def test_absence_takes_two_endpoints_two_seconds_apart() -> None:
    once = Case().without("order", 10.0)
    assert not once.without("order", 20.0).proves_absence
    assert not once.without("open", 11.9).proves_absence
    assert once.without("open", 12.0).proves_absence


async def test_an_order_that_lands_late_but_before_the_fence_is_found() -> None:
    core = make_core()
    venue = fake(core)
    order = await doubtful(core, placed=False)
    while venue.venue_time_ms() <= order.sent_at_ms + 12_000:
        await turn()
    venue.place(order, Script(rest=True))
    await core.settle()
    assert order_of(core, order.client_order_id).status is OrderStatus.ACCEPTED
    assert len(venue.submits) == 1


async def test_failed_reads_are_no_evidence_however_many_and_the_symbol_is_restricted() -> None:
    core = make_core()
    venue = fake(core)
    venue.down = True
    order = await doubtful(core, placed=False)
    while venue.venue_time_ms() <= order.fence_at_ms + 70_000:
        await turn()
    assert order_of(core, order.client_order_id).status is OrderStatus.IN_DOUBT
    assert core.state.restriction("BTCUSDT.BINANCE", Market.SPOT, core.clock.now_ms()) is not None
    assert core.state.image.counts["Anomaly"] == 1
    venue.down = False
    await core.settle()
    assert order_of(core, order.client_order_id).status is OrderStatus.NOT_PLACED
    assert core.state.restriction("BTCUSDT.BINANCE", Market.SPOT, core.clock.now_ms()) is None


@pytest.mark.parametrize("outage_s", [40, 400])
async def test_a_doubt_that_outlived_a_long_outage_calls_nobody_before_the_venue_was_asked_in_vain_for_long(
    outage_s: int,
) -> None:
    doubt = builders.limit_order(status=OrderStatus.IN_DOUBT, doubt=Doubt.SUBMIT, fence_at_ms=1_000_000)

    def now(after_s: float) -> Now:
        at_ms = 1_000_000 + round((outage_s + after_s) * 1000)
        return Now(venue_ms=at_ms, wall_ms=at_ms, monotonic_s=after_s, window_ms=18_000)

    case, (ask,) = step(begin(at_once=True), doubt, None, now(0.0))
    assert isinstance(ask, Ask)
    alarms: list[tuple[float, str]] = []
    for second in range(1, 70):
        case, commands = step(case, doubt, ReadFailed(reason="scripted"), now(second))
        records = [command for command in commands if isinstance(command, Record)]
        alarms += [(second, type(event).__name__) for record in records for event in record.events]
    restricted, called = alarms
    assert called[1] == "Anomaly"
    assert 30 < called[0] <= 33
    assert restricted[1] == "SymbolRestricted"
    # The symbol is stopped by the fence alone: after a long outage with the first answer that proves nothing.
    assert restricted[0] <= (23 if outage_s == 40 else 1)


async def test_people_are_called_also_where_the_venues_clock_was_set_back_so_that_the_fence_is_far() -> None:
    core = make_core()
    venue = fake(core)
    order = await doubtful(core, placed=False)
    window_s = venue.info.window.fence_ms / 1000
    await turn()
    venue.clock_ahead_ms -= 3_600_000
    begun_s = core.clock.monotonic_s()
    while core.clock.monotonic_s() < begun_s + window_s + 70:
        await turn()
    assert order_of(core, order.client_order_id).status is OrderStatus.IN_DOUBT
    told = [recorded.event for recorded in core.journal.events_after(0, 100)]
    assert [event.kind for event in told if isinstance(event, e.Anomaly)] == ["in_doubt_long"]
    assert core.state.restriction(order.symbol, order.market, core.clock.now_ms()) is not None
    venue.clock_ahead_ms += 3_600_000
    await core.settle()
    assert order_of(core, order.client_order_id).status is OrderStatus.NOT_PLACED


async def test_one_negative_read_between_failures_is_not_enough() -> None:
    core = make_core()
    venue = fake(core)
    order = await doubtful(core, placed=False)
    venue.query_answers.extend([ReadFailed(reason="x")] * 12 + [NotFoundReport(endpoint="order")])
    while venue.query_answers:
        await turn()
    venue.down = True
    for _ in range(50):
        await asyncio.sleep(0)
    assert order_of(core, order.client_order_id).status is OrderStatus.IN_DOUBT
    venue.down = False
    await core.settle()


async def test_an_order_that_appears_after_it_was_proved_absent_is_resurrected_and_its_symbol_stopped() -> None:
    core = make_core()
    venue = fake(core)
    order = await doubtful(core, placed=False)
    await core.settle()
    venue.place(order, Script(rest=True))
    fill = venue.fill(order.client_order_id, D("0.0004"), D("49000"))
    apply_report(core, venue.report(order.client_order_id, with_fill=fill))
    back = order_of(core, order.client_order_id)
    assert back.status is OrderStatus.PARTIALLY_FILLED
    kinds = [recorded.kind for recorded in core.journal.order_history(order.client_order_id)]
    assert "OrderResurrected" in kinds
    assert core.state.restriction("BTCUSDT.BINANCE", Market.SPOT, core.clock.now_ms()) is not None
    await core.settle()
    assert venue.cancels == [order.client_order_id]
    assert order_of(core, order.client_order_id).status is OrderStatus.CANCELED
    assert core.state.portfolio.holding("BINANCE", Market.SPOT, "BTC") == D("0.0004")


async def test_a_cancel_wished_for_during_the_doubt_is_sent_once_it_is_settled() -> None:
    core = make_core()
    core.answer_deadline_s = 0.01
    order = await doubtful(core, placed=True)
    await cancel(core, order.client_order_id, principal="tester")
    await core.settle()
    assert order_of(core, order.client_order_id).status is OrderStatus.CANCELED
    assert fake(core).cancels == [order.client_order_id]


async def test_a_market_order_in_doubt_that_traded_is_found_with_its_fills() -> None:
    core = make_core()
    fake(core).scripts.append(Script(act=True, say=unknown()))
    result = await submit(core, market_order(), mark_of())
    await core.settle()
    assert order_of(core, result.order.client_order_id).filled_quantity == D("0.001")
    assert isinstance(core.journal.order_history(result.order.client_order_id)[-1].event, e.OrderFilled)
