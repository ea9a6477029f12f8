"""Stopping: no new risk from this event loop turn on, working orders cancelled, sticky until a person resumes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from engine_service.domain import events as e
from engine_service.domain.errors import Conflict, EngineError, InvalidRequest, Unavailable
from engine_service.domain.ids import Market
from engine_service.domain.marks import asset_symbol
from engine_service.domain.money import exactly
from engine_service.domain.order import OrderRequest
from engine_service.domain.order_status import OrderSide, OrderType
from engine_service.domain.state import Halt
from engine_service.execution.answers import SubmitResult, SubmitStatus
from engine_service.execution.bracket import UNSETTLED
from engine_service.execution.cancel import CancelResult, cancel_all
from engine_service.execution.core import EngineCore
from engine_service.execution.submit import IdempotencyContext, submit

#: Closing orders of which certainly nothing reached the market.
NOTHING_CLOSED: Final = frozenset({SubmitStatus.DENIED, SubmitStatus.REJECTED, SubmitStatus.NOT_PLACED})
#: Of a position that is there after its closing order, or came while others were closed.
STILL_HELD: Final = "POSITION_STILL_HELD"


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltResult:
    """``already`` tells that trading was halted before; cancels are reported as far as the venue answered.

    ``kept``: the halt is on the disk, in the journal or, where that failed, in its note: a restart trades no more.
    """

    already: bool
    kept: bool
    canceled: tuple[CancelResult, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenResult:
    """The closing orders, and by symbol why a position stays (dust, no price ...) or may (an order in doubt)."""

    canceled: tuple[CancelResult, ...]
    orders: tuple[SubmitResult, ...]
    left: Mapping[str, str] = field(default_factory=dict)


async def halt(core: EngineCore, *, reason: str, principal: str, cancel_orders: bool = True) -> HaltResult:
    """Halt: the state changes before the first ``await``, so nothing that was not on its way leaves any more.

    Protective (reduce-only) orders stay. A dead journal does not stop the halt: no order leaves without one anyway,
    what works is cancelled all the same, and the next start learns of it from the note.
    """
    already = core.state.halted
    halted = e.TradingHalted(at_ms=core.clock.now_ms(), reason=reason or "halted by a person", principal=principal)
    noting = None
    if not await _journaled(core, halted, already=already):
        # Beside the cancels: a disk that is slow, too, must not keep them from the venue.
        noting = asyncio.create_task(_noted(core, halted))
    canceled: list[CancelResult] = []
    if cancel_orders:
        canceled = await cancel_all(core, principal=principal, reason="trading was halted", keep_reduce_only=True)
    kept = True if noting is None else await noting
    return HaltResult(already=already, kept=kept, canceled=tuple(canceled))


async def _journaled(core: EngineCore, halted: e.TradingHalted, *, already: bool) -> bool:
    if already:
        return not core.journal.failed
    try:
        # The halt may be the very write that finds the disk full.
        await core.commit(halted)
    except Unavailable:
        return False
    return True


async def _noted(core: EngineCore, halted: e.TradingHalted) -> bool:
    if core.halt_note is None:
        return False
    halt = core.state.image.halt or Halt(reason=halted.reason, principal=halted.principal, at_ms=halted.at_ms)
    return await asyncio.to_thread(core.halt_note.keep, halt)


async def resume(core: EngineCore, *, reason: str, principal: str, mark: IdempotencyContext | None = None) -> None:
    """Let trading go on; also closes breakers that a refusal of credentials opened, and forgets who ran away.

    What was lifted under ``mark`` before is not lifted again: a late repeat must not undo a halt that came after it.

    Raises:
        InvalidRequest: no reason was given (``REASON_REQUIRED``).
        Conflict: trading is not halted (``NOT_HALTED``).
        Unavailable: the journal failed.
    """
    if not reason.strip():
        raise InvalidRequest("REASON_REQUIRED", "say why trading may go on")
    if mark is not None and core.journal.answer(mark.scope, mark.key) is not None:
        return
    if not core.state.halted:
        raise Conflict("NOT_HALTED", "trading is not halted")
    now = core.clock.now_ms()
    answer = [] if mark is None else [e.AnswerRecorded(at_ms=now, mark=mark, outcome="resumed")]
    await core.commit(e.TradingResumed(at_ms=now, reason=reason.strip(), principal=principal), *answer)
    if core.halt_note is not None:
        core.halt_note.clear()
    for breaker in core.gate.pace.venues.values():
        breaker.reset()
    core.gate.pace.refusals.clear()


async def release_symbol(core: EngineCore, symbol: str, market: Market, *, reason: str, principal: str) -> None:
    """Lift a symbol's quarantine.

    Raises:
        InvalidRequest: no reason was given.
    """
    if not reason.strip():
        raise InvalidRequest("REASON_REQUIRED", "say why the symbol may be traded again")
    await core.commit(
        e.SymbolReleased(
            at_ms=core.clock.now_ms(), symbol=symbol, market=market, principal=principal, reason=reason.strip()
        )
    )


async def flatten(core: EngineCore, *, idem: IdempotencyContext, principal: str, symbol: str = "") -> FlattenResult:
    """Cancel what works, then close positions by reduce-only market orders. Works while halted.

    ``symbol`` limits it to one instrument. Each closing order has a key of its own derived from ``idem``, so that
    asking twice closes once. What still hangs after the cancels (in doubt, put aside) does not stand in the way of a
    close: on spot the venue has the asset once, and on futures a close only reduces.
    """
    canceled = await cancel_all(core, principal=principal, reason="flatten", symbol=symbol)
    orders: list[SubmitResult] = []
    left: dict[str, str] = {}
    for target, market, quantity in _closable(core):
        if symbol and target != symbol:
            continue
        request = OrderRequest(
            symbol=target,
            market=market,
            side=OrderSide.SELL if quantity > 0 else OrderSide.BUY,
            type=OrderType.MARKET,
            quantity=abs(quantity),
            reduce_only=True,
            tag="flatten",
            leg="flatten",
            why={"why": "flatten"},
        )
        key = e.IdempotencyMark(
            scope=idem.scope,
            key=f"{idem.key}.{market.value}.{target}",
            fingerprint=idem.fingerprint,
            principal=principal,
        )
        hanging = [order for order in core.state.orders_of_line(target, market) if order.side is request.side]
        try:
            closing = await submit(core, request, key, instead_of=hanging)
        except EngineError as error:
            left[target] = error.code
            continue
        orders.append(closing)
        if closing.status in NOTHING_CLOSED:
            left[target] = closing.code or closing.status.value.upper()
    for order in core.state.working_orders(symbol):
        # It may trade, or have traded: nobody should read that all is flat.
        if order.status in UNSETTLED:
            left.setdefault(order.symbol, "ORDER_IN_DOUBT")
    for target, market, quantity in _closable(core):
        if target in left or (symbol and target != symbol):
            continue
        # Closed in part, or by an order whose trades are still to come; or an order that was in doubt has traded.
        if core.instrument(target, market).round_quantity(abs(quantity), market_order=True) > 0:
            left[target] = STILL_HELD
    return FlattenResult(canceled=tuple(canceled), orders=tuple(orders), left=left)


@exactly
def _closable(core: EngineCore) -> list[tuple[str, Market, Decimal]]:
    """Return every position that has an instrument: symbol, market, signed quantity."""
    books, found = core.state.portfolio, []
    for key, holding in books.holdings.items():
        venue, market, asset = key.split("|")
        symbol = asset_symbol(asset, books.reporting, venue)
        tradable = (symbol, Market.SPOT) in core.instruments
        if market == Market.SPOT.value and asset != books.reporting and holding.quantity > 0 and tradable:
            found.append((symbol, Market.SPOT, holding.quantity))
    for symbol, position in books.derivatives.items():
        if position.book.quantity != 0:
            found.append((symbol, Market.FUTURES, position.book.quantity))
    return found
