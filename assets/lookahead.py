"""The look-ahead gate: a version whose values change when the future is cut away is not evaluated and not promoted."""

import math
from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

from assets.describe import Stopwatch, as_table
from assets.intervals import DAY_MS, utc
from assets.settings import ResearchSettings
from assets.tables import BARS
from governance.registry import ModelRegistry
from strategies.regimes.bar_table import PRICES, BarTable, check_bars
from strategies.regimes.hierarchy import read_model
from strategies.regimes.options import FitRefused
from strategies.research.lookahead_proof import pipeline_of, prove
from warehouse.store import Warehouse

#: A leak shows in any stretch: the newest bars of each symbol are enough, and quick.
NEWEST_BARS = 3_000
CUTS = 4


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
            "seconds": round(watch.seconds, 3),
        },
    )


def prove_symbol(
    warehouse: Warehouse, settings: ResearchSettings, symbol: str, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return how many values were computed again, the leaks found, and why there is no proof where there is none."""
    try:
        bars = newest_bars(warehouse, settings, symbol)
        proof = prove(bars, pipeline_of(read_model(values)), CUTS)
    except (FitRefused, ValueError) as refused:
        return {"symbol": symbol, "checked": 0, "leaks": [], "reason": str(refused)}
    leaks = [
        {
            "symbol": symbol,
            "column": leak.column,
            "at": utc(int(bars.open_ms[leak.at])).isoformat(),
            # A value that comes or goes with the future has no finite difference.
            "difference": leak.difference if math.isfinite(leak.difference) else None,
        }
        for leak in proof.leaks
    ]
    return {"symbol": symbol, "checked": proof.checked, "leaks": leaks, "reason": ""}


def newest_bars(warehouse: Warehouse, settings: ResearchSettings, symbol: str) -> BarTable:
    """Return a symbol's newest stored bars.

    Raises:
        FitRefused: there are too few to say anything, or they contradict each other.
    """
    days = 1 + math.ceil(NEWEST_BARS * settings.bar_ms / DAY_MS)
    reader = warehouse.reader(BARS)
    ours = (
        (pl.col("symbol") == symbol) & (pl.col("market") == settings.market) & (pl.col("interval") == settings.interval)
    )
    rows = reader.read(reader.partitions()[-days:], where=ours).sort("open_at").tail(NEWEST_BARS)
    prices = {name: rows.get_column(name).to_numpy() for name in PRICES}
    volume = rows.get_column("volume").to_numpy()
    return check_bars(rows.get_column("open_at").dt.epoch("ms").to_numpy(), prices, volume, drop_dead_tail=False)[0]
