"""Reads of the journal's tables through a read-only connection: bounded, parameters only, newest commit visible."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine_service.domain.fill import Fill
from engine_service.domain.order import Order
from engine_service.storage.codec import decode, decode_event
from engine_service.storage.order_runs import with_seqs
from engine_service.storage.port import (
    ENDLESS_MS,
    EQUITY_FIGURES,
    EquityFilter,
    EquityPoint,
    FillFilter,
    FillRow,
    LogRow,
    OrderFilter,
    OrderRow,
    Recorded,
    StoredAnswer,
)
from engine_service.storage.schema import open_reader

MAX_ROWS = 10_000
#: Of SQLite's machine: some milliseconds.
STEPS_BETWEEN = 100_000


class SqliteReader:
    """Implements ``JournalReader`` on a database file that exists."""

    def __init__(self, path: Path, *, read_once: bool = False) -> None:
        """Open the database read-only; ``read_once`` as for ``open_reader``.

        Raises:
            sqlite3.Error: it is not there or not readable.
        """
        self.path = path
        self._reader = open_reader(path, read_once=read_once)

    def close(self) -> None:
        """Close the reading connection."""
        self._reader.close()

    def break_off_when(self, wanted: Callable[[], bool]) -> None:
        """Ask now and then whether to go on with a long read; what is broken off raises OperationalError."""
        self._reader.set_progress_handler(wanted, STEPS_BETWEEN)

    def events_after(self, seq: int, limit: int) -> list[Recorded]:
        """Return events with a larger sequence number, in order."""
        rows = self._all("SELECT seq, kind, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit))
        return [_recorded(row) for row in rows]

    def log_rows_after(self, seq: int, limit: int) -> list[LogRow]:
        """Return committed events with a larger sequence number as text, in order."""
        rows = self._all(
            "SELECT seq, kind, client_order_id IS NOT NULL, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?",
            (seq, limit),
        )
        return [LogRow(seq, kind, bool(of_order), body) for seq, kind, of_order, body in rows]

    def last_epoch(self) -> int:
        """Return the epoch of the newest event, 0 in an empty journal."""
        row = self._one("SELECT epoch FROM events ORDER BY seq DESC LIMIT 1", ())
        return 0 if row is None else int(row[0])

    def reporting(self) -> str:
        """Return the currency everything is valued in since the first event; empty where it was not written down."""
        row = self._one("SELECT value FROM meta WHERE key = 'reporting'", ())
        return "" if row is None else str(row[0])

    def newest_seq(self) -> int:
        """Return the newest committed sequence number."""
        row = self._one("SELECT MAX(seq) FROM events", ())
        return 0 if row is None or row[0] is None else int(row[0])

    def order(self, client_order_id: str) -> Order | None:
        """Return an order, however old."""
        row = self._one("SELECT body FROM orders WHERE client_order_id = ?", (client_order_id,))
        return None if row is None else decode(Order, row[0])

    def order_by_venue_id(self, symbol: str, venue_order_id: str) -> Order | None:
        """Return an order by the venue's own id."""
        row = self._one(
            "SELECT body FROM orders WHERE symbol = ? AND venue_order_id = ? AND venue_order_id <> ''",
            (symbol, venue_order_id),
        )
        return None if row is None else decode(Order, row[0])

    def orders(self, query: OrderFilter) -> list[OrderRow]:
        """Return orders, newest first."""
        where, values = _where(
            [
                ("symbol = ?", query.symbol),
                ("strategy = ?", query.strategy),
                ("created_at_ms >= ?", query.since_ms),
                ("created_at_ms < ?", query.until_ms),
                ("seq < ?", query.before_seq),
            ]
        )
        if query.open_only:
            where.append("open = 1")
        if query.statuses:
            where.append(f"status IN ({','.join('?' * len(query.statuses))})")
            values += query.statuses
        text = f"SELECT seq, body FROM orders {_clause(where)} ORDER BY seq DESC LIMIT ?"  # noqa: S608 parameters only
        rows = self._all(text, (*values, query.limit))
        return [OrderRow(seq=row[0], order=decode(Order, row[1])) for row in rows]

    def order_history(self, client_order_id: str) -> list[Recorded]:
        """Return every event of one order, in order."""
        select = "SELECT seq, kind, body FROM seqs JOIN events USING (seq) ORDER BY seq LIMIT :rows"
        text = with_seqs(self._reader, select)
        return [_recorded(row) for row in self._reader.execute(text, {"cid": client_order_id, "rows": MAX_ROWS})]

    def fills(self, query: FillFilter) -> list[FillRow]:
        """Return fills, oldest first unless the newest are asked for."""
        where, values = _where(
            [
                ("symbol = ?", query.symbol),
                ("strategy = ?", query.strategy),
                ("at_ms >= ?", query.since_ms),
                ("at_ms < ?", query.until_ms),
                ("seq > ?", query.after_seq),
            ]
        )
        if query.client_order_id:
            where.append("seq IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(self._seqs_of(query.client_order_id)))
        order = "DESC" if query.newest_first else "ASC"
        text = f"SELECT seq, body, strategy FROM fills {_clause(where)} ORDER BY seq {order} LIMIT ?"  # noqa: S608 parameters only
        rows = self._all(text, (*values, query.limit))
        return [FillRow(seq=row[0], fill=decode(Fill, row[1]), strategy=row[2]) for row in rows]

    def order_columns(self, client_order_id: str) -> tuple[Any, ...]:
        """Return the row of an order column by column, as other programs read it."""
        return self._one("SELECT * FROM orders WHERE client_order_id = ?", (client_order_id,)) or ()

    def fill_columns(self, client_order_id: str) -> list[tuple[Any, ...]]:
        """Return the rows of an order's fills column by column, as other programs read them."""
        seqs = json.dumps(self._seqs_of(client_order_id))
        return self._all("SELECT * FROM fills WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq", (seqs,))

    def balances(self) -> dict[str, str]:
        """Return every stored balance: quantity as text, by ``venue|market|asset``."""
        rows = self._all("SELECT venue, market, asset, quantity FROM balances", ())
        return {f"{venue}|{market}|{asset}": quantity for venue, market, asset, quantity in rows}

    def positions(self) -> dict[str, str]:
        """Return every stored futures position: signed quantity as text, by symbol."""
        return dict(self._all("SELECT symbol, quantity FROM positions", ()))

    def is_in_order(self, table: str) -> bool:
        """Tell whether a table keeps its rows in the order in which they were written; journals made before may not."""
        try:
            self._reader.execute(f"SELECT rowid FROM {table} LIMIT 0")  # noqa: S608 a table's name
        except sqlite3.OperationalError:
            return False
        return True

    def rows_written(self, table: str, after: int, limit: int) -> list[tuple[int, tuple[Any, ...]]]:
        """Return rows column by column, each with its place, in the order in which they were written."""
        text = f"SELECT *, rowid FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT ?"  # noqa: S608 a table's name
        return [(row[-1], row[:-1]) for row in self._all(text, (after, limit))]

    def row_of(self, table: str, names: Sequence[str], values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the row of a key column by column; empty where there is none."""
        where = " AND ".join(f"{name} = ?" for name in names)
        return self._one(f"SELECT * FROM {table} WHERE {where}", values) or ()  # noqa: S608 names of columns

    def row_count(self, table: str) -> int:
        """Return how many rows a table has."""
        row = self._one(f"SELECT COUNT(*) FROM {table}", ())  # noqa: S608 a table's name
        return 0 if row is None else int(row[0])

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """See one moment of the journal however many reads are made; not for long, it holds up the log."""
        self._reader.execute("BEGIN")
        try:
            yield
        finally:
            self._reader.execute("ROLLBACK")

    def equity_curve(self, query: EquityFilter) -> list[EquityPoint]:
        """Return samples of equity by their time, oldest first: as the index has them, so that nothing is sorted."""
        before = (query.since_ms, 0)
        if query.after_seq:
            before = self._one("SELECT at_ms, seq FROM equity_snapshots WHERE seq = ?", (query.after_seq,)) or before
        rows = self._all(
            f"SELECT seq, at_ms, {', '.join(EQUITY_FIGURES)}"  # noqa: S608 column names
            " FROM equity_snapshots WHERE (at_ms, seq) > (?, ?) AND at_ms < ? ORDER BY at_ms, seq LIMIT ?",
            (*before, query.until_ms or ENDLESS_MS, query.limit),
        )
        return [
            EquityPoint(seq=row[0], at_ms=row[1], values=dict(zip(EQUITY_FIGURES, row[2:], strict=True)))
            for row in rows
        ]

    def answer(self, scope: str, key: str) -> StoredAnswer | None:
        """Return what was answered under an idempotency key, however old."""
        row = self._one("SELECT body FROM idempotency WHERE scope = ? AND key = ?", (scope, key))
        return None if row is None else decode(StoredAnswer, row[0])

    def _seqs_of(self, client_order_id: str) -> list[int]:
        text = with_seqs(self._reader, "SELECT seq FROM seqs")
        return [row[0] for row in self._reader.execute(text, {"cid": client_order_id})]

    def _one(self, text: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._reader.execute(text, values).fetchone()
        return row

    def _all(self, text: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return self._reader.execute(text, values).fetchmany(MAX_ROWS)


def _recorded(row: tuple[Any, ...]) -> Recorded:
    return Recorded(seq=row[0], event=decode_event(row[1], row[2]))


def _where(conditions: list[tuple[str, str | int]]) -> tuple[list[str], list[Any]]:
    used = [(text, value) for text, value in conditions if value]
    return [text for text, _ in used], [value for _, value in used]


def _clause(where: list[str]) -> str:
    return f"WHERE {' AND '.join(where)}" if where else ""


def is_readable(path: Path) -> bool:
    """Tell whether a journal can be opened for reading."""
    try:
        SqliteReader(path).close()
    except sqlite3.Error:
        return False
    return True
