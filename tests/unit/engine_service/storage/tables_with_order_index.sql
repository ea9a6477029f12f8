-- The tables as journals were made before order_runs.
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
CREATE INDEX events_by_order ON events (client_order_id, seq) WHERE client_order_id IS NOT NULL;

CREATE TABLE orders (
    client_order_id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL REFERENCES events (seq),
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
CREATE UNIQUE INDEX orders_unique ON orders (venue, account, client_order_id);
CREATE INDEX orders_by_seq ON orders (seq);
CREATE INDEX orders_by_symbol ON orders (symbol, seq);
CREATE INDEX orders_by_strategy ON orders (strategy, seq);
CREATE INDEX orders_by_venue_id ON orders (symbol, venue_order_id);
CREATE INDEX orders_open ON orders (open, seq) WHERE open = 1;

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
CREATE INDEX fills_by_order ON fills (client_order_id, seq);
CREATE INDEX fills_by_symbol ON fills (symbol, seq);

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
) STRICT, WITHOUT ROWID;
