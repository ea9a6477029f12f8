"""The full comparison with the venue: trades, open orders, balances, positions. It never trades.

What is missing is imported; a difference that stays is an event, a metric and a row. Own activity while the venue is
read makes figures differ for a moment, so a difference counts only when it is the same in two comparisons at least
``PERSIST_MS`` apart (at start, when nothing is on its way, in two reads).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.errors import Conflict
from engine_service.domain.money import plain
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.apply_report import held_back
from engine_service.execution.core import EngineCore, Phase
from engine_service.execution.funding import import_income
from engine_service.execution.reconcile_basis import (
    adjusted,
    is_rounding,
    other_order,
    position_taken,
    rounding,
    wallets_of,
)
from engine_service.execution.reconcile_figures import (
    Difference,
    Reading,
    differences_in,
    differences_of,
    read_accounts,
    read_unknown_accounts,
)
from engine_service.execution.reconcile_orders import (
    compare_open_orders,
    import_fills,
    name_stand_ins,
    pass_over,
    watch_tombstones,
)
from engine_service.execution.reconcile_symbols import symbols_to_read
from engine_service.execution.rules import learn, speaks_of_new
from engine_service.venues.port import Venue, VenueUnavailable
from engine_service.venues.reports import AccountSnapshot

PERSIST_MS = 10_000
#: Our questions are well-formed: the venue refuses one as wrong where it no longer lists the instrument.
NOT_UNDERSTOOD = "VENUE_BAD_REQUEST"
ON_THEIR_WAY = frozenset(
    {OrderStatus.SUBMITTED, OrderStatus.PENDING_ACK, OrderStatus.PENDING_CANCEL, OrderStatus.PENDING_UPDATE}
)


@dataclass(slots=True, kw_only=True)
class VenueReconciliation:
    """One venue's comparison. ``imported`` and ``closed`` name orders and trades, ``breaks`` what still differs.

    ``error`` and ``detail`` say why it could not be done. ``deferred`` names differences that own activity can explain;
    they are looked at again next time.
    """

    venue: str
    ok: bool = True
    error: str = ""
    detail: str = ""
    imported: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    adopted: list[str] = field(default_factory=list)
    breaks: list[e.BreakFound] = field(default_factory=list)
    deferred: list[str] = field(default_factory=list)
    duration_ms: int = 0

    @property
    def cause(self) -> str:
        """Why it is not clean, for people; empty where it is."""
        failed = f"{self.error}: {self.detail}" if self.error else ""
        return failed or ", ".join(found.break_id for found in self.breaks)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileReport:
    """All venues' comparisons, started by ``trigger`` (start, timer, manual, reconnect)."""

    trigger: str
    at_ms: int
    venues: tuple[VenueReconciliation, ...]

    @property
    def ok(self) -> bool:
        """True when every venue answered and nothing differs any more."""
        return all(venue.ok and not venue.breaks for venue in self.venues)


async def reconcile(core: EngineCore, *, trigger: str = "manual", adopt: bool = False) -> ReconcileReport:
    """Compare with every venue; asking twice changes nothing more.

    ``adopt`` takes over what still differs at once instead of waiting for it to persist: a person's decision. What an
    order in doubt or trades that are being fetched may yet explain has to wait all the same: it would be booked twice.

    Raises:
        Conflict: a comparison is running (``RECONCILE_RUNNING``).
        Unavailable: the journal failed.
    """
    if core.reconciling.locked():
        raise Conflict("RECONCILE_RUNNING", "a comparison with the venue is running", retry_after_s=1)
    async with core.reconciling:
        at_ms = core.clock.now_ms()
        results = [await _venue(core, venue, trigger, adopt=adopt) for venue in core.venues.values()]
    return ReconcileReport(trigger=trigger, at_ms=at_ms, venues=tuple(results))


async def _venue(core: EngineCore, venue: Venue, trigger: str, *, adopt: bool) -> VenueReconciliation:
    result = VenueReconciliation(venue=venue.info.name)
    started = core.clock.monotonic_s()
    try:
        await _compare(core, venue, result, trigger, adopt=adopt)
    except VenueUnavailable as error:
        result.ok, result.error, result.detail = False, error.code, error.detail
        if error.code == NOT_UNDERSTOOD:
            await learn(core, venue)
        core.told_to_wait(error.retry_after_s)
        core.gate.venue_result(venue.info.name, ok=False, now_s=core.clock.monotonic_s())
    result.duration_ms = round((core.clock.monotonic_s() - started) * 1000)
    return result


async def _compare(core: EngineCore, venue: Venue, result: VenueReconciliation, trigger: str, *, adopt: bool) -> None:
    name = venue.info.name
    opening = name not in core.state.image.opened_accounts
    readings = await (read_unknown_accounts if opening else read_accounts)(core, venue)
    snapshots = [reading.snapshot for reading in readings]
    as_of_ms = min(snapshot.at_ms for snapshot in snapshots)
    last_ids: dict[str, str] = {}

    async def catch_up(latest: list[Reading], differing: Collection[str] | None) -> None:
        # What still differs comes from the newest read: entry prices of an older one would not explain it.
        snapshots[:] = [reading.snapshot for reading in latest]
        wanted = differing if trigger == "timer" else None
        for reading in latest:
            market = reading.snapshot.market
            if differing and (held_back(core, name, market) or speaks_of_new(core, market, differing)):
                await learn(core, venue)
            symbols = symbols_to_read(core, venue, reading.snapshot, wanted)
            last_ids.update(await import_fills(core, venue, market, symbols, result.imported))
        if differing != ():
            await import_income(core, venue, result.imported)

    if not opening:
        await catch_up(readings, ())
        await name_stand_ins(core, venue, result.imported)
    for snapshot in snapshots:
        await compare_open_orders(core, venue, snapshot, result.imported, result.closed, at_start=trigger == "start")
    await watch_tombstones(core, venue, result.imported)
    if opening:
        differences = differences_in(core, readings)
    else:
        differences = await differences_of(core, venue, readings, catch_up)
    if adopt:
        for snapshot in snapshots:
            last_ids.update(await pass_over(core, venue, snapshot.market))
    events = _judge(core, differences, result, snapshots, opening=opening, adopt=adopt, at_start=trigger == "start")
    open_breaks = tuple(found.break_id for found in result.breaks)
    await core.commit(
        *events,
        e.ReconciliationCompleted(
            at_ms=core.clock.now_ms(),
            venue=name,
            trigger=trigger,
            as_of_ms=as_of_ms,
            imported=len(result.imported),
            closed=len(result.closed),
            open_breaks=open_breaks,
            last_trade_ids=last_ids,
            duration_ms=result.duration_ms,
        ),
    )
    core.reconciled_at_ms[name] = core.clock.now_ms()


def _judge(
    core: EngineCore,
    differences: dict[str, Difference],
    result: VenueReconciliation,
    snapshots: Sequence[AccountSnapshot],
    *,
    opening: bool,
    adopt: bool,
    at_start: bool,
) -> list[e.Event]:
    """Decide on each difference: take it over, wait for it to persist, or call it a break."""
    events: list[e.Event] = []
    seen = core.seen_differences
    for gone in [key for key in seen if key.startswith(f"{result.venue}|") and key not in differences]:
        del seen[gone]
        events += _closed(core, gone, result)
    wallets = wallets_of(core, differences)
    for key, difference in sorted(differences.items(), key=lambda found: (found[1].kind == "balance", found[0])):
        if key in result.adopted:
            continue
        if opening:
            events += _take_over(core, difference, None, opening=True)
            continue
        if is_rounding(difference):
            events.append(rounding(core, difference, difference.theirs - difference.ours))
            continue
        now = round(core.clock.monotonic_s() * 1000)
        first_ms, amount = seen.get(key, (now, None))
        if amount != difference.theirs - difference.ours:
            first_ms = now
            seen[key] = (now, difference.theirs - difference.ours)
        persisted = now - first_ms >= PERSIST_MS or at_start or adopt
        if _explained(core, difference, persisted=persisted):
            result.deferred.append(key)
        elif persisted and (adopt or core.adopt_positions or _is_moved(core, difference, wallets)):
            positions = [position for snapshot in snapshots for position in snapshot.positions]
            wallet = wallets.get(key)
            events += other_order(core, difference, positions) or _take_over(core, difference, wallet)
            for taken in filter(None, (difference, wallet)):
                events.append(_break(core, taken, "adopted"))
                result.adopted.append(taken.break_id)
                seen.pop(taken.break_id, None)
        else:
            found = _break(core, difference, "open")
            result.breaks.append(found)
            known = core.state.image.open_breaks.get(key)
            if known is None or (known.ours, known.theirs) != (found.ours, found.theirs):
                events.append(found)
            if persisted and not any(isinstance(event, e.TradingHalted) for event in events):
                events += _halted(core, difference)
    return events


def _closed(core: EngineCore, break_id: str, result: VenueReconciliation) -> list[e.Event]:
    known = core.state.image.open_breaks.get(break_id)
    if known is None:
        return []
    result.closed.append(break_id)
    return [replace(known, at_ms=core.clock.now_ms(), resolution="closed")]


def _explained(core: EngineCore, difference: Difference, *, persisted: bool) -> bool:
    """True while an order could account for it: one in doubt, trades being fetched or stood in for, at any time.

    Orders merely on their way explain a difference only until the very same one has persisted.
    """
    orders = [
        order
        for order in core.state.open_orders.values()
        if order.venue == difference.venue and order.market is difference.market
    ]
    if any(order.status is OrderStatus.IN_DOUBT for order in orders):
        return True
    if any(name.startswith("fills:") for name in core.tasks):
        return True
    if any(order.provisional_quantity > 0 for order in core.state.image.orders.values()):
        return True
    return not persisted and any(order.status in ON_THEIR_WAY for order in orders)


def _is_moved(core: EngineCore, difference: Difference, wallets: Mapping[str, Difference]) -> bool:
    """Tell whether a difference can only be money moved in or out: no trade that is not booked explains it."""
    if difference.kind != "balance" or difference in wallets.values():
        return False
    return not held_back(core, difference.venue, difference.market)


def _take_over(
    core: EngineCore, difference: Difference, wallet: Difference | None, *, opening: bool = False
) -> list[e.Event]:
    if difference.kind == "position":
        return position_taken(core, difference, wallet, opening=opening)
    kind = e.AdjustmentKind.OPENING if opening else e.AdjustmentKind.TRANSFER
    return [adjusted(core, difference, difference.theirs - difference.ours, kind)]


def _break(core: EngineCore, difference: Difference, resolution: str) -> e.BreakFound:
    return e.BreakFound(
        at_ms=core.clock.now_ms(),
        break_id=difference.break_id,
        venue=difference.venue,
        market=difference.market,
        kind=difference.kind,
        subject=difference.subject,
        ours=plain(difference.ours),
        theirs=plain(difference.theirs),
        resolution=resolution,
    )


def _halted(core: EngineCore, difference: Difference) -> list[e.Event]:
    """A position that no fill explains is for a person; nothing is ever traded to make it match."""
    if core.state.halted or core.phase is Phase.FAILED:
        return []
    reason = f"the venue's {difference.kind} of {difference.subject} differs and no fill explains it"
    return [e.TradingHalted(at_ms=core.clock.now_ms(), reason=reason, principal="reconciliation")]
