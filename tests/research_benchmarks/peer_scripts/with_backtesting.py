"""backtesting.py on the benchmark's bars: ``with_backtesting.py BARS.npz FEE_BPS``. Runs in its own environment."""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy


def mean(values: Any, window: int) -> Any:
    """Return the simple moving average of a column."""
    return pd.Series(values).rolling(window).mean()


class Cross(Strategy):  # type: ignore[misc]  # the peer ships no types here
    """Long 1 above, short 1 below, from the first crossing on."""

    def init(self) -> None:
        self.fast = self.I(mean, self.data.Close, 10)
        self.slow = self.I(mean, self.data.Close, 30)

    def next(self) -> None:
        if np.isnan(self.slow[-2]):
            return
        above, was_above = self.fast[-1] > self.slow[-1], self.fast[-2] > self.slow[-2]
        if above and not was_above:
            self.buy(size=2 if self.position.is_short else 1)
        elif was_above and not above:
            self.sell(size=2 if self.position.is_long else 1)


def main() -> None:
    """Run once and print seconds, fills and equity as JSON."""
    data = np.load(sys.argv[1])
    fee = float(sys.argv[2]) / 10_000
    columns = {name.capitalize(): data[name] for name in ("open", "high", "low", "close", "volume")}
    frame = pd.DataFrame(columns, index=pd.to_datetime(data["open_at"], unit="ms"))
    warnings.simplefilter("ignore")
    test = Backtest(frame, Cross, cash=100_000_000, commission=fee, trade_on_close=True, finalize_trades=False)
    began = time.perf_counter()
    stats = test.run()
    seconds = time.perf_counter() - began
    trades = stats["_trades"]
    entries = [
        ["BUY" if size > 0 else "SELL", float(price)]
        for size, price in zip(trades.Size, trades.EntryPrice, strict=True)
    ]
    print(json.dumps({"seconds": seconds, "fills": entries, "equity": float(stats["Equity Final [$]"])}))


main()
