"""Spot answers about order lists: pure builders, as Binance documents them."""

from __future__ import annotations

from collections.abc import Sequence

from engine_service.exchange_sim.binance_wire import payloads_spot
from engine_service.exchange_sim.binance_wire.payloads_spot import Payload, ResponseType
from engine_service.exchange_sim.model import OrderList, SimOrder
from engine_service.exchange_sim.order_lists import OrderLists


def queried(found: OrderList, legs: Sequence[SimOrder]) -> Payload:
    """A list as the query endpoints show it."""
    return {
        "orderListId": found.list_id,
        "contingencyType": "OCO",
        "listStatusType": "ALL_DONE" if found.is_done else "EXEC_STARTED",
        "listOrderStatus": "ALL_DONE" if found.is_done else "EXECUTING",
        "listClientOrderId": found.client_id,
        "transactionTime": found.at_ms,
        "symbol": found.symbol,
        "orders": [
            {"symbol": leg.symbol, "orderId": leg.order_id, "clientOrderId": leg.client_order_id} for leg in legs
        ],
    }


def placed(found: OrderList, legs: Sequence[SimOrder], kind: ResponseType) -> Payload:
    """The answer to a new list, with a report of each leg."""
    return {**queried(found, legs), "orderReports": [payloads_spot.placed(leg, (), kind) for leg in legs]}


def cancelled(found: OrderList, legs: Sequence[SimOrder], request_client_id: str) -> Payload:
    """The answer to the cancel of a list, or of one of its legs, which cancels the list."""
    reports = [payloads_spot.cancelled(leg, request_client_id) for leg in legs]
    return {**queried(found, legs), "orderReports": reports}


def cancelled_all(lists: OrderLists, gone: Sequence[SimOrder], request_client_id: str) -> list[Payload]:
    """The answer to the cancel of everything: orders, and each list once."""
    rows: list[Payload] = []
    told: set[int] = set()
    for order in gone:
        found = lists.list_of(order)
        if found is None:
            rows.append(payloads_spot.cancelled(order, request_client_id))
        elif found.list_id not in told:
            told.add(found.list_id)
            rows.append(cancelled(found, lists.legs(found), request_client_id))
    return rows
