"""A program in a loop: its burst leaves, the rest is refused, trading halts, and only a person lets it go on."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.order_status import OrderSide, OrderStatus
from engine_service.execution.answers import SubmitResult
from engine_service.execution.cancel import cancel_all
from engine_service.execution.core import EngineCore
from engine_service.execution.halt import resume
from engine_service.execution.recover import start_up
from engine_service.execution.submit import submit
from engine_service.risk import permissions
from tests.fakes.engine import fake, limit_order, make_core, mark_of, market_order, policy, refresh_marks, restart

pytestmark = pytest.mark.anyio
D = Decimal
BURST = 30
RUNAWAY_REFUSALS = int(permissions.RUNAWAY_REFUSALS)


def core_with(**limits: object) -> EngineCore:
    return make_core(limits=policy(**{"order_rate_per_min": str(BURST), **limits}))


async def ask(core: EngineCore, strategy: str = "loop", quantity: str = "0.001") -> SubmitResult:
    return await submit(core, market_order(quantity, strategy=strategy), mark_of())


async def storm(core: EngineCore, orders: int, *, per_second: int = 10_000, strategy: str = "loop") -> list[str]:
    """Ask for orders at a steady pace; return what each was told."""
    told = []
    for number in range(orders):
        if number % (per_second // 1000) == 0:
            fake(core).clock.advance(1)
        told.append((await ask(core, strategy)).code)
    return told


def halts(core: EngineCore) -> list[e.TradingHalted]:
    written = core.journal.events_after(0, core.journal.last_seq)
    return [recorded.event for recorded in written if isinstance(recorded.event, e.TradingHalted)]


def anomalies(core: EngineCore) -> list[e.Anomaly]:
    written = core.journal.events_after(0, core.journal.last_seq)
    return [recorded.event for recorded in written if isinstance(recorded.event, e.Anomaly)]


async def test_ten_thousand_orders_a_second_leave_as_one_burst_and_then_none_until_a_person_resumes() -> None:
    core = core_with()
    told = await storm(core, 10_000)
    assert (told[:BURST], told[BURST]) == ([""] * BURST, "ORDER_RATE_EXCEEDED")
    assert len(fake(core).submits) == BURST
    assert told[-1] == "TRADING_HALTED"
    assert RUNAWAY_REFUSALS <= told.count("ORDER_RATE_EXCEEDED") <= RUNAWAY_REFUSALS + 20
    for minutes in (1, 60, 24 * 60):
        fake(core).clock.advance(minutes * 60_000)
        refresh_marks(core, fake(core))
        assert (await ask(core)).code == "TRADING_HALTED"
    assert len(fake(core).submits) == BURST
    assert [halt.principal for halt in halts(core)] == ["engine"]
    assert "is loop in a loop?" in halts(core)[0].reason
    await resume(core, reason="the loop is mended", principal="me")
    assert (await ask(core)).order.status is OrderStatus.FILLED


async def test_a_restart_does_not_let_it_go_on() -> None:
    core = core_with()
    await storm(core, 1_100)
    again = restart(core, core.journal, core.journal.last_seq)
    await start_up(again, epoch=2, version="test")
    await again.settle()
    assert again.state.halted
    assert (await ask(again, strategy="another")).code == "TRADING_HALTED"


async def test_what_worked_is_cancelled_and_what_protects_stays() -> None:
    core = core_with(order_rate_per_min="2")
    await ask(core, quantity="0.01")
    entry = (await submit(core, limit_order("49000"), mark_of())).order
    stop = limit_order("51000", "0.005", side=OrderSide.SELL)
    protective = (await submit(core, replace(stop, reduce_only=True), mark_of())).order
    await storm(core, 1_100)
    await core.settle()
    assert core.state.halted
    after = [core.state.order(order.client_order_id) for order in (entry, protective)]
    assert [order.status for order in after if order is not None] == [OrderStatus.CANCELED, OrderStatus.ACCEPTED]


async def test_the_same_order_over_and_over_is_a_loop_too() -> None:
    core = core_with(duplicate_window_ms="500", order_rate_per_min="1000000")
    told = await storm(core, 1_100)
    assert RUNAWAY_REFUSALS <= told.count("DUPLICATE_ORDER") <= RUNAWAY_REFUSALS + 20
    assert told[-1] == "TRADING_HALTED"


async def test_many_names_are_one_storm() -> None:
    core = core_with()
    for number in range(BURST + RUNAWAY_REFUSALS):
        await ask(core, strategy=f"s{number}")
    assert core.state.halted


def known(core: EngineCore, strategy: str, *, on: bool = True, budget: str = "5000") -> None:
    """Set a strategy as a start does from its file, or as a person does."""
    changed = e.StrategyChanged(
        at_ms=0,
        strategy=strategy,
        enabled=on,
        dry_run=False,
        budget=D(budget),
        weight=D("0.5"),
        model_version="v7",
        principal="me",
    )
    core.record(changed)


async def test_a_strategy_in_a_loop_is_switched_off_and_the_others_trade_on() -> None:
    core = core_with()
    known(core, "loop")
    known(core, "honest")
    told = await storm(core, 10_000)
    assert len(fake(core).submits) == BURST
    assert RUNAWAY_REFUSALS <= told.count("ORDER_RATE_EXCEEDED") <= RUNAWAY_REFUSALS + 20
    assert told[-1] == "STRATEGY_DISABLED"
    settings = core.state.strategy("loop")
    assert settings is not None
    assert not settings.enabled
    assert (settings.budget, settings.weight, settings.model_version) == (D("5000"), D("0.5"), "v7")
    fake(core).clock.advance(60_000)
    refresh_marks(core, fake(core))
    refusal = await ask(core)
    assert (refusal.code, refusal.reason) == ("STRATEGY_DISABLED", "loop is switched off until a person enables it")
    assert refusal.numbers == {"measured": "false", "limit": "enabled: true", "acceptable": "enabled: true"}
    assert (await ask(core, strategy="honest")).order.status is OrderStatus.FILLED
    assert not halts(core)


async def test_a_restart_does_not_enable_it_and_a_person_does_for_a_whole_storm() -> None:
    core = core_with()
    known(core, "loop")
    await storm(core, 1_100)
    again = restart(core, core.journal, core.journal.last_seq)
    await start_up(again, epoch=2, version="test")
    await again.settle()
    assert (await ask(again)).code == "STRATEGY_DISABLED"
    again.gate.install(core.gate.policy)
    known(again, "loop")
    fake(again).clock.advance(60_000)
    refresh_marks(again, fake(again))
    assert (await ask(again)).order.status is OrderStatus.FILLED
    assert "STRATEGY_DISABLED" not in await storm(again, RUNAWAY_REFUSALS)
    assert (await storm(again, 200))[-1] == "STRATEGY_DISABLED"


async def test_a_person_who_enables_it_at_once_gives_it_a_whole_storm() -> None:
    core = core_with()
    known(core, "loop")
    assert (await storm(core, 1_100))[-1] == "STRATEGY_DISABLED"
    known(core, "loop")
    assert "STRATEGY_DISABLED" not in await storm(core, RUNAWAY_REFUSALS)


async def test_of_a_strategy_cut_off_its_entries_are_cancelled_and_it_may_still_reduce() -> None:
    core = core_with(order_rate_per_min="3")
    known(core, "loop")
    await ask(core, quantity="0.01")
    entry = (await submit(core, replace(limit_order("49000"), strategy="loop"), mark_of())).order
    other = (await submit(core, limit_order("49000"), mark_of())).order
    stop = replace(limit_order("51000", "0.005", side=OrderSide.SELL), reduce_only=True, strategy="loop")
    protective = (await submit(core, stop, mark_of())).order
    await storm(core, 1_100)
    await core.settle()
    after = [core.state.order(order.client_order_id) for order in (entry, other, protective)]
    ended = [order.client_order_id for order in after if order is not None and order.status is OrderStatus.CANCELED]
    assert ended == [entry.client_order_id]
    await cancel_all(core, principal="me", strategy="manual")
    closing = market_order("0.005", side=OrderSide.SELL, reduce_only=True, strategy="loop")
    assert (await submit(core, closing, mark_of())).order.status is OrderStatus.FILLED


async def test_the_refusals_of_two_strategies_are_no_storm_of_one() -> None:
    core = core_with()
    for name in ("one", "two"):
        known(core, name)
    for _ in range(RUNAWAY_REFUSALS - BURST):
        assert "STRATEGY_DISABLED" not in {(await ask(core, "one")).code, (await ask(core, "two")).code}
    assert not core.state.halted


async def test_a_strategy_that_its_budget_refuses_over_and_over_is_in_a_loop_too() -> None:
    core = core_with(order_rate_per_min="600")
    known(core, "loop", budget="100")
    told = await storm(core, 1_100)
    assert len(fake(core).submits) == 2
    assert RUNAWAY_REFUSALS <= told.count("STRATEGY_BUDGET_EXCEEDED") <= RUNAWAY_REFUSALS + 20
    assert told[-1] == "STRATEGY_DISABLED"
    reasons = [anomaly.detail for anomaly in anomalies(core)]
    assert reasons == ["1000 of its orders were refused within a minute: is loop in a loop?"]


async def test_a_strategy_is_not_in_a_loop_within_its_own_rate() -> None:
    core = core_with(order_rate_per_min="1500")
    known(core, "loop", budget="0")
    assert "STRATEGY_DISABLED" not in await storm(core, 1_499)
    assert (await storm(core, 200))[-1] == "STRATEGY_DISABLED"


async def test_exits_that_are_refused_switch_nothing_off() -> None:
    core = core_with()
    known(core, "loop")
    closing = market_order("0.005", side=OrderSide.SELL, reduce_only=True, strategy="loop")
    for _ in range(RUNAWAY_REFUSALS + 10):
        assert (await submit(core, closing, mark_of())).code == "REDUCE_ONLY"
    settings = core.state.strategy("loop")
    assert settings is not None
    assert settings.enabled


async def test_what_a_person_switched_off_takes_no_new_risk_under_its_name() -> None:
    core = core_with()
    known(core, "loop", on=False)
    assert (await ask(core)).code == "STRATEGY_DISABLED"
    assert (await ask(core, strategy="manual")).order.status is OrderStatus.FILLED


async def test_a_sender_that_is_merely_too_fast_is_refused_and_halts_nothing() -> None:
    core = core_with()
    for _ in range(3 * RUNAWAY_REFUSALS):
        fake(core).clock.advance(100)  # ten orders a second, for five minutes
        await ask(core)
    assert not core.state.halted


async def test_refusals_of_other_kinds_are_no_storm() -> None:
    core = core_with(max_notional="1")
    for _ in range(RUNAWAY_REFUSALS + 10):
        await ask(core)
    assert not core.state.halted


async def test_after_a_person_resumed_it_takes_a_whole_storm_again() -> None:
    core = core_with()
    await storm(core, 1_100)
    await resume(core, reason="look", principal="me")
    assert "ORDER_RATE_EXCEEDED" in await storm(core, 10)
    assert not halted(core)
    await storm(core, RUNAWAY_REFUSALS)
    assert halted(core)
    assert len(halts(core)) == 2


def halted(core: EngineCore) -> bool:
    return core.state.halted
