"""What the word of a rule strategy is worth: how often its own last signals were right when the next one came.

A rule has no fitted model that could carry a calibration, so it keeps count itself: of outcomes that are over, never of
the one that runs. Formula: the share that was right, with ``PRIOR`` outcomes at one half added (a beta prior); one half
while there are few. The scale is that of a model's calibration: how often the price then went that way.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from strategies.regimes.calibration import TOO_FEW_OUTCOMES

#: Outcomes at one half that are added.
PRIOR = 4
#: Fewer outcomes than these say nothing.
LEAST_OUTCOMES = 10


@dataclass(slots=True)
class TrackRecord:
    """The outcomes of the signals of the last ``memory_bars`` bars.

    A memory of fewer bars than a start reads makes the record the same before and after it, and in a backtest.
    """

    memory_bars: int
    _bar: int = 0
    _running: tuple[int, float, bool] | None = None
    _over: deque[tuple[int, bool]] = field(default_factory=deque)
    _right: int = 0

    def next_bar(self) -> None:
        """Count a bar, and forget the signals that are too old."""
        self._bar += 1
        while self._over and self._over[0][0] <= self._bar - self.memory_bars:
            self._right -= self._over.popleft()[1]

    def signal(self, price: float, is_up: bool) -> None:
        """Take a signal of this bar: the one before it is over. One whose price stood where it was tells nothing."""
        if self._running is not None:
            began, before, was_up = self._running
            if price != before and began > self._bar - self.memory_bars:
                was_right = (price > before) is was_up
                self._over.append((began, was_right))
                self._right += was_right
        self._running = (self._bar, price, is_up)

    @property
    def confidence(self) -> float:
        """How often a signal was right, 0 to 1."""
        if not self.is_enough:
            return 0.5
        return (self._right + PRIOR / 2.0) / (len(self._over) + PRIOR)

    @property
    def is_enough(self) -> bool:
        """Whether there are outcomes enough to say something."""
        return len(self._over) >= LEAST_OUTCOMES

    @property
    def why(self) -> dict[str, str]:
        """On which scale the confidence is, and what it rests on."""
        return {
            "confidence_scale": "calibrated" if self.is_enough else f"prior: {TOO_FEW_OUTCOMES}",
            "outcomes": str(len(self._over)),
            "outcomes_right": str(self._right),
        }
