"""What a regime policy could lose in markets that did not happen: tails over paths drawn from its own model.

Paths come from ``strategies/regimes/scenarios.py``: from the model's Gaussians, and from the recorded bars of each
regime drawn again in blocks. On every path the policy decides as it does live - filter, confidence gate, hysteresis,
cooldown - and pays for turnover; what it decides at a bar's close earns the next bar.

Tail measures: value at risk and expected shortfall of the return over a whole path (Rockafellar and Uryasev 2000;
Acerbi and Tasche 2002), the same quantile of the deepest drawdown, and the share of paths that are ruined. Losses are
positive shares of equity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.policy_path import held_exposures
from strategies.regime_policy import PolicyOptions, regime_exposures
from strategies.regimes.filtering import filter_batch
from strategies.regimes.model import JUMP, RegimeModel
from strategies.regimes.panel_filter import PanelFilter
from strategies.regimes.scenarios import Scenarios, resample, simulate

Array = NDArray[np.float64]

MODEL, BOOTSTRAP = "model", "bootstrap"
SOURCES = (MODEL, BOOTSTRAP)
#: A bar that multiplies or divides a price by 150 is a fault of the model.
MOST_LOG_RETURN = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StressOptions:
    """``level`` of the tail measures; a path is ruined where its drawdown reaches ``ruin_frac``."""

    paths: int = 500
    bars: int = 1440
    seed: int = 7
    block_bars: float = 10.0
    cost_bps: float = 10.0
    bar_ms: int = 60_000
    level: float = 0.95
    ruin_frac: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """Figures over all paths, as shares of equity; losses are positive. ``turnover`` is per bar."""

    paths: int
    mean_return: float
    value_at_risk: float
    shortfall: float
    worst: float
    drawdown: float
    ruined_frac: float
    turnover: float


def stress(model: RegimeModel, recorded: Array, policy: PolicyOptions, options: StressOptions, source: str) -> Tail:
    """Return the tail of the policy of one model on paths of one source. The same seed gives the same tail.

    Args:
        recorded: feature rows (T, 7) that ``bootstrap`` draws from.

    Raises:
        ValueError: the source is unknown, a regime has no recorded bar to draw from, or a drawn return is beyond all
            reason.
    """
    scenarios = _draw(model, recorded, options, source)
    if not np.abs(scenarios.log_returns).max() < MOST_LOG_RETURN:
        raise ValueError(f"a drawn log return is beyond {MOST_LOG_RETURN:g}: the model does not fit its scaler")
    held = exposures_on(model, scenarios.rows, policy, options.bar_ms)
    return tail(net_returns(held, scenarios.log_returns, options.cost_bps), held, options)


def exposures_on(model: RegimeModel, rows: Array, policy: PolicyOptions, bar_ms: int) -> Array:
    """Return the exposure held after each bar, (N, T), on feature rows (N, T, 7): the live policy, path by path."""
    deserved = np.array(regime_exposures(model, policy))
    return held_exposures(_posteriors(model, rows), deserved, policy, bar_ms, model.calibration)


def net_returns(held: Array, log_returns: Array, cost_bps: float) -> Array:
    """Return the simple return of each bar after costs, (N, T): the exposure of the bar before earns it."""
    before = np.concatenate([np.zeros((len(held), 1)), held[:, :-1]], axis=1)
    turnover = np.abs(np.diff(held, axis=1, prepend=0.0))
    net: Array = before * np.expm1(log_returns) - turnover * cost_bps / 10_000.0
    return net


def tail(returns: Array, held: Array, options: StressOptions) -> Tail:
    """Return the tail of simple returns (N, T) of N paths.

    Args:
        held: exposures (N, T), for the turnover.
    """
    # A loss of everything is a loss of everything: what comes after it earns nothing.
    growth = np.cumprod(np.maximum(1.0 + returns, 0.0), axis=1)
    peaks = np.maximum.accumulate(np.maximum(growth, 1.0), axis=1)
    drawdowns = (1.0 - growth / peaks).max(axis=1)
    losses: Array = np.subtract(1.0, growth[:, -1])
    return Tail(
        paths=len(returns),
        mean_return=-float(losses.mean()),
        value_at_risk=float(np.quantile(losses, options.level)),
        shortfall=expected_shortfall(losses, options.level),
        worst=float(losses.max()),
        drawdown=float(np.quantile(drawdowns, options.level)),
        ruined_frac=float((drawdowns >= options.ruin_frac).mean()),
        turnover=float(np.abs(np.diff(held, axis=1, prepend=0.0)).mean()),
    )


def expected_shortfall(losses: Array, level: float) -> float:
    """Return the mean of the worst share 1 - ``level`` of losses (N,); the loss on the edge counts in part."""
    worst = np.sort(losses)[::-1]
    count = (1.0 - level) * len(worst)
    whole = math.floor(count + 1e-9)
    total = float(worst[:whole].sum())
    if whole < len(worst):
        total += (count - whole) * float(worst[whole])
    return total / count


def _draw(model: RegimeModel, recorded: Array, options: StressOptions, source: str) -> Scenarios:
    if source == MODEL:
        return simulate(model, paths=options.paths, bars=options.bars, seed=options.seed)
    if source == BOOTSTRAP:
        return resample(
            model, recorded, paths=options.paths, bars=options.bars, seed=options.seed, block_bars=options.block_bars
        )
    raise ValueError(f"the source {source} is none of {', '.join(SOURCES)}")


def _posteriors(model: RegimeModel, rows: Array) -> Array:
    """Return the filtered posteriors of every path, (N, T, K), each path from a fresh filter."""
    if model.kind == JUMP:
        return np.stack([filter_batch(model, path)[0] for path in rows])
    found = PanelFilter([model] * len(rows)).run(np.ascontiguousarray(rows.transpose(1, 0, 2)))
    return found.transpose(1, 0, 2)
