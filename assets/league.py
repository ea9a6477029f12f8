"""The shadow league's page: the engine's rank of challengers, and whether the bars stored here give the same."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import dagster as dg
import polars as pl

from assets.bar_history import BarHistory
from assets.describe import OWNERS, Stopwatch, as_table, columns_of, table_facts
from assets.intervals import utc
from assets.plots import league_picture
from assets.ports import Clock, League, MarketData
from assets.settings import ResearchSettings
from assets.tables import LEAGUE
from governance.registry import ModelRegistry, ModelUnknown, ModelUntrusted
from strategies.league import Standing, replay
from strategies.regime_policy import PolicyOptions
from strategies.regimes.model import RegimeModel
from warehouse.store import Warehouse

EQUAL, DIFFERENT = "equal", "different"
_SHOWN = ("version", "symbol", "champion", "bars", "net_return", "turnover", "sharpe", "sharpe_se", "recomputed")


@dg.asset(
    deps=["bars", "training"],
    group_name="models",
    kinds={"python", "parquet"},
    owners=OWNERS,
    metadata=columns_of(LEAGUE),
)
def league(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[ResearchSettings],
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[ModelRegistry],
    market_data: dg.ResourceParam[MarketData],
    engine: dg.ResourceParam[League],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """Who would have earned what on live bars, unfunded, and whether stored bars say the same."""
    watch = Stopwatch()
    found = engine.get_league()
    bars = BarHistory(warehouse, market_data, settings)
    now = utc(clock.now_ms())
    common = {"judged_at": now, "run_id": context.run_id}
    ranked = [Standing(**row) for row in found["rank"]]
    judged = [Standing(**row) for row in found["standings"]]
    rows = [_row(one, found["champion"]) | common | {"recomputed": ""} for one in ranked]
    rows += [
        _row(one, found["champion"]) | common | {"recomputed": recompute(one, found, registry, bars)} for one in judged
    ]
    warehouse.writer(LEAGUE).upsert(pl.DataFrame(rows, schema=LEAGUE.schema))
    pictures = {"sharpe per bar": dg.MetadataValue.md(league_picture(ranked))} if ranked else {}
    return dg.MaterializeResult(
        metadata={
            **table_facts(warehouse, LEAGUE, watch, time_column="judged_at"),
            "champion": found["champion"] or "none",
            "standings": as_table([{key: row[key] for key in _SHOWN} for row in rows]),
            **pictures,
        }
    )


@dg.asset_check(asset="league", description="Stored bars give the standings that the engine gave.")
def league_is_reproducible(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
    """Compare the newest standings; those that cannot be recomputed are told, and are no failure."""
    rows = warehouse.reader(LEAGUE).read()
    newest = rows.filter((pl.col("judged_at") == pl.col("judged_at").max()) & (pl.col("recomputed") != ""))
    answers = newest.get_column("recomputed").value_counts(sort=True)
    return dg.AssetCheckResult(
        passed=DIFFERENT not in newest.get_column("recomputed"),
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"answers": as_table(list(answers.iter_rows(named=True)))},
    )


def recompute(standing: Standing, found: Mapping[str, Any], registry: ModelRegistry, bars: BarHistory) -> str:
    """Return ``equal``, ``different``, or why this standing cannot be recomputed here."""
    if standing.bars == 0:
        return "no bar judged yet"
    try:
        values = registry.bundle(standing.version)["symbols"][standing.symbol]
    except (ModelUnknown, ModelUntrusted) as error:
        return f"model: {error}"
    history = bars.between(standing.symbol, standing.warm_from_ms, standing.last_open_ms)
    options = PolicyOptions(**found["policy"])
    again = replay(standing.symbol, RegimeModel.from_dict(values), options, found["cost_bps"], standing, history)
    if again.bars != standing.bars:
        return f"{again.bars} of {standing.bars} bars are stored"
    return EQUAL if again == standing else DIFFERENT


def _row(standing: Standing, champion: str) -> dict[str, Any]:
    kept = {name: value for name, value in asdict(standing).items() if name in LEAGUE.schema}
    return kept | {"champion": standing.version == champion}
