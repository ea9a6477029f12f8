"""Events as the rows of ``events``: encoded once, each sealed over the row before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from engine_service.domain.events import OrderEvent
from engine_service.storage.anchors import Position
from engine_service.storage.chain import ROW_VERSION, Ratchet, link
from engine_service.storage.checkpoints import EVERY_ROWS
from engine_service.storage.codec import KINDS, encode
from engine_service.storage.port import Recorded

#: seq, epoch, version, at_ms, kind, client_order_id, body, hash.
SealedRow = tuple[int, int, int, int, str, str | None, str, bytes]

_KINDS: Final = {kind: (name, name.encode()) for name, kind in KINDS.items()}


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
        ratchet, head, epoch = self._ratchet, self._head, self.epoch
        for recorded in events:
            event, seq = recorded.event, recorded.seq
            at_ms, body = event.at_ms, encode(event)
            kind, kind_bytes = _KINDS[type(event)]
            order_id = event.client_order_id if isinstance(event, OrderEvent) else None
            named = None if order_id is None else order_id.encode()
            head = link(ratchet.turn(), head, seq, epoch, at_ms, kind_bytes, named, body)
            rows.append((seq, epoch, ROW_VERSION, at_ms, kind, order_id, body.decode(), head))
            if seq % EVERY_ROWS == 0:
                due.append(Position(seq, head, ratchet.secret))
        self._head = head
        return rows, due
