"""Backtests beside nautilus_trader, backtesting.py and vectorbt: the same bars, the same fills, the same money."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path

from tests.benchmarks.row import Row
from tests.research_benchmarks import peers, trading

NAUTILUS = ("nautilus_trader==1.221.0",)
BACKTESTING = ("backtesting==0.6.6", "numpy==2.4.6", "pandas==2.3.3")
VECTORBT = ("vectorbt==1.0.0", "plotly==5.24.1", "numba==0.68.1", "numpy==2.4.6", "pandas==2.3.3")
SCRIPTS = Path(__file__).parent / "peer_scripts"
SHORT, LONG = 45_000, 450_000
ROUNDS = 3
CENT = 0.01


def _nautilus(bars: int, kind: trading.Kind, *, rounds: int = ROUNDS) -> Row:
    python = peers.environment(NAUTILUS)
    series = trading.bars(bars)
    ours, theirs = [], []
    with trading.bar_file(series) as path:
        for _ in range(rounds):
            said = peers.run(python, SCRIPTS / "with_nautilus.py", str(path), trading.FEE_BPS, kind)
            run = trading.run(series, kind)
            trading.same("fills", run.fills, said["fills"])
            balance = trading.CASH + run.traded.realised - run.traded.fees
            trading.same("balance", balance, Decimal(said["balance"]))
            ours.append(bars / run.seconds)
            theirs.append(bars / said["seconds"])
    return Row(statistics.median(ours), statistics.median(theirs), "orders/s" if kind == "every" else "bars/s")


def _backtesting(bars: int) -> Row:
    python = peers.environment(BACKTESTING)
    series = trading.bars(bars)
    ours, theirs = [], []
    with trading.bar_file(series) as path:
        for _ in range(ROUNDS):
            said = peers.run(python, SCRIPTS / "with_backtesting.py", str(path), trading.FEE_BPS)
            run = trading.run(series, "cross")
            # It lists trades when they are closed: the position still open is in its equity only.
            trading.same("entries", [[side, price] for side, _, price in run.fills][:-1], said["fills"])
            _same_money(run.traded.equity_final, said["equity"])
            ours.append(bars / run.seconds)
            theirs.append(bars / said["seconds"])
    return Row(statistics.median(ours), statistics.median(theirs), "bars/s")


def _vector(bars: int, *, warm: bool) -> Row:
    """``warm``: the quickest of many rounds in one process; else the first in a fresh one, with code from the cache."""
    python = peers.environment(VECTORBT)
    series = trading.bars(bars)
    ours, theirs = [], []
    with trading.bar_file(series) as path:
        script = (SCRIPTS / "with_vectorbt.py", str(path), trading.FEE_BPS)
        # The very first run compiles for half a minute and leaves its code on disk; nobody pays that twice.
        peers.run(python, *script, "1")
        for _ in range(1 if warm else ROUNDS):
            said = peers.run(python, *script, "7" if warm else "1")
            run = trading.run(series, "vector")
            trading.same("fills", run.fills, said["fills"])
            _same_money(run.traded.equity_final, said["equity"])
            theirs.append(bars / min(said["rounds"]))
            seconds = min(trading.run(series, "vector").seconds for _ in range(7)) if warm else _fresh(bars)
            ours.append(bars / seconds)
    return Row(statistics.median(ours), statistics.median(theirs), "bars/s")


def _fresh(bars: int) -> float:
    command = [sys.executable, "-m", "tests.research_benchmarks.first_vector_run", str(bars)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=peers.RUN_TIMEOUT_S)
    return float(json.loads(said.stdout)["seconds"])


def _same_money(ours: Decimal, theirs: float) -> None:
    if abs(float(ours) - theirs) >= CENT:
        raise RuntimeError(f"equity: ours {ours}, the peer's {theirs}")


ROWS: Mapping[str, Callable[[], Row]] = {
    "backtest_event_vs_nautilus": lambda: _nautilus(SHORT, "cross"),
    "backtest_event_vs_nautilus_450k": lambda: _nautilus(LONG, "cross", rounds=1),
    "backtest_event_vs_backtestingpy": lambda: _backtesting(SHORT),
    "backtest_event_vs_backtestingpy_450k": lambda: _backtesting(LONG),
    "backtest_orders": lambda: _nautilus(SHORT, "every"),
    "backtest_vector": lambda: _vector(LONG, warm=False),
    "backtest_vector_warm": lambda: _vector(LONG, warm=True),
}
