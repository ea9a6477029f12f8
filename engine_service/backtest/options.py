"""How recorded bars are traded, and what came of it. Money is ``Decimal`` in the reporting currency."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from engine_service.backtest.equity import EquityCurve
from engine_service.domain.errors import InvalidRequest
from engine_service.domain.fill import Fill
from engine_service.domain.money import ZERO
from engine_service.domain.order import Order
from engine_service.risk.policy import LIMITS, RiskPolicy, parse

_LIMITS_AT_THEIR_LOW = ("min_notional_spot", "min_notional_futures", "market_collar_bps", "equity_floor", "dust_value")


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestOptions:
    """How the bars are traded.

    Args:
        market: ``spot`` (long only) or ``futures``.
        balances: opening balances by asset, e.g. ``{"USDT": Decimal(10000)}``.
        quantity: base units at a target of 1; or ``notional``: quote units at a target of 1. One of them.
        fee_bps: of the notional, on every fill.
        half_spread_bps: between a bar's price and either side of the book around it; a fixed slippage per side is
            added here, for it costs the same.
        fill_at: a signal trades at its own bar's ``close``, or at the next bar's ``open``.
        long_only: short targets become flat.
        ticks: price increment by symbol; ``steps``: quantity increment. The finest where not given.
        limits: risk limits by key, as ``config/risk.yaml`` writes them; the others are wide open.
        sample_equity: record equity at every bar, which the rails about drawdown and daily loss live on.
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
    sample_equity: bool = False
    reporting: str = "USDT"

    def __post_init__(self) -> None:
        """Check what no type can say.

        Raises:
            ValueError: not exactly one of ``quantity`` and ``notional``, or a cost below zero.
        """
        if (self.quantity is None) == (self.notional is None):
            raise ValueError("give exactly one of quantity and notional")
        if min(self.fee_bps, self.half_spread_bps) < 0 or self.half_spread_bps >= 10_000:
            raise ValueError("fee and spread must not be negative, and the spread less than the price")


class LimitInvalid(ValueError):
    """A risk limit that does not exist, or a value out of its range."""


class FillRow(NamedTuple):
    """One fill as a row of a table; ``side`` is BUY or SELL."""

    symbol: str
    at_ms: int
    side: str
    price: Decimal
    quantity: Decimal
    fee: Decimal


class Traded(Protocol):
    """What came of a backtest, whichever path it took. Money is in the reporting currency.

    ``times`` (ms, the closes of all bars, each once) and ``equity`` (at the closes of those moments, float64) have one
    point a bar time, both of them from ``curve``; ``equity_final`` is exact. ``realised``
    is before fees and funding; ``funding`` is what was paid, negative where received. ``refused`` counts orders that a
    rail or the venue refused, by code.
    """

    @property
    def bars(self) -> int: ...
    @property
    def order_count(self) -> int: ...
    @property
    def fill_count(self) -> int: ...
    @property
    def curve(self) -> EquityCurve: ...
    @property
    def times(self) -> NDArray[np.int64]: ...
    @property
    def equity(self) -> NDArray[np.float64]: ...
    @property
    def equity_final(self) -> Decimal: ...
    @property
    def fees(self) -> Decimal: ...
    @property
    def realised(self) -> Decimal: ...
    @property
    def funding(self) -> Decimal: ...
    @property
    def refused(self) -> Mapping[str, int]: ...
    @property
    def traded_value(self) -> Decimal:
        """Return the notional of all fills."""

    def fill_rows(self) -> Iterator[FillRow]:
        """Return every fill; by symbol, oldest first within one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BacktestResult:
    """What came of the event path: see ``Traded``, and the engine's own orders and fills."""

    bars: int
    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    curve: EquityCurve
    equity_final: Decimal
    fees: Decimal
    realised: Decimal
    funding: Decimal
    refused: Mapping[str, int]

    @property
    def times(self) -> NDArray[np.int64]:
        return self.curve.times

    @property
    def equity(self) -> NDArray[np.float64]:
        return self.curve.equity

    @property
    def order_count(self) -> int:
        return len(self.orders)

    @property
    def fill_count(self) -> int:
        return len(self.fills)

    @property
    def traded_value(self) -> Decimal:
        return sum((fill.notional for fill in self.fills), ZERO)

    def fill_rows(self) -> Iterator[FillRow]:
        for fill in sorted(self.fills, key=lambda fill: fill.symbol):
            yield FillRow(fill.symbol, fill.at_ms, fill.side.value, fill.price, fill.quantity, fill.fee)


def policy_of(limits: Mapping[str, object]) -> RiskPolicy:
    """Return the policy of some limits with every other one wide open.

    Raises:
        LimitInvalid: a limit is unknown or out of range.
    """
    try:
        return parse(wide_open_limits() | dict(limits))
    except InvalidRequest as error:
        raise LimitInvalid(str(error)) from error


def wide_open_limits() -> dict[str, object]:
    """Return every risk limit at the end of its range where it refuses least."""
    limits: dict[str, object] = {key: limit.high for key, limit in LIMITS.items()}
    limits |= {key: LIMITS[key].low for key in _LIMITS_AT_THEIR_LOW}
    return limits | {"duplicate_window_ms": 0, "trading_enabled": True, "allowed_symbols": "*"}
