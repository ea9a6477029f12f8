"""Advice: what slippage model and bandit say about the strategies' next entries, and its way to the engine."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import dagster as dg
import numpy as np
import polars as pl

from assets.decision_settings import DecisionSettings
from assets.decision_tables import ADVICE, BANDIT_PRIORITIES
from assets.describe import OWNERS, Stopwatch, as_table, columns_of, table_facts
from assets.executions import histories
from assets.intervals import day_of, utc
from assets.outcomes import STRATEGY
from assets.ports import Clock
from assets.settings import ResearchSettings
from assets.slippage_model import stored_model, tactics
from assets.universe import UniverseEmpty, active_symbols
from strategies.situations import volatility_contexts
from warehouse.store import Warehouse

#: Bars whose volatility tells whether the present is calm, usual or wild.
CONTEXT_BARS = 600


class AdvisedEngine(Protocol):
    """The engine, as far as it takes advice."""

    def get_strategies(self) -> list[dict[str, Any]]:
        """Return every strategy."""

    def put_advice(self, *, valid_s: int, reason: str = "", **rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        """Put ``tactics`` and ``sizes`` in force for so many seconds; each replaces what was advised before."""


@dg.asset(
    deps=["slippage_model", "bandit"],
    group_name="trading",
    kinds={"polars", "parquet"},
    owners=OWNERS,
    metadata=columns_of(ADVICE),
)
def advice(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[ResearchSettings],
    decision_settings: dg.ResourceParam[DecisionSettings],
    warehouse: dg.ResourceParam[Warehouse],
    engine: dg.ResourceParam[AdvisedEngine],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """How the strategies' next entries should be sent and how large; given to the engine where the settings say so."""
    watch = Stopwatch()
    now_ms, rules = clock.now_ms(), decision_settings.advice
    strategies = [row["strategy"] for row in engine.get_strategies()]
    found = {
        "tactics": advised_tactics(warehouse, settings, decision_settings, now_ms),
        "sizes": advised_sizes(warehouse, settings, decision_settings, strategies, now_ms),
    }
    told = {kind: rows for kind, rows in found.items() if rows and getattr(rules, kind)}
    if told:
        engine.put_advice(valid_s=rules.valid_minutes * 60, reason=f"run {context.run_id}", **told)
    rows = advice_frame(found, told, {"day": day_of(now_ms), "given_at": utc(now_ms), "run_id": context.run_id})
    warehouse.writer(ADVICE).upsert(rows)
    context.log.info(f"given to the engine: {', '.join(told) or 'nothing'}")
    return dg.MaterializeResult(
        metadata={
            **table_facts(warehouse, ADVICE, watch, time_column="given_at"),
            "given": ", ".join(told) or "nothing",
            "advice": as_table(rows.drop("day", "given_at", "run_id").to_dicts()),
        }
    )


def advised_tactics(
    warehouse: Warehouse, settings: ResearchSettings, decisions: DecisionSettings, now_ms: int
) -> list[dict[str, str]]:
    """Return a tactic for every active symbol and side, as the engine takes them; none before a first model."""
    model = stored_model(warehouse)
    if model is None:
        return []
    rules = decisions.slippage
    try:
        rows = tactics(warehouse, settings, rules, model, now_ms)
    except UniverseEmpty:
        return []
    return [
        {
            "symbol": row["symbol"],
            "side": row["side"],
            "tactic": row["tactic"],
            "limit_bps": f"{rules.ioc_limit_bps:.4f}",
            "reason": row["reason"],
        }
        for row in rows
    ]


def advised_sizes(
    warehouse: Warehouse,
    settings: ResearchSettings,
    decisions: DecisionSettings,
    strategies: Sequence[str],
    now_ms: int,
) -> list[dict[str, str]]:
    """Return the bandit's share of full size for every strategy it knows, in the present volatility of each symbol."""
    reader = warehouse.reader(BANDIT_PRIORITIES)
    rows = reader.read(reader.partitions()[-1:])
    newest = rows.filter(pl.col("decided_at") == pl.col("decided_at").max())
    scales = {(row["context"], row["arm"]): row["size_scale"] for row in newest.iter_rows(named=True)}
    known = [name for name in strategies if any(arm == STRATEGY + name for _, arm in scales)]
    if not known:
        return []
    contexts = _contexts(warehouse, settings, decisions.slippage.window_bars, now_ms)
    return [
        {"strategy": name, "symbol": symbol, "scale": f"{scales[present, STRATEGY + name]:.4f}"}
        for symbol, present in contexts.items()
        for name in known
        if (present, STRATEGY + name) in scales
    ]


def _contexts(warehouse: Warehouse, settings: ResearchSettings, window: int, now_ms: int) -> dict[str, str]:
    try:
        symbols = active_symbols(warehouse, settings)
    except UniverseEmpty:
        return {}
    from_ms = now_ms - (CONTEXT_BARS + window) * settings.bar_ms
    past = histories(warehouse, settings, symbols, window=window, from_ms=from_ms, until_ms=now_ms)
    closed = {symbol: one.volatility_bps[one.close_ms <= now_ms] for symbol, one in past.items()}
    known = {symbol: volatility for symbol, volatility in closed.items() if np.isfinite(volatility).any()}
    return {symbol: volatility_contexts(volatility)[-1] for symbol, volatility in known.items()}


def advice_frame(
    found: Mapping[str, Sequence[Mapping[str, str]]], told: Mapping[str, Any], common: Mapping[str, Any]
) -> pl.DataFrame:
    """Return advice as rows of its table."""
    rows = [
        {
            **common,
            "kind": kind,
            "symbol": row["symbol"],
            "subject": row.get("side") or row["strategy"],
            "value": row.get("tactic") or row["scale"],
            "reason": row.get("reason", ""),
            "given": kind in told,
        }
        for kind, some in found.items()
        for row in some
    ]
    return pl.DataFrame(rows, schema=ADVICE.schema)
