"""The features asset: the one definition of ``strategies/features.py`` over the stored bars."""

import dagster as dg

from assets.describe import OWNERS, Stopwatch, columns_of, table_facts
from assets.feature_table import build
from assets.settings import ResearchSettings
from assets.tables import FEATURE_ROWS
from warehouse.store import Warehouse


def build_features(days: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset over the given daily partitions."""

    @dg.asset(
        partitions_def=days,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=["bars"],
        group_name="market_data",
        kinds={"polars", "parquet"},
        owners=OWNERS,
        metadata=columns_of(FEATURE_ROWS),
    )
    def features(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[ResearchSettings],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> dg.MaterializeResult[None]:
        """Feature rows of every stored bar whose windows are complete; windows begin anew after a gap or a split."""
        watch = Stopwatch()
        days_here = sorted(context.partition_keys)
        rows, report = build(
            warehouse,
            days_here,
            market=settings.market,
            interval=settings.interval,
            step_ms=settings.bar_ms,
        )
        warehouse.writer(FEATURE_ROWS).upsert(rows)
        return dg.MaterializeResult(
            metadata={
                **table_facts(warehouse, FEATURE_ROWS, watch, days=days_here, time_column="open_at"),
                "bars": report.bars,
                "left_out": report.bars - report.rows,
                "gaps": report.gaps,
                "splits": report.splits,
            }
        )

    return features
