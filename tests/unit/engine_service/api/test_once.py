"""What a key stands for, also where things go wrong: a journal that ends, a defect, an answer that was never given."""

from __future__ import annotations

import asyncio
import sqlite3
from types import SimpleNamespace
from typing import Any, Final

import orjson
import pytest
from starlette.requests import Request
from starlette.routing import Route

from engine_service.api.answers import ANSWERS
from engine_service.api.once import mark_in, once
from engine_service.api.problems import Answer, json_response
from engine_service.api.routes import ROUTES, SMALL_BODY
from engine_service.domain import events as e
from engine_service.domain.errors import Conflict, EngineError, InvalidRequest, Refused, Unavailable, VenueRefused
from engine_service.execution.core import EngineCore
from engine_service.storage.memory import MemoryJournal
from tests.fakes.engine import fake, make_core

pytestmark = pytest.mark.anyio
LIMITS: Final = ("PUT", "/risk/config")
HALT: Final = ("POST", "/control/halt")
CANCELS: Final = ("DELETE", "/orders")
ETAG: Final = {"ETag": '"3"'}


class FullDisk(MemoryJournal):
    """Takes nothing any more once it is told so."""

    full = False
    was_refused = False

    @property
    def failed(self) -> bool:
        return self.was_refused

    def append(self, entries: Any) -> Any:
        """Refuse what comes after the disk was full."""
        if self.full:
            self.was_refused = True
            raise Unavailable("JOURNAL_UNAVAILABLE", "the disk is full")
        return super().append(entries)


class Desk:
    """A route of an engine, and how often it was carried out."""

    def __init__(self, core: EngineCore, route: tuple[str, str] = LIMITS, *, ends: Exception | None = None) -> None:
        self.core, self.route, self.ends = core, route, ends
        self.done: list[e.IdempotencyMark | None] = []
        self.more: dict[str, Any] = {}
        self.parameters: dict[str, str] = {}
        self.opened = asyncio.Event()
        self.opened.set()

    async def endpoint(self, request: Request, **parameters: str) -> Answer:
        """Carry a request out."""
        assert parameters == self.parameters
        self.done.append(mark_in(request))
        if self.ends is not None:
            raise self.ends
        await self.opened.wait()
        return json_response({"times": len(self.done), **self.more}, 200, ETAG)

    async def ask(self, body: bytes = b"", *, key: str = "the-same-key") -> tuple[int, Any, dict[str, str]]:
        """Return status, body and headers of one answer."""
        method, path = self.route
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "server": ("127.0.0.1", 1),
            "headers": [],
            "path_params": self.parameters,
            "app": SimpleNamespace(state={"engine": SimpleNamespace(core=self.core)}),
            "state": {
                "headers": {b"idempotency-key": key.encode()} if key else {},
                "principal": SimpleNamespace(name="me"),
                "body": body,
                "request_id": "r1",
            },
        }
        answer = await once(Request(scope), Route(path, self.endpoint, methods=[method]), ROUTES[self.route])
        assert isinstance(answer, Answer)
        return answer.status_code, orjson.loads(answer.body), answer.own_headers()


async def test_the_answer_is_told_again_with_its_headers_and_without_a_key_all_is_done_again() -> None:
    desk = Desk(make_core())
    assert await desk.ask() == (200, {"times": 1}, {"etag": '"3"'})
    assert await desk.ask() == (200, {"times": 1}, {"etag": '"3"', "idempotency-replayed": "true"})
    assert await desk.ask(key="") == (200, {"times": 2}, {"etag": '"3"'})
    assert [mark is None for mark in desk.done] == [False, True]


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        (b'{"a": "1", "b": true}', b'{"b":true,"a":"1.00"}', True),
        (b'{"a": "1"}', b'{"a": 1.0, "b": null}', True),
        (b"", b" ", True),
        (b"{}", b"", True),
        (b'{"a": "1"}', b'{"a": "2"}', False),
        (b'{"a": ["1", "2"]}', b'{"a": ["2", "1"]}', False),
        (b'{"a": "true"}', b'{"a": true}', False),
        (b'{"a": 1}', b'{"a": 1', False),
        (b'{"a": 1, "a": 1}', b'{"a": 1}', False),
    ],
)
async def test_what_is_asked_is_compared_and_not_how_it_is_written(first: bytes, second: bytes, is_same: bool) -> None:
    desk = Desk(make_core())
    await desk.ask(first)
    if is_same:
        assert (await desk.ask(second))[1] == {"times": 1}
        return
    with pytest.raises(InvalidRequest) as other:
        await desk.ask(second)
    assert other.value.code == "IDEMPOTENCY_KEY_REUSED"
    assert len(desk.done) == 1


@pytest.mark.parametrize(
    "ends",
    [
        InvalidRequest("FIELD_MISSING", "wrong"),
        Conflict("RECONCILE_RUNNING", "later"),
        Unavailable("NOT_READY", "later"),
        sqlite3.OperationalError("locked"),
        ZeroDivisionError("a defect"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_was_no_answer_leaves_the_key_free(ends: Exception) -> None:
    desk = Desk(make_core(), ends=ends)
    for _ in range(2):
        with pytest.raises(type(ends)):
            await desk.ask(b'{"a": "1"}')
    desk.ends = None
    assert (await desk.ask(b'{"a": "2"}'))[1] == {"times": 3}


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        (Refused("SECOND_PERSON_REQUIRED", "another one", numbers={"asked": "1"}), 403),
        (VenueRefused("VENUE_REJECTED", "the venue said no"), 400),
        (Conflict("ORDER_TERMINAL", "it has ended"), 409),
    ],
    ids=lambda item: getattr(item, "code", None),
)
async def test_what_was_refused_by_the_state_of_things_is_refused_again_in_the_same_words(
    ends: EngineError, status: int
) -> None:
    desk = Desk(make_core(), ends=ends)
    first, body, headers = await desk.ask()
    desk.ends = None
    assert (first, body["code"], body["detail"]) == (status, ends.code, ends.detail)
    assert await desk.ask() == (status, body, {**headers, "idempotency-replayed": "true"})
    assert len(desk.done) == 1


async def test_who_asks_while_the_first_is_carried_out_hears_what_that_one_is_told() -> None:
    desk = Desk(make_core())
    desk.opened.clear()
    first, second = asyncio.ensure_future(desk.ask()), asyncio.ensure_future(desk.ask())
    await asyncio.sleep(0)
    desk.opened.set()
    assert [body for _, body, _ in await asyncio.gather(first, second)] == [{"times": 1}] * 2


async def test_a_body_that_is_too_long_to_be_read_is_compared_as_it_was_written() -> None:
    desk, long = Desk(make_core()), b'{"a": "' + b"x" * SMALL_BODY + b'"}'
    await desk.ask(long)
    assert (await desk.ask(long))[1] == {"times": 1}
    for other in (long + b" ", b'{"a": "x"}'):
        with pytest.raises(InvalidRequest):
            await desk.ask(other)


async def test_whether_trading_stands_still_is_never_told_from_memory() -> None:
    core = make_core()
    desk = Desk(core, HALT)
    desk.more = {"halted": True}
    assert (await desk.ask())[1]["halted"] is True
    assert not core.state.halted
    assert (await desk.ask())[1] == {"times": 1, "halted": False}


async def test_a_key_that_is_malformed_keeps_back_all_but_a_halt() -> None:
    halting, setting = Desk(make_core(), HALT), Desk(make_core())
    assert (await halting.ask(key="!"))[1] == {"times": 1}
    with pytest.raises(InvalidRequest) as refused:
        await setting.ask(key="!")
    assert (refused.value.code, setting.done) == ("IDEMPOTENCY_KEY_INVALID", [])


async def test_how_an_order_stands_is_told_word_for_word_for_a_while_and_then_as_it_is() -> None:
    core = make_core()
    desk = Desk(core, ("DELETE", "/orders/{client_order_id}"))
    desk.parameters = {"client_order_id": "an-order"}
    await desk.ask()
    assert (await desk.ask())[1] == {"times": 1}
    fake(core).clock.advance(3_600_000)
    assert (await desk.ask())[1:] == ({"times": 2}, {"etag": '"3"', "idempotency-replayed": "true"})


@pytest.mark.parametrize(("route", "is_told"), [(LIMITS, False), (HALT, True), (CANCELS, True)])
async def test_an_answer_that_cannot_be_written_down_is_told_by_what_stops_the_engine_alone(
    route: tuple[str, str], is_told: bool
) -> None:
    journal = FullDisk()
    desk = Desk(make_core(journal=journal), route)
    journal.full = True
    if is_told:
        assert (await desk.ask())[1] == {"times": 1}
    else:
        with pytest.raises(Unavailable) as unkept:
            await desk.ask()
        assert unkept.value.code == "JOURNAL_UNAVAILABLE"
    assert (await desk.ask())[1] == {"times": 2}  # nothing is remembered any more, and what stops is carried out


@pytest.mark.parametrize(("route", "is_done"), [(LIMITS, False), (HALT, True), (CANCELS, True)])
async def test_keys_that_cannot_be_read_keep_back_all_but_what_stops_the_engine(
    route: tuple[str, str], is_done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(make_core(), route)

    def unreadable(mark: e.IdempotencyMark) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(desk.core.idempotency, "claim", unreadable)
    if is_done:
        assert (await desk.ask())[1] == {"times": 1}
        return
    with pytest.raises(sqlite3.Error):
        await desk.ask()
    assert desk.done == []


async def test_what_was_begun_and_never_answered_is_told_by_its_route_and_from_then_on_word_for_word() -> None:
    core = make_core()
    desk = Desk(core)
    await desk.ask()
    (mark,) = desk.done
    assert mark is not None
    await core.commit(e.AnswerRecorded(at_ms=core.clock.now_ms(), mark=mark, outcome="resumed"))
    told = (200, {"times": 2}, {"etag": '"3"', "idempotency-replayed": "true"})
    assert await desk.ask() == told
    assert await desk.ask() == told


def test_every_route_that_is_carried_out_once_answers_json() -> None:
    for route, access in ROUTES.items():
        if access.once and route in ANSWERS:
            assert {answer.media_type for answer in ANSWERS[route].values()} == {"application/json"}
