"""Settling a doubt, as a pure function: ``step(case, order, heard, now)`` gives the case and what to do next.

No I/O, clock or chance in here: the shell (``execution.resolve``) reads, waits and records as it is told, live, after a
restart and in simulation alike.

The venue may act on a request until the fence (validity window + its own engine's time-out + margin). Before it,
"not found" proves nothing. After it, two successful negative reads from two endpoints at least two seconds apart do,
with no trade between them and the first asked once more: an order may have come after that read and ended before the
other, which knows open orders alone. Reads that fail prove nothing at any time; the order then stays in doubt and keeps
its reservation.

The fence is a moment of the venue's clock, and that clock may be set: it also has to pass by our own clocks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from engine_service.domain import events as e
from engine_service.domain.fill import Fill
from engine_service.domain.ids import ENGINE
from engine_service.domain.order import Order
from engine_service.domain.order_status import Doubt, OrderStatus
from engine_service.venues.reports import NotFoundReport, OrderReport, QueryOutcome, ReadFailed

#: Read a quarter, half, one, two and four seconds after the doubt arose, then at the pace.
FIRST_DELAYS_S: Final = (0.25, 0.25, 0.5, 1.0, 2.0)
PACE_S: Final = 2.0
WATCH_MS: Final = 72 * 3_600_000
ALERT_AFTER_FENCE_MS: Final = 30_000
RESTRICT_AFTER_FENCE_MS: Final = 60_000
RESTRICTION: Final = "IN_DOUBT"
#: Of a cancel that was lost: the wish lives on and is asked again.
CANCEL_NOT_DONE: Final = "CANCEL_NOT_DONE"


class Endpoint(StrEnum):
    """Where the venue can be asked: for the order by its id, among its open orders, for the order's trades."""

    ORDER = "order"
    OPEN_ORDER = "open_order"
    FILLS = "fills"


Heard = QueryOutcome | tuple[Fill, ...] | None


@dataclass(frozen=True, slots=True)
class Now:
    """The moment of a step: the venue's time, our wall clock and our monotonic clock; ``window_ms`` is the fence's."""

    venue_ms: int
    wall_ms: int
    monotonic_s: float
    window_ms: int


# --- what the shell is told to do -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Ask:
    """Read once; the next step hears the answer."""

    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class Take:
    """Apply the venue's report of the order."""

    report: OrderReport


@dataclass(frozen=True, slots=True)
class Book:
    """Book trades that no report named."""

    fills: tuple[Fill, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """Write facts."""

    events: tuple[e.Event, ...]


@dataclass(frozen=True, slots=True)
class Finish:
    """The doubt is settled."""


Command = Wait | Ask | Take | Book | Record | Finish


class Stage(StrEnum):
    """What the next step is to hear or to decide."""

    WAKE = "wake"
    ORDER = "order"
    OPEN_ORDER = "open_order"
    FILLS = "fills"
    ORDER_AGAIN = "order_again"
    TAKEN = "taken"
    REST = "rest"


@dataclass(frozen=True, slots=True)
class Case:
    """What is known about one doubt. ``absent`` holds (endpoint, monotonic seconds) of negative reads after the fence.

    ``fence_at_ms`` is the fence the evidence belongs to: a later request about the order begins the proof anew. It is
    not passed before ``not_before_s`` on our monotonic clock, wherever the venue's clock is set to meanwhile.
    """

    stage: Stage = Stage.REST
    passes: int = 0
    fence_at_ms: int = 0
    not_before_s: float = 0.0
    past_fence: bool = False
    absent: tuple[tuple[str, float], ...] = ()
    report: OrderReport | None = None
    told: frozenset[str] = frozenset()
    pause_s: float = 0.0

    @property
    def proves_absence(self) -> bool:
        """True with two endpoints at least two seconds apart."""
        times = sorted(at_s for _, at_s in self.absent)
        return len(times) >= 2 and times[-1] - times[0] >= PACE_S

    def without(self, endpoint: str, at_s: float) -> Case:
        """Count a successful read that did not know the order; the first of an endpoint is kept."""
        if any(known == endpoint for known, _ in self.absent):
            return self
        return replace(self, absent=(*self.absent, (endpoint, at_s)))


def begin(*, at_once: bool) -> Case:
    """Open a case; ``at_once`` for a doubt that is older than this process."""
    return Case(stage=Stage.WAKE if at_once else Stage.REST)


def step(case: Case, order: Order | None, heard: Heard, now: Now) -> tuple[Case, tuple[Command, ...]]:
    """Take in what was heard and decide what to do next; pure."""
    if order is None or order.status is not OrderStatus.IN_DOUBT:
        return case, (Finish(),)
    return _next(case, order, heard, now)


def _next(case: Case, order: Order, heard: Heard, now: Now) -> tuple[Case, tuple[Command, ...]]:
    if case.fence_at_ms != order.fence_at_ms:
        not_before_s = now.monotonic_s + _time_left_ms(order, now) / 1000
        case = replace(case, fence_at_ms=order.fence_at_ms, not_before_s=not_before_s, absent=())
    match case.stage:
        case Stage.WAKE:
            past = now.venue_ms > order.fence_at_ms and now.monotonic_s >= case.not_before_s
            return replace(case, stage=Stage.ORDER, past_fence=past, report=None), (Ask(Endpoint.ORDER),)
        case Stage.ORDER | Stage.ORDER_AGAIN:
            return _order_heard(case, order, heard, now)
        case Stage.OPEN_ORDER:
            return _open_order_heard(case, order, heard, now)
        case Stage.FILLS:
            return _fills_heard(case, order, heard, now)
        case Stage.TAKEN:
            return _lives_on(case, order, now)
        case _:
            return _rest(case, order, now)


def _time_left_ms(order: Order, now: Now) -> int:
    """Return how much of the window is left when a case is opened, by whichever clock saw least of it pass.

    After a restart the venue's clock may be another one, so our wall clock has a say in when it was sent. Neither can
    make it longer than the window itself.
    """
    left_ms = order.fence_at_ms - now.venue_ms
    if order.doubt is Doubt.SUBMIT and order.sent_at_ms:
        left_ms = max(left_ms, order.sent_at_ms + now.window_ms - now.wall_ms)
    return max(0, min(left_ms, now.window_ms))


def _order_heard(case: Case, order: Order, heard: Heard, now: Now) -> tuple[Case, tuple[Command, ...]]:
    if isinstance(heard, NotFoundReport) and case.stage is Stage.ORDER_AGAIN:
        return replace(case, stage=Stage.REST), (Record((_absent(case, order, now.wall_ms),)),)
    if isinstance(heard, NotFoundReport) and case.past_fence:
        known = case.without(heard.endpoint, now.monotonic_s)
        return replace(known, stage=Stage.OPEN_ORDER), (Wait(PACE_S), Ask(Endpoint.OPEN_ORDER))
    return _seen_or_not(case, order, heard, now)


def _open_order_heard(case: Case, order: Order, heard: Heard, now: Now) -> tuple[Case, tuple[Command, ...]]:
    if isinstance(heard, NotFoundReport):
        known = case.without(heard.endpoint, now.monotonic_s)
        return replace(known, stage=Stage.FILLS), (Ask(Endpoint.FILLS),)
    return _seen_or_not(case, order, heard, now)


def _fills_heard(case: Case, order: Order, heard: Heard, now: Now) -> tuple[Case, tuple[Command, ...]]:
    if isinstance(heard, tuple) and heard:
        # It traded, so it exists; the next pass hears how it stands.
        return replace(case, stage=Stage.REST, absent=()), (Book(heard),)
    if heard == () and case.proves_absence:
        return replace(case, stage=Stage.ORDER_AGAIN), (Ask(Endpoint.ORDER),)
    return _seen_or_not(case, order, heard, now)


def _seen_or_not(case: Case, order: Order, heard: Heard, now: Now) -> tuple[Case, tuple[Command, ...]]:
    if isinstance(heard, OrderReport):
        return replace(case, stage=Stage.TAKEN, report=heard, absent=()), (Take(heard),)
    pause_s = heard.retry_after_s if isinstance(heard, ReadFailed) else 0.0
    return _rest(replace(case, pause_s=pause_s), order, now)


def _lives_on(case: Case, order: Order, now: Now) -> tuple[Case, tuple[Command, ...]]:
    """The report was applied and a doubt remains: the order works, so what of the cancel or the change?"""
    report = case.report
    events = (
        ()
        if report is None or report.status.is_terminal
        else request_settled(order, report, now, past_fence=case.past_fence)
    )
    if not events:
        return _rest(case, order, now)
    # A wish that was not fulfilled is sent anew, but never in a storm.
    pause = (Wait(PACE_S),) if order.doubt is Doubt.CANCEL else ()
    return replace(case, stage=Stage.REST, report=None), (Record(events), *pause)


def request_settled(order: Order, report: OrderReport, now: Now, *, past_fence: bool) -> tuple[e.Event, ...]:
    """Decide a cancel or a change in doubt by what the venue says of the working order; empty while undecided.

    That a cancel was not done yet is safe to believe at once, for it is asked again. That a change was not done is
    believed after the fence only: it may still arrive.
    """
    cid, at_ms = order.client_order_id, now.wall_ms
    if order.doubt is Doubt.CANCEL:
        code, reason = CANCEL_NOT_DONE, "the venue still has the order"
        return (
            e.OrderCancelRejected(at_ms=at_ms, client_order_id=cid, code=code, reason=reason),
            e.OrderCancelRequested(at_ms=at_ms, client_order_id=cid, reason=order.reason, principal=ENGINE),
        )
    if order.doubt is not Doubt.REPLACE:
        return ()
    if _is_changed(order, report):
        done = e.OrderUpdated(
            at_ms=at_ms,
            client_order_id=cid,
            limit_price=report.limit_price,
            quantity=report.quantity,
            venue_order_id=report.venue_order_id,
        )
        return (done,)
    if not past_fence:
        return ()
    code, reason = "UPDATE_NOT_DONE", "the venue has the order unchanged"
    return (e.OrderUpdateRejected(at_ms=at_ms, client_order_id=cid, code=code, reason=reason),)


def _is_changed(order: Order, report: OrderReport) -> bool:
    price_done = order.pending_limit_price is None or order.pending_limit_price == report.limit_price
    size_done = order.pending_quantity is None or order.pending_quantity == report.quantity
    return price_done and size_done


def _absent(case: Case, order: Order, now_ms: int) -> e.Event:
    cid = order.client_order_id
    if order.doubt is not Doubt.SUBMIT:
        # It lived, so it ended; the venue has forgotten how, and its trades are all booked.
        return e.OrderCanceled(at_ms=now_ms, client_order_id=cid, reason="the venue no longer knows the order")
    return e.OrderNotPlaced(
        at_ms=now_ms,
        client_order_id=cid,
        code="NOT_PLACED",
        reason="after the fence two endpoints did not know it",
        evidence=tuple(endpoint for endpoint, _ in case.absent),
        watch_until_ms=now_ms + WATCH_MS,
    )


def _rest(case: Case, order: Order, now: Now) -> tuple[Case, tuple[Command, ...]]:
    """Sound the alarms that are due, then wait for the next pass."""
    pace = FIRST_DELAYS_S[case.passes] if case.passes < len(FIRST_DELAYS_S) else PACE_S
    events, told = _alarms(case, order, now)
    waiting = replace(case, stage=Stage.WAKE, passes=case.passes + 1, told=told, pause_s=0.0, report=None)
    record = (Record(events),) if events else ()
    return waiting, (*record, Wait(pace + case.pause_s))


def _alarms(case: Case, order: Order, now: Now) -> tuple[tuple[e.Event, ...], frozenset[str]]:
    """Return the alarms that are due, and which were sounded by then.

    A symbol is restricted by the fence alone, by whichever clock it passed first: the venue's may have been set back.
    People are called once the venue was asked in vain for long enough: a doubt that outlived an engine which was down
    is settled by the first answers of the next one.
    """
    asked_ms, events, told = (now.monotonic_s - case.not_before_s) * 1000, list[e.Event](), set(case.told)
    overdue_ms = max(now.venue_ms - order.fence_at_ms, asked_ms)
    if asked_ms > ALERT_AFTER_FENCE_MS and "alert" not in told:
        told.add("alert")
        detail, cid = "still in doubt after its fence", order.client_order_id
        events.append(e.Anomaly(at_ms=now.wall_ms, kind="in_doubt_long", subject=cid, detail=detail))
    if overdue_ms > RESTRICT_AFTER_FENCE_MS and "restrict" not in told:
        told.add("restrict")
        events.append(
            e.SymbolRestricted(
                at_ms=now.wall_ms,
                symbol=order.symbol,
                market=order.market,
                code=RESTRICTION,
                reason="an order is in doubt for too long",
            )
        )
    return tuple(events), frozenset(told)
