"""USD-M answers about orders, trades, income and mark prices: pure builders."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from msgspec.structs import replace

from engine_service.exchange_sim.binance_wire.ws_text import fixed, plain
from engine_service.exchange_sim.enums import OrderStatus
from engine_service.exchange_sim.model import ZERO, AlgoOrder, Income, SimOrder, SimTrade
from engine_service.exchange_sim.public_data import FundingRate, MarkPrice

Payload = dict[str, object]
_MONEY_DIGITS = Decimal("1E-8")


def money(value: Decimal) -> str:
    """Eight decimals, half up."""
    return fixed(value.quantize(_MONEY_DIGITS, ROUND_HALF_UP))


def average(value: Decimal) -> str:
    """An average price: a quotient, so it is rounded."""
    return plain(value.quantize(_MONEY_DIGITS, ROUND_HALF_UP)) if value else "0.00"


def placed(order: SimOrder, final: bool) -> Payload:
    """The answer to a new order: `final` (RESULT) as it stands after matching, else (ACK) as it was accepted."""
    if not final and order.status is not OrderStatus.NEW:
        order = replace(
            order, status=OrderStatus.NEW, executed_quantity=ZERO, executed_quote=ZERO, updated_ms=order.created_ms
        )
    return {**_order(order), "cumQty": plain(order.executed_quantity)}


def changed(order: SimOrder) -> Payload:
    """The answer to a cancel or a modification."""
    return {**_order(order), "pair": order.symbol, "cumQty": plain(order.executed_quantity)}


def queried(order: SimOrder) -> Payload:
    """An order as the query endpoints show it."""
    return {**_order(order), "time": order.created_ms}


def trade(entry: SimTrade) -> Payload:
    """A row of userTrades."""
    return {
        "buyer": entry.is_buyer,
        "commission": money(entry.fee),
        "commissionAsset": entry.fee_asset,
        "id": entry.trade_id,
        "maker": entry.is_maker,
        "orderId": entry.order_id,
        "price": plain(entry.price),
        "qty": plain(entry.quantity),
        "quoteQty": plain(entry.quote_quantity),
        "realizedPnl": money(entry.realised_pnl),
        "side": entry.side.value,
        "positionSide": entry.position_side.value,
        "symbol": entry.symbol,
        "time": entry.at_ms,
    }


def algo_placed(order: AlgoOrder) -> Payload:
    """The answer to a new conditional order."""
    return {
        **_algo_head(order),
        **_algo_rules(order),
        "activatePrice": plain(order.activation_price) if order.activation_price else "",
        "callbackRate": plain(order.callback_rate_pct) if order.callback_rate_pct else "",
        **_algo_times(order),
    }


def algo_queried(order: AlgoOrder) -> Payload:
    """A conditional order as the query endpoints show it."""
    return {
        **_algo_head(order),
        "actualOrderId": str(order.order_id) if order.order_id else "",
        "actualPrice": average(order.actual_price),
        **_algo_rules(order),
        "tpTriggerPrice": "0.000",
        "tpPrice": "0.000",
        "slTriggerPrice": "0.000",
        "slPrice": "0.000",
        "tpOrderType": "",
        **_algo_times(order),
    }


def income(entry: Income) -> Payload:
    """A row of income."""
    return {
        "symbol": entry.symbol,
        "incomeType": entry.income_type,
        "income": money(entry.amount),
        "asset": entry.asset,
        "info": entry.info or entry.income_type,
        "time": entry.at_ms,
        "tranId": entry.transaction_id,
        "tradeId": entry.trade_id,
    }


def premium_index(entry: MarkPrice) -> Payload:
    """Mark price, index and funding of a symbol."""
    return {
        "symbol": entry.symbol,
        "markPrice": money(entry.mark),
        "indexPrice": money(entry.index),
        "estimatedSettlePrice": money(entry.settle),
        "lastFundingRate": money(entry.funding_rate),
        "interestRate": money(entry.interest_rate),
        "nextFundingTime": entry.next_funding_ms,
        "time": entry.at_ms,
    }


def funding_rate(entry: FundingRate) -> Payload:
    """A funding that has taken place."""
    return {
        "symbol": entry.symbol,
        "fundingTime": entry.at_ms,
        "fundingRate": money(entry.rate),
        "markPrice": money(entry.mark),
    }


def _order(order: SimOrder) -> Payload:
    return {
        "orderId": order.order_id,
        "symbol": order.symbol,
        "status": order.status.value,
        "clientOrderId": order.client_order_id,
        "price": plain(order.price),
        "avgPrice": average(order.average_price),
        "origQty": plain(order.quantity),
        "executedQty": plain(order.executed_quantity),
        "cumQuote": plain(order.executed_quote),
        "timeInForce": order.time_in_force.value,
        "type": order.type.value,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": order.side.value,
        "positionSide": order.position_side.value,
        "stopPrice": plain(order.stop_price),
        "workingType": order.working_type.value,
        "priceProtect": order.price_protect,
        "origType": order.original_type.value,
        "priceMatch": "NONE",
        "selfTradePreventionMode": order.stp.value,
        "goodTillDate": order.good_till_ms,
        "updateTime": order.updated_ms,
    }


def _algo_head(order: AlgoOrder) -> Payload:
    return {
        "algoId": order.algo_id,
        "clientAlgoId": order.client_algo_id,
        "algoType": "CONDITIONAL",
        "orderType": order.type.value,
        "symbol": order.symbol,
        "side": order.side.value,
        "positionSide": order.position_side.value,
        "timeInForce": order.time_in_force.value,
        "quantity": plain(order.quantity),
        "algoStatus": order.status.value,
    }


def _algo_rules(order: AlgoOrder) -> Payload:
    return {
        "triggerPrice": plain(order.trigger_price),
        "price": plain(order.price),
        "icebergQuantity": None,
        "selfTradePreventionMode": order.stp.value,
        "workingType": order.working_type.value,
        "priceMatch": "NONE",
        "closePosition": order.close_position,
        "priceProtect": order.price_protect,
        "reduceOnly": order.reduce_only,
    }


def _algo_times(order: AlgoOrder) -> Payload:
    return {
        "createTime": order.created_ms,
        "updateTime": order.updated_ms,
        "triggerTime": order.triggered_ms,
        "goodTillDate": order.good_till_ms,
    }
