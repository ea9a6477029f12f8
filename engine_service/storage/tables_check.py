"""Compares the tables with the state that the events lead to: they are written together and must say the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine_service.domain.fill import Fill
from engine_service.domain.money import plain
from engine_service.domain.order import Order
from engine_service.domain.state import EngineState
from engine_service.storage.codec import Undecodable, decode
from engine_service.storage.projections import FillValue
from engine_service.storage.reader import SqliteReader
from engine_service.storage.row_writers import Encoded, fill_row, order_row


def disagreements(reader: SqliteReader, state: EngineState) -> list[str]:
    """Name the first row of each table that says something else than the state.

    Orders and fills are compared as far as the state remembers them: every open order and the newest finished ones.
    """
    checks = (_orders, _fills, _balances, _positions)
    return [found for found in (check(reader, state) for check in checks) if found]


def same_row(stored: tuple[Any, ...], written: tuple[Any, ...], kind: type) -> bool:
    """Compare column by column what other programs read; the JSON at the end is compared as a value of ``kind``."""
    if stored == written:
        return True
    if stored[:-1] != written[:-1]:
        return False
    try:
        same: bool = decode(kind, stored[-1]) == decode(kind, written[-1])
    except Undecodable:
        return False
    return same


def _orders(reader: SqliteReader, state: EngineState) -> str:
    for client_order_id, order in state.image.orders.items():
        columns = reader.order_columns(client_order_id)
        if not columns or not same_row(columns, order_row(columns[1], order, Encoded(columns[3])), Order):
            return f"the table of orders has another {client_order_id}"
    return ""


def _fills(reader: SqliteReader, state: EngineState) -> str:
    for client_order_id, order in state.image.orders.items():
        fills = {fill.key: fill for fill in state.fills_of(client_order_id)}
        stored = reader.fill_columns(client_order_id)
        if len(fills) != len(stored) or not all(_is_fill(columns, fills, order.strategy) for columns in stored):
            return f"the table of fills has others of {client_order_id}"
    return ""


def _is_fill(columns: tuple[Any, ...], fills: Mapping[tuple[str, str, str, str, str], Fill], strategy: str) -> bool:
    seq, _, venue, account, market, symbol, trade_id, side, *_ = columns
    fill = fills.get((venue, market, symbol, trade_id, side))
    if fill is None:
        return False
    value = FillValue(seq=seq, account=account, strategy=strategy, fill=fill)
    return same_row(columns, fill_row(seq, value, Encoded(account)), Fill)


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
