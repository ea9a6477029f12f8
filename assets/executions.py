"""From stored fills and bars to what each order cost and what was known before it. Plain code, no Dagster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from assets.intervals import DAY_MS, day_of
from assets.settings import ResearchSettings
from assets.tables import BARS, FILLS
from strategies.slippage import BPS, Conditions, spread_from_ranges
from warehouse.store import Warehouse

Array = NDArray[np.float64]
HOUR_MS = 3_600_000
#: Sent by a strategy at a bar's close, for what the market gave: these are what slippage is learned from.
DECIDED = "decided"
#: Take-profit, stop-loss, and what closes an entry that could not be protected.
BRACKET = "bracket"
#: Resting and conditional orders, those of persons and of signals from outside, and what is not known of a fill.
OTHER = "other"
BRACKET_LEGS = ("take_profit", "stop_loss", "unprotected")
#: A close older than this many bars is not the price an order was decided at.
FRESH_BARS = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Executions:
    """Orders in time order, all arrays (N,); ``left_out`` had no sound bars before them."""

    order_ids: tuple[str, ...]
    strategies: tuple[str, ...]
    symbols: tuple[str, ...]
    at_ms: NDArray[np.int64]
    price: Array
    conditions: Conditions
    slippage_bps: Array
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class History:
    """What each closed bar of one symbol says about the next order, all (T,); NaN until the window is full."""

    close_ms: NDArray[np.int64]
    close: Array
    spread_bps: Array
    volatility_bps: Array
    turnover: Array


def executions(warehouse: Warehouse, settings: ResearchSettings, orders: pl.DataFrame, *, window: int) -> Executions:
    """Return filled orders, rows of ``filled_orders``, with their slippage and conditions.

    Slippage is the average fill against the last close before the first fill, positive where it cost money. Conditions
    come from the ``window`` bars up to that close and from nothing later.
    """
    if orders.is_empty():
        return _assemble([], 0)
    times = orders["at_ms"].to_numpy()
    past = histories(
        warehouse,
        settings,
        orders["symbol"].unique().to_list(),
        window=window,
        from_ms=int(times.min()) - (window + FRESH_BARS) * settings.bar_ms,
        until_ms=int(times.max()),
    )
    rows = [_row(order, past.get(order["symbol"]), settings.bar_ms) for order in orders.iter_rows(named=True)]
    found = [row for row in rows if row is not None]
    return _assemble(found, len(rows) - len(found))


def filled_orders(warehouse: Warehouse, settings: ResearchSettings) -> pl.DataFrame:
    """Return a row per filled order: symbol, side, strategy, kind, first fill's time (ms), notional, average price."""
    fills = warehouse.reader(FILLS).read(where=pl.col("market") == settings.market)
    value = (pl.col("price").cast(pl.Float64) * pl.col("quantity").cast(pl.Float64)).sum()
    quantity = pl.col("quantity").cast(pl.Float64).sum()
    return (
        fills.group_by("symbol", "client_order_id")
        .agg(
            pl.col("side").first(),
            pl.col("strategy").first().fill_null(""),
            _kind().first().alias("kind"),
            pl.col("filled_at").dt.epoch("ms").min().alias("at_ms"),
            value.alias("notional"),
            (value / quantity).alias("price"),
        )
        .sort("at_ms", "symbol", "client_order_id")
    )


def histories(
    warehouse: Warehouse,
    settings: ResearchSettings,
    symbols: Sequence[str],
    *,
    window: int,
    from_ms: int,
    until_ms: int,
) -> dict[str, History]:
    """Return each symbol's closed bars of a span with what they say about the next order."""
    where = (
        (pl.col("market") == settings.market)
        & (pl.col("interval") == settings.interval)
        & pl.col("symbol").is_in(list(symbols))
    )
    reader = warehouse.reader(BARS)
    days = [day for day in reader.partitions() if day_of(from_ms - DAY_MS) <= day <= day_of(until_ms)]
    bars = reader.read(days, where=where)
    return {
        str(symbol): history(part.sort("open_at"), window=window, step_ms=settings.bar_ms)
        for (symbol,), part in bars.partition_by("symbol", as_dict=True).items()
    }


def history(bars: pl.DataFrame, *, window: int, step_ms: int) -> History:
    """Return what one symbol's bars, oldest first, say at each close. A window that misses a bar says nothing."""
    opens = bars["open_at"].dt.epoch("ms").to_numpy()
    close, high, low = (bars[name].to_numpy() for name in ("close", "high", "low"))
    steps = np.diff(np.log(close), prepend=np.nan)
    frame = pl.DataFrame(
        {
            "spread": spread_from_ranges(high, low) if len(close) > 1 else np.full(len(close), np.nan),
            "step": steps,
            "turnover": bars["quote_volume"].to_numpy(),
            "gap": np.diff(opens, prepend=opens[:1]) != step_ms,
        }
    ).with_columns(pl.col("spread", "step").fill_nan(None))
    told = frame.select(
        pl.col("spread").rolling_mean(window),
        pl.col("step").rolling_std(window),
        pl.col("turnover").rolling_mean(window),
        pl.col("gap").cast(pl.Int32).rolling_sum(window).alias("gaps"),
    ).with_columns(pl.when(pl.col("gaps") == 0).then(pl.col("spread", "step", "turnover")))
    return History(
        close_ms=opens + step_ms,
        close=close,
        spread_bps=_floats(told["spread"]) * BPS,
        volatility_bps=_floats(told["step"]) * BPS,
        turnover=_floats(told["turnover"]),
    )


def conditions_now(past: History, *, notional: Decimal, buy: bool, now_ms: int) -> Conditions:
    """Return the conditions of one order of ``notional`` quote units that would go out after the newest bar."""
    return Conditions(
        spread_bps=past.spread_bps[-1:],
        size_share=float(notional) / past.turnover[-1:],
        volatility_bps=past.volatility_bps[-1:],
        buy=np.array([float(buy)]),
        hour=np.array([now_ms % DAY_MS / HOUR_MS]),
    )


def _kind() -> pl.Expr:
    """Return why a fill's order went out. Only one decided at a close can be held against that close: a bracket's price
    was fixed by its entry, a resting order's by its limit, and a person decides between two closes."""
    taken = (pl.col("order_type") == "MARKET") | pl.col("time_in_force").is_in(["IOC", "FOK"])
    decided = pl.col("bar_open_at").is_not_null() & pl.col("leg").is_in(["entry", "exit"]) & taken
    in_bracket = pl.col("leg").is_in(BRACKET_LEGS)
    return pl.when(decided).then(pl.lit(DECIDED)).when(in_bracket).then(pl.lit(BRACKET)).otherwise(pl.lit(OTHER))


def _row(order: Mapping[str, Any], past: History | None, step_ms: int) -> dict[str, Any] | None:
    """Return one order with its conditions, nothing where the bars before it do not tell them."""
    if past is None:
        return None
    at = int(np.searchsorted(past.close_ms, order["at_ms"], side="right")) - 1
    if at < 0 or order["at_ms"] - past.close_ms[at] >= FRESH_BARS * step_ms:
        return None
    figures = {
        "spread_bps": float(past.spread_bps[at]),
        "volatility_bps": float(past.volatility_bps[at]),
        "size_share": order["notional"] / past.turnover[at] if past.turnover[at] > 0 else np.nan,
    }
    if not all(np.isfinite(value) for value in figures.values()):
        return None
    direction = 1.0 if order["side"] == "BUY" else -1.0
    return {**order, **figures, "slippage_bps": direction * (order["price"] / past.close[at] - 1.0) * BPS}


def _assemble(rows: Sequence[Mapping[str, Any]], left_out: int) -> Executions:
    def column(name: str) -> Array:
        return np.array([row[name] for row in rows], dtype=np.float64)

    at_ms = np.array([row["at_ms"] for row in rows], dtype=np.int64)
    return Executions(
        order_ids=tuple(row["client_order_id"] for row in rows),
        strategies=tuple(row["strategy"] for row in rows),
        symbols=tuple(row["symbol"] for row in rows),
        at_ms=at_ms,
        price=column("price"),
        conditions=Conditions(
            spread_bps=column("spread_bps"),
            size_share=column("size_share"),
            volatility_bps=column("volatility_bps"),
            buy=np.array([float(row["side"] == "BUY") for row in rows]),
            hour=at_ms % DAY_MS / HOUR_MS,
        ),
        slippage_bps=column("slippage_bps"),
        left_out=left_out,
    )


def _floats(values: pl.Series) -> Array:
    return values.cast(pl.Float64).fill_null(np.nan).to_numpy()
