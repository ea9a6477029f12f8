"""A step that takes too long holds up orders: it is measured and journaled, and its strategy is stood down for it."""

from __future__ import annotations

import time
from asyncio import Future
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from engine_service.domain import events as e
from engine_service.execution.core import EngineCore
from engine_service.runtime.model_bundle import parse_bundle
from engine_service.runtime.shadow_league import ShadowLeague
from engine_service.runtime.step_watch import MOST_SLOW, OF_STEPS, StepWatch
from strategies.contracts import Bar
from strategies.league import Challenger
from strategies.ma_cross import MovingAverageCross
from strategies.regime_policy import RegimePolicy
from tests.fakes.engine import make_core
from tests.unit.engine_service.runtime.test_model_bundle import _bundle
from tests.unit.engine_service.runtime.test_strategy_loop import BTC, ETH, bar, enabled, loop_of

pytestmark = pytest.mark.anyio


class Rig:
    """A core, what it recorded, and a clock that only slow steps move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.core = make_core()
        self.recorded: list[e.Event] = []
        self.observed: list[tuple[str, float]] = []
        self.shown: Counter[str] = Counter()
        self.slow: set[int] = set()
        self._now_s = 0.0
        self.patch = monkeypatch
        record = EngineCore.record

        def told(core: EngineCore, *events: e.Event) -> Future[int]:
            self.recorded.extend(events)
            return record(core, *events)

        monkeypatch.setattr(EngineCore, "record", told)
        self.watch = StepWatch(self.core, lambda *step: self.observed.append(step), lambda: self._now_s)

    def slow_down(self, of: type, method: str) -> None:
        """Let the steps of a class whose numbers are in ``slow`` take 0.25 s."""
        honest = getattr(of, method)

        def step(subject: Any, shown: Bar) -> Any:
            self._now_s += 0.25 if self.shown[of.__name__] in self.slow else 0.0
            self.shown[of.__name__] += 1
            return honest(subject, shown)

        self.patch.setattr(of, method, step)

    def kinds(self) -> list[tuple[str, str]]:
        return [(event.kind, event.subject) for event in self.recorded if isinstance(event, e.Anomaly)]

    def changes(self) -> list[tuple[str, bool, str]]:
        found = [event for event in self.recorded if isinstance(event, e.StrategyChanged)]
        return [(event.strategy, event.enabled, event.principal) for event in found]


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch)


def switched_on(core: EngineCore, name: str) -> None:
    settings = core.state.strategy(name)
    assert settings is not None
    core.record(
        e.StrategyChanged(
            at_ms=0, strategy=name, enabled=True, dry_run=True, budget=settings.budget, weight=settings.weight,
            model_version="", principal="anna", reason="made quicker",
        )
    )  # fmt: skip


async def test_a_strategy_that_is_slow_again_and_again_is_stood_down_and_shown_no_bar(rig: Rig) -> None:
    rig.slow_down(MovingAverageCross, "on_bar")
    rig.slow = {3, 5, 9, 10}
    loop = loop_of(rig.core, rig.watch)
    for number in range(20):
        await loop.on_bar(bar(BTC, number, 100.0))
    assert rig.shown["MovingAverageCross"] == 10, "not shown another bar after its third slow one"
    assert rig.kinds() == [("strategy_slow", "ma_cross")] * MOST_SLOW + [("strategy_failed", "ma_cross")]
    assert rig.changes() == [("ma_cross", False, "engine")]
    reason = next(event.reason for event in rig.recorded if isinstance(event, e.StrategyChanged))
    assert "BTCUSDT.BINANCE: a step took 0.25 s, allowed are 0.1 s; 3 of its last 20 steps were too slow" in reason
    assert sorted(seconds for name, seconds in rig.observed if name == "ma_cross") == [0.0] * 7 + [0.25] * 3


async def test_a_slow_step_now_and_then_is_told_and_forgiven(rig: Rig) -> None:
    rig.slow_down(MovingAverageCross, "on_bar")
    rig.slow = {OF_STEPS * number // 2 for number in range(8)}
    loop = loop_of(rig.core, rig.watch)
    for number in range(OF_STEPS * 4):
        await loop.on_bar(bar(BTC, number, 100.0))
    assert rig.kinds() == [("strategy_slow", "ma_cross")] * 8
    assert enabled(rig.core, "ma_cross") is None


async def test_what_a_person_switches_on_again_begins_anew(rig: Rig) -> None:
    rig.slow_down(MovingAverageCross, "on_bar")
    rig.slow = {40, 41, 42}
    loop = loop_of(rig.core, rig.watch)
    for number in range(50):
        await loop.on_bar(bar(BTC, number, 100.0 - number))
    assert enabled(rig.core, "ma_cross") is False
    switched_on(rig.core, "ma_cross")
    # With the falling closes of before the rise would cross at once; anew it needs its 21 bars.
    for number in range(50, 70):
        await loop.on_bar(bar(BTC, number, 100.0 + 5 * number))
    assert [event for event in rig.recorded if isinstance(event, e.SignalEmitted)] == []
    assert rig.shown["MovingAverageCross"] == 43 + 20


async def test_a_model_too_slow_for_its_past_bars_never_comes_into_force(rig: Rig) -> None:
    rig.slow_down(RegimePolicy, "observe")
    rig.slow = set(range(1_000))
    loop = loop_of(rig.core, rig.watch)
    past = [bar(BTC, number, 100.0) for number in range(500)]
    rig.patch.setattr(loop, "_feed", lambda: SimpleNamespace(symbols=(BTC,), history=lambda _symbol: past))
    rig.patch.setattr(ShadowLeague, "crown", lambda *_: None)
    loop.swap_model(parse_bundle(_bundle()))
    assert rig.shown["RegimePolicy"] == MOST_SLOW
    assert enabled(rig.core, "hmm_regime") is False
    await loop.on_bar(bar(BTC, 500, 100.0))
    assert rig.shown["RegimePolicy"] == MOST_SLOW


async def test_a_symbol_that_a_later_model_does_not_know_is_left_alone_and_named(rig: Rig) -> None:
    rig.slow_down(RegimePolicy, "on_bar")
    loop = loop_of(rig.core, rig.watch)
    rig.patch.setattr(loop, "_feed", lambda: SimpleNamespace(symbols=(BTC, ETH), history=lambda _symbol: ()))
    rig.patch.setattr(ShadowLeague, "crown", lambda *_: None)
    both = {symbol: _bundle()["symbols"][BTC] for symbol in (BTC, ETH)}
    loop.swap_model(parse_bundle(_bundle(symbols=both)))
    loop.swap_model(parse_bundle(_bundle(version="rm-later")))
    assert rig.kinds() == [("symbol_without_model", ETH)]
    for symbol in (BTC, ETH):
        await loop.on_bar(bar(symbol, 1, 100.0))
    assert rig.shown["RegimePolicy"] == 1
    loop.swap_model(parse_bundle(_bundle(symbols=both, version="rm-both")))
    await loop.on_bar(bar(ETH, 2, 100.0))
    assert rig.shown["RegimePolicy"] == 2


@pytest.mark.parametrize("flaw", ["slow", "failing"])
async def test_a_challenger_that_is_slow_or_fails_is_put_out_and_the_strategies_get_their_bars(
    rig: Rig, flaw: str
) -> None:
    loop = loop_of(rig.core, rig.watch)
    bundle = parse_bundle(_bundle())
    await loop.league.enter(bundle, principal="anna", reason="")
    assert list(loop.league.versions) == [bundle.version]
    rig.slow = set(range(100))
    if flaw == "failing":
        rig.patch.setattr(Challenger, "on_bar", lambda *_: 1 / 0)
    else:
        rig.slow_down(Challenger, "on_bar")
    rig.patch.setattr(MovingAverageCross, "on_bar", counted(rig))
    for number in range(10):
        await loop.on_bar(bar(BTC, number, 100.0))
    assert list(loop.league.versions) == []
    assert rig.shown["bars"] == 10
    name = f"shadow:{bundle.version}"
    slow = [("strategy_slow", name)] * MOST_SLOW if flaw == "slow" else []
    assert rig.kinds() == [*slow, ("challenger_failed", name)]
    assert (name, False, "engine") in rig.changes()
    assert rig.shown["Challenger"] == (MOST_SLOW if flaw == "slow" else 0)


def counted(rig: Rig) -> Any:
    def on_bar(_self: MovingAverageCross, _bar: Bar) -> None:
        rig.shown["bars"] += 1

    return on_bar


async def test_what_the_machine_does_meanwhile_is_not_the_strategys_time() -> None:
    core = make_core()
    took: list[float] = []
    watch = StepWatch(core, lambda _, seconds: took.append(seconds))
    for _ in range(MOST_SLOW):
        began_s = watch.now_s()
        time.sleep(0.03)  # noqa: ASYNC251 the very thing
        assert watch.failure("idle", "BTCUSDT.BINANCE", began_s, 0.02) == ""
    said = ""
    for _ in range(MOST_SLOW):
        began_s = watch.now_s()
        while watch.now_s() - began_s < 0.03:
            pass
        said = watch.failure("busy", "BTCUSDT.BINANCE", began_s, 0.02)
    assert "too slow" in said
    assert max(took[:MOST_SLOW]) < 0.02 < min(took[MOST_SLOW:])
