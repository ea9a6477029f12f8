"""One HTTP/1.1 connection, with deadlines and with a farewell: nobody is cut off unanswered.

uvicorn runs the server around it. uvicorn's own connection costs more than all the checks of an order: timers set and
cleared, an event and two writes for each request. Here deadlines are moments that the server looks at once a second.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import select
import time
from collections import deque
from http import HTTPStatus
from typing import Any, Final

import httptools
import structlog
from starlette.types import Scope
from uvicorn import Config
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from engine_service.api.http_exchange import EXCHANGE, Exchange
from engine_service.api.outflow import Outflow
from engine_service.api.problems import problem
from engine_service.api.request_head import refusal_of
from engine_service.api.request_target import target_of
from engine_service.api.socket_head import socket_head
from engine_service.domain.errors import EngineError, InvalidRequest, ShuttingDown

HEAD_DEADLINE_S = 10.0
#: For so long a connection that was told of the end takes in what crosses the message, then it is gone.
LINGER_S = 0.2
_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}

_log = structlog.get_logger(__name__)


class DeadlineProtocol(asyncio.Protocol):
    """Closes a connection whose first bytes do not become a whole request head in time, or once it is told to leave.

    A caller cannot tell a request that was never read from one that was carried out: a connection that leaves answers
    what it has been sent, says ``Connection: close`` with the answer, and only then ends.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = _loop or asyncio.get_running_loop()
        self.outflow = Outflow()
        self.tasks = server_state.tasks
        self._app = config.loaded_app
        self._config, self._app_state = config, app_state
        self._socket_protocol: Any = config.ws_protocol_class
        self._keep_alive_s = config.timeout_keep_alive
        self._server_state = server_state
        self._connections: set[Any] = server_state.connections
        self._transport: Any = None
        self._parser: Any = self._new_parser()
        self._exchange: Exchange | None = None
        self._waiting: deque[tuple[Exchange, Scope]] = deque()
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._awaits_continue = False
        self._wants_socket = False
        self._plain_request = b""
        self._in_head = False
        self._deadline = math.inf
        self._reading = True
        self._leaving = False
        self._told = False
        self._last_word: EngineError | None = None
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._default_head = b""

    # --- the connection -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._connections.add(self)
        self._server, self._client = get_local_addr(self._transport), get_remote_addr(self._transport)
        self._deadline = time.monotonic() + HEAD_DEADLINE_S

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._exchange is not None:
            self._exchange.disconnect()
        self.outflow.empty()
        self._parser = None  # it holds this object, and this object held it

    def data_received(self, data: bytes) -> None:
        if self._told or self._last_word is not None:
            return
        while data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserError as error:
                self._refuse(error)
            except httptools.HttpParserUpgrade as found:
                if not self._wants_socket:
                    # An offer that is not taken up (Java's client makes one): the parser has left out the body.
                    self._parser = self._new_parser()
                    data = self._plain_request + data[found.args[0] :]
                    continue
                self._become_socket()
            return

    def _new_parser(self) -> Any:
        parser = httptools.HttpRequestParser(self)
        # A caller that says `Connection: close` may send what it likes behind it: its request is still answered.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def close_if_late(self, now_s: float) -> None:
        """Close where a request head, or the next request, has not come in time; ``now_s`` is monotonic time.

        A next request that is here and only not read yet has come in time: the close would answer it with a reset.
        Who takes in nothing of an answer is cut off: what waits for room in its buffers would wait for ever.
        """
        late = now_s > self._deadline and not self._transport.is_closing()
        if late and (self._in_head or not self._is_spoken_to()):
            self._transport.close()
        if self.outflow.is_full:
            self._look_at_reader(now_s)

    def _look_at_reader(self, now_s: float) -> None:
        unread = self._transport.get_write_buffer_size()
        if self.outflow.is_stuck(unread, now_s):
            _log.warning("a caller that reads nothing is cut off", unread_bytes=unread)
            self._transport.abort()

    def leave(self) -> None:
        """Let the next answer on this connection be the last one."""
        self._leaving = True

    def shutdown(self) -> None:
        """End at once where nothing is asked, else with the answer."""
        if self._is_spoken_to():
            self.leave()
        elif self._exchange is None or self._exchange.answered:
            self._tell_of_the_end()
        else:
            self._exchange.keep_alive = False

    def _tell_of_the_end(self) -> None:
        """Answer the request that may be on its way already, and end without reading it.

        A caller without one finds a connection that has ended, as with any other server. A plain close would leave
        the other in the dark: whether its request was carried out could not be told from a reset.
        """
        if self._transport.is_closing():
            return
        self._told = True
        self.write_last(ShuttingDown("nothing was read"))
        self._transport.write_eof()
        self.loop.call_later(LINGER_S, self._transport.close)

    def _is_spoken_to(self) -> bool:
        """Tell whether bytes have arrived that the loop has not read yet."""
        peer: Any = self._transport.get_extra_info("socket")
        if peer is None or peer.fileno() < 0 or self._transport.is_closing():
            return False
        arrived = select.poll()
        arrived.register(peer.fileno(), select.POLLIN)
        return any(events & select.POLLIN and not events & select.POLLHUP for _, events in arrived.poll(0))

    # --- what the parser finds ------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []
        self._awaits_continue = False
        self._in_head = True
        self._deadline = time.monotonic() + HEAD_DEADLINE_S

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._headers.append((name, value))
        if name == b"expect" and value.lower() == b"100-continue":
            self._awaits_continue = True

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._deadline = math.inf
        parser = self._parser
        if parser.should_upgrade() and parser.get_method() != b"CONNECT":
            self._wants_socket = self._asks_for_socket()
            if not self._wants_socket:
                self._headers = [pair for pair in self._headers if pair[0] != b"upgrade"]
                self._plain_request = self._head_again()
            return
        version = parser.get_http_version()
        path, raw_path, query, host = target_of(self._url)
        method = parser.get_method().decode("ascii")
        exchange = Exchange(
            self,
            method,
            keep_alive=version != "1.0" and parser.should_keep_alive() and not self._leaving,
            awaits_continue=self._awaits_continue,
        )
        scope = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "server": self._server,
            "client": self._client,
            "scheme": "http",
            "root_path": "",
            "method": method,
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self._addressed_to(host),
            "state": {},
            EXCHANGE: exchange,
        }
        self._headers = []  # trailers come late: they are no part of what was checked
        before, self._exchange = self._exchange, exchange
        if before is None or before.answered:
            self._start(exchange, scope)
        else:
            self.pause_reading()
            self._waiting.append((exchange, scope))

    def _asks_for_socket(self) -> bool:
        idle = self._exchange is None or self._exchange.answered
        idle = idle and self._parser.get_http_version() == "1.1"
        asked = any(name == b"upgrade" and value.lower() == b"websocket" for name, value in self._headers)
        return idle and asked and self._socket_protocol is not None and self._parser.get_method() == b"GET"

    def _head_again(self) -> bytes:
        method, version = self._parser.get_method(), self._parser.get_http_version().encode()
        lines = b"".join([b"%b: %b\r\n" % pair for pair in self._headers])
        return b"%b %b HTTP/%b\r\n%b\r\n" % (method, self._url, version, lines)

    def on_body(self, body: bytes) -> None:
        if self._exchange is not None and not self._exchange.answered:
            self._exchange.body_came(body)

    def on_message_complete(self) -> None:
        if self._exchange is not None and not self._exchange.answered:
            self._exchange.body_ended()

    def _start(self, exchange: Exchange, scope: Scope) -> None:
        task = self.loop.create_task(self._app(scope, exchange.receive, exchange.send))
        self.tasks.add(task)
        task.add_done_callback(exchange.application_ended)

    def _refuse(self, error: httptools.HttpParserError) -> None:
        """Answer bytes that are no request, after every answer that is owed for what came before them."""
        self._last_word = refusal_of(error, self._url)
        self._in_head, self._deadline = False, math.inf
        newest = self._exchange
        if self._waiting and not self._waiting[-1][0].has_all:
            self._waiting.pop()
        elif newest is None or newest.answered or not newest.has_all:
            self._say_last_word(self._last_word)

    def _say_last_word(self, error: EngineError) -> None:
        self.write_last(error)
        self._transport.close()

    def _become_socket(self) -> None:
        """Hand the connection over to the WebSocket protocol, which reads the request's head once more."""
        try:
            head = self._socket_head()
        except EngineError as error:
            self._say_last_word(error)
            return
        self._connections.discard(self)
        self._deadline = math.inf
        socket = self._socket_protocol(config=self._config, server_state=self._server_state, app_state=self._app_state)
        socket.connection_made(self._transport)
        socket.data_received(head)
        self._transport.set_protocol(socket)

    def _socket_head(self) -> bytes:
        try:
            _, path, query, host = target_of(self._url)
        except httptools.HttpParserError as error:
            raise InvalidRequest("REQUEST_INVALID", "The address is none.") from error
        return socket_head(path, query, self._addressed_to(host))

    def _addressed_to(self, host: bytes) -> list[tuple[bytes, bytes]]:
        """Return the headers; asked by its whole address, that counts and ``Host`` does not (RFC 9112, 3.2.2)."""
        return [(name, host if name == b"host" else value) for name, value in self._headers] if host else self._headers

    # --- what an exchange needs -----------------------------------------------------------------------------------

    @property
    def default_head(self) -> bytes:
        """The header lines of every answer; the server makes new ones once a second, for the date."""
        headers = self._server_state.default_headers
        if headers is not self._default_headers:
            self._default_headers = headers
            self._default_head = b"".join([b"%b: %b\r\n" % pair for pair in headers])
        return self._default_head

    def write(self, data: bytes) -> None:
        """Send bytes, unless the connection is closing."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def write_last(self, error: EngineError, *, with_body: bool = True) -> None:
        """Write the answer that no application gives; the connection ends with it."""
        answer = problem(error, secrets.token_hex(8))
        status = f"HTTP/1.1 {answer.status_code} {HTTPStatus(answer.status_code).phrase}\r\n".encode()
        body = bytes(answer.body) if with_body else b""
        self.write(b"%b%bconnection: close\r\n\r\n%b" % (status, answer.head, body))

    def exchange_ended(self, exchange: Exchange) -> None:
        """Go on with the next request, or end with the last one."""
        self._server_state.total_requests += 1
        if not exchange.keep_alive:
            self._transport.close()
        if self._transport.is_closing():
            return
        self.resume_reading()
        if self._waiting:
            self._start(*self._waiting.popleft())
        elif self._last_word is not None:
            self._say_last_word(self._last_word)
        else:
            self._deadline = min(self._deadline, time.monotonic() + self._keep_alive_s)

    def pause_reading(self) -> None:
        """Read no more for now."""
        if self._reading and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if not self._reading and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        self.outflow.fill(self._transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self.outflow.empty()
