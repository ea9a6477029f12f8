"""What an order will cost beyond the price it was decided at, learned from our own fills, and what to do about it.

Slippage is implementation shortfall (Perold 1988): the average fill against the last close known before it, in basis
points, positive where it cost money. What drives it enters as the literature has it: half the spread, the square root
of size over turnover times volatility (Almgren, Thum, Hauptmann and Li 2005), volatility, side, the hour on a circle.

The mean is a ridge regression (Hoerl and Kennard 1970) whose penalty is chosen by generalised cross-validation (Golub,
Heath and Wahba 1979); the bad case is a quantile regression (Koenker and Bassett 1978) solved by majorisation (Hunter
and Lange 2000). Both are judged on the newest orders, which they did not see, beside a constant; where the constant is
as good, it is used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TERMS = ("half_spread", "impact", "volatility", "buy", "hour_sin", "hour_cos")
RIDGE, CONSTANT = "ridge", "constant"
PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
BPS = 10_000.0
_ITERATIONS = 200
_SMOOTH = 1e-3


class TooFewFills(ValueError):
    """There are not enough orders to learn from; the message has both figures."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conditions:
    """What was known before each order, all (N,).

    ``spread_bps`` of the book, ``size_share`` the order's notional over the turnover of a usual bar, ``volatility_bps``
    per bar, ``buy`` 1 or 0, ``hour`` of the UTC day, 0 to below 24.
    """

    spread_bps: Array
    size_share: Array
    volatility_bps: Array
    buy: Array
    hour: Array

    def design(self) -> Array:
        """Return the regressors, (N, 6), in the order of ``TERMS``."""
        angle = self.hour * (2.0 * math.pi / 24.0)
        impact = np.sqrt(np.maximum(self.size_share, 0.0)) * self.volatility_bps
        return np.column_stack(
            [self.spread_bps / 2.0, impact, self.volatility_bps, self.buy, np.sin(angle), np.cos(angle)]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SlippageOptions:
    """``min_orders`` to learn from; ``holdout_frac`` of them, the newest, judge; ``upper_quantile`` is the bad case."""

    min_orders: int = 200
    holdout_frac: float = 0.25
    upper_quantile: float = 0.8
    ioc_limit_bps: float = 12.0
    market_bps: float = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """``intercept`` (bps) and one coefficient per term."""

    intercept: float
    coefficients: tuple[float, ...]

    def at(self, conditions: Conditions) -> Array:
        """Return the line's value for every order, (N,), in basis points."""
        return _value(self, conditions.design())


@dataclass(frozen=True, slots=True, kw_only=True)
class SlippageModel:
    """``expected`` is the mean and ``upper`` the bad case; each is the better of regression and constant."""

    expected: Line
    upper: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class SlippageReport:
    """How good the regressions were on ``held_out`` newest orders that they did not see, in basis points.

    ``rmse`` judges the mean, ``pinball`` (Koenker and Bassett's loss) the bad case; ``baseline_...`` is what a constant
    scores on the same orders. ``kind`` and ``upper_kind`` say which of the two is used.
    """

    orders: int
    held_out: int
    penalty: float
    rmse_bps: float
    baseline_rmse_bps: float
    pinball_bps: float
    baseline_pinball_bps: float
    kind: str
    upper_kind: str


class Tactic(StrEnum):
    """How an order goes out, if at all."""

    IOC_LIMIT = "IOC_LIMIT"
    MARKET = "MARKET"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A tactic and why."""

    tactic: Tactic
    reason: str


def fit_slippage(
    conditions: Conditions, slippage_bps: Array, options: SlippageOptions
) -> tuple[SlippageModel, SlippageReport]:
    """Learn from orders in time order; ``slippage_bps`` (N,).

    Raises:
        TooFewFills: there are fewer orders than ``min_orders``.
        ValueError: a value is not finite.
    """
    count = len(slippage_bps)
    if count < options.min_orders:
        raise TooFewFills(f"TOO_FEW_FILLS: {count} orders of at least {options.min_orders}")
    values = conditions.design()
    if not (np.isfinite(values).all() and np.isfinite(slippage_bps).all()):
        raise ValueError("conditions and slippage must be finite")
    split = count - max(1, int(count * options.holdout_frac))
    seen, asked, new = slice(0, split), values[split:], slippage_bps[split:]
    trial, _ = _ridge(values[seen], slippage_bps[seen])
    trial_upper = _quantile_line(values[seen], slippage_bps[seen], options.upper_quantile)
    rmse = _rmse(new - _value(trial, asked))
    flat_rmse = _rmse(new - slippage_bps[seen].mean())
    loss = pinball(new - _value(trial_upper, asked), options.upper_quantile)
    flat = float(np.quantile(slippage_bps[seen], options.upper_quantile))
    flat_loss = pinball(new - flat, options.upper_quantile)
    line, penalty = _ridge(values, slippage_bps)
    upper = _quantile_line(values, slippage_bps, options.upper_quantile)
    nothing = (0.0,) * len(TERMS)
    if rmse >= flat_rmse:
        line = Line(intercept=float(slippage_bps.mean()), coefficients=nothing)
    if loss >= flat_loss:
        upper = Line(intercept=float(np.quantile(slippage_bps, options.upper_quantile)), coefficients=nothing)
    report = SlippageReport(
        orders=count,
        held_out=count - split,
        penalty=penalty,
        rmse_bps=rmse,
        baseline_rmse_bps=flat_rmse,
        pinball_bps=loss,
        baseline_pinball_bps=flat_loss,
        kind=RIDGE if rmse < flat_rmse else CONSTANT,
        upper_kind=RIDGE if loss < flat_loss else CONSTANT,
    )
    return SlippageModel(expected=line, upper=upper), report


def choose_tactic(expected_bps: float, options: SlippageOptions) -> Choice:
    """Return how to send an order whose expected slippage is ``expected_bps``, with the figures behind it."""
    if not math.isfinite(expected_bps):
        return Choice(tactic=Tactic.SKIP, reason="SLIPPAGE_UNKNOWN: no model or no conditions to ask it with")
    figure = f"{expected_bps:.1f} bps expected"
    if expected_bps <= options.ioc_limit_bps:
        return Choice(tactic=Tactic.IOC_LIMIT, reason=f"{figure}, up to {options.ioc_limit_bps:g} go as IOC limit")
    if expected_bps <= options.market_bps:
        return Choice(tactic=Tactic.MARKET, reason=f"{figure}, up to {options.market_bps:g} go at market")
    return Choice(tactic=Tactic.SKIP, reason=f"SLIPPAGE_TOO_HIGH: {figure}, over {options.market_bps:g}")


def spread_from_ranges(high: Array, low: Array) -> Array:
    """Return the spread that each bar's range and its predecessor's suggest, (T,), as a share of the price.

    Corwin and Schultz (2012): volatility grows with the length of a span, the spread does not, so two bars on their own
    against the two together tell them apart. Negative estimates count as 0; the first bar has none (NaN).
    """
    single = np.log(high / low) ** 2
    beta = single[1:] + single[:-1]
    gamma = np.log(np.maximum(high[1:], high[:-1]) / np.minimum(low[1:], low[:-1])) ** 2
    scale = 3.0 - 2.0 * math.sqrt(2.0)
    alpha = (np.sqrt(2.0 * beta) - np.sqrt(beta)) / scale - np.sqrt(gamma / scale)
    spread = 2.0 * np.tanh(alpha / 2.0)
    return np.concatenate([[np.nan], np.maximum(spread, 0.0)])


def pinball(residuals: Array, quantile: float) -> float:
    """Return the mean quantile loss of residuals (N,): ``quantile`` above the line, 1 - ``quantile`` below it."""
    return float(np.where(residuals >= 0, quantile * residuals, (quantile - 1.0) * residuals).mean())


# --- fits -----------------------------------------------------------------------------------------------------------


def _ridge(values: Array, target: Array, penalties: Sequence[float] = PENALTIES) -> tuple[Line, float]:
    """Return the line and its penalty: standardised regressors, an intercept that is not penalised."""
    centre, scale = _scales(values)
    left, sizes, right = np.linalg.svd((values - centre) / scale, full_matrices=False)
    mean = float(target.mean())
    along = left.T @ (target - mean)
    best = min(penalties, key=lambda penalty: _cross_validation(sizes, left, along, target - mean, penalty))
    slopes = (right.T @ (along * sizes / (sizes**2 + best))) / scale
    return _line(mean - float(centre @ slopes), slopes), best


def _cross_validation(sizes: Array, left: Array, along: Array, target: Array, penalty: float) -> float:
    """Return n RSS / (n - trace of the hat matrix)^2, the intercept counted."""
    shrink = sizes**2 / (sizes**2 + penalty)
    rest = target - left @ (along * shrink)
    free = len(target) - float(shrink.sum()) - 1.0
    return len(target) * float(rest @ rest) / free**2


def _quantile_line(values: Array, target: Array, quantile: float) -> Line:
    """Return the line below which the share ``quantile`` of the targets lies, given the regressors."""
    centre, scale = _scales(values)
    design = np.column_stack([np.ones(len(target)), (values - centre) / scale])
    unit = max(float(np.std(target)), 1e-9)
    aim = target / unit
    weights = np.zeros(design.shape[1])
    weights[0] = float(np.quantile(aim, quantile))
    tilt = (2.0 * quantile - 1.0) * design.sum(axis=0)
    for _ in range(_ITERATIONS):
        pull = 1.0 / (_SMOOTH + np.abs(aim - design @ weights))
        weighted = design * pull[:, None]
        # A whisker of penalty: a term that never varies must not make the system singular.
        following = np.linalg.solve(weighted.T @ design + 1e-6 * np.eye(len(weights)), weighted.T @ aim + tilt)
        moved = float(np.abs(following - weights).max())
        weights = following
        if moved < 1e-7:
            break
    slopes = weights[1:] * unit / scale
    return _line(float(weights[0]) * unit - float(centre @ slopes), slopes)


def _scales(values: Array) -> tuple[Array, Array]:
    spread = values.std(axis=0)
    return values.mean(axis=0), np.where(spread > 1e-12, spread, 1.0)


def _line(intercept: float, slopes: Array) -> Line:
    return Line(intercept=intercept, coefficients=tuple(float(slope) for slope in slopes))


def _value(line: Line, design: Array) -> Array:
    value: Array = line.intercept + design @ np.array(line.coefficients)
    return value


def _rmse(residuals: Array) -> float:
    return math.sqrt(float((residuals * residuals).mean()))
