"""May a candidate model replace the champion? Pure gates; every one is answered, also after the first refusal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What becomes of a candidate."""

    PROMOTE = "PROMOTE"
    KEEP_CHAMPION = "KEEP_CHAMPION"
    AWAIT_APPROVAL = "AWAIT_APPROVAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What is known about one model out of sample, net of costs.

    Args:
        symbols: how many symbols have a model.
        folds: walk-forward folds over all symbols.
        bars: out-of-sample bars over all symbols.
        trades: changes of exposure on them, over all symbols; ``None`` where an older evaluation did not count them.
        converged_frac: share of the fits that converged (0-1).
        likelihood_gain: held-out log-likelihood per bar above that of a single Gaussian, in nats.
        sharpe: annualised; sharpe_low: lower end of its 95 % interval.
        max_drawdown_frac: worst fall from a peak (0-1).
        turnover_per_day: traded notional per equity and day.
        min_occupancy_frac: share of bars in the rarest regime (0-1).
        min_dwell_bars: expected stay in the shortest regime, in bars.
        stress_shortfall_frac: worst expected shortfall over drawn markets (0-1), ``None`` where it was not stressed.
    """

    symbols: int
    folds: int
    bars: int
    converged_frac: float
    likelihood_gain: float
    sharpe: float
    sharpe_low: float
    max_drawdown_frac: float
    turnover_per_day: float
    min_occupancy_frac: float
    min_dwell_bars: float
    stress_shortfall_frac: float | None = None
    trades: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionPolicy:
    """The gates of ``config/promotion.yaml``: limits on fields of ``Scores``; ``None`` leaves a gate out."""

    min_symbols: int
    min_folds: int
    min_bars: int
    min_converged_frac: float
    min_likelihood_gain: float
    min_occupancy_frac: float
    min_dwell_bars: float
    min_sharpe_low: float | None
    max_drawdown_frac: float
    max_turnover_per_day: float | None
    max_sharpe_loss: float | None
    approval_required: bool
    max_stress_shortfall_frac: float | None = None
    min_trades: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One question, its figures and its answer."""

    name: str
    passed: bool
    value: float
    limit: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The verdict with every reason. ``champion`` is empty where there is none."""

    verdict: Verdict
    candidate: str
    champion: str
    gates: tuple[Gate, ...]

    @property
    def refusals(self) -> tuple[Gate, ...]:
        """The gates that did not pass."""
        return tuple(gate for gate in self.gates if not gate.passed)

    @property
    def summary(self) -> str:
        """One sentence for people."""
        if self.verdict is Verdict.PROMOTE:
            return f"{self.candidate} replaces {self.champion or 'nothing'}: all {len(self.gates)} gates passed"
        if self.verdict is Verdict.AWAIT_APPROVAL:
            return f"{self.candidate} passed all {len(self.gates)} gates and waits for a person's approval"
        reasons = "; ".join(gate.reason for gate in self.refusals)
        return f"{self.champion or 'no model'} stays: {reasons}"


def decide(
    *,
    candidate: str,
    scores: Scores,
    champion: str | None,
    champion_scores: Scores | None,
    policy: PromotionPolicy,
    approved: bool = False,
) -> Decision:
    """Put a candidate through the gates.

    The first model needs no better than the absolute gates. Against a champion it must also not lose more than
    ``max_sharpe_loss`` of out-of-sample Sharpe. NaN never passes a gate.
    """
    gates = tuple(_absolute(scores, policy))
    challenged = champion and champion != candidate
    if challenged and champion_scores is not None and policy.max_sharpe_loss is not None:
        least = champion_scores.sharpe - policy.max_sharpe_loss
        gates += (_at_least("sharpe_against_champion", scores.sharpe, least),)
    if not all(gate.passed for gate in gates):
        verdict = Verdict.KEEP_CHAMPION
    elif policy.approval_required and not approved:
        verdict = Verdict.AWAIT_APPROVAL
    else:
        verdict = Verdict.PROMOTE
    return Decision(verdict=verdict, candidate=candidate, champion=champion or "", gates=gates)


def _absolute(scores: Scores, policy: PromotionPolicy) -> Iterator[Gate]:
    yield _at_least("symbols", scores.symbols, policy.min_symbols)
    yield _at_least("folds", scores.folds, policy.min_folds)
    yield _at_least("bars", scores.bars, policy.min_bars)
    if policy.min_trades is not None:
        yield _at_least("trades", math.nan if scores.trades is None else scores.trades, policy.min_trades)
    yield _at_least("converged_frac", scores.converged_frac, policy.min_converged_frac)
    yield _at_least("likelihood_gain", scores.likelihood_gain, policy.min_likelihood_gain)
    yield _at_least("min_occupancy_frac", scores.min_occupancy_frac, policy.min_occupancy_frac)
    yield _at_least("min_dwell_bars", scores.min_dwell_bars, policy.min_dwell_bars)
    yield _at_most("max_drawdown_frac", scores.max_drawdown_frac, policy.max_drawdown_frac)
    if policy.min_sharpe_low is not None:
        yield _at_least("sharpe_low", scores.sharpe_low, policy.min_sharpe_low)
    if policy.max_turnover_per_day is not None:
        yield _at_most("turnover_per_day", scores.turnover_per_day, policy.max_turnover_per_day)
    if policy.max_stress_shortfall_frac is not None:
        stressed = scores.stress_shortfall_frac
        shortfall = math.nan if stressed is None else stressed
        yield _at_most("stress_shortfall_frac", shortfall, policy.max_stress_shortfall_frac)


def _at_least(name: str, value: float, limit: float) -> Gate:
    return _gate(name, value, limit, passed=value >= limit, word="at least")


def _at_most(name: str, value: float, limit: float) -> Gate:
    return _gate(name, value, limit, passed=value <= limit, word="at most")


def _gate(name: str, value: float, limit: float, *, passed: bool, word: str) -> Gate:
    measured = "not known" if math.isnan(value) else f"{value:.4g}"
    reason = f"{name} is {measured}, {word} {limit:.4g} is asked for"
    return Gate(name=name, passed=passed, value=float(value), limit=float(limit), reason=reason)
