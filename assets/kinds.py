"""The kinds of regime model side by side, on the same unseen bars, beside what needs no model: the honest table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from assets.feature_table import Series
from assets.fitting import WalkTask
from assets.intervals import day_of, utc
from assets.settings import ResearchSettings
from assets.tables import BARS
from strategies.features import WARM_UP
from strategies.regimes.bar_table import PRICES, BarTable, check_bars
from strategies.regimes.hierarchy import H2
from strategies.regimes.options import FitRefused
from strategies.research.economics import Judged, judge
from strategies.research.hierarchy_walk import hierarchy_exposures
from strategies.research.walk_forward import WalkForwardOptions
from warehouse.store import Warehouse

#: So many of the newest rows are enough to tell the kinds apart, and keep the second kind cheap.
NEWEST_ROWS = 6_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KindOutcome:
    """One symbol's rows of the table, and why a kind is not among them."""

    symbol: str
    judged: tuple[Judged, ...] = ()
    refused: str = ""


def judge_kinds(task: WalkTask) -> KindOutcome:
    """Judge one symbol with one fold; one that cannot be judged is an answer, not an error."""
    series = task.series
    rows, open_ms = series.rows[-NEWEST_ROWS:], series.open_ms[-NEWEST_ROWS:]
    walk = replace(task.walk, folds=1)
    others, without = _two_levels(task, open_ms, walk)
    try:
        judged, refused = judge(rows, open_ms, task.bar_ms, task.fit_options, task.policy, walk, others)
    except FitRefused as error:
        return KindOutcome(symbol=series.symbol, refused=str(error))
    # What is drawn from the figures is done; their series need not travel between processes.
    slim = tuple(replace(each, net=each.net[:0], held=each.held[:0]) for each in judged)
    reasons = "; ".join(f"{kind}: {reason}" for kind, reason in (refused | without).items())
    return KindOutcome(symbol=series.symbol, judged=slim, refused=reasons)


def _two_levels(
    task: WalkTask, open_ms: NDArray[np.int64], walk: WalkForwardOptions
) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
    """Return the two-level model's exposures, or why it has none; without bars it is not asked."""
    if task.bars is None:
        return {}, {}
    try:
        return {H2: hierarchy_exposures(task.bars, open_ms, task.fit_options, task.policy, walk)}, {}
    except FitRefused as error:
        return {}, {H2: str(error)}


def bars_behind(warehouse: Warehouse, settings: ResearchSettings, series: Series) -> BarTable | None:
    """Return the stored bars behind a symbol's newest rows, ``None`` where they do not do."""
    first = int(series.open_ms[-NEWEST_ROWS:][0]) - WARM_UP * settings.bar_ms
    last = int(series.open_ms[-1])
    ours = (
        (pl.col("symbol") == series.symbol)
        & (pl.col("market") == settings.market)
        & (pl.col("interval") == settings.interval)
        & pl.col("open_at").is_between(utc(first), utc(last))
    )
    reader = warehouse.reader(BARS)
    days = [day for day in reader.partitions() if day_of(first) <= day <= day_of(last)]
    rows = reader.read(days, where=ours).sort("open_at")
    prices = {name: rows.get_column(name).to_numpy() for name in PRICES}
    opens, volume = rows.get_column("open_at").dt.epoch("ms").to_numpy(), rows.get_column("volume").to_numpy()
    try:
        return check_bars(opens, prices, volume, drop_dead_tail=False)[0]
    except FitRefused:
        return None


def kind_rows(outcomes: Sequence[KindOutcome], bars_per_year: float) -> list[dict[str, Any]]:
    """Return the table: one row per symbol and way of trading. What a row has no figure for is empty."""
    return [
        {
            "symbol": outcome.symbol,
            "strategy": each.name,
            "sharpe": each.figures.sharpe,
            "sharpe_se": each.figures.sharpe_se,
            "edge_per_year": each.edge,
            "edge_se": each.edge_se,
            "turnover_per_year": each.figures.turnover * bars_per_year,
            **_trust(each),
        }
        for outcome in outcomes
        for each in outcome.judged
    ]


def _trust(judged: Judged) -> dict[str, float | None]:
    trust = judged.trust
    figures = {
        "gain_nats": trust.held_out.nats_per_bar if trust else None,
        "gain_se": trust.held_out.error if trust else None,
        "lag_bars": trust.lag.bars if trust else None,
        "missed_frac": trust.lag.missed_frac if trust else None,
        "dwell_bars": trust.dwell_bars if trust else None,
        "refit_agreement": trust.refit_agreement if trust else None,
    }
    return {name: value if value is not None and math.isfinite(value) else None for name, value in figures.items()}
