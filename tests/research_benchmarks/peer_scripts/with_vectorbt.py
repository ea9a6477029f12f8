"""vectorbt on the benchmark's bars: ``with_vectorbt.py BARS.npz FEE_BPS ROUNDS``. Runs in its own environment."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import pandas as pd
import vectorbt as vbt

#: The figures that our path gives too.
METRICS = ["end_value", "total_fees_paid", "total_trades", "max_dd", "max_gross_exposure", "sharpe_ratio"]


def run(close: Any, fee: float) -> tuple[Any, Any]:
    """Return portfolio and figures of the crossover 10/30, long 1 or short 1 from the first crossing on."""
    fast, slow = vbt.MA.run(close, 10).ma, vbt.MA.run(close, 30).ma
    above, known = (fast > slow).to_numpy(), slow.notna().to_numpy()
    crossed = np.zeros(len(above), dtype=bool)
    crossed[1:] = (above[1:] != above[:-1]) & known[:-1]
    portfolio = vbt.Portfolio.from_signals(
        close,
        crossed & above,
        crossed & ~above,
        direction="both",
        size=1.0,
        size_type="amount",
        fees=fee,
        init_cash=100_000_000.0,
        freq="1min",
    )
    return portfolio, portfolio.stats(METRICS)


def main() -> None:
    """Print the seconds of every round, the first in this process first, with fills and equity, as JSON."""
    data = np.load(sys.argv[1])
    fee = float(sys.argv[2]) / 10_000
    close = pd.Series(data["close"], index=pd.to_datetime(data["close_at"], unit="ms"))
    rounds = []
    for _ in range(int(sys.argv[3])):
        began = time.perf_counter()
        portfolio, figures = run(close, fee)
        rounds.append(time.perf_counter() - began)
    orders = portfolio.orders.values
    columns = (orders["side"].tolist(), orders["size"].tolist(), orders["price"].tolist())
    fills = [["SELL" if side else "BUY", size, price] for side, size, price in zip(*columns, strict=True)]
    print(json.dumps({"rounds": rounds, "equity": float(figures["End Value"]), "fills": fills}))


main()
