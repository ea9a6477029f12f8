"""The shadow league's page: the engine's rank of challengers, and whether the bars stored here give the same."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import dagster as dg
import polars as pl

from assets.bar_history import BarHistory
from assets.describe import OWNERS, Stopwatch, as_table, columns_of, table_facts
from assets.intervals import to_ms, utc
from assets.plots import league_picture
from assets.ports import Clock, League, MarketData
from assets.settings import ResearchSettings
from assets.tables import LEAGUE
from governance.registry import ModelRegistry, ModelUnknown, ModelUntrusted
from strategies.league import Standing, rank, replay
from strategies.regime_policy import PolicyOptions
from strategies.regimes.model import RegimeModel
from warehouse.store import Warehouse

EQUAL, DIFFERENT = "equal", "different"
#: What names the bars of a standing, as the engine and as the table calls it.
_SPAN = {
    name: name.removesuffix("_ms") + "_at"
    for name in ("warm_from_ms", "judged_from_ms", "first_open_ms", "last_open_ms")
}
_NOTHING = "no bar judged yet"
_FIGURES = ("bars", "net_return", "turnover", "sharpe", "sharpe_se")
_SHOWN = ("place", "version", "symbol", "champion", "first_open_at", "last_open_at", *_FIGURES, "recomputed")
_OWN = ("version", "symbol", "champion", "judged_from_at", "last_open_at", *_FIGURES)


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
    ranked = [Standing(**row) for row in found["rank"]]
    common = {
        "judged_at": utc(clock.now_ms()),
        "run_id": context.run_id,
        "cost_bps": found["cost_bps"],
        "policy": json.dumps(found["policy"], sort_keys=True),
    }
    rows = [_row(Standing(**row), found["champion"]) | common for row in found["common"]]
    again = [recompute(row, registry, bars) for row in rows]
    told = [row | {"place": None, "recomputed": answer} for row, (answer, _) in zip(rows, again, strict=True)]
    same = rank_answer(ranked, [standing for _, standing in again])
    places = [
        _row(one, found["champion"]) | common | {"place": place, "recomputed": same if one.bars else _NOTHING}
        for place, one in enumerate(ranked, start=1)
    ]
    warehouse.writer(LEAGUE).upsert(pl.DataFrame(places + told, schema=LEAGUE.schema))
    pictures = {"sharpe per bar": dg.MetadataValue.md(league_picture(ranked))} if ranked else {}
    own = [_row(Standing(**row), found["champion"]) for row in found["standings"]]
    return dg.MaterializeResult(
        metadata={
            **table_facts(warehouse, LEAGUE, watch, time_column="judged_at"),
            "champion": found["champion"] or "none",
            "standings": as_table([{key: row[key] for key in _SHOWN} for row in places + told]),
            "over all of their own bars": as_table([{key: row[key] for key in _OWN} for row in own]),
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


def recompute(row: Mapping[str, Any], registry: ModelRegistry, bars: BarHistory) -> tuple[str, Standing | None]:
    """Play a row of the table again on stored bars, by what stands in the row alone.

    Returns ``equal``, ``different``, or why it cannot be played again, and what came of it.
    """
    if row["bars"] == 0:
        return _NOTHING, standing_of(row)
    standing = standing_of(row)
    try:
        values = registry.bundle(standing.version)["symbols"][standing.symbol]
    except (ModelUnknown, ModelUntrusted) as error:
        return f"model: {error}", None
    history = bars.between(standing.symbol, standing.warm_from_ms, standing.last_open_ms)
    options = PolicyOptions(**json.loads(row["policy"]))
    again = replay(standing.symbol, RegimeModel.from_dict(values), options, row["cost_bps"], standing, history)
    if again.bars != standing.bars:
        return f"{again.bars} of {standing.bars} bars are stored", None
    return (EQUAL if again == standing else DIFFERENT), again


def rank_answer(ranked: Sequence[Standing], again: Sequence[Standing | None]) -> str:
    """Return whether standings that were played again rank the versions the same, to the last digit."""
    whole = [standing for standing in again if standing is not None]
    if len(whole) < len(again):
        return f"{len(whole)} of {len(again)} standings could be played again"
    return EQUAL if rank(whole) == list(ranked) else DIFFERENT


def standing_of(row: Mapping[str, Any]) -> Standing:
    """Return a row of the table as the standing that it was."""
    values: dict[str, Any] = {name: to_ms(row[column]) for name, column in _SPAN.items()}
    values |= {one.name: row[one.name] for one in fields(Standing) if one.name not in values}
    return Standing(**values)


def _row(standing: Standing, champion: str) -> dict[str, Any]:
    values = asdict(standing)
    span = {column: utc(values.pop(name)) for name, column in _SPAN.items()}
    return values | span | {"champion": standing.version == champion}
