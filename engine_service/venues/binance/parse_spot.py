"""Spot payloads to the port's words: order answers, queries, trades and the account. Pure."""

from __future__ import annotations

from msgspec.structs import replace

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
    asset,
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
from engine_service.venues.reports import Accepted, Balance, OrderReport, OutcomeUnknown, Rejected

_CANCEL_REJECTED = -2011
#: The order to be replaced is not open: filled, cancelled, or never there.
ORDER_GONE = "VENUE_UNKNOWN_ORDER"
#: It has traded since we last heard of it: it works on as it is, and the change has to be asked for anew.
ORDER_TRADED = "VENUE_ORDER_TRADED"
#: The venue's documented text, the only difference to an order that it does not know.
_RESTRICTED = "Order was not canceled due to cancel restrictions."


def placed(payload: Payload, order: Order) -> Accepted:
    """Read the FULL answer to a new order.

    Raises:
        ParseError: the answer lacks the order id or a fill cannot be read.
    """
    return _placed(payload, order, order.client_order_id)


def _placed(payload: Payload, order: Order, client_order_id: str) -> Accepted:
    venue_order_id = identity(named(payload, client_order_id), "orderId")
    at = at_ms(payload, "transactTime")
    return Accepted(
        venue_order_id=venue_order_id,
        status=_status(payload),
        fills=tuple(
            [_answer_fill(row, order, client_order_id, venue_order_id, at) for row in rows(payload.get("fills", []))]
        ),
        executed_quantity=decimal_or(payload, "executedQty"),
    )


def settled(payload: Payload, status: OrderStatus | None = None) -> Accepted:
    """Read the answer to a cancel or an amendment: the order as it now stands.

    Args:
        status: what the order certainly is, whatever this payload says of it.

    Raises:
        ParseError: the answer lacks the order id.
    """
    return Accepted(
        venue_order_id=identity(payload, "orderId"),
        status=status or _status(payload),
        executed_quantity=decimal_or(payload, "executedQty"),
    )


def amended(payload: Payload, order: Order) -> Accepted:
    """Read the answer to a change in place; the order keeps its client id.

    Raises:
        ParseError: the answer lacks the order, or is about another one.
    """
    return settled(named(mapping(payload.get("amendedOrder")), order.client_order_id))


def _status(payload: Payload) -> OrderStatus:
    return status_and_type(payload.get("status"), payload.get("type"), SPOT_TYPES, working=_is_working(payload))[0]


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
        fee_asset=asset(payload, "commissionAsset"),
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


def replaced(payload: Payload, order: Order, replacement_id: str) -> Accepted | None:
    """Read the two legs of a cancel-replace answer; ``None`` where a leg is missing or cannot be read.

    Returns the new order where both legs worked, the old order as CANCELED where only the cancel did.
    """
    cancel_leg, new_leg = payload.get("cancelResult"), payload.get("newOrderResult")
    try:
        if cancel_leg == "SUCCESS" and new_leg == "SUCCESS":
            answer = mapping(payload.get("newOrderResponse"))
            return _placed(answer, order, replacement_id)
        if cancel_leg == "SUCCESS" and str(new_leg) in {"FAILURE", "NOT_ATTEMPTED"}:
            code, message = error_fields(payload.get("newOrderResponse"))
            ended = settled(mapping(payload.get("cancelResponse")), OrderStatus.CANCELED)
            return replace(ended, refused=f"{code} {message}" if code else "")
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
    if has_traded(code, message):
        return traded_meanwhile(f"{code} {message}")
    if code == _CANCEL_REJECTED:
        return Rejected(code=ORDER_GONE, reason=f"{code} {message}")
    return failure_of(400, code, message, Market.SPOT).as_outcome()


def has_traded(code: int, message: str) -> bool:
    """Tell whether a cancel was refused because the order is not untouched any more, as was asked for."""
    return code == _CANCEL_REJECTED and message.endswith(_RESTRICTED)


def traded_meanwhile(reason: str) -> Rejected:
    """Return what such a refusal means: nothing was done, the order works on."""
    return Rejected(code=ORDER_TRADED, reason=reason)


def _answer_fill(row: Payload, order: Order, client_order_id: str, venue_order_id: str, at: int) -> Fill:
    return Fill(
        venue=VENUE,
        market=Market.SPOT,
        symbol=order.symbol,
        trade_id=identity(row, "tradeId"),
        client_order_id=client_order_id,
        venue_order_id=venue_order_id,
        side=order.side,
        price=positive(row, "price"),
        quantity=positive(row, "qty"),
        fee=decimal_or(row, "commission"),
        fee_asset=asset(row, "commissionAsset"),
        at_ms=at,
        liquidity="",
    )


def _is_working(payload: Payload) -> bool:
    # "isWorking" is true for a resting untriggered order as well; the working time is -1 until it is triggered.
    since = payload.get("workingTime")
    return isinstance(since, int) and since > 0
