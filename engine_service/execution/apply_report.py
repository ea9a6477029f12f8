"""Reports from the stream and from reads become facts: each trade once, whatever their order, number and delay."""

from __future__ import annotations

from asyncio import Future
from decimal import Decimal

from engine_service.domain import events as e
from engine_service.domain.fill import Fill
from engine_service.domain.ids import ENGINE, Market, closed_by_venue, instance_tag, venue_of
from engine_service.domain.money import ZERO
from engine_service.domain.order import Order
from engine_service.domain.order_changes import RESTING
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType
from engine_service.execution.core import EngineCore
from engine_service.execution.fill_facts import (
    conflicts,
    fill_events,
    new_fills,
    provisional_events,
    restriction,
    reversal,
)
from engine_service.execution.later import cancel_later
from engine_service.execution.venue_words import beyond_limit, facts_of, misfit, quarantined
from engine_service.execution.words import Words, from_report
from engine_service.storage.port import FillFilter
from engine_service.venues.reports import OrderReport, ReadFailed, TradeBust

#: How long trades that the venue counted are asked for before a stand-in is booked: five seconds.
FILL_GAP_DELAYS_S = (0.25, 0.5, 1.0, 1.25, 2.0)
EXTERNAL = "external"
UNKNOWN_INSTRUMENT = "UNKNOWN_INSTRUMENT"


def apply_report(core: EngineCore, report: OrderReport) -> Future[int] | None:
    """Take the venue's view of an order, known or not.

    Returns:
        A future that is done when what was new is on disk; ``None`` when nothing was new.

    Raises:
        Unavailable: the journal failed.
    """
    order = find_order(core, report.client_order_id, report.symbol, report.venue_order_id)
    if order is None and (report.symbol, report.market) not in core.instruments:
        return hold_back(core, report.symbol, report.market, report.client_order_id)
    if order is None:
        order = _adopt(core, report)
    return apply_words(core, order, from_report(report))


def apply_words(core: EngineCore, order: Order, words: Words) -> Future[int] | None:
    """Record what is new in the venue's words about an order; asks for trades that it counted but did not name."""
    facts = facts_of(core, order, words)
    found = [*facts.events, *facts.conflicts]
    done = core.record(*found) if found else None
    if facts.conflicts:
        core.spawn(f"conflict:{order.client_order_id}", _read_again(core, order.client_order_id))
    _cancel_resurrected(core, facts.events)
    cancel_wished(core, order.client_order_id)
    if facts.gap:
        # Later words have a task of their own: they may be the venue's last, and nobody would tell them again.
        name = f"fills:{order.client_order_id}:{words.status}:{words.executed}"
        core.spawn(name, _close_gap(core, order.client_order_id, words))
    return done


def _cancel_resurrected(core: EngineCore, events: list[e.Event]) -> None:
    """What came back from the dead is not wanted any more: the strategy decided anew long ago."""
    for event in events:
        if isinstance(event, e.OrderResurrected):
            cancel_later(core, event.client_order_id, "it appeared after it was proved absent")


def cancel_wished(core: EngineCore, client_order_id: str) -> None:
    """Cancel an order that works although a cancel was wished for when none could be sent."""
    order = core.state.order(client_order_id)
    if order is not None and order.cancel_requested and order.status in RESTING:
        cancel_later(core, client_order_id, "wished for before the venue had confirmed it")


def apply_fills(core: EngineCore, order: Order, fills: tuple[Fill, ...]) -> Future[int] | None:
    """Book trades that a history read brought; known ones are skipped."""
    unknown = new_fills(core, order, fills)
    if not unknown:
        return None
    events: list[e.Event] = []
    now = core.clock.now_ms()
    if order.status is OrderStatus.NOT_PLACED:
        words = Words(status=OrderStatus.ACCEPTED, venue_order_id=unknown[0].venue_order_id, executed=ZERO)
        events += facts_of(core, order, words).events
        _cancel_resurrected(core, events)
    elif order.status in {OrderStatus.SUBMITTED, OrderStatus.PENDING_ACK}:
        venue_order_id = unknown[0].venue_order_id
        events.append(e.OrderAccepted(at_ms=now, client_order_id=order.client_order_id, venue_order_id=venue_order_id))
    odd = misfit(order, unknown) or beyond_limit(core, order, unknown)
    if odd and order.status is not OrderStatus.QUARANTINED:
        events += quarantined(order, odd, now)
    done = core.record(*events, *fill_events(core, order, unknown))
    cancel_wished(core, order.client_order_id)
    return done


def find_order(core: EngineCore, client_order_id: str, symbol: str, venue_order_id: str) -> Order | None:
    """Return an order of ours from memory, or from the tables, recalled into memory."""
    order = core.state.order(client_order_id) if client_order_id else None
    if order is None and venue_order_id:
        order = core.state.order_by_venue_id(symbol, venue_order_id)
    return order or _recall(core, client_order_id, symbol, venue_order_id)


def _recall(core: EngineCore, client_order_id: str, symbol: str, venue_order_id: str) -> Order | None:
    stored = core.journal.order(client_order_id) if client_order_id else None
    if stored is None and venue_order_id:
        stored = core.journal.order_by_venue_id(symbol, venue_order_id)
    if stored is None or stored.is_open:
        return None
    query = FillFilter(client_order_id=stored.client_order_id, limit=1_000)
    fills = tuple(row.fill for row in core.journal.fills(query))
    core.record(
        e.OrderRecalled(at_ms=core.clock.now_ms(), client_order_id=stored.client_order_id, order=stored, fills=fills)
    )
    return core.state.order(stored.client_order_id)


def hold_back(core: EngineCore, symbol: str, market: Market, client_order_id: str) -> Future[int] | None:
    """Put a symbol aside whose trading rules are not known: nobody can say which currencies its trades move.

    Nothing of it is booked. Once its rules are known a comparison brings its trades; a person may adopt the figures.
    """
    known = core.state.image.restrictions.get(f"{market.value}|{symbol}")
    if known is not None and known.code == UNKNOWN_INSTRUMENT:
        return None
    now, reason = core.clock.now_ms(), f"the venue's trading rules of {symbol} are not known: its trades are not booked"
    return core.record(
        e.Anomaly(at_ms=now, kind="unknown_instrument", subject=symbol, detail=f"order {client_order_id}: {reason}"),
        *_alarm(core, client_order_id, symbol, market, now),
        e.SymbolRestricted(at_ms=now, symbol=symbol, market=market, code=UNKNOWN_INSTRUMENT, reason=reason),
    )


def held_back(core: EngineCore, venue: str, market: Market) -> list[str]:
    """Return the instruments whose trades are not booked because their rules are still not known."""
    return [
        restriction.symbol
        for restriction in core.state.image.restrictions.values()
        if restriction.code == UNKNOWN_INSTRUMENT
        and restriction.market is market
        and venue_of(restriction.symbol) == venue
        and (restriction.symbol, market) not in core.instruments
    ]


def _adopt(core: EngineCore, report: OrderReport) -> Order:
    """Take over an order that this engine did not send."""
    quantity = report.quantity if report.quantity > 0 else None
    return adopt_external(
        core,
        client_order_id=report.client_order_id,
        venue_order_id=report.venue_order_id,
        symbol=report.symbol,
        market=report.market,
        side=report.side,
        order_type=report.type,
        quantity=quantity,
        limit_price=report.limit_price,
        stop_price=report.stop_price,
    )


def adopt_fills(core: EngineCore, fills: tuple[Fill, ...]) -> Order:
    """Take over the order behind trades (of one order) that no order of ours explains, and book them."""
    fill = fills[0]
    order = _adopt_traded(core, fill, sum((each.quantity for each in fills), ZERO))
    apply_fills(core, order, fills)
    return core.state.order(order.client_order_id) or order


def _adopt_traded(core: EngineCore, fill: Fill, quantity: Decimal) -> Order:
    return adopt_external(
        core,
        client_order_id=fill.client_order_id,
        venue_order_id=fill.venue_order_id,
        symbol=fill.symbol,
        market=fill.market,
        side=fill.side,
        order_type=OrderType.MARKET,
        quantity=quantity,
    )


def adopt_external(
    core: EngineCore,
    *,
    client_order_id: str,
    venue_order_id: str,
    symbol: str,
    market: Market,
    side: OrderSide,
    order_type: OrderType,
    quantity: Decimal | None,
    limit_price: Decimal | None = None,
    stop_price: Decimal | None = None,
) -> Order:
    """Adopt an order with the owner ``external``; on an account that is not shared this halts trading.

    Its instrument must be known.
    """
    now = core.clock.now_ms()
    cid = client_order_id or f"x-{venue_of(symbol)}-{market.value}-{venue_order_id}"
    instrument = core.instruments[symbol, market]
    quote_rate = core.booking_rate(venue_of(symbol), instrument.quote)
    price = limit_price or stop_price or core.marks.price(symbol, market) or ZERO
    order = Order(
        client_order_id=cid,
        symbol=symbol,
        market=market,
        side=side,
        type=order_type,
        status=OrderStatus.ACCEPTED,
        quantity=quantity,
        limit_price=limit_price,
        stop_price=stop_price,
        strategy=EXTERNAL,
        venue_order_id=venue_order_id,
        created_at_ms=now,
        updated_at_ms=now,
        external=True,
        base=instrument.base,
        quote=instrument.quote,
        unit_value=price * quote_rate,
    )
    core.record(
        e.ExternalOrderAdopted(at_ms=now, client_order_id=cid, order=order), *_alarm(core, cid, symbol, market, now)
    )
    return core.state.order(cid) or order


def _alarm(core: EngineCore, client_order_id: str, symbol: str, market: Market, now: int) -> list[e.Event]:
    if venue_of(symbol) not in core.state.image.opened_accounts:
        return []
    forced = closed_by_venue(client_order_id)
    if forced:
        return _forced(core, client_order_id, symbol, market, forced, now)
    ours = client_order_id.startswith(instance_tag(core.instance_key)) and len(client_order_id) == 32
    events: list[e.Event] = [e.Anomaly(at_ms=now, kind="external_order", subject=client_order_id, detail=symbol)]
    if ours:
        reason = "an order with this engine's own tag is not in its journal: is a second engine on the account?"
        events.append(e.TradingHalted(at_ms=now, reason=reason, principal=ENGINE))
    elif not core.account_is_shared:
        reason = f"an order on {symbol} was not sent by this engine and the account is not shared"
        events.append(e.TradingHalted(at_ms=now, reason=reason, principal=ENGINE))
    return events


def _forced(
    core: EngineCore, client_order_id: str, symbol: str, market: Market, forced: str, now: int
) -> list[e.Event]:
    """The venue closed a position by itself: what is traded there next is for a person, on a shared account too."""
    reason = f"the venue itself closed the position in {symbol}: {forced}"
    events: list[e.Event] = [
        e.Anomaly(at_ms=now, kind=forced, subject=client_order_id, detail=symbol),
        e.SymbolRestricted(at_ms=now, symbol=symbol, market=market, code=forced.upper(), reason=reason),
    ]
    if not core.account_is_shared:
        events.append(e.TradingHalted(at_ms=now, reason=reason, principal=ENGINE))
    return events


async def _close_gap(core: EngineCore, client_order_id: str, words: Words) -> None:
    """Fetch the trades that the venue counted but did not name, then take its words again.

    Where it names none in five seconds a stand-in is booked: the position is what the venue says it is. The real
    trades replace it whenever a stream, a read or a comparison brings them.
    """
    for delay_s in FILL_GAP_DELAYS_S:
        await core.sleep(delay_s)
        order = core.state.order(client_order_id)
        if order is None or not await _still_missing(core, order, words):
            return
        fills = await _trades_of(core, order)
        done = apply_fills(core, core.state.order(client_order_id) or order, fills)
        if done is not None:
            await done
    order = core.state.order(client_order_id)
    if order is None or not await _still_missing(core, order, words):
        return
    stand_in = provisional_events(core, order, words.executed)
    if stand_in:
        await core.commit(*stand_in)
        await _still_missing(core, core.state.order(client_order_id) or order, words)


async def _still_missing(core: EngineCore, order: Order, words: Words) -> bool:
    """Tell whether trades are missing still; where none are, take in the rest of the words."""
    facts = facts_of(core, order, words)
    if not facts.gap and facts.events:
        await core.commit(*facts.events)
    return facts.gap


async def _trades_of(core: EngineCore, order: Order) -> tuple[Fill, ...]:
    fills = await core.venue_for(order.symbol).query_fills(order)
    core.gate.venue_result(order.venue, ok=not isinstance(fills, ReadFailed), now_s=core.clock.monotonic_s())
    return () if isinstance(fills, ReadFailed) else fills


async def _read_again(core: EngineCore, client_order_id: str) -> None:
    """Two tellings of one trade differ: where a read contradicts what is booked, the symbol is for a person."""
    await core.sleep(FILL_GAP_DELAYS_S[0])
    order = core.state.order(client_order_id)
    if order is None:
        return
    fills = await _trades_of(core, order)
    if conflicts(core, order, fills):
        reason = "the venue tells a booked trade with another price or size"
        await core.commit(restriction(order, "FILL_CONFLICT", reason, core.clock.now_ms()))


def bust(core: EngineCore, report: TradeBust) -> Future[int] | None:
    """Take a trade back that the venue has busted; once, and only one that is booked.

    Of one that is not booked the fill may still be told: the symbol is for a person either way.

    Raises:
        Unavailable: the journal failed.
    """
    order = find_order(core, report.client_order_id, report.symbol, report.venue_order_id)
    booked = () if order is None else core.state.fills_of(order.client_order_id)
    known = {fill.trade_id: fill for fill in booked}
    fill, now = known.get(report.trade_id), core.clock.now_ms()
    if order is None or fill is None:
        subject, detail = report.trade_id, "the venue busted a trade that is not booked"
        return core.record(
            e.Anomaly(at_ms=now, kind="bust_unknown", subject=subject, detail=detail),
            e.SymbolRestricted(at_ms=now, symbol=report.symbol, market=report.market, code="TRADE_BUST", reason=detail),
        )
    if fill.opposite.trade_id in known:
        return None
    detail = "the venue took a trade back"
    return core.record(
        reversal(core, order, fill, e.Reversal.BUST),
        e.Anomaly(at_ms=now, kind="bust", subject=report.trade_id, detail=detail),
        restriction(order, "TRADE_BUST", detail, now),
    )
