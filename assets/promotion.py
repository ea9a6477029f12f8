"""The promotion asset: gates, the record of every reason, and the hand-over to the engine."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import dagster as dg
import polars as pl

from assets.delivery import deliver
from assets.describe import OWNERS, Stopwatch, as_table, columns_of
from assets.intervals import utc
from assets.ports import Clock, Engine
from assets.scoring import ALL, scores_of
from assets.settings import ResearchSettings
from assets.stress_table import worst_shortfall
from assets.tables import EVALUATIONS, PROMOTIONS
from governance.audit import DecisionLog
from governance.promotion import Decision, Verdict, decide
from governance.registry import ModelRegistry
from warehouse.store import Warehouse


class NotEvaluated(Exception):
    """The candidate has no out-of-sample figures yet."""


class WrongInterval(Exception):
    """The candidate reads bars of another length than the engine closes: its regimes would mean nothing there."""


class PromotionConfig(dg.Config):
    """``version``: empty for the one evaluated last. ``approved_by`` names who approves, where that is asked for."""

    version: str = ""
    approved_by: str = ""


@dg.asset(
    deps=["evaluation"],
    group_name="models",
    kinds={"python"},
    owners=OWNERS,
    metadata=columns_of(PROMOTIONS),
)
def promotion(
    context: dg.AssetExecutionContext,
    config: PromotionConfig,
    settings: dg.ResourceParam[ResearchSettings],
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[ModelRegistry],
    decisions: dg.ResourceParam[DecisionLog],
    engine: dg.ResourceParam[Engine],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """Whether the version evaluated last replaces the champion; where it does, the engine gets it at once."""
    watch = Stopwatch()
    decision = judge(warehouse, registry, settings, version=config.version, approved=bool(config.approved_by))
    check_interval(registry, settings, decision.candidate)
    now_ms = clock.now_ms()
    _record(warehouse, decisions, decision, now_ms=now_ms, run_id=context.run_id, approved_by=config.approved_by)
    context.log.info(decision.summary)
    sent = False
    if decision.verdict is Verdict.PROMOTE:
        sent = deliver(engine, registry, decision.candidate, decision.summary[:200])
        by = config.approved_by or "gates"
        registry.promote(decision.candidate, at_ms=now_ms, by=by, reason=decision.summary)
    elif decision.champion:
        # The engine may have started anew since: it is given what is in force.
        sent = deliver(engine, registry, decision.champion, "still the champion")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(decision.gates),
            "verdict": decision.verdict.value,
            "summary": decision.summary,
            "candidate": decision.candidate,
            "champion": registry.champion() or "none",
            "sent_to_engine": sent,
            "gates": as_table([asdict(gate) for gate in decision.gates]),
            "seconds": round(watch.seconds, 3),
        }
    )


def check_interval(registry: ModelRegistry, settings: ResearchSettings, version: str) -> None:
    """Refuse a version that reads other bars than the engine closes.

    Raises:
        WrongInterval: it does.
    """
    reads = registry.card(version).interval
    if reads != settings.interval:
        raise WrongInterval(f"{version} reads {reads} bars and the engine closes {settings.interval} bars")


def judge(
    warehouse: Warehouse, registry: ModelRegistry, settings: ResearchSettings, *, version: str = "", approved: bool
) -> Decision:
    """Put a version, the one evaluated last where none is named, through the gates.

    Raises:
        NotEvaluated: it has no out-of-sample figures, or nothing has.
    """
    evaluated = _overall_rows(warehouse)
    if not evaluated or (version and version not in evaluated):
        raise NotEvaluated(f"{version or 'no model version'} is not evaluated; materialise evaluation first")
    newest = max(evaluated.values(), key=lambda row: (row["evaluated_at"], row["version"]))
    candidate = evaluated[version] if version else newest
    champion = registry.champion()
    rival = evaluated.get(champion) if champion else None
    return decide(
        candidate=candidate["version"],
        scores=replace(scores_of(candidate), stress_shortfall_frac=worst_shortfall(warehouse, candidate["version"])),
        champion=champion,
        champion_scores=scores_of(rival) if rival else None,
        policy=settings.gates.policy(),
        approved=approved,
    )


def _overall_rows(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    rows = warehouse.reader(EVALUATIONS).read(where=pl.col("symbol") == ALL)
    return {row["version"]: row for row in rows.iter_rows(named=True)}


def _record(
    warehouse: Warehouse, decisions: DecisionLog, decision: Decision, *, now_ms: int, run_id: str, approved_by: str
) -> None:
    """Write the decision down before it takes effect."""
    record: Mapping[str, Any] = {
        "verdict": decision.verdict.value,
        "candidate": decision.candidate,
        "champion": decision.champion,
        "summary": decision.summary,
        "refusals": [gate.reason for gate in decision.refusals],
        "approved_by": approved_by,
        "run_id": run_id,
    }
    decisions.append("promotion", now_ms, record)
    rows = [
        {
            "decided_at": utc(now_ms),
            "candidate": decision.candidate,
            "champion": decision.champion,
            "verdict": decision.verdict.value,
            "gate": gate.name,
            "passed": gate.passed,
            "value": gate.value,
            "threshold": gate.limit,
            "reason": gate.reason,
            "run_id": run_id,
        }
        for gate in decision.gates
    ]
    warehouse.writer(PROMOTIONS).upsert(pl.DataFrame(rows, schema=PROMOTIONS.schema))
