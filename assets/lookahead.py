"""The look-ahead gate: a version whose values change when the future is cut away is not evaluated and not promoted."""

import math
from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

from assets.describe import Stopwatch, as_table
from assets.feature_table import newest_series
from assets.intervals import DAY_MS, utc
from assets.settings import ResearchSettings
from assets.tables import BARS
from governance.registry import ModelRegistry
from strategies.regimes.bar_table import PRICES, BarTable, check_bars
from strategies.regimes.hierarchy import AnyModel, read_model
from strategies.regimes.model import RegimeModel
from strategies.regimes.options import FitRefused
from strategies.research.lookahead_proof import (
    NO_ONE_SCALER,
    SPAN_DIFFERS,
    ScalerCheck,
    check_row_scaler,
    pipeline_of,
    prove,
    prove_table,
)
from warehouse.store import Warehouse

#: A leak shows in any stretch: the newest bars of each symbol are enough, and quick.
NEWEST_BARS = 3_000
CUTS = 4
_OPEN_MS = pl.col("open_at").dt.epoch("ms")


@dg.asset_check(
    asset="training",
    blocking=True,
    description="No feature, scaled value, posterior, signal or size of the past changes when the future is cut away.",
)
def no_lookahead(
    settings: dg.ResourceParam[ResearchSettings],
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[ModelRegistry],
) -> dg.AssetCheckResult:
    watch = Stopwatch()
    card = registry.newest()
    if card is None:
        return dg.AssetCheckResult(passed=False, metadata={"reason": "no version is registered"})
    models = registry.bundle(card.version)["symbols"]
    found = [prove_symbol(warehouse, settings, symbol, values) for symbol, values in sorted(models.items())]
    leaks = [leak for symbol in found for leak in symbol["leaks"]]
    unproved = [{"symbol": each["symbol"], "reason": each["reason"]} for each in found if each["reason"]]
    return dg.AssetCheckResult(
        passed=not leaks and not unproved,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={
            "model_version": card.version,
            "values_computed_again": sum(each["checked"] for each in found),
            "leaks": as_table(leaks),
            "unproved": as_table(unproved),
            "scaler_not_checked": [each["symbol"] for each in found if not each["scaler_checked"]],
            "seconds": round(watch.seconds, 3),
        },
    )


def prove_symbol(
    warehouse: Warehouse, settings: ResearchSettings, symbol: str, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return how many values were computed again, the leaks found, and why there is no proof where there is none."""
    try:
        rows = newest_bars(warehouse, settings, symbol)
        bars = table_of(rows)
        source = prove_table(lambda before_ms: table_of(rows.filter(before_ms > _OPEN_MS)), bars, CUTS)
        model = read_model(values)
        proof = prove(bars, pipeline_of(model), CUTS)
    except (FitRefused, ValueError) as refused:
        return {"symbol": symbol, "checked": 0, "leaks": [], "reason": str(refused), "scaler_checked": False}
    scaler, ended_ms = training_scaler(warehouse, settings, symbol, model)
    found = [(leak, int(bars.open_ms[leak.at])) for leak in (*source.leaks, *proof.leaks)]
    leaks = [
        {
            "symbol": symbol,
            "column": leak.column,
            "at": utc(at_ms).isoformat(),
            # A value that comes or goes with the future has no finite difference.
            "difference": leak.difference if math.isfinite(leak.difference) else None,
        }
        for leak, at_ms in (*found, *((leak, ended_ms) for leak in scaler.leaks))
    ]
    return {
        "symbol": symbol,
        "checked": source.checked + proof.checked,
        "leaks": leaks,
        "reason": scaler.differs,
        "scaler_checked": not scaler.lacks,
    }


def training_scaler(
    warehouse: Warehouse, settings: ResearchSettings, symbol: str, model: AnyModel
) -> tuple[ScalerCheck, int]:
    """Return what the stored rows of a model's training say of its scaler, and when the training ended (UTC ms)."""
    if not isinstance(model, RegimeModel):
        return ScalerCheck(lacks=NO_ONE_SCALER), 0
    series, _ = newest_series(
        warehouse,
        [symbol],
        market=settings.market,
        interval=settings.interval,
        step_ms=settings.bar_ms,
        bars=settings.training.window_bars,
        until_ms=model.trained_to_ms - settings.bar_ms,
    )
    if not series:
        return ScalerCheck(lacks=SPAN_DIFFERS), 0
    found = check_row_scaler(series[0].rows, series[0].open_ms, settings.bar_ms, model)
    return found, model.trained_to_ms - settings.bar_ms


def newest_bars(warehouse: Warehouse, settings: ResearchSettings, symbol: str) -> pl.DataFrame:
    """Return a symbol's newest stored bars, oldest first."""
    days = 1 + math.ceil(NEWEST_BARS * settings.bar_ms / DAY_MS)
    reader = warehouse.reader(BARS)
    ours = (
        (pl.col("symbol") == symbol) & (pl.col("market") == settings.market) & (pl.col("interval") == settings.interval)
    )
    return reader.read(reader.partitions()[-days:], where=ours).sort("open_at").tail(NEWEST_BARS)


def table_of(rows: pl.DataFrame) -> BarTable:
    """Return the usable ones of stored bars.

    Raises:
        FitRefused: there are too few to say anything, or they contradict each other.
    """
    prices = {name: rows.get_column(name).to_numpy() for name in PRICES}
    volume = rows.get_column("volume").to_numpy()
    return check_bars(rows.get_column("open_at").dt.epoch("ms").to_numpy(), prices, volume, drop_dead_tail=False)[0]
