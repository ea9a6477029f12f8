"""A key that is still being worked on: whoever asks again is told where the order will be found."""

from __future__ import annotations

import asyncio

import pytest

from engine_service.domain.errors import Conflict
from engine_service.domain.order import Order
from engine_service.execution import same_key
from engine_service.execution.answers import SubmitStatus
from engine_service.execution.same_key import claim
from engine_service.execution.submit import submit
from engine_service.storage.port import StoredAnswer
from tests.fakes.engine import fake, limit_order, make_core, mark_of
from tests.fakes.venue import FakeVenue, Script

pytestmark = pytest.mark.anyio


async def test_who_asks_again_too_soon_is_told_when_and_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(same_key, "SAME_REQUEST_WAIT_S", 0.05)
    core = make_core()
    answered = asyncio.Event()

    async def slow(venue: FakeVenue, order: Order) -> None:
        await answered.wait()

    fake(core).scripts.append(Script(during=slow))
    mark = mark_of("one-intent")
    first = asyncio.ensure_future(submit(core, limit_order("49000"), mark))
    await asyncio.sleep(0)
    with pytest.raises(Conflict) as told:
        await submit(core, limit_order("49000"), mark)
    answered.set()
    result = await first
    assert (told.value.code, told.value.retry_after_s) == ("IDEMPOTENCY_IN_PROGRESS", 1)
    assert told.value.location == f"/orders/{result.order.client_order_id}"
    assert result.status is SubmitStatus.CREATED
    assert len(fake(core).submits) == 1


async def test_of_two_who_ask_at_once_the_second_hears_what_the_first_was_told_or_takes_the_key_over() -> None:
    core = make_core()
    given_up, told = mark_of("given-up"), mark_of("answered")
    for mark in (given_up, told):
        assert await claim(core, mark) is None
    waiting = [asyncio.ensure_future(claim(core, mark)) for mark in (given_up, told)]
    await asyncio.sleep(0)
    answer = StoredAnswer(mark=told, at_ms=core.clock.now_ms(), outcome="answered", status_code=200, body="{}")
    core.idempotency.abandon(given_up)
    core.idempotency.finish(answer)
    assert await asyncio.gather(*waiting) == [None, answer]
