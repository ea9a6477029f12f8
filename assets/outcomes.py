"""Recorded outcomes as the learners read them, and what they decided as the situations read it. No Dagster."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from assets.decision_tables import BANDIT_PRIORITIES
from assets.executions import DECIDED, executions, filled_orders, histories
from assets.settings import ResearchSettings
from assets.situation_table import DONE, NO_ADVICE, TAKE, Advice, our_hits
from strategies.bandit import Outcome
from strategies.reinforcement import Array, Log
from strategies.situations import outcome_bps, volatility_contexts
from warehouse.store import Warehouse

SITUATION, STRATEGY = "situation:", "strategy:"
LEAVE_IT, TAKE_IT = 0, 1


def situation_outcomes(hits: pl.DataFrame) -> list[Outcome]:
    """Return what every settled hit earned, taken or left: bars tell both."""
    done = hits.filter(pl.col("state") == DONE).select("context", "rule", "outcome_bps")
    return [Outcome(context=row[0], arm=SITUATION + row[1], reward_bps=row[2]) for row in done.iter_rows()]


def strategy_outcomes(
    warehouse: Warehouse,
    settings: ResearchSettings,
    *,
    window: int,
    horizon: int,
    cost_bps: float,
    max_orders: int,
) -> list[Outcome]:
    """Return what each strategy's orders earned ``horizon`` bars later, where that bar is stored.

    Those alone that it decided at a close: how a bracket ends is no choice of a strategy, and a person is none.
    """
    orders = filled_orders(warehouse, settings).filter(pl.col("kind") == DECIDED).tail(max_orders)
    found = executions(warehouse, settings, orders, window=window)
    if not found.order_ids:
        return []
    step = settings.bar_ms
    past = histories(
        warehouse,
        settings,
        sorted(set(found.symbols)),
        window=window,
        from_ms=int(found.at_ms[0]) - window * step,
        until_ms=int(found.at_ms[-1]) + (horizon + 1) * step,
    )
    contexts = {symbol: volatility_contexts(one.volatility_bps) for symbol, one in past.items()}
    outcomes = []
    for at, strategy in enumerate(found.strategies):
        one = past[found.symbols[at]]
        decided = int(np.searchsorted(one.close_ms, found.at_ms[at], side="right")) - 1
        later = int(np.searchsorted(one.close_ms, one.close_ms[decided] + horizon * step))
        if not strategy or later >= len(one.close_ms) or one.close_ms[later] != one.close_ms[decided] + horizon * step:
            continue
        direction = 1 if found.conditions.buy[at] > 0 else -1
        reward = outcome_bps(direction, float(found.price[at]), float(one.close[later]), cost_bps)
        context = contexts[found.symbols[at]][decided]
        outcomes.append(Outcome(context=context, arm=STRATEGY + strategy, reward_bps=reward))
    return outcomes


def newest_advice(warehouse: Warehouse) -> dict[tuple[str, str], Advice]:
    """Return the bandit's newest word on every rule, by context and rule; empty before its first."""
    reader = warehouse.reader(BANDIT_PRIORITIES)
    rows = reader.read(reader.partitions()[-1:])
    newest = rows.filter(
        (pl.col("decided_at") == pl.col("decided_at").max()) & pl.col("arm").str.starts_with(SITUATION)
    )
    return {
        (row["context"], row["arm"].removeprefix(SITUATION)): Advice(weight=row["weight"], take=row["take"])
        for row in newest.iter_rows(named=True)
    }


def situation_log(
    warehouse: Warehouse, settings: ResearchSettings, advice: Mapping[tuple[str, str], Advice], floor: float
) -> tuple[Log, Array, list[str]]:
    """Return the settled hits as a log, the policy in force, and the names of its contexts.

    A context is a rule in a volatility; the actions are to leave a hit, which earns nothing, and to take it.
    """
    done = our_hits(warehouse, settings).filter(pl.col("state") == DONE).sort("hit_at", "rule", "symbol")
    pairs = sorted({(row[0], row[1]) for row in done.select("context", "rule").iter_rows()})
    number = {pair: at for at, pair in enumerate(pairs)}
    taken = (done["action"] == TAKE).to_numpy()
    log = Log(
        context=np.array(
            [number[row[0], row[1]] for row in done.select("context", "rule").iter_rows()], dtype=np.int64
        ),
        action=np.where(taken, TAKE_IT, LEAVE_IT).astype(np.int64),
        propensity=done["propensity"].to_numpy(),
        reward=np.where(taken, done["outcome_bps"].to_numpy(), 0.0),
    )
    take = [min(1 - floor, max(floor, advice.get(pair, NO_ADVICE).take)) for pair in pairs]
    return log, _policy(take), [f"{rule} when {context}" for context, rule in pairs]


def _policy(take: Sequence[float]) -> Array:
    return np.array([[1.0 - share, share] for share in take]).reshape(-1, 2)
