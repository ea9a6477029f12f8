"""The stress asset: newest version and champion in markets that did not happen, by ``strategies/stress.py``."""

from collections.abc import Sequence

import dagster as dg
import polars as pl

from assets.decision_plots import ranked_picture
from assets.decision_settings import DecisionSettings
from assets.decision_tables import STRESS_TESTS
from assets.describe import OWNERS, Stopwatch, as_table, columns_of, table_facts
from assets.feature_table import newest_series
from assets.intervals import utc
from assets.ports import Clock, Compute
from assets.settings import ResearchSettings
from assets.stress_table import StressTask, stress_rows, stress_symbol
from assets.waiting import waiting
from governance.registry import ModelRegistry
from strategies.regime_policy import PolicyOptions
from strategies.stress import StressOptions
from warehouse.store import Warehouse


class NothingToStress(Exception):
    """No model version is registered."""


@dg.asset(
    deps=["training"],
    group_name="decisions",
    kinds={"python", "parquet"},
    owners=OWNERS,
    metadata=columns_of(STRESS_TESTS),
)
def stress(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[ResearchSettings],
    decision_settings: dg.ResourceParam[DecisionSettings],
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[ModelRegistry],
    compute: dg.ResourceParam[Compute],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """What the newest version and the champion could lose, by symbol, in drawn markets; promotion asks for it."""
    watch = Stopwatch()
    try:
        versions = versions_to_stress(registry)
    except NothingToStress as nothing:
        return waiting(context, nothing)
    options = decision_settings.stress.options(settings)
    common = {"stressed_at": utc(clock.now_ms()), "run_id": context.run_id}
    frames = []
    for version in versions:
        outcomes = compute.map(stress_symbol, tasks_of(version, registry, warehouse, settings, options))
        frames.append(stress_rows([one for some in outcomes for one in some], common))
    rows = pl.concat(frames)
    warehouse.writer(STRESS_TESTS).upsert(rows)
    context.log.info(f"{len(versions)} versions stressed")
    return dg.MaterializeResult(
        metadata={
            **table_facts(warehouse, STRESS_TESTS, watch, time_column="stressed_at"),
            "versions": ", ".join(versions),
            "tails": as_table(rows.drop("stressed_at", "run_id").to_dicts()),
            "shortfall": dg.MetadataValue.md(shortfall_picture(rows, options)),
        }
    )


def versions_to_stress(registry: ModelRegistry) -> list[str]:
    """Return the newest version and the champion, each once.

    Raises:
        NothingToStress: there is none.
    """
    newest, champion = registry.newest(), registry.champion()
    found = [newest.version] if newest else []
    if champion and champion not in found:
        found.append(champion)
    if not found:
        raise NothingToStress("no model is registered; materialise training first")
    return found


def tasks_of(
    version: str, registry: ModelRegistry, warehouse: Warehouse, settings: ResearchSettings, options: StressOptions
) -> list[StressTask]:
    """Return one task per symbol of a version, with the recorded rows that it was trained on."""
    models, card = registry.bundle(version)["symbols"], registry.card(version)
    series, _ = newest_series(
        warehouse,
        sorted(models),
        market=settings.market,
        interval=card.interval,
        step_ms=settings.bar_ms,
        bars=settings.training.window_bars,
        until_ms=card.training_to_ms - settings.bar_ms,
    )
    recorded = {one.symbol: one for one in series}
    return [
        StressTask(
            version=version,
            symbol=symbol,
            model=model,
            recorded=recorded.get(symbol),
            policy=PolicyOptions(round_trip_cost_bps=2 * settings.training.cost_bps),
            options=options,
        )
        for symbol, model in sorted(models.items())
    ]


def shortfall_picture(rows: pl.DataFrame, options: StressOptions) -> str:
    """Return Markdown with the expected shortfall of every version, symbol and source that has one."""
    known: Sequence[tuple[str, str, str, float]] = (
        rows.filter(pl.col("shortfall").is_not_null()).select("version", "symbol", "source", "shortfall").rows()
    )
    values = {f"{version[:12]} {symbol} {source}": shortfall for version, symbol, source, shortfall in known}
    title = f"expected shortfall at {options.level:.0%} over {options.bars} bars"
    return ranked_picture(title, values, "share of equity")
