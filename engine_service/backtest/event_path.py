"""The event path: every order through the engine's own rails, order life, books and paper fills, on a simulated clock.

Strategies see bars and nothing of the account, so their wishes are worked out first; then only the moments at which
something happens are walked: an order, a funding payment, a sample of equity. A bar without any of them changes
nothing but the marks, and what the marks do to equity is summed up at the end (``equity.curve``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, localcontext
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from engine_service.backtest.aim import Aim
from engine_service.backtest.desk import Desk
from engine_service.backtest.equity import EquityCurve, flows_of
from engine_service.backtest.options import BacktestOptions, BacktestResult
from engine_service.backtest.series import BarSeries, series_of
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.money import EXACT, ZERO
from strategies.contracts import Bar, Strategy


class Wish(NamedTuple):
    """What a strategy wants after the bar of that number: ``target`` is a share of its size, -1 (short) to 1 (long)."""

    bar: int
    target: float
    strategy: str
    why: Mapping[str, str] = {}


class FundingRate(NamedTuple):
    """A perpetual's funding: ``rate`` of the position's value, paid by longs where positive."""

    at_ms: int
    rate: Decimal


#: Makes the strategies of one symbol: each symbol has its own, with their own state.
StrategyMaker = Callable[[str], Sequence[Strategy]]
Wishes = Mapping[str, Sequence[Wish]]
Funding = Mapping[str, Sequence[FundingRate]]

# What happens first at one and the same millisecond: funding is paid on what was held up to then, a bar's close comes
# before the next bar's open.
_FUNDING, _CLOSE, _SAMPLE, _OPEN = range(4)


class _Moment(NamedTuple):
    at_ms: int
    phase: int
    symbol: str
    bar: int
    wish: Wish | None = None
    rate: Decimal = ZERO
    #: What a wish is marked and traded at.
    price: float = 0.0


def run_backtest(bars: Iterable[Bar], strategies: StrategyMaker, options: BacktestOptions) -> BacktestResult:
    """Trade recorded bars of any number of symbols, given in any order, with strategies made once per symbol.

    Raises:
        BadBars: the bars cannot be traded.
        InvalidRequest: a risk limit is unknown or out of range.
    """
    series = series_of(bars)
    wishes = {symbol: wishes_of(columns, strategies(symbol)) for symbol, columns in series.items()}
    return trade_wishes(series, wishes, options)


def wishes_of(series: BarSeries, strategies: Sequence[Strategy]) -> list[Wish]:
    """Show every bar to the strategies, as the engine does live, and return what they want."""
    wishes: list[Wish] = []
    for index in range(len(series)):
        bar = series.bar(index)
        for strategy in strategies:
            signal = strategy.on_bar(bar)
            if signal is not None:
                wishes.append(Wish(index, signal.target, signal.strategy, signal.why))
    return wishes


def trade_wishes(
    series: Mapping[str, BarSeries], wishes: Wishes, options: BacktestOptions, funding: Funding | None = None
) -> BacktestResult:
    """Trade what was wished, moment by moment.

    Args:
        series: checked bars by symbol; all symbols are of one venue.
        wishes: by symbol, in the order of their bars.
        funding: rates by symbol, for futures.

    Raises:
        BadBars: there are no bars.
        InvalidRequest: a risk limit is unknown or out of range.
    """
    with localcontext(EXACT):
        return _Run(series, options).trade(_moments(series, wishes, options, funding or {}))


class _Closed:
    """How many of a symbol's bars have closed, read forward as the moments of a run go by."""

    def __init__(self, columns: BarSeries) -> None:
        self._at: list[int] = columns.close_at.tolist()
        self._next = 0

    def newest(self, at_ms: int) -> int:
        """Return the number of the newest bar that has closed by a time, -1 before the first; times never go back."""
        at, index = self._at, self._next
        while index < len(at) and at[index] <= at_ms:
            index += 1
        self._next = index
        return index - 1


class _Run:
    """One backtest on its way."""

    def __init__(self, series: Mapping[str, BarSeries], options: BacktestOptions) -> None:
        self._series = series
        self._options = options
        self._desk = Desk(sorted(series), options, min(int(columns.open_at[0]) for columns in series.values()))
        self._aims = {symbol: Aim(rules, options) for symbol, rules in self._desk.instruments.items()}
        self._alone = len(series) == 1
        self._closed = {} if self._alone else {symbol: _Closed(columns) for symbol, columns in series.items()}
        self._at_risk: dict[str, None] = {}
        #: The bar at whose close a symbol stands marked.
        self._marked: dict[str, int] = {}
        self._paid: list[tuple[int, float]] = []

    def trade(self, moments: Sequence[_Moment]) -> BacktestResult:
        for moment in moments:
            if not self._alone:
                self._mark_held(moment)
            if moment.wish is not None:
                self._act(moment, moment.wish)
            elif moment.phase == _FUNDING:
                self._fund(moment)
            else:
                self._mark_close(moment.symbol, moment.bar)
                self._desk.sample_equity(moment.at_ms)
        return self._result()

    # --- marks --------------------------------------------------------------------------------------------------

    def _mark_close(self, symbol: str, index: int) -> None:
        columns = self._series[symbol]
        self._desk.mark(symbol, _exact(float(columns.close[index])), int(columns.close_at[index]))
        self._marked[symbol] = index

    def _mark_held(self, moment: _Moment) -> None:
        """Bring what else is held to its newest price: the rails look at the whole account."""
        for symbol in self._at_risk:
            if symbol == moment.symbol:
                continue
            newest = self._closed[symbol].newest(moment.at_ms)
            if newest >= 0 and newest != self._marked.get(symbol):
                self._mark_close(symbol, newest)
        self._desk.clock.set_ms(moment.at_ms)

    # --- what happens -------------------------------------------------------------------------------------------

    def _act(self, moment: _Moment, wish: Wish) -> None:
        desk, symbol = self._desk, moment.symbol
        desk.mark(symbol, _exact(moment.price), moment.at_ms)
        core = desk.core
        _, target, strategy, why = wish
        planned = self._aims[symbol].order(strategy, target, why, core.state.portfolio, core.marks)
        if planned is not None:
            desk.trade(planned)
        if not self._alone:
            self._watch(moment)

    def _watch(self, moment: _Moment) -> None:
        """Remember at which bar's close a symbol stands marked, and whether any of it is held."""
        symbol = moment.symbol
        if moment.phase == _OPEN:
            self._marked.pop(symbol, None)
        else:
            self._marked[symbol] = moment.bar
        if self._holds(symbol):
            self._at_risk[symbol] = None
        else:
            self._at_risk.pop(symbol, None)

    def _holds(self, symbol: str) -> bool:
        books, rules = self._desk.core.state.portfolio, self._desk.instruments[symbol]
        if rules.market is Market.SPOT:
            return books.holding(rules.venue, rules.market, rules.base) != 0
        return books.position(symbol) != 0

    def _fund(self, moment: _Moment) -> None:
        self._mark_close(moment.symbol, moment.bar)
        before = self._desk.core.state.portfolio.funding
        self._desk.pay_funding(moment.symbol, moment.rate, moment.at_ms)
        self._paid.append((moment.at_ms, float(self._desk.core.state.portfolio.funding - before)))

    # --- the end ------------------------------------------------------------------------------------------------

    def _result(self) -> BacktestResult:
        desk = self._desk
        for symbol, columns in self._series.items():
            self._mark_close(symbol, len(columns) - 1)
        books = desk.core.state.portfolio
        if books.identity_error != 0:
            raise AssertionError(f"the equity identity is off by {books.identity_error}")
        options = self._options
        at_open = options.fill_at == "open"
        fills: dict[str, list[Fill]] = {symbol: [] for symbol in self._series}
        for fill in desk.fills:
            fills[fill.symbol].append(fill)
        flows = {
            symbol: flows_of(columns, fills[symbol], options.fee_bps, at_open=at_open)
            for symbol, columns in self._series.items()
        }
        start = float(sum(options.balances.values(), ZERO))
        return BacktestResult(
            bars=sum(len(columns) for columns in self._series.values()),
            orders=tuple(desk.orders),
            fills=tuple(desk.fills),
            curve=EquityCurve(self._series, flows, start, self._paid, at_open=at_open),
            equity_final=desk.core.state.exposure.equity,
            fees=books.fees,
            realised=books.realised,
            funding=books.funding,
            refused=dict(desk.refused),
        )


def _moments(
    series: Mapping[str, BarSeries], wishes: Wishes, options: BacktestOptions, funding: Funding
) -> list[_Moment]:
    moments: list[_Moment] = []
    for symbol, columns in series.items():
        moments += _wished(columns, wishes.get(symbol, ()), options)
        moments += _funded(columns, funding.get(symbol, ()))
        if options.sample_equity:
            moments += [_Moment(at, _SAMPLE, symbol, index) for index, at in enumerate(columns.close_at.tolist())]
    moments.sort(key=itemgetter(0, 1, 2, 3))
    return moments


def _wished(columns: BarSeries, wishes: Sequence[Wish], options: BacktestOptions) -> list[_Moment]:
    at_open = options.fill_at == "open"
    due = [wish for wish in wishes if wish.bar + 1 < len(columns)] if at_open else wishes
    bars = [wish.bar + at_open for wish in due]
    phase, at, prices = _CLOSE, columns.close_at, columns.close
    if at_open:
        phase, at, prices = _OPEN, columns.open_at, columns.open
    # As the fields stand there: a row at a time by name takes three times as long.
    phases, symbols, rates = ([same] * len(bars) for same in (phase, columns.symbol, ZERO))
    rows = zip(at[bars].tolist(), phases, symbols, bars, due, rates, prices[bars].tolist(), strict=True)
    return list(map(_Moment._make, rows))


def _funded(columns: BarSeries, rates: Sequence[FundingRate]) -> list[_Moment]:
    newest = np.searchsorted(columns.close_at, [rate.at_ms for rate in rates], side="right") - 1
    return [
        _Moment(rate.at_ms, _FUNDING, columns.symbol, int(index), rate=rate.rate)
        for rate, index in zip(rates, newest, strict=True)
        if index >= 0 and rate.at_ms <= columns.close_at[-1]
    ]


def _exact(price: float) -> Decimal:
    return Decimal(repr(price))
