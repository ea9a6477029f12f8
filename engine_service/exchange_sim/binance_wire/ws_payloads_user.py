"""Payloads of the user streams, as Binance documents them. Pure: an account event in, JSON objects out."""

from __future__ import annotations

from engine_service.exchange_sim.binance_wire.ws_text import MILLISECOND, NOTHING, TimeUnit, fixed, plain
from engine_service.exchange_sim.enums import MarginType, OrderType
from engine_service.exchange_sim.events import (
    AlgoEvent,
    ExecutionType,
    FuturesAccountEvent,
    LeverageEvent,
    ListEvent,
    OrderEvent,
    SpotBalanceEvent,
    SpotPositionEvent,
)
from engine_service.exchange_sim.model import ZERO, Position, SimOrder, SimTrade

Payload = dict[str, object]


def execution_report(event: OrderEvent, unit: TimeUnit = MILLISECOND) -> Payload:
    """Spot `executionReport`. Fields that belong to some orders only are absent from the others."""
    order, trade, request_id = event.order, event.trade, event.request_client_id
    at = event.at_ms * unit
    report: Payload = {
        "e": "executionReport",
        "E": at,
        "s": order.symbol,
        "c": request_id or order.client_order_id,
        "S": order.side.value,
        "o": order.type.value,
        "f": order.time_in_force.value,
        "q": fixed(order.quantity),
        "p": fixed(order.price),
        "P": fixed(order.stop_price),
        "F": NOTHING,
        "g": order.order_list_id,
        "C": order.client_order_id if request_id else "",
        "x": event.execution_type.value,
        "X": order.status.value,
        "r": event.reject_reason,
        "i": order.order_id,
        "l": fixed(trade.quantity) if trade else NOTHING,
        "z": fixed(order.executed_quantity),
        "L": fixed(trade.price) if trade else NOTHING,
        "n": fixed(trade.fee) if trade else "0",
        "N": trade.fee_asset if trade else None,
        "t": trade.trade_id if trade else -1,
        "m": trade.is_maker if trade else False,
        "Z": fixed(order.executed_quote),
        "Y": fixed(trade.quote_quantity) if trade else NOTHING,
        "T": at,
        "I": event.execution_id,
        "w": order.is_working,
        "M": False,
        "O": order.created_ms * unit,
        "Q": fixed(order.quote_quantity),
        "V": order.stp.value,
    }
    if order.working_ms > 0:
        report["W"] = order.working_ms * unit
    if order.strategy_id is not None:
        report["j"] = order.strategy_id
    if order.strategy_type is not None:
        report["J"] = order.strategy_type
    if event.execution_type is ExecutionType.TRADE_PREVENTION:
        report["v"] = event.execution_id
        report["A"] = report["B"] = fixed(order.prevented_quantity)
    return report


def list_status(event: ListEvent, unit: TimeUnit = MILLISECOND) -> Payload:
    """Spot `listStatus`: an order list was taken in, or all of it is done."""
    found = event.order_list
    return {
        "e": "listStatus",
        "E": event.at_ms * unit,
        "s": found.symbol,
        "g": found.list_id,
        "c": "OCO",
        "l": "ALL_DONE" if found.is_done else "EXEC_STARTED",
        "L": "ALL_DONE" if found.is_done else "EXECUTING",
        "r": "NONE",
        "C": found.client_id,
        "T": event.at_ms * unit,
        "O": [{"s": leg.symbol, "i": leg.order_id, "c": leg.client_order_id} for leg in event.legs],
    }


def outbound_account_position(event: SpotPositionEvent, unit: TimeUnit = MILLISECOND) -> Payload:
    """Spot balances that may have changed."""
    rows = [{"a": row.asset, "f": fixed(row.free), "l": fixed(row.locked)} for row in event.balances]
    return {"e": "outboundAccountPosition", "E": event.at_ms * unit, "u": event.at_ms * unit, "B": rows}


def balance_update(event: SpotBalanceEvent, unit: TimeUnit = MILLISECOND) -> Payload:
    """Spot deposit, withdrawal or transfer."""
    return {
        "e": "balanceUpdate",
        "E": event.at_ms * unit,
        "a": event.asset,
        "d": fixed(event.delta),
        "T": event.at_ms * unit,
    }


def event_stream_terminated(at_ms: int, unit: TimeUnit = MILLISECOND) -> Payload:
    """Spot: a subscription of the WebSocket API has ended."""
    return {"e": "eventStreamTerminated", "E": at_ms * unit}


def order_trade_update(event: OrderEvent) -> Payload:
    """USD-M `ORDER_TRADE_UPDATE`."""
    order, trade = event.order, event.trade
    inner: Payload = {
        "s": order.symbol,
        "c": order.client_order_id,
        "S": order.side.value,
        "o": order.type.value,
        "f": order.time_in_force.value,
        "q": plain(order.quantity),
        "p": plain(order.price),
        "ap": plain(order.average_price),
        "sp": plain(order.stop_price),
        "x": event.execution_type.value,
        "X": order.status.value,
        "i": order.order_id,
        "l": plain(trade.quantity if trade else ZERO),
        "z": plain(order.executed_quantity),
        "L": plain(trade.price if trade else ZERO),
        "n": plain(trade.fee if trade else ZERO),
        "N": trade.fee_asset if trade else "USDT",
        "T": event.at_ms,
        "t": trade.trade_id if trade else 0,
        **_open_notional(order),
        "m": trade.is_maker if trade else False,
        "R": order.reduce_only,
        "wt": order.working_type.value,
        "ot": order.original_type.value,
        "ps": order.position_side.value,
        "cp": order.close_position,
        "rp": plain(trade.realised_pnl if trade else ZERO),
        "pP": order.price_protect,
        "si": 0,
        "ss": 0,
        "V": order.stp.value,
        "pm": "NONE",
        "gtd": order.good_till_ms,
        "er": "0",
    }
    return {"e": "ORDER_TRADE_UPDATE", "E": event.at_ms, "T": event.at_ms, "o": inner}


def _open_notional(order: SimOrder) -> Payload:
    """What the order still binds: bids `b`, asks `a`."""
    open_notional = plain(order.remaining * order.price if order.status.is_open else ZERO)
    return {"b": open_notional, "a": "0"} if order.side.sign > 0 else {"b": "0", "a": open_notional}


def trade_lite(event: OrderEvent, trade: SimTrade) -> Payload:
    """USD-M `TRADE_LITE`: a fill in few fields, ahead of its ORDER_TRADE_UPDATE."""
    order = event.order
    return {
        "e": "TRADE_LITE",
        "E": event.at_ms,
        "T": event.at_ms,
        "s": order.symbol,
        "q": plain(order.quantity),
        "p": plain(order.price),
        "m": trade.is_maker,
        "c": order.client_order_id,
        "S": order.side.value,
        "L": plain(trade.price),
        "l": plain(trade.quantity),
        "t": trade.trade_id,
        "i": order.order_id,
    }


def account_update(event: FuturesAccountEvent) -> Payload:
    """USD-M `ACCOUNT_UPDATE`."""
    balances = [
        {"a": row.asset, "wb": plain(row.wallet), "cw": plain(row.cross_wallet), "bc": plain(row.change)}
        for row in event.balances
    ]
    positions = [_position(row) for row in event.positions]
    inner = {"m": event.reason, "B": balances, "P": positions}
    return {"e": "ACCOUNT_UPDATE", "E": event.at_ms, "T": event.at_ms, "a": inner}


def _position(row: Position) -> Payload:
    return {
        "s": row.symbol,
        "pa": plain(row.quantity),
        "ep": plain(row.entry_price),
        "bep": plain(row.break_even_price),
        "cr": plain(row.realised_pnl),
        "up": plain(row.unrealised_pnl),
        "mt": "isolated" if row.margin_type is MarginType.ISOLATED else "cross",
        "iw": plain(row.isolated_wallet),
        "ps": row.side.value,
        "ma": "USDT",
    }


def account_config_update(event: LeverageEvent) -> Payload:
    """USD-M `ACCOUNT_CONFIG_UPDATE` after a change of leverage."""
    config = {"s": event.symbol, "l": event.leverage}
    return {"e": "ACCOUNT_CONFIG_UPDATE", "E": event.at_ms, "T": event.at_ms, "ac": config}


def algo_update(event: AlgoEvent) -> Payload:
    """USD-M `ALGO_UPDATE`: a conditional order changed. The order it became is named once there is one."""
    order = event.order
    inner: Payload = {
        "caid": order.client_algo_id,
        "aid": order.algo_id,
        "at": "CONDITIONAL",
        "o": order.type.value,
        "s": order.symbol,
        "S": order.side.value,
        "ps": order.position_side.value,
        "f": order.time_in_force.value,
        "q": plain(order.quantity),
        "X": order.status.value,
        "ai": str(order.order_id) if order.order_id else "",
        "tp": plain(order.trigger_price),
        "p": plain(order.price),
        "V": order.stp.value,
        "wt": order.working_type.value,
        "pm": "NONE",
        "cp": order.close_position,
        "pP": order.price_protect,
        "R": order.reduce_only,
        "tt": order.triggered_ms,
        "gtd": order.good_till_ms,
        "rm": order.failure,
    }
    if order.order_id:
        actual = OrderType.LIMIT if order.price else OrderType.MARKET
        inner |= {"ap": plain(order.actual_price), "act": actual.value}
    if order.type is OrderType.TRAILING_STOP_MARKET:
        inner |= {"AP": plain(order.activation_price), "cr": plain(order.callback_rate_pct)}
    return {"e": "ALGO_UPDATE", "E": event.at_ms, "T": event.at_ms, "o": inner}


def listen_key_expired(listen_key: str, at_ms: int) -> Payload:
    """USD-M: the stream's listen key is no longer valid."""
    return {"e": "listenKeyExpired", "E": at_ms, "listenKey": listen_key}
