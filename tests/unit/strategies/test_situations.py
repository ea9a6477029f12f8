"""Situations: operators to the letter, gates in their order, and the same bar by bar as at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from strategies.features import FEATURES
from strategies.situations import (
    CALM,
    USUAL,
    WILD,
    Condition,
    Hit,
    Memory,
    Operator,
    Rejection,
    Rule,
    SymbolRows,
    find_hits,
    holds,
    outcome_bps,
    volatility_contexts,
)

Array = NDArray[np.float64]
MINUTE = 60_000
Z = FEATURES.index("zscore_30")


def rows(zscores: Sequence[float], symbol: str = "A", *, turnover: float = 100.0) -> SymbolRows:
    """Return bars whose zscore is given, other features small and varied; a minute apart from minute 1."""
    count = len(zscores)
    features = np.random.default_rng(1).normal(0.0, 1.0, (count, len(FEATURES)))
    features[:, Z] = zscores
    return SymbolRows(
        symbol=symbol,
        close_ms=np.arange(1, count + 1, dtype=np.int64) * MINUTE,
        close=np.full(count, 10.0),
        turnover=np.full(count, turnover),
        features=features,
    )


def rule(*conditions: Condition, **changes: object) -> Rule:
    made = Rule(
        name="r",
        direction=1,
        conditions=conditions or (above(2.0),),
        priority=1.0,
        cooldown_s=0.0,
        horizon_bars=5,
        min_turnover=0.0,
        min_novelty=0.0,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # tests name the fields they change


def above(value: float) -> Condition:
    return Condition(feature="zscore_30", operator=Operator.ABOVE, value=value)


def found(rules: Sequence[Rule], *series: SymbolRows, memory: Memory | None = None, after: int = 0) -> list[Hit]:
    return find_hits(rules, series, FEATURES, memory or Memory(), after_ms=after * MINUTE)[0]


def minutes(hits: Sequence[Hit]) -> list[int]:
    return [hit.at_ms // MINUTE for hit in hits]


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        (Operator.ABOVE, [2, 3, 5]),
        (Operator.BELOW, [0]),
        (Operator.BETWEEN, [1, 2, 3, 4]),
        (Operator.CROSSES_UP, [2, 5]),
        (Operator.CROSSES_DOWN, []),
    ],
)
def test_each_operator_means_what_it_says(operator: Operator, expected: list[int]) -> None:
    values = rows([0.0, 1.0, 2.0, 2.0, 1.0, 3.0, math.nan]).features
    condition = Condition(feature="zscore_30", operator=operator, value=1.0, high=2.0)
    assert np.flatnonzero(holds([condition], values, {"zscore_30": Z})).tolist() == expected


def test_crossing_down_needs_the_bar_before_at_or_above() -> None:
    values = rows([2.0, 1.0, 0.5, 0.4, 3.0, 0.0]).features
    condition = Condition(feature="zscore_30", operator=Operator.CROSSES_DOWN, value=1.0)
    assert np.flatnonzero(holds([condition], values, {"zscore_30": Z})).tolist() == [2, 5]


def test_all_conditions_must_hold_together() -> None:
    series = rows([3.0, 3.0, 1.0])
    series.features[:, 0] = [1.0, -1.0, 1.0]
    both = rule(above(2.0), Condition(feature="log_return", operator=Operator.ABOVE, value=0.0))
    assert minutes(found([both], series)) == [1]


def test_a_cooldown_is_of_one_rule_in_one_symbol() -> None:
    hot = [3.0] * 6
    calm = rule(cooldown_s=180.0)
    hits = found([calm, rule(name="other", cooldown_s=300.0)], rows(hot), rows(hot, "B"))
    by_pair: dict[tuple[str, str], list[int]] = {}
    for hit in hits:
        by_pair.setdefault((hit.rule, hit.symbol), []).append(hit.at_ms // MINUTE)
    assert by_pair == {("r", "A"): [1, 4], ("r", "B"): [1, 4], ("other", "A"): [1, 6], ("other", "B"): [1, 6]}


def test_a_thin_market_is_rejected_and_counted() -> None:
    _, rejected = find_hits([rule(min_turnover=101.0)], [rows([3.0, 3.0])], FEATURES, Memory(), after_ms=0)
    assert rejected == {("r", Rejection.TOO_THIN): 2}


def test_an_unknown_turnover_passes_no_gate() -> None:
    assert found([rule()], rows([3.0], turnover=math.nan)) == []


def test_what_was_seen_before_is_not_novel_and_what_differs_is() -> None:
    series = rows([0.0] * 50 + [3.0, 3.0, 3.0])
    series.features[51] = series.features[50] + 1e-6
    series.features[52] = series.features[50] + 4.0 * series.features[:50].std(axis=0)
    hits, rejected = find_hits([rule(min_novelty=0.5)], [series], FEATURES, Memory(), after_ms=0)
    assert minutes(hits) == [51, 53]
    assert rejected == {("r", Rejection.NOT_NOVEL): 1}
    assert math.isinf(hits[0].novelty)
    assert hits[1].novelty > 1


def test_looking_bar_by_bar_finds_what_looking_once_finds() -> None:
    chance = np.random.default_rng(7)
    series = [rows(chance.normal(0.0, 2.0, 200).tolist(), symbol) for symbol in "AB"]
    gated = [rule(cooldown_s=420.0, min_novelty=0.4), rule(above(1.0), name="s", min_novelty=0.7)]
    once = found(gated, *series)
    memory = Memory()
    stepwise: list[Hit] = []
    for count in range(1, 201):
        so_far = [
            replace(
                one,
                close_ms=one.close_ms[:count],
                close=one.close[:count],
                turnover=one.turnover[:count],
                features=one.features[:count],
            )
            for one in series
        ]
        stepwise += found(gated, *so_far, memory=memory, after=count - 1)
    assert len(once) > 20
    assert stepwise == once


def test_a_rule_for_screened_symbols_holds_in_these_from_the_screening_on() -> None:
    series = [rows([3.0] * 5), rows([3.0] * 5, "B"), rows([3.0] * 5, "C")]
    picks = {("A", 1): 3 * MINUTE, ("B", -1): 0}
    hits, _ = find_hits([rule(only_screened=True)], series, FEATURES, Memory(), after_ms=0, screened=picks)
    assert [(hit.symbol, hit.at_ms // MINUTE) for hit in hits] == [("A", 3), ("A", 4), ("A", 5)]
    assert found([rule(only_screened=True)], *series) == []


def test_at_the_same_bar_the_higher_priority_comes_first() -> None:
    hits = found([rule(name="a"), rule(name="b", priority=5.0)], rows([3.0]))
    assert [hit.rule for hit in hits] == ["b", "a"]


def test_a_rule_of_an_unknown_feature_is_an_error() -> None:
    with pytest.raises(KeyError):
        found([rule(Condition(feature="moon", operator=Operator.ABOVE, value=0.0))], rows([3.0]))


def test_volatility_is_judged_among_what_came_before() -> None:
    volatility = np.concatenate([np.linspace(1.0, 2.0, 60), [0.5, 1.5, 9.0, math.nan]])
    assert volatility_contexts(volatility)[-4:] == [CALM, USUAL, WILD, USUAL]
    assert volatility_contexts(volatility)[:30] == [USUAL] * 30
    assert volatility_contexts(volatility)[:50] == volatility_contexts(volatility[:50])


def test_an_outcome_is_signed_and_pays_its_costs() -> None:
    assert outcome_bps(1, 100.0, 101.0, 10.0) == pytest.approx(90.0)
    assert outcome_bps(-1, 100.0, 101.0, 10.0) == pytest.approx(-110.0)
