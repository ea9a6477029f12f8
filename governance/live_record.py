"""What each strategy really earned, from its own fills and the closes since: the record that capital is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from strategies.research.metrics import performance

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One strategy's record. ``sharpe`` is annualised and net of fees; ``None`` where it cannot be known."""

    bars: int
    sharpe: float | None
    pnl: float


def live_records(
    fills: pl.DataFrame, bars: pl.DataFrame, budgets: Mapping[str, float], *, bars_per_year: float, min_bars: int
) -> dict[str, Record]:
    """Return the record of every strategy with a budget.

    Args:
        fills: ``strategy, symbol, filled_at, side, price, quantity, fee, fee_asset``.
        bars: ``symbol, open_at, close`` of the fills' symbols, and of coins that fees were paid in against the quote.
        budgets: by strategy, in quote units; returns are shares of it.
        min_bars: fewer bars since the first fill than this say nothing.
    """
    prices = {
        str(symbol): part.sort("open_at") for (symbol,), part in bars.partition_by("symbol", as_dict=True).items()
    }
    return {
        strategy: _record(
            fills.filter(pl.col("strategy") == strategy), prices, budget, bars_per_year=bars_per_year, min_bars=min_bars
        )
        for strategy, budget in budgets.items()
    }


def _record(
    fills: pl.DataFrame, prices: Mapping[str, pl.DataFrame], budget: float, *, bars_per_year: float, min_bars: int
) -> Record:
    parts = [
        _pnl(str(symbol), own.sort("filled_at"), prices)
        for (symbol,), own in fills.partition_by("symbol", as_dict=True).items()
    ]
    known = [part for part in parts if part is not None]
    if budget <= 0 or not known or len(known) < len(parts):
        return Record(bars=0, sharpe=None, pnl=0.0)
    total = pl.concat(known).group_by("open_at").agg(pl.col("pnl").sum()).sort("open_at").get_column("pnl").to_numpy()
    returns = total / budget
    sharpe = performance(returns, np.zeros(len(returns)), bars_per_year).sharpe if len(returns) >= min_bars else None
    return Record(bars=len(returns), sharpe=sharpe, pnl=float(total.sum()))


def _pnl(symbol: str, fills: pl.DataFrame, prices: Mapping[str, pl.DataFrame]) -> pl.DataFrame | None:
    """Return the profit in each bar since the first fill; ``None`` where a price or a fee cannot be valued.

    A position held over a bar earns its change of close; a fill earns from its own price to its bar's close, less
    its fee. Fills after the newest bar wait for their bar.
    """
    if symbol not in prices:
        return None
    bars = prices[symbol]
    opens = bars.get_column("open_at").dt.epoch("ms").to_numpy()
    close = bars.get_column("close").to_numpy()
    at = fills.get_column("filled_at").dt.epoch("ms").to_numpy()
    bar_of = np.searchsorted(opens, at, side="right") - 1
    if (bar_of < 0).any():
        return None
    fees = _fees_in_quote(symbol, fills, prices, close[bar_of])
    if fees is None:
        return None
    sign = np.where(fills.get_column("side").to_numpy() == "BUY", 1.0, -1.0)
    quantity = sign * fills.get_column("quantity").cast(pl.Float64).to_numpy()
    price = fills.get_column("price").cast(pl.Float64).to_numpy()
    traded = np.zeros(len(close))
    earned = np.zeros(len(close))
    np.add.at(traded, bar_of, quantity)
    np.add.at(earned, bar_of, quantity * (close[bar_of] - price) - fees)
    held_before = np.concatenate([[0.0], np.cumsum(traded)[:-1]])
    earned += held_before * np.diff(close, prepend=close[0])
    first = int(bar_of.min())
    return pl.DataFrame({"open_at": bars.get_column("open_at")[first:], "pnl": earned[first:]})


def _fees_in_quote(symbol: str, fills: pl.DataFrame, prices: Mapping[str, pl.DataFrame], close: Array) -> Array | None:
    """Value each fee in quote units: paid in quote, in base, or in a coin whose newest price is known."""
    local, _, venue = symbol.rpartition(".")
    amounts = fills.get_column("fee").cast(pl.Float64).to_numpy()
    values = np.empty(len(amounts))
    for index, asset in enumerate(fills.get_column("fee_asset")):
        quote = local.removeprefix(asset)
        if local.endswith(asset):
            values[index] = amounts[index]
        elif quote != local:
            values[index] = amounts[index] * close[index]
        else:
            rate = _rate(asset, local, venue, prices)
            if rate is None:
                return None
            values[index] = amounts[index] * rate
    return values


def _rate(asset: str, local: str, venue: str, prices: Mapping[str, pl.DataFrame]) -> float | None:
    for length in (3, 4, 5):  # quote currencies have three to five letters
        bars = prices.get(f"{asset}{local[-length:]}.{venue}")
        if bars is not None and bars.height:
            return float(bars.get_column("close")[-1])
    return None
