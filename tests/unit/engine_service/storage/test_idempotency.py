"""One key, one effect: who gets a key, who waits, who is told what was said before, and what is forgotten when."""

from __future__ import annotations

import asyncio
from asyncio import Future

import pytest
from msgspec.structs import replace

from engine_service.domain.clock import ManualClock
from engine_service.domain.errors import InvalidRequest
from engine_service.domain.events import IdempotencyMark
from engine_service.storage.idempotency import KEPT_MS, IdempotencyStore
from engine_service.storage.port import StoredAnswer

pytestmark = pytest.mark.anyio
START_MS = 1_700_000_000_000


class Table:
    """The journal's table of keys, and how often it was read."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], StoredAnswer] = {}
        self.reads = 0

    def lookup(self, scope: str, key: str) -> StoredAnswer | None:
        self.reads += 1
        return self.rows.get((scope, key))


class Store:
    """A store on a manual clock and a table in memory."""

    def __init__(self, *, ttl_s: float = 600.0, max_entries: int = 10_000) -> None:
        self.clock, self.table = ManualClock(START_MS), Table()
        self.keys = IdempotencyStore(self.table.lookup, self.clock, ttl_s=ttl_s, max_entries=max_entries)


def mark(key: str = "k-1", *, scope: str = "me|/orders", fingerprint: str = "body") -> IdempotencyMark:
    return IdempotencyMark(scope=scope, key=key, fingerprint=fingerprint)


def answer(key: str = "k-1", *, at_ms: int = START_MS, fingerprint: str = "body") -> StoredAnswer:
    return StoredAnswer(mark=mark(key, fingerprint=fingerprint), at_ms=at_ms, outcome="created", client_order_id="c1")


async def test_the_first_to_ask_gets_the_key_and_everybody_else_waits_for_one_answer() -> None:
    keys = Store().keys
    assert keys.claim(mark()) is None
    waiting = [keys.claim(mark()) for _ in range(3)]
    assert all(isinstance(each, Future) and not each.done() for each in waiting)
    said = answer()
    keys.finish(said)
    assert [await each for each in waiting if isinstance(each, Future)] == [said] * 3


async def test_after_the_answer_the_key_gives_that_answer_and_no_table_is_read() -> None:
    store = Store()
    store.keys.claim(mark())
    reads = store.table.reads
    store.keys.finish(answer())
    assert store.keys.claim(mark()) == answer()
    assert store.table.reads == reads


async def test_a_key_that_was_given_back_is_free_and_those_who_waited_hear_that_nothing_happened() -> None:
    keys = Store().keys
    keys.claim(mark())
    waiting = keys.claim(mark())
    keys.abandon(mark())
    assert isinstance(waiting, Future)
    assert await waiting is None
    assert keys.claim(mark()) is None


async def test_a_waiter_that_gave_up_disturbs_nobody() -> None:
    keys = Store().keys
    keys.claim(mark())
    waiting = keys.claim(mark())
    assert isinstance(waiting, Future)
    waiting.cancel()
    keys.finish(answer())
    assert keys.claim(mark()) == answer()


async def test_an_answer_to_a_key_that_nobody_holds_is_kept() -> None:
    keys = Store().keys
    keys.finish(answer())
    keys.abandon(mark("k-2"))
    assert keys.claim(mark()) == answer()


@pytest.mark.parametrize("when", ["running", "answered", "in the journal"])
async def test_another_body_under_a_used_key_is_refused(when: str) -> None:
    store = Store()
    if when == "in the journal":
        store.table.rows["me|/orders", "k-1"] = answer()
    else:
        store.keys.claim(mark())
    if when == "answered":
        store.keys.finish(answer())
    with pytest.raises(InvalidRequest) as refused:
        store.keys.claim(mark(fingerprint="another body"))
    assert refused.value.code == "IDEMPOTENCY_KEY_REUSED"
    assert store.keys.claim(mark()) is not None


async def test_a_key_of_another_caller_or_route_is_another_key() -> None:
    keys = Store().keys
    keys.claim(mark())
    keys.finish(answer())
    assert keys.claim(mark(scope="you|/orders", fingerprint="another body")) is None
    assert keys.claim(mark(scope="me|/orders/stop", fingerprint="another body")) is None


async def test_what_the_journal_remembers_is_answered_though_this_process_never_saw_it() -> None:
    store = Store()
    store.table.rows["me|/orders", "k-1"] = answer()
    assert store.keys.claim(mark()) == answer()


async def test_an_answer_leaves_memory_after_its_time_and_the_journal_goes_on_to_know_it() -> None:
    store = Store(ttl_s=10.0)
    store.clock.advance(60_000)
    store.keys.claim(mark())
    store.keys.finish(answer())
    store.clock.advance(10_000)
    reads = store.table.reads
    assert store.keys.claim(mark()) == answer()
    assert store.table.reads == reads
    store.clock.advance(1)
    store.table.rows["me|/orders", "k-1"] = answer(at_ms=1)
    assert store.keys.claim(mark()) == answer(at_ms=1)
    assert store.table.reads == reads + 1
    assert store.keys.claim(mark()) == answer(at_ms=1)
    assert store.table.reads == reads + 2


async def test_memory_holds_so_many_answers_and_forgets_the_oldest_first() -> None:
    store = Store(max_entries=2)
    for key in ("k-1", "k-2", "k-3"):
        store.keys.claim(mark(key))
        store.keys.finish(answer(key))
    reads = store.table.reads
    assert store.keys.claim(mark("k-3")) == answer("k-3")
    assert store.keys.claim(mark("k-2")) == answer("k-2")
    assert store.table.reads == reads
    assert store.keys.claim(mark("k-1")) is None
    assert store.table.reads == reads + 1


async def test_an_answer_is_repeated_word_for_word_for_its_time_only() -> None:
    store = Store(ttl_s=10.0)
    assert store.keys.is_fresh(answer())
    store.clock.advance(10_000)
    assert store.keys.is_fresh(answer())
    store.clock.advance(1)
    assert not store.keys.is_fresh(answer())


async def test_by_default_ten_minutes_and_ten_thousand_answers_are_remembered() -> None:
    clock, table = ManualClock(START_MS), Table()
    keys = IdempotencyStore(table.lookup, clock)
    for number in range(10_001):
        keys.finish(answer(f"k-{number}"))
    assert keys.claim(mark("k-1")) == answer("k-1")
    assert keys.claim(mark("k-0")) is None
    clock.advance(600_000)
    assert keys.is_fresh(answer())
    assert keys.claim(mark("k-1")) == answer("k-1")
    clock.advance(1)
    assert not keys.is_fresh(answer())
    assert keys.claim(mark("k-1")) is None


async def test_sixty_four_at_once_make_one_effect() -> None:
    keys, effects = Store().keys, []

    async def ask() -> StoredAnswer | None:
        claimed = keys.claim(mark())
        if claimed is None:
            await asyncio.sleep(0)
            effects.append("order")
            keys.finish(answer())
            return answer()
        return await claimed if isinstance(claimed, Future) else claimed

    said = await asyncio.gather(*(ask() for _ in range(64)))
    assert said == [answer()] * 64
    assert effects == ["order"]


@pytest.mark.parametrize(("client_order_id", "is_free"), [("", True), ("c1", False)])
async def test_after_seven_days_a_key_under_which_there_was_no_order_is_free(
    client_order_id: str, is_free: bool
) -> None:
    store = Store()
    store.table.rows["me|/orders", "k-1"] = replace(answer(), client_order_id=client_order_id)
    store.clock.advance(KEPT_MS)
    assert store.keys.claim(mark()) is not None
    store.clock.advance(1)
    assert (store.keys.claim(mark()) is None) is is_free


async def test_a_whole_page_is_read_again_and_not_kept_in_memory() -> None:
    store = Store()
    store.keys.claim(mark())
    waiting = store.keys.claim(mark())
    page = replace(answer(), body="{}")
    store.keys.finish(page)
    assert isinstance(waiting, Future)
    assert await waiting == page
    assert store.keys.claim(mark()) is None
    store.keys.abandon(mark())
    store.table.rows["me|/orders", "k-1"] = page
    assert store.keys.claim(mark()) == page
