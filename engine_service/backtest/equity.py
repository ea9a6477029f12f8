"""What the account was worth at every bar: the fills summed up, the rest at the bar's close. float64, for figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine_service.backtest.series import BarSeries
from engine_service.domain.fill import Fill

Floats = NDArray[np.float64]
Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CashFlows:
    """What one symbol's fills did, oldest first, shape (F,): ``at`` in ms, ``quantity`` signed in base, ``cash`` the
    quote received (negative: paid), fees included."""

    at: Times
    quantity: Floats
    cash: Floats


def flows_of(fills: Sequence[Fill]) -> CashFlows:
    """Return the flows of the engine's fills of one symbol."""
    return CashFlows(
        at=np.array([fill.at_ms for fill in fills], dtype=np.int64),
        quantity=np.array([float(fill.quantity) * fill.side.sign for fill in fills], dtype=np.float64),
        cash=np.array([float(-fill.notional * fill.side.sign - fill.fee) for fill in fills], dtype=np.float64),
    )


def curve(
    series: Mapping[str, BarSeries],
    flows: Mapping[str, CashFlows],
    start: float,
    funding: Sequence[tuple[int, float]] = (),
    *,
    at_open: bool = False,
) -> tuple[Times, Floats, Floats]:
    """Return (times, equity, gross), one point per bar time over all symbols.

    Equity = start + cash of the fills - funding + quantity x close, summed over the symbols; gross is the sum of
    the absolute values held. A symbol counts at its last close until it has a newer one.

    Args:
        funding: (ms, amount paid) of every payment.
        at_open: fills are at opens: one that falls on a bar's close comes after it.
    """
    columns = list(series.values())
    times = columns[0].close_at if len(columns) == 1 else np.unique(np.concatenate([s.close_at for s in columns]))
    equity = np.full(len(times), start)
    gross = np.zeros(len(times))
    for one in columns:
        flow = flows[one.symbol]
        first = np.searchsorted(times, flow.at, side="right" if at_open else "left")
        value = _stairs(flow.quantity, first, len(times))
        value *= one.close if len(columns) == 1 else _newest(one, times)
        equity += value
        equity += _stairs(flow.cash, first, len(times))
        gross += np.abs(value)
    if funding:
        first = np.searchsorted(times, [at_ms for at_ms, _ in funding])
        equity -= _stairs(np.array([paid for _, paid in funding]), first, len(times))
    return times, equity, gross


def _stairs(steps: Floats, first: NDArray[np.intp], length: int) -> Floats:
    """Return the running sum of ``steps`` at 0..length-1, where step i counts from ``first[i]`` on (ascending)."""
    levels = np.concatenate([[0.0], np.cumsum(steps)])
    counts = np.diff(np.concatenate([[0], np.minimum(first, length), [length]]))
    return np.repeat(levels, counts)


def _newest(one: BarSeries, times: Times) -> Floats:
    newest = np.searchsorted(one.close_at, times, side="right") - 1
    # Before its first bar nothing is held of a symbol; any finite price will do.
    return one.close[np.maximum(newest, 0)]
