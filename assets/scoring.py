"""Out-of-sample figures of a model version: by symbol, and of the portfolio that holds all symbols in equal parts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from assets.feature_table import Series
from assets.fitting import FitOutcome, WalkOutcome
from assets.intervals import DAY_MS
from assets.tables import EVALUATIONS
from governance.promotion import Scores
from strategies.research.metrics import Performance, performance
from strategies.research.walk_forward import WalkForwardReport

ALL = "ALL"
Z_95 = 1.96

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Out-of-sample net returns per bar of a strategy and of buy-and-hold; all arrays (T,), ``open_ms`` in UTC ms."""

    open_ms: NDArray[np.int64]
    returns: Array
    hold_returns: Array
    positions: Array


def symbol_curve(series: Series, report: WalkForwardReport) -> Curve:
    """Return one symbol's judged bars."""
    return Curve(
        open_ms=series.open_ms[report.index],
        returns=report.returns,
        hold_returns=report.market_returns,
        positions=report.positions,
    )


def portfolio_curve(curves: Sequence[Curve]) -> Curve:
    """Return the mean over symbols at every bar; a symbol without a bar then holds nothing."""
    rows = pl.concat(
        [pl.DataFrame({"at": c.open_ms, "r": c.returns, "h": c.hold_returns, "p": np.abs(c.positions)}) for c in curves]
    )
    total = rows.group_by("at").sum().sort("at")
    share = 1.0 / len(curves)
    return Curve(
        open_ms=total.get_column("at").to_numpy(),
        returns=total.get_column("r").to_numpy() * share,
        hold_returns=total.get_column("h").to_numpy() * share,
        positions=total.get_column("p").to_numpy() * share,
    )


def evaluation_rows(
    version: str,
    metrics: Mapping[str, Mapping[str, float]],
    walks: Sequence[WalkOutcome],
    series: Mapping[str, Series],
    *,
    bar_ms: int,
    bars_per_year: float,
    evaluated_at: datetime,
) -> pl.DataFrame:
    """Return the rows of the evaluations table: one per judged symbol and the one over all.

    Args:
        metrics: by symbol ``converged``, ``min_occupancy`` and ``min_dwell`` of its final fit.
    """
    rows: list[dict[str, Any]] = []
    judged = [(walk, walk.report) for walk in walks if walk.report is not None]
    for walk, report in judged:
        rows.append(
            {
                "version": version,
                "symbol": walk.symbol,
                "evaluated_at": evaluated_at,
                "symbols": 1,
                "folds": len(report.folds) - len(report.refused),
                "bars": report.strategy.bars,
                "converged_frac": metrics[walk.symbol]["converged"],
                "likelihood_gain": walk.likelihood_gain,
                "min_occupancy_frac": metrics[walk.symbol]["min_occupancy"],
                "min_dwell_bars": metrics[walk.symbol]["min_dwell"],
                **_figures(report.strategy, report.buy_and_hold, bar_ms),
            }
        )
    if rows:
        curve = portfolio_curve([symbol_curve(series[walk.symbol], report) for walk, report in judged])
        rows.append(_overall(rows, curve, bar_ms, bars_per_year))
    return pl.DataFrame(rows, schema=EVALUATIONS.schema)


def _overall(rows: Sequence[Mapping[str, Any]], curve: Curve, bar_ms: int, bars_per_year: float) -> dict[str, Any]:
    """Return the row over all symbols: sums of counts, the weakest symbol's floors, the portfolio's figures."""
    ours = performance(curve.returns, curve.positions, bars_per_year)
    hold = performance(curve.hold_returns, np.ones(len(curve.hold_returns)), bars_per_year)
    turnover = float(np.mean([row["turnover_per_day"] for row in rows]))
    return {
        "version": rows[0]["version"],
        "symbol": ALL,
        "evaluated_at": rows[0]["evaluated_at"],
        "symbols": len(rows),
        "folds": sum(row["folds"] for row in rows),
        "bars": sum(row["bars"] for row in rows),
        "converged_frac": float(np.mean([row["converged_frac"] for row in rows])),
        "likelihood_gain": float(np.mean([row["likelihood_gain"] for row in rows])),
        "min_occupancy_frac": min(row["min_occupancy_frac"] for row in rows),
        "min_dwell_bars": min(row["min_dwell_bars"] for row in rows),
        **_figures(ours, hold, bar_ms),
        # The mean of absolute positions hides trades that cancel; these are what the symbols really traded.
        "turnover_per_day": turnover,
        "trades": sum(row["trades"] for row in rows),
    }


def _figures(ours: Performance, hold: Performance, bar_ms: int) -> dict[str, float | int]:
    return {
        "sharpe": ours.sharpe,
        "sharpe_se": ours.sharpe_se,
        "total_return": ours.total_return,
        "hold_return": hold.total_return,
        "max_drawdown_frac": ours.max_drawdown,
        "turnover_per_day": ours.turnover * DAY_MS / bar_ms,
        "exposure_frac": ours.exposure,
        "trades": ours.trades,
    }


def fit_metrics(outcomes: Sequence[FitOutcome]) -> dict[str, dict[str, float]]:
    """Return, by fitted symbol, what the gates ask about its final fit, and what a person reads on its card."""
    return {
        outcome.symbol: {
            "converged": float(outcome.report.converged),
            "min_occupancy": min(outcome.report.occupancy),
            "min_dwell": min(outcome.report.dwell_bars),
            "regimes": float(len(outcome.report.occupancy)),
            "iterations": float(outcome.report.iterations),
            "bic": outcome.report.bic,
            "gaps": float(outcome.report.gaps),
            "dropped_rows": float(outcome.report.dropped_rows),
            **_agreement(outcome.report.refit_agreement),
            **outcome.report.extra,
        }
        for outcome in outcomes
        if outcome.report is not None
    }


def _agreement(found: float) -> dict[str, float]:
    """A card holds numbers only: where refits were not compared, there is none."""
    return {"refit_agreement": found} if math.isfinite(found) else {}


def scores_of(row: Mapping[str, Any]) -> Scores:
    """Return a stored row over all symbols as the gates read it."""
    return Scores(
        symbols=row["symbols"],
        folds=row["folds"],
        bars=row["bars"],
        converged_frac=row["converged_frac"],
        likelihood_gain=row["likelihood_gain"],
        sharpe=row["sharpe"],
        sharpe_low=row["sharpe"] - Z_95 * row["sharpe_se"],
        max_drawdown_frac=row["max_drawdown_frac"],
        turnover_per_day=row["turnover_per_day"],
        min_occupancy_frac=row["min_occupancy_frac"],
        min_dwell_bars=row["min_dwell_bars"],
        trades=row["trades"],
    )
