"""Signals that cannot be meant are dropped by name; three in a row switch their strategy off, and the loop goes on."""

from __future__ import annotations

import math
from asyncio import Future

import pytest

from engine_service.domain import events as e
from engine_service.execution.core import EngineCore
from engine_service.runtime.signal_check import flaw_of
from strategies.contracts import Signal
from strategies.ma_cross import MovingAverageCross
from tests.fakes.engine import make_core
from tests.unit.engine_service.runtime.test_strategy_loop import BTC, ETH, bar, enabled, loop_of

pytestmark = pytest.mark.anyio


def signal(target: float = 1.0, confidence: float = 0.7, symbol: str = BTC) -> Signal:
    return Signal(strategy="ma_cross", symbol=symbol, at_ms=1_700_000_060_000, target=target, confidence=confidence)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[e.Event]:
    said: list[e.Event] = []
    record = EngineCore.record

    def told(self: EngineCore, *events: e.Event) -> Future[int]:
        said.extend(events)
        return record(self, *events)

    monkeypatch.setattr(EngineCore, "record", told)
    return said


def says(monkeypatch: pytest.MonkeyPatch, *signals: Signal | None) -> None:
    """Have the crossing strategy say one thing after another."""
    words = iter(signals)
    monkeypatch.setattr(MovingAverageCross, "on_bar", lambda *_: next(words))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 7.0, -1.0001])
def test_what_cannot_be_meant_has_a_flaw(value: float) -> None:
    assert flaw_of(signal(target=value), bar(BTC, 0, 100.0))
    assert flaw_of(signal(confidence=value), bar(BTC, 0, 100.0))


@pytest.mark.parametrize("target", [-1.0, 0.0, 0.25, 1.0])
def test_a_share_with_a_probability_has_none(target: float) -> None:
    assert flaw_of(signal(target=target, confidence=abs(target)), bar(BTC, 0, 100.0)) == ""
    assert flaw_of(signal(symbol=ETH), bar(BTC, 0, 100.0))


async def test_a_flawed_signal_is_dropped_and_the_next_sound_one_counts(
    monkeypatch: pytest.MonkeyPatch, recorded: list[e.Event]
) -> None:
    core = make_core()
    loop = loop_of(core)
    loop.running = True
    says(monkeypatch, signal(target=math.nan), signal(confidence=7.0), signal(), signal(target=7.0), None)
    for number in range(5):
        await loop.on_bar(bar(BTC, number, 100.0))
    emitted = [event for event in recorded if isinstance(event, e.SignalEmitted) and event.strategy == "ma_cross"]
    assert [event.target for event in emitted] == [1.0]
    dropped = [event for event in recorded if isinstance(event, e.Anomaly)]
    assert [(event.kind, event.subject) for event in dropped] == [("signal_dropped", "ma_cross")] * 3
    assert enabled(core, "ma_cross") is None, "never three in a row"


async def test_three_in_a_row_switch_the_strategy_off(monkeypatch: pytest.MonkeyPatch, recorded: list[e.Event]) -> None:
    core = make_core()
    loop = loop_of(core)
    says(monkeypatch, *[signal(target=math.nan)] * 10)
    for number in range(10):
        await loop.on_bar(bar(BTC, number, 100.0))
    assert enabled(core, "ma_cross") is False
    changes = [event for event in recorded if isinstance(event, e.StrategyChanged)]
    assert [(event.principal, "nan is no share" in event.reason) for event in changes] == [("engine", True)]
    kinds = [event.kind for event in recorded if isinstance(event, e.Anomaly)]
    assert kinds == ["signal_dropped"] * 3 + ["strategy_failed"]
