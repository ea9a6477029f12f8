"""A crash after every single event of a session: what the journal kept is enough to reach the venue's own truth."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from engine_service.domain import events as e
from engine_service.domain.apply import apply
from engine_service.domain.ids import Market
from engine_service.domain.order_status import OrderSide, OrderStatus
from engine_service.domain.state import EngineState
from engine_service.execution.amend import amend
from engine_service.execution.answers import SubmitStatus
from engine_service.execution.apply_report import apply_report
from engine_service.execution.cancel import cancel
from engine_service.execution.core import EngineCore, Phase
from engine_service.execution.equity import record_equity
from engine_service.execution.halt import halt
from engine_service.execution.reconcile_figures import BETWEEN_READS_S
from engine_service.execution.recover import start_up
from engine_service.execution.submit import submit
from engine_service.storage.memory import MemoryJournal
from engine_service.storage.port import Entry
from engine_service.storage.projections import projections_of
from engine_service.storage.restore import restore
from engine_service.venues.port import VenueUnavailable
from engine_service.venues.reports import AccountSnapshot
from tests.fakes.engine import fake, limit_order, make_core, mark_of, market_order, restart
from tests.fakes.venue import FakeVenue, Script, unknown

pytestmark = pytest.mark.anyio
D = Decimal


#: Where a crash can cut the session below: everywhere but between the two events of one transaction.
CUTS = [seen for seen in range(2, 22) if seen not in {3, 8, 16}]


async def session(core: EngineCore) -> None:
    """Trade, rest, change, cancel, doubt: everything that has steps between which a process can die."""
    await submit(core, market_order("0.003"), mark_of("buy"))
    resting = (await submit(core, limit_order("49000", "0.002"), mark_of("rest"))).order.client_order_id
    await amend(core, resting, quantity=D("0.001"), principal="me", mark=mark_of("shrink"))
    await cancel(core, resting, principal="me")
    fake(core).scripts.append(Script(act=True, say=unknown()))
    await submit(core, market_order("0.001", side=OrderSide.SELL), mark_of("doubt"))
    await core.settle()


def died_after(core: EngineCore, events: int) -> MemoryJournal:
    """Return the journal of a process that died when so many events were on disk."""
    kept, state = MemoryJournal(), EngineState()
    for recorded in core.journal.events_after(0, events):
        apply(state, recorded.event)
        projections = projections_of(state, recorded, core.account)
        kept.append([Entry(recorded=recorded, projections=projections)])
    return kept


async def recovered(core: EngineCore, journal: MemoryJournal) -> EngineCore:
    again = restart(core, journal, journal.last_seq)
    await start_up(again, epoch=2, version="test")
    await again.settle()
    return again


def assert_equals_the_venue(core: EngineCore) -> None:
    venue = fake(core)
    for (market, asset), amount in venue.balances.items():
        assert core.state.portfolio.holding("BINANCE", market, asset) == amount
    for cid, record in venue.orders.items():
        order = core.state.order(cid)
        assert order is not None
        assert (order.status.is_terminal, order.filled_quantity) == (record.status.is_terminal, record.executed)
    assert core.state.portfolio.identity_error == 0
    assert core.state.portfolio.transfers == 0
    assert core.state.in_doubt == {}


async def test_after_the_whole_session_a_restart_is_the_same_engine() -> None:
    core = make_core()
    await session(core)
    again = await recovered(core, died_after(core, core.journal.last_seq))
    assert_equals_the_venue(again)
    assert again.ready


@pytest.mark.parametrize("seen", CUTS)
async def test_a_crash_after_any_event_recovers_to_the_venues_truth_without_a_second_send(seen: int) -> None:
    core = make_core()
    await session(core)
    assert core.journal.last_seq == 21
    sent = len(fake(core).submits)
    journal = died_after(core, min(seen, core.journal.last_seq))
    known = {row for row in fake(core).orders if journal.order(row) is not None}
    # What this journal never heard of was never sent by the process that wrote it.
    forget_unsent(fake(core), known)
    again = await recovered(core, journal)
    assert len(fake(again).submits) == sent
    assert_equals_the_venue(again)


def forget_unsent(venue: FakeVenue, known: set[str]) -> None:
    """Take back what happened at the venue after the crash."""
    for cid in [cid for cid in venue.orders if cid not in known]:
        del venue.orders[cid]
    trades = [fill for fill in venue.trades if fill.client_order_id in known]
    venue.trades = trades
    venue.balances = {(Market.SPOT, "USDT"): D("10000")}
    for fill in trades:
        sign = fill.side.sign
        for asset, amount in (("BTC", fill.quantity * sign), ("USDT", -fill.price * fill.quantity * sign - fill.fee)):
            venue.balances[(Market.SPOT, asset)] = venue.balances.get((Market.SPOT, asset), D(0)) + amount


async def test_an_intent_that_never_left_is_proved_absent_and_never_sent() -> None:
    core = make_core()
    fake(core).scripts.append(Script(act=False, say=unknown()))
    fake(core).down = True
    result = await submit(core, market_order(), mark_of("lost"))
    for task in list(core.tasks.values()):
        task.cancel()
    fake(core).down = False
    again = await recovered(core, died_after(core, 4))
    order = again.state.order(result.order.client_order_id)
    assert order is not None
    assert order.status is OrderStatus.NOT_PLACED
    assert len(fake(again).submits) == 1
    replay = await submit(again, market_order(), mark_of("lost"))
    assert (replay.replayed, replay.status) == (True, SubmitStatus.NOT_PLACED)


async def test_a_key_survives_the_crash_exactly_when_its_order_does() -> None:
    core = make_core()
    first = await submit(core, market_order(), mark_of("key"))
    journal = died_after(core, core.journal.last_seq)
    again = await recovered(core, journal)
    replay = await submit(again, market_order(), mark_of("key"))
    assert (replay.order, replay.fills, replay.status) == (first.order, first.fills, first.status)
    assert len(fake(again).submits) == 1


async def test_after_a_crash_a_caller_is_told_the_same_words_even_when_the_order_moved_on() -> None:
    core = make_core()
    first = await submit(core, limit_order("49000"), mark_of("key"))
    fill = fake(core).fill(first.order.client_order_id, D("0.001"))
    apply_report(core, fake(core).report(first.order.client_order_id, with_fill=fill))
    again = await recovered(core, died_after(core, core.journal.last_seq))
    replay = await submit(again, limit_order("49000"), mark_of("key"))
    assert (replay.order, replay.answered_at_ms) == (first.order, first.answered_at_ms)
    assert replay.order.status is OrderStatus.ACCEPTED


async def test_a_halt_survives_a_restart() -> None:
    core = make_core()
    await halt(core, reason="drill", principal="me")
    again = await recovered(core, died_after(core, core.journal.last_seq))
    assert again.state.halted
    assert (await submit(again, market_order(), mark_of())).code == "TRADING_HALTED"


async def test_recovery_that_dies_ten_times_ends_in_the_same_place() -> None:
    core = make_core()
    await session(core)
    journal = died_after(core, 4)
    forget_unsent(fake(core), {row for row in fake(core).orders if journal.order(row) is not None})
    for epoch in range(10):
        again = restart(core, journal, journal.last_seq)
        await start_up(again, epoch=epoch, version="test")
    await again.settle()
    assert_equals_the_venue(again)


async def test_the_engine_is_not_ready_before_the_venue_answered() -> None:
    core = make_core(ready=False, cash=None)
    fake(core).down = True
    waits: list[str] = []
    clock = fake(core).clock

    async def sleep(seconds: float) -> None:
        waits.append(core.not_ready_because[0])
        clock.advance(round(seconds * 1000))
        assert not core.ready
        fake(core).down = len(waits) < 3

    core.sleep = sleep
    report = await start_up(core, epoch=1, version="test")
    assert waits[:3] == ["venue BINANCE: VENUE_DOWN: scripted"] * 3
    assert (core.phase, report.reconciliation.ok) == (Phase.READY, True)
    assert core.state.portfolio.starting_equity == D("10000")


@pytest.mark.parametrize("at", ["open", "comparison"])
async def test_a_start_waits_as_long_as_the_venue_said_and_says_until_when(
    at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = make_core(ready=False, cash=None)
    clock, waits = fake(core).clock, list[tuple[float, str]]()
    limited, again = VenueUnavailable("VENUE_RATE_LIMITED", "-1003", 43.0), [1]

    async def sleep(seconds: float) -> None:
        waits.append((seconds, core.not_ready_because[0]))
        clock.advance(round(seconds * 1000))

    async def refused(*_: object) -> None:
        if again:
            again.pop()
            raise limited

    core.sleep = sleep
    if at == "open":
        monkeypatch.setattr(fake(core), "open", refused)
    else:
        snapshot = fake(core).account

        async def later(market: Market) -> AccountSnapshot:
            await refused()
            return await snapshot(market)

        monkeypatch.setattr(fake(core), "account", later)
    until = datetime.fromtimestamp(clock.now_ms() / 1000 + 43, UTC)
    await start_up(core, epoch=1, version="test")
    told = f"venue BINANCE: VENUE_RATE_LIMITED: -1003, not asked again before {until:%H:%M:%S} UTC"
    assert [wait for wait in waits if wait[0] > BETWEEN_READS_S] == [(43.0, told)]
    assert core.phase is Phase.READY


async def test_a_comparison_that_fails_at_the_start_says_why_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(ready=False, cash=None)
    snapshot, why = fake(core).account, ["the account is in hedge mode"]

    async def account(market: Market) -> AccountSnapshot:
        if why:
            raise VenueUnavailable("VENUE_ANSWER_UNREADABLE", why.pop())
        return await snapshot(market)

    monkeypatch.setattr(fake(core), "account", account)
    with capture_logs() as said:
        await start_up(core, epoch=1, version="test")
    told = [line["causes"] for line in said if line["event"] == "the first comparison failed"]
    assert told == [{"BINANCE": "VENUE_ANSWER_UNREADABLE: the account is in hedge mode"}]


async def test_peak_and_days_start_survive_a_restart() -> None:
    core = make_core()
    await submit(core, market_order("0.1"), mark_of())
    fake(core).prices["BTCUSDT.BINANCE"] = D("60000")
    again = make_core(venue=fake(core), journal=core.journal, state=core.state, cash=None)
    sample = await record_equity(again)
    assert sample.peak == sample.equity > D("10900")
    restored = restore(core.journal, newest_seq=core.journal.last_seq, snapshots=None)
    assert isinstance(restored.state.image.equity, e.EquityRecorded)
    assert restored.state.image.equity.peak == sample.peak
