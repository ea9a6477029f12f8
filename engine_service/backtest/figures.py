"""The figures of a finished backtest. Money as decimal text, the rest as plain numbers with their standard errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine_service.backtest.equity import EquityCurve
from engine_service.backtest.equity_summary import STRETCH
from engine_service.backtest.options import Traded
from engine_service.domain.money import plain
from strategies.research.metrics import SharpeEstimate

YEAR_MS = 365.25 * 86_400_000


def figures_of(traded: Traded) -> dict[str, Any]:
    """Return the figures that scripts read.

    ``sharpe`` and ``sharpe_se`` (Mertens 2002) are annualised by the spacing of the bars; ``max_drawdown`` is a share
    of the peak; ``turnover`` is the notional of all fills over the mean equity of the whole run, ``exposure`` the mean
    gross value held as a share of equity.
    """
    estimate, scale = sharpe_of(traded)
    summary = traded.curve.summary
    mean = summary.total / summary.bars
    return {
        "bars": traded.bars,
        "orders": traded.order_count,
        "fills": traded.fill_count,
        "fees": plain(traded.fees),
        "funding": plain(traded.funding),
        "realised_pnl": plain(traded.realised),
        "equity_final": plain(traded.equity_final),
        "sharpe": estimate.per_bar * scale,
        "sharpe_se": estimate.standard_error * scale,
        "max_drawdown": drawdown(traded.curve),
        "turnover": float(traded.traded_value) / mean if mean > 0 else 0.0,
        "exposure": summary.gross / summary.bars / mean if mean > 0 else 0.0,
        "refused": dict(traded.refused),
    }


def sharpe_of(traded: Traded) -> tuple[SharpeEstimate, float]:
    """Return the Sharpe ratio per bar and the factor that annualises it."""
    return traded.curve.summary.moments.sharpe(), math.sqrt(YEAR_MS / _bar_ms(traded.curve.times))


def drawdown(curve: EquityCurve) -> float:
    """Return the deepest fall from a peak as a share of the peak, 0 to 1 (above 1 where equity fell below 0).

    A running peak over all bars is slow. No stretch of them falls deeper than from the highest peak up to its end to
    its own lowest point; only where that is deeper than what was found already are the bars looked at one by one.
    """
    lows, peaks = np.array(curve.summary.lows), np.maximum.accumulate(curve.summary.highs)
    if lows.min() <= 0.0:
        return _fall(curve.equity)
    bound = 1.0 - lows / peaks
    deepest = 0.0
    for stretch in np.argsort(-bound).tolist():
        if bound[stretch] <= deepest:
            break
        equity, _ = curve.part(stretch * STRETCH, (stretch + 1) * STRETCH)
        deepest = max(deepest, _fall(np.concatenate([peaks[stretch - 1 : stretch] if stretch else [], equity])))
    return deepest


def _fall(equity: NDArray[np.float64]) -> float:
    peak = np.maximum.accumulate(equity)
    return max(0.0, 1.0 - float((equity / peak).min()))


def _bar_ms(times: NDArray[np.int64]) -> float:
    """Return the usual distance of two bars; a gap does not count."""
    if len(times) < 2:
        return YEAR_MS
    steps = np.diff(times[:1000])
    return float(np.median(steps))
