"""Projections as SQL: one statement per table, in the order that the foreign keys ask for."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from engine_service.domain.events import EquityRecorded, IdempotencyMark
from engine_service.domain.fill import Fill
from engine_service.domain.money import plain
from engine_service.domain.order import Order
from engine_service.storage.codec import encode
from engine_service.storage.port import Projection, StoredAnswer
from engine_service.storage.projections import BalanceValue, FillValue, PositionValue

Value = tuple[int, object]

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


class GroupRows:
    """The rows of one transaction by table and key. A later one replaces an earlier one, which is never encoded."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[tuple[str, ...], Value]] = {table: {} for table in _WRITERS}
        self._first_seq: dict[tuple[str, ...], int] = {}

    def take(self, seq: int, projections: Iterable[Projection]) -> None:
        """Add the rows of one event."""
        for projection in projections:
            key = projection.key
            self._tables[projection.table][key] = (seq, projection.value)
            if projection.table == "orders":
                self._first_seq.setdefault(key, seq)

    def write(self, connection: sqlite3.Connection, account: str) -> None:
        """Write them.

        Raises:
            sqlite3.Error: a constraint or the disk refused.
        """
        first_seq, encoded = self._first_seq, Encoded(account)
        for table, (statement, parameters) in _WRITERS.items():
            latest = self._tables[table]
            if latest:
                rows = [parameters(first_seq.get(key, seq), value, encoded) for key, (seq, value) in latest.items()]
                connection.executemany(statement, rows)


class Encoded:
    """The account, and the JSON of the group's orders and fills: their answers repeat it word for word."""

    def __init__(self, account: str) -> None:
        self.account = account
        self._known: dict[int, tuple[object, bytes]] = {}

    def of(self, value: Order | Fill) -> bytes:
        """Return a value's JSON, encoded once."""
        known = self._known.get(id(value))
        if known is None:
            # The value is kept along: as long as it lives, no other has its id.
            known = self._known[id(value)] = (value, encode(value))
        return known[1]


class _AnswerText(msgspec.Struct, kw_only=True, gc=False):
    """The fields of ``StoredAnswer`` in their order, with what is encoded already."""

    mark: IdempotencyMark
    at_ms: int
    outcome: str
    client_order_id: str
    order: msgspec.Raw | None
    fills: tuple[msgspec.Raw, ...]
    numbers: Mapping[str, str]
    status_code: int
    body: str


def answer_text(answer: StoredAnswer, encoded: Encoded) -> bytes:
    """Return what ``encode(answer)`` returns."""
    order = answer.order
    return encode(
        _AnswerText(
            mark=answer.mark,
            at_ms=answer.at_ms,
            outcome=answer.outcome,
            client_order_id=answer.client_order_id,
            order=None if order is None else msgspec.Raw(encoded.of(order)),
            fills=tuple([msgspec.Raw(encoded.of(fill)) for fill in answer.fills]),
            numbers=answer.numbers,
            status_code=answer.status_code,
            body=answer.body,
        )
    )


def order_row(seq: int, order: Order, encoded: Encoded) -> tuple[Any, ...]:
    """Return an order as its table holds it; the last column is its JSON."""
    return (
        order.client_order_id,
        seq,
        order.venue,
        encoded.account,
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
        encoded.of(order).decode(),
    )


def fill_row(seq: int, value: FillValue, encoded: Encoded) -> tuple[Any, ...]:
    """Return a fill as its table holds it; the last column is its JSON."""
    fill = value.fill
    return (
        seq,
        fill.client_order_id,
        fill.venue,
        encoded.account,
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
        encoded.of(fill).decode(),
    )


def _balance(seq: int, value: BalanceValue, encoded: Encoded) -> tuple[Any, ...]:
    figures = (plain(value.quantity), plain(value.cost), plain(value.realised))
    return (value.venue, value.market.value, value.asset, *figures, seq)


def _position(seq: int, value: PositionValue, encoded: Encoded) -> tuple[Any, ...]:
    return (value.symbol, plain(value.quantity), plain(value.cost), plain(value.realised), seq)


def equity_row(seq: int, value: EquityRecorded) -> tuple[Any, ...]:
    """Return a sample of equity as its table holds it."""
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


def _equity(seq: int, value: EquityRecorded, encoded: Encoded) -> tuple[Any, ...]:
    return equity_row(seq, value)


def answer_row(value: StoredAnswer, body: bytes | None = None) -> tuple[Any, ...]:
    """Return an answer as its table holds it; the last column is its JSON, ``body`` where it is encoded already."""
    mark = value.mark
    return (
        mark.scope,
        mark.key,
        mark.fingerprint,
        mark.principal,
        value.client_order_id,
        value.outcome,
        value.at_ms,
        (encode(value) if body is None else body).decode(),
    )


def _answer(seq: int, value: StoredAnswer, encoded: Encoded) -> tuple[Any, ...]:
    return answer_row(value, answer_text(value, encoded))


_WRITERS: Final[Mapping[str, tuple[str, Callable[[int, Any, Encoded], tuple[Any, ...]]]]] = {
    "orders": (_ORDERS, order_row),
    "fills": (_FILLS, fill_row),
    "balances": (_BALANCES, _balance),
    "positions": (_POSITIONS, _position),
    "equity_snapshots": (_EQUITY, _equity),
    "idempotency": (_IDEMPOTENCY, _answer),
}
