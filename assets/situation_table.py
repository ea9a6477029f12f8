"""Between stored bars, stored hits and the rule of ``strategies/situations.py``. Plain code, no Dagster."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from assets.decision_tables import SCREENINGS, SITUATION_HITS, SITUATION_LOOKS
from assets.intervals import DAY_MS, day_of, utc
from assets.recent_bars import Panel
from assets.settings import ResearchSettings
from strategies.bandit import draw
from strategies.features import FEATURES, WARM_UP, compute
from strategies.situations import REMEMBERED, Hit, Memory, Rejection, Rule, SymbolRows, outcome_bps
from warehouse.store import Warehouse

OPEN, DONE, LOST = "OPEN", "DONE", "LOST"
TAKE, SKIP = "TAKE", "SKIP"
TURNOVER_BARS = 20
#: A hit whose exit bar is further back than this is not waited for.
MOST_BARS = 5_000
#: Records and novelty speak of the newest days; what is older stays stored.
KEPT_DAYS = 90


def our_hits(warehouse: Warehouse, settings: ResearchSettings) -> pl.DataFrame:
    """Return the hits of this market and bar length, of the newest ``KEPT_DAYS`` days that have any."""
    reader = warehouse.reader(SITUATION_HITS)
    return reader.read(reader.partitions()[-KEPT_DAYS:], where=_ours(settings))


def looked_until_ms(warehouse: Warehouse, settings: ResearchSettings) -> int:
    """Return the close of the newest bar that was looked at, 0 before the first look."""
    looks = warehouse.reader(SITUATION_LOOKS).scan().filter(_ours(settings))
    newest: int | None = looks.select(pl.col("until_at").dt.epoch("ms").max()).collect().item()
    return newest or 0


def bars_needed(hits: pl.DataFrame, history_bars: int, bar_ms: int, now_ms: int) -> int:
    """Return how many newest bars tell the new hits and the outcomes of the open ones."""
    due = hits.filter(pl.col("state") == OPEN)["due_at"].dt.epoch("ms").to_list()
    back = (now_ms - min(due, default=now_ms)) // bar_ms + 2
    return int(min(MOST_BARS, max(history_bars + WARM_UP, back)))


def newest_picks(warehouse: Warehouse, settings: ResearchSettings) -> dict[tuple[str, int], int]:
    """Return since when (UTC ms) the newest screening has picked a symbol for a direction, 1 to buy, -1 to sell."""
    reader = warehouse.reader(SCREENINGS)
    rows = reader.read(reader.partitions()[-1:], where=pl.col("market") == settings.market)
    newest = rows.filter((pl.col("screened_at") == pl.col("screened_at").max()) & (pl.col("side") != ""))
    told = newest.select("symbol", "side", pl.col("screened_at").dt.epoch("ms"))
    return {(symbol, 1 if side == "LONG" else -1): at_ms for symbol, side, at_ms in told.iter_rows()}


def remembered(hits: pl.DataFrame) -> Memory:
    """Return what the stored hits leave behind for cooldown and novelty."""
    memory = Memory()
    for rule, symbol, at_ms in (
        hits.group_by("rule", "symbol").agg(pl.col("hit_at").dt.epoch("ms").max()).sort("rule", "symbol").iter_rows()
    ):
        memory.last_ms[rule, symbol] = at_ms
    newest = hits.sort("hit_at", "symbol").group_by("rule", maintain_order=True).tail(REMEMBERED)
    features = newest.select(FEATURES).to_numpy()
    for at, rule in enumerate(newest["rule"].to_list()):
        memory.past.setdefault(rule, deque(maxlen=REMEMBERED)).append(features[at])
    return memory


def symbol_rows(panel: Panel, bar_ms: int) -> list[SymbolRows]:
    """Return each symbol's features; windows never reach across a missing bar."""
    return [
        SymbolRows(
            symbol=symbol,
            close_ms=panel.open_ms + bar_ms,
            close=panel.bars[at, :, 3],
            turnover=_turnover(panel.bars[at]),
            features=_features(panel.bars[at]),
        )
        for at, symbol in enumerate(panel.symbols)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What the bandit says of a rule in a context: attention beside an equal share, and how often to take it."""

    weight: float = 1.0
    take: float = 1.0


#: Before anything was learned, every hit is worth its rule's own priority and is taken.
NO_ADVICE = Advice()


def hit_rows(
    hits: Sequence[Hit], place: Mapping[str, str], bar_ms: int, advice: Mapping[tuple[str, str], Advice]
) -> pl.DataFrame:
    """Return new hits as rows of their table, their outcomes open, taken or left as the advice has it drawn.

    Args:
        advice: by context and rule.
    """
    rows = [
        {
            "day": day_of(hit.at_ms),
            "hit_at": utc(hit.at_ms),
            "rule": hit.rule,
            "symbol": hit.symbol,
            "direction": hit.direction,
            "priority": hit.priority * advice.get((hit.context, hit.rule), NO_ADVICE).weight,
            "novelty": hit.novelty if np.isfinite(hit.novelty) else None,
            "turnover": hit.turnover,
            "context": hit.context,
            **_drawn(hit, advice.get((hit.context, hit.rule), NO_ADVICE)),
            "price": hit.price,
            "due_at": utc(hit.at_ms + hit.horizon_bars * bar_ms),
            "state": OPEN,
            "outcome_bps": None,
            **dict(zip(FEATURES, hit.features, strict=True)),
            **place,
        }
        for hit in hits
    ]
    return pl.DataFrame(rows, schema=SITUATION_HITS.schema)


def _drawn(hit: Hit, advice: Advice) -> dict[str, Any]:
    """Return the action and its propensity; the same hit draws the same."""
    taken = draw(advice.take, f"{hit.rule}/{hit.symbol}/{hit.at_ms}")
    return {"action": TAKE if taken else SKIP, "propensity": advice.take if taken else 1.0 - advice.take}


def look_rows(
    rules: Sequence[Rule],
    hits: Sequence[Hit],
    rejected: Counter[tuple[str, Rejection]],
    common: Mapping[str, Any],
) -> pl.DataFrame:
    """Return the counts of one look, one row per rule."""
    found = Counter(hit.rule for hit in hits)
    rows = [
        {
            "rule": rule.name,
            "hits": found[rule.name],
            **{reason.value.lower(): rejected[rule.name, reason] for reason in Rejection},
            **common,
        }
        for rule in rules
    ]
    return pl.DataFrame(rows, schema=SITUATION_LOOKS.schema)


def settled(hits: pl.DataFrame, panel: Panel, bar_ms: int, cost_bps: float) -> pl.DataFrame:
    """Return the hits with the outcomes that the panel's bars tell.

    A hit whose bar is missing a day after it was due, or lies before the panel, is lost: nothing is guessed.
    """
    place = {symbol: at for at, symbol in enumerate(panel.symbols)}
    first_ms, last_ms = int(panel.open_ms[0]) + bar_ms, int(panel.open_ms[-1]) + bar_ms
    states, outcomes = [], []
    for row in hits.iter_rows(named=True):
        state, outcome = row["state"], row["outcome_bps"]
        due_ms = int(row["due_at"].timestamp() * 1000)
        if state == OPEN and due_ms <= last_ms:
            at = (due_ms - first_ms) // bar_ms
            number = place.get(row["symbol"])
            later = panel.bars[number, at, 3] if number is not None and at >= 0 else np.nan
            if np.isfinite(later):
                state, outcome = DONE, outcome_bps(row["direction"], row["price"], float(later), cost_bps)
            elif at < 0 or last_ms - due_ms >= DAY_MS:
                state = LOST
        states.append(state)
        outcomes.append(outcome)
    return hits.with_columns(
        pl.Series("state", states, dtype=pl.String), pl.Series("outcome_bps", outcomes, dtype=pl.Float64)
    )


def _ours(settings: ResearchSettings) -> pl.Expr:
    return (pl.col("market") == settings.market) & (pl.col("interval") == settings.interval)


def _features(bars: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the feature rows of bars (T, 5), (T, 7), NaN where a window is not complete."""
    rows = np.full((len(bars), len(FEATURES)), np.nan)
    for stretch in _whole(bars):
        if stretch.stop - stretch.start >= WARM_UP:
            rows[stretch] = compute(*bars[stretch].T)
    return rows


def _whole(bars: NDArray[np.float64]) -> Iterator[slice]:
    there = np.isfinite(bars).all(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        yield slice(first, last)


def _turnover(bars: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean traded value of the newest bars up to each, (T,); NaN until the window is full."""
    value = pl.Series(bars[:, 3] * bars[:, 4]).fill_nan(None)
    return value.rolling_mean(TURNOVER_BARS).fill_null(np.nan).to_numpy()
