"""The order path in simulation: a sample of seeds holds, a seed says the same twice, and a broken engine is caught."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from engine_service.domain.order import Order
from engine_service.execution import resolution, send
from engine_service.venues.reports import NotFoundReport, OutcomeUnknown
from tests.simulation.__main__ import main
from tests.simulation.runner import play, run
from tests.simulation.session import Session
from tests.simulation.world import Stuck, VirtualLoop, World


def test_a_sample_of_schedules_breaks_no_promise() -> None:
    tally = run(range(300))
    assert tally.tried == 300
    assert [(verdict.seed, verdict.violations) for verdict in tally.failures] == []


def test_the_same_seed_gives_the_same_facts_twice() -> None:
    first = [play(seed, digest=True).digest for seed in range(100, 150)]
    assert first == [play(seed, digest=True).digest for seed in range(100, 150)]
    assert len(set(first)) == len(first)


def test_another_process_with_other_hash_seeds_gives_the_same_facts() -> None:
    code = "from tests.simulation.runner import play; print([play(s, digest=True).digest for s in range(20)])"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()[-1]  # the log's lines before it have their times
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_the_sample_sees_every_kind_of_fault() -> None:
    stories = "\n".join("\n".join(play(seed).story) for seed in range(150))
    for fault in (
        "lost",
        "mute",
        "late",
        "not sent",
        "reads fail",
        "stream breaks",
        "loses a message",
        "is down for",
        "does not name",
    ):
        assert fault in stories
    for end in ("filled FILLED", "CANCELED", "NOT_PLACED", "REJECTED", "in_doubt"):
        assert end in stories or end.split()[-1] in stories


def test_an_engine_that_believes_one_negative_read_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    careful = resolution._order_heard

    def credulous(
        case: resolution.Case, order: Order, heard: resolution.Heard, now: resolution.Now
    ) -> tuple[resolution.Case, tuple[resolution.Command, ...]]:
        if isinstance(heard, NotFoundReport):
            absent = resolution._absent(case, order, now.wall_ms)
            return replace(case, stage=resolution.Stage.REST), (resolution.Record((absent,)),)
        return careful(case, order, heard, now)

    monkeypatch.setattr(resolution, "_order_heard", credulous)
    found = [violation for verdict in run(range(300)).failures for violation in verdict.violations]
    assert any("OrderNotPlaced for" in violation and "which the venue has" in violation for violation in found)


def test_an_engine_that_sends_again_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    settle = send.settle_sent

    async def stubborn(core, sent, outcome):  # type: ignore[no-untyped-def]  # a stand-in of one test
        if isinstance(outcome, OutcomeUnknown):
            outcome = await core.venue_for(sent.symbol).submit(sent)
        await settle(core, sent, outcome)

    monkeypatch.setattr(send, "settle_sent", stubborn)
    found = [violation for verdict in run(range(200)).failures for violation in verdict.violations]
    assert any("2 venue orders" in violation for violation in found)


def test_the_command_ends_with_its_figures_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "5", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (figures["tried"], figures["failed"]) == (5, 0)


def test_a_wait_without_an_end_is_an_error_and_not_a_hang() -> None:
    world = World()
    loop = VirtualLoop(world)

    async def forever() -> None:
        await loop.create_future()

    with pytest.raises(Stuck):
        loop.live(forever())
    loop.abandon(Stuck)


def test_a_crash_loses_what_was_not_durable_and_keeps_what_was_acknowledged() -> None:
    crashed = [session for session in (Session(seed) for seed in range(60)) if _crashes(session)]
    assert len(crashed) > 10
    for session in crashed:
        assert session.run().violations == []
        assert session.witness.told


def _crashes(session: Session) -> bool:
    return any(step.deed == "crash" for step in session.script.steps)
