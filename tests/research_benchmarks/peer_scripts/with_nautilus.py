"""nautilus_trader on the benchmark's bars: ``with_nautilus.py BARS.npz FEE_BPS {cross,every}``.

``cross`` trades the crossover 10/30, long 1 or short 1; ``every`` sends one market order at each bar, in and out again.
Runs in its own environment.
"""

from __future__ import annotations

import json
import sys
import time
from decimal import Decimal
from typing import Any

import numpy as np
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

VENUE = Venue("BINANCE")
PERPETUAL = InstrumentId(Symbol("BTCUSDT-PERP"), VENUE)
BARS = BarType.from_str(f"{PERPETUAL}-1-MINUTE-LAST-EXTERNAL")


class Config(StrategyConfig, frozen=True):  # type: ignore[misc, call-arg]  # the peer ships no types here
    """``mode`` as on the command line."""

    mode: str


class Trader(Strategy):  # type: ignore[misc]  # as above
    """Brings the position to 1, 0 or -1 with market orders."""

    def on_start(self) -> None:
        self.instrument = self.cache.instrument(PERPETUAL)
        self.fast, self.slow = SimpleMovingAverage(10), SimpleMovingAverage(30)
        self.was_above: bool | None = None
        self.held = 0
        self.fills: list[list[Any]] = []
        if self.config.mode == "cross":
            self.register_indicator_for_bars(BARS, self.fast)
            self.register_indicator_for_bars(BARS, self.slow)
        self.subscribe_bars(BARS)

    def on_bar(self, bar: Any) -> None:
        if self.config.mode == "every":
            self.go(0 if self.held > 0 else 1)
            return
        if not self.slow.initialized:
            return
        above = self.fast.value > self.slow.value
        if self.was_above is not None and above != self.was_above:
            self.go(1 if above else -1)
        self.was_above = above

    def go(self, target: int) -> None:
        change, self.held = target - self.held, target
        side = OrderSide.BUY if change > 0 else OrderSide.SELL
        self.submit_order(self.order_factory.market(PERPETUAL, side, self.instrument.make_qty(abs(change))))

    def on_order_filled(self, event: Any) -> None:
        self.fills.append([event.order_side.name, float(str(event.last_qty)), float(str(event.last_px))])


def perpetual(fee: Decimal) -> Any:
    """Return an instrument that takes the benchmark's prices and sizes as they are."""
    return CryptoPerpetual(
        instrument_id=PERPETUAL,
        raw_symbol=Symbol("BTCUSDT"),
        base_currency=BTC,
        quote_currency=USDT,
        settlement_currency=USDT,
        is_inverse=False,
        price_precision=2,
        size_precision=3,
        price_increment=Price.from_str("0.01"),
        size_increment=Quantity.from_str("0.001"),
        margin_init=Decimal("0.01"),
        margin_maint=Decimal("0.005"),
        maker_fee=fee,
        taker_fee=fee,
        ts_event=0,
        ts_init=0,
    )


def main() -> None:
    """Run once and print seconds, fills and the balance as JSON."""
    data = np.load(sys.argv[1])
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False))
    engine.add_venue(VENUE, OmsType.NETTING, AccountType.MARGIN, [Money(100_000_000, USDT)], base_currency=USDT)
    engine.add_instrument(perpetual(Decimal(sys.argv[2]) / 10_000))
    volume = Quantity(1000, 3)
    names = ("close_at", "open", "high", "low", "close")
    rows = zip(*(data[name].tolist() for name in names), strict=True)
    engine.add_data(
        [
            Bar(BARS, Price(o, 2), Price(h, 2), Price(low, 2), Price(c, 2), volume, at * 1_000_000, at * 1_000_000)
            for at, o, h, low, c in rows
        ]
    )
    trader = Trader(Config(mode=sys.argv[3]))
    engine.add_strategy(trader)
    began = time.perf_counter()
    engine.run()
    seconds = time.perf_counter() - began
    balance = engine.cache.account_for_venue(VENUE).balance_total(USDT).as_decimal()
    print(json.dumps({"seconds": seconds, "balance": str(balance), "fills": trader.fills}))


main()
