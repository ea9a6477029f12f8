"""One order of a backtest, start to end: the engine's rails, its order life and books, and the paper exchange.

The order of the steps is the live walk's (``execution.submit``); what is left out is what a backtest has no use for:
the wait for the disk, the wire, and the answer that outlives a caller.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal

from engine_service.backtest.options import BacktestOptions, policy_of
from engine_service.backtest.planned import PlannedOrder
from engine_service.domain import events as e
from engine_service.domain.apply import apply
from engine_service.domain.apply_unit import apply_unit
from engine_service.domain.clock import ManualClock
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market, local_symbol, venue_of
from engine_service.domain.instrument import Instrument
from engine_service.domain.marks import Mark, MarkBook
from engine_service.domain.money import ONE, ZERO, within_exact
from engine_service.domain.order import Order
from engine_service.domain.state import EngineState
from engine_service.execution.core import EngineCore, Phase
from engine_service.execution.equity import equity_now
from engine_service.execution.prepare import order_of
from engine_service.execution.send import feed_breaker
from engine_service.execution.venue_words import facts_of
from engine_service.execution.words import from_accepted
from engine_service.risk.context import RiskRefused
from engine_service.risk.gate import RiskGate
from engine_service.storage.idempotency import IdempotencyStore
from engine_service.storage.memory import MemoryJournal
from engine_service.venues.paper.fill_model import Costs, book_around
from engine_service.venues.paper.sources import BarsSource
from engine_service.venues.paper.venue import PaperState, PaperVenue
from engine_service.venues.reports import Accepted, Rejected

FINEST = Decimal("0.00000001")
# A run is exact from end to end (``trade_wishes``).
_check, _facts_of, _apply_unit = within_exact(RiskGate.check), within_exact(facts_of), within_exact(apply_unit)


class Desk:
    """The engine's parts on a clock that moves only when told to.

    Args:
        symbols: every instrument that may be traded, all of one venue.
        now_ms: where the clock begins.
    """

    def __init__(self, symbols: list[str], options: BacktestOptions, now_ms: int) -> None:
        self.market = Market(options.market)
        self.instruments = {symbol: _instrument(symbol, options) for symbol in symbols}
        self.clock = ManualClock(now_ms)
        self.costs = Costs(options.half_spread_bps, options.fee_bps, options.fee_bps)
        self.orders: list[Order] = []
        self.fills: list[Fill] = []
        self.refused: Counter[str] = Counter()
        venue_name = venue_of(symbols[0])
        self._venue = PaperVenue(
            BarsSource(tuple(self.instruments.values()), (), market=self.market, clock=self.clock),
            PaperState(balances=options.balances),
            costs=self.costs,
            name=venue_name,
            latency_ms=0,
            clock=self.clock,
        )
        asyncio.run(self._venue.open())
        self._exchange = self._venue.exchange
        self.core = self._engine(venue_name, options)
        self._deposit(venue_name, options)

    def _engine(self, venue_name: str, options: BacktestOptions) -> EngineCore:
        journal = MemoryJournal()
        core = EngineCore(
            account=self._venue.info.account,
            instance_key=b"backtest",
            clock=self.clock,
            state=EngineState(),
            journal=journal,
            marks=MarkBook(options.reporting),
            gate=RiskGate(policy_of(options.limits)),
            venues={venue_name: self._venue},
            idempotency=IdempotencyStore(journal.answer, self.clock),
            default_venue=venue_name,
            instruments={(symbol, self.market): rules for symbol, rules in self.instruments.items()},
            phase=Phase.READY,
        )
        core.state.set_reporting(options.reporting)
        core.connect()
        return core

    def _deposit(self, venue_name: str, options: BacktestOptions) -> None:
        for asset, amount in sorted(options.balances.items()):
            opening = e.BalanceAdjusted(
                at_ms=self.clock.now_ms(),
                venue=venue_name,
                market=self.market,
                asset=asset,
                amount=amount,
                rate=ONE if asset == options.reporting else ZERO,
                kind=e.AdjustmentKind.OPENING,
            )
            apply(self.core.state, opening)

    # --- the market ---------------------------------------------------------------------------------------------

    def mark(self, symbol: str, price: Decimal, at_ms: int) -> None:
        """Let the market stand at a price: the book around it for fills, its middle for the books."""
        self.clock.set_ms(at_ms)
        book = book_around(price, self.costs, self.instruments[symbol].tick, at_ms)
        self._exchange.on_book(symbol, book)
        bid, ask = book.bids[0].price, book.asks[0].price
        at_s = self.clock.monotonic_s()
        self.core.marks.update(Mark(symbol=symbol, market=self.market, bid=bid, ask=ask, at_s=at_s))

    def sample_equity(self, at_ms: int) -> None:
        """Record equity as the engine's timer does: the rails about drawdown and daily loss look at it."""
        self.clock.set_ms(at_ms)
        apply(self.core.state, equity_now(self.core))

    def pay_funding(self, symbol: str, rate: Decimal, at_ms: int) -> None:
        """Settle funding on the position held: a positive rate is paid by longs, at the newest mark.

        Raises:
            ValueError: the symbol has a position but no price.
        """
        self.clock.set_ms(at_ms)
        held = self.core.state.portfolio.position(symbol)
        if held == 0:
            return
        price = self.core.marks.price(symbol, self.market)
        if price is None:
            raise ValueError(f"{symbol} has a position but no price to settle funding at")
        instrument = self.instruments[symbol]
        paid = e.FundingPaid(
            at_ms=at_ms,
            venue=instrument.venue,
            symbol=symbol,
            asset=instrument.quote,
            amount=-held * price * rate,
            rate=ONE,
            income_id=f"{symbol}:{at_ms}",
        )
        apply(self.core.state, paid)
        self._exchange.account.credit(instrument.quote, paid.amount)

    # --- one order ----------------------------------------------------------------------------------------------

    def trade(self, planned: PlannedOrder) -> None:
        """Judge, place and book one order; what refuses it is counted by code."""
        core = self.core
        ctx = planned.context(core)
        verdict = _check(core.gate, ctx)
        # Unique and the same in every run; a live id is derived from a caller's key, which there is none of here.
        client_order_id = f"{len(self.orders) + 1:032x}"
        if isinstance(verdict, RiskRefused):
            order = order_of(core, ctx, client_order_id, None)
            self._refuse(
                order,
                e.OrderDenied(
                    at_ms=ctx.now_ms,
                    client_order_id=client_order_id,
                    code=verdict.code,
                    reason=verdict.reason,
                    numbers=verdict.numbers,
                ),
            )
            return
        self._place(planned.sent(core, ctx, client_order_id, verdict.reservation), ctx.now_ms)

    def _place(self, order: Order, now: int) -> None:
        core = self.core
        outcome = self._venue.place(order)
        feed_breaker(core, order.venue, outcome)
        if isinstance(outcome, Accepted):
            events = _facts_of(core, order, from_accepted(outcome)).events
            self.orders.append(_apply_unit(core.state, order, events))
            self.fills += outcome.fills
        elif isinstance(outcome, Rejected):
            rejected = e.OrderRejected(
                at_ms=now, client_order_id=order.client_order_id, code=outcome.code, reason=outcome.reason
            )
            self._refuse(order, rejected)
        else:
            raise TypeError(f"a paper exchange knows what became of an order: {outcome.reason}")

    def _refuse(self, order: Order, event: e.OrderDenied | e.OrderRejected) -> None:
        self.orders.append(apply_unit(self.core.state, order, (event,)))
        self.refused[event.code] += 1


def _instrument(symbol: str, options: BacktestOptions) -> Instrument:
    name, quote = local_symbol(symbol), options.reporting
    return Instrument(
        symbol=symbol,
        market=Market(options.market),
        base=name.removesuffix(quote) or name,
        quote=quote,
        tick=options.ticks.get(symbol, FINEST),
        step=options.steps.get(symbol, FINEST),
    )
