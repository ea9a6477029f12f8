"""Compares the rows that no state remembers with the events they follow from, while those are replayed.

Answers under idempotency keys and samples of equity are written and looked at no more. Each row is compared with what
its event says, applied to the state of that moment. Rows are read in the order in which they were written, a little
ahead of the replay, so that neither side is ever held as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from engine_service.domain import events as e
from engine_service.domain.state import EngineState
from engine_service.storage.port import Recorded, StoredAnswer
from engine_service.storage.projections import ChangeAsked, answer_begun, answer_told
from engine_service.storage.reader import SqliteReader
from engine_service.storage.row_writers import answer_row, equity_row
from engine_service.storage.tables_check import same_row

Row = tuple[Any, ...]
#: So many rows at most are read before their events; a group of the writer's is never larger.
AHEAD: Final = 4_000
_CHUNK: Final = 500
#: What may carry the key that it was asked under.
Asked = e.OrderInitialized | ChangeAsked
#: Before every place that a row can have.
_FIRST: Final = -(2**63)


class WrittenRows:
    """See the module: ``take`` every event of a replay, then ask for ``disagreements``."""

    def __init__(self, reader: SqliteReader) -> None:
        self._answers = _Table(reader, "idempotency", ("scope", "key"), _same_answer)
        self._samples = _Table(reader, "equity_snapshots", ("seq",), lambda stored, said: stored == said)
        self._begun: dict[Row, Asked] = {}
        self._take: Mapping[type[e.Event], Callable[[int, Any, EngineState], None]] = {
            e.OrderInitialized: self._asked,
            e.OrderPendingUpdate: self._asked,
            e.OrderPendingCancel: self._asked,
            e.OrderCancelRequested: self._asked,
            e.AnswerRecorded: self._told,
            e.EquityRecorded: self._sampled,
        }

    def take(self, recorded: Recorded, state: EngineState) -> None:
        """Note what an event says of a row; ``state`` is the one right after it."""
        take = self._take.get(type(recorded.event))
        if take is not None:
            take(recorded.seq, recorded.event, state)

    def disagreements(self) -> list[str]:
        """Name the first row of each table that says something else than its event; to be asked once, at the end."""
        for event in self._begun.values():
            if event.idempotency:
                self._answers.expect(answer_row(answer_begun(event, event.idempotency)))
        return [found for table in (self._answers, self._samples) if (found := table.disagreement())]

    def _asked(self, seq: int, event: Asked, state: EngineState) -> None:
        if event.idempotency:
            # Its answer follows, save for the few that a crash cut off.
            self._begun[event.idempotency.scope, event.idempotency.key] = event

    def _told(self, seq: int, event: e.AnswerRecorded, state: EngineState) -> None:
        said = answer_row(answer_told(state, event))
        self._begun.pop(said[:2], None)
        self._answers.expect(said)

    def _sampled(self, seq: int, event: e.EquityRecorded, state: EngineState) -> None:
        self._samples.expect(equity_row(seq, event))


class _Table:
    """One table: rows that were read before their event came, and what events say whose row is not met yet."""

    def __init__(self, reader: SqliteReader, name: str, key: tuple[str, ...], same: Callable[[Row, Row], bool]) -> None:
        """The columns of ``key`` come first. ``same`` compares a row with what is said of it."""
        self._reader, self._name, self._key, self._same = reader, name, key, same
        self._width = len(key)
        self._in_order = reader.is_in_order(name)
        self._ahead: dict[Row, Row] = {}
        self._waiting: dict[Row, Row] = {}
        self._last, self._ended = _FIRST, not self._in_order

    def expect(self, said: Row) -> None:
        """Take what the newest event of a key says; it replaces what an earlier one said."""
        key, ahead = said[: self._width], self._ahead
        while key not in ahead and len(ahead) < AHEAD and not self._ended:
            self._read()
        stored = ahead.get(key)
        if stored is not None and self._same(stored, said):
            del ahead[key]
            self._waiting.pop(key, None)
        else:
            self._waiting[key] = said

    def disagreement(self) -> str:
        """Return what is wrong with the table, empty where nothing is."""
        self._ended = not self._in_order
        while not self._ended:
            self._read()
        for key, said in self._waiting.items():
            stored = self._reader.row_of(self._name, self._key, key)
            if not stored:
                return f"the table of {self._name} has no {self._named(key)}"
            if not self._same(stored, said):
                return f"the table of {self._name} has another {self._named(key)}"
            self._ahead.pop(key, None)
        unknown = next(iter(self._ahead), None)
        if unknown is not None:
            return f"the table of {self._name} has {self._named(unknown)}, which no event explains"
        if not self._in_order and self._reader.row_count(self._name) != len(self._waiting):
            return f"the table of {self._name} has rows that no event explains"
        return ""

    def _read(self) -> None:
        rows = self._reader.rows_written(self._name, self._last, _CHUNK)
        self._ended = len(rows) < _CHUNK
        for place, stored in rows:
            self._last, key = place, stored[: self._width]
            said = self._waiting.get(key)
            if said is not None and self._same(stored, said):
                del self._waiting[key]
                self._ahead.pop(key, None)
            else:
                self._ahead[key] = stored

    def _named(self, key: Row) -> str:
        return " ".join(f"{name} {value}" for name, value in zip(self._key, key, strict=True))


def _same_answer(stored: Row, said: Row) -> bool:
    return same_row(stored, said, StoredAnswer)
