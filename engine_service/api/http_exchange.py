"""One HTTP request and its answer, as ASGI sees them: what has arrived, what may be sent, and when it is over."""

from __future__ import annotations

import http
from asyncio import Future, Task
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import structlog
from starlette.types import Message

from engine_service.domain.errors import ShuttingDown, Unavailable

if TYPE_CHECKING:
    from engine_service.api.http_protocol import DeadlineProtocol

Headers = Sequence[tuple[bytes, bytes]]

#: Under this name a scope holds its exchange, so that what is there at once need not be waited for.
EXCHANGE: Final = "nhmm.exchange"
#: So much of a body is read ahead of the application.
READ_AHEAD_BYTES: Final = 64 * 1024
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus
}
_CLOSE: Final = b"connection: close\r\n"
_BODILESS: Final = frozenset({204, 304})

_log = structlog.get_logger(__name__)


class Exchange:
    """ASGI's ``receive`` and ``send`` of one request; with ``keep_alive`` another request may follow it."""

    # What most exchanges never change stands here: an object for each request is best made quickly.
    answered = False
    disconnected = False
    _arrived = b""
    _ended = False
    _handed_over = False
    _end_told = False
    _waiter: Future[None] | None = None
    _head: bytes | None = None
    _chunked = False
    _left = 0

    def __init__(self, connection: DeadlineProtocol, method: str, *, keep_alive: bool, awaits_continue: bool) -> None:
        self.keep_alive = keep_alive
        self._connection = connection
        self._is_head = method == "HEAD"
        self._awaits_continue = awaits_continue

    # --- the request ----------------------------------------------------------------------------------------------

    def body_came(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._arrived = self._arrived + data if self._arrived else data
        if len(self._arrived) > READ_AHEAD_BYTES:
            self._connection.pause_reading()
        self._wake()

    def body_ended(self) -> None:
        """Take note that no piece of the body follows."""
        self._ended = True
        self._wake()

    def disconnect(self) -> None:
        """Take note that the caller has gone."""
        self.disconnected = not self.answered
        self._wake()

    @property
    def has_all(self) -> bool:
        """True once the request's last byte has come."""
        return self._ended

    @property
    def whole_body(self) -> bytes | None:
        """The body where all of it is here and none was received yet; then nobody has to ``receive`` it."""
        return self._arrived if self._ended and not self._handed_over else None

    async def receive(self) -> Message:
        """Return the next piece of the body, or, once there is none to come, the end of the exchange."""
        connection = self._connection
        if self._awaits_continue:
            self._awaits_continue = False
            connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.resume_reading()
        while not (self._arrived or (self._ended and not self._end_told) or self.answered or self.disconnected):
            self._waiter = connection.loop.create_future()
            await self._waiter
        if self.answered or self.disconnected:
            return {"type": "http.disconnect"}
        body, self._arrived = self._arrived, b""
        self._handed_over = True
        self._end_told = self._ended
        return {"type": "http.request", "body": body, "more_body": not self._ended}

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- the answer -----------------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Send the head or a piece of the body; the head goes out with the first piece.

        Raises:
            RuntimeError: the application breaks HTTP: pieces out of turn, a length that is not its own, a header
                with a line break.
        """
        if self._connection.outflow.is_full:
            await self._connection.outflow.drained()
        if self.disconnected or (self._is_head and self.answered):
            return
        if self._head is None and message["type"] == "http.response.start":
            self._head = self._head_of(message["status"], message.get("headers", ()))
        elif self._head is not None and not self.answered and message["type"] == "http.response.body":
            self._send_piece(self._head, message.get("body", b""), more=message.get("more_body", False))
            self._head = b""
        else:
            raise RuntimeError(f"{message['type']} out of turn")

    def answer(self, status: int, head: bytes, body: bytes) -> bool:
        """Send a whole answer now; false where it has to wait, and ``send`` has to be awaited.

        ``head`` are header lines with their ends, a length among them.
        """
        connection = self._connection
        if self._head is not None or connection.outflow.is_full:
            return False
        if not self.disconnected:
            self._head = b""
            close = b"" if self.keep_alive else _CLOSE
            parts = (
                _STATUS_LINES[status],
                connection.default_head,
                head,
                close,
                b"\r\n",
                b"" if self._is_head else body,
            )
            connection.write(b"".join(parts))
            self._finish()
        return True

    def _head_of(self, status: int, headers: Headers) -> bytes:
        self._awaits_continue = False
        given = dict(headers)
        length = given.get(b"content-length")
        self._left = int(length or 0)
        block = b"".join([b"%b: %b\r\n" % (name, value) for name, value in headers])
        if not block.count(b"\r") == block.count(b"\n") == len(headers):
            raise RuntimeError("a header with a line break")
        if b"close" in given.get(b"connection", b"").lower():
            self.keep_alive = False
        elif not self.keep_alive:
            block += _CLOSE
        self._chunked = length is None and status not in _BODILESS and not self._is_head
        if self._chunked:
            block += b"transfer-encoding: chunked\r\n"
        return b"%b%b%b\r\n" % (_STATUS_LINES[status], self._connection.default_head, block)

    def _send_piece(self, head: bytes, body: bytes, *, more: bool) -> None:
        if self._is_head:
            body, self._left, more = b"", 0, False
        elif self._chunked:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        else:
            self._left -= len(body)
        if self._left < 0 or (self._left and not more):
            raise RuntimeError("a body of another length than its head says")
        self._connection.write(head + body)
        if not more:
            self._finish()

    def _finish(self) -> None:
        self.answered = True
        self._wake()
        self._connection.exchange_ended(self)

    def application_ended(self, task: Task[None]) -> None:
        """See to it that nobody waits for an answer that will not come."""
        self._connection.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("a request failed outside the gate", exc_info=error)
        if self.answered or self.disconnected:
            return
        self.keep_alive = False
        if self._head is None or self._head:  # nothing of an answer went out yet
            word = (
                ShuttingDown("it did not know the answer yet")
                if task.cancelled()
                else Unavailable("INTERNAL", "The engine failed on this request; its log says how.")
            )
            self._connection.write_last(word, with_body=not self._is_head)
        self._finish()
