"""The learners' assets: attention by ``strategies/bandit.py``, a better policy by ``strategies/reinforcement.py``."""

from dataclasses import asdict, replace
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from assets.decision_plots import ranked_picture
from assets.decision_settings import DecisionSettings
from assets.decision_tables import BANDIT_PRIORITIES, POLICY_PROPOSALS
from assets.describe import OWNERS, Stopwatch, as_table, columns_of, table_facts
from assets.intervals import day_of, utc
from assets.outcomes import TAKE_IT, newest_advice, situation_log, situation_outcomes, strategy_outcomes
from assets.ports import Clock
from assets.settings import ResearchSettings
from assets.situation_table import our_hits
from strategies.bandit import Priority, priorities
from strategies.reinforcement import Array, Improvement, Log, LogUnfit, improve
from strategies.situations import CONTEXTS
from warehouse.store import Warehouse

CANDIDATE, KEEP, REFUSED = "CANDIDATE", "KEEP", "REFUSED"


@dg.asset(
    deps=["situations", "fills"],
    group_name="decisions",
    kinds={"python", "parquet"},
    owners=OWNERS,
    metadata=columns_of(BANDIT_PRIORITIES),
)
def bandit(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[ResearchSettings],
    decision_settings: dg.ResourceParam[DecisionSettings],
    warehouse: dg.ResourceParam[Warehouse],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """Which situations and strategies deserve attention in which volatility, from what they earned after costs."""
    watch = Stopwatch()
    rules = decision_settings.learning.bandit
    outcomes = situation_outcomes(our_hits(warehouse, settings).tail(rules.max_outcomes))
    outcomes += strategy_outcomes(
        warehouse,
        settings,
        window=decision_settings.slippage.window_bars,
        horizon=rules.horizon_bars,
        cost_bps=decision_settings.situations.cost_bps,
        max_orders=rules.max_outcomes,
    )
    known = [f"situation:{rule.name}" for rule in decision_settings.situations.rules]
    arms = sorted({*known, *(one.arm for one in outcomes)})
    options = rules.options()
    # With many arms the floor gives way: all floors together leave half of the attention free.
    found = priorities(CONTEXTS, arms, outcomes, replace(options, floor=min(options.floor, 0.5 / len(arms))))
    now_ms = clock.now_ms()
    common = {"day": day_of(now_ms), "decided_at": utc(now_ms), "run_id": context.run_id}
    rows = pl.DataFrame([{**asdict(one), **common} for one in found], schema=BANDIT_PRIORITIES.schema)
    warehouse.writer(BANDIT_PRIORITIES).upsert(rows)
    return dg.MaterializeResult(
        metadata={
            **table_facts(warehouse, BANDIT_PRIORITIES, watch, time_column="decided_at"),
            "outcomes": len(outcomes),
            "arms": len(arms),
            "priorities": as_table(rows.drop("day", "decided_at", "run_id").to_dicts()),
            "means": dg.MetadataValue.md(means_picture(found)),
        }
    )


def means_picture(found: list[Priority]) -> str:
    """Return Markdown with the believed mean of every arm in every context, and two errors."""
    names = {f"{one.arm} when {one.context}": one for one in found}
    return ranked_picture(
        "believed mean of every arm, with two errors",
        {name: one.mean_bps for name, one in names.items()},
        "basis points after costs",
        {name: 2 * one.error_bps for name, one in names.items()},
    )


@dg.asset(
    deps=["situations", "bandit"],
    group_name="decisions",
    kinds={"python", "parquet"},
    owners=OWNERS,
    metadata=columns_of(POLICY_PROPOSALS),
)
def policy_improvement(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[ResearchSettings],
    decision_settings: dg.ResourceParam[DecisionSettings],
    warehouse: dg.ResourceParam[Warehouse],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """How often to take which situation, learned from the log; a candidate only where its lower bound is better.

    With too short a log, or one in which nothing was ever tried otherwise, the refusal is what is recorded.
    """
    watch = Stopwatch()
    rules = decision_settings.learning
    log, champion, names = situation_log(warehouse, settings, newest_advice(warehouse), rules.bandit.floor)
    common = {"proposed_at": utc(clock.now_ms()), "logged": len(log), "run_id": context.run_id}
    pages: dict[str, Any] = {"logged": dg.MetadataValue.md(logged_picture(log, names))} if len(log) else {}
    try:
        found = improve(log, champion, rules.improvement.options())
    except LogUnfit as refusal:
        rows = refused_rows(str(refusal), common)
    else:
        rows = proposal_rows(found, champion, names, common)
        pages |= {"values": as_table(value_rows(found)), "change": dg.MetadataValue.md(change_picture(rows))}
    warehouse.writer(POLICY_PROPOSALS).upsert(rows)
    first = rows.row(0, named=True)
    context.log.info(f"{first['verdict']}: {first['reason']}")
    return dg.MaterializeResult(
        metadata={
            **table_facts(warehouse, POLICY_PROPOSALS, watch, time_column="proposed_at"),
            "verdict": first["verdict"],
            "reason": first["reason"],
            "policy": as_table(rows.select("context", "champion_take", "candidate_take").to_dicts()),
            **pages,
        }
    )


def refused_rows(reason: str, common: dict[str, Any]) -> pl.DataFrame:
    """Return the record of a log that could not carry an improvement."""
    missing = dict.fromkeys(("champion_take", "candidate_take", "advantage_bps", "lower_bound_bps", "distance_nats"))
    row = {"context": "ALL", "verdict": REFUSED, "reason": reason, **missing, **common}
    return pl.DataFrame([row], schema=POLICY_PROPOSALS.schema)


def proposal_rows(found: Improvement, champion: Array, names: list[str], common: dict[str, Any]) -> pl.DataFrame:
    """Return a proposal, one row per context."""
    rows = [
        {
            "context": name,
            "verdict": CANDIDATE if found.accepted else KEEP,
            "reason": found.reason,
            "champion_take": float(champion[at, TAKE_IT]),
            "candidate_take": float(found.policy[at, TAKE_IT]),
            "advantage_bps": found.advantage.value,
            "lower_bound_bps": found.lower_bound,
            "distance_nats": found.distance,
            **common,
        }
        for at, name in enumerate(names)
    ]
    return pl.DataFrame(rows, schema=POLICY_PROPOSALS.schema)


def value_rows(found: Improvement) -> list[dict[str, Any]]:
    """Return what each policy is worth on the newer half of the log, by each estimate."""
    estimates = {
        "in force, doubly robust": found.champion,
        "candidate, doubly robust": found.candidate,
        "candidate, inverse propensity": found.candidate_ips,
        "advantage, doubly robust": found.advantage,
    }
    return [
        {"estimate": name, "bps_per_hit": one.value, "error": one.error, "effective_rows": one.effective}
        for name, one in estimates.items()
    ]


def logged_picture(log: Log, names: list[str]) -> str:
    """Return Markdown with what the hits that were taken earned in every context, and two errors."""
    means, errors = {}, {}
    for at, name in enumerate(names):
        earned = log.reward[(log.context == at) & (log.action == TAKE_IT)]
        if len(earned):
            means[name] = float(earned.mean())
            errors[name] = 2 * float(earned.std(ddof=1)) / len(earned) ** 0.5 if len(earned) > 1 else 0.0
    return ranked_picture("mean outcome of what was taken, with two errors", means, "basis points after costs", errors)


def change_picture(rows: pl.DataFrame) -> str:
    """Return Markdown with how much more often the candidate would take each situation."""
    change = rows["candidate_take"].to_numpy() - rows["champion_take"].to_numpy()
    values = dict(zip(rows["context"].to_list(), np.asarray(change).tolist(), strict=True))
    return ranked_picture("how much more often the candidate takes it", values, "change of probability")
