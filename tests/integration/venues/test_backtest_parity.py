"""A paper run on the real parts and a backtest of the same bars trade the same, fill by fill."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from engine_service.backtest.event_path import run_backtest
from engine_service.backtest.options import BacktestOptions, wide_open_limits
from engine_service.domain import events as e
from engine_service.domain.clock import SystemClock
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.marks import MarkBook
from engine_service.domain.order import OrderRequest
from engine_service.domain.order_status import OrderSide, OrderType
from engine_service.domain.state import EngineState
from engine_service.execution.core import EngineCore, Phase
from engine_service.execution.submit import submit
from engine_service.risk.gate import RiskGate
from engine_service.risk.policy import parse
from engine_service.storage.idempotency import IdempotencyStore
from engine_service.storage.journal import SqliteJournal
from engine_service.venues.paper.fill_model import Costs
from engine_service.venues.paper.sources import BarsSource
from engine_service.venues.paper.venue import PaperState, PaperVenue
from engine_service.venues.reports import BarReport, Quote
from strategies.contracts import Bar
from strategies.ma_cross import MovingAverageCross
from tests.unit.engine_service.venues.builders import bitcoin
from tests.unit.strategies.series import regime_series

SYMBOL = "BTCUSDT.BINANCE"
QUANTITY = Decimal(2)
MONEY = {"USDT": Decimal(100_000)}


def facts(fills: tuple[Fill, ...]) -> list[tuple[object, ...]]:
    """Return what two runs must agree on; ids are each run's own."""
    return [(f.side, f.price, f.quantity, f.fee, f.fee_asset, f.at_ms) for f in fills]


def reports(bars: list[Bar]) -> list[BarReport]:
    fields = ("symbol", "open_at_ms", "close_at_ms", "open", "high", "low", "close", "volume")
    return [
        BarReport(market=Market.SPOT, interval="1m", **{name: getattr(bar, name) for name in fields}) for bar in bars
    ]


class PaperRun:
    """The live parts: a journal on disk, the system's clock, the paper venue's own streams."""

    def __init__(self, bars: list[Bar], home: Path) -> None:
        clock = SystemClock()
        self.venue = PaperVenue(
            BarsSource([bitcoin()], reports(bars)), PaperState(balances=MONEY), costs=Costs(), latency_ms=0
        )
        self.journal = SqliteJournal(home / "journal.db", b"k" * 32, account="paper")
        self.core = EngineCore(
            account="paper",
            instance_key=b"paper",
            clock=clock,
            state=EngineState(),
            journal=self.journal,
            marks=MarkBook(),
            gate=RiskGate(parse(wide_open_limits())),
            venues={"BINANCE": self.venue},
            idempotency=IdempotencyStore(self.journal.answer, clock),
            instruments={(SYMBOL, Market.SPOT): bitcoin()},
            phase=Phase.READY,
        )
        self.fills: list[Fill] = []

    async def trade(self) -> tuple[Fill, ...]:
        self.core.connect()
        await self.venue.open()
        await self.core.commit(
            e.BalanceAdjusted(
                at_ms=0,
                venue="BINANCE",
                market=Market.SPOT,
                asset="USDT",
                amount=MONEY["USDT"],
                rate=Decimal(1),
                kind=e.AdjustmentKind.OPENING,
            )
        )
        strategy = MovingAverageCross(5, 13)
        async for event in self.venue.market_events(Market.SPOT, [SYMBOL], "1m"):
            if isinstance(event, Quote):
                self.core.update_quote(event)
            elif isinstance(event, BarReport):
                await self._on_bar(strategy, event)
        await self.core.settle()
        self.journal.close()
        return tuple(self.fills)

    async def _on_bar(self, strategy: MovingAverageCross, event: BarReport) -> None:
        fields = ("symbol", "open_at_ms", "close_at_ms", "open", "high", "low", "close", "volume")
        signal = strategy.on_bar(Bar(**{name: getattr(event, name) for name in fields}))
        long = self.core.state.portfolio.holding("BINANCE", Market.SPOT, "BTC") > 0
        if signal is None or (signal.target > 0) == long:
            return
        request = OrderRequest(
            symbol=SYMBOL,
            market=Market.SPOT,
            side=OrderSide.SELL if long else OrderSide.BUY,
            type=OrderType.MARKET,
            quantity=QUANTITY,
            reduce_only=long,
            strategy="ma_cross",
        )
        mark = e.IdempotencyMark(scope="test", key=str(event.open_at_ms), fingerprint="")
        self.fills += (await submit(self.core, request, mark)).fills


@pytest.mark.anyio
async def test_the_live_parts_and_the_backtest_give_the_same_fills_on_the_same_bars(tmp_path: Path) -> None:
    bars = regime_series(1_500, seed=3).bars()
    live = await PaperRun(bars, tmp_path).trade()
    options = BacktestOptions(
        balances=MONEY, quantity=QUANTITY, ticks={SYMBOL: bitcoin().tick}, steps={SYMBOL: bitcoin().step}
    )
    tested = await asyncio.to_thread(run_backtest, bars, lambda _: [MovingAverageCross(5, 13)], options)
    assert len(live) > 20
    assert facts(live) == facts(tested.fills)
