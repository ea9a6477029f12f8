"""The two-level model one bar at a time: slow bars are put together as quick ones close, and say which model to trust.

The live form of ``posteriors_of``: the same joint posterior at every bar, P(macro) * P(micro | macro).
"""

from __future__ import annotations

from collections.abc import Sequence

from strategies.contracts import Bar
from strategies.features import FeatureStream, is_apart
from strategies.regimes.filtering import open_filter
from strategies.regimes.hierarchy import HierarchicalModel

#: Venues close a bar at its last millisecond or at the next one's first; bars are whole seconds long.
SECOND_MS = 1000


class HierarchyFilter:
    """The live filter of one symbol's two-level model. Each bar is shown to ``see``, whole rows go to ``step``."""

    def __init__(self, model: HierarchicalModel) -> None:
        self._factor = model.factor
        self._slow = FeatureStream()
        self._macro = open_filter(model.macro)
        self._micro = tuple(open_filter(each) for each in model.micro)
        self._above = tuple(model.macro.startprob.tolist())
        self._posterior: tuple[float, ...] | None = None
        self._parts: list[Bar] = []
        self._key: int | None = None
        self._torn = False
        self._last: Bar | None = None

    @property
    def posterior(self) -> tuple[float, ...] | None:
        """The newest joint posterior, one share per micro regime of each macro regime; ``None`` before the first."""
        return self._posterior

    def see(self, bar: Bar) -> None:
        """Take the next closed bar; where it closes a whole slow one, the macro regimes are filtered anew.

        A slow bar that lacks a quick one, or that a split runs through, is left out.
        """
        bar_ms = -(-(bar.close_at_ms - bar.open_at_ms) // SECOND_MS) * SECOND_MS
        key = bar.open_at_ms // (self._factor * bar_ms)
        if key != self._key:
            self._key, self._parts, self._torn = key, [], False
        elif self._last is not None and is_apart(self._last, bar):
            self._torn = True
        self._last = bar
        self._parts.append(bar)
        if len(self._parts) < self._factor or self._torn:
            return
        row = self._slow.push(_joined(self._parts))
        if row is not None:
            self._above = self._macro.step(row.tolist())

    def step(self, row: Sequence[float]) -> tuple[float, ...]:
        """Take the quick bar's feature row and return the joint posterior, which the macro regimes known now weigh."""
        self._posterior = tuple(
            above * share for above, below in zip(self._above, self._micro, strict=True) for share in below.step(row)
        )
        return self._posterior


def _joined(parts: Sequence[Bar]) -> Bar:
    return Bar(
        symbol=parts[0].symbol,
        open_at_ms=parts[0].open_at_ms,
        close_at_ms=parts[-1].close_at_ms,
        open=parts[0].open,
        high=max(part.high for part in parts),
        low=min(part.low for part in parts),
        close=parts[-1].close,
        volume=sum(part.volume for part in parts),
    )
