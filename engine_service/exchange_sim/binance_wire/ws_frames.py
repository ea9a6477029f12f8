"""The server's side of a WebSocket: whole text frames go in and out without the library between.

Nearly every request is one masked text frame and everything the exchange says is text. Those are read and written
here; the handshake, fragments, compressed messages, pings and closing stay with the library, which always meets whole
frames and so keeps every rule of the protocol.
"""

from __future__ import annotations

import struct

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

try:
    from websockets.speedups import apply_mask
except ImportError:  # the library was built without its C part
    from websockets.utils import apply_mask

#: Where an application finds the connection's own frames, among the extensions of its scope.
EXTENSION = "exchange.frames"
_FINAL_TEXT = 0x81
_MASKED = 0x80
_WIDE_LENGTH = {126: 2, 127: 8}
_SHORT_HEAD, _MASK = 2, 4
_SHORT, _MIDDLE = 125, 0xFFFF


class FramesProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol with a short way for text."""

    _knows_head = False
    _whole_frames = True
    _begun = b""
    _owed = 0

    def write_text(self, text: str) -> bool:
        """Send one text frame now; False where the peer takes nothing at present or the connection is ending."""
        if not self.writable.is_set() or self.close_sent or self.disconnected:
            return False
        if self.conn.state is not State.OPEN or self.transport.is_closing():
            return False
        payload = text.encode()
        self.transport.write(_head(len(payload)) + payload)
        return True

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["extensions"][EXTENSION] = {"connection": self}

    def data_received(self, data: bytes) -> None:
        if not self._knows_head:
            self._knows_head = True
            super().data_received(data)
        elif self._whole_frames and self.handshake_complete:
            self._collect(data)
        else:
            # A client that speaks before it was let in: the library has the beginning of its frame, it keeps the rest.
            self._whole_frames = False
            super().data_received(data)

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
            if stop <= end and data[at] == _FINAL_TEXT and data[at + 1] & _MASKED and not self.frames:
                self.frames = [apply_mask(data[start:stop], data[start - _MASK : start])]
                self.curr_msg_data_type = "text"
                self.send_receive_event_to_app()
            else:
                self._owed = max(0, stop - end)
                self._leave(data[at:stop])
            at = stop

    def _leave(self, part: bytes) -> None:
        """Leave bytes to the library; where they end the connection, what follows them means nothing any more."""
        super().data_received(part)
        self._whole_frames = self.conn.state is State.OPEN


def _bounds(data: bytes, at: int) -> tuple[int, int]:
    """Return where the payload of the frame at ``at`` starts and stops; without a whole head it starts nowhere yet."""
    start = at + _SHORT_HEAD
    if start > len(data):
        return start, start
    length = data[at + 1] & ~_MASKED
    if length in _WIDE_LENGTH:
        start += _WIDE_LENGTH[length]
        length = int.from_bytes(data[at + _SHORT_HEAD : start])
    if data[at + 1] & _MASKED:
        start += _MASK
    return start, start + length


def _head(length: int) -> bytes:
    if length <= _SHORT:
        return bytes((_FINAL_TEXT, length))
    if length <= _MIDDLE:
        return struct.pack("!BBH", _FINAL_TEXT, 126, length)
    return struct.pack("!BBQ", _FINAL_TEXT, 127, length)
