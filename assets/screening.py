"""The screening asset: alpha long and short of every active instrument, by the rule of ``strategies/screening.py``."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import dagster as dg
import numpy as np
import polars as pl
from numpy.typing import NDArray

from assets.decision_plots import ranked_picture
from assets.decision_settings import DecisionSettings
from assets.decision_tables import SCREENINGS
from assets.describe import OWNERS, Stopwatch, as_table, columns_of, table_facts
from assets.intervals import DAY_FORMAT, utc
from assets.ports import BookTopLike, Clock, MarketData
from assets.recent_bars import recent_panel
from assets.settings import ResearchSettings
from assets.universe import UniverseEmpty, active_symbols
from assets.waiting import waiting
from strategies.screening import Books, Measures, Screening, screen
from warehouse.store import Warehouse

_SHOWN = (
    "symbol",
    "side",
    "place",
    "alpha_long_bps",
    "alpha_short_bps",
    "volatility_rank",
    "turnover",
    "spread_bps",
    "depth",
    "reason",
)


class ScreenedMarket(MarketData, Protocol):
    """Public data of one market, its books included."""

    def books(self) -> Sequence[BookTopLike]:
        """Return the best bid and ask of every symbol that has both."""


@dg.asset(
    deps=["universe", "bars"],
    group_name="decisions",
    kinds={"python", "parquet"},
    owners=OWNERS,
    metadata=columns_of(SCREENINGS),
    pool="exchange_api",
    retry_policy=dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS),
)
def screening(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[ResearchSettings],
    decision_settings: dg.ResourceParam[DecisionSettings],
    warehouse: dg.ResourceParam[Warehouse],
    market_data: dg.ResourceParam[ScreenedMarket],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """Which active instruments are worth buying or selling now, the best of each side with its reasons."""
    watch = Stopwatch()
    now_ms = clock.now_ms()
    options = decision_settings.screener.options()
    try:
        symbols = active_symbols(warehouse, settings)
    except UniverseEmpty as empty:
        return waiting(context, empty)
    panel = recent_panel(warehouse, market_data, settings, symbols, bars=options.bars, now_ms=now_ms)
    books = books_of(symbols, market_data.books())
    loaded_s = watch.seconds
    found = screen(panel.symbols, panel.bars, options, books)
    ruled_s = watch.seconds - loaded_s
    rows = screening_rows(found, utc(now_ms), market=settings.market, run_id=context.run_id)
    warehouse.writer(SCREENINGS).upsert(rows)
    context.log.info(f"{len(found.picks)} picks of {len(symbols)} symbols, {len(found.refused)} refused")
    drawn = {"alpha": alpha_picture, "volatility rank": rank_picture} if len(found.refused) < len(symbols) else {}
    pictures = {name: dg.MetadataValue.md(draw(found)) for name, draw in drawn.items()}
    return dg.MaterializeResult(
        metadata={
            **table_facts(warehouse, SCREENINGS, watch, days=[rows["day"][0]], time_column="screened_at"),
            "symbols": len(symbols),
            "picked": len(found.picks),
            "refused": len(found.refused),
            "bars_fetched": panel.fetched,
            "seconds_loading": round(loaded_s, 3),
            "seconds_ruling": round(ruled_s, 4),
            "screening": as_table(list(rows.sort(pl.col("place") == 0, "side", "place").select(_SHOWN).to_dicts())),
            **pictures,
        }
    )


def books_of(symbols: Sequence[str], tops: Sequence[BookTopLike]) -> Books:
    """Return the books of the symbols in their order, NaN where the venue shows none."""
    known = {top.symbol: top for top in tops}

    def column(name: str) -> NDArray[np.float64]:
        return np.array([float(getattr(known[symbol], name)) if symbol in known else np.nan for symbol in symbols])

    return Books(
        bid=column("bid"),
        bid_quantity=column("bid_quantity"),
        ask=column("ask"),
        ask_quantity=column("ask_quantity"),
    )


def screening_rows(found: Screening, at: datetime, *, market: str, run_id: str) -> pl.DataFrame:
    """Return a screening as rows of its table, one per symbol."""
    picked = {pick.symbol: pick for pick in found.picks}
    rows: list[dict[str, Any]] = []
    for number, symbol in enumerate(found.symbols):
        pick = picked.get(symbol)
        rows.append(
            {
                "day": at.strftime(DAY_FORMAT),
                "screened_at": at,
                "symbol": symbol,
                "market": market,
                "side": pick.side.value if pick else "",
                "place": pick.place if pick else 0,
                **figures(found.measures, number),
                "reason": pick.reason
                if pick
                else found.refused.get(symbol, "no edge after costs, or not among the best"),
                "run_id": run_id,
            }
        )
    return pl.DataFrame(rows, schema=SCREENINGS.schema)


def figures(measures: Measures, at: int) -> dict[str, float | None]:
    """Return one symbol's measures by name, missing where it could not be measured."""
    values = {name: float(getattr(measures, name)[at]) for name in Measures.__slots__}
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def rank_picture(found: Screening) -> str:
    """Return Markdown with the place of every measured symbol by volatility, calmest 0 to wildest 1."""
    known = [at for at, volatility in enumerate(found.measures.volatility_bps.tolist()) if np.isfinite(volatility)]
    ranks = {found.symbols[at]: float(found.measures.volatility_rank[at]) for at in known}
    return ranked_picture("place by volatility, wildest first", ranks, "share of symbols that are calmer")


def alpha_picture(found: Screening) -> str:
    """Return Markdown with the better side's alpha of every measured symbol; a name says which side that is."""
    values = {}
    for number, symbol in enumerate(found.symbols):
        long, short = found.measures.alpha_long_bps[number], found.measures.alpha_short_bps[number]
        if np.isfinite(long):
            values[f"{symbol} {'long' if long >= short else 'short'}"] = float(max(long, short))
    return ranked_picture("alpha of the better side, after costs", values, "basis points over the horizon")
