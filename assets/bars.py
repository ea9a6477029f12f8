"""The bars asset: closed bars by UTC day; fetches what is missing and nothing else."""

import dagster as dg

from assets.backfill import BackfillRequest, backfill
from assets.describe import OWNERS, Stopwatch, columns_of, table_facts
from assets.intervals import closed_part, day_span
from assets.plots import bars_picture
from assets.ports import Clock, MarketData
from assets.settings import ResearchSettings
from assets.tables import BARS
from assets.universe import active_symbols, universe
from warehouse.store import Warehouse


def build_bars(days: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset over the given daily partitions."""

    @dg.asset(
        partitions_def=days,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[universe],
        group_name="market_data",
        kinds={"polars", "parquet"},
        owners=OWNERS,
        metadata=columns_of(BARS),
        pool="exchange_api",
        retry_policy=dg.RetryPolicy(
            max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
        ),
    )
    def bars(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[ResearchSettings],
        warehouse: dg.ResourceParam[Warehouse],
        market_data: dg.ResourceParam[MarketData],
        clock: dg.ResourceParam[Clock],
    ) -> dg.MaterializeResult[None]:
        """Closed bars of the active instruments, from the venue's REST API within its weight limits.

        Gaps are found by comparing with what is stored, and repaired; a complete day costs no request.
        """
        watch = Stopwatch()
        wanted = sorted(context.partition_keys)
        request = BackfillRequest(
            symbols=active_symbols(warehouse, settings),
            days=wanted,
            market=settings.market,
            interval=settings.interval,
            step_ms=settings.bar_ms,
            now_ms=clock.now_ms(),
            source="klines",
        )
        report = backfill(market_data, warehouse, request, settings.backfill, context.log.info)
        expected = [
            closed_part(day_span(day), request.step_ms, request.now_ms).bars(request.step_ms) * len(request.symbols)
            for day in wanted
        ]
        stored = [report.bars_by_day[day] for day in wanted]
        return dg.MaterializeResult(
            metadata={
                **table_facts(warehouse, BARS, watch, days=wanted, time_column="open_at"),
                "symbols": len(request.symbols),
                "fetched": report.fetched,
                "stored_before": report.stored_before,
                "gaps": report.gaps,
                "absent_at_venue": report.absent,
                "bars_per_second": round(report.fetched / max(report.seconds, 1e-9)),
                "coverage": dg.MetadataValue.md(bars_picture(wanted[-31:], stored[-31:], expected[-31:])),
            }
        )

    return bars
