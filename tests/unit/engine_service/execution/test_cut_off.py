"""The end of the process while orders are under way: who waits is told, and no work begins behind the last."""

from __future__ import annotations

import asyncio

import pytest

from engine_service.domain.errors import Unavailable
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.cancel import CancelStatus, cancel
from engine_service.execution.submit import submit
from tests.fakes.engine import fake, limit_order, make_core, mark_of, market_order
from tests.fakes.venue import FakeVenue, Script

pytestmark = pytest.mark.anyio


async def until_cut_off(_venue: FakeVenue, _order: Order) -> None:
    await asyncio.Event().wait()


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_a_caller_whose_order_is_cut_off_is_told_where_it_is_and_to_ask_again() -> None:
    core = make_core()
    fake(core).scripts.append(Script(during=until_cut_off))
    asking = asyncio.create_task(submit(core, market_order(), mark_of()))
    await turns(20)
    (name,) = core.tasks
    await core.cut_off()
    with pytest.raises(Unavailable) as caught:
        await asking
    assert caught.value.code == "SHUTTING_DOWN"
    assert caught.value.retry_after_s == 5
    assert caught.value.location == name.replace("submit:", "/orders/")


async def test_work_that_the_last_work_leaves_behind_is_ended_too() -> None:
    core = make_core()
    cid = (await submit(core, limit_order("49000"), mark_of())).order.client_order_id
    fake(core).cancel_scripts.append(Script(during=until_cut_off))
    asking = asyncio.create_task(cancel(core, cid, principal="tester"))
    await turns(20)
    # Cut off, the cancel puts its order in doubt and leaves a resolver behind, which would ask for ever.
    fake(core).down = True
    await core.cut_off()
    assert core.tasks == {}
    order = core.state.order(cid)
    assert order is not None
    assert order.status is OrderStatus.IN_DOUBT
    assert (await asking).status is CancelStatus.PENDING
