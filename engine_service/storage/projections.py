"""Which table rows follow from an event. Pure: reads the state right after the event was applied."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from engine_service.domain import events as e
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.portfolio import holding_key
from engine_service.domain.state import EngineState
from engine_service.storage.port import Projection, Recorded, StoredAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class FillValue:
    """A fill and whose it is."""

    seq: int
    account: str
    strategy: str
    fill: Fill


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceValue:
    """One asset of one market: quantity in units of the asset, cost in the reporting currency."""

    venue: str
    market: Market
    asset: str
    quantity: Decimal
    cost: Decimal
    realised: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionValue:
    """One futures position: signed quantity in base units, cost and realised result in quote."""

    symbol: str
    quantity: Decimal
    cost: Decimal
    realised: Decimal


def projections_of(state: EngineState, recorded: Recorded, account: str) -> tuple[Projection, ...]:
    """Return the rows to write in the transaction of ``recorded``."""
    event = recorded.event
    rows: list[Projection] = []
    if isinstance(event, e.OrderEvent):
        rows += _order(state, event.client_order_id)
    match event:
        case e.OrderInitialized() if event.idempotency is not None:
            answer = StoredAnswer(mark=event.idempotency, at_ms=event.at_ms, client_order_id=event.client_order_id)
            rows.append(_answer(answer))
        case e.OrderFilled():
            rows += _fill(state, recorded.seq, event, event.fill, account)
        case e.OrderFillReversed():
            rows += _fill(state, recorded.seq, event, event.fill.opposite, account)
        case e.BalanceAdjusted():
            rows += _balances(state, event.venue, event.market, {event.asset})
        case e.FundingPaid():
            rows += _balances(state, event.venue, Market.FUTURES, {event.asset})
        case e.PositionAdopted():
            rows += _position(state, event.symbol)
        case e.EquityRecorded():
            rows.append(Projection(table="equity_snapshots", key=(str(recorded.seq),), value=event))
        case e.AnswerRecorded():
            rows.append(_answer(_stored(state, event)))
        case _:
            pass
    return tuple(rows)


def _order(state: EngineState, client_order_id: str) -> list[Projection]:
    order = state.order(client_order_id)
    return [] if order is None else [Projection(table="orders", key=(client_order_id,), value=order)]


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


def _answer(answer: StoredAnswer) -> Projection:
    return Projection(table="idempotency", key=(answer.mark.scope, answer.mark.key), value=answer)


def _stored(state: EngineState, event: e.AnswerRecorded) -> StoredAnswer:
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
