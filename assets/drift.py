"""The drift page: whether the model that trades foretells new bars worse than those it learned from."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets.describe import OWNERS, Stopwatch, as_table
from assets.feature_table import Series, newest_series
from assets.intervals import utc
from assets.plots import drift_picture
from assets.settings import ResearchSettings
from governance.registry import ModelRegistry
from strategies.regimes.hierarchy import read_model
from strategies.research.after_training import DriftSince, drift_of
from warehouse.store import Warehouse

NO_DRIFT = "no_drift"


@dg.asset(
    deps=["features", "promotion"],
    group_name="models",
    kinds={"python", "matplotlib"},
    owners=OWNERS,
    check_specs=[
        dg.AssetCheckSpec(NO_DRIFT, asset="drift", description="The champion foretells new bars as well as its own.")
    ],
)
def drift(
    settings: dg.ResourceParam[ResearchSettings],
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[ModelRegistry],
) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes the bare class alone where a check comes with it
    """How much worse than in its training the champion (or, before one, the newest version) foretells, added up."""
    watch = Stopwatch()
    newest = registry.newest()
    version = registry.champion() or (newest.version if newest else None)
    if version is None:
        # Nothing has failed before the first training, and every hour would tell that something has.
        return _page([], {"model_version": "none: training has not run"}, watch)
    models = registry.bundle(version)["symbols"]
    series, data_hash = newest_series(
        warehouse,
        list(models),
        market=settings.market,
        interval=registry.card(version).interval,
        step_ms=settings.bar_ms,
        bars=2 * settings.training.window_bars,
    )
    found = {one.symbol: since_training(one, models[one.symbol]) for one in series}
    curves = {name: one for name, one in found.items() if one is not None}
    pictures = {"sums": dg.MetadataValue.md(drift_picture(curves))} if curves else {}
    facts = {"model_version": version, "content_hash": data_hash, **pictures}
    return _page(drift_rows(list(models), found), facts, watch)


def _page(rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any], watch: Stopwatch) -> dg.MaterializeResult[None]:
    drifting = [row["symbol"] for row in rows if row["drifting_since"]]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(row["new_bars"] for row in rows),
            "drift": as_table(rows),
            **facts,
            "seconds": round(watch.seconds, 3),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=NO_DRIFT,
                passed=not drifting,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={
                    "drifting": ", ".join(drifting) or "none",
                    "way_out": "train anew, or learn on (partial fit)",
                },
            )
        ],
    )


def since_training(series: Series, model: Mapping[str, Any]) -> DriftSince | None:
    """Return how one symbol's rows since a model's training are foretold, ``None`` where that cannot be said."""
    return drift_of(read_model(model), series.rows, series.open_ms)


def drift_rows(symbols: Sequence[str], found: Mapping[str, DriftSince | None]) -> list[dict[str, Any]]:
    """Return one row per symbol of the model, or why nothing can be said of it."""
    rows = []
    for symbol in symbols:
        one = found.get(symbol)
        rows.append(
            {
                "symbol": symbol,
                "new_bars": len(one.open_ms) if one else 0,
                "sum_now": float(one.sums[-1]) if one else None,
                "highest": float(one.sums.max()) if one else None,
                "threshold": one.threshold if one else None,
                "drifting_since": utc(one.since_ms).isoformat() if one and one.since_ms is not None else "",
                "calibration_error": one.calibration_error if one else None,
                "reason": "" if one else "NO_BARS: no stored row of its training, or none since",
            }
        )
    return rows
