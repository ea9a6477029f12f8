"""Spot answers about orders, trades and balances: pure builders, shared by REST and the WebSocket API."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

from engine_service.exchange_sim.binance_wire.ws_text import fixed
from engine_service.exchange_sim.enums import OrderStatus, OrderType
from engine_service.exchange_sim.model import Balance, SimOrder, SimTrade

Payload = dict[str, object]
_ZERO = fixed(Decimal(0))
_STOPS = frozenset({OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT})


class ResponseType(StrEnum):
    """`newOrderRespType`."""

    ACK = "ACK"
    RESULT = "RESULT"
    FULL = "FULL"


def default_response_type(kind: OrderType) -> ResponseType:
    """FULL for MARKET and LIMIT, ACK for all others."""
    return ResponseType.FULL if kind in (OrderType.MARKET, OrderType.LIMIT) else ResponseType.ACK


def placed(order: SimOrder, trades: Sequence[SimTrade], kind: ResponseType) -> Payload:
    """The answer to a new order, in one of its three lengths."""
    body: Payload = {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": order.order_list_id,
        "clientOrderId": order.client_order_id,
        "transactTime": order.updated_ms,
    }
    if kind is ResponseType.ACK:
        return body
    body |= _state(order)
    body["workingTime"] = order.working_ms
    body["selfTradePreventionMode"] = order.stp.value
    body |= _conditional(order)
    if kind is ResponseType.FULL:
        body["fills"] = [fill(trade) for trade in trades]
    return body


def fill(trade: SimTrade) -> Payload:
    """One entry of `fills`."""
    return {
        "price": fixed(trade.price),
        "qty": fixed(trade.quantity),
        "commission": fixed(trade.fee),
        "commissionAsset": trade.fee_asset,
        "tradeId": trade.trade_id,
    }


def cancelled(order: SimOrder, request_client_id: str) -> Payload:
    """The answer to a cancel. `request_client_id`: the id of the cancel itself."""
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.client_order_id,
        "orderId": order.order_id,
        "orderListId": order.order_list_id,
        "clientOrderId": request_client_id,
        "transactTime": order.updated_ms,
        **_state(order),
        "selfTradePreventionMode": order.stp.value,
        **_conditional(order),
    }


def queried(order: SimOrder) -> Payload:
    """An order as the query endpoints show it."""
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": order.order_list_id,
        "clientOrderId": order.client_order_id,
        "price": fixed(order.price),
        "origQty": fixed(order.quantity),
        "executedQty": fixed(order.executed_quantity),
        "cummulativeQuoteQty": fixed(order.executed_quote),
        "status": order.status.value,
        "timeInForce": order.time_in_force.value,
        "type": order.type.value,
        "side": order.side.value,
        "stopPrice": fixed(order.stop_price),
        "icebergQty": _ZERO,
        "time": order.created_ms,
        "updateTime": order.updated_ms,
        "isWorking": order.is_working,
        "workingTime": order.working_ms,
        "origQuoteOrderQty": fixed(order.quote_quantity),
        "selfTradePreventionMode": order.stp.value,
        **_labels(order),
        **_prevented(order),
    }


def amended(order: SimOrder, original_client_id: str, execution_id: int) -> Payload:
    """The answer to amend/keepPriority; it names its quantities in its own way."""
    return {
        "transactTime": order.updated_ms,
        "executionId": execution_id,
        "amendedOrder": {
            "symbol": order.symbol,
            "orderId": order.order_id,
            "orderListId": order.order_list_id,
            "origClientOrderId": original_client_id,
            "clientOrderId": order.client_order_id,
            "price": fixed(order.price),
            "qty": fixed(order.quantity),
            "executedQty": fixed(order.executed_quantity),
            "preventedQty": fixed(order.prevented_quantity),
            "quoteOrderQty": fixed(order.quote_quantity),
            "cumulativeQuoteQty": fixed(order.executed_quote),
            "status": order.status.value,
            "timeInForce": order.time_in_force.value,
            "type": order.type.value,
            "side": order.side.value,
            "workingTime": order.working_ms,
            "selfTradePreventionMode": order.stp.value,
        },
    }


def my_trade(trade: SimTrade) -> Payload:
    """A row of myTrades."""
    return {
        "symbol": trade.symbol,
        "id": trade.trade_id,
        "orderId": trade.order_id,
        "orderListId": trade.order_list_id,
        "price": fixed(trade.price),
        "qty": fixed(trade.quantity),
        "quoteQty": fixed(trade.quote_quantity),
        "commission": fixed(trade.fee),
        "commissionAsset": trade.fee_asset,
        "time": trade.at_ms,
        "isBuyer": trade.is_buyer,
        "isMaker": trade.is_maker,
        "isBestMatch": True,
    }


def balance(entry: Balance) -> Payload:
    """A row of an account's `balances`."""
    return {"asset": entry.asset, "free": fixed(entry.free), "locked": fixed(entry.locked)}


def _state(order: SimOrder) -> Payload:
    """What placing and cancelling answer alike, in the documents' order."""
    return {
        "price": fixed(order.price),
        "origQty": fixed(order.quantity),
        "executedQty": fixed(order.executed_quantity),
        "origQuoteOrderQty": fixed(order.quote_quantity),
        "cummulativeQuoteQty": fixed(order.executed_quote),
        "status": order.status.value,
        "timeInForce": order.time_in_force.value,
        "type": order.type.value,
        "side": order.side.value,
    }


def _conditional(order: SimOrder) -> Payload:
    """Fields that appear only where they mean something."""
    fields = _labels(order) | _prevented(order)
    if order.type in _STOPS:
        fields["stopPrice"] = fixed(order.stop_price)
    return fields


def _labels(order: SimOrder) -> Payload:
    fields: Payload = {}
    if order.strategy_id is not None:
        fields["strategyId"] = order.strategy_id
    if order.strategy_type is not None:
        fields["strategyType"] = order.strategy_type
    return fields


def _prevented(order: SimOrder) -> Payload:
    if order.status is not OrderStatus.EXPIRED_IN_MATCH:
        return {}
    return {"preventedQuantity": fixed(order.prevented_quantity)}
