"""Spot payloads to the port's words: order answers, queries, trades, the account and the user stream. Pure."""

from __future__ import annotations

from dataclasses import replace

from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderStatus
from engine_service.venues.binance.outcomes import failure_of
from engine_service.venues.binance.parse import (
    SPOT_TYPES,
    VENUE,
    ParseError,
    Payload,
    at_ms,
    decimal,
    decimal_or,
    error_fields,
    identity,
    mapping,
    named,
    positive,
    price_or_none,
    rows,
    side,
    status_and_type,
    symbol_key,
    text,
)
from engine_service.venues.port import (
    Accepted,
    Balance,
    BalanceReport,
    OrderReport,
    OutcomeUnknown,
    Rejected,
    UserEvent,
)

_CANCEL_REJECTED = -2011
#: The order to be replaced is not open: filled, cancelled, or never there.
ORDER_GONE = "VENUE_UNKNOWN_ORDER"


def placed(payload: Payload, order: Order) -> Accepted:
    """Read the FULL answer to a new order.

    Raises:
        ParseError: the answer lacks the order id or a fill cannot be read.
    """
    venue_order_id = identity(named(payload, order.client_order_id), "orderId")
    at = at_ms(payload, "transactTime")
    fills = tuple(_answer_fill(row, order, venue_order_id, at) for row in rows(payload.get("fills", [])))
    return replace(settled(payload), fills=fills)


def settled(payload: Payload) -> Accepted:
    """Read the answer to a cancel or an amendment: the order as it now stands.

    Raises:
        ParseError: the answer lacks the order id.
    """
    status, _, _ = status_and_type(payload.get("status"), payload.get("type"), SPOT_TYPES, working=_is_working(payload))
    return Accepted(
        venue_order_id=identity(payload, "orderId"),
        status=status,
        executed_quantity=decimal_or(payload, "executedQty"),
    )


def canceled(payload: Payload, order: Order) -> Accepted:
    """Read the answer to a cancel; that of a leg of an order list tells of every leg, the own one is looked for.

    Raises:
        ParseError: the answer lacks the order.
    """
    if "orderReports" not in payload:
        return settled(named(payload, order.client_order_id, "origClientOrderId"))
    return settled(_own_report(payload, order, "origClientOrderId"))


def oco_leg(payload: Payload, order: Order) -> Accepted:
    """Read one leg out of the answer to a new order list.

    Raises:
        ParseError: the answer lacks the leg.
    """
    return settled(_own_report(payload, order, "clientOrderId"))


def _own_report(payload: Payload, order: Order, name: str) -> Payload:
    for row in rows(payload.get("orderReports")):
        if row.get(name) == order.client_order_id:
            return row
    raise ParseError("the order list does not name the order")


def order_report(payload: Payload) -> OrderReport:
    """Read an order as the query endpoints give it.

    Raises:
        ParseError: an id, the side or a quantity is missing.
    """
    status, kind, doubt = status_and_type(
        payload.get("status"), payload.get("type"), SPOT_TYPES, working=_is_working(payload)
    )
    return OrderReport(
        symbol=symbol_key(payload),
        market=Market.SPOT,
        client_order_id=text(payload, "clientOrderId"),
        venue_order_id=identity(payload, "orderId"),
        side=side(payload, "side"),
        type=kind,
        status=status,
        quantity=decimal(payload, "origQty"),
        executed_quantity=decimal(payload, "executedQty"),
        limit_price=price_or_none(payload, "price"),
        stop_price=price_or_none(payload, "stopPrice"),
        reason=doubt,
        at_ms=at_ms(payload, "updateTime", "time"),
    )


def trade(payload: Payload, client_order_id: str) -> Fill:
    """Read a row of ``myTrades``; the venue does not repeat the client id there, so the caller gives it.

    Raises:
        ParseError: an id, price or quantity is missing.
    """
    buyer = payload.get("isBuyer")
    if not isinstance(buyer, bool):
        raise ParseError("isBuyer is not a truth value")
    return Fill(
        venue=VENUE,
        market=Market.SPOT,
        symbol=symbol_key(payload),
        trade_id=identity(payload, "id"),
        client_order_id=client_order_id,
        venue_order_id=identity(payload, "orderId"),
        side=side({"side": "BUY" if buyer else "SELL"}, "side"),
        price=positive(payload, "price"),
        quantity=positive(payload, "qty"),
        fee=decimal_or(payload, "commission"),
        fee_asset=_asset(payload, "commissionAsset"),
        at_ms=at_ms(payload, "time"),
        liquidity="maker" if payload.get("isMaker") is True else "taker",
    )


def balances(payload: Payload) -> tuple[Balance, ...]:
    """Read the account's balances, zero ones left out.

    Raises:
        ParseError: a balance cannot be read.
    """
    found = (
        Balance(asset=text(row, "asset"), free=decimal(row, "free"), locked=decimal(row, "locked"))
        for row in rows(payload.get("balances"))
    )
    return tuple(balance for balance in found if balance.total)


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


def replaced(payload: Payload, order: Order, replacement_id: str) -> Accepted | None:
    """Read the two legs of a cancel-replace answer; ``None`` where a leg is missing or cannot be read.

    Returns the new order where both legs worked, the old order as CANCELED where only the cancel did.
    """
    cancel_leg, new_leg = payload.get("cancelResult"), payload.get("newOrderResult")
    try:
        if cancel_leg == "SUCCESS" and new_leg == "SUCCESS":
            answer = mapping(payload.get("newOrderResponse"))
            return placed(answer, replace(order, client_order_id=replacement_id))
        if cancel_leg == "SUCCESS" and new_leg in {"FAILURE", "NOT_ATTEMPTED"}:
            return replace(settled(mapping(payload.get("cancelResponse"))), status=OrderStatus.CANCELED)
    except ParseError:
        return None
    return None


def replace_refused(payload: Payload) -> Rejected | OutcomeUnknown | None:
    """Read a cancel-replace of which nothing was done; ``None`` where the legs do not say so.

    A cancel refused because the order is unknown (``VENUE_UNKNOWN_ORDER``) leaves the order itself to be read.
    """
    if payload.get("cancelResult") != "FAILURE" or payload.get("newOrderResult") != "NOT_ATTEMPTED":
        return None
    code, message = error_fields(payload.get("cancelResponse"))
    if code == _CANCEL_REJECTED:
        return Rejected(code=ORDER_GONE, reason=f"{code} {message}")
    return failure_of(400, code, message, Market.SPOT).as_outcome()


def _execution(payload: Payload) -> OrderReport:
    status, kind, doubt = status_and_type(
        payload.get("X"), payload.get("o"), SPOT_TYPES, working=payload.get("w") is True
    )
    refusal = payload.get("r")
    report = OrderReport(
        symbol=symbol_key(payload, "s"),
        market=Market.SPOT,
        client_order_id=_own_client_id(payload),
        venue_order_id=identity(payload, "i"),
        side=side(payload, "S"),
        type=kind,
        status=status,
        quantity=decimal(payload, "q"),
        executed_quantity=decimal(payload, "z"),
        limit_price=price_or_none(payload, "p"),
        stop_price=price_or_none(payload, "P"),
        reason=doubt or (refusal if isinstance(refusal, str) and refusal != "NONE" else ""),
        at_ms=at_ms(payload, "T", "E"),
    )
    return replace(report, fill=_stream_fill(payload, report)) if payload.get("x") == "TRADE" else report


def _own_client_id(payload: Payload) -> str:
    # A cancel carries an id of its own in "c"; the order it ends is named in "C".
    original = payload.get("C")
    return original if isinstance(original, str) and original not in {"", "null"} else text(payload, "c")


def _stream_fill(payload: Payload, report: OrderReport) -> Fill:
    return Fill(
        venue=VENUE,
        market=Market.SPOT,
        symbol=report.symbol,
        trade_id=identity(payload, "t"),
        client_order_id=report.client_order_id,
        venue_order_id=report.venue_order_id,
        side=report.side,
        price=positive(payload, "L"),
        quantity=positive(payload, "l"),
        fee=decimal_or(payload, "n"),
        fee_asset=_asset(payload, "N"),
        at_ms=report.at_ms,
        liquidity="maker" if payload.get("m") is True else "taker",
    )


def _positions(payload: Payload) -> BalanceReport:
    return BalanceReport(
        venue=VENUE,
        market=Market.SPOT,
        at_ms=at_ms(payload, "u", "E"),
        balances=tuple(
            Balance(asset=text(row, "a"), free=decimal(row, "f"), locked=decimal(row, "l"))
            for row in rows(payload.get("B"))
        ),
    )


def _answer_fill(row: Payload, order: Order, venue_order_id: str, at: int) -> Fill:
    return Fill(
        venue=VENUE,
        market=Market.SPOT,
        symbol=order.symbol,
        trade_id=identity(row, "tradeId"),
        client_order_id=order.client_order_id,
        venue_order_id=venue_order_id,
        side=order.side,
        price=positive(row, "price"),
        quantity=positive(row, "qty"),
        fee=decimal_or(row, "commission"),
        fee_asset=_asset(row, "commissionAsset"),
        at_ms=at,
        liquidity="",
    )


def _asset(payload: Payload, name: str) -> str:
    value = payload.get(name)
    return value if isinstance(value, str) and len(value) <= 32 else ""


def _is_working(payload: Payload) -> bool:
    # "isWorking" is true for a resting untriggered order as well; the working time is -1 until it is triggered.
    since = payload.get("workingTime")
    return isinstance(since, int) and since > 0
