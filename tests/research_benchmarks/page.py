"""``docs/research.md``: its two blocks of figures are written by the command that measured them, never by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.benchmarks import page as figures
from tests.benchmarks.page import Aim
from tests.benchmarks.row import Row

PAGE = Path(__file__).resolve().parents[2] / "docs" / "research.md"
BENCHMARKS, ECONOMICS = "benchmarks", "economics"

#: What each row is against, and its goal. A ratio of seconds is better below 1, every other above.
AIMS: Mapping[str, Aim] = {
    "filter_step": Aim("`hmmlearn.predict_proba` on a window of 256 bars, one symbol", ">= 50"),
    "filter_batch": Aim("the same, 500 symbols at once", ">= 2,500"),
    "fit_many": Aim("a plain hmmlearn loop with the same ten starts, 100 symbols of 5,000 bars", ">= 2.5"),
    "backtest_event_vs_nautilus": Aim("nautilus_trader, crossover 10/30, 45,000 bars, the same fills", ">= 10"),
    "backtest_event_vs_nautilus_450k": Aim("the same, 450,000 bars", ">= 10"),
    "backtest_event_vs_backtestingpy": Aim("backtesting.py, the same bars and entries", ">= 2"),
    "backtest_event_vs_backtestingpy_450k": Aim("the same, 450,000 bars", ">= 2"),
    "backtest_orders": Aim(
        "nautilus_trader, a market order at each of 45,000 bars, in and out, every rail on", ">= 10"
    ),
    "backtest_vector": Aim("vectorbt, the first run in a process, the same fills", ">= 200"),
    "backtest_vector_warm": Aim("vectorbt, the quickest of seven runs in one process: no goal, for comparison"),
    "features": Aim("pandas, eight rolling features, 500 symbols of 1,440 bars", ">= 3"),
    "features_vs_numpy": Aim("plain NumPy, the same", ">= 0.67"),
    "regime_recovery": Aim("hmmlearn, one start: regimes of simulated chains found again, three separations", "> 1"),
    "screening": Aim("the goal of 1.5 s, 1,000 symbols of 1,440 bars, cold", "<= 1"),
}


def write_rows(measured: Mapping[str, Row], machine: Sequence[tuple[str, str]], page: Path = PAGE) -> None:
    """Put measured rows into the page; rows that were not measured now keep their line and its date."""
    figures.write_rows(measured, AIMS, machine, page=page, block=BENCHMARKS)


def write_economics(bars: Path, page: Path = PAGE) -> None:
    """Judge every symbol of a file with ``nhmm economics`` and put its table into the page.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    command = [sys.executable, "-m", "orchestration.cli", "economics", "--bars", str(bars), "--jobs", "2", "--json"]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result = json.loads(said.stdout.splitlines()[-1])
    head = [
        "| symbol | way | Sharpe | return | drawdown | turnover / year | edge / year | nats / bar | lag, bars |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    facts = f"Costs {result['cost_bps']:g} bps of turnover; {len(result['rows'])} rows, measured {day}."
    refused = [f"Refused: {name}: {reason}." for name, reason in result["refused"].items()]
    lines = [*head, *(_judged(row) for row in result["rows"]), "", facts, *refused]
    figures.replace_block(page, ECONOMICS, lines)


def _judged(row: Mapping[str, Any]) -> str:
    likely = f"{row['nats_per_bar']:+.3f} ± {row['nats_se']:.3f}" if "nats_per_bar" in row else ""
    lag = f"{row['lag_bars']:.1f}" if "lag_bars" in row else ""
    cells = (
        row["symbol"],
        row["strategy"],
        f"{row['sharpe']:.2f} ± {row['sharpe_se']:.2f}",
        f"{row['total_return']:.0%}",
        f"{row['max_drawdown']:.0%}",
        f"{row['turnover_per_year']:,.0f}",
        f"{row['edge']:+.0%} ± {row['edge_se']:.0%}",
        likely,
        lag,
    )
    return "| " + " | ".join(cells) + " |"
