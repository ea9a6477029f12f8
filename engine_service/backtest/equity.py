"""What the account was worth at every bar: the fills summed up, the rest at the bar's close. float64, for figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine_service.backtest.equity_summary import PIECE, EquitySummary
from engine_service.backtest.series import BarSeries
from engine_service.domain.fill import Fill
from engine_service.domain.ids import REMEMBERED
from engine_service.domain.money import ZERO
from engine_service.domain.order_status import BUY

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CashFlows:
    """What one symbol's fills did, oldest first, shape (F,): ``bar`` is the number of the symbol's bar at whose open or
    close it was, ``quantity`` signed in base, ``cash`` the quote received (negative: paid), fees included; ``fees`` is
    their sum."""

    bar: Ints
    quantity: Floats
    cash: Floats
    fees: float


def cash_flows(bar: Ints, quantity: Floats, prices: Floats, fee_bps: Decimal) -> CashFlows:
    """Return the flows of fills at these prices; one sum for both paths, so that their curves have the same bits."""
    notional = prices * quantity
    fees = np.abs(notional) * (float(fee_bps) / 10_000.0)
    return CashFlows(bar=bar, quantity=quantity, cash=-notional - fees, fees=float(fees.sum()))


def flows_of(columns: BarSeries, fills: Sequence[Fill], fee_bps: Decimal, *, at_open: bool) -> CashFlows:
    """Return the flows of the engine's fills of one symbol.

    Raises:
        AssertionError: the fills were charged another fee.
    """
    # Few sizes come again and again, and a float of a decimal costs ten look-ups.
    size = lru_cache(REMEMBERED)(float)
    signed = [size(fill.quantity) if fill.side is BUY else -size(fill.quantity) for fill in fills]
    flows = cash_flows(
        columns.bars_at(np.array([fill.at_ms for fill in fills], dtype=np.int64), at_open=at_open),
        np.array(signed, dtype=np.float64),
        np.array([float(fill.price) for fill in fills], dtype=np.float64),
        fee_bps,
    )
    charged = float(sum([fill.fee for fill in fills], ZERO))
    if not math.isclose(flows.fees, charged, rel_tol=1e-9):
        raise AssertionError(f"{columns.symbol}: fees of {charged} were charged and the curve knows of {flows.fees}")
    return flows


class _Stairs(NamedTuple):
    """Levels that change together at some of the curve's times: ``x[i]`` holds from ``first[i - 1]`` on."""

    first: NDArray[np.intp]
    quantity: Floats
    cash: Floats

    def part(self, begin: int, end: int) -> tuple[Floats, Floats]:
        """Return quantity and cash at each of the times begin..end-1."""
        low = int(self.first.searchsorted(begin, side="right"))
        high = max(low, int(self.first.searchsorted(end, side="left")))
        edges = np.empty(high - low + 2, dtype=np.intp)
        edges[0], edges[1:-1], edges[-1] = begin, self.first[low:high], end
        bars = edges[1:] - edges[:-1]
        return self.quantity[low : high + 1].repeat(bars), self.cash[low : high + 1].repeat(bars)


class EquityCurve:
    """Equity at the closes of all bars over all symbols, worked out piece by piece when it is looked at.

    Equity = start + cash of the fills - funding + quantity x close, summed over the symbols. A symbol counts at its
    last close until it has a newer one.
    """

    def __init__(
        self,
        series: Mapping[str, BarSeries],
        flows: Mapping[str, CashFlows],
        start: float,
        funding: Sequence[tuple[int, float]] = (),
        *,
        at_open: bool = False,
    ) -> None:
        """Take what is known.

        Args:
            funding: (ms, amount paid) of every payment.
            at_open: fills are at opens: one that falls on a bar's close comes after it.
        """
        self._columns = list(series.values())
        closes = [columns.close_at for columns in self._columns]
        self._aligned = all(np.array_equal(one, closes[0]) for one in closes[1:])
        #: ms, each time once.
        self.times: Ints = closes[0] if self._aligned else _union(closes)
        first, *others = self._columns
        self._first = self._stairs(first, flows[first.symbol], start, at_open=at_open)
        self._others = [(one, self._stairs(one, flows[one.symbol], 0.0, at_open=at_open)) for one in others]
        self._paid: _Stairs | None = None
        if funding:
            at = np.searchsorted(self.times, np.array([at_ms for at_ms, _ in funding], dtype=np.int64))
            paid = _levels(np.array([amount for _, amount in funding]))
            self._paid = _Stairs(at, paid, paid)

    def __len__(self) -> int:
        return len(self.times)

    @cached_property
    def equity(self) -> Floats:
        """All of it at once, one point a time."""
        return np.concatenate([self.part(at, at + PIECE)[0] for at in range(0, len(self), PIECE)])

    @cached_property
    def summary(self) -> EquitySummary:
        """What the figures are made of, from one reading."""
        summary = EquitySummary()
        for at in range(0, len(self), PIECE):
            summary.add(*self.part(at, at + PIECE))
        return summary

    def part(self, begin: int, end: int) -> tuple[Floats, Floats]:
        """Return equity and the absolute value held at the times begin..end-1, as far as there are any."""
        end = min(end, len(self))
        equity, gross = self._worth(self._columns[0], self._first, begin, end)
        for columns, stairs in self._others:
            worth, held = self._worth(columns, stairs, begin, end)
            equity += worth
            gross += held
        if self._paid is not None:
            equity -= self._paid.part(begin, end)[0]
        return equity, gross

    def _worth(self, columns: BarSeries, stairs: _Stairs, begin: int, end: int) -> tuple[Floats, Floats]:
        value, worth = stairs.part(begin, end)
        value *= columns.close[begin:end] if self._aligned else _newest(columns, self.times[begin:end])
        worth += value
        return worth, np.abs(value, out=value)

    def _stairs(self, columns: BarSeries, flow: CashFlows, start: float, *, at_open: bool) -> _Stairs:
        if self._aligned:
            first = flow.bar
        elif at_open:
            first = np.searchsorted(self.times, columns.open_at[flow.bar], side="right")
        else:
            first = np.searchsorted(self.times, columns.close_at[flow.bar], side="left")
        return _Stairs(first, _levels(flow.quantity), start + _levels(flow.cash))


def _levels(steps: Floats) -> Floats:
    levels = np.zeros(len(steps) + 1)
    np.cumsum(steps, out=levels[1:])
    return levels


def _union(times: Sequence[Ints]) -> Ints:
    # ``np.unique`` loads masked arrays first, which takes longer than the backtest.
    merged = np.sort(np.concatenate(times))
    return np.asarray(merged[np.concatenate([[True], merged[1:] != merged[:-1]])], dtype=np.int64)


def _newest(columns: BarSeries, times: Ints) -> Floats:
    newest = np.searchsorted(columns.close_at, times, side="right") - 1
    # Before its first bar nothing is held of a symbol; any finite price will do.
    return columns.close[np.maximum(newest, 0)]
