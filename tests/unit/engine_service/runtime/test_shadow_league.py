"""The league after a restart: who learned from other bars than the engine now closes is left out, and is not lost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from engine_service.domain.errors import NotFound
from engine_service.execution.core import EngineCore
from engine_service.runtime.model_bundle import ModelBundle, parse_bundle
from engine_service.runtime.shadow_league import ShadowLeague
from engine_service.runtime.step_watch import StepWatch
from strategies.regime_policy import PolicyOptions
from tests.fakes.engine import make_core
from tests.unit.engine_service.runtime.test_model_bundle import _bundle

pytestmark = pytest.mark.anyio
SECONDS, MINUTES = "rm-000000000001", "rm-000000000060"


def league_of(core: EngineCore, interval: str) -> ShadowLeague:
    feed: Any = SimpleNamespace(symbols=("BTCUSDT.BINANCE",), interval=interval, history=lambda _symbol: ())
    return ShadowLeague(core, lambda: feed, PolicyOptions(), 12.0, StepWatch(core, lambda *_: None), 0.1)


def challenger(version: str, interval: str) -> ModelBundle:
    return parse_bundle(_bundle(version=version, interval=interval))


async def core_with_challengers_of_both_lengths() -> EngineCore:
    core = make_core()
    before = league_of(core, "1s")
    await before.enter(challenger(SECONDS, "1s"), principal="anna", reason="")
    await before.enter(challenger(MINUTES, "1m"), principal="anna", reason="")
    return core


@pytest.mark.parametrize(("interval", "back", "left"), [("1s", SECONDS, MINUTES), ("1m", MINUTES, SECONDS)])
async def test_a_challenger_that_reads_other_bars_is_left_out_with_a_warning(
    interval: str, back: str, left: str
) -> None:
    core = await core_with_challengers_of_both_lengths()
    league = league_of(core, interval)
    with capture_logs() as said:
        league.restore()
    assert league.versions == (back,)
    assert [(line["log_level"], line["version"], line["now"]) for line in said] == [("warning", left, interval)]


async def test_one_that_was_left_out_can_be_withdrawn_and_is_back_nowhere_then() -> None:
    core = await core_with_challengers_of_both_lengths()
    league = league_of(core, "1s")
    league.restore()
    await league.withdraw(MINUTES, principal="anna", reason="of other bars")
    assert league.versions == (SECONDS,)
    with pytest.raises(NotFound):
        await league.withdraw(MINUTES, principal="anna", reason="twice")
    again = league_of(core, "1m")
    again.restore()
    assert again.versions == ()
