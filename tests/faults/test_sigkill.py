"""A few kills of each way: nothing placed twice, nothing acknowledged and lost, books equal to the ledger."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import pytest

from engine_service.domain.ids import Market
from tests.faults import failpoints, sigkill
from tests.faults.crash_lane import Lane, LaneResult, campaign
from tests.faults.failpoints import PLACES, arm
from tests.faults.figures import figures
from tests.faults.kills import AIMED, FailpointKill, RandomKill, SyscallKill, has_strace, plan
from tests.faults.rows import Options

KILLS = int(os.environ.get("NHMM_TEST_KILLS", "6"))
LANES = 3


@pytest.mark.slow
def test_kills_under_load_double_nothing_and_lose_nothing(tmp_path: Path) -> None:
    share = KILLS // 3
    kills = plan(1, randoms=KILLS - 2 * share, syscalls=share, failpoints=share)
    lanes = asyncio.run(campaign(tmp_path, kills, seed=1, lanes=LANES, on_futures=1))
    assert [finding for lane in lanes for finding in lane.findings] == []
    values = figures(lanes, 1.0)
    assert values["kills"] == KILLS
    # The load was real: orders were placed, and old keys were asked again.
    assert values["at_exchange"] > 10 * KILLS
    assert values["replayed"] > 0


@pytest.mark.slow
@pytest.mark.skipif(not has_strace(), reason="strace is not installed: no system call can be aimed at")
def test_kills_at_a_snapshot_and_at_the_copy_of_the_log_lose_nothing(tmp_path: Path) -> None:
    aimed = [AIMED[number] for number in (4, 1, 5, 7, 10, 11)]
    lanes = asyncio.run(campaign(tmp_path, aimed, seed=2, lanes=1))
    assert [finding for lane in lanes for finding in lane.findings] == []
    assert [missed for lane in lanes for missed in lane.missed] == []


def test_a_fifth_of_the_kills_is_played_on_usd_m(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    played: Counter[Market] = Counter()

    async def run(lane: Lane) -> LaneResult:
        played[lane.market] += len(lane.kills)
        return sound(len(lane.kills))

    monkeypatch.setattr(Lane, "run", run)
    outcome = sigkill.run(Options(folder=tmp_path, quick=True))
    assert played == {Market.SPOT: outcome.tried * 4 // 5, Market.FUTURES: outcome.tried // 5}
    assert (outcome.tried, outcome.failed) == (200, 0)


def sound(kills: int) -> LaneResult:
    return LaneResult(
        kills=kills,
        missed=[],
        findings=[],
        orders=0,
        at_exchange=0,
        fills=0,
        acknowledged=0,
        unanswered=0,
        replayed=0,
        cut_off=0,
        doubted=0,
        not_placed=0,
        restart_s=[1.0],
        in_doubt_s=[1.0],
        answers=Counter(),
        equity_error="0",
    )


def test_a_plan_has_every_way_to_die_and_is_the_same_for_a_seed() -> None:
    kills = plan(3, randoms=5, syscalls=16, failpoints=len(PLACES))
    assert (
        kills
        == plan(3, randoms=5, syscalls=16, failpoints=len(PLACES))
        != plan(4, randoms=5, syscalls=16, failpoints=3)
    )
    assert {type(kill) for kill in kills} <= {RandomKill, SyscallKill, FailpointKill}
    assert {kill.place for kill in kills if isinstance(kill, FailpointKill)} == set(PLACES)


@pytest.mark.parametrize("name", sorted(PLACES))
def test_every_failpoint_is_a_place_of_the_engine(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Wrapping is undone by the patches: arming must find each place under its name.
    monkeypatch.setattr(failpoints, "_wrapped", lambda function, *_: function)
    arm(name, 1)
