"""Every journal event with its sequence number: as a stream that can be resumed, and as pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final, TypedDict

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from engine_service.api.dependencies import engine_of, principal_of, request_id_of
from engine_service.api.fields import wrong
from engine_service.api.grants import Principal
from engine_service.api.missed_events import BEYOND_THE_END, event_number, missed_events
from engine_service.api.problems import json_response
from engine_service.api.queries import HIGHEST_SEQ, Query
from engine_service.api.readers import PER_PRINCIPAL, Readers
from engine_service.api.shapes import RecordedEvent
from engine_service.api.views import event_view
from engine_service.domain.errors import InvalidRequest
from engine_service.runtime.engine import Engine
from engine_service.runtime.event_bus import StreamClient
from engine_service.storage.port import Recorded

router = APIRouter(tags=["events"])

HEARTBEAT_S = 10.0
TRY_AGAIN_S: Final = 10


class Frame(TypedDict, total=False):
    """One frame of the stream: `data` is the JSON of a RecordedEvent, `event` its kind, `id` its sequence number.

    The frame `dropped` comes without an id: its `data` says why the stream ends.
    """

    data: str
    event: str
    id: str


class EventPage(TypedDict):
    """Events of the journal in order; go on `after` the last one's `seq`."""

    events: list[RecordedEvent]


@router.get("/events")
async def events(request: Request) -> Response:
    """Journal events after a sequence number, in order."""
    query = Query(request, "after", "limit")
    after, limit = query.whole("after", 0, HIGHEST_SEQ), query.limit()
    found = await engine_of(request).core.journal.aside(lambda journal: journal.events_after(after, limit))
    body: EventPage = {"events": [event_view(recorded) for recorded in found]}
    return json_response(body)


@router.get("/stream")
async def stream(request: Request) -> Response:
    """Server-sent events: one per journal event, its sequence number as the id.

    Send `Last-Event-ID` (or `after`) to resume without a gap. A client that reads too slowly, or whose token
    counts no more, is told so and cut off.
    """
    engine = engine_of(request)
    query = Query(request, "after")
    resume, newest = request.headers.get("last-event-id", ""), engine.core.journal.last_seq
    after = event_number(resume) if resume else query.whole("after", newest, HIGHEST_SEQ)
    if after is None:
        raise wrong("Last-Event-ID", "QUERY_INVALID", "A sequence number.")
    if after > newest:
        # Of a journal that was put aside: nothing would be told until this one is as long as that was.
        raise wrong("Last-Event-ID" if resume else "after", "QUERY_INVALID", BEYOND_THE_END)
    readers: Readers = request.scope["app"].state["readers"]
    principal = principal_of(request)
    if not readers.may_enter(principal):
        detail = f"At most {PER_PRINCIPAL} streams of one caller."
        raise InvalidRequest("RATE_LIMITED", detail, retry_after_s=TRY_AGAIN_S)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    frames = _frames(engine, readers, principal, after, request_id_of(request))
    return StreamingResponse(frames, 200, headers, "text/event-stream")


async def _frames(
    engine: Engine, readers: Readers, principal: Principal, after: int, name: str
) -> AsyncIterator[bytes]:
    """Yield past events from the journal, then live ones; connecting first leaves no hole between the two."""
    with _connected(engine, readers, principal, name) as client:
        last = after
        yield b": connected\n\n"
        async for page in missed_events(engine, after):
            if client.dropped:
                break
            for recorded in page:
                yield _frame(recorded)
                last = recorded.seq
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    item = await client.queue.get()
            except TimeoutError:
                yield b": heartbeat\n\n"
                continue
            if item is None:
                yield b"event: dropped\ndata: " + orjson.dumps({"reason": client.dropped}) + b"\n\n"
                return
            if item.seq > last:
                yield _frame(item)
                last = item.seq


@contextmanager
def _connected(engine: Engine, readers: Readers, principal: Principal, name: str) -> Iterator[StreamClient]:
    """Connect a caller to the bus for as long as it reads; it is dropped when its token counts no more."""
    client = engine.bus.connect(name)
    door = asyncio.create_task(_show_out(engine, client, readers, principal))
    try:
        with readers.inside(principal):
            yield client
    finally:
        door.cancel()
        engine.bus.disconnect(client)


async def _show_out(engine: Engine, client: StreamClient, readers: Readers, principal: Principal) -> None:
    await readers.until_revoked(principal)
    engine.bus.drop(client, "the token counts no more")


def _frame(recorded: Recorded) -> bytes:
    body = orjson.dumps(event_view(recorded))
    return f"id: {recorded.seq}\nevent: {recorded.kind}\ndata: ".encode() + body + b"\n\n"
