"""Orders at a venue of this process: intent, outcome and answer reach the disk together or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from itertools import count
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine_service.domain.apply import apply
from engine_service.domain.errors import Unavailable
from engine_service.domain.fill import Fill
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderStatus
from engine_service.domain.state import EngineState
from engine_service.execution.answers import SubmitStatus
from engine_service.execution.core import EngineCore
from engine_service.execution.submit import submit
from engine_service.storage.codec import encode_canonical
from engine_service.storage.port import Recorded
from engine_service.venues.reports import Accepted, OutcomeUnknown, Rejected, SubmitOutcome
from tests.fakes.engine import make_core, mark_of, market_order, open_journal, policy

pytestmark = pytest.mark.anyio


def filled(order: Order) -> Accepted:
    """Fill an order whole at 50,000."""
    assert order.quantity is not None
    fill = Fill(
        venue=order.venue,
        market=order.market,
        symbol=order.symbol,
        trade_id="1",
        client_order_id=order.client_order_id,
        venue_order_id="7",
        side=order.side,
        price=Decimal(50_000),
        quantity=order.quantity,
        fee=Decimal(0),
        fee_asset="USDT",
        at_ms=order.created_at_ms,
    )
    return Accepted(venue_order_id="7", status=OrderStatus.FILLED, fills=(fill,), executed_quantity=order.quantity)


def at_once(core: EngineCore, answer: SubmitOutcome | None = None) -> EngineCore:
    core.at_once = {"BINANCE": filled if answer is None else lambda order: answer}
    return core


def commits(core: EngineCore) -> list[list[str]]:
    """Return a list that collects the kinds of every group that becomes durable."""
    seen: list[list[str]] = []

    def note(batch: Sequence[Recorded]) -> None:
        seen.append([recorded.kind for recorded in batch])

    core.journal.on_commit(note)
    return seen


async def test_intent_outcome_and_answer_are_one_commit(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    core = at_once(make_core(journal=journal))
    await journal.flush()
    seen = commits(core)
    result = await submit(core, market_order(), mark_of())
    assert result.status is SubmitStatus.CREATED
    assert result.order.status is OrderStatus.FILLED
    assert seen == [["OrderInitialized", "OrderSubmitted", "OrderAccepted", "OrderFilled", "AnswerRecorded"]]
    stored = journal.order(result.order.client_order_id)
    assert stored is not None
    assert stored.status is OrderStatus.FILLED
    journal.close()


async def test_a_denied_order_is_one_commit_at_every_venue(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    core = make_core(journal=journal, limits=policy(trading_enabled="false"))
    await journal.flush()
    seen = commits(core)
    result = await submit(core, market_order(), mark_of())
    assert (result.status, result.code) == (SubmitStatus.DENIED, "TRADING_DISABLED")
    assert seen == [["OrderInitialized", "OrderDenied", "AnswerRecorded"]]
    journal.close()


async def test_the_same_key_again_gets_the_same_answer_and_no_second_order() -> None:
    core, mark = at_once(make_core()), mark_of("same-key-1")
    first, second = await asyncio.gather(submit(core, market_order(), mark), submit(core, market_order(), mark))
    assert sorted((first.replayed, second.replayed)) == [False, True]
    assert first.order == second.order
    assert len(core.state.image.orders) == 1


async def test_a_caller_that_goes_away_leaves_the_order_and_its_answer_behind(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    core, mark = at_once(make_core(journal=journal)), mark_of("gone-away-1")
    caller = asyncio.get_running_loop().create_task(submit(core, market_order(), mark))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await journal.flush()
    again = await submit(core, market_order(), mark)
    assert again.replayed
    assert again.order.status is OrderStatus.FILLED
    journal.close()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Rejected(code="VENUE_FILTER", reason="too small"), OrderStatus.REJECTED),
        (Rejected(code="VENUE_UNREACHABLE", reason="closed", not_sent=True), OrderStatus.NOT_PLACED),
        (OutcomeUnknown(reason="twice", duplicate=True), OrderStatus.IN_DOUBT),
    ],
)
async def test_every_other_outcome_is_recorded_as_after_a_wire(answer: SubmitOutcome, status: OrderStatus) -> None:
    core = at_once(make_core(), answer)
    result = await submit(core, market_order(), mark_of())
    assert result.order.status is status
    for task in core.tasks.values():
        task.cancel()


async def test_a_defect_of_the_venue_leaves_what_was_applied_in_the_journal() -> None:
    core, mark = make_core(), mark_of("defect-1")

    def broken(order: Order) -> SubmitOutcome:
        raise ZeroDivisionError

    core.at_once = {"BINANCE": broken}
    with pytest.raises(ZeroDivisionError):
        await submit(core, market_order(), mark)
    (order,) = core.state.image.orders.values()
    assert core.journal.order(order.client_order_id) == order
    assert order.status is OrderStatus.SUBMITTED


async def test_nothing_is_answered_when_the_commit_fails(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    core = at_once(make_core(journal=journal))
    await journal.flush()
    journal._connection.close()
    with pytest.raises(Unavailable):
        await submit(core, market_order(), mark_of())
    assert core.journal.failed


async def test_a_whole_life_recorded_as_one_unit_replays_to_the_same_state(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    core, trades = make_core(journal=journal), count(1)

    def place(order: Order) -> Accepted:
        done = filled(order)
        return replace(done, fills=tuple(replace(fill, trade_id=str(next(trades))) for fill in done.fills))

    core.at_once = {"BINANCE": place}
    for side in (OrderSide.BUY, OrderSide.SELL, OrderSide.BUY):
        await submit(core, market_order(side=side), mark_of())
    replayed = EngineState()
    for recorded in journal.events_after(0, 1_000):
        apply(replayed, recorded.event)
    assert core.state.image.counts["OrderFilled"] == 3
    assert encode_canonical(core.state.image) == encode_canonical(replayed.image)
    assert core.state.exposure.totals == replayed.exposure.totals
    journal.close()
