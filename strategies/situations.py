"""Situations: named patterns of features on closed bars, worth a look when they come, and what came of them.

A rule holds where all its conditions hold at a bar's close. A hit must also pass the depth gate, the cooldown of its
rule and symbol, and be novel: its root-mean-square distance, in standard deviations per feature, from every remembered
hit of the rule. Outcomes are what a position of the rule's side earned over its horizon, after costs.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

BPS = 10_000.0
#: Newest hits of a rule that novelty is measured against.
REMEMBERED = 500
#: Bars that must have gone before volatility is called calm or wild.
CONTEXT_BARS = 30
NEVER = 2**62
CALM, USUAL, WILD = "calm", "usual", "wild"
CONTEXTS = (CALM, USUAL, WILD)


class Operator(StrEnum):
    """How a feature is compared."""

    ABOVE = ">"
    BELOW = "<"
    BETWEEN = "between"
    CROSSES_UP = "crosses_up"
    CROSSES_DOWN = "crosses_down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """``value`` is the threshold, the lower bound of ``between``; ``high`` is the upper bound of ``between``."""

    feature: str
    operator: Operator
    value: float
    high: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """``direction`` is 1 to buy, -1 to sell; ``min_turnover`` in quote units per bar; ``min_novelty`` in deviations.

    ``only_screened``: holds only in symbols that the screening picked for the same direction, from that moment on.
    """

    name: str
    direction: int
    conditions: tuple[Condition, ...]
    priority: float
    cooldown_s: float
    horizon_bars: int
    min_turnover: float
    min_novelty: float
    only_screened: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SymbolRows:
    """One symbol's closed bars in time order: ``features`` (T, F), the others (T,); NaN where a row is incomplete."""

    symbol: str
    close_ms: NDArray[np.int64]
    close: Array
    turnover: Array
    features: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A rule that held and came through. ``novelty`` is infinite for a rule's first hit."""

    rule: str
    symbol: str
    at_ms: int
    direction: int
    priority: float
    horizon_bars: int
    novelty: float
    turnover: float
    price: float
    context: str
    features: tuple[float, ...]


class Rejection(StrEnum):
    """Why a rule that held is no hit."""

    TOO_THIN = "TOO_THIN"
    COOLING_DOWN = "COOLING_DOWN"
    NOT_NOVEL = "NOT_NOVEL"


@dataclass(slots=True)
class Memory:
    """What earlier looks left behind: the last hit of each rule and symbol (UTC ms), and each rule's hits."""

    last_ms: dict[tuple[str, str], int] = field(default_factory=dict)
    past: dict[str, deque[Array]] = field(default_factory=dict)

    def remember(self, rule: str, symbol: str, at_ms: int, features: Array) -> None:
        """Note a hit."""
        self.last_ms[rule, symbol] = max(at_ms, self.last_ms.get((rule, symbol), at_ms))
        self.past.setdefault(rule, deque(maxlen=REMEMBERED)).append(features)


def find_hits(
    rules: Sequence[Rule],
    rows: Sequence[SymbolRows],
    columns: Sequence[str],
    memory: Memory,
    *,
    after_ms: int,
    screened: Mapping[tuple[str, int], int] | None = None,
) -> tuple[list[Hit], Counter[tuple[str, Rejection]]]:
    """Return the hits at bars that closed after ``after_ms``, by time, and how often which rule was rejected why.

    ``memory`` takes up the hits. A bar is judged by itself and the bars before it, so that looking bar by bar and
    looking once at all of them find the same.

    Args:
        columns: the names of the features, in the order of the rows' columns.
        screened: since when (UTC ms) a symbol has been picked for a direction; what a later screening picked says
            nothing about earlier bars.

    Raises:
        KeyError: a rule names a feature that is not among the columns.
    """
    places = {name: at for at, name in enumerate(columns)}
    rejected: Counter[tuple[str, Rejection]] = Counter()
    contexts = [volatility_contexts(one.features[:, places["volatility_20"]]) for one in rows]
    found: list[Hit] = []
    for rule in rules:
        for at_ms, number, at in _held(rule, rows, places, after_ms, screened or {}):
            one = rows[number]
            novelty = _novelty(one.features, at, memory.past.get(rule.name, ()))
            verdict = _verdict(rule, one, at, novelty, memory)
            if verdict is not None:
                rejected[rule.name, verdict] += 1
                continue
            memory.remember(rule.name, one.symbol, at_ms, one.features[at])
            found.append(_hit(rule, one, at, novelty, contexts[number][at]))
    return sorted(found, key=lambda hit: (hit.at_ms, -hit.priority, hit.rule, hit.symbol)), rejected


def holds(conditions: Sequence[Condition], features: Array, places: Mapping[str, int]) -> Flags:
    """Return at which rows (T, F) all conditions hold, (T,); a row that is not complete holds nothing."""
    flags = np.asarray(np.isfinite(features).all(axis=1), dtype=np.bool_)
    for condition in conditions:
        flags = np.logical_and(flags, _compare(condition, features[:, places[condition.feature]]))
    return flags


def volatility_contexts(volatility: Array) -> list[str]:
    """Return whether each row's volatility (T,) is calm, usual or wild among those up to it, by thirds."""
    seen: list[float] = []
    contexts = []
    for value in volatility.tolist():
        if not math.isfinite(value):
            contexts.append(USUAL)
            continue
        share = bisect_left(seen, value) / len(seen) if len(seen) >= CONTEXT_BARS else 0.5
        insort(seen, value)
        contexts.append(CALM if share < 1 / 3 else WILD if share > 2 / 3 else USUAL)
    return contexts


def outcome_bps(direction: int, price: float, later: float, cost_bps: float) -> float:
    """Return what a position of ``direction`` earned from one price to the other, after ``cost_bps`` in and out."""
    return direction * (later / price - 1.0) * BPS - cost_bps


# --- details --------------------------------------------------------------------------------------------------------


def _held(
    rule: Rule,
    rows: Sequence[SymbolRows],
    places: Mapping[str, int],
    after_ms: int,
    screened: Mapping[tuple[str, int], int],
) -> Iterator[tuple[int, int, int]]:
    """Yield (time, symbol's number, row) where the rule holds, by time and symbol: as they would come live."""
    held = []
    for number, one in enumerate(rows):
        flags = holds(rule.conditions, one.features, places) & (one.close_ms > after_ms)
        if rule.only_screened:
            flags &= one.close_ms >= screened.get((one.symbol, rule.direction), NEVER)
        held += [(int(one.close_ms[at]), one.symbol, number, at) for at in np.flatnonzero(flags).tolist()]
    for at_ms, _symbol, number, at in sorted(held):
        yield at_ms, number, at


def _compare(condition: Condition, values: Array) -> Flags:
    before = np.concatenate([[np.nan], values[:-1]])
    match condition.operator:
        case Operator.ABOVE:
            flags = values > condition.value
        case Operator.BELOW:
            flags = values < condition.value
        case Operator.BETWEEN:
            flags = (values >= condition.value) & (values <= condition.high)
        case Operator.CROSSES_UP:
            flags = (before <= condition.value) & (values > condition.value)
        case Operator.CROSSES_DOWN:
            flags = (before >= condition.value) & (values < condition.value)
    return np.asarray(flags, dtype=np.bool_)


def _verdict(rule: Rule, one: SymbolRows, at: int, novelty: float, memory: Memory) -> Rejection | None:
    if not one.turnover[at] >= rule.min_turnover:
        return Rejection.TOO_THIN
    last_ms = memory.last_ms.get((rule.name, one.symbol))
    if last_ms is not None and one.close_ms[at] - last_ms < rule.cooldown_s * 1000:
        return Rejection.COOLING_DOWN
    return Rejection.NOT_NOVEL if novelty < rule.min_novelty else None


def _novelty(features: Array, at: int, past: Sequence[Array]) -> float:
    """Return the distance to the nearest remembered hit, in standard deviations of the symbol's rows so far."""
    if not past:
        return math.inf
    so_far = features[: at + 1]
    so_far = so_far[np.isfinite(so_far).all(axis=1)]
    scale = so_far.std(axis=0) if len(so_far) > 1 else np.ones(features.shape[1])
    apart = (np.stack(past) - features[at]) / np.where(scale > 1e-12, scale, 1.0)
    return float(np.sqrt((apart * apart).mean(axis=1)).min())


def _hit(rule: Rule, one: SymbolRows, at: int, novelty: float, context: str) -> Hit:
    return Hit(
        rule=rule.name,
        symbol=one.symbol,
        at_ms=int(one.close_ms[at]),
        direction=rule.direction,
        priority=rule.priority,
        horizon_bars=rule.horizon_bars,
        novelty=novelty,
        turnover=float(one.turnover[at]),
        price=float(one.close[at]),
        context=context,
        features=tuple(float(value) for value in one.features[at]),
    )
