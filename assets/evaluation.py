"""The evaluation asset: the candidate's way of fitting, walked forward over the candidate's own data."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
from numpy.typing import NDArray

from assets.describe import OWNERS, Stopwatch, as_table, columns_of
from assets.feature_table import Series, newest_series
from assets.fitting import WalkOutcome, WalkTask, walk_symbol
from assets.intervals import day_of, utc
from assets.kinds import bars_behind, judge_kinds, kind_rows
from assets.plots import MAX_BYTES, equity_picture, regime_picture
from assets.ports import Clock, Compute
from assets.scoring import ALL, evaluation_rows, portfolio_curve, symbol_curve
from assets.settings import ResearchSettings
from assets.tables import BARS, EVALUATIONS
from assets.universe import stored_places
from governance.model_card import ModelCard
from governance.registry import ModelRegistry
from strategies.regime_policy import PolicyOptions
from strategies.universe import Bucket, Membership
from warehouse.store import Warehouse

#: All pictures together, in bytes of Markdown: more would weigh on the UI's database.
PICTURES_BYTES = 6_000_000


class NothingToEvaluate(Exception):
    """There is no candidate, or no symbol of it could be judged."""


@dg.asset(
    deps=["training", "learning"],
    group_name="models",
    kinds={"python", "matplotlib"},
    owners=OWNERS,
    metadata=columns_of(EVALUATIONS),
)
def evaluation(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[ResearchSettings],
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[ModelRegistry],
    compute: dg.ResourceParam[Compute],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """Out-of-sample figures of the newest model version, net of costs, against buy-and-hold, with plots."""
    watch = Stopwatch()
    card = registry.newest()
    if card is None:
        raise NothingToEvaluate("no model is registered; materialise training first")
    series, data_hash = _training_series(warehouse, settings, card)
    tasks = _tasks(list(series.values()), settings)
    walks = compute.map(walk_symbol, tasks)
    bars_per_year = settings.training.walk_options(settings.bar_ms).bars_per_year
    rows = evaluation_rows(
        card.version,
        card.fits,
        walks,
        series,
        bar_ms=settings.bar_ms,
        bars_per_year=bars_per_year,
        evaluated_at=utc(clock.now_ms()),
    )
    if rows.is_empty():
        raise NothingToEvaluate("; ".join(f"{walk.symbol}: {walk.refused}" for walk in walks) or "no data")
    with_bars = [replace(task, bars=bars_behind(warehouse, settings, task.series)) for task in tasks]
    kinds = compute.map(judge_kinds, with_bars)
    warehouse.writer(EVALUATIONS).upsert(rows)
    total = rows.filter(pl.col("symbol") == ALL).row(0, named=True)
    context.log.info(f"{card.version}: Sharpe {total['sharpe']:.2f} +- {total['sharpe_se']:.2f} out of sample")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": total["bars"],
            "model_version": card.version,
            "from": utc(min(int(one.open_ms[0]) for one in series.values())).isoformat(),
            "to": utc(max(int(one.open_ms[-1]) for one in series.values())).isoformat(),
            "content_hash": data_hash,
            "same_data_as_trained": data_hash == card.data_hash,
            **{name: float(total[name]) for name in ("sharpe", "sharpe_se", "total_return", "hold_return")},
            "likelihood_gain": float(total["likelihood_gain"]),
            "figures": as_table([_shortened(row) for row in rows.iter_rows(named=True)]),
            "symbols without a plot": as_table(without_plot(card, walks, stored_places(warehouse, settings.market))),
            "kinds of model, on the same unseen bars": as_table(kind_rows(kinds, bars_per_year)),
            "kinds refused": as_table([{"symbol": k.symbol, "reason": k.refused} for k in kinds if k.refused]),
            **_pictures(warehouse, settings, walks, series),
            "seconds": round(watch.seconds, 3),
        }
    )


def _training_series(
    warehouse: Warehouse, settings: ResearchSettings, card: ModelCard
) -> tuple[dict[str, Series], str]:
    """Return the rows that the card's version was fitted on: the same window, cut at the same bar."""
    series, data_hash = newest_series(
        warehouse,
        sorted([*card.symbols, *card.dropped]),
        market=settings.market,
        interval=card.interval,
        step_ms=settings.bar_ms,
        bars=settings.training.window_bars,
        until_ms=card.training_to_ms - settings.bar_ms,
    )
    return {one.symbol: one for one in series if one.symbol in card.fits}, data_hash


def without_plot(
    card: ModelCard, walks: Sequence[WalkOutcome], places: Mapping[str, Membership]
) -> list[dict[str, str]]:
    """Return every symbol of the universe that could not be judged, where it was left out and why."""
    judged = {walk.symbol for walk in walks if walk.report is not None}
    found = {symbol: _not_in_version(place) for symbol, place in places.items()}
    found |= dict.fromkeys(card.symbols, ("evaluation", "NO_FEATURES: its rows are no longer stored"))
    found |= {symbol: ("training", reason) for symbol, reason in card.dropped.items()}
    found |= {walk.symbol: ("evaluation", walk.refused) for walk in walks}
    return [
        {"symbol": symbol, "left_out_by": where, "reason": reason}
        for symbol, (where, reason) in sorted(found.items())
        if symbol not in judged
    ]


def _not_in_version(place: Membership) -> tuple[str, str]:
    if place.bucket is Bucket.ACTIVE:
        return "training", "NOT_IN_VERSION: active only since this version was trained; the next one has it"
    return "universe", f"{place.bucket.value}: {place.reason}"


def _tasks(series: Sequence[Series], settings: ResearchSettings) -> list[WalkTask]:
    return [
        WalkTask(
            series=one,
            bar_ms=settings.bar_ms,
            fit_options=settings.training.fit_options(),
            policy=PolicyOptions(round_trip_cost_bps=2 * settings.training.cost_bps),
            walk=settings.training.walk_options(settings.bar_ms),
        )
        for one in series
    ]


def _pictures(
    warehouse: Warehouse, settings: ResearchSettings, walks: Sequence[WalkOutcome], series: Mapping[str, Series]
) -> dict[str, dg.MarkdownMetadataValue]:
    """Return the portfolio's equity, and regimes and equity of every symbol; of many symbols, smaller pictures."""
    judged = [(walk.symbol, walk.report) for walk in walks if walk.report is not None]
    curves = {symbol: symbol_curve(series[symbol], report) for symbol, report in judged}
    pictures = {"equity of all symbols": equity_picture("all symbols", portfolio_curve(list(curves.values())))}
    most = min(MAX_BYTES, PICTURES_BYTES // max(1, 2 * len(judged)))
    for symbol, report in judged:
        curve = curves[symbol]
        prices = _closes(warehouse, settings, symbol, curve.open_ms)
        pictures[f"regimes of {symbol}"] = regime_picture(symbol, curve.open_ms, prices, report.posteriors, most)
        pictures[f"equity of {symbol}"] = equity_picture(symbol, curve, most)
    return {name: dg.MetadataValue.md(picture) for name, picture in pictures.items()}


def _closes(
    warehouse: Warehouse, settings: ResearchSettings, symbol: str, open_ms: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the closes at the given opens, shape (T,); NaN where a bar has gone meanwhile."""
    ours = (
        (pl.col("symbol") == symbol) & (pl.col("market") == settings.market) & (pl.col("interval") == settings.interval)
    )
    first, last = day_of(int(open_ms[0])), day_of(int(open_ms[-1]))
    days = [day for day in warehouse.reader(BARS).partitions() if first <= day <= last]
    bars = warehouse.reader(BARS).read(days, where=ours)
    wanted = pl.DataFrame({"open_ms": open_ms})
    closes = bars.select(pl.col("open_at").dt.epoch("ms").alias("open_ms"), "close")
    found = wanted.join(closes, on="open_ms", how="left", maintain_order="left")
    return found.get_column("close").to_numpy().astype(np.float64)


def _shortened(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("version", "evaluated_at")}
