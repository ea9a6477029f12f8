"""The same engine on a simulated clock, a paper venue and recorded bars.

What trades here is what trades live: the rails, the order path, the state machine and the books are the engine's own,
the fills are the paper venue's. Only the clock, the disk and the network are replaced. Nothing reads the wall clock or
a random source, so the same bars give the same result, digit for digit.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from engine_service.backtest_journal import MemoryJournal
from engine_service.domain import events as e
from engine_service.domain.clock import ManualClock
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market, local_symbol, venue_of
from engine_service.domain.instrument import Instrument
from engine_service.domain.marks import MarkBook
from engine_service.domain.money import ONE, ZERO, from_float
from engine_service.domain.order import Order, OrderRequest
from engine_service.domain.order_status import OrderSide, OrderType
from engine_service.domain.portfolio import strategy_key
from engine_service.domain.state import EngineState
from engine_service.execution.apply_report import apply_report
from engine_service.execution.core import EngineCore, Phase
from engine_service.execution.submit import submit
from engine_service.risk.gate import RiskGate
from engine_service.risk.policy import LIMITS, parse
from engine_service.storage.idempotency import IdempotencyStore
from engine_service.venues.paper.fill_model import Costs, book_around
from engine_service.venues.paper.sources import BarsSource, BarTick, BookUpdate, exact
from engine_service.venues.paper.venue import PaperState, PaperVenue
from engine_service.venues.port import BarReport, OrderReport, Quote
from strategies.contracts import Bar, Signal, Strategy

SHARE_STEP = Decimal("0.0001")
_FINEST = Decimal("0.00000001")
_LIMITS_AT_THEIR_LOW = ("min_notional_spot", "min_notional_futures", "market_collar_bps", "equity_floor", "dust_value")


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestOptions:
    """How the bars are traded.

    Args:
        market: ``spot`` (long only) or ``futures``.
        balances: opening balances by asset, e.g. ``{"USDT": Decimal(10000)}``.
        quantity: base units at a target of 1; or ``notional``: quote units at a target of 1. One of them.
        fee_bps: of the notional, on every fill.
        half_spread_bps: between a bar's price and either side of the book around it.
        fill_at: a signal trades at its own bar's ``close``, or at the next bar's ``open``.
        long_only: short targets become flat.
        ticks: price increment by symbol; ``steps``: quantity increment. The finest where not given.
        limits: risk limits by key, as ``config/risk.yaml`` writes them; the others are wide open.
        reporting: the currency of equity and fees.
    """

    market: Literal["spot", "futures"] = "spot"
    balances: Mapping[str, Decimal] = field(default_factory=lambda: {"USDT": Decimal(100_000)})
    quantity: Decimal | None = None
    notional: Decimal | None = None
    fee_bps: Decimal = Decimal(10)
    half_spread_bps: Decimal = Decimal(1)
    fill_at: Literal["close", "open"] = "close"
    long_only: bool = False
    ticks: Mapping[str, Decimal] = field(default_factory=dict)
    steps: Mapping[str, Decimal] = field(default_factory=dict)
    limits: Mapping[str, object] = field(default_factory=dict)
    reporting: str = "USDT"


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestResult:
    """What came of it. Money is in the reporting currency.

    ``equity`` has one point a bar time: (close time in ms, equity at the marks of that moment). ``realised`` is
    before fees; ``refused`` counts orders that a rail or the venue refused, by code.
    """

    bars: int
    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    equity: tuple[tuple[int, Decimal], ...]
    fees: Decimal
    realised: Decimal
    refused: Mapping[str, int]

    @property
    def equity_final(self) -> Decimal:
        return self.equity[-1][1] if self.equity else ZERO


#: Makes the strategies of one symbol: each symbol has its own, with their own state.
StrategyMaker = Callable[[str], Sequence[Strategy]]


def run_backtest(bars: Sequence[Bar], strategies: StrategyMaker, options: BacktestOptions) -> BacktestResult:
    """Trade recorded bars with the engine's own code.

    Args:
        bars: closed bars of any number of symbols; sorted here by close time, then symbol.
        strategies: called once per symbol.

    Raises:
        ValueError: not exactly one of ``quantity`` and ``notional``, or a bar whose range does not hold its prices.
        InvalidRequest: a risk limit is unknown or out of range.
    """
    if (options.quantity is None) == (options.notional is None):
        raise ValueError("give exactly one of quantity and notional")
    ordered = sorted(bars, key=lambda bar: (bar.close_at_ms, bar.symbol))
    _check_bars(ordered)
    return asyncio.run(_Run(ordered, strategies, options).trade())


class _Run:
    """One backtest: the engine's parts, wired for it."""

    def __init__(self, bars: Sequence[Bar], strategies: StrategyMaker, options: BacktestOptions) -> None:
        self._bars = bars
        self._options = options
        self._market = Market(options.market)
        symbols = sorted({bar.symbol for bar in bars})
        self._strategies = {symbol: tuple(strategies(symbol)) for symbol in symbols}
        self._instruments = {symbol: _instrument(symbol, options) for symbol in symbols}
        self._clock = ManualClock(bars[0].open_at_ms if bars else 0)
        self._costs = Costs(options.half_spread_bps, options.fee_bps, options.fee_bps)
        venue_name = venue_of(symbols[0]) if symbols else "BINANCE"
        self._venue = PaperVenue(
            BarsSource(tuple(self._instruments.values()), (), market=self._market, clock=self._clock),
            PaperState(balances=options.balances),
            costs=self._costs,
            name=venue_name,
            latency_ms=0,
            clock=self._clock,
        )
        self._journal = MemoryJournal()
        self._core = self._engine(venue_name)
        self._waiting: dict[str, list[Signal]] = {}
        self._refused: Counter[str] = Counter()

    def _engine(self, venue_name: str) -> EngineCore:
        return EngineCore(
            account=self._venue.info.account,
            instance_key=b"backtest",
            clock=self._clock,
            state=EngineState(),
            journal=self._journal,
            marks=MarkBook(self._options.reporting),
            gate=RiskGate(parse(wide_open_limits() | dict(self._options.limits))),
            venues={venue_name: self._venue},
            idempotency=IdempotencyStore(self._journal.answer, self._clock),
            default_venue=venue_name,
            instruments={(symbol, self._market): rules for symbol, rules in self._instruments.items()},
            phase=Phase.READY,
        )

    async def trade(self) -> BacktestResult:
        self._core.connect()
        await self._venue.open()
        self._deposit()
        equity: list[tuple[int, Decimal]] = []
        for bar in self._bars:
            await self._open(bar)
            self._move(bar)
            await self._close(bar)
            if equity and equity[-1][0] == bar.close_at_ms:
                equity.pop()
            equity.append((bar.close_at_ms, self._core.state.exposure.equity))
        await self._core.settle()
        return self._result(equity)

    def _deposit(self) -> None:
        for asset, amount in sorted(self._options.balances.items()):
            self._core.record(
                e.BalanceAdjusted(
                    at_ms=self._clock.now_ms(),
                    venue=self._venue.info.name,
                    market=self._market,
                    asset=asset,
                    amount=amount,
                    rate=ONE if asset == self._options.reporting else ZERO,
                    kind=e.AdjustmentKind.OPENING,
                )
            )

    # --- one bar ------------------------------------------------------------------------------------------------

    async def _open(self, bar: Bar) -> None:
        """Trade at the open what the bar before asked for."""
        due = self._waiting.pop(bar.symbol, [])
        if not due:
            return
        self._clock.set_ms(bar.open_at_ms)
        tick = self._instruments[bar.symbol].tick
        price = Decimal(repr(bar.open))
        self._see(BookUpdate(bar.symbol, book_around(price, self._costs, tick, bar.open_at_ms)))
        for signal in due:
            await self._act(signal, bar.open_at_ms)

    def _move(self, bar: Bar) -> None:
        """Let the bar move the market, and with it the resting orders."""
        self._clock.set_ms(bar.close_at_ms)
        report = _report(bar, self._market)
        self._see(BarTick(bar.symbol, exact(report), bar.close_at_ms))

    async def _close(self, bar: Bar) -> None:
        for strategy in self._strategies[bar.symbol]:
            signal = strategy.on_bar(bar)
            if signal is None:
                continue
            if self._options.fill_at == "open":
                self._waiting.setdefault(bar.symbol, []).append(signal)
            else:
                await self._act(signal, bar.open_at_ms)

    def _see(self, event: BookUpdate | BarTick) -> None:
        quote = self._venue.move(event)
        if isinstance(quote, Quote):
            self._core.update_quote(quote)
        for report in self._venue.take_reports():
            if isinstance(report, OrderReport):
                apply_report(self._core, report)

    # --- one order ----------------------------------------------------------------------------------------------

    async def _act(self, signal: Signal, bar_open_ms: int) -> None:
        request = self._request(signal)
        if request is None:
            return
        mark = e.IdempotencyMark(
            scope="backtest", key=f"{signal.strategy}:{signal.symbol}:{bar_open_ms}", fingerprint=""
        )
        result = await submit(self._core, request, mark)
        if result.code:
            self._refused[result.code] += 1

    def _request(self, signal: Signal) -> OrderRequest | None:
        """Return the market order that brings the strategy to the signal's target, or ``None`` where it is there."""
        held = self._held(signal)
        wanted = self._wanted(signal)
        change = wanted - held
        quantity = self._instruments[signal.symbol].round_quantity(abs(change), market_order=True)
        if quantity <= 0:
            return None
        return OrderRequest(
            symbol=signal.symbol,
            market=self._market,
            side=OrderSide.BUY if change > 0 else OrderSide.SELL,
            type=OrderType.MARKET,
            quantity=quantity,
            reduce_only=held != 0 and held * wanted >= 0 and abs(wanted) < abs(held),
            strategy=signal.strategy,
            leg="exit" if abs(wanted) < abs(held) else "entry",
            why=signal.why,
        )

    def _held(self, signal: Signal) -> Decimal:
        key = strategy_key(signal.strategy, self._market, signal.symbol)
        position = self._core.state.portfolio.strategies.get(key)
        return position.book.quantity if position else ZERO

    def _wanted(self, signal: Signal) -> Decimal:
        share = from_float(abs(signal.target), SHARE_STEP) * (1 if signal.target >= 0 else -1)
        if share < 0 and (self._options.long_only or self._market is Market.SPOT):
            return ZERO
        if self._options.quantity is not None:
            return share * self._options.quantity
        price = self._core.marks.price(signal.symbol, self._market)
        return share * (self._options.notional or ZERO) / price if price else ZERO

    def _result(self, equity: Sequence[tuple[int, Decimal]]) -> BacktestResult:
        portfolio = self._core.state.portfolio
        return BacktestResult(
            bars=len(self._bars),
            orders=self._journal.all_orders(),
            fills=self._journal.all_fills(),
            equity=tuple(equity),
            fees=portfolio.fees,
            realised=portfolio.realised,
            refused=dict(self._refused),
        )


def wide_open_limits() -> dict[str, object]:
    """Return every risk limit at the end of its range where it refuses least."""
    limits: dict[str, object] = {key: limit.high for key, limit in LIMITS.items()}
    limits |= {key: LIMITS[key].low for key in _LIMITS_AT_THEIR_LOW}
    return limits | {"duplicate_window_ms": 0, "trading_enabled": True, "allowed_symbols": "*"}


def _instrument(symbol: str, options: BacktestOptions) -> Instrument:
    name, quote = local_symbol(symbol), options.reporting
    return Instrument(
        symbol=symbol,
        market=Market(options.market),
        base=name.removesuffix(quote) or name,
        quote=quote,
        tick=options.ticks.get(symbol, _FINEST),
        step=options.steps.get(symbol, _FINEST),
    )


def _report(bar: Bar, market: Market) -> BarReport:
    return BarReport(
        symbol=bar.symbol,
        market=market,
        interval="",
        open_at_ms=bar.open_at_ms,
        close_at_ms=bar.close_at_ms,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
    )


def _check_bars(bars: Sequence[Bar]) -> None:
    for bar in bars:
        finite = all(map(math.isfinite, (bar.open, bar.high, bar.low, bar.close, bar.volume)))
        if not finite or not 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
            raise ValueError(f"the bar of {bar.symbol} at {bar.open_at_ms} ms has prices that cannot be")
