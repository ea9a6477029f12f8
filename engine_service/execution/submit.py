"""One order, once: idempotency, rails, intent on disk, one send, the outcome on disk, the answer.

The walk from the intent on runs as a task of the engine's own: a caller that goes away, or an answer that takes longer
than ``answer_deadline_s``, changes nothing about the order.
"""

from __future__ import annotations

import asyncio
from asyncio import Future, Task
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine_service.domain import events as e
from engine_service.domain.errors import Conflict, ShuttingDown, Unavailable
from engine_service.domain.events import IdempotencyMark
from engine_service.domain.ids import client_order_id as derived_id
from engine_service.domain.order import Order, OrderRequest
from engine_service.execution.answers import SubmitResult, outcome_of, replayed, result
from engine_service.execution.core import EngineCore
from engine_service.execution.first_price import lacks_price, read_price, refuse_unpriced
from engine_service.execution.prepare import order_of, risk_context
from engine_service.execution.runaway import count_refusal
from engine_service.execution.same_key import answer_of_first
from engine_service.execution.send import send, send_at_once
from engine_service.risk.context import RiskContext, RiskRefused
from engine_service.risk.gate import Approved, Verdict
from engine_service.storage.port import StoredAnswer

IdempotencyContext = IdempotencyMark


async def submit(
    core: EngineCore,
    request: OrderRequest,
    idem: IdempotencyContext,
    *,
    as_written: bool = False,
    instead_of: Sequence[Order] = (),
) -> SubmitResult:
    """Judge, journal, send and settle one order.

    ``as_written``: the figures are a caller's own, and refused where the instrument's grid would have them rounded.
    ``instead_of``: orders whose reservation must not stand in its way.

    Raises:
        InvalidRequest: the request is no order, or the key was used with another body. The key stays free
            otherwise.
        NotFound: no such instrument.
        Conflict: the same request is still running (``IDEMPOTENCY_IN_PROGRESS``), or the client order id exists.
        Unavailable: the engine is not ready, cannot write or has no price yet; nothing was sent.
    """
    claimed = core.idempotency.claim(idem)
    if isinstance(claimed, Future):
        claimed = await answer_of_first(core, idem, claimed)
        if claimed is None:
            return await submit(core, request, idem, as_written=as_written, instead_of=instead_of)
    if isinstance(claimed, StoredAnswer):
        return replayed(core, claimed)
    try:
        if lacks_price(core, request.symbol, request.market):
            await read_price(core, request)
        walk, stored = _begin_together(core, request, idem, as_written, instead_of)
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
    core: EngineCore, request: OrderRequest, idem: IdempotencyMark, as_written: bool, instead_of: Sequence[Order]
) -> tuple[_Walk, StoredAnswer | None]:
    """Begin an order; where nobody else has a say in it any more, also end and answer it in the same commit.

    That is so for a denied order, and for one at a venue of this process. The answer is ``None`` for an order that
    has to be sent: its intent is on disk before the first byte leaves.
    """
    walks: list[_Walk] = []
    answers: list[StoredAnswer] = []

    def work() -> None:
        walk = _begin(core, request, idem, as_written, instead_of)
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
    return result(order, stored)


def _begin(
    core: EngineCore, request: OrderRequest, idem: IdempotencyMark, as_written: bool, instead_of: Sequence[Order]
) -> _Walk:
    """Everything up to the intent's place in the journal's queue, in one event loop turn."""
    if not core.ready:
        reasons = "; ".join(core.not_ready_because) or core.phase.value
        raise Unavailable("ENGINE_NOT_READY", f"the engine takes no orders yet: {reasons}", retry_after_s=1)
    ctx = risk_context(core, request, as_written=as_written)
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
    verdict = core.gate.check(ctx) if not instead_of else _judged_without(core, ctx, instead_of)
    answer: Future[SubmitResult] = asyncio.get_running_loop().create_future()
    if isinstance(verdict, RiskRefused):
        refuse_unpriced(ctx, verdict)
        return _deny(core, ctx, idem, client_order_id, verdict, answer)
    order = order_of(core, ctx, client_order_id, verdict.reservation)
    return _Walk(idem=idem, order=order, durable=_sent(core, order, idem, ctx.now_ms), answer=answer, approved=verdict)


def _judged_without(core: EngineCore, ctx: RiskContext, orders: Sequence[Order]) -> Approved | RiskRefused:
    with core.state.exposure.without(orders):
        return core.gate.check(ctx)


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


async def _answer(core: EngineCore, walk: _Walk) -> None:
    """Record the answer beside the order, wait for the disk, then give it to everyone who asked. Once."""
    if walk.answering:
        return
    walk.answering = True
    recorded, stored = _record_answer(core, walk)
    await recorded
    walk.answer.set_result(result(stored.order or walk.order, stored))
    core.idempotency.finish(stored)


def _record_answer(core: EngineCore, walk: _Walk) -> tuple[Future[int], StoredAnswer]:
    """Queue the answer to an order as it stands now."""
    cid = walk.order.client_order_id
    order = core.state.order(cid) or walk.order
    stored = StoredAnswer(
        mark=walk.idem,
        at_ms=core.clock.now_ms(),
        outcome=outcome_of(order).value,
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


def _hand_over(core: EngineCore, walk: _Walk, task: Task[None]) -> None:
    """Give an error of the walk to whoever waits for the answer; the journal knows how far it came."""
    if walk.answer.done() or (not task.cancelled() and task.exception() is None):
        return
    core.idempotency.abandon(walk.idem)
    error = _cut_off(walk.order) if task.cancelled() else task.exception()
    if error is not None:
        walk.answer.set_exception(error)
        walk.answer.exception()


def _cut_off(order: Order) -> ShuttingDown:
    """The engine ends before the order's fate is known: its next start finds out, and answers under the same key."""
    what = "this order is under way, ask again under the same key"
    return ShuttingDown(what, location=f"/orders/{order.client_order_id}")
