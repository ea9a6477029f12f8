"""Trades as facts: each booked once, stand-ins for trades the venue counted but did not name, trades taken back."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from msgspec import UNSET
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.cost_book import CostBook
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.money import ONE, ZERO, exactly, plain, quantise
from engine_service.domain.order import Order
from engine_service.execution.core import EngineCore


def new_fills(core: EngineCore, order: Order, fills: tuple[Fill, ...]) -> list[Fill]:
    """Return the trades that are not booked yet, each once, in the order given."""
    if len(fills) == 1 and not core.state.image.fills.get(order.client_order_id):
        return list(fills) if fills[0].quantity > 0 else []
    unknown: dict[tuple[str, ...], Fill] = {}
    for fill in fills:
        if fill.quantity > 0 and not core.state.knows_fill(order.client_order_id, fill):
            unknown.setdefault(fill.key, fill)
    return list(unknown.values())


@exactly
def fill_events(core: EngineCore, order: Order, fills: Sequence[Fill]) -> list[e.Event]:
    """Book trades at the rates of this moment; an overfill also restricts the symbol.

    Real trades take the place of stand-ins and are never added to them; what they leave uncovered stays stood in for.
    """
    if not fills:
        return []
    now, booked = core.clock.now_ms(), order.filled_quantity
    events: list[e.Event] = []
    if order.provisional_quantity > 0:
        replaced = stand_ins(core, order)
        for stand_in in replaced:
            booked -= stand_in.quantity
            events.append(reversal(core, order, stand_in, e.Reversal.REPLACED))
        uncovered = order.filled_quantity - booked - sum((fill.quantity for fill in fills), ZERO)
        before = [*(stand_in.opposite for stand_in in replaced), *fills]
        fills = [*fills, *_stand_in(core, order, uncovered, booked + order.provisional_quantity, before)]
    for fill in fills:
        booked += fill.quantity
        if fill.fee and not fill.fee_asset:
            # Booked it would move money of no currency; the comparison finds what it took.
            detail = f"a fee of {plain(fill.fee)} in an asset that the venue does not name is not booked"
            events.append(e.Anomaly(at_ms=now, kind="fee_of_no_asset", subject=fill.trade_id, detail=detail))
            fill = replace(fill, fee=ZERO)  # noqa: PLW2901  # the same trade, as far as it can be booked
        over = booked != order.quantity and _is_over(order, booked)
        events.append(filled(core, order, fill, over=over, now_ms=now))
        if over and not order.overfill:
            events.append(restriction(order, "OVERFILL", "the venue filled more than was ordered", now))
    return events


def _is_over(order: Order, booked: Decimal) -> bool:
    """Tell whether more traded than was ever asked for; of an order that is not ours we do not know what was."""
    most = order.greatest_quantity
    return most is not None and booked > most and not order.external


def stand_ins(core: EngineCore, order: Order) -> list[Fill]:
    """Return the provisional trades of an order that no real ones have replaced yet."""
    if order.provisional_quantity <= 0:
        return []
    booked = core.state.fills_of(order.client_order_id)
    gone = {fill.trade_id for fill in booked if fill.quantity < 0}
    return [fill for fill in booked if fill.provisional and fill.quantity > 0 and fill.opposite.trade_id not in gone]


@exactly
def provisional_events(core: EngineCore, order: Order, executed: Decimal) -> list[e.Event]:
    """Stand in for trades that the venue counted (``executed``, cumulative base units) and would not name."""
    missing = executed - gross(order)
    return fill_events_of_stand_in(core, order, missing, executed) if missing > 0 else []


def fill_events_of_stand_in(core: EngineCore, order: Order, missing: Decimal, executed: Decimal) -> list[e.Event]:
    """Book one stand-in and say so."""
    now, cid = core.clock.now_ms(), order.client_order_id
    detail = f"{plain(missing)} counted by the venue, trades not named"
    booked = [
        filled(core, order, fill, over=_is_over(order, executed), now_ms=now)
        for fill in _stand_in(core, order, missing, executed)
    ]
    return [*booked, e.Anomaly(at_ms=now, kind="provisional_fill", subject=cid, detail=detail)]


def _stand_in(
    core: EngineCore, order: Order, quantity: Decimal, executed: Decimal, before: Sequence[Fill] = ()
) -> tuple[Fill, ...]:
    """Return a trade of unknown price and fee: at the limit or the mark, under an id that says what it stands for.

    A number keeps the id apart from that of an earlier one that stood for the same and was replaced. ``before`` are
    trades that are booked with it, ahead of it.
    """
    if quantity <= 0:
        return ()
    booked = core.state.fills_of(order.client_order_id)
    number = 1 + sum(fill.provisional and fill.quantity > 0 for fill in booked)
    price = order.limit_price or core.marks.price(order.symbol, order.market) or order.average_price or ZERO
    known = plain(executed - quantity)
    fill = Fill(
        venue=order.venue,
        market=order.market,
        symbol=order.symbol,
        trade_id=f"provisional:{order.client_order_id}:{number}:{known}:{plain(executed)}",
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        side=order.side,
        price=price,
        quantity=quantity,
        at_ms=core.clock.now_ms(),
        provisional=True,
    )
    return (fill if order.market is Market.SPOT else replace(fill, realised=_result(core, fill, before)),)


def _result(core: EngineCore, fill: Fill, before: Sequence[Fill]) -> Decimal:
    """Return what a stand-in closes a futures position with: named with it, so that taking it back leaves nothing."""
    position = core.state.portfolio.derivatives.get(fill.symbol)
    book = CostBook() if position is None else CostBook(quantity=position.book.quantity, cost=position.book.cost)
    for each in before:
        sign, told = each.side.sign, each.realised
        quantity, value = sign * each.quantity, sign * each.notional
        if told is UNSET:
            book.move(quantity, value)
        else:
            book.settled(quantity, value, told)
    return book.result_of(fill.side.sign * fill.quantity, fill.side.sign * fill.notional)


def gross(order: Order) -> Decimal:
    """Return what traded in base units, trades that were busted later included: what the venue's count began as."""
    return order.filled_quantity + order.busted_quantity


def reversal(core: EngineCore, order: Order, fill: Fill, reason: e.Reversal) -> e.OrderFillReversed:
    """Take a booked trade back at the very rates it was booked at, so that nothing of it stays in the books."""
    booked = next(
        (
            recorded.event
            for recorded in core.journal.order_history(order.client_order_id)
            if isinstance(recorded.event, e.OrderFilled) and recorded.event.fill.key == fill.key
        ),
        None,
    )
    now = core.clock.now_ms()
    as_now = booked or filled(core, order, fill, over=False, now_ms=now)
    return e.OrderFillReversed(
        at_ms=now,
        client_order_id=order.client_order_id,
        fill=fill,
        base=as_now.base,
        quote=as_now.quote,
        quote_rate=as_now.quote_rate,
        fee_rate=as_now.fee_rate,
        reason=reason,
        strategy=as_now.strategy,
    )


def conflicts(core: EngineCore, order: Order, fills: Sequence[Fill]) -> list[e.Event]:
    """Return what contradicts a booked trade: the same id with another price or size. The first one is kept."""
    booked = {known.key: known for known in core.state.fills_of(order.client_order_id)}
    now, found = core.clock.now_ms(), list[e.Event]()
    for fill in fills:
        known = booked.get(fill.key)
        if known is not None and (known.price, known.quantity) != (fill.price, fill.quantity):
            detail = (
                f"{plain(known.quantity)} at {plain(known.price)}, now {plain(fill.quantity)} at {plain(fill.price)}"
            )
            found.append(e.Anomaly(at_ms=now, kind="fill_conflict", subject=fill.trade_id, detail=detail))
    return found


def restriction(order: Order, code: str, reason: str, now_ms: int) -> e.SymbolRestricted:
    """Make an order's symbol reduce-only until a person lifts it."""
    return e.SymbolRestricted(at_ms=now_ms, symbol=order.symbol, market=order.market, code=code, reason=reason)


def filled(core: EngineCore, order: Order, fill: Fill, *, over: bool, now_ms: int) -> e.OrderFilled:
    """Book a trade at the rates of this moment; ``over`` tells that the order has no room for it."""
    quote_rate = core.booking_rate(fill.venue, order.quote)
    return e.OrderFilled(
        at_ms=now_ms,
        client_order_id=order.client_order_id,
        fill=fill,
        base=order.base,
        quote=order.quote,
        quote_rate=quote_rate,
        fee_rate=_fee_rate(core, order, fill, quote_rate),
        strategy=order.strategy,
        late=order.status.is_terminal,
        overfill=over,
    )


def _fee_rate(core: EngineCore, order: Order, fill: Fill, quote_rate: Decimal) -> Decimal:
    if fill.fee == 0:
        return ONE
    if fill.fee_asset == order.quote:
        return quote_rate
    if fill.fee_asset == order.base:
        return quantise(fill.price * quote_rate)
    return core.booking_rate(fill.venue, fill.fee_asset)
