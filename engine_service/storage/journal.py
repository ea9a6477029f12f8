"""The journal on SQLite: one writer thread, group commit, one fsync for everything that waits.

``append`` hands events and their rows to the writer and returns a future. The writer takes all that is queued, writes
it in one transaction (events, hash chain, tables) and commits; only then are the futures done and listeners told. A
failing commit is final: nothing is retried, every waiter gets ``JOURNAL_UNAVAILABLE``, and the process has to end,
because after a failed fsync nobody knows what is on disk. Only a full disk is known to have kept nothing: then the
process may stay, to take orders off the market.
"""

from __future__ import annotations

import asyncio
import sqlite3
from asyncio import Future
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from engine_service.domain.errors import Unavailable
from engine_service.domain.fill import Fill
from engine_service.storage.anchors import Anchors
from engine_service.storage.aside import ReadsAside
from engine_service.storage.chain import GENESIS, Ratchet
from engine_service.storage.order_runs import Runs, catch_up, keeps_runs, note_known_to, write_runs
from engine_service.storage.port import Entry, Found, JournalReader, Recorded
from engine_service.storage.reader import SqliteReader
from engine_service.storage.recent_rows import RecentRows
from engine_service.storage.row_writers import GroupRows
from engine_service.storage.schema import open_writer
from engine_service.storage.sealing import Sealer

MAX_GROUP = 2_000
MAX_QUEUED = 50_000


@dataclass(frozen=True, slots=True)
class _Batch:
    entries: Sequence[Entry]
    done: Future[int]


class SqliteJournal(SqliteReader):
    """See the module. Opened on the event loop's thread; the writer thread starts with the first append."""

    def __init__(
        self,
        path: Path,
        chain_key: bytes | Ratchet,
        *,
        account: str,
        epoch: int = 0,
        anchors: Anchors | None = None,
    ) -> None:
        """Open or create the database.

        ``chain_key`` is the root, or the key of a row that is not written yet; ``anchors`` hears of what is durable.

        Raises:
            ConfigurationError: it cannot be used, and why.
            sqlite3.Error: it cannot be opened.
        """
        self._connection = open_writer(path)
        super().__init__(path)
        self._account = account
        row = self._connection.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        self._last_seq: int = 0 if row is None else row[0]
        start = Ratchet.from_root(chain_key) if isinstance(chain_key, bytes) else chain_key
        self._sealer = Sealer(start.forward_to(self._last_seq), GENESIS if row is None else row[1], epoch)
        self._runs = Runs() if keeps_runs(self._connection) else None
        if self._runs is not None:
            catch_up(self._connection)
        self._anchors = anchors
        if anchors is not None:
            anchors.start()
        self.recent = RecentRows()
        self._aside = ReadsAside(path)
        self._queue: SimpleQueue[_Batch | None] = SimpleQueue()
        self._queued = 0
        self._failed = ""
        self._closed = False
        self.full = False
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: list[Callable[[Sequence[Recorded]], None]] = []
        self._failure_listeners: list[Callable[[str], None]] = []

    @property
    def last_seq(self) -> int:
        return self._last_seq

    @property
    def epoch(self) -> int:
        """The number of this run, which every row names."""
        return self._sealer.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._sealer.epoch = epoch

    @property
    def failed(self) -> bool:
        return bool(self._failed)

    def on_commit(self, listener: Callable[[Sequence[Recorded]], None]) -> None:
        """Call ``listener`` on the event loop with what became durable, in order."""
        self._listeners.append(listener)

    def on_failure(self, listener: Callable[[str], None]) -> None:
        """Call ``listener`` on the event loop once, when a commit failed."""
        self._failure_listeners.append(listener)

    def fill_known(self, fill: Fill) -> bool:
        """Tell whether this venue trade was ever booked."""
        # Asked for every trade that a comparison reads: it must name each column of the unique index, in any order.
        text = (
            "SELECT 1 FROM fills"
            " WHERE venue = ? AND market = ? AND symbol = ? AND trade_id = ? AND side = ? AND account = ?"
        )
        return self._one(text, (*fill.key, self._account)) is not None

    def append(self, entries: Sequence[Entry]) -> Future[int]:
        """Queue entries, which commit together or not at all.

        Raises:
            Unavailable: the journal failed before, or too much is waiting for a slow disk.
        """
        if self._failed or self._closed:
            raise Unavailable("JOURNAL_UNAVAILABLE", "the journal cannot be written")
        if self._queued > MAX_QUEUED:
            raise Unavailable("OVERLOADED", "the disk is too slow for what is asked", retry_after_s=1)
        loop = self._started()
        done: Future[int] = loop.create_future()
        if not entries:
            done.set_result(self._last_seq)
            return done
        self._last_seq = entries[-1].recorded.seq
        self._queued += len(entries)
        self._queue.put(_Batch(entries, done))
        return done

    async def aside(self, read: Callable[[JournalReader], Found]) -> Found:
        """Return what a read finds that may take long; orders do not wait for it.

        Raises:
            Unavailable: the journal is closed (``JOURNAL_UNAVAILABLE``).
            sqlite3.Error: the database is damaged.
        """
        return await self._aside.run(read)

    async def flush(self) -> None:
        """Wait until everything appended so far is on disk.

        Raises:
            Unavailable: the journal failed.
        """
        if self._failed or self._closed:
            raise Unavailable("JOURNAL_UNAVAILABLE", "the journal cannot be written")
        if self._loop is None:
            return
        done: Future[int] = self._loop.create_future()
        self._queue.put(_Batch((), done))
        await done

    def remember_reporting(self, asset: str) -> None:
        """Write down the currency everything is valued in; only before the first event.

        Raises:
            sqlite3.Error: the disk refused.
        """
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('reporting', ?)", (asset,))

    def close(self) -> None:
        """Write what is queued, fold the log into the database and close it; a failed one is only closed."""
        self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(timeout=30)
        if self._anchors is not None:
            self._anchors.close()
        self._aside.close()
        if self._failed:
            # While another has read, closing neither syncs again, which would prove nothing, nor folds the log in.
            with suppress(sqlite3.Error):
                self.last_epoch()
            self._connection.close()
            super().close()
            return
        super().close()
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()

    # --- the writer thread ------------------------------------------------------------------------------------

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._thread = Thread(target=self._write_for_ever, name="journal", daemon=True)
            self._thread.start()
        return self._loop

    def _write_for_ever(self) -> None:
        while True:
            group, last = self._next_group()
            if group and not self._commit(group):
                return
            if last:
                return

    def _next_group(self) -> tuple[list[_Batch], bool]:
        """Wait for a batch and take all that queued behind it; the flag tells that the end was asked for."""
        first = self._queue.get()
        if first is None:
            return [], True
        group, size = [first], len(first.entries)
        while size < MAX_GROUP:
            try:
                batch = self._queue.get_nowait()
            except Empty:
                break
            if batch is None:
                return group, True
            group.append(batch)
            size += len(batch.entries)
        return group, False

    def _commit(self, group: list[_Batch]) -> bool:
        written = False
        try:
            self._write(group)
            written = True
        except (sqlite3.Error, OSError, ValueError, MemoryError) as error:
            self._failed = f"{type(error).__name__}: {error}"
            self.full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        finally:
            # Also for a defect that is not caught above: nobody may wait for ever, and nothing may go on.
            if not written:
                self._failed = self._failed or "the writer was stopped by a defect"
                self._tell(self._group_failed, group)
        if written:
            self._tell(self._group_done, group)
        return written

    def _write(self, group: list[_Batch]) -> None:
        entries = [entry for batch in group for entry in batch.entries]
        if not entries:
            return
        rows, due = self._sealer.seal(entry.recorded for entry in entries)
        tables = GroupRows()
        for entry in entries:
            if entry.projections:
                tables.take(entry.recorded.seq, entry.projections)
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO events VALUES (?,?,?,?,?,?,?,?)", rows)
        tables.write(connection, self._account)
        if self._runs is not None:
            write_runs(connection, self._runs.begun(rows))
            if due:
                note_known_to(connection, due[-1].seq)
        connection.execute("COMMIT")
        self.recent.add(rows)
        if self._anchors is not None:
            self._anchors.note(due, self._sealer.position)

    def _tell(self, report: Callable[[list[_Batch]], None], group: list[_Batch]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(report, group)

    # --- back on the event loop -------------------------------------------------------------------------------

    def _group_done(self, group: list[_Batch]) -> None:
        committed = [entry.recorded for batch in group for entry in batch.entries]
        self._queued -= len(committed)
        for listener in self._listeners:
            listener(committed)
        for batch in group:
            if not batch.done.done():
                batch.done.set_result(batch.entries[-1].recorded.seq if batch.entries else self._last_seq)

    def _group_failed(self, group: list[_Batch]) -> None:
        """Answer the failed group and all that queued behind it; the connection is not touched again."""
        for listener in self._failure_listeners:
            listener(self._failed)
        self._failure_listeners.clear()
        for batch in [*group, *self._left_behind()]:
            if not batch.done.done():
                batch.done.set_exception(Unavailable("JOURNAL_UNAVAILABLE", "the journal cannot be written"))

    def _left_behind(self) -> list[_Batch]:
        left: list[_Batch] = []
        while not self._queue.empty():
            batch = self._queue.get_nowait()
            if batch is not None:
                left.append(batch)
        return left
