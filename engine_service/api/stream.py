"""Every journal event with its sequence number: as a stream that can be resumed, and as pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypedDict

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from engine_service.api.dependencies import engine_of, request_id_of
from engine_service.api.fields import wrong
from engine_service.api.missed_events import BEYOND_THE_END, missed_events
from engine_service.api.problems import json_response
from engine_service.api.queries import HIGHEST_SEQ, Query
from engine_service.api.shapes import RecordedEvent
from engine_service.api.views import event_view
from engine_service.runtime.engine import Engine
from engine_service.storage.port import Recorded

router = APIRouter(tags=["events"])

HEARTBEAT_S = 10.0


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

    Send `Last-Event-ID` (or `after`) to resume without a gap. A client that reads too slowly is told so and cut off.
    """
    engine = engine_of(request)
    query = Query(request, "after")
    resume, newest = request.headers.get("last-event-id", ""), engine.core.journal.last_seq
    if resume and not (resume.isascii() and resume.isdigit() and len(resume) <= 15):
        raise wrong("Last-Event-ID", "QUERY_INVALID", "A sequence number.")
    after = int(resume) if resume else query.whole("after", newest, HIGHEST_SEQ)
    if after > newest:
        # Of a journal that was put aside: nothing would be told until this one is as long as that was.
        raise wrong("Last-Event-ID" if resume else "after", "QUERY_INVALID", BEYOND_THE_END)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_frames(engine, after, request_id_of(request)), 200, headers, "text/event-stream")


async def _frames(engine: Engine, after: int, name: str) -> AsyncIterator[bytes]:
    """Yield past events from the journal, then live ones; connecting first leaves no hole between the two."""
    client = engine.bus.connect(name)
    try:
        last = after
        yield b": connected\n\n"
        async for page in missed_events(engine, after):
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
    finally:
        engine.bus.disconnect(client)


def _frame(recorded: Recorded) -> bytes:
    body = orjson.dumps(event_view(recorded))
    return f"id: {recorded.seq}\nevent: {recorded.kind}\ndata: ".encode() + body + b"\n\n"
