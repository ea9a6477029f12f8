"""Settling what is in doubt: by reading, never by sending again; absent only after the fence, by two endpoints.

The venue may act on a request until the fence (validity window + its own engine's time-out + margin). Before it,
"not found" proves nothing. After it, two successful negative reads from two endpoints at least two seconds apart do.
Reads that fail prove nothing at any time; the order then stays in doubt and keeps its reservation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from engine_service.domain import events as e
from engine_service.domain.order import Order
from engine_service.domain.order_status import Doubt, OrderStatus
from engine_service.execution.apply_report import apply_fills, apply_words
from engine_service.execution.core import EngineCore
from engine_service.execution.later import cancel_later
from engine_service.execution.venue_words import from_report, restriction
from engine_service.venues.port import NotFoundReport, OrderReport, QueryOutcome, ReadFailed, Venue

FIRST_DELAYS_S = (0.25, 0.5, 1.0, 2.0, 4.0)
PACE_S = 2.0
ACK_WAIT_S = 2.0
WATCH_MS = 72 * 3_600_000
ALERT_AFTER_FENCE_MS = 30_000
RESTRICT_AFTER_FENCE_MS = 60_000
RESTRICTION = "IN_DOUBT"


@dataclass(slots=True)
class Evidence:
    """Negative reads after the fence: endpoint and monotonic seconds, newest of each."""

    seen: dict[str, float] = field(default_factory=dict)

    def add(self, endpoint: str, now_s: float) -> None:
        """Count a successful read that did not know the order; the first of an endpoint is kept."""
        self.seen.setdefault(endpoint, now_s)

    @property
    def proves_absence(self) -> bool:
        """True with two endpoints at least two seconds apart."""
        times = sorted(self.seen.values())
        return len(times) >= 2 and times[-1] - times[0] >= PACE_S


def resolve_later(core: EngineCore, client_order_id: str, *, at_once: bool = False) -> None:
    """Settle an order in the background; one resolver per order."""
    core.spawn(f"resolve:{client_order_id}", resolve(core, client_order_id, at_once=at_once))


def await_acknowledgement(core: EngineCore, client_order_id: str) -> None:
    """Put an order in doubt when the venue's engine stays silent after its gateway took it."""
    core.spawn(f"ack:{client_order_id}", _acknowledged(core, client_order_id))


async def _acknowledged(core: EngineCore, client_order_id: str) -> None:
    await core.sleep(ACK_WAIT_S)
    order = core.state.order(client_order_id)
    if order is None or order.status is not OrderStatus.PENDING_ACK:
        return
    reason = "the venue's engine did not confirm in time"
    now = core.clock.now_ms()
    await core.commit(e.OrderInDoubt(at_ms=now, client_order_id=client_order_id, doubt=Doubt.SUBMIT, reason=reason))
    resolve_later(core, client_order_id)


async def resolve(core: EngineCore, client_order_id: str, *, at_once: bool = False) -> None:
    """Read until the order's fate is certain."""
    evidence, told = Evidence(), set[str]()
    for delay_s in _delays(at_once):
        await core.sleep(delay_s)
        order = core.state.order(client_order_id)
        if order is None or order.status is not OrderStatus.IN_DOUBT:
            break
        venue = core.venue_for(order.symbol)
        outcome = await _read(core, venue, order, evidence)
        await _conclude(core, client_order_id, outcome, evidence)
        await _raise_alarm(core, venue, client_order_id, told)
        if isinstance(outcome, ReadFailed) and outcome.retry_after_s > 0:
            await core.sleep(outcome.retry_after_s)
    await _afterwards(core, client_order_id)


def _delays(at_once: bool) -> Iterator[float]:
    if at_once:
        yield 0.0
    yield from FIRST_DELAYS_S
    while True:
        yield PACE_S


async def _read(core: EngineCore, venue: Venue, order: Order, evidence: Evidence) -> QueryOutcome:
    """Ask by client id; after the fence, once that endpoint said no, ask the others too."""
    past_fence = venue.venue_time_ms() > order.fence_at_ms
    outcome = await venue.query_order(order)
    _feed(core, order.venue, outcome)
    if not isinstance(outcome, NotFoundReport) or not past_fence:
        return outcome
    evidence.add(outcome.endpoint, core.clock.monotonic_s())
    await core.sleep(PACE_S)
    second = await venue.query_open_order(order)
    _feed(core, order.venue, second)
    if not isinstance(second, NotFoundReport):
        return second
    fills = await venue.query_fills(order)
    if isinstance(fills, ReadFailed):
        return fills
    if fills:
        done = apply_fills(core, core.state.order(order.client_order_id) or order, fills)
        if done is not None:
            await done
        return ReadFailed(reason="traded, but not listed")
    evidence.add(second.endpoint, core.clock.monotonic_s())
    return second


def _feed(core: EngineCore, venue: str, outcome: QueryOutcome) -> None:
    core.gate.venue_result(venue, ok=not isinstance(outcome, ReadFailed), now_s=core.clock.monotonic_s())


async def _conclude(core: EngineCore, client_order_id: str, outcome: QueryOutcome, evidence: Evidence) -> None:
    order = core.state.order(client_order_id)
    if order is None or order.status is not OrderStatus.IN_DOUBT:
        return
    if isinstance(outcome, OrderReport):
        done = apply_words(core, order, from_report(outcome))
        if done is not None:
            await done
        await _settle_request(core, client_order_id, outcome)
    elif isinstance(outcome, NotFoundReport) and evidence.proves_absence:
        await core.commit(_absent(core, order, evidence))


async def _settle_request(core: EngineCore, client_order_id: str, report: OrderReport) -> None:
    """The order lives on: so the cancel or the change in doubt was not done, or the change was."""
    order = core.state.order(client_order_id)
    if order is None or order.status is not OrderStatus.IN_DOUBT or report.status.is_terminal:
        return
    now = core.clock.now_ms()
    if order.doubt is Doubt.CANCEL:
        code, reason = "CANCEL_NOT_DONE", "the venue still has the order"
        await core.commit(e.OrderCancelRejected(at_ms=now, client_order_id=client_order_id, code=code, reason=reason))
        return
    if order.doubt is not Doubt.REPLACE:
        return
    if _is_changed(order, report):
        await core.commit(
            e.OrderUpdated(
                at_ms=now,
                client_order_id=client_order_id,
                limit_price=report.limit_price,
                quantity=report.quantity,
                venue_order_id=report.venue_order_id,
            )
        )
        return
    code, reason = "UPDATE_NOT_DONE", "the venue has the order unchanged"
    await core.commit(e.OrderUpdateRejected(at_ms=now, client_order_id=client_order_id, code=code, reason=reason))


def _is_changed(order: Order, report: OrderReport) -> bool:
    price_done = order.pending_limit_price is None or order.pending_limit_price == report.limit_price
    size_done = order.pending_quantity is None or order.pending_quantity == report.quantity
    return price_done and size_done


def _absent(core: EngineCore, order: Order, evidence: Evidence) -> e.Event:
    now = core.clock.now_ms()
    if order.doubt is not Doubt.SUBMIT:
        # It lived, so it ended; the venue has forgotten how, and its trades are all booked.
        reason = "the venue no longer knows the order"
        return e.OrderCanceled(at_ms=now, client_order_id=order.client_order_id, reason=reason)
    return e.OrderNotPlaced(
        at_ms=now,
        client_order_id=order.client_order_id,
        code="NOT_PLACED",
        reason="after the fence two endpoints did not know it",
        evidence=tuple(evidence.seen),
        watch_until_ms=now + WATCH_MS,
    )


async def _raise_alarm(core: EngineCore, venue: Venue, client_order_id: str, told: set[str]) -> None:
    order = core.state.order(client_order_id)
    if order is None or order.status is not OrderStatus.IN_DOUBT:
        return
    overdue, now = venue.venue_time_ms() - order.fence_at_ms, core.clock.now_ms()
    if overdue > ALERT_AFTER_FENCE_MS and "alert" not in told:
        told.add("alert")
        detail = "still in doubt after its fence"
        await core.commit(e.Anomaly(at_ms=now, kind="in_doubt_long", subject=client_order_id, detail=detail))
    if overdue > RESTRICT_AFTER_FENCE_MS and "restrict" not in told:
        told.add("restrict")
        await core.commit(restriction(order, RESTRICTION, "an order is in doubt for too long", now))


async def _afterwards(core: EngineCore, client_order_id: str) -> None:
    """Lift what the doubt imposed, and do what was wished for meanwhile."""
    order = core.state.order(client_order_id)
    if order is None:
        return
    now = core.clock.now_ms()
    held = core.state.restriction(order.symbol, order.market, now)
    if held is not None and held.code == RESTRICTION and not _others_in_doubt(core, order):
        await core.commit(
            e.SymbolReleased(at_ms=now, symbol=order.symbol, market=order.market, principal="engine", reason="settled")
        )
    if order.cancel_requested and order.is_open and order.status is not OrderStatus.QUARANTINED:
        cancel_later(core, client_order_id, "wished for while in doubt")


def _others_in_doubt(core: EngineCore, order: Order) -> bool:
    return any(
        other.symbol == order.symbol and other.client_order_id != order.client_order_id
        for other in core.state.in_doubt.values()
    )
