"""The spot user stream in the port's words: reports of orders, balances, transfers. Pure."""

from __future__ import annotations

from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.venues.binance.parse import (
    SPOT_TYPES,
    VENUE,
    Payload,
    asset,
    at_ms,
    decimal,
    decimal_or,
    identity,
    positive,
    price_or_none,
    rows,
    side,
    status_and_type,
    symbol_key,
    text,
)
from engine_service.venues.reports import Balance, BalanceReport, OrderReport, UserEvent


def user_event(payload: Payload) -> UserEvent | None:
    """Read one event of the user stream; ``None`` for kinds the engine has no use for.

    Raises:
        ParseError: the event is of a known kind but cannot be read.
    """
    match payload.get("e"):
        case "executionReport":
            return _execution(payload)
        case "outboundAccountPosition":
            return _positions(payload)
        case "balanceUpdate":
            return BalanceReport(
                venue=VENUE,
                market=Market.SPOT,
                at_ms=at_ms(payload, "T", "E"),
                transfer_asset=text(payload, "a"),
                transfer_amount=decimal(payload, "d"),
                kind="transfer",
            )
        case _:
            return None


def _execution(payload: Payload) -> OrderReport:
    status, kind, doubt = status_and_type(
        payload.get("X"), payload.get("o"), SPOT_TYPES, working=payload.get("w") is True
    )
    refusal = payload.get("r")
    symbol, client_order_id = symbol_key(payload, "s"), _own_client_id(payload)
    venue_order_id, order_side = identity(payload, "i"), side(payload, "S")
    at = at_ms(payload, "T", "E")
    fill = None
    if payload.get("x") == "TRADE":
        fill = Fill(
            venue=VENUE,
            market=Market.SPOT,
            symbol=symbol,
            trade_id=identity(payload, "t"),
            client_order_id=client_order_id,
            venue_order_id=venue_order_id,
            side=order_side,
            price=positive(payload, "L"),
            quantity=positive(payload, "l"),
            fee=decimal_or(payload, "n"),
            fee_asset=asset(payload, "N"),
            at_ms=at,
            liquidity="maker" if payload.get("m") is True else "taker",
        )
    return OrderReport(
        symbol=symbol,
        market=Market.SPOT,
        client_order_id=client_order_id,
        venue_order_id=venue_order_id,
        side=order_side,
        type=kind,
        status=status,
        quantity=decimal(payload, "q"),
        executed_quantity=decimal(payload, "z"),
        limit_price=price_or_none(payload, "p"),
        stop_price=price_or_none(payload, "P"),
        reason=doubt or (refusal if isinstance(refusal, str) and refusal != "NONE" else ""),
        at_ms=at,
        fill=fill,
    )


def _own_client_id(payload: Payload) -> str:
    # A cancel carries an id of its own in "c"; the order it ends is named in "C".
    original = payload.get("C")
    return original if isinstance(original, str) and original not in {"", "null"} else text(payload, "c")


def _positions(payload: Payload) -> BalanceReport:
    return BalanceReport(
        venue=VENUE,
        market=Market.SPOT,
        at_ms=at_ms(payload, "u", "E"),
        balances=tuple(
            [
                Balance(asset=text(row, "a"), free=decimal(row, "f"), locked=decimal(row, "l"))
                for row in rows(payload.get("B"))
            ]
        ),
    )
