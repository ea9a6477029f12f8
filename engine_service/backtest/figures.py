"""The figures of a finished backtest. Money as decimal text, the rest as plain numbers with their standard errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine_service.backtest.options import Traded
from engine_service.domain.money import plain
from strategies.research.metrics import SharpeEstimate, sharpe_estimate

YEAR_MS = 365.25 * 86_400_000


def figures_of(traded: Traded) -> dict[str, Any]:
    """Return the figures that scripts read.

    ``sharpe`` and ``sharpe_se`` (Mertens 2002) are annualised by the spacing of the bars; ``max_drawdown`` is a share
    of the peak; ``turnover`` is the notional of all fills over the mean equity of the whole run, ``exposure`` the mean
    gross value held as a share of equity.
    """
    equity = traded.equity
    estimate, scale = sharpe_of(traded)
    mean = float(equity.mean())
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
        "max_drawdown": drawdown(equity),
        "turnover": float(traded.traded_value) / mean if mean > 0 else 0.0,
        "exposure": float(traded.gross.mean()) / mean if mean > 0 else 0.0,
        "refused": dict(traded.refused),
    }


def sharpe_of(traded: Traded) -> tuple[SharpeEstimate, float]:
    """Return the Sharpe ratio per bar and the factor that annualises it."""
    equity = traded.equity
    # A ruined account has no returns to speak of from there on.
    alive = equity if equity.min() > 0 else equity[: int(np.argmax(equity <= 0))]
    returns = np.diff(alive)
    returns /= alive[:-1]
    return sharpe_estimate(returns), math.sqrt(YEAR_MS / _bar_ms(traded.times))


def drawdown(equity: NDArray[np.float64]) -> float:
    """Return the deepest fall from a peak as a share of the peak, 0 to 1 (above 1 where equity fell below 0)."""
    peak = np.maximum.accumulate(equity)
    np.divide(equity, peak, out=peak)
    return max(0.0, 1.0 - float(peak.min()))


def _bar_ms(times: NDArray[np.int64]) -> float:
    """Return the usual distance of two bars; a gap does not count."""
    if len(times) < 2:
        return YEAR_MS
    steps = np.diff(times[:1000])
    return float(np.median(steps))
