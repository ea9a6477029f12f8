"""The shadow league's page: the engine's rank of challengers, and whether the bars stored here give the same."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import dagster as dg
import polars as pl

from assets.describe import OWNERS, Stopwatch, as_table, columns_of, table_facts
from assets.intervals import day_of, to_ms, utc
from assets.plots import league_picture
from assets.ports import Clock, League, MarketData
from assets.settings import ResearchSettings
from assets.tables import BARS, LEAGUE
from governance.registry import ModelRegistry, ModelUnknown, ModelUntrusted
from strategies.contracts import Bar
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


class BarHistory:
    """Bars of a span: the stored ones, and the venue's own after the last stored."""

    def __init__(self, warehouse: Warehouse, market_data: MarketData, settings: ResearchSettings) -> None:
        self._reader = warehouse.reader(BARS)
        self._market_data = market_data
        self._settings = settings

    def between(self, symbol: str, first_ms: int, last_ms: int) -> list[Bar]:
        """Return the bars that open in [``first_ms``, ``last_ms``], in time order."""
        bars = list(self._stored(symbol, first_ms, last_ms))
        step = self._settings.bar_ms
        missing_from = bars[-1].open_at_ms + step if bars else first_ms
        if missing_from <= last_ms:
            tail = self._market_data.bars(symbol, self._settings.interval, missing_from, last_ms + step)
            bars += [_bar(symbol, row[0], row[1:6], step) for row in tail]
        return bars

    def _stored(self, symbol: str, first_ms: int, last_ms: int) -> Iterator[Bar]:
        settings = self._settings
        ours = (
            (pl.col("symbol") == symbol)
            & (pl.col("market") == settings.market)
            & (pl.col("interval") == settings.interval)
            & pl.col("open_at").is_between(utc(first_ms), utc(last_ms))
        )
        days = [day for day in self._reader.partitions() if day_of(first_ms) <= day <= day_of(last_ms)]
        for row in self._reader.read(days, where=ours).sort("open_at").iter_rows(named=True):
            figures = tuple(row[name] for name in ("open", "high", "low", "close", "volume"))
            yield _bar(symbol, to_ms(row["open_at"]), figures, settings.bar_ms)


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


def _bar(symbol: str, open_ms: int, figures: tuple[float, float, float, float, float], step_ms: int) -> Bar:
    open_, high, low, close, volume = figures
    return Bar(
        symbol=symbol,
        open_at_ms=open_ms,
        close_at_ms=open_ms + step_ms,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
    )


def _row(standing: Standing, champion: str) -> dict[str, Any]:
    kept = {name: value for name, value in asdict(standing).items() if name in LEAGUE.schema}
    return kept | {"champion": standing.version == champion}
