"""Events as the rows of ``events``: encoded once, each sealed over the row before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from engine_service.domain.events import OrderEvent
from engine_service.storage.anchors import Position, is_due
from engine_service.storage.chain import ROW_VERSION, Ratchet, link
from engine_service.storage.codec import KINDS, encode
from engine_service.storage.port import Recorded

#: seq, epoch, version, at_ms, kind, client_order_id, body, hash.
SealedRow = tuple[int, int, int, int, str, str | None, str, bytes]

_KIND_BYTES: Final = {kind: (name, name.encode(), issubclass(kind, OrderEvent)) for name, kind in KINDS.items()}


class Sealer:
    """Knows the hash of the newest row and the key of the next; ``epoch`` is the number of this run's writer."""

    def __init__(self, ratchet: Ratchet, head: bytes, epoch: int) -> None:
        self._ratchet, self._head, self.epoch = ratchet, head, epoch

    @property
    def position(self) -> Position:
        """The newest row."""
        return Position(self._ratchet.seq, self._head, self._ratchet.secret)

    def seal(self, events: Iterable[Recorded]) -> tuple[list[SealedRow], list[Position]]:
        """Return the rows of events, and the positions among them that must have a checkpoint."""
        rows: list[SealedRow] = []
        due: list[Position] = []
        ratchet, epoch = self._ratchet, self.epoch
        for recorded in events:
            event, seq = recorded.event, recorded.seq
            kind, kind_bytes, of_order = _KIND_BYTES[type(event)]
            order_id: str | None = event.client_order_id if of_order else None  # type: ignore[attr-defined]
            named = None if order_id is None else order_id.encode()
            body = encode(event)
            self._head = link(ratchet.turn(), self._head, seq, epoch, event.at_ms, kind_bytes, named, body)
            rows.append((seq, epoch, ROW_VERSION, event.at_ms, kind, order_id, body.decode(), self._head))
            if is_due(ratchet):
                due.append(self.position)
        return rows, due
