"""``docs/research.md``: its two blocks of figures are written by the command that measured them, never by hand."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.benchmarks.row import Row

PAGE = Path(__file__).resolve().parents[2] / "docs" / "research.md"
BENCHMARKS, ECONOMICS = "benchmarks", "economics"
ALL = "ALL"

#: Row name to (against what, goal). A ratio of seconds is better below 1, every other above.
GOALS: Mapping[str, tuple[str, str]] = {
    "filter_step": ("`hmmlearn.predict_proba` on a window of 256 bars, one symbol", ">= 50"),
    "filter_batch": ("the same, 500 symbols at once", ">= 2,500"),
    "fit_many": ("a plain hmmlearn loop with the same ten starts, 100 symbols of 5,000 bars", ">= 2.5"),
    "backtest_event_vs_nautilus": ("nautilus_trader, crossover 10/30, 45,000 bars, the same fills", ">= 10"),
    "backtest_event_vs_nautilus_450k": ("the same, 450,000 bars", ">= 10"),
    "backtest_event_vs_backtestingpy": ("backtesting.py, the same bars and entries", ">= 2"),
    "backtest_event_vs_backtestingpy_450k": ("the same, 450,000 bars", ">= 2"),
    "backtest_orders": ("nautilus_trader, a market order at each of 45,000 bars, in and out, every rail on", ">= 10"),
    "backtest_vector": ("vectorbt, the first run in a process, the same fills", ">= 200"),
    "backtest_vector_warm": ("vectorbt, the quickest of seven runs in one process: no goal, for comparison", ""),
    "features": ("pandas, eight rolling features, 500 symbols of 1,440 bars", ">= 3"),
    "features_vs_numpy": ("plain NumPy, the same", ">= 0.67"),
    "regime_recovery": ("hmmlearn, one start: regimes of simulated chains found again, three separations", "> 1"),
    "screening": ("the goal of 1.5 s, 1,000 symbols of 1,440 bars, cold", "<= 1"),
}


def write_rows(measured: Mapping[str, Row], machine: Sequence[tuple[str, str]], page: Path = PAGE) -> None:
    """Put measured rows into the page; rows that were not measured now keep their line and its date."""
    text = page.read_text(encoding="utf-8")
    kept = {line.split("|")[1].strip(" `"): line for line in _block(text, BENCHMARKS).splitlines() if "| `" in line}
    for name, row in measured.items():
        against, goal = GOALS.get(name, (row.note, ""))
        figures = f"{short(row.ours)} | {short(row.peer)} | {row.unit} | {short(row.ratio)} | {goal}"
        kept[name] = f"| `{name}` | {against} | {figures} | {datetime.now(UTC):%Y-%m-%d} |"
    order = [*(name for name in GOALS if name in kept), *sorted(kept.keys() - GOALS.keys())]
    head = ["| row | against | ours | peer | unit | ratio | goal | measured |", "|---|---|---|---|---|---|---|---|"]
    foot = ", ".join(f"{name} {value}" for name, value in machine if name in {"machine", "python"})
    _replace(page, text, BENCHMARKS, [*head, *(kept[name] for name in order), "", f"On: {foot}."])


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
    _replace(page, page.read_text(encoding="utf-8"), ECONOMICS, lines)


def short(value: float) -> str:
    """Return a figure to three digits, thousands apart."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


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


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- end of {name} -->)", re.DOTALL)


def _block(text: str, name: str) -> str:
    found = _pattern(name).search(text)
    if found is None:
        raise ValueError(f"the page has no block {name}")
    return found.group(0)


def _replace(page: Path, text: str, name: str, lines: Sequence[str]) -> None:
    _block(text, name)
    block = "\n".join(lines) + "\n"
    page.write_text(_pattern(name).sub(lambda _: block, text, count=1), encoding="utf-8")
