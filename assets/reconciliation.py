"""The reconciliation asset: engine against venue, and engine against warehouse."""

from dataclasses import asdict

import dagster as dg
import polars as pl

from assets.comparison import fill_breaks, merge_found_at, venue_breaks
from assets.describe import OWNERS, Stopwatch, as_table, columns_of, table_facts
from assets.fills import fill_frame
from assets.intervals import utc
from assets.ports import Clock, Engine
from assets.tables import BREAKS, FILLS, RECONCILIATIONS
from warehouse.store import Warehouse


@dg.asset(
    deps=["fills"],
    group_name="trading",
    kinds={"python", "parquet"},
    owners=OWNERS,
    metadata=columns_of(BREAKS),
)
def reconciliation(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    engine: dg.ResourceParam[Engine],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """Differences between the engine's journal, its venue and the stored fills; nothing is mended here."""
    watch = Stopwatch()
    with_venue = venue_breaks(engine.reconcile())
    stored = warehouse.reader(FILLS).read()
    booked = fill_frame(engine.get_fills())
    with_warehouse = fill_breaks(booked, stored)
    now = utc(clock.now_ms())
    found = [*with_venue, *with_warehouse]
    rows = merge_found_at(found, warehouse.reader(BREAKS).read(), now)
    warehouse.writer(BREAKS).replace(pl.DataFrame(rows, schema=BREAKS.schema))
    summary = {
        "compared_at": now,
        "venue_breaks": len(with_venue),
        "warehouse_breaks": len(with_warehouse),
        "engine_fills": booked.height,
        "warehouse_fills": stored.height,
        "run_id": context.run_id,
    }
    warehouse.writer(RECONCILIATIONS).upsert(pl.DataFrame([summary], schema=RECONCILIATIONS.schema))
    return dg.MaterializeResult(
        metadata={
            **table_facts(warehouse, BREAKS, watch, time_column="found_at"),
            **{name: summary[name] for name in ("venue_breaks", "warehouse_breaks", "engine_fills", "warehouse_fills")},
            "breaks": as_table([asdict(one) for one in found]),
        }
    )


@dg.asset_check(asset="reconciliation", description="Engine, venue and warehouse agree.")
def no_breaks(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
    rows = warehouse.reader(BREAKS).read()
    return dg.AssetCheckResult(
        passed=rows.is_empty(),
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"breaks": rows.height, "rows": as_table(list(rows.iter_rows(named=True)))},
    )
