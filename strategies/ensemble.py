"""Several strategies' latest wishes as one: weighted by governance, on one scale of confidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from strategies.contracts import Signal

STRATEGY_ID = "ensemble"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleOptions:
    """``gate`` is the least agreement that opens exposure, ``release`` the agreement below which it closes."""

    gate: float = 0.6
    release: float = 0.2


@dataclass(slots=True)
class Ensemble:
    """The combined view of one symbol. ``weights`` (by strategy, not negative) come from governance."""

    weights: Mapping[str, float]
    options: EnsembleOptions = field(default_factory=EnsembleOptions)
    _latest: dict[str, Signal] = field(default_factory=dict)
    _target: float = 0.0

    def on_signal(self, signal: Signal) -> Signal | None:
        """Take a member's new signal; return the ensemble's own where its target changes."""
        self._latest[signal.strategy] = signal
        score = self.score()
        target = self._next_target(score)
        if target == self._target:
            return None
        self._target = target
        members = {
            f"member_{name}": f"{member.target:+.3f}@{member.confidence:.3f}" for name, member in self._latest.items()
        }
        return Signal(
            strategy=STRATEGY_ID,
            symbol=signal.symbol,
            at_ms=signal.at_ms,
            target=target,
            confidence=abs(score),
            why={**signal.why, **members, "score": f"{score:.4f}"},
        )

    def forget(self, strategy: str) -> None:
        """Drop what a strategy said last: it says nothing any more."""
        self._latest.pop(strategy, None)

    def score(self) -> float:
        """Return the weighted mean of target times confidence over the members that have spoken, -1 to 1."""
        total = sum(max(0.0, self.weights.get(name, 0.0)) for name in self._latest)
        if total <= 0.0:
            return 0.0
        return (
            sum(
                max(0.0, self.weights.get(name, 0.0)) * signal.target * signal.confidence
                for name, signal in self._latest.items()
            )
            / total
        )

    def _next_target(self, score: float) -> float:
        if abs(score) >= self.options.gate:
            return 1.0 if score > 0 else -1.0
        if self._target and (abs(score) < self.options.release or score * self._target < 0):
            return 0.0
        return self._target
