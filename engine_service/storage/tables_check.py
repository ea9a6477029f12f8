"""Compares the tables with the state that the events lead to: they are written together and must say the same."""

from __future__ import annotations

from typing import Any

from engine_service.domain.money import plain
from engine_service.domain.state import EngineState
from engine_service.storage.port import FillFilter
from engine_service.storage.projections import FillValue
from engine_service.storage.reader import MAX_ROWS, SqliteReader
from engine_service.storage.row_writers import Encoded, fill_row, order_row


def disagreements(reader: SqliteReader, state: EngineState) -> list[str]:
    """Name the first row of each table that says something else than the state.

    Orders and fills are compared as far as the state remembers them: every open order and the newest finished ones.
    """
    checks = (_orders, _fills, _balances, _positions)
    return [found for found in (check(reader, state) for check in checks) if found]


def _orders(reader: SqliteReader, state: EngineState) -> str:
    for client_order_id, order in state.image.orders.items():
        columns = reader.order_columns(client_order_id)
        if reader.order(client_order_id) != order or not _same(
            columns, order_row(columns[1], order, _encoded(columns))
        ):
            return f"the table of orders has another {client_order_id}"
    return ""


def _fills(reader: SqliteReader, state: EngineState) -> str:
    for client_order_id, order in state.image.orders.items():
        stored = reader.fills(FillFilter(client_order_id=client_order_id, limit=MAX_ROWS))
        differs = {row.fill.key: row.fill for row in stored} != {f.key: f for f in state.fills_of(client_order_id)}
        for row in stored:
            columns = reader.fill_columns(row.seq)
            value = FillValue(seq=row.seq, account=columns[3], strategy=order.strategy, fill=row.fill)
            differs = differs or not _same(columns, fill_row(row.seq, value, _encoded(columns)))
        if differs:
            return f"the table of fills has others of {client_order_id}"
    return ""


def _encoded(columns: tuple[Any, ...]) -> Encoded:
    return Encoded(columns[3] if columns else "")


def _same(stored: tuple[Any, ...], written: tuple[Any, ...]) -> bool:
    """Compare column by column what other programs read; the JSON at the end is compared as a value."""
    return stored[:-1] == written[:-1]


def _balances(reader: SqliteReader, state: EngineState) -> str:
    stored = reader.balances()
    for key, book in state.portfolio.holdings.items():
        # A row is written when an event moves the asset; what no event named has none.
        if key in stored and stored[key] != plain(book.quantity):
            return f"the table of balances has another {key}"
    unknown = sorted(stored.keys() - state.portfolio.holdings.keys())
    return f"the table of balances has {unknown[0]}, which no event explains" if unknown else ""


def _positions(reader: SqliteReader, state: EngineState) -> str:
    stored = reader.positions()
    known = {symbol: plain(position.book.quantity) for symbol, position in state.portfolio.derivatives.items()}
    differing = sorted(symbol for symbol in stored.keys() | known.keys() if stored.get(symbol) != known.get(symbol))
    return f"the table of positions has another {differing[0]}" if differing else ""
