"""USD-M payloads to the port's words: orders, algo (conditional) orders, trades, account and user stream. Pure.

A conditional order lives in the algo service under an algo id; when it triggers, an ordinary order with another id
does the trading. The engine knows one order with one id, so both are told under ``algo-<algo id>``.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.money import ZERO
from engine_service.domain.order_status import OrderStatus
from engine_service.venues.binance.parse import (
    FUTURES_TYPES,
    VENUE,
    ParseError,
    Payload,
    at_ms,
    decimal,
    decimal_or,
    identity,
    mapping,
    own_name,
    positive,
    price_or_none,
    rows,
    side,
    status_and_type,
    symbol_key,
    text,
)
from engine_service.venues.reports import Accepted, Balance, BalanceReport, OrderReport, VenuePosition

ALGO_PREFIX = "algo-"
ALGO_STATUSES: dict[str, OrderStatus] = {
    "NEW": OrderStatus.ACCEPTED,
    "TRIGGERING": OrderStatus.TRIGGERED,
    "TRIGGERED": OrderStatus.TRIGGERED,
    "CANCELED": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
}
_TRANSFERS = frozenset({"DEPOSIT", "WITHDRAW", "ADMIN_DEPOSIT", "ADMIN_WITHDRAW", "ASSET_TRANSFER"})


def algo_venue_id(algo_id: str) -> str:
    """Return the venue order id under which the engine knows a conditional order."""
    return f"{ALGO_PREFIX}{algo_id}"


def settled(payload: Payload) -> Accepted:
    """Read the answer to a new, cancelled or amended ordinary order.

    Raises:
        ParseError: the answer lacks the order id.
    """
    status, _, _ = status_and_type(payload.get("status"), payload.get("type"), FUTURES_TYPES, working=False)
    return Accepted(
        venue_order_id=identity(payload, "orderId"),
        status=status,
        executed_quantity=decimal_or(payload, "executedQty"),
    )


def algo_placed(payload: Payload) -> Accepted:
    """Read the answer to a new conditional order.

    Raises:
        ParseError: the answer lacks the algo id.
    """
    status = ALGO_STATUSES.get(str(payload.get("algoStatus")), OrderStatus.QUARANTINED)
    return Accepted(venue_order_id=algo_venue_id(identity(payload, "algoId")), status=status)


def algo_canceled(payload: Payload) -> Accepted:
    """Read the answer to the cancel of a conditional order.

    Raises:
        ParseError: the answer lacks the algo id.
    """
    return Accepted(venue_order_id=algo_venue_id(identity(payload, "algoId")), status=OrderStatus.CANCELED)


def order_report(payload: Payload) -> OrderReport:
    """Read an ordinary order as the query endpoints give it.

    Raises:
        ParseError: an id, the side or a quantity is missing.
    """
    status, kind, doubt = status_and_type(payload.get("status"), payload.get("type"), FUTURES_TYPES, working=False)
    return OrderReport(
        symbol=symbol_key(payload),
        market=Market.FUTURES,
        client_order_id=own_name(payload, "clientOrderId", "orderId"),
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


def algo_report(payload: Payload) -> OrderReport:
    """Read a conditional order as the algo query endpoints give it.

    A finished one has been traded or cancelled as an ordinary order; it is told as TRIGGERED here and the caller
    reads that order for the truth.

    Raises:
        ParseError: an id, the side or the quantity is missing.
    """
    _, kind, doubt = status_and_type("NEW", payload.get("orderType"), FUTURES_TYPES, working=False)
    status = _algo_status(payload.get("algoStatus"))
    return OrderReport(
        symbol=symbol_key(payload),
        market=Market.FUTURES,
        client_order_id=text(payload, "clientAlgoId"),
        venue_order_id=algo_venue_id(identity(payload, "algoId")),
        side=side(payload, "side"),
        type=kind,
        status=status,
        quantity=decimal_or(payload, "quantity"),
        executed_quantity=ZERO,
        limit_price=price_or_none(payload, "price"),
        stop_price=price_or_none(payload, "triggerPrice"),
        reason=doubt or ("unknown algo status" if status is OrderStatus.QUARANTINED else ""),
        at_ms=at_ms(payload, "updateTime", "createTime"),
    )


def triggered_order_id(payload: Payload, name: str = "actualOrderId") -> str:
    """Return the id of the ordinary order a conditional one became, or nothing before the trigger."""
    value = payload.get(name)
    return str(value) if isinstance(value, (str, int)) and str(value).isdigit() and str(value) != "0" else ""


def trade(payload: Payload, client_order_id: str) -> Fill:
    """Read a row of ``userTrades``; the venue does not repeat the client id there, so the caller gives it.

    Raises:
        ParseError: an id, price or quantity is missing.
    """
    return Fill(
        venue=VENUE,
        market=Market.FUTURES,
        symbol=symbol_key(payload),
        trade_id=identity(payload, "id"),
        client_order_id=client_order_id,
        venue_order_id=identity(payload, "orderId"),
        side=side(payload, "side"),
        price=positive(payload, "price"),
        quantity=positive(payload, "qty"),
        fee=decimal_or(payload, "commission"),
        fee_asset=str(payload.get("commissionAsset") or ""),
        at_ms=at_ms(payload, "time"),
        liquidity="maker" if payload.get("maker") is True else "taker",
        realised=_realised(payload, "realizedPnl"),
    )


def balances(payload: Payload) -> tuple[Balance, ...]:
    """Read the wallet: ``total`` is the wallet balance, ``free`` what the venue lets be used of it.

    Raises:
        ParseError: a balance cannot be read.
    """
    found = []
    for row in rows(payload.get("assets")):
        wallet = decimal(row, "walletBalance")
        free = min(wallet, decimal_or(row, "availableBalance", wallet))
        if wallet:
            found.append(Balance(asset=text(row, "asset"), free=free, locked=wallet - free))
    return tuple(found)


def positions(payload: object) -> tuple[VenuePosition, ...]:
    """Read ``positionRisk``, flat positions left out.

    Raises:
        ParseError: a position cannot be read, or the account is in hedge mode.
    """
    found = []
    for row in rows(payload):
        if row.get("positionSide", "BOTH") != "BOTH":
            raise ParseError("the account is in hedge mode; this engine trades one-way positions")
        quantity = decimal(row, "positionAmt")
        if quantity:
            found.append(
                VenuePosition(
                    symbol=symbol_key(row),
                    signed_quantity=quantity,
                    entry_price=decimal(row, "entryPrice"),
                    mark_price=decimal_or(row, "markPrice"),
                    unrealised_pnl=decimal_or(row, "unRealizedProfit"),
                )
            )
    return tuple(found)


# --- the user stream --------------------------------------------------------------------------------------------


def order_event(payload: Payload) -> OrderReport:
    """Read ``ORDER_TRADE_UPDATE``.

    Raises:
        ParseError: an id, the side or a quantity is missing.
    """
    order = mapping(payload.get("o"))
    status, kind, doubt = status_and_type(order.get("X"), order.get("o"), FUTURES_TYPES, working=False)
    report = OrderReport(
        symbol=symbol_key(order, "s"),
        market=Market.FUTURES,
        client_order_id=own_name(order, "c", "i"),
        venue_order_id=identity(order, "i"),
        side=side(order, "S"),
        type=kind,
        status=status,
        quantity=decimal(order, "q"),
        executed_quantity=decimal(order, "z"),
        limit_price=price_or_none(order, "p"),
        stop_price=price_or_none(order, "sp"),
        reason=doubt,
        at_ms=at_ms(order, "T") or at_ms(payload, "T", "E"),
    )
    return replace(report, fill=_stream_fill(order, report)) if order.get("x") == "TRADE" else report


def algo_event(payload: Payload) -> tuple[OrderReport, str]:
    """Read ``ALGO_UPDATE``: the report and, once triggered, the id of the ordinary order.

    Raises:
        ParseError: an id, the side or the quantity is missing.
    """
    order = mapping(payload.get("o"))
    _, kind, doubt = status_and_type("NEW", order.get("o"), FUTURES_TYPES, working=False)
    status = _algo_status(order.get("X"))
    report = OrderReport(
        symbol=symbol_key(order, "s"),
        market=Market.FUTURES,
        client_order_id=text(order, "caid"),
        venue_order_id=algo_venue_id(identity(order, "aid")),
        side=side(order, "S"),
        type=kind,
        status=status,
        quantity=decimal_or(order, "q"),
        executed_quantity=ZERO,
        limit_price=price_or_none(order, "p"),
        stop_price=price_or_none(order, "tp"),
        reason=doubt or str(order.get("rm") or "")[:200],
        at_ms=at_ms(payload, "T", "E"),
    )
    return report, triggered_order_id(order, "ai")


def account_event(payload: Payload) -> BalanceReport:
    """Read ``ACCOUNT_UPDATE``: new wallet balances, or a transfer.

    Raises:
        ParseError: a balance cannot be read.
    """
    change = mapping(payload.get("a"))
    assets = rows(change.get("B", []))
    at = at_ms(payload, "T", "E")
    found = tuple(Balance(asset=text(row, "a"), free=decimal(row, "wb")) for row in assets)
    if str(change.get("m")) in _TRANSFERS and len(assets) == 1:
        return BalanceReport(
            venue=VENUE,
            market=Market.FUTURES,
            at_ms=at,
            balances=found,
            transfer_asset=text(assets[0], "a"),
            transfer_amount=decimal_or(assets[0], "bc"),
            kind="transfer",
        )
    return BalanceReport(venue=VENUE, market=Market.FUTURES, at_ms=at, balances=found)


def _algo_status(value: object) -> OrderStatus:
    if value == "FINISHED":
        return OrderStatus.TRIGGERED
    return ALGO_STATUSES.get(str(value), OrderStatus.QUARANTINED)


def _stream_fill(order: Payload, report: OrderReport) -> Fill:
    return Fill(
        venue=VENUE,
        market=Market.FUTURES,
        symbol=report.symbol,
        trade_id=identity(order, "t"),
        client_order_id=report.client_order_id,
        venue_order_id=report.venue_order_id,
        side=report.side,
        price=positive(order, "L"),
        quantity=positive(order, "l"),
        fee=decimal_or(order, "n"),
        fee_asset=str(order.get("N") or ""),
        at_ms=report.at_ms,
        liquidity="maker" if order.get("m") is True else "taker",
        realised=_realised(order, "rp"),
    )


def _realised(payload: Payload, name: str) -> Decimal | UnsetType:
    """Return the profit a trade realised; one that cannot be read is worked out by the books: the trade counts."""
    try:
        return decimal(payload, name)
    except ParseError:
        return UNSET
