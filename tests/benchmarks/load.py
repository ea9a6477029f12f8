"""A closed-loop HTTP load of few words: raw sockets, so that the generator costs less than what it measures."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import cast

import uvloop


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What one load run brought. ``latencies_s`` are sorted; ``refused`` holds the bodies that were no success."""

    seconds: float
    latencies_s: list[float]
    statuses: dict[int, int]
    refused: list[bytes]

    @property
    def per_second(self) -> float:
        return len(self.latencies_s) / self.seconds

    def quantile_s(self, share: float) -> float:
        """Return the latency below which ``share`` (0-1) of the answers came."""
        return self.latencies_s[min(len(self.latencies_s) - 1, int(share * len(self.latencies_s)))]


class _Connection(asyncio.Protocol):
    """One keep-alive connection that sends the next request as soon as the last one is answered."""

    def __init__(self, next_request: Callable[[], bytes | None], stop_at: float) -> None:
        self._next_request = next_request
        self._stop_at = stop_at
        self._buffer = b""
        self._sent_at = 0.0
        self.latencies: list[float] = []
        self.statuses: dict[int, int] = {}
        self.refused: list[bytes] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods of asyncio's without being of its classes.
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        request = self._next_request() if time.perf_counter() < self._stop_at else None
        if request is None:
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self._buffer[:head_end].lower()
        start = head.find(b"content-length:")
        if start < 0:
            self._fail("an answer without a length")
            return
        length = int(head[start + 15 :].split(b"\r\n", 1)[0])
        total = head_end + 4 + length
        if len(self._buffer) < total:
            return
        body = self._buffer[head_end + 4 : total]
        self._buffer = self._buffer[total:]
        now = time.perf_counter()
        self.latencies.append(now - self._sent_at)
        status = int(head[9:12])
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status >= 300:
            self.refused.append(body)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            if exc is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(exc)

    def _fail(self, reason: str) -> None:
        self._transport.abort()
        if not self.done.done():
            self.done.set_exception(RuntimeError(reason))


class _Paced:
    """Requests at planned moments over a pool of connections; latency counts from the plan, not from the send."""

    def __init__(self, next_request: Callable[[], bytes | None], per_second: float, seconds: float) -> None:
        self._next_request = next_request
        self._step = 1 / per_second
        self._planned = int(per_second * seconds)
        self._sent = 0
        # Each in its turn: one that waits too long is closed by the server.
        self._idle: deque[_PacedConnection] = deque()
        self._began = 0.0
        self.answered: list[_PacedConnection] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(self, connections: list[_PacedConnection]) -> None:
        self._idle = deque(connections)
        self._began = time.perf_counter()
        self.tick()

    def tick(self) -> None:
        """Send everything that is due and for which a connection is free, and come back in a millisecond."""
        now = time.perf_counter()
        while self._sent < self._planned and self._idle:
            due = self._began + self._sent * self._step
            if due > now:
                break
            request = self._next_request()
            if request is None:
                self._planned = self._sent
                break
            self._sent += 1
            self._idle.popleft().send(request, due)
        if self._sent < self._planned:
            asyncio.get_running_loop().call_later(0.001, self.tick)

    def lost(self, error: Exception | None) -> None:
        """End the run where a connection ends before it."""
        if not self.done.done():
            self.done.set_exception(error or RuntimeError("the server closed a connection"))
            self._planned = self._sent

    def free(self, connection: _PacedConnection, answered: int) -> None:
        self._idle.append(connection)
        if answered and self._sent >= self._planned and len(self._idle) == len(self.answered):
            self.done.set_result(None)


class _PacedConnection(_Connection):
    """One keep-alive connection that sends when it is told to."""

    def __init__(self, pace: _Paced) -> None:
        super().__init__(lambda: None, 0.0)
        self._pace = pace
        pace.answered.append(self)

    def send(self, request: bytes, due: float) -> None:
        self._sent_at = due
        self._transport.write(request)

    def close(self) -> None:
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._pace.lost(exc)

    def _send(self) -> None:
        if self.latencies:
            self._pace.free(self, len(self.latencies))


async def open_loop(
    port: int, next_request: Callable[[], bytes | None], *, connections: int, per_second: float, seconds: float
) -> LoadResult:
    """Send ``per_second`` requests a second whatever the answers do; a late answer makes nothing else later."""
    loop = asyncio.get_running_loop()
    pace = _Paced(next_request, per_second, seconds)
    clients = [
        (await loop.create_connection(lambda: _PacedConnection(pace), "127.0.0.1", port))[1] for _ in range(connections)
    ]
    began = time.perf_counter()
    pace.begin(list(clients))
    await asyncio.wait_for(pace.done, 10 * seconds + 60)
    took = time.perf_counter() - began
    for client in clients:
        client.close()
    return _collected(clients, took)


def _collected(clients: Sequence[_Connection], seconds: float) -> LoadResult:
    statuses: dict[int, int] = {}
    for client in clients:
        for status, count in client.statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    latencies = sorted(latency for client in clients for latency in client.latencies)
    refused = [body for client in clients for body in client.refused]
    return LoadResult(seconds, latencies, statuses, refused)


async def closed_loop(
    port: int, next_request: Callable[[], bytes | None], *, connections: int, seconds: float
) -> LoadResult:
    """Keep ``connections`` requests in flight against a loopback port for ``seconds``, or until there are no more."""
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    stop_at = began + seconds
    clients = [
        (await loop.create_connection(lambda: _Connection(next_request, stop_at), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(client.done for client in clients))
    return _collected(clients, time.perf_counter() - began)


def post(path: str, body: bytes, *, headers: dict[str, str]) -> bytes:
    """Return the bytes of one POST request with a JSON body."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def get(path: str) -> bytes:
    """Return the bytes of one GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def run(load: Coroutine[None, None, LoadResult]) -> LoadResult:
    """Run one load on uvloop, so that the generator takes as little as possible of the machine it measures."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(load)
