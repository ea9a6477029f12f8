"""Which instruments are worth a look now: features and alpha, long and short, for a whole panel of symbols at once.

Every measure is a t-statistic under "nothing goes on here", so that symbols of any volatility stand on one scale and
each symbol's figures depend on its own bars alone:

- momentum: drift of the log price without its newest bars (Moskowitz, Ooi and Pedersen 2012, scaled by volatility);
- reversal: the same over the newest bars, with the opposite sign (Jegadeesh 1990);
- flow: volume of rising against volume of falling bars (a bar's stand-in for signed volume; Chordia and
  Subrahmanyam 2004).

Their weighted sum is the score, and alpha = information coefficient x volatility over the horizon x score
(Grinold 1994), less what it costs to get in and out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from strategies.volatility import volatility_rank

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

OPEN, HIGH, LOW, CLOSE, VOLUME = range(5)
BPS = 10_000.0
#: A score beyond this is more often a broken feed than an opportunity.
MOST_SCORE = 3.0
#: Symbols measured at a time: their bars stay in the processor's cache from one measure to the next.
BLOCK = 64


class Side(StrEnum):
    """Which way a pick looks."""

    LONG = "LONG"
    SHORT = "SHORT"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningOptions:
    """Windows in bars, costs in basis points of the notional, in and out together.

    ``min_turnover`` is in quote units per bar, ``min_depth`` the quote value of the thinner side of the book's top.
    """

    momentum_bars: int = 240
    reversal_bars: int = 15
    flow_bars: int = 60
    volatility_bars: int = 60
    horizon_bars: int = 60
    momentum_weight: float = 1.0
    reversal_weight: float = 0.5
    flow_weight: float = 0.5
    information_coefficient: float = 0.05
    cost_bps: float = 10.0
    min_turnover: float = 0.0
    min_depth: float = 0.0
    max_volatility_rank: float = 1.0
    top_k: int = 5

    @property
    def bars(self) -> int:
        """How many bars every symbol needs: one more than its longest window has returns."""
        longest = max(self.momentum_bars + self.reversal_bars, self.flow_bars, self.volatility_bars)
        return longest + 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Books:
    """Best bid and ask of each symbol, prices in quote and quantities in base, all (S,); NaN where there is none."""

    bid: Array
    bid_quantity: Array
    ask: Array
    ask_quantity: Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measures:
    """One figure per symbol, each (S,), NaN where the symbol was refused.

    ``momentum``, ``reversal``, ``flow`` and ``score`` are t-statistics; ``volatility_bps`` is per bar,
    ``volatility_rank`` 0 (calmest) to 1 (wildest) among the symbols that were not refused, ``turnover`` quote units
    per bar, the alphas basis points over the horizon after costs. From the book, NaN where it is not known:
    ``spread_bps``, ``depth`` (quote value of the thinner side) and ``imbalance``, -1 (all asks) to 1 (all bids).
    """

    momentum: Array
    reversal: Array
    flow: Array
    score: Array
    volatility_bps: Array
    volatility_rank: Array
    turnover: Array
    alpha_long_bps: Array
    alpha_short_bps: Array
    spread_bps: Array
    depth: Array
    imbalance: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A symbol that came through, with its place (1 is best) among the picks of its side."""

    symbol: str
    side: Side
    place: int
    alpha_bps: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Screening:
    """The answer for a panel: figures of every symbol, picks of both sides, and why the others were refused."""

    symbols: tuple[str, ...]
    measures: Measures
    picks: tuple[Pick, ...]
    refused: Mapping[str, str]


def screen(symbols: Sequence[str], bars: Array, options: ScreeningOptions, books: Books | None = None) -> Screening:
    """Return features, alpha and the best ``top_k`` symbols of each side. Time is linear in the symbols.

    Args:
        symbols: S names.
        bars: open, high, low, close (quote) and volume (base) of each symbol's newest bars, (S, T, 5), oldest first,
            NaN where a bar is missing.
        books: what crossing them asks for is added to the costs, and a symbol without one is refused; ``None`` leaves
            books out.

    Raises:
        ValueError: there is no symbol, shapes do not fit, or there are fewer bars than the windows need.
    """
    if not symbols:
        raise ValueError("no symbols, so no bars to screen")
    if bars.ndim != 3 or bars.shape[0] != len(symbols) or bars.shape[2] != 5:
        raise ValueError(f"bars must be ({len(symbols)}, T, 5), not {bars.shape}")
    if bars.shape[1] < options.bars:
        raise ValueError(f"{bars.shape[1]} bars, the windows need {options.bars}")
    refused: dict[str, str] = {}
    blocks = [
        _measure_block(symbols[at : at + BLOCK], bars[at : at + BLOCK, -options.bars :], options, refused)
        for at in range(0, len(symbols), BLOCK)
    ]
    measures = _joined(blocks) if books is None else _after_spread(_joined(blocks), books)
    for at in np.flatnonzero(np.isfinite(measures.score)).tolist():
        if fault := _unfit(measures, at, options, with_books=books is not None):
            refused[symbols[at]] = fault
    picks = tuple(pick for side in Side for pick in _picks(symbols, measures, side, refused, options))
    return Screening(symbols=tuple(symbols), measures=measures, picks=picks, refused=refused)


def _unsound(symbols: Sequence[str], bars: Array) -> dict[str, str]:
    """Return what is wrong with the bars of each symbol that cannot be measured."""
    finite = np.isfinite(bars).all(axis=2)
    missing = (~finite).sum(axis=1)
    with np.errstate(invalid="ignore"):
        possible = np.logical_and(
            (bars[:, :, OPEN : CLOSE + 1] > 0).all(axis=(1, 2)), (bars[:, :, VOLUME] >= 0).all(axis=1)
        )
        still = bars[:, :, CLOSE].max(axis=1) == bars[:, :, CLOSE].min(axis=1)
        idle = bars[:, :, VOLUME].sum(axis=1) <= 0
    found = {}
    for at, symbol in enumerate(symbols):
        if missing[at]:
            found[symbol] = f"BARS_MISSING: {missing[at]} of the newest {bars.shape[1]}"
        elif not possible[at]:
            found[symbol] = "PRICES_IMPOSSIBLE: a price or volume is not positive"
        elif still[at]:
            found[symbol] = "PRICE_CONSTANT: it did not move"
        elif idle[at]:
            found[symbol] = "NO_VOLUME: nothing traded"
    return found


def _measure(bars: Array, options: ScreeningOptions) -> Measures:
    steps = np.diff(np.log(bars[:, :, CLOSE]), axis=1)
    recent = options.reversal_bars
    older = steps[:, -(options.momentum_bars + recent) : steps.shape[1] - recent]
    momentum, reversal = _t_statistic(older), -_t_statistic(steps[:, -recent:])
    window = slice(-options.flow_bars, None)
    volume = bars[:, window, VOLUME]
    signed = (np.sign(steps[:, window]) * volume).sum(axis=1)
    flow = _ratio(signed, np.sqrt((volume * volume).sum(axis=1)))
    weights = np.array([options.momentum_weight, options.reversal_weight, options.flow_weight])
    raw = weights @ np.stack([momentum, reversal, flow]) / max(float(np.sqrt(weights @ weights)), 1e-12)
    score = np.clip(raw, -MOST_SCORE, MOST_SCORE)
    volatility = np.std(steps[:, -options.volatility_bars :], axis=1, ddof=1) * BPS
    alpha = options.information_coefficient * volatility * math.sqrt(options.horizon_bars) * score
    unknown = np.full(len(alpha), np.nan)
    return Measures(
        momentum=momentum,
        reversal=reversal,
        flow=flow,
        score=score,
        volatility_bps=volatility,
        volatility_rank=np.zeros(len(volatility)),
        turnover=(bars[:, :, CLOSE] * bars[:, :, VOLUME]).mean(axis=1),
        alpha_long_bps=alpha - options.cost_bps,
        alpha_short_bps=-alpha - options.cost_bps,
        spread_bps=unknown,
        depth=unknown,
        imbalance=unknown,
    )


def _t_statistic(steps: Array) -> Array:
    """Return mean over standard error of the steps of each row; 0 where they do not vary."""
    error = np.std(steps, axis=1, ddof=1) * math.sqrt(steps.shape[1])
    return _ratio(steps.sum(axis=1), error)


def _ratio(above: Array, below: Array) -> Array:
    quotient: Array = np.where(below > 0, above / np.where(below > 0, below, 1.0), 0.0)
    return quotient


def _measure_block(symbols: Sequence[str], bars: Array, options: ScreeningOptions, refused: dict[str, str]) -> Measures:
    """Return the measures of some symbols, NaN for those whose bars are not sound; these are added to ``refused``."""
    unsound = _unsound(symbols, bars)
    refused.update(unsound)
    sound = np.array([symbol not in unsound for symbol in symbols], dtype=np.bool_)
    some = _measure(bars if sound.all() else bars[sound], options)

    def placed(values: Array) -> Array:
        full = np.full(len(sound), np.nan)
        full[sound] = values
        return full

    return Measures(**{name: placed(getattr(some, name)) for name in Measures.__slots__})


def _joined(blocks: Sequence[Measures]) -> Measures:
    """Put the blocks one after the other, and rank volatility among all."""
    whole = {name: np.concatenate([getattr(block, name) for block in blocks]) for name in Measures.__slots__}
    sound = np.isfinite(whole["volatility_bps"])
    whole["volatility_rank"][sound] = volatility_rank(whole["volatility_bps"][sound])
    return Measures(**whole)


def _after_spread(measures: Measures, books: Books) -> Measures:
    """Take what the books say: crossing them in and out costs the spread once."""
    spread = (books.ask - books.bid) / (books.ask + books.bid) * 2.0 * BPS
    bids, asks = books.bid * books.bid_quantity, books.ask * books.ask_quantity
    return replace(
        measures,
        alpha_long_bps=measures.alpha_long_bps - spread,
        alpha_short_bps=measures.alpha_short_bps - spread,
        spread_bps=spread,
        depth=np.minimum(bids, asks),
        imbalance=_ratio(bids - asks, bids + asks),
    )


def _unfit(measures: Measures, at: int, options: ScreeningOptions, *, with_books: bool) -> str:
    """Return why a sound symbol may not be picked, empty where it may."""
    turnover, rank = float(measures.turnover[at]), float(measures.volatility_rank[at])
    depth = float(measures.depth[at])
    if with_books and not math.isfinite(depth):
        return "BOOK_UNKNOWN: no bid and ask"
    if with_books and depth < options.min_depth:
        return f"BOOK_TOO_THIN: {depth:.6g} on its thinner side, at least {options.min_depth:.6g}"
    if turnover < options.min_turnover:
        return f"TURNOVER_TOO_LOW: {turnover:.6g} a bar, at least {options.min_turnover:.6g}"
    if rank > options.max_volatility_rank:
        return f"TOO_VOLATILE: rank {rank:.2f}, at most {options.max_volatility_rank:.2f}"
    return ""


def _picks(
    symbols: Sequence[str], measures: Measures, side: Side, refused: Mapping[str, str], options: ScreeningOptions
) -> list[Pick]:
    alpha = measures.alpha_long_bps if side is Side.LONG else measures.alpha_short_bps
    open_ = np.array([symbol not in refused for symbol in symbols], dtype=np.bool_) & (np.nan_to_num(alpha) > 0)
    # A stable order: equal alphas stand by name, whatever order the symbols came in.
    best = sorted(np.flatnonzero(open_).tolist(), key=lambda at: (-alpha[at], symbols[at]))[: options.top_k]
    return [
        Pick(
            symbol=symbols[at],
            side=side,
            place=place,
            alpha_bps=float(alpha[at]),
            reason=_reason(measures, at, float(alpha[at])),
        )
        for place, at in enumerate(best, start=1)
    ]


def _reason(measures: Measures, at: int, alpha_bps: float) -> str:
    return (
        f"{alpha_bps:.1f} bps after costs: momentum {measures.momentum[at]:+.2f}, "
        f"reversal {measures.reversal[at]:+.2f}, flow {measures.flow[at]:+.2f}; "
        f"volatility {measures.volatility_bps[at]:.1f} bps a bar, rank {measures.volatility_rank[at]:.2f}"
    )
