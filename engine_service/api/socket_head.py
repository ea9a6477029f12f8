"""The head of a WebSocket handshake, judged at the door and written anew for the library that opens the socket.

What the library itself refuses it refuses in words of its own, with what was sent to it, and a head that it cannot read
it leaves without an answer and the connection open for ever. So it is given only heads that it takes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from engine_service.api.request_head import MAX_TARGET_BYTES, check_target, read_headers
from engine_service.domain.errors import InvalidRequest

#: What a handshake may say beside being one; the rest is nothing to anybody.
_TOLD: Final = (
    b"host",
    b"origin",
    b"authorization",
    b"sec-fetch-site",
    b"last-event-id",
    b"sec-websocket-key",
    b"sec-websocket-version",
    b"sec-websocket-protocol",
)
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
_TOKENS: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+([ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")
_UPGRADE: Final = b"upgrade: websocket\r\nconnection: Upgrade\r\n"


def socket_head(path: bytes, query: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the head of a handshake; names of headers are lower case.

    Raises:
        InvalidRequest: ``URI_TOO_LONG``, ``HEADERS_TOO_LARGE``, ``HEADER_DUPLICATED``, ``HEADER_INVALID``, or
            ``REQUEST_INVALID``: it has a body, or is no handshake of the one version there is.
    """
    check_target(path, query)
    told = read_headers(headers)
    if b"transfer-encoding" in told or told.get(b"content-length", b"0") != b"0":
        raise InvalidRequest("REQUEST_INVALID", "A WebSocket handshake has no body.")
    names = [name for name, _ in headers]
    if any(names.count(name) > 1 for name in _TOLD):
        raise InvalidRequest("HEADER_DUPLICATED", "A header of a WebSocket handshake stands twice.")
    version, key = told.get(b"sec-websocket-version", b""), told.get(b"sec-websocket-key", b"")
    if version != b"13" or not _KEY.fullmatch(key):
        why = "A WebSocket handshake has one Sec-WebSocket-Key, 16 bytes in base64, and Sec-WebSocket-Version: 13."
        raise InvalidRequest("REQUEST_INVALID", why)
    if not _TOKENS.fullmatch(told.get(b"sec-websocket-protocol", b"none")):
        raise InvalidRequest("REQUEST_INVALID", "Sec-WebSocket-Protocol is a list of names.")
    first = b"GET %b HTTP/1.1\r\n" % (path + b"?" + query if query else path)
    if len(first) > MAX_TARGET_BYTES:
        raise InvalidRequest("URI_TOO_LONG", "The address is too long for a WebSocket.")
    lines = [b"%b: %b\r\n" % (name, told[name]) for name in _TOLD if name in told]
    return first + _UPGRADE + b"".join(lines) + b"\r\n"
