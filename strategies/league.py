"""The shadow league: what a challenger would have earned on live bars, unfunded, by the champion's own policy code.

What is decided at a bar's close earns the next bar's return; a change of exposure pays ``cost_bps``. The same bars
give the same standing to the last bit, so that a rank can be recomputed later from stored bars.

Versions come at different times. They are ranked on the bars that all of them were judged on (``common``): one that
came before a fall has no worse a rank for it than one that came after.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from strategies.contracts import Bar
from strategies.regime_policy import PolicyOptions, RegimePolicy
from strategies.regimes.model import RegimeModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One challenger in one symbol, or in all of them.

    Args:
        warm_from_ms: open time of the first bar that warmed the filter; with the three below it names the bars used.
        judged_from_ms: open time of the first judged bar, before which nothing was held.
        first_open_ms: open time of the first bar that counts here; last_open_ms: of the last.
        bars: bars that count.
        net_return: compounded, after costs.
        turnover: sum of absolute changes of exposure.
        sharpe: mean over standard deviation of the net return per bar, not annualised.
        sharpe_se: its standard error, sqrt((1 + s^2 / 2) / bars) (Lo 2002, independent returns).
    """

    version: str
    symbol: str
    warm_from_ms: int
    judged_from_ms: int
    first_open_ms: int
    last_open_ms: int
    bars: int
    net_return: float
    turnover: float
    sharpe: float
    sharpe_se: float


@dataclass(slots=True)
class _Sums:
    bars: int = 0
    first: float = 0.0
    squares: float = 0.0
    growth: float = 1.0
    turnover: float = 0.0

    def add(self, net: float, turnover: float) -> None:
        self.bars += 1
        self.first += net
        self.squares += net * net
        self.growth *= 1.0 + net
        self.turnover += turnover


class Challenger:
    """One model version on one symbol."""

    def __init__(self, symbol: str, model: RegimeModel, version: str, options: PolicyOptions, cost_bps: float) -> None:
        self._symbol = symbol
        self._policy = RegimePolicy(model, version, options)
        self._cost = cost_bps / 10_000.0
        self._sums = _Sums()
        self._since: dict[int, _Sums] = {}
        self._exposure = 0.0
        self._close = 0.0
        self._warm_from_ms = self._judged_from_ms = self._last_open_ms = 0

    def warm(self, bars: Sequence[Bar]) -> None:
        """Run past bars through features and filter; they are not judged."""
        for bar in bars:
            self.warm_one(bar)

    def warm_one(self, bar: Bar) -> None:
        """Run one past bar through features and filter."""
        self._policy.observe(bar)
        self._warm_from_ms = self._warm_from_ms or bar.open_at_ms
        self._close = bar.close

    def on_bar(self, bar: Bar) -> None:
        """Judge a closed live bar, then decide on the exposure of the next."""
        if self._close > 0:
            earned = self._exposure * (bar.close / self._close - 1.0)
            change = self._decide(bar)
            for sums in (self._sums, *self._since.values()):
                sums.add(earned - change * self._cost, change)
            self._judged_from_ms = self._judged_from_ms or bar.open_at_ms
            self._last_open_ms = bar.open_at_ms
        else:
            self.warm_one(bar)
        self._close = bar.close

    def _decide(self, bar: Bar) -> float:
        signal = self._policy.on_bar(bar)
        if signal is None:
            return 0.0
        change = abs(signal.target - self._exposure)
        self._exposure = signal.target
        return change

    def count_from(self, open_at_ms: int, kept: Collection[int] = ()) -> None:
        """Count what is earned from this bar on by itself as well, and of what was begun before only ``kept``."""
        self._since = {at: sums for at, sums in self._since.items() if at in kept}
        self._since[open_at_ms] = _Sums()

    @property
    def symbol(self) -> str:
        """What it trades in thought."""
        return self._symbol

    @property
    def judged_from_ms(self) -> int:
        """Open time of its first judged bar, 0 before."""
        return self._judged_from_ms

    @property
    def standing(self) -> Standing:
        """How it stands now, over all bars that it was judged on."""
        return self._standing(self._sums, self._judged_from_ms)

    def standing_since(self, open_at_ms: int) -> Standing:
        """Return how it stands over the bars from one on that was its first or was given to ``count_from``."""
        if open_at_ms == self._judged_from_ms:
            return self.standing
        return self._standing(self._since.get(open_at_ms, _Sums()), open_at_ms)

    def _standing(self, sums: _Sums, first_open_ms: int) -> Standing:
        sharpe, error = _sharpe(sums.bars, sums.first, sums.squares)
        return Standing(
            version=self._policy.version,
            symbol=self._symbol,
            warm_from_ms=self._warm_from_ms,
            judged_from_ms=self._judged_from_ms,
            first_open_ms=first_open_ms,
            last_open_ms=self._last_open_ms,
            bars=sums.bars,
            net_return=sums.growth - 1.0,
            turnover=sums.turnover,
            sharpe=sharpe,
            sharpe_se=error,
        )


def replay(
    symbol: str, model: RegimeModel, options: PolicyOptions, cost_bps: float, standing: Standing, bars: Iterable[Bar]
) -> Standing:
    """Recompute a standing from stored bars of its symbol, in time order; bars outside its span are left out."""
    challenger = Challenger(symbol, model, standing.version, options, cost_bps)
    span = [bar for bar in bars if standing.warm_from_ms <= bar.open_at_ms <= standing.last_open_ms]
    challenger.warm([bar for bar in span if bar.open_at_ms < standing.judged_from_ms])
    judged = [bar for bar in span if bar.open_at_ms >= standing.judged_from_ms]
    for bar in judged:
        if bar.open_at_ms < standing.first_open_ms:
            challenger.on_bar(bar)
    challenger.count_from(standing.first_open_ms)
    for bar in judged:
        if bar.open_at_ms >= standing.first_open_ms:
            challenger.on_bar(bar)
    return challenger.standing_since(standing.first_open_ms)


def begin_together(challengers: Sequence[Challenger], bar: Bar) -> None:
    """Let the challengers of a bar's symbol count from it on, where it may be the first of one of them.

    Called before each bar. So every one of them has figures since the first bar of each other, and none is kept for
    bars: what was begun for versions that are gone is dropped with the next newcomer.
    """
    begun = {challenger.judged_from_ms for challenger in challengers}
    if 0 in begun:
        for challenger in challengers:
            challenger.count_from(bar.open_at_ms, begun)


def common(challengers: Iterable[Challenger]) -> list[Standing]:
    """Return every version's standings on the bars that all of them were judged on.

    Symbols that not all versions have are left out, unless there is none that all have. A version that no bar has
    judged yet stands as it is and shortens nobody's span.
    """
    present = list(challengers)
    judged = [one for one in present if one.judged_from_ms]
    versions = {one.standing.version for one in judged}
    symbols = [{one.symbol for one in judged if one.standing.version == version} for version in versions]
    shared = set.intersection(*symbols) if symbols else set()
    compared = [one for one in judged if one.symbol in shared] or judged
    first = {
        symbol: max(one.judged_from_ms for one in compared if one.symbol == symbol)
        for symbol in {one.symbol for one in compared}
    }
    waiting = [one.standing for one in present if one.standing.version not in versions]
    return [one.standing_since(first[one.symbol]) for one in compared] + waiting


def rank(standings: Iterable[Standing]) -> list[Standing]:
    """Return one row per version over its symbols, best mean Sharpe per bar first; ties by version.

    ``standings`` are those of ``common``, in any order. Who was not judged yet comes last.

    Returns are averaged over symbols with equal weight; the error is that of a mean of independent symbols, which
    correlated markets make too small: it is a lower bound.
    """
    by_version: dict[str, list[Standing]] = {}
    # Sums of figures differ in their last bit by the order: one order for everybody.
    for standing in sorted(standings, key=lambda each: (each.version, each.symbol)):
        by_version.setdefault(standing.version, []).append(standing)
    rows = [_overall(version, rows) for version, rows in by_version.items()]
    return sorted(rows, key=lambda row: (not row.bars, -row.sharpe, row.version))


def _overall(version: str, rows: list[Standing]) -> Standing:
    count = len(rows)
    judged = [row for row in rows if row.bars] or rows
    return Standing(
        version=version,
        symbol="ALL",
        warm_from_ms=min(row.warm_from_ms for row in judged),
        judged_from_ms=min(row.judged_from_ms for row in judged),
        first_open_ms=min(row.first_open_ms for row in judged),
        last_open_ms=max(row.last_open_ms for row in judged),
        bars=sum(row.bars for row in rows),
        net_return=sum(row.net_return for row in rows) / count,
        turnover=sum(row.turnover for row in rows) / count,
        sharpe=sum(row.sharpe for row in rows) / count,
        sharpe_se=math.sqrt(sum(row.sharpe_se**2 for row in rows)) / count,
    )


def _sharpe(bars: int, first: float, squares: float) -> tuple[float, float]:
    if bars < 2:
        return 0.0, 1.0
    mean = first / bars
    variance = max(0.0, (squares - bars * mean * mean) / (bars - 1))
    sharpe = mean / math.sqrt(variance) if variance > 0 else 0.0
    return sharpe, math.sqrt((1.0 + 0.5 * sharpe * sharpe) / bars)
