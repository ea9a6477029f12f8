"""The allocation asset: budgets by the rule of ``governance/allocator.py``, pushed to the engine."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import dagster as dg
import polars as pl

from assets.delivery import REGIME_STRATEGY
from assets.describe import OWNERS, Stopwatch, as_table, columns_of, table_facts
from assets.intervals import utc
from assets.ports import Clock, Engine
from assets.scoring import ALL
from assets.settings import YEAR_MS, ResearchSettings
from assets.tables import ALLOCATIONS, BARS, EVALUATIONS, FILLS
from governance.allocator import Allocation, StrategyState, allocate, last_steps
from governance.audit import DecisionLog
from governance.live_record import live_records
from governance.registry import ModelRegistry
from warehouse.store import Warehouse

_STORED = Decimal("1e-18")


@dg.asset(
    deps=["fills", "evaluation"],
    group_name="trading",
    kinds={"python", "parquet"},
    owners=OWNERS,
    metadata=columns_of(ALLOCATIONS),
)
def allocation(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[ResearchSettings],
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[ModelRegistry],
    decisions: dg.ResourceParam[DecisionLog],
    engine: dg.ResourceParam[Engine],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """Each strategy's share of the capital pool, stepped by its Sharpe ratio; the engine gets what changed."""
    watch = Stopwatch()
    now_ms = clock.now_ms()
    equity = known_equity(engine.get_portfolio())
    budgets = {str(entry["strategy"]): Decimal(entry["budget"]) for entry in engine.get_strategies()}
    sharpes = judged_by(warehouse, settings, budgets, registry.champion())
    stepped = last_steps(warehouse.reader(ALLOCATIONS).read().to_dicts())
    states = [
        StrategyState(strategy=name, budget=budget, sharpe=sharpes[name][0], changed_at_ms=stepped.get(name))
        for name, budget in sorted(budgets.items())
    ]
    outcome = allocate(equity, states, settings.capital.policy(), now_ms)
    rows = _rows(outcome, sharpes, equity, now_ms=now_ms, run_id=context.run_id)
    decisions.append("allocation", now_ms, {"run_id": context.run_id, "strategies": [_plain(row) for row in rows]})
    warehouse.writer(ALLOCATIONS).upsert(pl.DataFrame(rows, schema=ALLOCATIONS.schema))
    changed = push(engine, outcome)
    context.log.info(f"{changed} of {len(outcome)} budgets changed")
    return dg.MaterializeResult(
        metadata={
            **table_facts(warehouse, ALLOCATIONS, watch, time_column="decided_at"),
            "equity": f"{equity:f}" if equity is not None else "unknown",
            "changed": changed,
            "budgets": as_table([_plain(row) for row in rows]),
        }
    )


def known_equity(portfolio: Mapping[str, Any]) -> Decimal | None:
    """Return the engine's equity, ``None`` where it does not say one."""
    try:
        equity = Decimal(str(portfolio.get("equity")))
    except InvalidOperation:
        return None
    return equity.quantize(_STORED).normalize() if equity.is_finite() else None


def push(engine: Engine, outcome: Sequence[Allocation]) -> int:
    """Give the engine every budget that changed, cuts first, so that the sum never exceeds the pool."""
    changed = sorted((one for one in outcome if one.changed), key=lambda one: one.after - one.before)
    for one in changed:
        engine.put_strategy(one.strategy, budget=one.after, reason=f"capital allocation: {one.step.value}")
    return len(changed)


def judged_by(
    warehouse: Warehouse, settings: ResearchSettings, budgets: Mapping[str, Decimal], champion: str | None
) -> dict[str, tuple[float | None, str]]:
    """Return each strategy's Sharpe ratio and where it is from: its own fills, else its model's walk-forward."""
    fills = warehouse.reader(FILLS).read()
    ours = (pl.col("market") == settings.market) & (pl.col("interval") == settings.interval)
    first = min(fills.get_column("day").to_list(), default="")
    days = [day for day in warehouse.reader(BARS).partitions() if first and day >= first]
    records = live_records(
        fills,
        warehouse.reader(BARS).read(days, where=ours, columns=["symbol", "open_at", "close"]),
        {name: float(budget) for name, budget in budgets.items()},
        bars_per_year=YEAR_MS / settings.bar_ms,
        min_bars=settings.capital.min_sharpe_bars,
    )
    walked = _walk_forward_sharpe(warehouse, champion)
    judged: dict[str, tuple[float | None, str]] = {}
    for name, record in records.items():
        if record.sharpe is not None:
            judged[name] = (record.sharpe, "live")
        elif name == REGIME_STRATEGY and walked is not None:
            judged[name] = (walked, "evaluation")
        else:
            judged[name] = (None, "none")
    return judged


def _walk_forward_sharpe(warehouse: Warehouse, champion: str | None) -> float | None:
    rows = warehouse.reader(EVALUATIONS).read(where=(pl.col("symbol") == ALL) & (pl.col("version") == champion))
    return float(rows.row(0, named=True)["sharpe"]) if champion and rows.height else None


def _rows(
    outcome: Sequence[Allocation],
    sharpes: Mapping[str, tuple[float | None, str]],
    equity: Decimal | None,
    *,
    now_ms: int,
    run_id: str,
) -> list[dict[str, Any]]:
    return [
        {
            "decided_at": utc(now_ms),
            "strategy": one.strategy,
            "budget_before": one.before,
            "budget_after": one.after,
            "step": one.step.value,
            "scaled": one.scaled,
            "sharpe": one.sharpe,
            "sharpe_source": sharpes[one.strategy][1],
            "stepped_at_ms": one.stepped_at_ms,
            "equity": equity,
            "run_id": run_id,
        }
        for one in outcome
    ]


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as JSON values: money as text."""
    return {name: _json(value) for name, value in row.items() if name not in ("decided_at", "run_id")}


def _json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value if isinstance(value, bool | int | float | None) else str(value)
