"""Events, orders and snapshots as JSON bytes: one encoding for the journal, the audit log and the wire.

Decimals are text, enums their value, field names as in the classes; the kind of an event is its class name.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec

from engine_service.domain import events
from engine_service.domain.events import Event

_T = TypeVar("_T")
_ENCODER: Final = msgspec.json.Encoder(decimal_format="string")
_SORTED: Final = msgspec.json.Encoder(decimal_format="string", order="sorted")
_PARTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LARGE_BYTES: Final = 32 * 1024

KINDS: Final[dict[str, type[Event]]] = {
    name: kind
    for name, kind in vars(events).items()
    if isinstance(kind, type) and issubclass(kind, Event) and kind not in {Event, events.OrderEvent}
}

_EVENT_DECODERS: Final[dict[str, Callable[[bytes | str], Event]]] = {
    name: msgspec.json.Decoder(kind).decode for name, kind in KINDS.items()
}


class Undecodable(ValueError):
    """Stored bytes that do not make the thing they should."""


def encode(value: object) -> bytes:
    """Encode a frozen value."""
    return _ENCODER.encode(value)


def encode_canonical(value: object) -> bytes:
    """Encode with sorted keys, so that equal values give equal bytes."""
    return _SORTED.encode(value)


def canonical(body: bytes, pause: Callable[[], None] = lambda: None) -> bytes:
    """Bring encoded bytes into the canonical form: what ``encode_canonical`` gives for the value they hold.

    A large object is taken apart first, with a ``pause`` after every 32 KiB or so: in one go it would keep the
    interpreter from orders for tens of milliseconds, also in a thread of its own.
    """
    if len(body) < _LARGE_BYTES or not body.startswith(b"{"):
        return _SORTED.encode(msgspec.json.decode(body))
    members, parts, since = list[bytes](), _PARTS.decode(body), 0
    for name in sorted(parts):
        value = bytes(parts[name])
        members.append(b"%b:%b" % (encode(name), canonical(value, pause)))
        since += len(value)
        if since > _LARGE_BYTES:
            pause()
            since = 0
    return b"{%b}" % b",".join(members)


def as_plain(event: Event) -> dict[str, Any]:
    """Return an event as JSON-ready plain values beside its kind, as streams and the audit log show it."""
    return {"kind": type(event).__name__, "event": msgspec.json.decode(_ENCODER.encode(event))}


@lru_cache(maxsize=256)
def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def decode(kind: type[_T], body: bytes | str) -> _T:
    """Decode bytes into ``kind``.

    Raises:
        Undecodable: they do not fit.
    """
    try:
        decoded: _T = _decoder(kind).decode(body)  # type: ignore[arg-type]  # classes do hash
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Undecodable(f"{kind.__name__}: {error}") from error
    return decoded


def decode_event(kind: str, body: bytes | str) -> Event:
    """Decode an event by its kind.

    Raises:
        Undecodable: the kind is unknown or the body does not fit it.
    """
    decoder = _EVENT_DECODERS.get(kind)
    if decoder is None:
        raise Undecodable(f"{kind!r} is not a kind of event this version knows")
    try:
        return decoder(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Undecodable(f"{kind}: {error}") from error
