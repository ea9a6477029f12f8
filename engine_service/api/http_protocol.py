"""uvicorn's HTTP protocol with a deadline for a request's head, and with a farewell: nobody is cut off unanswered."""

from __future__ import annotations

import asyncio
import secrets
import select
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from engine_service.api.problems import problem
from engine_service.domain.errors import InvalidRequest

HEAD_DEADLINE_S = 10.0
#: Beyond this the parser itself gives up; what is shorter and still too long is the gate's to refuse.
LONGEST_ADDRESS = 8 * 1024


class DeadlineProtocol(HttpToolsProtocol):
    """Closes a connection whose first bytes do not become a whole request head in time, or once it is told to leave.

    A caller cannot tell a request that was never read from one that was carried out: a connection that leaves answers
    what it has been sent, says ``Connection: close`` with the answer, and only then ends.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _leaving = False

    def leave(self) -> None:
        """Let the next answer on this connection be the last one."""
        self._leaving = True

    def shutdown(self) -> None:
        if self._is_spoken_to():
            self.leave()
        else:
            super().shutdown()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        super().connection_made(transport)
        self._arm()

    def on_message_begin(self) -> None:
        self._arm()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._disarm()
        super().on_headers_complete()
        if self._leaving and self.cycle is not None:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request as every other refusal is answered, and end the connection."""
        too_long = len(self.url or b"") > LONGEST_ADDRESS
        code = "URI_TOO_LONG" if too_long else "REQUEST_INVALID"
        response = problem(InvalidRequest(code, "The bytes received are no HTTP request."), secrets.token_hex(8))
        lines = [f"HTTP/1.1 {response.status_code} {HTTPStatus(response.status_code).phrase}".encode()]
        lines += [name + b": " + value for name, value in response.raw_headers]
        self.transport.write(b"\r\n".join([*lines, b"connection: close", b"", bytes(response.body)]))
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def _is_spoken_to(self) -> bool:
        """Tell whether bytes have arrived that the loop has not read yet."""
        peer: Any = self.transport.get_extra_info("socket")
        if peer is None or peer.fileno() < 0 or self.transport.is_closing():
            return False
        arrived = select.poll()
        arrived.register(peer.fileno(), select.POLLIN)
        return any(events & select.POLLIN and not events & select.POLLHUP for _, events in arrived.poll(0))

    def _arm(self) -> None:
        self._disarm()
        self._head_timer = self.loop.call_later(HEAD_DEADLINE_S, self._too_slow)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        transport: Any = self.transport
        if transport is not None and not transport.is_closing():
            transport.close()
