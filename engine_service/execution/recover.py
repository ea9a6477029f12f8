"""Start-up: what a crash left open is put in doubt, settled by reading, then everything is compared; only then ready.

The state itself was rebuilt from the journal before (``storage.restore``). A crash between any two steps of a send, a
cancel or a change leaves an order in a state that says so; none of them is ever sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from engine_service.domain import events as e
from engine_service.domain.order import Order
from engine_service.domain.order_changes import RESTING, doubt_of
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.apply_report import cancel_wished
from engine_service.execution.core import EngineCore, Phase
from engine_service.execution.equity import record_equity
from engine_service.execution.reconcile import ReconcileReport, reconcile
from engine_service.execution.resolve import resolve_later
from engine_service.execution.rules import refresh_instruments
from engine_service.venues.abilities import RecallingVenue
from engine_service.venues.port import Venue, VenueUnavailable

_log = structlog.get_logger(__name__)

#: What a stopped process cannot have seen the end of.
CUT_OFF = frozenset(
    {
        OrderStatus.SUBMITTED,
        OrderStatus.PENDING_ACK,
        OrderStatus.PENDING_CANCEL,
        OrderStatus.PENDING_UPDATE,
    }
)
#: How long the start waits for doubts to be settled; what needs its fence stays in doubt, reserved, behind it.
SETTLE_WAIT_S = 2.0
RETRY_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StartReport:
    """What the start found: orders put in doubt, still unresolved, and the first comparison.

    ``valued``: every price was there, and equity is recorded.
    """

    in_doubt: tuple[str, ...]
    unresolved: tuple[str, ...]
    reconciliation: ReconcileReport
    valued: bool


async def start_up(
    core: EngineCore, *, epoch: int, version: str, first_prices: Callable[[], Awaitable[None]] | None = None
) -> StartReport:
    """Bring a restored engine into service. Retries a venue that is down for as long as it takes.

    ``first_prices`` waits for prices as long as is reasonable: what a new account holds is taken over at them. One that
    is known already is not kept waiting, because a position may need its protection at once.

    Raises:
        Unavailable: the journal failed.
    """
    core.phase = Phase.RECOVERING
    core.not_ready_because = ["recovering"]
    now = core.clock.now_ms()
    await core.commit(e.EngineStarted(at_ms=now, epoch=epoch, version=version, account=core.account))
    await _take_over_halt(core)
    core.state.exposure.reprice()
    for venue in core.venues.values():
        await _open(core, venue)
        if isinstance(venue, RecallingVenue):
            venue.recall([order for order in core.state.open_orders.values() if order.market in venue.info.markets])
    doubted = await put_in_doubt(core)
    await _settle(core, doubted)
    if first_prices is not None and not core.state.image.opened_accounts:
        await first_prices()
    core.state.exposure.reprice()
    report = await _first_comparison(core)
    valued = core.state.exposure.is_priced
    if valued:
        # Otherwise equity is not known yet: a sample of what things once cost would be a fall that never was.
        await record_equity(core)
    unresolved = tuple(cid for cid in doubted if cid in core.state.in_doubt)
    for cid in list(core.state.open_orders):
        cancel_wished(core, cid)
    if core.phase is Phase.RECOVERING:
        core.phase = Phase.READY
        core.not_ready_because = []
    return StartReport(in_doubt=tuple(doubted), unresolved=unresolved, reconciliation=report, valued=valued)


async def _take_over_halt(core: EngineCore) -> None:
    """Journal a halt that the journal of the last run could not take; it stays noted until that is on the disk."""
    note = core.halt_note
    halt = None if note is None else note.read()
    if note is None or halt is None:
        return
    _log.warning("trading stays halted: the halt was noted beside the journal", reason=halt.reason)
    await core.commit(e.TradingHalted(at_ms=core.clock.now_ms(), reason=halt.reason, principal=halt.principal))
    note.clear()


async def _open(core: EngineCore, venue: Venue) -> None:
    while True:
        try:
            await venue.open()
            await refresh_instruments(core, venue)
        except VenueUnavailable as error:
            core.told_to_wait(error.retry_after_s)
            core.gate.venue_result(venue.info.name, ok=False, now_s=core.clock.monotonic_s())
            await _pause(core, [f"venue {venue.info.name}: {error}"])
            continue
        core.not_ready_because = ["recovering"]
        return


async def put_in_doubt(core: EngineCore) -> list[str]:
    """Turn what was cut off into doubt, as facts in the journal; return every order in doubt."""
    now = core.clock.now_ms()
    for order in list(core.state.open_orders.values()):
        if order.status in CUT_OFF or (order.status in RESTING and order.has_pending_change):
            await core.commit(_doubt(order, now))
        elif order.status is OrderStatus.INITIALIZED:
            cid = order.client_order_id
            code, reason = "NOT_SENT", "the engine stopped before it was sent"
            await core.commit(
                e.OrderNotPlaced(at_ms=now, client_order_id=cid, code=code, reason=reason, evidence=("not sent",))
            )
    return list(core.state.in_doubt)


def _doubt(order: Order, now_ms: int) -> e.OrderInDoubt:
    return e.OrderInDoubt(
        at_ms=now_ms,
        client_order_id=order.client_order_id,
        doubt=doubt_of(order),
        reason="the engine stopped before it knew",
    )


async def _settle(core: EngineCore, doubted: list[str]) -> None:
    for cid in doubted:
        resolve_later(core, cid, at_once=True)
    tasks = [task for name, task in core.tasks.items() if name.startswith("resolve:")]
    if tasks:
        await asyncio.wait(tasks, timeout=SETTLE_WAIT_S)


async def _first_comparison(core: EngineCore) -> ReconcileReport:
    while True:
        report = await reconcile(core, trigger="start")
        failed = [venue for venue in report.venues if not venue.ok]
        if not failed:
            return report
        _log.warning("the first comparison failed", causes={venue.venue: venue.cause for venue in failed})
        await _pause(core, [f"venue {venue.venue}: {venue.cause}" for venue in failed])


async def _pause(core: EngineCore, reasons: list[str]) -> None:
    """Say what is waited for, and wait for as long as the venue has asked for."""
    left_s = core.asked_again_at_s - core.clock.monotonic_s()
    if left_s > 0:
        again = datetime.fromtimestamp(core.clock.now_ms() / 1000 + left_s, UTC)
        reasons = [f"{reason}, not asked again before {again:%H:%M:%S} UTC" for reason in reasons]
        _log.warning("the start waits for the venue", reasons=reasons, seconds=round(left_s, 1))
    core.not_ready_because = reasons
    await core.sleep(max(RETRY_S, left_s))
