"""The situations asset: hits on the bars since the last look, and what became of the earlier ones."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import dagster as dg
import polars as pl

from assets.decision_plots import ranked_picture
from assets.decision_settings import DecisionSettings
from assets.decision_tables import SITUATION_HITS, SITUATION_LOOKS
from assets.describe import OWNERS, Stopwatch, as_table, columns_of, table_facts
from assets.intervals import DAY_FORMAT, utc
from assets.outcomes import newest_advice
from assets.ports import Clock, MarketData
from assets.recent_bars import Panel, recent_panel
from assets.settings import ResearchSettings
from assets.situation_table import (
    DONE,
    OPEN,
    bars_needed,
    hit_rows,
    look_rows,
    looked_until_ms,
    newest_picks,
    our_hits,
    remembered,
    settled,
    symbol_rows,
)
from assets.universe import UniverseEmpty, active_symbols
from assets.waiting import waiting
from strategies.features import FEATURES
from strategies.situation_record import Feedback, feedback
from strategies.situations import Rule, find_hits
from warehouse.store import Warehouse

_SHOWN = ("hit_at", "rule", "symbol", "context", "action", "priority", "novelty", "price", "state", "outcome_bps")
_NEWEST = 50


@dg.asset(
    deps=["universe", "bars", "screening"],
    group_name="decisions",
    kinds={"python", "parquet"},
    owners=OWNERS,
    metadata=columns_of(SITUATION_HITS),
    pool="exchange_api",
    retry_policy=dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS),
)
def situations(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[ResearchSettings],
    decision_settings: dg.ResourceParam[DecisionSettings],
    warehouse: dg.ResourceParam[Warehouse],
    market_data: dg.ResourceParam[MarketData],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """Which configured situations came since the last look, and each rule's record: mean, interval, upper bound."""
    watch = Stopwatch()
    now_ms = clock.now_ms()
    wanted = decision_settings.situations
    rules = [rule.rule() for rule in wanted.rules]
    before = our_hits(warehouse, settings)
    try:
        symbols = active_symbols(warehouse, settings)
    except UniverseEmpty as empty:
        return waiting(context, empty)
    count = bars_needed(before, wanted.history_bars, settings.bar_ms, now_ms)
    panel = recent_panel(warehouse, market_data, settings, symbols, bars=count, now_ms=now_ms)
    fresh, counts = _look(context.run_id, utc(now_ms), warehouse, settings, rules, before, panel)
    pending = pl.concat([before.filter(pl.col("state") == OPEN), fresh])
    told = settled(pending, panel, settings.bar_ms, wanted.cost_bps)
    warehouse.writer(SITUATION_HITS).upsert(told)
    hits = pl.concat([before.filter(pl.col("state") != OPEN), told])
    # The watermark moves last: what a crash left out is looked at again.
    warehouse.writer(SITUATION_LOOKS).upsert(counts)
    records = records_of(hits, rules)
    context.log.info(f"{fresh.height} hits on {len(symbols)} symbols")
    return dg.MaterializeResult(
        metadata={
            **table_facts(warehouse, SITUATION_HITS, watch, time_column="hit_at"),
            "new_hits": fresh.height,
            "look": as_table(counts.drop("run_id", "looked_at").to_dicts()),
            "records": as_table([_plain(record) for record in records]),
            "newest_hits": as_table(hits.sort("hit_at", descending=True).head(_NEWEST).select(_SHOWN).to_dicts()),
            "hits": dg.MetadataValue.md(hits_picture(hits, rules)),
            **_picture(records),
        }
    )


def records_of(hits: pl.DataFrame, rules: list[Rule]) -> list[Feedback]:
    """Return the record of every configured rule, also of those without an outcome."""
    done = hits.filter(pl.col("state") == DONE)
    return feedback({rule.name: done.filter(pl.col("rule") == rule.name)["outcome_bps"].to_list() for rule in rules})


def _look(
    run_id: str,
    at: datetime,
    warehouse: Warehouse,
    settings: ResearchSettings,
    rules: list[Rule],
    before: pl.DataFrame,
    panel: Panel,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the new hits and the counts of this look, each as rows of its table."""
    hits, rejected = find_hits(
        rules,
        symbol_rows(panel, settings.bar_ms),
        FEATURES,
        remembered(before),
        after_ms=looked_until_ms(warehouse, settings),
        screened=newest_picks(warehouse, settings),
    )
    place = {"market": settings.market, "interval": settings.interval, "run_id": run_id}
    look = {"day": at.strftime(DAY_FORMAT), "looked_at": at}
    until = utc(int(panel.open_ms[-1]) + settings.bar_ms)
    return (
        hit_rows(hits, place, settings.bar_ms, newest_advice(warehouse)),
        look_rows(rules, hits, rejected, {**look, "until_at": until, **place}),
    )


def _plain(record: Feedback) -> Mapping[str, Any]:
    return {
        "rule": record.rule,
        "outcomes": record.count,
        "mean_bps": record.mean_bps,
        "low_95_bps": record.low_bps,
        "high_95_bps": record.high_bps,
        "upper_bound_bps": record.ucb_bps,
    }


def hits_picture(hits: pl.DataFrame, rules: list[Rule]) -> str:
    """Return Markdown with how often every configured rule hit, also the rules that never did."""
    counts = {rule.name: 0.0 for rule in rules}
    for name, found in hits.group_by("rule").len().iter_rows():
        counts[name] = float(found)
    return ranked_picture("hits so far, by rule", counts, "hits")


def _picture(records: list[Feedback]) -> dict[str, dg.MetadataValue[Any]]:
    known = {one.rule: one for one in records if one.mean_bps is not None and one.high_bps is not None}
    if not known:
        return {}
    means = {rule: one.mean_bps or 0.0 for rule, one in known.items()}
    halves = {rule: (one.high_bps or 0.0) - means[rule] for rule, one in known.items()}
    title = "mean outcome by rule, with its 95 % interval"
    return {"outcomes": dg.MetadataValue.md(ranked_picture(title, means, "basis points after costs", halves))}
