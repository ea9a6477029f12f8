"""Projections as SQL: one statement per table, in the order that the foreign keys ask for."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from engine_service.domain.events import EquityRecorded
from engine_service.domain.money import plain
from engine_service.domain.order import Order
from engine_service.storage.codec import encode
from engine_service.storage.port import Projection, StoredAnswer
from engine_service.storage.projections import BalanceValue, FillValue, PositionValue

Row = tuple[int, Projection]

_ORDERS: Final = """
INSERT INTO orders VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
ON CONFLICT (client_order_id) DO UPDATE SET
    status = excluded.status, open = excluded.open, venue_order_id = excluded.venue_order_id,
    quantity = excluded.quantity, limit_price = excluded.limit_price,
    filled_quantity = excluded.filled_quantity, filled_quote = excluded.filled_quote,
    updated_at_ms = excluded.updated_at_ms, body = excluded.body
"""
_FILLS: Final = "INSERT INTO fills VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_BALANCES: Final = "INSERT OR REPLACE INTO balances VALUES (?,?,?,?,?,?,?)"
_POSITIONS: Final = "INSERT OR REPLACE INTO positions VALUES (?,?,?,?,?)"
_EQUITY: Final = "INSERT INTO equity_snapshots VALUES (?,?,?,?,?,?,?,?,?,?)"
_IDEMPOTENCY: Final = "INSERT OR REPLACE INTO idempotency VALUES (?,?,?,?,?,?,?,?)"


def write_projections(connection: sqlite3.Connection, rows: Iterable[Row], account: str) -> None:
    """Write the rows of one transaction; of several for the same key only the last is kept.

    Raises:
        sqlite3.Error: a constraint or the disk refused.
    """
    tables: dict[str, dict[tuple[str, ...], Row]] = {table: {} for table in _WRITERS}
    first_seq: dict[tuple[str, ...], int] = {}
    for seq, projection in rows:
        tables[projection.table][projection.key] = (seq, projection)
        if projection.table == "orders":
            first_seq.setdefault(projection.key, seq)
    for table, latest in tables.items():
        if not latest:
            continue
        statement, parameters = _WRITERS[table]
        connection.executemany(
            statement,
            [parameters(first_seq.get(key, seq), row.value, account) for key, (seq, row) in latest.items()],
        )


def _order(seq: int, order: Order, account: str) -> tuple[Any, ...]:
    return (
        order.client_order_id,
        seq,
        order.venue,
        account,
        order.symbol,
        order.market.value,
        order.side.value,
        order.type.value,
        order.status.value,
        int(order.is_open),
        order.strategy,
        order.venue_order_id,
        None if order.quantity is None else plain(order.quantity),
        None if order.limit_price is None else plain(order.limit_price),
        plain(order.filled_quantity),
        plain(order.filled_quote),
        order.created_at_ms,
        order.updated_at_ms,
        encode(order).decode(),
    )


def _fill(seq: int, value: FillValue, account: str) -> tuple[Any, ...]:
    fill = value.fill
    return (
        seq,
        fill.client_order_id,
        fill.venue,
        account,
        fill.market.value,
        fill.symbol,
        fill.trade_id,
        fill.side.value,
        value.strategy,
        plain(fill.price),
        plain(fill.quantity),
        plain(fill.fee),
        fill.fee_asset,
        fill.at_ms,
        encode(fill).decode(),
    )


def _balance(seq: int, value: BalanceValue, account: str) -> tuple[Any, ...]:
    figures = (plain(value.quantity), plain(value.cost), plain(value.realised))
    return (value.venue, value.market.value, value.asset, *figures, seq)


def _position(seq: int, value: PositionValue, account: str) -> tuple[Any, ...]:
    return (value.symbol, plain(value.quantity), plain(value.cost), plain(value.realised), seq)


def _equity(seq: int, value: EquityRecorded, account: str) -> tuple[Any, ...]:
    figures = (
        value.equity,
        value.peak,
        value.day_start,
        value.realised_pnl,
        value.unrealised_pnl,
        value.fees,
        value.funding,
        value.transfers,
    )
    return (seq, value.at_ms, *(plain(figure) for figure in figures))


def _answer(seq: int, value: StoredAnswer, account: str) -> tuple[Any, ...]:
    mark = value.mark
    return (
        mark.scope,
        mark.key,
        mark.fingerprint,
        mark.principal,
        value.client_order_id,
        value.outcome,
        value.at_ms,
        encode(value).decode(),
    )


_WRITERS: Final[Mapping[str, tuple[str, Callable[[int, Any, str], tuple[Any, ...]]]]] = {
    "orders": (_ORDERS, _order),
    "fills": (_FILLS, _fill),
    "balances": (_BALANCES, _balance),
    "positions": (_POSITIONS, _position),
    "equity_snapshots": (_EQUITY, _equity),
    "idempotency": (_IDEMPOTENCY, _answer),
}
