"""uvicorn's WebSocket protocol with bounds: on what is sent to it between messages, and on how long nobody reads."""

from __future__ import annotations

from asyncio import TimerHandle
from collections import deque
from typing import Final

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

#: One message, however many frames it comes in.
LONGEST_MESSAGE: Final = 16 * 1024
MOST_FRAGMENTS: Final = 64
PINGS_AT_ONCE, PINGS_WITHIN_S = 20, 10.0
#: For so long nothing has to be taken in from the buffers before the reader is taken for gone.
READ_WITHIN_S: Final = 10.0
#: For so long the farewell waits in the buffers for a reader who wakes up.
FAREWELL_S: Final = 30.0
NO_TEXT, POLICY_VIOLATION, TRY_AGAIN_LATER = 1007, 1008, 1013


class BoundedSocket(WebSocketsSansIOProtocol):
    """Ends a connection whose peer floods it with pings or fragments (1008), or does not read (1013)."""

    _slow: TimerHandle | None = None
    _pings: deque[float]

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True  # it was refused: uvicorn calls that a fault of ours in the log

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_text(b"".join(self.frames)):
            self.frames.clear()
            self._end(NO_TEXT, "text is UTF-8")  # uvicorn would write a trace into the log
            return
        super().send_receive_event_to_app()

    def handle_ping(self) -> None:
        if self.close_sent:
            return
        if not hasattr(self, "_pings"):
            self._pings = deque(maxlen=PINGS_AT_ONCE)
        now_s = self.loop.time()
        if len(self._pings) == PINGS_AT_ONCE and now_s - self._pings[0] < PINGS_WITHIN_S:
            self._end(POLICY_VIOLATION, "too many pings")
            return
        self._pings.append(now_s)
        super().handle_ping()

    def handle_cont(self, event: Frame) -> None:
        if self.close_sent:
            self.frames.clear()
            return
        if len(self.frames) >= MOST_FRAGMENTS:
            self._end(POLICY_VIOLATION, "too many fragments")
            return
        super().handle_cont(event)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._slow is None:
            self._slow = self.loop.call_later(READ_WITHIN_S, self._too_slow)

    def resume_writing(self) -> None:
        self._patient()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._patient()
        super().connection_lost(exc)

    def _patient(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def _too_slow(self) -> None:
        self._end(TRY_AGAIN_LATER, "too slow; resume from the last sequence number")
        self._slow = self.loop.call_later(FAREWELL_S, self.transport.abort)

    def _end(self, code: int, reason: str) -> None:
        """Say why and stop listening; the connection stays until the peer has had the time to hear it."""
        if self.close_sent or self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
