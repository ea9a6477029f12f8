"""The fast path for sweeps: the same fills, fees and equity as the event path, to the last digit, in NumPy.

It covers what a sweep asks: whole targets (long, flat, short) of one fixed quantity, no rail in the way and funds for
every order. Sums of money are whole numbers of the price unit 1e-8, turned into ``Decimal`` once at the end; where the
prices are finer than that or the sums too large, the same sums are made in ``Decimal``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from fractions import Fraction
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from engine_service.backtest.desk import FINEST
from engine_service.backtest.equity import EquityCurve, cash_flows
from engine_service.backtest.event_path import Funding, FundingRate, wishes_of
from engine_service.backtest.funds import Trades, first_unpaid
from engine_service.backtest.options import BacktestOptions, FillRow
from engine_service.backtest.series import BarSeries
from engine_service.backtest.signals import crossings_of, ready
from engine_service.domain.money import BPS, EXACT, ZERO, quantise
from engine_service.risk.policy import LIMITS
from strategies.research.catalogue import StrategyChoice

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_UNITS = 1e8
_ROOM = 2.0**62
#: Up to here every whole number is a float.
_WHOLE = 2.0**53


class EventPathNeeded(ValueError):
    """What was asked for is beyond the fast path: shares of a size, a notional, rails, other ticks and steps."""


class FundsShort(ValueError):
    """The exchange would refuse an order of these for want of funds, which only the event path can go on from."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SymbolFills:
    """The fills of one symbol, oldest first: ``change`` in whole quantities, ``units`` the prices in 1e-8 quote.

    ``bar`` is the number of the bar at whose open or close it was. ``units`` is of dtype int64, or of ``Decimal`` where
    a price does not fit.
    """

    symbol: str
    bar: Ints
    at: Ints
    change: Ints
    units: NDArray[np.int64] | NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VectorResult:
    """What came of the vector path: see ``options.Traded``."""

    bars: int
    curve: EquityCurve
    equity_final: Decimal
    fees: Decimal
    realised: Decimal
    funding: Decimal
    traded_value: Decimal
    quantity: Decimal
    fee_bps: Decimal
    symbols: tuple[SymbolFills, ...]

    @property
    def times(self) -> Ints:
        return self.curve.times

    @property
    def equity(self) -> Floats:
        return self.curve.equity

    @property
    def refused(self) -> Mapping[str, int]:
        return {}

    @property
    def order_count(self) -> int:
        return self.fill_count

    @property
    def fill_count(self) -> int:
        return sum(len(fills) for fills in self.symbols)

    def fill_rows(self) -> Iterator[FillRow]:
        with localcontext(EXACT):
            for fills in self.symbols:
                for at, change, units in zip(
                    fills.at.tolist(), fills.change.tolist(), fills.units.tolist(), strict=True
                ):
                    price, quantity = Decimal(units) * FINEST, abs(change) * self.quantity
                    fee = price * quantity * self.fee_bps / BPS
                    yield FillRow(fills.symbol, at, "BUY" if change > 0 else "SELL", price, quantity, fee)


@dataclass(slots=True)
class _Sums:
    cash: Decimal = ZERO
    value: Decimal = ZERO
    open_cost: Decimal = ZERO
    booked_cost: Decimal = ZERO
    worth: Decimal = ZERO
    funding: Decimal = ZERO


def trade_crossings(
    series: Mapping[str, BarSeries], choice: StrategyChoice, options: BacktestOptions, funding: Funding | None = None
) -> VectorResult:
    """Trade a strategy's whole targets over all bars at once.

    Raises:
        EventPathNeeded: the strategy's targets are shares, or the options ask for what only the event path has.
        UnknownSetting: see ``signals.ready``.
        FundsShort: the account cannot pay for every order.
        BadBars: see ``signals.ready``.
    """
    with localcontext(EXACT):
        quantity = _checked_quantity(options)
        total, fills, trades, flows, paid = _Sums(), [], [], {}, []
        for symbol, columns in series.items():
            own = _fills(columns, *_targets(columns, choice), options)
            trades.append(_trades(own, quantity))
            flows[symbol] = cash_flows(own.bar, trades[-1].quantity, trades[-1].prices, options.fee_bps)
            paid += _settle(columns, own, quantity, options, (funding or {}).get(symbol, ()), total)
            fills.append(own)
        start = sum(options.balances.values(), ZERO)
        paid.sort(key=itemgetter(0))
        _check_funds(trades, float(start), options, paid)
        fees = total.value * options.fee_bps / BPS
        return VectorResult(
            bars=sum(len(columns) for columns in series.values()),
            curve=EquityCurve(series, flows, float(start), paid, at_open=options.fill_at == "open"),
            equity_final=_equity(start - fees - total.funding, total, options),
            fees=fees,
            realised=total.cash + total.open_cost,
            funding=total.funding,
            traded_value=total.value,
            quantity=quantity,
            fee_bps=options.fee_bps,
            symbols=tuple(fills),
        )


def _equity(rest: Decimal, total: _Sums, options: BacktestOptions) -> Decimal:
    """Return wallet and positions at their marks, each rounded to 18 decimals as the engine values it."""
    if options.market == "spot":
        return quantise(rest + total.cash) + total.worth
    return quantise(rest + total.cash + total.open_cost) + total.worth - total.booked_cost


def _checked_quantity(options: BacktestOptions) -> Decimal:
    if options.quantity is None:
        raise EventPathNeeded("the vector path trades a fixed quantity; a notional needs the event path")
    if options.limits or options.sample_equity:
        raise EventPathNeeded("the vector path has no rails; limits need the event path")
    if options.ticks or options.steps or options.quantity % FINEST:
        raise EventPathNeeded("the vector path trades on the finest tick and step; others need the event path")
    return options.quantity


def _targets(columns: BarSeries, choice: StrategyChoice) -> tuple[Ints, Ints]:
    """Return (bars, targets) at which the strategy wishes anew, targets -1, 0 or 1."""
    strategy = ready(columns, choice)
    crossed = crossings_of(columns, choice)
    if crossed is not None:
        bars, up = crossed
        return bars, np.where(up, 1, -1)
    wishes = wishes_of(columns, [strategy])
    if any(wish.target not in {-1.0, 0.0, 1.0} for wish in wishes):
        raise EventPathNeeded("the vector path trades whole targets; shares need the event path")
    return (
        np.array([wish.bar for wish in wishes], dtype=np.int64),
        np.array([int(wish.target) for wish in wishes], dtype=np.int64),
    )


def _fills(columns: BarSeries, bars: Ints, targets: Ints, options: BacktestOptions) -> SymbolFills:
    if options.long_only or options.market == "spot":
        targets = np.maximum(targets, 0)
    if options.fill_at == "open":
        bars = bars + 1
        bars, targets = bars[bars < len(columns)], targets[bars < len(columns)]
        prices, at = columns.open, columns.open_at
    else:
        prices, at = columns.close, columns.close_at
    change = np.diff(targets, prepend=0)
    kept = np.flatnonzero(change)
    bars, change = bars[kept], change[kept]
    return SymbolFills(
        symbol=columns.symbol, bar=bars, at=at[bars], change=change, units=_fill_units(prices[bars], change, options)
    )


def _fill_units(prices: Floats, change: Ints, options: BacktestOptions) -> NDArray[np.int64] | NDArray[np.object_]:
    """Return the price of each fill: the bar's, half a spread away, on the tick; a buy rounds up, a sell down."""
    away = Fraction(options.half_spread_bps) / 10_000
    units = np.rint(prices * _UNITS)
    largest = float(np.abs(units).max(initial=1.0)) * (away.denominator + away.numerator) * 4 * len(prices)
    if largest >= _ROOM or np.abs(units).max(initial=0.0) >= _WHOLE or (units / _UNITS != prices).any():
        return np.array(
            [_one_fill(price, int(step), options) for price, step in zip(prices, change, strict=True)], dtype=object
        )
    whole = units.astype(np.int64)
    if away == 0:
        return whole
    buys = -((-whole * (away.denominator + away.numerator)) // away.denominator)
    sells = (whole * (away.denominator - away.numerator)) // away.denominator
    return np.where(change > 0, buys, sells)


def _one_fill(price: float, change: int, options: BacktestOptions) -> Decimal:
    exact = Decimal(repr(float(price)))
    if options.half_spread_bps == 0:
        return exact / FINEST
    away = exact * options.half_spread_bps / BPS
    if change > 0:
        return ((exact + away) / FINEST).to_integral_value(rounding=ROUND_CEILING)
    return ((exact - away) / FINEST).to_integral_value(rounding=ROUND_FLOOR)


def _mark(price: float, options: BacktestOptions) -> Decimal:
    """Return the middle of the book around a price, as the engine marks it."""
    bid, ask = _one_fill(price, -1, options), _one_fill(price, 1, options)
    return quantise((bid + ask) * FINEST / 2)


def _trades(fills: SymbolFills, quantity: Decimal) -> Trades:
    if fills.units.dtype == object:
        prices = np.array([float(units * FINEST) for units in fills.units.tolist()], dtype=np.float64)
    else:
        prices = fills.units.astype(np.float64) / _UNITS
    return Trades(fills.at, fills.change.astype(np.float64) * float(quantity), prices)


def _check_funds(
    trades: Sequence[Trades], start: float, options: BacktestOptions, paid: Sequence[tuple[int, float]]
) -> None:
    largest = max((float((np.abs(each.quantity) * each.prices).max(initial=0.0)) for each in trades), default=0.0)
    if largest >= float(LIMITS["max_notional"].high) * (1.0 - 1e-9):
        raise EventPathNeeded("an order is larger than any rail lets through; the event path goes on without it")
    at = first_unpaid(trades, start, float(options.fee_bps), paid, spot=options.market == "spot")
    if at is not None:
        raise FundsShort(f"the order at {at} ms cannot be paid for; the event path goes on without it")


def _settle(
    columns: BarSeries,
    fills: SymbolFills,
    quantity: Decimal,
    options: BacktestOptions,
    rates: Sequence[FundingRate],
    total: _Sums,
) -> list[tuple[int, float]]:
    """Add one symbol's money to the total and return what funding it paid, (ms, amount)."""
    held = int(fills.change.sum())
    unit = quantity * FINEST
    total.cash -= _dot(fills.change, fills.units) * unit
    total.value += _dot(np.abs(fills.change), fills.units) * unit
    if held:
        # Every position is opened by one fill whole, so the last one's price is what it cost.
        cost = held * Decimal(fills.units[-1:].tolist()[0]) * unit
        total.open_cost += cost
        total.worth += quantise(held * quantity * _mark(float(columns.close[-1]), options))
        total.booked_cost += quantise(cost)
    paid: list[tuple[int, float]] = []
    positions = np.concatenate([[0], np.cumsum(fills.change)])
    for rate in rates:
        newest = int(np.searchsorted(columns.close_at, rate.at_ms, side="right")) - 1
        then = int(positions[np.searchsorted(fills.at, rate.at_ms, side="left")])
        if newest < 0 or then == 0 or rate.at_ms > columns.close_at[-1]:
            continue
        amount = then * quantity * _mark(float(columns.close[newest]), options) * rate.rate
        total.funding += amount
        paid.append((rate.at_ms, float(amount)))
    return paid


def _dot(change: Ints, units: NDArray[np.int64] | NDArray[np.object_]) -> Decimal:
    if units.dtype == object:
        return sum((int(c) * u for c, u in zip(change, units, strict=True)), ZERO)
    return Decimal(int(change @ units))
