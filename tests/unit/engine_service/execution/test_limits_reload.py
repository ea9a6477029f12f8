"""Limits changed while orders are judged: each order by one version, which its row names and the journal explains."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Sequence
from decimal import Decimal

import pytest

from engine_service.domain import events as e
from engine_service.domain.errors import InvalidRequest
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.core import EngineCore
from engine_service.execution.submit import submit
from engine_service.runtime.risk_changes import change_limits, reload_limits
from engine_service.storage.memory import MemoryJournal
from engine_service.storage.port import Entry
from tests.fakes.engine import make_core, mark_of, market_order, policy

pytestmark = pytest.mark.anyio
D = Decimal


class SlowJournal(MemoryJournal):
    """What is appended is durable a few turns later, as on a disk."""

    def append(self, entries: Sequence[Entry]) -> Future[int]:
        stored, durable = super().append(entries), asyncio.get_running_loop().create_future()

        def later(turns: int) -> None:
            if turns:
                asyncio.get_running_loop().call_soon(later, turns - 1)
            else:
                durable.set_result(stored.result())

        later(5)
        return durable


def slow_core() -> EngineCore:
    return make_core(journal=SlowJournal())


async def _change(core: EngineCore, number: int) -> None:
    """To 40 or 60: an order of 50 passes some versions and not the others."""
    await change_limits(core, {"max_notional": str(60 if number % 2 else 40)}, "me", f"change {number}")


def _limits(core: EngineCore) -> dict[int, Decimal]:
    """Return the largest value that each version of the journal allows."""
    written = core.journal.events_after(0, core.journal.last_seq)
    return {
        r.event.version: D(r.event.values["max_notional"]) for r in written if isinstance(r.event, e.RiskConfigChanged)
    }


async def test_every_order_is_judged_by_the_version_that_its_row_names() -> None:
    core = slow_core()
    await change_limits(core, {"max_notional": "60"}, "me", "begin")

    async def ask() -> None:
        for _ in range(10):
            await submit(core, market_order(), mark_of())

    async def change(person: int) -> None:
        for number in range(20):
            await _change(core, number + person)

    await asyncio.gather(*(ask() for _ in range(10)), change(0), change(1))
    limits, orders = _limits(core), list(core.state.image.orders.values())
    assert len(orders) == 100
    assert {order.status for order in orders} == {OrderStatus.FILLED, OrderStatus.DENIED}
    for order in orders:
        passed = order.status is OrderStatus.FILLED
        assert passed is (limits[order.policy_version] >= 50), order


async def test_an_orders_row_comes_after_the_version_it_names() -> None:
    core = slow_core()
    await asyncio.gather(
        *(_change(core, number) for number in range(20)),
        *(submit(core, market_order(), mark_of()) for _ in range(20)),
    )
    versions = {core.gate.policy.version - 20}
    for recorded in core.journal.events_after(0, core.journal.last_seq):
        if isinstance(recorded.event, e.RiskConfigChanged):
            versions.add(recorded.event.version)
        if isinstance(recorded.event, e.OrderInitialized):
            assert recorded.event.order.policy_version in versions


async def test_changes_at_once_are_versions_of_their_own_and_none_is_lost() -> None:
    core = slow_core()
    before = core.gate.policy.version
    keys = ("max_notional", "daily_loss", "equity_floor", "symbol_exposure_cap")
    await asyncio.gather(*(change_limits(core, {key: "77"}, "me", "at once") for key in keys))
    assert core.gate.policy.version == before + len(keys)
    assert [core.gate.policy.as_text()[key] for key in keys] == ["77"] * len(keys)
    assert sorted(_limits(core)) == [before + 1 + number for number in range(len(keys))]
    assert core.state.image.risk_values == core.gate.policy.as_text()


async def test_a_reload_is_the_next_version_and_a_value_out_of_range_changes_nothing() -> None:
    core = slow_core()
    before = core.gate.policy
    with pytest.raises(InvalidRequest):
        await change_limits(core, {"max_notional": "-1"}, "me", "slip")
    assert core.gate.policy is before
    await reload_limits(core, policy(max_notional="123"), "me")
    assert (core.gate.policy.version, core.gate.policy.max_notional) == (before.version + 1, D(123))
