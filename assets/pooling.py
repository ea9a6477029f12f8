"""The pooling asset: this node's view for the others, and what all know together, by ``strategies/pooling.py``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from assets.decision_plots import ranked_picture
from assets.decision_settings import DecisionSettings
from assets.decision_tables import POOLED_REGIMES
from assets.describe import OWNERS, Stopwatch, as_table, columns_of, table_facts
from assets.intervals import day_of, utc
from assets.node_reports import NodeReport, leave, own_report, read_all
from assets.ports import Clock
from assets.scoring import ALL
from assets.settings import ResearchSettings
from assets.tables import EVALUATIONS
from assets.waiting import waiting
from governance.registry import ModelRegistry
from strategies.pooling import NodeView, Pool, PoolOptions, drifting, pool, pool_figures
from warehouse.store import Warehouse

#: Days whose looks tell whether a node has been far away for long.
DRIFT_DAYS = 8


class NothingToPool(Exception):
    """This node has no champion yet, so it has no view to compare with others."""


def build_pooling(home_pool: Path) -> dg.AssetsDefinition:
    """Return the asset; ``home_pool`` is where views are left if no shared folder is configured."""

    @dg.asset(
        deps=["promotion", "features"],
        group_name="decisions",
        kinds={"python", "parquet"},
        owners=OWNERS,
        metadata=columns_of(POOLED_REGIMES),
    )
    def pooling(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[ResearchSettings],
        decision_settings: dg.ResourceParam[DecisionSettings],
        warehouse: dg.ResourceParam[Warehouse],
        registry: dg.ResourceParam[ModelRegistry],
        clock: dg.ResourceParam[Clock],
    ) -> dg.MaterializeResult[None]:
        """What all nodes know of each symbol's regimes, weighted by evidence; who stands apart, and who drifts."""
        watch = Stopwatch()
        rules, now_ms = decision_settings.pooling, clock.now_ms()
        folder = rules.place(home_pool)
        own = own_report(
            warehouse,
            registry,
            settings,
            node=rules.node,
            bars=rules.evidence_bars,
            now_ms=now_ms,
            sharpe=champion_sharpe(warehouse, registry.champion()),
        )
        if own is None:
            return waiting(context, NothingToPool("no model is promoted; materialise promotion first"))
        leave(folder, own)
        reports, refused = read_all(
            folder, now_ms=now_ms, max_age_s=rules.max_age_s, market=settings.market, interval=settings.interval
        )
        stored = warehouse.reader(POOLED_REGIMES)
        before = stored.read(stored.partitions()[-DRIFT_DAYS:])
        common = {"day": day_of(now_ms), "pooled_at": utc(now_ms), "run_id": context.run_id}
        rows = pooled_rows(own, reports, before, rules.options(), common)
        warehouse.writer(POOLED_REGIMES).upsert(rows)
        context.log.info(f"{len(reports)} nodes on {len(own.symbols)} symbols, {len(refused)} files refused")
        return dg.MaterializeResult(
            metadata={
                **table_facts(warehouse, POOLED_REGIMES, watch, time_column="pooled_at"),
                "nodes": ", ".join(report.node for report in reports),
                "refused": as_table([{"file": name, "reason": reason} for name, reason in refused.items()]),
                "pool": as_table(rows.drop("day", "pooled_at", "run_id").to_dicts()),
                "sharpe": as_table(figure_rows(reports)),
                "distances": dg.MetadataValue.md(distance_picture(rows)),
            }
        )

    return pooling


@dg.asset_check(asset="pooling", description="No node has been far from the pool for long.")
def nodes_agree(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
    """Warn of a drift: of one node, or of its model, or of the market it sees."""
    reader = warehouse.reader(POOLED_REGIMES)
    rows = reader.read(reader.partitions()[-1:])
    newest = rows.filter((pl.col("pooled_at") == pl.col("pooled_at").max()) & pl.col("drifting"))
    return dg.AssetCheckResult(
        passed=newest.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"drifting": as_table(newest.select("symbol", "node", "distance").to_dicts())},
    )


def pooled_rows(
    own: NodeReport,
    reports: Sequence[NodeReport],
    before: pl.DataFrame,
    options: PoolOptions,
    common: Mapping[str, Any],
) -> pl.DataFrame:
    """Return one row per symbol of this node and per node that sees it; views of other regimes are left out."""
    rows: list[dict[str, Any]] = []
    for symbol, mine in sorted(own.symbols.items()):
        seeing = [report for report in reports if symbol in report.symbols]
        same = [report for report in seeing if report.symbols[symbol].labels == mine.labels]
        found = pool(
            [
                NodeView(
                    node=report.node,
                    shares=report.symbols[symbol].shares,
                    evidence=report.symbols[symbol].evidence,
                )
                for report in same
            ],
            options,
        )
        rows += [_row(symbol, report, own.node, found, before, options) | dict(common) for report in seeing]
    return pl.DataFrame(rows, schema=POOLED_REGIMES.schema)


def figure_rows(reports: Sequence[NodeReport]) -> list[dict[str, Any]]:
    """Return each node's out-of-sample Sharpe ratio with its error, and what all say together."""
    known = [(report.node, report.sharpe, report.sharpe_se) for report in reports]
    sound = [(node, value, error) for node, value, error in known if value is not None and error is not None]
    if not sound:
        return []
    together = pool_figures([value for _, value, _ in sound], [error for _, _, error in sound])
    return [
        *({"node": node, "sharpe": value, "error": error} for node, value, error in sound),
        {"node": "all together", "sharpe": together.value, "error": together.error},
    ]


def champion_sharpe(warehouse: Warehouse, champion: str | None) -> tuple[float, float] | None:
    """Return the champion's out-of-sample Sharpe ratio and its error, where it was judged."""
    if champion is None:
        return None
    rows = warehouse.reader(EVALUATIONS).read(where=(pl.col("symbol") == ALL) & (pl.col("version") == champion))
    if rows.is_empty():
        return None
    row = rows.row(0, named=True)
    return (row["sharpe"], row["sharpe_se"]) if row["sharpe_se"] > 0 else None


def distance_picture(rows: pl.DataFrame) -> str:
    """Return Markdown with every node's distance from the pool, by symbol."""
    known = rows.filter(pl.col("distance").is_not_null()).select("node", "symbol", "distance").rows()
    values = {f"{node} {symbol}": distance for node, symbol, distance in known}
    return ranked_picture("distance from the pool", values, "Hellinger distance, 0 equal to 1 nothing in common")


def _row(
    symbol: str, report: NodeReport, ours: str, found: Pool, before: pl.DataFrame, options: PoolOptions
) -> dict[str, Any]:
    view = report.symbols[symbol]
    distance = found.distances.get(report.node)
    past = before.filter((pl.col("symbol") == symbol) & (pl.col("node") == report.node)).sort("pooled_at")
    looks = [*past["distance"].drop_nulls().to_list(), *([] if distance is None else [distance])]
    return {
        "symbol": symbol,
        "node": report.node,
        "ours": report.node == ours,
        "version": report.version,
        "labels": ", ".join(view.labels),
        "shares": _by_comma(view.shares),
        "evidence": view.evidence,
        "weight": found.weights.get(report.node, 0.0),
        "distance": distance,
        "left_out": found.left_out.get(
            report.node, "" if distance is not None else "OTHER_REGIMES: not the same names"
        ),
        "pooled": _by_comma(found.shares),
        "prior": _by_comma(found.prior),
        "drifting": drifting(looks, options),
    }


def _by_comma(shares: Sequence[float]) -> str:
    return ", ".join(f"{share:.6f}" for share in shares)
