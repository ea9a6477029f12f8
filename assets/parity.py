"""Parity: each day's live fills against the backtest of the same bars, every difference with its cause."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import dagster as dg
import polars as pl

from assets.bar_history import BarHistory
from assets.decision_settings import DecisionSettings
from assets.describe import OWNERS, Stopwatch, as_table, columns_of, table_facts
from assets.intervals import DAY_MS, day_of, day_span, utc
from assets.parity_comparison import ComparedDay, Comparison, LiveEngine
from assets.plots import parity_picture
from assets.ports import Clock, MarketData
from assets.settings import ResearchSettings
from assets.tables import PARITY, PARITY_DAYS
from governance.registry import ModelRegistry
from strategies.research.parity import Cause, Difference, gap
from warehouse.store import Warehouse

ZERO = Decimal(0)


@dg.asset(
    deps=["bars", "fills"],
    group_name="trading",
    kinds={"polars", "parquet"},
    owners=OWNERS,
    metadata=columns_of(PARITY),
)
def parity(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[ResearchSettings],
    decision_settings: dg.ResourceParam[DecisionSettings],
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[ModelRegistry],
    market_data: dg.ResourceParam[MarketData],
    engine: dg.ResourceParam[LiveEngine],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """Why live earned something else than the backtest of the same bars: fee, spread, latency, missed, rail, data,
    protection or position, each to the last digit."""
    watch = Stopwatch()
    rules, now_ms = decision_settings.parity, clock.now_ms()
    comparison = Comparison(settings, rules, BarHistory(warehouse, market_data, settings), registry, engine)
    days = [comparison.of(day_of(now_ms - back * DAY_MS), now_ms) for back in reversed(range(rules.days))]
    common = {"compared_at": utc(now_ms), "run_id": context.run_id}
    for one in days:
        warehouse.writer(PARITY).replace(difference_frame(one, common))
        warehouse.writer(PARITY_DAYS).replace(day_frame(one, common))
    everything = [difference for one in days for difference in one.found]
    causes = by_cause(everything)
    total = sum((gap(one.decisions, one.ends) for one in days), ZERO)
    context.log.info(f"gap {total:f} over {sum(len(one.decisions) for one in days)} decisions")
    return dg.MaterializeResult(
        metadata={
            **table_facts(warehouse, PARITY, watch, time_column="bar_open_at"),
            **{f"gap_{cause}": amount for cause, amount in causes.items()},
            "gap": float(total),
            "days": as_table([row for one in days for row in day_frame(one, common).drop("run_id").to_dicts()]),
            "largest": as_table(_largest(everything)),
            "left_out": as_table([row for one in days for row in _left_out(one)]),
            "causes": dg.MetadataValue.md(parity_picture(causes)),
        }
    )


@dg.asset_check(asset="parity", description="The causes of every day add up to its gap.")
def parity_adds_up(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
    """Compare the sums of both tables, which come to them by different ways."""
    causes = warehouse.reader(PARITY).read().group_by("day").agg(pl.col("amount").sum())
    difference = (pl.col("live") - pl.col("ideal")).sum().alias("gap")
    days = warehouse.reader(PARITY_DAYS).read().group_by("day").agg(difference)
    both = days.join(causes, on="day", how="left").with_columns(pl.col("amount").fill_null(0))
    off = both.filter(pl.col("amount") != pl.col("gap"))
    return dg.AssetCheckResult(
        passed=off.is_empty(),
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"days": as_table(both.sort("day").to_dicts())},
    )


def by_cause(found: Iterable[Difference]) -> dict[str, float]:
    """Return what each cause is worth altogether, every cause named, in quote units."""
    amounts = dict.fromkeys(Cause, ZERO)
    for one in found:
        amounts[one.cause] += one.amount
    return {cause.value: float(amount) for cause, amount in amounts.items()}


def stored_gap(warehouse: Warehouse) -> dict[str, float]:
    """Return what each cause is worth over all stored days, in quote units; those without any are left out."""
    rows = warehouse.reader(PARITY).read()
    worth = rows.group_by("cause").agg(pl.col("amount").cast(pl.Float64).sum()).sort("cause")
    return {cause: amount for cause, amount in worth.iter_rows() if amount}


def difference_frame(one: ComparedDay, common: Mapping[str, Any]) -> pl.DataFrame:
    """Return a day's differences as rows of their table."""
    start_ms = day_span(one.day).start_ms
    rows = [
        {
            "day": one.day,
            "strategy": found.decision.strategy,
            "symbol": found.decision.symbol,
            "bar_open_at": utc(found.decision.bar_open_ms or start_ms),
            "order_id": found.decision.order_id,
            "cause": found.cause.value,
            "amount": found.amount,
            "detail": found.detail,
            "live_quantity": found.decision.live.quantity,
            "ideal_quantity": found.decision.ideal.quantity,
            **common,
        }
        for found in one.found
    ]
    return pl.DataFrame(rows, schema=PARITY.schema)


def day_frame(one: ComparedDay, common: Mapping[str, Any]) -> pl.DataFrame:
    """Return what a day's fills earned by strategy, live and in the backtest, as rows of their table."""
    rows = []
    for strategy in one.strategies:
        own = [decision for decision in one.decisions if decision.strategy == strategy]
        rows.append(
            {
                "day": one.day,
                "strategy": strategy,
                "from_at": utc(one.span.start_ms),
                "until_at": utc(one.span.end_ms),
                "live_orders": sum(1 for decision in own if decision.live.quantity),
                "ideal_orders": sum(1 for decision in own if decision.ideal.quantity),
                "matched": sum(1 for decision in own if decision.in_both),
                "live": sum((decision.live.worth(one.ends[decision.symbol]) for decision in own), ZERO),
                "ideal": sum((decision.ideal.worth(one.ends[decision.symbol]) for decision in own), ZERO),
                **common,
            }
        )
    return pl.DataFrame(rows, schema=PARITY_DAYS.schema)


def _left_out(one: ComparedDay) -> list[dict[str, str]]:
    return [{"day": one.day, "symbol": symbol, "why": why} for symbol, why in one.left_out.items()]


def _largest(found: Sequence[Difference], rows: int = 20) -> list[dict[str, Any]]:
    ranked = sorted(found, key=lambda one: abs(one.amount), reverse=True)[:rows]
    return [
        {
            "strategy": one.decision.strategy,
            "symbol": one.decision.symbol,
            "bar": utc(one.decision.bar_open_ms).isoformat() if one.decision.bar_open_ms else "",
            "cause": one.cause.value,
            "amount": float(one.amount),
            "detail": one.detail,
        }
        for one in ranked
    ]
