"""One WebSocket client: a bounded buffer out, a counted message stream in.

The exchange never waits for a client. What is sent goes to its socket at once while it takes everything, and into
the client's own buffer while it does not; a client that lets it fill up is dropped, and nobody else notices.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from engine_service.exchange_sim.binance_wire.ws_frames import EXTENSION, FramesProtocol

NORMAL = 1000
GOING_AWAY = 1001
POLICY_VIOLATION = 1008
SERVICE_RESTART = 1012

_CLOSE_WAIT_S = 1.0


class StreamConnection:
    """A client's socket after the handshake.

    Args:
        websocket: the accepted socket.
        buffer_size: messages that may wait; one more drops the client.
        messages_per_s: incoming messages allowed per second (0: any number); one more closes the connection.
    """

    def __init__(self, websocket: WebSocket, buffer_size: int = 2000, messages_per_s: int = 0) -> None:
        self._websocket = websocket
        self._frames = _frames_of(websocket)
        self._outgoing: asyncio.Queue[str | None] = asyncio.Queue()
        self._unsent = 0
        self._finishing = False
        self._buffer_size = buffer_size
        self._messages_per_s = messages_per_s
        self._received_at: deque[float] = deque()
        self._ended = asyncio.Event()
        self._close_code = NORMAL
        self._close_reason = ""

    @property
    def is_open(self) -> bool:
        return not self._ended.is_set()

    @property
    def close_reason(self) -> str:
        """Why the exchange closed it; empty when the client left."""
        return self._close_reason

    def push(self, text: str) -> None:
        """Send or queue one text frame; never waits."""
        if self._ended.is_set() or self._finishing:
            return
        if not self._unsent and self._frames is not None and self._frames.write_text(text):
            return
        if self._outgoing.qsize() >= self._buffer_size:
            self.drop(POLICY_VIOLATION, "slow consumer")
            return
        self._unsent += 1
        self._outgoing.put_nowait(text)

    def drop(self, code: int, reason: str) -> None:
        """Close at once, forgetting what waits."""
        if not self._ended.is_set():
            self._close_code, self._close_reason = code, reason
            self._ended.set()

    def finish(self, code: int, reason: str) -> None:
        """Close after everything queued so far is sent."""
        if not self._ended.is_set():
            self._close_code, self._close_reason = code, reason
            self._finishing = True
            self._outgoing.put_nowait(None)

    async def serve(self, on_text: Callable[[str], Awaitable[None]]) -> None:
        """Carry frames both ways until either side ends it."""
        workers = [
            asyncio.create_task(self._send_all()),
            asyncio.create_task(self._receive_all(on_text)),
            asyncio.create_task(self._wait_ended()),
        ]
        try:
            done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._ended.set()
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        await self._close()
        for worker in done:
            worker.result()

    async def _wait_ended(self) -> None:
        await self._ended.wait()

    async def _send_all(self) -> None:
        while (text := await self._outgoing.get()) is not None:
            try:
                await self._websocket.send_text(text)
            except (WebSocketDisconnect, RuntimeError):  # the socket closed while the frame waited
                return
            self._unsent -= 1

    async def _receive_all(self, on_text: Callable[[str], Awaitable[None]]) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if self._too_many_messages():
                self.drop(POLICY_VIOLATION, "Too many requests")
                return
            text = message.get("text")
            await on_text(text if text is not None else message["bytes"].decode(errors="replace"))

    def _too_many_messages(self) -> bool:
        if not self._messages_per_s:
            return False
        now = asyncio.get_running_loop().time()
        while self._received_at and self._received_at[0] <= now - 1:
            self._received_at.popleft()
        self._received_at.append(now)
        return len(self._received_at) > self._messages_per_s

    async def _close(self) -> None:
        if self._websocket.client_state is WebSocketState.DISCONNECTED:
            return
        try:
            # A client that reads nothing does not take the closing frame either: the server then just hangs up.
            async with asyncio.timeout(_CLOSE_WAIT_S):
                await self._websocket.close(self._close_code, self._close_reason)
        except (TimeoutError, RuntimeError, WebSocketDisconnect):
            return


def _frames_of(websocket: WebSocket) -> FramesProtocol | None:
    """The short way to the client, where the server has one."""
    found = websocket.scope.get("extensions", {}).get(EXTENSION, {}).get("connection")
    return found if isinstance(found, FramesProtocol) else None
