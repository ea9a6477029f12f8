"""A WebSocket client that hands over whole messages in batches.

What a venue sends is nearly always one unmasked text frame a message. Such frames are cut out of the stream here;
everything else (the handshake, fragments, pings, closing, whatever breaks the protocol) is left to the library, which
always meets whole frames and so keeps every rule of the protocol.
"""

from __future__ import annotations

import asyncio
from collections import deque

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosedError
from websockets.frames import DATA_OPCODES, Frame
from websockets.protocol import Event, State

#: Messages that may wait for the consumer before the peer is made to wait.
MOST_WAITING = 1024
_HEAD_END = b"\r\n\r\n"
_WHOLE = frozenset({0x81, 0x82})  # final frames of text or bytes, no extension bits
_WIDE_LENGTH = {126: 2, 127: 8}
_SHORT_HEAD = 2
_MASKED = 0x80


class TextSocket(ClientConnection):
    """A connection with one consumer, which takes all that has arrived at once."""

    def __init__(
        self,
        protocol: ClientProtocol,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: int | tuple[int | None, int | None] | None = 16,
        write_limit: int | tuple[int, int | None] = 2**15,
    ) -> None:
        super().__init__(
            protocol,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
            write_limit=write_limit,
        )
        self._most_bytes = protocol.max_message_size or 0
        self._head = b""
        self._whole_frames = False
        self._begun = b""
        self._owed = 0
        self._fragments: list[bytes] = []
        self._inbox: deque[bytes] = deque()
        self._reading_paused = False
        self._consumer: asyncio.Future[None] | None = None

    async def messages(self) -> deque[bytes]:
        """Return what has arrived since the last call, in order; wait where that is nothing.

        Raises:
            ConnectionClosed: the connection is gone and everything it brought was handed over.
        """
        await self._arrival()
        arrived, self._inbox = self._inbox, deque()
        self._go_on_reading()
        return arrived

    async def message(self) -> bytes:
        """Return the next message alone. Raises as ``messages``."""
        await self._arrival()
        first = self._inbox.popleft()
        self._go_on_reading()
        return first

    async def writable(self) -> None:
        """Wait while the peer takes nothing."""
        if self.paused:
            await self.drain()

    def send_text(self, data: bytes) -> None:
        """Hand one text frame to the socket.

        Raises:
            ConnectionClosed: the connection is closed or closing.
        """
        protocol = self.protocol
        if protocol.state is not State.OPEN:
            raise ConnectionClosedError(protocol.close_rcvd, protocol.close_sent, protocol.close_rcvd_then_sent)
        protocol.send_text(data)
        try:
            self.send_data()
        except (OSError, RuntimeError) as error:  # uvloop's word for a transport that was aborted a moment ago
            raise ConnectionClosedError(None, None) from error

    # --- asyncio's callbacks ------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._whole_frames:
            self._collect(data)
        elif self.response is None:
            self._shake_hands(data)
        else:
            super().data_received(data)
        if self._inbox:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._wake()

    def process_event(self, event: Event) -> None:
        """Take a frame that the library has read; its data goes the way of all messages."""
        if not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)
            return
        self._fragments.append(bytes(event.data))
        if event.fin:
            self._inbox.append(b"".join(self._fragments))
            self._fragments = []

    # --- details ------------------------------------------------------------------------------------------------

    async def _arrival(self) -> None:
        while not self._inbox:
            if self.protocol.state is State.CLOSED:
                raise self.close_exc
            self._consumer = self.loop.create_future()
            try:
                await self._consumer
            finally:
                self._consumer = None

    def _wake(self) -> None:
        if self._consumer is not None and not self._consumer.done():
            self._consumer.set_result(None)
        if len(self._inbox) > MOST_WAITING and not self._reading_paused:
            self._reading_paused = True
            self.transport.pause_reading()

    def _go_on_reading(self) -> None:
        if self._reading_paused and len(self._inbox) < MOST_WAITING:
            self._reading_paused = False
            self.transport.resume_reading()

    def _shake_hands(self, data: bytes) -> None:
        """Give the library the answer to the handshake and not a byte of the frames behind it."""
        before = len(self._head)
        self._head += data
        end = self._head.find(_HEAD_END)
        cut = len(data) if end < 0 else end + len(_HEAD_END) - before
        super().data_received(data[:cut])
        if end >= 0:
            self._head = b""
        self._whole_frames = self.response is not None and self.protocol.state is State.OPEN
        if data[cut:]:
            self.data_received(data[cut:])

    def _collect(self, data: bytes) -> None:
        """Take every frame off ``data``; the library reads those that are not simple, or not whole yet."""
        if self._begun:
            data, self._begun = self._begun + data, b""
        at, end = min(self._owed, len(data)), len(data)
        if at:
            self._owed -= at
            self._leave(data[:at])
        while at < end and self._whole_frames:
            start, stop = _bounds(data, at)
            if start > end:
                self._begun = data[at:]
                return
            if stop <= end and self._is_simple(data, at, stop - start):
                self._inbox.append(data[start:stop])
            else:
                self._owed = max(0, stop - end)
                self._leave(data[at:stop])
            at = stop

    def _is_simple(self, data: bytes, at: int, length: int) -> bool:
        """Tell whether a whole frame is a message by itself and breaks no rule of the protocol."""
        return data[at] in _WHOLE and data[at + 1] < _MASKED and length <= self._most_bytes and not self._fragments

    def _leave(self, part: bytes) -> None:
        """Leave bytes to the library; where they end the connection, what follows them means nothing any more."""
        super().data_received(part)
        self._whole_frames = self.protocol.state is State.OPEN


def _bounds(data: bytes, at: int) -> tuple[int, int]:
    """Return where the payload of the frame at ``at`` starts and stops; without a whole head it starts nowhere yet."""
    start = at + _SHORT_HEAD
    if start > len(data):
        return start, start
    length = data[at + 1]
    if length in _WIDE_LENGTH:
        start += _WIDE_LENGTH[length]
        length = int.from_bytes(data[at + _SHORT_HEAD : start])
    return start, start + length
