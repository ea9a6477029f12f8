"""Which table rows follow from an event. Pure: reads the state right after the event was applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import UNSET

from engine_service.domain import events as e
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market, venue_of
from engine_service.domain.portfolio import holding_key
from engine_service.domain.state import EngineState
from engine_service.storage.codec import KINDS
from engine_service.storage.port import Projection, Recorded, StoredAnswer

Rows = tuple[Projection, ...]
#: What may carry the key that a change or a cancel was asked under.
ChangeAsked = e.OrderPendingUpdate | e.OrderPendingCancel | e.OrderCancelRequested


class FillValue(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A fill and whose it is."""

    seq: int
    account: str
    strategy: str
    fill: Fill


class BalanceValue(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One asset of one market: quantity in units of the asset, cost in the reporting currency."""

    venue: str
    market: Market
    asset: str
    quantity: Decimal
    cost: Decimal
    realised: Decimal


class PositionValue(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One futures position: signed quantity in base units, cost and realised result in quote."""

    symbol: str
    quantity: Decimal
    cost: Decimal
    realised: Decimal


def projections_of(state: EngineState, recorded: Recorded, account: str) -> Rows:
    """Return the rows to write in the transaction of ``recorded``."""
    rows_of = _ROWS_OF.get(type(recorded.event))
    return () if rows_of is None else rows_of(state, recorded.seq, recorded.event, account)


def _order(state: EngineState, seq: int, event: e.OrderEvent, account: str) -> Rows:
    cid = event.client_order_id
    order = state.order(cid)
    return () if order is None else (Projection(table="orders", key=(cid,), value=order),)


def _initialized(state: EngineState, seq: int, event: e.OrderInitialized, account: str) -> Rows:
    rows = _order(state, seq, event, account)
    return rows if event.idempotency is None else (*rows, _begun(event, event.idempotency))


def _change_asked(state: EngineState, seq: int, event: ChangeAsked, account: str) -> Rows:
    rows = _order(state, seq, event, account)
    return rows if event.idempotency is UNSET else (*rows, _begun(event, event.idempotency))


def _begun(event: e.OrderEvent, mark: e.IdempotencyMark) -> Projection:
    return _answer(answer_begun(event, mark))


def answer_begun(event: e.OrderEvent, mark: e.IdempotencyMark) -> StoredAnswer:
    """Return what stands under a key whose request has begun and is not answered yet."""
    return StoredAnswer(mark=mark, at_ms=event.at_ms, client_order_id=event.client_order_id)


def _filled(state: EngineState, seq: int, event: e.OrderFilled, account: str) -> Rows:
    return (*_order(state, seq, event, account), *_fill(state, seq, event, event.fill, account))


def _fill_reversed(state: EngineState, seq: int, event: e.OrderFillReversed, account: str) -> Rows:
    return (*_order(state, seq, event, account), *_fill(state, seq, event, event.fill.opposite, account))


def _fill(
    state: EngineState, seq: int, event: e.OrderFilled | e.OrderFillReversed, fill: Fill, account: str
) -> list[Projection]:
    value = FillValue(seq=seq, account=account, strategy=event.strategy, fill=fill)
    rows = [Projection(table="fills", key=fill.key, value=value)]
    if fill.market is Market.SPOT:
        return rows + _balances(state, fill.venue, fill.market, {event.base, event.quote, fill.fee_asset})
    rows += _balances(state, fill.venue, fill.market, {event.quote, fill.fee_asset})
    return rows + _position(state, fill.symbol)


def _balances(state: EngineState, venue: str, market: Market, assets: set[str]) -> list[Projection]:
    rows = []
    for asset in sorted(assets):
        book = state.portfolio.holdings.get(holding_key(venue, market, asset))
        if book is None:
            continue
        value = BalanceValue(
            venue=venue,
            market=market,
            asset=asset,
            quantity=book.quantity,
            cost=book.cost,
            realised=book.realised,
        )
        rows.append(Projection(table="balances", key=(venue, market.value, asset), value=value))
    return rows


def _position(state: EngineState, symbol: str) -> list[Projection]:
    position = state.portfolio.derivatives.get(symbol)
    if position is None:
        return []
    book = position.book
    value = PositionValue(symbol=symbol, quantity=book.quantity, cost=book.cost, realised=book.realised)
    return [Projection(table="positions", key=(symbol,), value=value)]


def _adjusted(state: EngineState, seq: int, event: e.BalanceAdjusted, account: str) -> Rows:
    return tuple(_balances(state, event.venue, event.market, {event.asset}))


def _funded(state: EngineState, seq: int, event: e.FundingPaid, account: str) -> Rows:
    return tuple(_balances(state, event.venue, Market.FUTURES, {event.asset}))


def _adopted(state: EngineState, seq: int, event: e.PositionAdopted, account: str) -> Rows:
    wallet = _balances(state, venue_of(event.symbol), Market.FUTURES, {event.quote})
    return (*_position(state, event.symbol), *wallet)


def _equity(state: EngineState, seq: int, event: e.EquityRecorded, account: str) -> Rows:
    return (Projection(table="equity_snapshots", key=(str(seq),), value=event),)


def _answered(state: EngineState, seq: int, event: e.AnswerRecorded, account: str) -> Rows:
    return (_answer(answer_told(state, event)),)


def answer_told(state: EngineState, event: e.AnswerRecorded) -> StoredAnswer:
    """Return what stands under a key that was answered; ``state`` is the one right after the answer."""
    order = state.order(event.client_order_id) if event.client_order_id else None
    return StoredAnswer(
        mark=event.mark,
        at_ms=event.at_ms,
        outcome=event.outcome,
        client_order_id=event.client_order_id,
        order=order,
        fills=() if order is None else state.fills_of(order.client_order_id),
        numbers=event.numbers,
        status_code=event.status_code,
        body=event.body,
    )


def _answer(answer: StoredAnswer) -> Projection:
    return Projection(table="idempotency", key=(answer.mark.scope, answer.mark.key), value=answer)


_ROWS_OF: Final[Mapping[type[e.Event], Callable[[EngineState, int, Any, str], Rows]]] = {
    **{kind: _order for kind in KINDS.values() if issubclass(kind, e.OrderEvent)},
    e.OrderInitialized: _initialized,
    e.OrderPendingUpdate: _change_asked,
    e.OrderPendingCancel: _change_asked,
    e.OrderCancelRequested: _change_asked,
    e.OrderFilled: _filled,
    e.OrderFillReversed: _fill_reversed,
    e.BalanceAdjusted: _adjusted,
    e.FundingPaid: _funded,
    e.PositionAdopted: _adopted,
    e.EquityRecorded: _equity,
    e.AnswerRecorded: _answered,
}
