"""``apply``: the one function that changes the state, live, at recovery, in replay and in the backtest.

It does no I/O and reads no clock; what it needs is in the event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from engine_service.domain import events as e
from engine_service.domain.errors import EngineError
from engine_service.domain.ids import Market, venue_of
from engine_service.domain.money import ZERO, exactly, within_exact
from engine_service.domain.order_changes import changed
from engine_service.domain.portfolio import Portfolio
from engine_service.domain.state import (
    CLOSED_BRACKETS_KEPT,
    FUNDING_IDS_KEPT,
    EngineState,
    Halt,
    Restriction,
    StrategySettings,
)

_book_fill: Final = within_exact(Portfolio.book_fill)
#: How the reference of a transfer begins that the venue's stream told of.
STREAMED: Final = "stream:"
#: How the reference of what the venue's income history named begins.
INCOME: Final = "income:"


class IllegalEvent(EngineError):
    """An event that no rule allows reached ``apply``: a defect, or a journal that was tampered with."""


@exactly
def apply(state: EngineState, event: e.Event) -> None:
    """Change the state by one fact.

    Raises:
        IllegalEvent: no rule allows the event in this state.
    """
    handler = _HANDLERS.get(type(event))
    if handler is not None:
        handler(state, event)
    elif isinstance(event, e.OrderEvent):
        _apply_order(state, event)
    # Only now: what no rule allows has raised above and has left no trace.
    count(state, event)


def count(state: EngineState, event: e.Event) -> None:
    """Count an event that was applied, and note its time."""
    image, kind = state.image, type(event).__name__
    image.last_event_ms = max(image.last_event_ms, event.at_ms)
    image.counts[kind] = image.counts.get(kind, 0) + 1


def _apply_order(state: EngineState, event: e.OrderEvent) -> None:
    order = state.order(event.client_order_id)
    after = None if order is None else changed(order, event)
    if after is None:
        raise IllegalEvent("ILLEGAL_EVENT", f"{type(event).__name__} does not fit the state of its order")
    state.put_order(after)


def _initialized(state: EngineState, event: e.OrderInitialized | e.ExternalOrderAdopted) -> None:
    if event.client_order_id in state.image.orders:
        raise IllegalEvent("ILLEGAL_EVENT", "an order with this client order id exists")
    state.put_order(event.order)


def _recalled(state: EngineState, event: e.OrderRecalled) -> None:
    if event.client_order_id not in state.image.orders:
        state.put_order(event.order)
        state.image.fills[event.client_order_id] = list(event.fills)


def _filled(state: EngineState, event: e.OrderFilled) -> None:
    _apply_order(state, event)
    book_trade(state, event)


def book_trade(state: EngineState, event: e.OrderFilled) -> None:
    """Put a trade into the books beside its order, as exactly as the caller's decimal context."""
    state.image.fills.setdefault(event.client_order_id, []).append(event.fill)
    _book_fill(state.portfolio, event)
    state.exposure.after_fill(state.portfolio, event)


def _fill_reversed(state: EngineState, event: e.OrderFillReversed) -> None:
    _apply_order(state, event)
    opposite = e.OrderFilled(
        at_ms=event.at_ms,
        client_order_id=event.client_order_id,
        fill=event.fill.opposite,
        base=event.base,
        quote=event.quote,
        quote_rate=event.quote_rate,
        fee_rate=event.fee_rate,
        strategy=event.strategy,
    )
    book_trade(state, opposite)


def trade_rank(trade_id: str) -> tuple[int, str]:
    """Order venue trade ids: numbers by size, other ids by text."""
    return (int(trade_id), "") if trade_id.isascii() and trade_id.isdigit() else (-1, trade_id)


def _not_placed(state: EngineState, event: e.OrderNotPlaced) -> None:
    _apply_order(state, event)
    if event.watch_until_ms:
        state.image.tombstones[event.client_order_id] = event.watch_until_ms
    expired = [cid for cid, until in state.image.tombstones.items() if until < event.at_ms]
    for client_order_id in expired:
        del state.image.tombstones[client_order_id]


def _resurrected(state: EngineState, event: e.OrderResurrected) -> None:
    _apply_order(state, event)
    state.image.tombstones.pop(event.client_order_id, None)


def _adjusted(state: EngineState, event: e.BalanceAdjusted) -> None:
    before = state.portfolio.transfers
    state.portfolio.book_adjustment(event)
    if event.reference.startswith((STREAMED, INCOME)):
        _remember(state, event.reference)
    _shift_equity_marks(state, state.portfolio.transfers - before)
    state.exposure.after_holding(state.portfolio, event.venue, event.market, event.asset)


def _shift_equity_marks(state: EngineState, amount: Decimal) -> None:
    """A deposit or withdrawal is neither a new peak nor a loss of the day."""
    seen = state.image.equity
    if seen is None or amount == 0:
        return
    state.image.equity = e.EquityRecorded(
        at_ms=seen.at_ms,
        equity=seen.equity + amount,
        peak=max(ZERO, seen.peak + amount),
        day_start=seen.day_start + amount,
        realised_pnl=seen.realised_pnl,
        unrealised_pnl=seen.unrealised_pnl,
        fees=seen.fees,
        funding=seen.funding,
        transfers=seen.transfers + amount,
        day=seen.day,
    )


def _adopted(state: EngineState, event: e.PositionAdopted) -> None:
    venue = venue_of(event.symbol)
    state.portfolio.book_adoption(event, venue)
    state.exposure.after_derivative(state.portfolio, event.symbol)
    state.exposure.after_holding(state.portfolio, venue, Market.FUTURES, event.quote)


def _funded(state: EngineState, event: e.FundingPaid) -> None:
    state.portfolio.book_funding(event)
    state.exposure.after_holding(state.portfolio, event.venue, Market.FUTURES, event.asset)
    _remember(state, event.income_id)


def _remember(state: EngineState, reference: str) -> None:
    """A payment is booked once, however often it is told."""
    state.image.funding_ids.append(reference)
    del state.image.funding_ids[:-FUNDING_IDS_KEPT]


def _started(state: EngineState, event: e.EngineStarted) -> None:
    state.image.epoch = event.epoch


def _halted(state: EngineState, event: e.TradingHalted) -> None:
    if state.image.halt is None:
        state.image.halt = Halt(reason=event.reason, principal=event.principal, at_ms=event.at_ms)


def _resumed(state: EngineState, event: e.TradingResumed) -> None:
    state.image.halt = None


def _restricted(state: EngineState, event: e.SymbolRestricted) -> None:
    state.image.restrictions[f"{event.market.value}|{event.symbol}"] = Restriction(
        symbol=event.symbol, market=event.market, code=event.code, reason=event.reason, until_ms=event.until_ms
    )


def _released(state: EngineState, event: e.SymbolReleased) -> None:
    state.image.restrictions.pop(f"{event.market.value}|{event.symbol}", None)


def _risk_changed(state: EngineState, event: e.RiskConfigChanged) -> None:
    state.image.risk_version = event.version
    state.image.risk_values = dict(event.values)


def _break(state: EngineState, event: e.BreakFound) -> None:
    if event.resolution == "open":
        state.image.open_breaks[event.break_id] = event
    else:
        state.image.open_breaks.pop(event.break_id, None)


def _reconciled(state: EngineState, event: e.ReconciliationCompleted) -> None:
    for key, trade_id in event.last_trade_ids.items():
        if trade_rank(trade_id) > trade_rank(state.image.last_trade_ids.get(key, "")):
            state.image.last_trade_ids[key] = trade_id
    state.image.opened_accounts.setdefault(event.venue, event.as_of_ms)
    state.image.compared_accounts[event.venue] = event.as_of_ms


def _strategy_changed(state: EngineState, event: e.StrategyChanged) -> None:
    state.image.strategies[event.strategy] = StrategySettings(
        strategy=event.strategy,
        enabled=event.enabled,
        dry_run=event.dry_run,
        budget=event.budget,
        weight=event.weight,
        model_version=event.model_version,
    )


def _model_stored(state: EngineState, event: e.ModelStored) -> None:
    state.image.models[event.strategy] = event


def _advised(state: EngineState, event: e.AdviceGiven) -> None:
    if event.tactics is not None:
        state.image.tactics = event
    if event.sizes is not None:
        state.image.sizes = event


def _bracket_armed(state: EngineState, event: e.BracketArmed) -> None:
    state.image.brackets[event.bracket_id] = event


def _bracket_closed(state: EngineState, event: e.BracketClosed) -> None:
    state.image.brackets.pop(event.bracket_id, None)
    state.image.closed_brackets.append(event.bracket_id)
    del state.image.closed_brackets[:-CLOSED_BRACKETS_KEPT]


def _equity(state: EngineState, event: e.EquityRecorded) -> None:
    state.image.equity = event


_HANDLERS: Final[Mapping[type[e.Event], Callable[[EngineState, Any], None]]] = {
    e.OrderInitialized: _initialized,
    e.ExternalOrderAdopted: _initialized,
    e.OrderFilled: _filled,
    e.OrderFillReversed: _fill_reversed,
    e.OrderRecalled: _recalled,
    e.OrderNotPlaced: _not_placed,
    e.OrderResurrected: _resurrected,
    e.BalanceAdjusted: _adjusted,
    e.PositionAdopted: _adopted,
    e.FundingPaid: _funded,
    e.EngineStarted: _started,
    e.TradingHalted: _halted,
    e.TradingResumed: _resumed,
    e.SymbolRestricted: _restricted,
    e.SymbolReleased: _released,
    e.RiskConfigChanged: _risk_changed,
    e.BreakFound: _break,
    e.ReconciliationCompleted: _reconciled,
    e.StrategyChanged: _strategy_changed,
    e.ModelStored: _model_stored,
    e.AdviceGiven: _advised,
    e.BracketArmed: _bracket_armed,
    e.BracketClosed: _bracket_closed,
    e.EquityRecorded: _equity,
}
