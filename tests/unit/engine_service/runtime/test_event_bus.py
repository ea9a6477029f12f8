"""The bus isolates its subscribers from each other and from the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from engine_service.domain.events import TradingHalted, TradingResumed
from engine_service.runtime.event_bus import STREAM_BUFFER, EventBus
from engine_service.storage.port import Recorded


def _recorded(seq: int) -> Recorded:
    return Recorded(seq=seq, event=TradingHalted(at_ms=seq, reason="test", principal="test"))


def _bus() -> tuple[EventBus, list[str], list[str]]:
    failures: list[str] = []
    drops: list[str] = []
    return EventBus(failures.append, drops.append), failures, drops


def test_a_failing_subscriber_is_counted_and_the_others_still_hear() -> None:
    bus, failures, _ = _bus()
    heard: list[int] = []

    def broken(recorded: Recorded) -> None:
        raise RuntimeError("defect")

    bus.subscribe("broken", broken)
    bus.subscribe("sound", lambda recorded: heard.append(recorded.seq))
    bus.publish(_recorded(1))
    bus.publish(_recorded(2))
    assert heard == [1, 2]
    assert failures == ["broken", "broken"]


def test_a_subscriber_has_one_name() -> None:
    bus, _, _ = _bus()
    bus.subscribe("metrics", lambda recorded: None)
    with pytest.raises(ValueError, match="metrics"):
        bus.subscribe("metrics", lambda recorded: None)


def test_a_batch_is_handed_on_as_one_and_a_failing_subscriber_of_it_is_isolated() -> None:
    bus, failures, _ = _bus()
    heard: list[list[int]] = []

    def broken(batch: Sequence[Recorded]) -> None:
        raise RuntimeError("defect")

    bus.subscribe_to_batches("broken", broken)
    bus.subscribe_to_batches("sound", lambda batch: heard.append([recorded.seq for recorded in batch]))
    bus.publish_batch([_recorded(1), _recorded(2)])
    assert heard == [[1, 2]]
    assert failures == ["broken"]
    for subscribe in (bus.subscribe, bus.subscribe_to_batches):
        with pytest.raises(ValueError, match="sound"):
            subscribe("sound", lambda _: None)


def test_who_comes_later_hears_what_comes_later() -> None:
    bus, _, _ = _bus()
    first: list[int] = []
    second: list[int] = []
    bus.subscribe("first", lambda recorded: first.append(recorded.seq), kinds=(TradingHalted,))
    bus.subscribe("others", lambda recorded: first.append(-1), kinds=(TradingResumed,))
    bus.publish(_recorded(1))
    bus.subscribe("second", lambda recorded: second.append(recorded.seq))
    bus.publish(_recorded(2))
    assert (first, second) == ([1, 2], [2])


def test_a_slow_client_is_dropped_with_a_reason_and_the_quick_one_keeps_everything() -> None:
    async def scenario() -> None:
        bus, _, drops = _bus()
        slow, quick = bus.connect("slow"), bus.connect("quick")
        received = 0
        for seq in range(STREAM_BUFFER + 10):
            bus.publish(_recorded(seq))
            received += quick.queue.get_nowait() is not None
        assert received == STREAM_BUFFER + 10
        assert drops == ["slow"]
        assert "resume" in slow.dropped
        last = None
        while not slow.queue.empty():
            last = slow.queue.get_nowait()
        assert last is None
        assert bus.client_count == 1

    asyncio.run(scenario())
