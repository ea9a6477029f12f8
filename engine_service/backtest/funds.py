"""Whether the account could pay for every order of the fast path, which asks no rail and no exchange.

The rule is the paper exchange's: on spot a buy needs its notional and fee; on futures what is opened needs its margin,
beside the margin of what is held.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
#: The paper exchange's, on futures.
LEVERAGE = 5.0
# Sums of floats differ from exact ones by less than this share: what is so close to short counts as short.
_DOUBT = 1e-9


class Trades(NamedTuple):
    """One symbol's fills, oldest first: ``at`` in ms, ``quantity`` signed in base, each from one whole target to the
    next, so that what is held was bought or sold by the fill before."""

    at: Ints
    quantity: Floats
    prices: Floats


class _Demand(NamedTuple):
    """What each order needs, and how it changes what is free, in quote."""

    at: Ints
    needed: Floats
    change: Floats


def first_unpaid(
    trades: Sequence[Trades], start: float, fee_bps: float, funding: Sequence[tuple[int, float]], *, spot: bool
) -> int | None:
    """Return the time, ms, of the first order that the account cannot pay for, or ``None``.

    Args:
        start: what is free at the start, in quote.
        funding: (ms, amount paid) of every payment; it comes before an order of the same time.
    """
    share = fee_bps / 10_000.0
    paid = _Demand(
        np.array([at for at, _ in funding], dtype=np.int64),
        np.full(len(funding), -np.inf),
        np.array([-amount for _, amount in funding], dtype=np.float64),
    )
    demands = [paid, *((_spot if spot else _futures)(each, share) for each in trades)]
    at, needed, change = (np.concatenate(columns) for columns in zip(*demands, strict=True))
    order = np.argsort(at, kind="stable")
    at, needed, change = at[order], needed[order], change[order]
    free = start + np.cumsum(change) - change
    short = free - needed < _DOUBT * (np.abs(free) + start)
    short &= needed > 0.0
    return int(at[np.argmax(short)]) if short.any() else None


def _spot(trades: Trades, share: float) -> _Demand:
    notional = trades.quantity * trades.prices
    change = -notional - np.abs(notional) * share
    return _Demand(trades.at, -change, change)


def _futures(trades: Trades, share: float) -> _Demand:
    """A position is closed whole before another is opened; only a buy has to have its fee beside it."""
    held = np.cumsum(trades.quantity)
    before, cost = held - trades.quantity, np.zeros(len(held))
    cost[1:] = trades.prices[:-1]
    fee = np.abs(trades.quantity) * trades.prices * share
    margin = np.abs(held) * trades.prices / LEVERAGE
    change = before * (trades.prices - cost) - fee - margin + np.abs(before) * cost / LEVERAGE
    return _Demand(trades.at, margin + np.where(trades.quantity > 0, fee, 0.0), change)
