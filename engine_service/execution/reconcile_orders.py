"""The part of the comparison about orders: trades that were missed, orders that only one side has."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from engine_service.domain import events as e
from engine_service.domain.apply import trade_rank
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.order import Order
from engine_service.domain.order_changes import RESTING
from engine_service.domain.order_status import OrderStatus
from engine_service.execution.apply_report import (
    adopt_fills,
    apply_fills,
    apply_report,
    apply_words,
    find_order,
    held_back,
    hold_back,
)
from engine_service.execution.core import EngineCore
from engine_service.execution.fill_facts import new_fills
from engine_service.execution.reconcile_symbols import in_turn
from engine_service.execution.rules import is_new_to_us, learn
from engine_service.execution.venue_words import quarantined
from engine_service.execution.words import from_report
from engine_service.venues.port import Venue, VenueUnavailable
from engine_service.venues.reports import AccountSnapshot, OrderReport, ReadFailed

#: An order that changed this recently may not be in the venue's list yet.
RECENT_MS = 5_000
#: So long after its end an order may still stand in it.
ENDED_S = 10.0
#: After the trades of so many orders, callers have their turn: a minute of a busy engine is tens of thousands.
BOOKED_AT_ONCE = 50
NAMELESS = frozenset({OrderStatus.SUBMITTED, OrderStatus.IN_DOUBT, OrderStatus.PENDING_ACK})


async def import_fills(
    core: EngineCore, venue: Venue, market: Market, symbols: Sequence[str], imported: list[str]
) -> dict[str, str]:
    """Read each symbol's trades since the last one that a comparison read, and book what is missing.

    Returns:
        The newest trade id read by ``market:symbol``, up to which everything is known.

    Raises:
        VenueUnavailable: a history could not be read.
    """
    last_ids: dict[str, str] = {}
    for symbol in symbols:
        key = f"{market.value}:{symbol}"
        known = core.state.image.last_trade_ids.get(key) or None
        opened_ms = core.state.image.opened_accounts.get(venue.info.name, 0)
        fills = await venue.fills_since(market, symbol, known, opened_ms)
        newest = await _import(core, venue, [fill for fill in fills if fill.at_ms >= opened_ms], imported)
        if newest:
            last_ids[key] = newest
    return last_ids


async def pass_over(core: EngineCore, venue: Venue, market: Market) -> dict[str, str]:
    """Return the newest trade ids of what is held back, by ``market:symbol``: a person takes over what these did.

    Without them the trades would be booked a second time once the rules are known.
    """
    newest: dict[str, str] = {}
    for symbol in held_back(core, venue.info.name, market):
        opened_ms = core.state.image.opened_accounts.get(venue.info.name, 0)
        with suppress(VenueUnavailable):
            fills = await venue.fills_since(market, symbol, None, opened_ms)
            if fills:
                newest[f"{market.value}:{symbol}"] = max((fill.trade_id for fill in fills), key=trade_rank)
    return newest


async def _import(core: EngineCore, venue: Venue, fills: Sequence[Fill], imported: list[str]) -> str:
    """Book missing trades order by order; return the newest id before the first that had to wait."""
    newest, waiting = "", False
    for number, group in enumerate(_by_order(fills), 1):
        if number % BOOKED_AT_ONCE == 0:
            await core.sleep(0)
        booked = await _import_group(core, venue, group, imported)
        waiting = waiting or not booked
        if not waiting:
            newest = max((newest, *(fill.trade_id for fill in group)), key=trade_rank)
    return newest


def _by_order(fills: Sequence[Fill]) -> list[tuple[Fill, ...]]:
    """Group neighbours of one order; order by trade id stays."""
    groups: list[list[Fill]] = []
    for fill in sorted(fills, key=lambda fill: trade_rank(fill.trade_id)):
        same = groups and groups[-1][0].venue_order_id == fill.venue_order_id and fill.venue_order_id
        if same:
            groups[-1].append(fill)
        else:
            groups.append([fill])
    return [tuple(group) for group in groups]


async def _import_group(core: EngineCore, venue: Venue, group: tuple[Fill, ...], imported: list[str]) -> bool:
    missing = tuple(fill for fill in group if not core.journal.fill_known(fill))
    if not missing:
        return True
    first = missing[0]
    order = find_order(core, first.client_order_id, first.symbol, first.venue_order_id)
    if order is not None:
        await _book(core, order, missing, imported)
        return True
    if _may_be_ours(core, first):
        return await _ask_watched(core, venue, first)
    if (first.symbol, first.market) not in core.instruments:
        # Dropped by the venue while its trades were read.
        hold_back(core, first.symbol, first.market, first.client_order_id)
        return False
    adopted = adopt_fills(core, missing)
    imported += [adopted.client_order_id, *(fill.trade_id for fill in missing)]
    return True


async def _book(core: EngineCore, order: Order, fills: tuple[Fill, ...], imported: list[str]) -> None:
    """Book those of an order's trades that are not known yet, and note them."""
    unknown = tuple(new_fills(core, order, fills))
    done = apply_fills(core, order, unknown)
    if done is not None:
        await done
    imported += [fill.trade_id for fill in unknown]


async def watch_tombstones(core: EngineCore, venue: Venue, imported: list[str]) -> None:
    """Ask for orders that were proved absent, a few per comparison, each in its turn.

    One that appeared after all is taken in as resurrected: its trades are booked and the rest of it is cancelled.
    """
    now = core.clock.now_ms()
    watched = sorted(cid for cid, until_ms in core.state.image.tombstones.items() if until_ms >= now)
    for cid in in_turn(core, "tombstones", watched):
        order = core.order(cid)
        if order is None or order.venue != venue.info.name:
            continue
        report = await venue.query_order(order)
        if isinstance(report, OrderReport):
            imported.append(cid)
            done = apply_report(core, report)
            if done is not None:
                await done


async def name_stand_ins(core: EngineCore, venue: Venue, imported: list[str]) -> None:
    """Ask for the trades of orders that the venue counted and did not name, a few per comparison, each in its turn.

    It may name them after newer ones, where the walk from the last trade read does not look any more.
    """
    image = core.state.image
    stood_in = sorted(cid for cid, order in image.orders.items() if order.provisional_quantity > 0)
    for cid in in_turn(core, "stand-ins", stood_in):
        order = image.orders[cid]
        if order.venue != venue.info.name:
            continue
        found = await venue.query_fills(order)
        current = core.state.order(cid)
        if current is not None and not isinstance(found, ReadFailed):
            await _book(core, current, found, imported)


def _may_be_ours(core: EngineCore, fill: Fill) -> bool:
    """True while an order of ours on the symbol has no venue id yet: the trade may belong to it.

    A trade that names its order was looked for under that name and not found: it is somebody else's, whatever is open.
    """
    if fill.client_order_id:
        return False
    nameless = any(
        order.status in NAMELESS and not order.venue_order_id
        for order in core.state.orders_of_line(fill.symbol, fill.market)
    )
    return nameless or bool(_watched(core, fill))


def _watched(core: EngineCore, fill: Fill) -> list[Order]:
    orders = (core.order(cid) for cid in core.state.image.tombstones)
    return [order for order in orders if order is not None and order.symbol == fill.symbol]


async def _ask_watched(core: EngineCore, venue: Venue, fill: Fill) -> bool:
    """Ask for orders that were proved absent: one of them may have appeared after all."""
    for order in _watched(core, fill):
        report = await venue.query_order(order)
        if isinstance(report, OrderReport):
            done = apply_report(core, report)
            if done is not None:
                await done
    return False


async def compare_open_orders(
    core: EngineCore,
    venue: Venue,
    snapshot: AccountSnapshot,
    imported: list[str],
    closed: list[str],
    *,
    at_start: bool,
) -> None:
    """Take in orders that only the venue has; ask about orders that only we have.

    At start nothing is on its way, so that orders are asked about however recently they changed.
    """
    theirs = set()
    for report in snapshot.open_orders:
        if is_new_to_us(core, report):
            await learn(core, venue)
        before = core.state.order(report.client_order_id)
        done = apply_report(core, report)
        if done is not None:
            await done
        found = find_order(core, report.client_order_id, report.symbol, report.venue_order_id)
        if found is not None:
            theirs.add(found.client_order_id)
            await _take_shape(core, found, report, at_start=at_start)
            _see_that_it_ended(core, venue, found)
        if before is None and found is not None and found.external:
            imported.append(found.client_order_id)
    now = core.clock.now_ms()
    for order in list(core.state.open_orders.values()):
        mine = order.venue == venue.info.name and order.market is snapshot.market and order.status in RESTING
        if not mine or _moved_lately(order, now, at_start=at_start) or order.client_order_id in theirs:
            continue
        await _ask(core, venue, order, closed)


def _moved_lately(order: Order, now_ms: int, *, at_start: bool) -> bool:
    """True while the venue's list may lag behind the order. A wall clock that was set back makes nothing recent."""
    return not at_start and 0 <= now_ms - order.updated_at_ms < RECENT_MS


def _see_that_it_ended(core: EngineCore, venue: Venue, order: Order) -> None:
    """An order that ended here stands in the venue's list: where that is so for some time, it is for a person.

    Its end was a refusal or a "no such order" that was not true. It may trade at any time, and nobody waits for that.
    """
    if not order.is_open and order.status is not OrderStatus.DENIED:
        core.spawn(f"ended:{order.client_order_id}", _ask_later(core, venue, order))


async def _ask_later(core: EngineCore, venue: Venue, order: Order) -> None:
    """Ask once what was read here is no longer just old: by now its end has passed every copy of the venue's books."""
    await core.sleep(ENDED_S)
    report = await venue.query_order(order)
    current = core.state.order(order.client_order_id)
    if (
        isinstance(report, OrderReport)
        and not report.status.is_terminal
        and current is not None
        and not current.is_open
    ):
        reason = f"{current.status.value} here and open at the venue"
        await core.commit(*quarantined(current, reason, core.clock.now_ms()))


async def _take_shape(core: EngineCore, order: Order, report: OrderReport, *, at_start: bool) -> None:
    """Take over price and size of a resting order that was changed behind our back, or against the venue's word."""
    now = core.clock.now_ms()
    same = (order.quantity, order.limit_price) == (report.quantity, report.limit_price)
    if same or order.status not in RESTING or order.quantity is None or _moved_lately(order, now, at_start=at_start):
        return
    cid = order.client_order_id
    detail = f"{order.quantity} at {order.limit_price}, at the venue {report.quantity} at {report.limit_price}"
    await core.commit(
        e.OrderUpdated(at_ms=now, client_order_id=cid, quantity=report.quantity, limit_price=report.limit_price),
        e.Anomaly(at_ms=now, kind="order_differs", subject=cid, detail=detail),
    )


async def _ask(core: EngineCore, venue: Venue, order: Order, closed: list[str]) -> None:
    """The venue's list lacks it: only its own word about this very order says what became of it."""
    report = await venue.query_order(order)
    current = core.state.order(order.client_order_id)
    if not isinstance(report, OrderReport) or current is None:
        return
    done = apply_words(core, current, from_report(report))
    if done is not None:
        await done
    after = core.state.order(order.client_order_id)
    if after is not None and not after.is_open:
        closed.append(order.client_order_id)
