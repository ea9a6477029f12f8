"""The head of a request: its headers within bounds, plain, said once, and addressed to this machine by its own page."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import httptools
import structlog

from engine_service.domain.errors import EngineError, InvalidRequest, Unavailable

MAX_HEADER_BYTES: Final = 8 * 1024
MAX_HEADERS: Final = 64
MAX_TARGET_BYTES: Final = 8 * 1024
ONCE: Final = frozenset(
    {b"authorization", b"content-type", b"content-length", b"host", b"idempotency-key", b"x-idempotency-key", b"origin"}
    | {b"last-event-id"}
)

_log = structlog.get_logger(__name__)


def refusal_of(error: httptools.HttpParserError, url: bytes) -> EngineError:
    """Return the answer to bytes that the parser refuses; ``url`` is what it had read of a target."""
    # What was raised while a part was taken in is its context. A target that is none is raised there as well.
    cause = error.__context__ or error
    if isinstance(cause, httptools.HttpParserError):
        _log.warning("bytes that are no HTTP request")
        # Much beyond this the parser itself gives up; what is shorter and still too long is the gate's to refuse.
        code = "URI_TOO_LONG" if len(url) > MAX_TARGET_BYTES else "REQUEST_INVALID"
        return InvalidRequest(code, "The bytes received are no HTTP request.")
    # No fault of who sent it: for want of memory, for instance.
    _log.error("a request was not taken in", exc_info=cause)
    return Unavailable("INTERNAL", "The engine failed on this request; its log says how.")


def read_headers(raw: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return the headers, the last value of each; names are lower case.

    Raises:
        InvalidRequest: ``HEADERS_TOO_LARGE``, ``HEADER_DUPLICATED`` or ``HEADER_INVALID``.
    """
    headers = dict(raw)
    names, values = b"".join(headers), b"".join(headers.values())
    small = len(raw) <= MAX_HEADERS and len(names) + len(values) <= MAX_HEADER_BYTES
    if small and len(headers) == len(raw) and values.isascii() and values.decode("ascii").isprintable():
        return headers
    return _read_each(raw)


def _read_each(raw: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    if len(raw) > MAX_HEADERS or sum(len(name) + len(value) for name, value in raw) > MAX_HEADER_BYTES:
        raise InvalidRequest("HEADERS_TOO_LARGE", f"At most {MAX_HEADERS} headers, {MAX_HEADER_BYTES} bytes.")
    headers: dict[bytes, bytes] = {}
    for name, value in raw:
        if name in headers and name in ONCE:
            raise InvalidRequest("HEADER_DUPLICATED", f"{name.decode('ascii', 'replace')[:40]} stands twice.")
        if not value.isascii() or not value.replace(b"\t", b" ").decode("ascii").isprintable():
            raise InvalidRequest("HEADER_INVALID", "Header values are visible ASCII.")
        headers[name] = value
    return headers


def check_target(path: bytes, query: bytes) -> None:
    """Refuse a path and query that are too long together.

    Raises:
        InvalidRequest: ``URI_TOO_LONG``.
    """
    if len(path) + len(query) > MAX_TARGET_BYTES:
        raise InvalidRequest("URI_TOO_LONG", f"At most {MAX_TARGET_BYTES} bytes.")


def check_framing(headers: Mapping[bytes, bytes]) -> None:
    """Refuse a body that is compressed on its way: the parser takes the pieces apart and leaves it compressed.

    Raises:
        InvalidRequest: ``REQUEST_INVALID``.
    """
    if headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
        raise InvalidRequest("REQUEST_INVALID", "The one Transfer-Encoding known here is chunked.")


def check_address(headers: Mapping[bytes, bytes], allowed_hosts: Collection[str]) -> None:
    """Refuse what is meant for another host, comes from a page of another origin, or expects what is not done here.

    Raises:
        InvalidRequest: ``EXPECTATION_FAILED``, ``HOST_NOT_ALLOWED`` or ``ORIGIN_NOT_ALLOWED``.
    """
    if headers.get(b"expect", b"100-continue").lower() != b"100-continue":
        raise InvalidRequest("EXPECTATION_FAILED", "Expect can be 100-continue only.")
    host = headers.get(b"host", b"").decode("ascii").lower()
    if not is_own(host, allowed_hosts):
        raise InvalidRequest("HOST_NOT_ALLOWED", "Call the engine by its own address.")
    origin = headers.get(b"origin")
    foreign = origin is not None and origin.decode("ascii").lower() != f"http://{host}"
    if foreign or headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site"):
        raise InvalidRequest("ORIGIN_NOT_ALLOWED", "Pages of other origins may not call the engine.")


def is_own(host: str, allowed_hosts: Collection[str]) -> bool:
    """Tell whether a ``Host`` in lower case is a name of this machine, whatever port it is reached by."""
    if host in allowed_hosts:
        return True
    name, _, port = host.rpartition(":")
    return name in allowed_hosts and (port.isdecimal() or not port)


def is_json(content_type: bytes) -> bool:
    """True for ``application/json`` in UTF-8."""
    if content_type == b"application/json":
        return True
    kind, _, rest = content_type.decode("ascii").lower().partition(";")
    charset = rest.strip()
    return kind.strip() == "application/json" and charset in ("", "charset=utf-8", 'charset="utf-8"')
