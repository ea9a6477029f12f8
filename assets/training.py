"""The training asset: one regime model per active symbol, registered as one immutable version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from assets.describe import OWNERS, Stopwatch, as_table
from assets.feature_table import Series, newest_series
from assets.fitting import FitOutcome, FitTask, fit_symbol
from assets.intervals import utc
from assets.plots import calibration_picture
from assets.ports import Clock, Compute
from assets.scoring import fit_metrics
from assets.settings import ResearchSettings
from assets.universe import active_symbols
from governance.model_card import ModelCard, content_version
from governance.registry import ModelRegistry
from strategies.features import FEATURE_SCHEMA
from strategies.regimes.calibration import Calibration
from warehouse.store import Warehouse

KIND = "gaussian_hmm"


class NothingTrained(Exception):
    """No symbol could be fitted; the message says why, symbol by symbol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a version comes from, besides its data."""

    created_at: str
    interval: str
    data_hash: str
    code_commit: str
    seed: int
    run_id: str
    parent: str


@dg.asset(
    deps=["features"],
    group_name="models",
    kinds={"python", "scikitlearn"},
    owners=OWNERS,
)
def training(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[ResearchSettings],
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[ModelRegistry],
    compute: dg.ResourceParam[Compute],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """A candidate: regime models fitted on the newest feature rows, as arrays and a card in the registry."""
    watch = Stopwatch()
    symbols = active_symbols(warehouse, settings)
    series, data_hash = newest_series(
        warehouse,
        symbols,
        market=settings.market,
        interval=settings.interval,
        step_ms=settings.bar_ms,
        bars=settings.training.window_bars,
    )
    parent = registry.champion()
    outcomes = compute.map(fit_symbol, _tasks(series, settings, previous_models(registry, parent, settings.interval)))
    dropped = refusals(symbols, outcomes, settings.interval)
    bars_dropped = {one.symbol: one.left_out(settings.bar_ms) for one in series}
    bundle, card = assemble(
        outcomes,
        dropped,
        Origin(
            created_at=utc(clock.now_ms()).isoformat(),
            interval=settings.interval,
            data_hash=data_hash,
            code_commit=settings.code_commit,
            seed=settings.training.seed,
            run_id=context.run_id,
            parent=parent or "",
        ),
        bars_dropped,
    )
    is_new = registry.register(bundle, card)
    context.log.info(f"{card.version}: {len(card.symbols)} symbols, {card.bars} bars, new {is_new}")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": card.bars,
            "model_version": card.version,
            "new": is_new,
            "from": utc(card.training_from_ms).isoformat(),
            "to": utc(card.training_to_ms).isoformat(),
            "content_hash": card.data_hash,
            "seconds": round(watch.seconds, 3),
            "card": dg.MetadataValue.json(card.to_dict()),
            "regimes": as_table(list(_regime_rows(outcomes))),
            "calibration": as_table(calibration_rows(outcomes)),
            **_calibration_page(outcomes),
            "dropped": as_table([{"symbol": name, "reason": reason} for name, reason in dropped.items()]),
            "bars dropped": as_table([{"symbol": name, **counts} for name, counts in bars_dropped.items() if counts]),
        }
    )


def previous_models(registry: ModelRegistry, champion: str | None, interval: str) -> Mapping[str, Any]:
    """Return the champion's models by symbol: new fits keep their order of regimes. Empty where none fits."""
    if champion is None:
        return {}
    bundle = registry.bundle(champion)
    same = bundle["interval"] == interval and bundle["feature_schema"] == FEATURE_SCHEMA
    return dict(bundle["symbols"]) if same else {}


def refusals(symbols: Sequence[str], outcomes: Sequence[FitOutcome], interval: str) -> dict[str, str]:
    """Return every symbol without a model and why; ``interval`` is the bar length that was asked for."""
    answered = {outcome.symbol for outcome in outcomes}
    nothing = (
        f"NO_FEATURES: nothing of {interval} bars is stored for it; NHMM_BAR_INTERVAL says which bars are read, "
        "nhmm backfill stores them"
    )
    silent = {symbol: nothing for symbol in symbols if symbol not in answered}
    return silent | {outcome.symbol: outcome.refused for outcome in outcomes if outcome.model is None}


def assemble(
    outcomes: Sequence[FitOutcome],
    dropped: Mapping[str, str],
    origin: Origin,
    bars_dropped: Mapping[str, Mapping[str, int]] | None = None,
) -> tuple[dict[str, Any], ModelCard]:
    """Return the bundle that the engine loads and its card.

    Raises:
        NothingTrained: no outcome has a model.
    """
    models = {outcome.symbol: outcome.model for outcome in outcomes if outcome.model is not None}
    if not models:
        raise NothingTrained("; ".join(f"{symbol}: {reason}" for symbol, reason in sorted(dropped.items())))
    version = content_version(models)
    bundle = {
        "version": version,
        "kind": KIND,
        "interval": origin.interval,
        "feature_schema": FEATURE_SCHEMA,
        "created_at": origin.created_at,
        "symbols": models,
    }
    card = ModelCard(
        version=version,
        kind=KIND,
        created_at=origin.created_at,
        interval=origin.interval,
        feature_schema=FEATURE_SCHEMA,
        symbols=tuple(sorted(models)),
        training_from_ms=min(model["trained_from_ms"] for model in models.values()),
        training_to_ms=max(model["trained_to_ms"] for model in models.values()),
        bars=sum(model["bars"] for model in models.values()),
        data_hash=origin.data_hash,
        code_commit=origin.code_commit,
        seed=origin.seed,
        run_id=origin.run_id,
        parent=origin.parent,
        fits=fit_metrics(outcomes),
        dropped=dict(dropped),
        bars_dropped=dict(bars_dropped or {}),
    )
    return bundle, card


def _tasks(series: Sequence[Series], settings: ResearchSettings, previous: Mapping[str, Any]) -> list[FitTask]:
    return [
        FitTask(
            series=one,
            bar_ms=settings.bar_ms,
            min_bars=settings.training.min_bars,
            options=settings.training.fit_options(),
            previous=previous.get(one.symbol),
        )
        for one in series
    ]


def _calibration_page(outcomes: Sequence[FitOutcome]) -> dict[str, dg.MarkdownMetadataValue]:
    found = {one.symbol: one.model["calibration"] for one in outcomes if one.model is not None}
    steps = {symbol: (one["edges"], one["values"]) for symbol, one in found.items() if one["values"]}
    return {"what confidence is worth": dg.MetadataValue.md(calibration_picture(steps))} if steps else {}


def calibration_rows(outcomes: Sequence[FitOutcome]) -> list[dict[str, Any]]:
    """Return what every symbol's confidence is worth: one row per step, or one that says why it stays as it is."""
    rows = []
    for outcome in outcomes:
        found = Calibration.from_dict(outcome.model["calibration"]) if outcome.model is not None else None
        if found is None:
            continue
        common = {"symbol": outcome.symbol, "outcomes": found.outcomes, "answer": found.fallback or "calibrated"}
        steps = zip((0.0, *found.edges), found.values, strict=True) if found.values else [(None, None)]
        rows += [{**common, "confidence_from": begin, "was_right": share} for begin, share in steps]
    return rows


def _regime_rows(outcomes: Sequence[FitOutcome]) -> list[dict[str, Any]]:
    return [
        {
            "symbol": outcome.symbol,
            "regime": index,
            "label": label,
            "return_bps_per_bar": outcome.model["expected_return"][index] * 10_000,
            "volatility_bps": outcome.model["volatility"][index] * 10_000,
            "occupancy": outcome.report.occupancy[index],
            "dwell_bars": outcome.report.dwell_bars[index],
        }
        for outcome in outcomes
        if outcome.model is not None and outcome.report is not None
        for index, label in enumerate(outcome.model["labels"])
    ]
