"""The learning asset: a version moved towards the bars since its training, as a new candidate beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import dagster as dg

from assets.decision_plots import ranked_picture
from assets.describe import OWNERS, Stopwatch, as_table
from assets.feature_table import Series, newest_series
from assets.intervals import utc
from assets.ports import Clock
from assets.settings import ResearchSettings
from assets.training import NothingTrained
from governance.model_card import content_version
from governance.registry import ModelRegistry, NoChampion
from strategies.regimes.model import GAUSSIAN_HMM, RegimeModel
from strategies.regimes.online import OnlineOptions, learn
from strategies.regimes.options import FitRefused
from warehouse.store import Warehouse


class LearningConfig(dg.Config):
    """``version``: the parent, empty for the champion. ``memory_bars``: how many bars it is worth at most."""

    version: str = ""
    memory_bars: int = 5_000


@dg.asset(deps=["features"], group_name="models", kinds={"python"}, owners=OWNERS)
def learning(
    context: dg.AssetExecutionContext,
    config: LearningConfig,
    settings: dg.ResourceParam[ResearchSettings],
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[ModelRegistry],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """A candidate that learned on from a version without forgetting it; how far it may move is bounded."""
    watch = Stopwatch()
    parent = config.version or registry.champion()
    if parent is None:
        raise NoChampion("there is no version to learn on from; materialise training and promotion first")
    before = registry.bundle(parent)["symbols"]
    series, data_hash = newest_series(
        warehouse,
        list(before),
        market=settings.market,
        interval=settings.interval,
        step_ms=settings.bar_ms,
        bars=settings.training.window_bars,
    )
    options = OnlineOptions(memory_bars=float(config.memory_bars))
    models, rows = learn_on(before, series, settings.bar_ms, options)
    version = content_version(models)
    changes: dict[str, Any] = {"version": version, "created_at": utc(clock.now_ms()).isoformat()}
    card = replace(
        registry.card(parent),
        **changes,
        training_to_ms=max(int(model["trained_to_ms"]) for model in models.values()),
        bars=sum(int(model["bars"]) for model in models.values()),
        data_hash=data_hash,
        code_commit=settings.code_commit,
        run_id=context.run_id,
        parent=parent,
    )
    is_new = registry.register({**registry.bundle(parent), **changes, "symbols": models}, card)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(row["new_bars"] for row in rows),
            "model_version": version,
            "parent": parent,
            "new": is_new,
            "drift": as_table(rows),
            "moved": dg.MetadataValue.md(drift_picture(rows, options)),
            "seconds": round(watch.seconds, 3),
        }
    )


def drift_picture(rows: Sequence[Mapping[str, Any]], options: OnlineOptions) -> str:
    """Return Markdown with how far each model moved, as shares of what one update may move it."""
    most = {
        "mean_shift": options.max_mean_shift,
        "log_spread": options.max_log_spread,
        "transition_shift": options.max_transition_shift,
    }
    moved = {f"{row['symbol']} {name}": float(row[name]) / most[name] for row in rows for name in most if name in row}
    return ranked_picture("how far each model moved, largest first", moved, "share of what one update may move it")


def learn_on(
    before: Mapping[str, Any], series: Sequence[Series], bar_ms: int, options: OnlineOptions
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return every symbol's model after its new bars, and what moved; one that learned nothing stays as it was.

    Raises:
        NothingTrained: no symbol learned anything.
    """
    models, rows = dict(before), []
    for one in series:
        if before[one.symbol].get("kind", GAUSSIAN_HMM) != GAUSSIAN_HMM:
            rows.append({"symbol": one.symbol, "new_bars": 0, "answer": "KIND: this kind of model does not learn on"})
            continue
        model = RegimeModel.from_dict(before[one.symbol])
        new = one.open_ms >= model.trained_to_ms
        try:
            learned, drift = learn(model, one.rows[new], one.open_ms[new], bar_ms, options)
        except FitRefused as refused:
            rows.append({"symbol": one.symbol, "new_bars": 0, "answer": str(refused)})
            continue
        models[one.symbol] = learned.to_dict()
        rows.append({"symbol": one.symbol, "new_bars": learned.bars - model.bars, "answer": "learned", **asdict(drift)})
    if all(row["answer"] != "learned" for row in rows):
        told = "; ".join(f"{row['symbol']}: {row['answer']}" for row in rows) or "no stored features"
        raise NothingTrained(f"store newer bars first (nhmm backfill): {told}")
    return models, rows
