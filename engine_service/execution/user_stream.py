"""The venue's private stream: reports, transfers, income; after every (re)connection everything is compared."""

from __future__ import annotations

from collections.abc import Callable

from engine_service.domain import events as e
from engine_service.domain.apply import STREAMED
from engine_service.domain.errors import Conflict
from engine_service.domain.ids import Market
from engine_service.domain.money import plain
from engine_service.execution.apply_report import apply_report, bust
from engine_service.execution.core import EngineCore
from engine_service.execution.funding import income_not_booked, is_contained, not_booked
from engine_service.execution.reconcile import reconcile
from engine_service.execution.rules import is_new_to_us, learn
from engine_service.venues.port import Venue
from engine_service.venues.reports import (
    BalanceReport,
    FundingReport,
    IncomeReport,
    OrderReport,
    StreamStatus,
    TradeBust,
    UserEvent,
)

RECONCILE_DELAY_S = 0.2


async def follow_user_events(
    core: EngineCore, venue: Venue, on_status: Callable[[str, StreamStatus], None] = lambda venue, status: None
) -> None:
    """Take every private event for ever. Start it once the engine is ready; it reconnects by itself.

    ``on_status`` hears of connections and gaps, with the venue's name.

    Raises:
        Unavailable: the journal failed.
    """
    async for event in venue.user_events():
        if isinstance(event, StreamStatus):
            on_status(venue.info.name, event)
        take(core, venue.info.name, event)


def take(core: EngineCore, venue: str, event: UserEvent) -> None:
    """Take one private event. Facts are applied at once; the disk follows."""
    match event:
        case OrderReport() if is_new_to_us(core, event):
            name = f"rules:{event.client_order_id}:{event.status}:{event.executed_quantity}"
            core.spawn(name, _learn_first(core, core.venues[venue], event))
        case OrderReport():
            apply_report(core, event)
        case BalanceReport():
            _transfer(core, event)
        case FundingReport():
            for paid in not_booked(core, venue, [event]):
                core.record(paid)
        case IncomeReport():
            for got in income_not_booked(core, venue, [event]):
                core.record(got)
        case TradeBust():
            bust(core, event)
        case StreamStatus(connected=True):
            core.spawn(f"reconcile:{venue}", _compare(core))
        case _:
            pass


async def _learn_first(core: EngineCore, venue: Venue, report: OrderReport) -> None:
    if is_new_to_us(core, report):
        await learn(core, venue)
    apply_report(core, report)


def _transfer(core: EngineCore, report: BalanceReport) -> None:
    """A pushed transfer is booked; pushed totals are left to the comparison, which knows what is on its way."""
    reference = f"{STREAMED}{report.at_ms}:{report.transfer_asset}:{plain(report.transfer_amount)}"
    told_before = reference in core.state.image.funding_ids or is_contained(core, report.venue, report.at_ms)
    if report.kind != "transfer" or report.transfer_amount == 0 or told_before:
        return
    core.record(
        e.BalanceAdjusted(
            at_ms=core.clock.now_ms(),
            venue=report.venue,
            market=report.market,
            asset=report.transfer_asset,
            amount=report.transfer_amount,
            rate=core.booking_rate(report.venue, report.transfer_asset),
            kind=e.AdjustmentKind.TRANSFER,
            reference=reference,
        )
    )


async def _compare(core: EngineCore) -> None:
    await core.sleep(RECONCILE_DELAY_S)
    try:
        await reconcile(core, trigger="reconnect")
    except Conflict:
        # One is running already; it reads everything anew after the connection, or the timer does.
        return


def restrict_after_stop_out(core: EngineCore, symbol: str, market: Market, stop_outs: list[int]) -> bool:
    """Quarantine a symbol after too many stop-outs within the window; ``stop_outs`` are their times, UTC ms.

    Returns:
        Whether the symbol is quarantined by this.
    """
    policy, now = core.gate.policy, core.clock.now_ms()
    since = now - int(policy.quarantine_window_min) * 60_000
    recent = [at_ms for at_ms in stop_outs if at_ms >= since]
    if len(recent) < policy.quarantine_stop_outs:
        return False
    core.record(
        e.SymbolRestricted(
            at_ms=now,
            symbol=symbol,
            market=market,
            code="STOP_OUTS",
            reason=f"{len(recent)} stop-outs within {policy.quarantine_window_min} minutes",
            until_ms=now + int(policy.quarantine_min) * 60_000,
        )
    )
    return True
