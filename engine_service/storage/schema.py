"""The tables of the journal's database, and how a connection to it is set up."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from engine_service.domain.errors import ConfigurationError

DATABASE_VERSION: Final = 1
#: Older releases can corrupt the log when two connections write or checkpoint at once; here only one ever does.
WAL_RACE_FIXED_IN: Final = (3, 51, 3)
#: The log is folded into the database by its writer after so many pages (8 MiB): the orders of that moment wait for it,
#: less long the more often it is done.
CHECKPOINT_PAGES: Final = 2_000
#: What a burst made of the log is given back down to this once the log begins anew.
LOG_KEPT_BYTES: Final = 32 * 1024 * 1024

#: An index whose keys come by chance costs every order a page of the log: there is one over the ids of orders and one
#: over the idempotency keys. Indexes end in the rowid, which is the sequence number where a table has one. Journals
#: made before keep their own indexes and are written and read as they are.
TABLES: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    version INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    client_order_id TEXT,
    body TEXT NOT NULL,
    hash BLOB NOT NULL
) STRICT;

CREATE TABLE order_runs (
    client_order_id TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (client_order_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE orders (
    client_order_id TEXT NOT NULL UNIQUE,
    seq INTEGER PRIMARY KEY REFERENCES events (seq),
    venue TEXT NOT NULL,
    account TEXT NOT NULL,
    symbol TEXT NOT NULL,
    market TEXT NOT NULL,
    side TEXT NOT NULL,
    type TEXT NOT NULL,
    status TEXT NOT NULL,
    open INTEGER NOT NULL,
    strategy TEXT NOT NULL,
    venue_order_id TEXT NOT NULL,
    quantity TEXT,
    limit_price TEXT,
    filled_quantity TEXT NOT NULL,
    filled_quote TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX orders_by_symbol ON orders (symbol);
CREATE INDEX orders_by_strategy ON orders (strategy);
CREATE INDEX orders_by_venue_id ON orders (symbol, venue_order_id);
CREATE INDEX orders_open ON orders (open) WHERE open = 1;

CREATE TABLE fills (
    seq INTEGER PRIMARY KEY REFERENCES events (seq),
    client_order_id TEXT NOT NULL REFERENCES orders (client_order_id),
    venue TEXT NOT NULL,
    account TEXT NOT NULL,
    market TEXT NOT NULL,
    symbol TEXT NOT NULL,
    trade_id TEXT NOT NULL,
    side TEXT NOT NULL,
    strategy TEXT NOT NULL,
    price TEXT NOT NULL,
    quantity TEXT NOT NULL,
    fee TEXT NOT NULL,
    fee_asset TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX fills_unique ON fills (venue, account, market, symbol, trade_id, side);
CREATE INDEX fills_by_symbol ON fills (symbol);

CREATE TABLE balances (
    venue TEXT NOT NULL, market TEXT NOT NULL, asset TEXT NOT NULL,
    quantity TEXT NOT NULL, cost TEXT NOT NULL, realised TEXT NOT NULL,
    seq INTEGER NOT NULL REFERENCES events (seq),
    PRIMARY KEY (venue, market, asset)
) STRICT, WITHOUT ROWID;

CREATE TABLE positions (
    symbol TEXT PRIMARY KEY,
    quantity TEXT NOT NULL, cost TEXT NOT NULL, realised TEXT NOT NULL,
    seq INTEGER NOT NULL REFERENCES events (seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE equity_snapshots (
    seq INTEGER PRIMARY KEY REFERENCES events (seq),
    at_ms INTEGER NOT NULL,
    equity TEXT NOT NULL, peak TEXT NOT NULL, day_start TEXT NOT NULL,
    realised_pnl TEXT NOT NULL, unrealised_pnl TEXT NOT NULL,
    fees TEXT NOT NULL, funding TEXT NOT NULL, transfers TEXT NOT NULL
) STRICT;
CREATE INDEX equity_by_time ON equity_snapshots (at_ms);

CREATE TABLE idempotency (
    scope TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, principal TEXT NOT NULL,
    client_order_id TEXT NOT NULL, outcome TEXT NOT NULL, at_ms INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT;
"""


def open_writer(path: Path) -> sqlite3.Connection:
    """Open (or create) the database for its one writer.

    Raises:
        ConfigurationError: it was written by a newer version (``JOURNAL_TOO_NEW``), or it is not ours.
        sqlite3.Error: it cannot be opened.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {LOG_KEPT_BYTES}")
    _assert_pragmas(connection)
    if known_version(connection, path) == 0:
        connection.executescript(f"BEGIN;{TABLES}PRAGMA user_version = {DATABASE_VERSION};COMMIT;")
    return connection


def known_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the database's version, 0 where it is new.

    Raises:
        ConfigurationError: it was written by a newer version (``JOURNAL_TOO_NEW``).
        sqlite3.Error: it cannot be read.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > DATABASE_VERSION:
        raise ConfigurationError(
            "JOURNAL_TOO_NEW", f"{path} has version {version}; this program knows up to {DATABASE_VERSION}"
        )
    return version


def open_reader(path: Path, *, read_once: bool = False) -> sqlite3.Connection:
    """Open the database for reading only; never checkpoints.

    Even a reader makes the index of the log, which it cannot where the folder may not be written (a copy on read-only
    media). ``read_once``: who reads to the end and leaves takes the file alone there, where no log adds to it.

    Raises:
        sqlite3.Error: it is not there or not readable.
    """
    at_rest = read_once and not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    mode = "mode=ro&immutable=1" if at_rest else "mode=ro"
    connection = sqlite3.connect(
        f"file:{path}?{mode}", uri=True, isolation_level=None, check_same_thread=False, timeout=2.0
    )
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def has_wal_race() -> bool:
    """Tell whether the linked SQLite is older than the fix of the log-reset race; worth a warning at start."""
    return sqlite3.sqlite_version_info < WAL_RACE_FIXED_IN


def _assert_pragmas(connection: sqlite3.Connection) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0}
    for pragma, value in wanted.items():
        found = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
        if found != value:
            raise ConfigurationError("JOURNAL_UNSAFE", f"SQLite refused {pragma} = {value} (has {found})")
