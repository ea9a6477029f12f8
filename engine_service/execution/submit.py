"""One order, once: idempotency, rails, intent on disk, one send, the outcome on disk, the answer.

The walk from the intent on runs as a task of the engine's own: a caller that goes away, or an answer that takes longer
than ``answer_deadline_s``, changes nothing about the order.
"""

from __future__ import annotations

import asyncio
from asyncio import Future, Task
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.errors import Conflict, Unavailable
from engine_service.domain.events import IdempotencyMark
from engine_service.domain.fill import Fill
from engine_service.domain.ids import client_order_id as derived_id
from engine_service.domain.order import Order, OrderRequest
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.core import EngineCore
from engine_service.execution.prepare import order_of, risk_context
from engine_service.execution.runaway import count_refusal
from engine_service.execution.send import send, send_at_once
from engine_service.risk.context import RiskContext, RiskRefused
from engine_service.risk.gate import Approved, Verdict
from engine_service.storage.port import FillFilter, StoredAnswer

IdempotencyContext = IdempotencyMark
_Running = Future[StoredAnswer | None]

SAME_REQUEST_WAIT_S = 2.0


class SubmitStatus(StrEnum):
    """What a caller is told. The order itself says the rest."""

    CREATED = "created"
    IN_DOUBT = "in_doubt"
    DENIED = "denied"
    REJECTED = "rejected"
    NOT_PLACED = "not_placed"


class SubmitResult(Struct, frozen=True, kw_only=True):
    """The answer to a request. ``replayed`` tells that it was answered before, word for word.

    ``code``, ``reason`` and ``numbers`` explain a refusal by us (denied), by the venue (rejected) or by the way
    there (not_placed).
    """

    status: SubmitStatus
    order: Order
    fills: tuple[Fill, ...] = ()
    replayed: bool = False
    numbers: Mapping[str, str] = field(default_factory=dict)
    answered_at_ms: int = 0

    @property
    def code(self) -> str:
        return self.order.code

    @property
    def reason(self) -> str:
        return self.order.reason


async def submit(core: EngineCore, request: OrderRequest, idem: IdempotencyContext) -> SubmitResult:
    """Judge, journal, send and settle one order.

    Raises:
        InvalidRequest: the request is no order, or the key was used with another body. The key stays free
            otherwise.
        NotFound: no such instrument.
        Conflict: the same request is still running (``IDEMPOTENCY_IN_PROGRESS``), or the client order id exists.
        Unavailable: the engine is not ready or cannot write; nothing was sent.
    """
    claimed = core.idempotency.claim(idem)
    if isinstance(claimed, Future):
        claimed = await _other_answer(core, idem, claimed)
        if claimed is None:
            return await submit(core, request, idem)
    if isinstance(claimed, StoredAnswer):
        return _replayed(core, claimed)
    try:
        walk, stored = _begin_together(core, request, idem)
    except BaseException:
        core.idempotency.abandon(idem)
        raise
    if stored is not None:
        return await _told(core, walk, stored)
    task = core.spawn(f"submit:{walk.order.client_order_id}", _walk(core, walk))
    task.add_done_callback(lambda done: _hand_over(core, walk, done))
    await asyncio.wait({walk.answer}, timeout=core.answer_deadline_s)
    if not walk.answer.done():
        core.spawn(f"answer:{walk.order.client_order_id}", _answer(core, walk))
    return await asyncio.shield(walk.answer)


def check(core: EngineCore, request: OrderRequest) -> list[Verdict]:
    """Ask every rail about an order without sending it.

    Raises:
        InvalidRequest: the request is no order.
        NotFound: no such instrument.
    """
    return core.gate.explain(risk_context(core, request))


# --- the walk ---------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class _Walk:
    """One order on its way. ``approved`` is ``None`` for a denied one; ``durable`` is its first commit."""

    idem: IdempotencyMark
    order: Order
    durable: Future[int]
    answer: Future[SubmitResult]
    approved: Approved | None
    numbers: Mapping[str, str] = field(default_factory=dict)
    answering: bool = False


def _begin_together(
    core: EngineCore, request: OrderRequest, idem: IdempotencyMark
) -> tuple[_Walk, StoredAnswer | None]:
    """Begin an order; where nobody else has a say in it any more, also end and answer it in the same commit.

    That is so for a denied order, and for one at a venue of this process. The answer is ``None`` for an order that
    has to be sent: its intent is on disk before the first byte leaves.
    """
    walks: list[_Walk] = []
    answers: list[StoredAnswer] = []

    def work() -> None:
        walk = _begin(core, request, idem)
        walks.append(walk)
        if walk.approved is None or walk.order.venue in core.at_once:
            answers.append(_record_answer(core, walk)[1])

    durable = core.together(work)
    walks[0].durable = durable
    return walks[0], answers[0] if answers else None


async def _told(core: EngineCore, walk: _Walk, stored: StoredAnswer) -> SubmitResult:
    """Wait for the one commit that holds the whole order, then give its answer to everyone who asked."""

    def settled(durable: Future[int]) -> None:
        if durable.cancelled() or durable.exception() is not None:
            core.idempotency.abandon(walk.idem)
        else:
            core.idempotency.finish(stored)

    walk.durable.add_done_callback(settled)
    # Shielded: a caller that goes away changes nothing about the order or about those who ask the same.
    await asyncio.shield(walk.durable)
    order = stored.order or walk.order
    return _result(order, stored)


def _begin(core: EngineCore, request: OrderRequest, idem: IdempotencyMark) -> _Walk:
    """Everything up to the intent's place in the journal's queue, in one event loop turn."""
    if not core.ready:
        reasons = "; ".join(core.not_ready_because) or core.phase.value
        raise Unavailable("ENGINE_NOT_READY", f"the engine takes no orders yet: {reasons}", retry_after_s=1)
    ctx = risk_context(core, request)
    client_order_id = request.client_order_id or derived_id(
        core.instance_key,
        account=core.account,
        venue=ctx.instrument.venue,
        market=ctx.market,
        scope=idem.scope,
        key=idem.key,
        leg=request.leg,
    )
    # A derived id belongs to its key, and the key was looked up before; a caller's own id may be any old one.
    old = core.journal.order(client_order_id) if request.client_order_id else None
    if core.state.order(client_order_id) is not None or old is not None:
        raise Conflict("CLIENT_ORDER_ID_EXISTS", "an order with this client order id exists")
    verdict = core.gate.check(ctx)
    answer: Future[SubmitResult] = asyncio.get_running_loop().create_future()
    if isinstance(verdict, RiskRefused):
        return _deny(core, ctx, idem, client_order_id, verdict, answer)
    order = order_of(core, ctx, client_order_id, verdict.reservation)
    return _Walk(idem=idem, order=order, durable=_sent(core, order, idem, ctx.now_ms), answer=answer, approved=verdict)


def _sent(core: EngineCore, order: Order, idem: IdempotencyMark, now_ms: int) -> Future[int]:
    """Record that an order is about to be sent; at a venue of this process also what came of it."""
    venue, cid = core.venue_for(order.symbol), order.client_order_id
    fence_at_ms = venue.venue_time_ms() + venue.info.window.fence_ms
    initialized = e.OrderInitialized(at_ms=now_ms, client_order_id=cid, order=order, idempotency=idem)
    submitted = e.OrderSubmitted(at_ms=now_ms, client_order_id=cid, sent_at_ms=now_ms, fence_at_ms=fence_at_ms)
    if order.venue in core.at_once:
        return send_at_once(core, initialized, submitted)
    return core.record(initialized, submitted)


def _deny(
    core: EngineCore,
    ctx: RiskContext,
    idem: IdempotencyMark,
    client_order_id: str,
    refusal: RiskRefused,
    answer: Future[SubmitResult],
) -> _Walk:
    order = order_of(core, ctx, client_order_id, None)
    durable = core.record(
        e.OrderInitialized(at_ms=ctx.now_ms, client_order_id=client_order_id, order=order, idempotency=idem),
        e.OrderDenied(
            at_ms=ctx.now_ms,
            client_order_id=client_order_id,
            code=refusal.code,
            reason=refusal.reason,
            numbers=refusal.numbers,
        ),
    )
    count_refusal(core, ctx, refusal)
    return _Walk(idem=idem, order=order, durable=durable, answer=answer, approved=None, numbers=refusal.numbers)


async def _walk(core: EngineCore, walk: _Walk) -> None:
    await walk.durable
    if walk.approved is not None:
        await send(core, walk.approved, walk.order.client_order_id)
    await _answer(core, walk)


# --- answers ----------------------------------------------------------------------------------------------------

_BY_STATUS = {
    OrderStatus.DENIED: SubmitStatus.DENIED,
    OrderStatus.REJECTED: SubmitStatus.REJECTED,
    OrderStatus.NOT_PLACED: SubmitStatus.NOT_PLACED,
    OrderStatus.IN_DOUBT: SubmitStatus.IN_DOUBT,
    OrderStatus.SUBMITTED: SubmitStatus.IN_DOUBT,
    OrderStatus.PENDING_ACK: SubmitStatus.IN_DOUBT,
    OrderStatus.INITIALIZED: SubmitStatus.IN_DOUBT,
}


async def _answer(core: EngineCore, walk: _Walk) -> None:
    """Record the answer beside the order, wait for the disk, then give it to everyone who asked. Once."""
    if walk.answering:
        return
    walk.answering = True
    recorded, stored = _record_answer(core, walk)
    await recorded
    walk.answer.set_result(_result(stored.order or walk.order, stored))
    core.idempotency.finish(stored)


def _record_answer(core: EngineCore, walk: _Walk) -> tuple[Future[int], StoredAnswer]:
    """Queue the answer to an order as it stands now."""
    cid = walk.order.client_order_id
    order = core.state.order(cid) or walk.order
    stored = StoredAnswer(
        mark=walk.idem,
        at_ms=core.clock.now_ms(),
        outcome=_BY_STATUS.get(order.status, SubmitStatus.CREATED).value,
        client_order_id=cid,
        order=order,
        fills=core.state.fills_of(cid),
        numbers=walk.numbers,
    )
    recorded = core.record(
        e.AnswerRecorded(
            at_ms=stored.at_ms,
            mark=walk.idem,
            outcome=stored.outcome,
            client_order_id=cid,
            numbers=walk.numbers,
        )
    )
    return recorded, stored


def _result(order: Order, stored: StoredAnswer) -> SubmitResult:
    return SubmitResult(
        status=SubmitStatus(stored.outcome),
        order=order,
        fills=stored.fills,
        numbers=stored.numbers,
        answered_at_ms=stored.at_ms,
    )


def _hand_over(core: EngineCore, walk: _Walk, task: Task[None]) -> None:
    """Give an error of the walk to whoever waits for the answer; the journal knows how far it came."""
    if walk.answer.done() or (not task.cancelled() and task.exception() is None):
        return
    core.idempotency.abandon(walk.idem)
    if task.cancelled():
        walk.answer.cancel()
        return
    error = task.exception()
    if error is not None:
        walk.answer.set_exception(error)
        walk.answer.exception()


async def _other_answer(core: EngineCore, idem: IdempotencyMark, running: _Running) -> StoredAnswer | None:
    try:
        return await asyncio.wait_for(asyncio.shield(running), SAME_REQUEST_WAIT_S)
    except TimeoutError as error:
        begun = core.journal.answer(idem.scope, idem.key)
        where = "" if begun is None else f"/orders/{begun.client_order_id}"
        why = "the same request is still running"
        raise Conflict("IDEMPOTENCY_IN_PROGRESS", why, retry_after_s=1, location=where) from error


def _replayed(core: EngineCore, answer: StoredAnswer) -> SubmitResult:
    """Say again what was said; beyond the time to live, or where nothing was said, the order as it stands."""
    if answer.order is not None and answer.outcome and core.idempotency.is_fresh(answer):
        return SubmitResult(
            status=SubmitStatus(answer.outcome),
            order=answer.order,
            fills=answer.fills,
            replayed=True,
            numbers=answer.numbers,
            answered_at_ms=answer.at_ms,
        )
    return present(core, answer)


def present(core: EngineCore, answer: StoredAnswer) -> SubmitResult:
    """Return the present state of the order behind an answer.

    Raises:
        Unavailable: its order cannot be read.
    """
    order = core.state.order(cid := answer.client_order_id) or core.journal.order(cid)
    if order is None:
        raise Unavailable("JOURNAL_UNAVAILABLE", "the order of this key cannot be read")
    fills = core.state.fills_of(cid) or tuple(
        row.fill for row in core.journal.fills(FillFilter(client_order_id=cid, limit=1_000))
    )
    status = _BY_STATUS.get(order.status, SubmitStatus.CREATED)
    if order.filled_quantity > 0:
        status = SubmitStatus.CREATED
    return SubmitResult(
        status=status,
        order=order,
        fills=fills,
        replayed=True,
        numbers=answer.numbers,
        answered_at_ms=order.updated_at_ms,
    )


def with_leg(idem: IdempotencyContext, leg: str) -> IdempotencyContext:
    """Return the key for another leg of the same intent (take-profit, stop-loss): same scope, own key."""
    return replace(idem, key=f"{idem.key}.{leg}")
