"""A cancel that is asked for again under its key: told how its order ended, and asked again while that still works."""

from __future__ import annotations

import pytest

from engine_service.domain import events as e
from engine_service.domain.errors import Conflict
from engine_service.execution.cancel import CancelStatus, cancel
from engine_service.execution.submit import submit
from engine_service.storage.codec import decode, encode
from engine_service.venues.reports import NotFoundReport, Rejected
from tests.fakes.engine import fake, limit_order, make_core, mark_of
from tests.fakes.venue import Script, unknown

pytestmark = pytest.mark.anyio
KEY = "cancel-it-1"


async def test_a_cancel_is_answered_again_under_its_key_alone() -> None:
    core = make_core()
    order = (await submit(core, limit_order("49000"), mark_of("order-key-1"))).order
    for _ in range(2):
        done = await cancel(core, order.client_order_id, principal="tester", mark=mark_of(KEY))
        assert done.status is CancelStatus.CANCELED
    with pytest.raises(Conflict):
        await cancel(core, order.client_order_id, principal="tester", mark=mark_of(KEY, scope="somebody-else|/orders"))
    with pytest.raises(Conflict):
        await cancel(core, order.client_order_id, principal="tester")


async def test_a_cancel_that_was_refused_is_asked_again_under_its_key() -> None:
    core = make_core()
    order = (await submit(core, limit_order("49000"), mark_of())).order
    fake(core).cancel_scripts.append(
        Script(act=False, say=Rejected(code="VENUE_RATE_LIMITED", reason="", not_sent=True))
    )
    said = [(await cancel(core, order.client_order_id, principal="tester", mark=mark_of(KEY))).status for _ in range(3)]
    assert said == [CancelStatus.REFUSED, CancelStatus.CANCELED, CancelStatus.CANCELED]


async def test_the_wish_to_cancel_an_order_in_doubt_has_its_key_too() -> None:
    core = make_core()
    fake(core).scripts.append(Script(rest=True, say=unknown()))
    fake(core).query_answers.extend([NotFoundReport(endpoint="order")] * 5)
    fake(core).cancel_scripts.append(Script(act=False, say=unknown()))
    order = (await submit(core, limit_order("49000"), mark_of())).order
    assert (
        await cancel(core, order.client_order_id, principal="tester", mark=mark_of(KEY))
    ).status is CancelStatus.PENDING
    await core.settle()
    assert (
        await cancel(core, order.client_order_id, principal="tester", mark=mark_of(KEY))
    ).status is CancelStatus.CANCELED


@pytest.mark.parametrize("kind", [e.OrderPendingCancel, e.OrderCancelRequested])
def test_cancels_of_older_journals_have_no_key(kind: type[e.OrderPendingCancel] | type[e.OrderCancelRequested]) -> None:
    old = kind(at_ms=1, client_order_id="c")
    assert b"idempotency" not in encode(old)
    assert decode(kind, encode(old)) == old
