"""Stress of registered versions as rows of their table, and what the gates ask of them. Plain code, no Dagster."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from assets.decision_tables import STRESS_TESTS
from assets.feature_table import Series
from assets.scoring import ALL
from strategies.regime_policy import PolicyOptions
from strategies.regimes.model import RegimeModel
from strategies.stress import SOURCES, StressOptions, Tail, stress
from warehouse.store import Warehouse

#: Figures of which the worst symbol speaks for the version: symbols fall together when it matters.
_WORST = ("value_at_risk", "shortfall", "worst", "drawdown", "ruined_frac", "turnover")


@dataclass(frozen=True, slots=True, kw_only=True)
class StressTask:
    """One symbol of one version to be stressed."""

    version: str
    symbol: str
    model: Mapping[str, Any]
    recorded: Series | None
    policy: PolicyOptions
    options: StressOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class StressOutcome:
    """One tail, or why there is none."""

    version: str
    symbol: str
    source: str
    tail: Tail | None = None
    refused: str = ""


def stress_symbol(task: StressTask) -> list[StressOutcome]:
    """Stress one symbol by every source; what cannot be drawn is an answer, not an error."""
    model = RegimeModel.from_dict(task.model)
    outcomes = []
    for source in SOURCES:
        found, refused = None, ""
        if task.recorded is None:
            refused = "NO_FEATURES: no bars of this symbol are stored in the length that NHMM_BAR_INTERVAL says"
        else:
            try:
                found = stress(model, task.recorded.rows, task.policy, task.options, source)
            except ValueError as error:
                refused = f"NOT_DRAWN: {error}"
        outcomes.append(
            StressOutcome(version=task.version, symbol=task.symbol, source=source, tail=found, refused=refused)
        )
    return outcomes


def stress_rows(outcomes: Sequence[StressOutcome], common: Mapping[str, Any]) -> pl.DataFrame:
    """Return the outcomes of one version as rows, and one row per source that speaks for the version.

    That row holds the worst symbol's figures, and none at all where one symbol has none: a gate must not pass on what
    was left out.
    """
    rows = [
        {
            "version": one.version,
            "symbol": one.symbol,
            "source": one.source,
            **(asdict(one.tail) if one.tail else _nothing()),
            "refused": one.refused,
            **common,
        }
        for one in outcomes
    ]
    for source in SOURCES:
        here = [one for one in outcomes if one.source == source]
        if here:
            rows.append({"version": here[0].version, "symbol": ALL, "source": source, **_overall(here), **common})
    return pl.DataFrame(rows, schema=STRESS_TESTS.schema)


def worst_shortfall(warehouse: Warehouse, version: str) -> float | None:
    """Return the largest expected shortfall of a version over all sources, ``None`` where one is not known."""
    rows = warehouse.reader(STRESS_TESTS).read(where=(pl.col("version") == version) & (pl.col("symbol") == ALL))
    newest = rows.filter(pl.col("stressed_at") == pl.col("stressed_at").max())
    found = newest["shortfall"].to_list()
    return max(found) if len(found) == len(SOURCES) and None not in found else None


def _overall(outcomes: Sequence[StressOutcome]) -> dict[str, Any]:
    tails = [one.tail for one in outcomes if one.tail is not None]
    missing = [one.symbol for one in outcomes if one.tail is None]
    if missing:
        return {**_nothing(), "refused": f"no tail of {', '.join(missing[:10])}"}
    worst = {name: max(getattr(one, name) for one in tails) for name in _WORST}
    mean = sum(one.mean_return for one in tails) / len(tails)
    return {"paths": sum(one.paths for one in tails), "mean_return": mean, **worst, "refused": ""}


def _nothing() -> dict[str, Any]:
    return {"paths": 0, **dict.fromkeys(("mean_return", *_WORST))}
