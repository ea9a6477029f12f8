"""The strategy loop: a strategy that fails is switched off by name, and everything else goes on."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from engine_service.domain import events as e
from engine_service.domain.ids import Market
from engine_service.domain.order import OrderRequest
from engine_service.execution.core import EngineCore
from engine_service.runtime.market_feed import MarketFeed
from engine_service.runtime.regime_tape import RegimeTape
from engine_service.runtime.step_watch import StepWatch
from engine_service.runtime.strategy_config import load_strategies
from engine_service.runtime.strategy_loop import StrategyLoop
from strategies.contracts import Bar, Signal
from strategies.ma_cross import MovingAverageCross
from strategies.regime_policy import RegimePolicy
from tests.architecture.sources import ROOT
from tests.fakes.engine import make_core

pytestmark = pytest.mark.anyio
BTC, ETH = "BTCUSDT.BINANCE", "ETHUSDT.BINANCE"


class NoHistory:
    symbols = (BTC, ETH)

    def history(self, _symbol: str) -> Sequence[Bar]:
        return ()


def silent(core: EngineCore) -> StepWatch:
    return StepWatch(core, lambda *_: None)


def loop_of(core: EngineCore, watch: StepWatch | None = None) -> StrategyLoop:
    async def submit(_request: OrderRequest, _key: str) -> None: ...

    configs = load_strategies(Path(ROOT / "config" / "strategies.yaml"))
    feed = cast("MarketFeed", NoHistory())
    return StrategyLoop(core, lambda: feed, Market.SPOT, configs, submit, RegimeTape(), watch or silent(core))


def bar(symbol: str, number: int, close: float) -> Bar:
    opened = 1_700_000_000_000 + 60_000 * number
    return Bar(
        symbol=symbol,
        open_at_ms=opened,
        close_at_ms=opened + 60_000,
        open=close,
        high=close,
        low=close,
        close=close,
        volume=1.0,
    )


def enabled(core: EngineCore, strategy: str) -> bool | None:
    settings = core.state.strategy(strategy)
    return settings.enabled if settings else None


async def test_a_strategy_that_fails_is_switched_off_once_by_name_and_the_loop_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = make_core()
    loop = loop_of(core)
    honest = MovingAverageCross.on_bar

    def failing(self: MovingAverageCross, shown: Bar) -> Signal | None:
        if shown.symbol == ETH:
            raise ZeroDivisionError("no volume")
        return honest(self, shown)

    monkeypatch.setattr(MovingAverageCross, "on_bar", failing)
    recorded: list[e.Event] = []
    record = EngineCore.record

    def told(self: EngineCore, *events: e.Event) -> Future[int]:
        recorded.extend(events)
        return record(self, *events)

    monkeypatch.setattr(EngineCore, "record", told)
    for number in range(3):
        await loop.on_bar(bar(BTC, number, 100.0))
        await loop.on_bar(bar(ETH, number, 100.0))
    anomalies = [event for event in recorded if isinstance(event, e.Anomaly)]
    assert [(event.kind, event.subject) for event in anomalies] == [("strategy_failed", "ma_cross")]
    assert anomalies[0].detail == f"{ETH}: ZeroDivisionError: no volume"
    assert enabled(core, "ma_cross") is False
    assert enabled(core, "hmm_regime") is None
    changes = [event for event in recorded if isinstance(event, e.StrategyChanged)]
    assert [(event.principal, "no volume" in event.reason) for event in changes] == [("engine", True)]


async def test_what_is_switched_off_says_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core()
    loop = loop_of(core)
    closes = [100.0 - at for at in range(30)] + [70.0 + 3 * at for at in range(30)]
    for number, close in enumerate(closes[:30]):
        await loop.on_bar(bar(BTC, number, close))
    monkeypatch.setattr(MovingAverageCross, "on_bar", lambda *_: 1 / 0)
    await loop.on_bar(bar(BTC, 30, 60.0))
    monkeypatch.undo()
    said: list[e.Event] = []
    monkeypatch.setattr(EngineCore, "record", lambda _core, *events: said.extend(events))
    for number, close in enumerate(closes[30:]):
        await loop.on_bar(bar(BTC, 31 + number, close))
    assert [event for event in said if isinstance(event, e.SignalEmitted) and event.strategy == "ma_cross"] == []


async def test_what_is_switched_off_has_no_voice_in_the_ensemble_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def word(name: str, target: float) -> Signal:
        return Signal(strategy=name, symbol=BTC, at_ms=0, target=target, confidence=0.9)

    core = make_core()
    loop = loop_of(core)
    desk = loop._desk(BTC)
    desk.policy = cast("RegimePolicy", SimpleNamespace(on_bar=lambda _bar: word("hmm_regime", -1.0), posterior=None))
    monkeypatch.setattr(MovingAverageCross, "on_bar", lambda *_: word("ma_cross", 1.0))
    await loop.on_bar(bar(BTC, 0, 100.0))
    assert desk.combined.score() == 0.0
    core.record(
        e.StrategyChanged(
            at_ms=0, strategy="ma_cross", enabled=False, dry_run=False, budget=Decimal(0), weight=Decimal("0.5"),
            model_version="", principal="anna", reason="",
        )
    )  # fmt: skip
    await loop.on_bar(bar(BTC, 1, 100.0))
    assert desk.combined.score() == pytest.approx(-0.9)
